package route

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestARestartFindsTheTableAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "routes")
	table := openTable(t, path)
	put(t, table, "a.test", liveRoute("web", replica("one", 81)))
	put(t, table, "b.test", Route{Service: "svc_b", Name: "\"quotes\" & <tags>", State: Failed, Message: "line\nline\t\x1b[31m"})
	put(t, table, "c.test", liveRoute("gone"))
	if _, err := table.Delete("c.test", nil); err != nil {
		t.Fatal(err)
	}
	put(t, table, "a.test", liveRoute("web", replica("two", 82)))
	before := table.Snapshot()
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if after := openTable(t, path).Snapshot(); !reflect.DeepEqual(before, after) {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestASnapshotHoldsOneProxyAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	table := openTable(t, path)
	if _, err := Open(path, zap.NewNop()); !errors.Is(err, ErrInUse) {
		t.Errorf("a second proxy got in: %v", err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	openTable(t, path)
}

func TestASnapshotCutOffAnywhereLosesAtMostItsLastRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	table := openTable(t, path)
	for index := range 3 {
		put(t, table, fmt.Sprintf("h%d.test", index), liveRoute("web", replica(fmt.Sprint("i", index), 80)))
	}
	_ = table.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for length := range len(whole) {
		cut := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(cut, whole[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := loadSnapshot(cut)
		complete := bytes.Count(whole[:length], []byte{'\n'})
		// A record of which only the line feed is missing is whole.
		if err != nil || len(found.routes) < complete-1 || len(found.routes) > complete {
			t.Fatalf("at %d of %d: %d routes, %v", length, len(whole), len(found.routes), err)
		}
	}
}

func TestADamagedSnapshotIsReportedAndWhatIsReadableIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	table := openTable(t, path)
	put(t, table, "a.test", liveRoute("a"))
	put(t, table, "b.test", liveRoute("b"))
	put(t, table, "c.test", liveRoute("c"))
	_ = table.Close()
	whole, _ := os.ReadFile(path)
	damaged := bytes.Replace(whole, []byte("svc_b"), []byte("svc_x"), 1)
	damaged = append(damaged, bytes.Repeat([]byte{0}, maximumLine+10)...)
	damaged = append(damaged, "\nnonsense\n"...)
	hostile := encodeRecord(9, "d.test", &Route{Service: "svc_d", Name: "d", State: "asleep"})
	damaged = append(damaged, hostile...)
	damaged = append(damaged, encodeRecord(10, "e.test", &Route{Service: "svc_e", Name: "e", State: Live})...)
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.ErrorLevel)
	table, err := Open(path, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	found := table.Snapshot()
	if len(found.Routes) != 3 || table.Lookup("a.test") == nil || table.Lookup("c.test") == nil || table.Lookup("e.test") == nil || found.Generation != 10 {
		t.Errorf("%+v", found)
	}
	if table.Metrics().SnapshotDamagedLines != 4 || logs.Len() != 1 {
		t.Errorf("%d damaged lines, %d log lines", table.Metrics().SnapshotDamagedLines, logs.Len())
	}
	if kept, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(kept, damaged) {
		t.Errorf("the damaged file was not kept: %v", err)
	}
	if again, err := loadSnapshot(path); err != nil || len(again.damage) != 0 || len(again.routes) != 3 {
		t.Errorf("the snapshot was not mended: %v, %v", again.damage, err)
	}
}

func TestASnapshotThatIsNoFileIsRefusedAtStart(t *testing.T) {
	if _, err := Open(t.TempDir(), zap.NewNop()); err == nil {
		t.Error("a folder was taken for a snapshot")
	}
}

func TestHistoryDoesNotGrowForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	table := openTable(t, path)
	for index := range 3*minimumHistory + 10 {
		put(t, table, "a.test", liveRoute("web", replica(fmt.Sprint("i", index%2, "-", index), 80)))
	}
	content, err := os.ReadFile(path)
	if err != nil || bytes.Count(content, []byte{'\n'}) > minimumHistory+2 {
		t.Errorf("%d lines, %v", bytes.Count(content, []byte{'\n'}), err)
	}
	before := table.Snapshot()
	_ = table.Close()
	if after := openTable(t, path).Snapshot(); !reflect.DeepEqual(before, after) {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestAChangeThatCannotBeWrittenIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes")
	table := openTable(t, path)
	put(t, table, "a.test", liveRoute("web", replica("one", 81)))
	_ = table.journal.file.Close()
	var persist *PersistError
	if _, err := table.Put("a.test", liveRoute("web", replica("two", 82)), nil); !errors.As(err, &persist) {
		t.Fatalf("%v", err)
	}
	if endpoint := table.Acquire("a.test", nil); endpoint.Instance.ID() != "one" || table.Snapshot().Generation != 1 {
		t.Error("a change was made that a restart would lose")
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Replace(nil, nil); !errors.As(err, &persist) || table.Lookup("a.test") == nil {
		t.Errorf("%v", err)
	}
}

func benchmarkTable(b *testing.B, routes int) *Table {
	table := openTable(b, filepath.Join(b.TempDir(), "routes"))
	wanted := make(map[string]Route, routes)
	for index := range routes {
		route := liveRoute(fmt.Sprint("web", index), replica(fmt.Sprint("instance", index), 80))
		route.Message = strings.Repeat("x", 40)
		wanted[fmt.Sprintf("host%d.example.com", index)] = route
	}
	if _, err := table.Replace(wanted, nil); err != nil {
		b.Fatal(err)
	}
	return table
}

func BenchmarkAddARoute(b *testing.B) {
	for _, routes := range []int{0, 10_000} {
		b.Run(fmt.Sprint("at", routes), func(b *testing.B) {
			table := benchmarkTable(b, routes)
			for index := 0; b.Loop(); index++ {
				put(b, table, fmt.Sprintf("new%d.example.com", index), liveRoute("new", replica(fmt.Sprint("n", index), 80)))
			}
		})
	}
}

func BenchmarkRewrite(b *testing.B) {
	table := benchmarkTable(b, 10_000)
	for b.Loop() {
		if err := table.journal.rewrite(table.current.Load()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAcquireAndRelease(b *testing.B) {
	table := benchmarkTable(b, 10_000)
	b.ReportAllocs()
	b.RunParallel(func(parallel *testing.PB) {
		for parallel.Next() {
			table.Release(table.Acquire("host77.example.com", nil), false)
		}
	})
}
