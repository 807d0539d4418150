package route

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

func openTable(t testing.TB, path string) *Table {
	t.Helper()
	table, err := Open(path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

func newTable(t testing.TB) *Table { return openTable(t, filepath.Join(t.TempDir(), "routes")) }

func liveRoute(service string, replicas ...Replica) Route {
	return Route{Service: "svc_" + service, Name: service, State: Live, Deployment: "dep_1", Instances: replicas}
}

func replica(id string, port int) Replica {
	return Replica{ID: id, Address: fmt.Sprintf("127.0.0.1:%d", port)}
}

func put(t testing.TB, table *Table, host string, route Route) Change {
	t.Helper()
	change, err := table.Put(host, route, nil)
	if err != nil {
		t.Fatalf("%v: %v", err, errors.Unwrap(err))
	}
	return change
}

func TestARequestHostLosesItsPortItsTrailingDotAndItsCapitals(t *testing.T) {
	for given, wanted := range map[string]string{
		"App.Example.com": "app.example.com", "app.example.com:8443": "app.example.com", "app.example.com.:80": "app.example.com",
		"app.example.com.": "app.example.com", "[::1]:80": "[::1]", "[::1]": "[::1]", "": "", ":": "", "a:b:c": "a:b",
	} {
		if found := RequestHost(given); found != wanted {
			t.Errorf("%q became %q, not %q", given, found, wanted)
		}
	}
}

func TestAHostThatIsNotANameIsRefused(t *testing.T) {
	for _, bad := range []string{"", ".", "a..b", "-a.b", "a-.b", "a b", "a/b", "a:80", "*.a", "é.fr", "a\x00b", "<b>", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		if host, err := ParseHost(bad); err == nil {
			t.Errorf("%q was taken for %q", bad, host)
		}
	}
	if host, err := ParseHost("Web.EXAMPLE.com."); err != nil || host != "web.example.com" {
		t.Errorf("a good host became %q, %v", host, err)
	}
}

func TestARouteThatBreaksARuleIsRefusedAndChangesNothing(t *testing.T) {
	table := newTable(t)
	bad := map[string]func(*Route){
		"no service":        func(r *Route) { r.Service = "" },
		"header in service": func(r *Route) { r.Service = "svc\r\nx: y" },
		"no name":           func(r *Route) { r.Name = "" },
		"control in name":   func(r *Route) { r.Name = "a\x1b[2J" },
		"long message":      func(r *Route) { r.Message = strings.Repeat("x", maximumMessage+1) },
		"unknown state":     func(r *Route) { r.State = "asleep" },
		"bad deployment":    func(r *Route) { r.Deployment = "a b" },
		"stopped but there": func(r *Route) { r.State = Stopped },
		"host as address":   func(r *Route) { r.Instances[0].Address = "localhost:80" },
		"no port":           func(r *Route) { r.Instances[0].Address = "127.0.0.1:0" },
		"any address":       func(r *Route) { r.Instances[0].Address = "0.0.0.0:80" },
		"zone":              func(r *Route) { r.Instances[0].Address = "[fe80::1%eth0]:80" },
		"twice":             func(r *Route) { r.Instances = append(r.Instances, r.Instances[0]) },
		"too many": func(r *Route) {
			for index := range maximumInstances {
				r.Instances = append(r.Instances, replica(fmt.Sprint("i", index), 80))
			}
		},
	}
	for name, spoil := range bad {
		route := liveRoute("web", replica("one", 80))
		spoil(&route)
		var invalid *InvalidError
		if _, err := table.Put("a.test", route, nil); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found := table.Snapshot(); found.Generation != 0 || len(found.Routes) != 0 {
		t.Errorf("something changed: %v", found)
	}
}

func TestAChangeSaysWhatItReplacedAndWhichInstancesAreGone(t *testing.T) {
	table := newTable(t)
	first := liveRoute("web", replica("one", 81), replica("two", 82))
	if change := put(t, table, "a.test", first); change.Generation != 1 || change.Replaced != nil || len(change.Removed) != 0 {
		t.Errorf("first: %+v", change)
	}
	put(t, table, "alias.test", liveRoute("web", replica("two", 82)))
	change := put(t, table, "a.test", liveRoute("web", replica("three", 83)))
	if change.Generation != 3 || !change.Replaced.Equal(&first) || !reflect.DeepEqual(change.Removed, []string{"one"}) {
		t.Errorf("an instance that another host still leads to is not gone: %+v", change)
	}
	gone, err := table.Delete("alias.test", nil)
	if err != nil || !reflect.DeepEqual(gone.Removed, []string{"two"}) {
		t.Errorf("delete: %+v, %v", gone, err)
	}
	again, err := table.Delete("alias.test", nil)
	if err != nil || again.Replaced != nil || again.Generation != gone.Generation {
		t.Errorf("absence is success and no change: %+v, %v", again, err)
	}
}

func TestTheSameRouteAgainIsNoChange(t *testing.T) {
	table := newTable(t)
	put(t, table, "a.test", liveRoute("web", replica("one", 81)))
	before := table.Lookup("a.test")
	if change := put(t, table, "A.test.", liveRoute("web", replica("one", 81))); change.Generation != 1 {
		t.Errorf("put: %+v", change)
	}
	change, err := table.Replace(map[string]Route{"a.test": liveRoute("web", replica("one", 81))}, nil)
	if err != nil || change.Generation != 1 || table.Lookup("a.test") != before {
		t.Errorf("replace: %+v, %v", change, err)
	}
}

func TestAChangeThatSawAnOlderTableIsStale(t *testing.T) {
	table := newTable(t)
	put(t, table, "a.test", liveRoute("web"))
	old, current := uint64(0), uint64(1)
	if _, err := table.Put("b.test", liveRoute("web"), &old); !errors.Is(err, ErrStale) {
		t.Errorf("put: %v", err)
	}
	if _, err := table.Replace(nil, &old); !errors.Is(err, ErrStale) {
		t.Errorf("replace: %v", err)
	}
	if _, err := table.Delete("a.test", &old); !errors.Is(err, ErrStale) {
		t.Errorf("delete: %v", err)
	}
	if _, err := table.Put("b.test", liveRoute("web"), &current); err != nil {
		t.Errorf("current: %v", err)
	}
}

func TestAWholeTableIsReplacedAtOnceOrNotAtAll(t *testing.T) {
	table := newTable(t)
	put(t, table, "keep.test", liveRoute("keep", replica("kept", 81)))
	put(t, table, "drop.test", liveRoute("drop", replica("dropped", 82)))
	kept := table.Lookup("keep.test")
	wanted := map[string]Route{"keep.test": liveRoute("keep", replica("kept", 81)), "new.test": liveRoute("new", replica("fresh", 83))}
	change, err := table.Replace(wanted, nil)
	if err != nil || !reflect.DeepEqual(change.Removed, []string{"dropped"}) || table.Lookup("drop.test") != nil || table.Lookup("new.test") == nil {
		t.Errorf("%+v, %v", change, err)
	}
	if table.Lookup("keep.test") != kept {
		t.Error("an unchanged route lost its place")
	}
	wanted["bad host"] = liveRoute("bad")
	if _, err := table.Replace(wanted, nil); err == nil || table.Lookup("bad host") != nil {
		t.Errorf("one bad route must refuse all: %v", err)
	}
	twice := map[string]Route{"A.test": liveRoute("a"), "a.test.": liveRoute("b")}
	if _, err := table.Replace(twice, nil); err == nil {
		t.Error("two routes for one host were taken")
	}
}

func TestTheLeastBusyInstanceIsChosenAndEqualsTakeTurns(t *testing.T) {
	table := newTable(t)
	put(t, table, "a.test", liveRoute("web", replica("one", 81), replica("two", 82), replica("three", 83)))
	counts := map[string]int{}
	for range 30 {
		endpoint := table.Acquire("a.test", nil)
		counts[endpoint.Instance.ID()]++
		table.Release(endpoint, false)
	}
	if counts["one"] != 10 || counts["two"] != 10 || counts["three"] != 10 {
		t.Errorf("turns: %v", counts)
	}
	held := map[string]bool{}
	for range 3 {
		held[table.Acquire("a.test", nil).Instance.ID()] = true
	}
	if len(held) != 3 {
		t.Errorf("a busy instance was taken while another was idle: %v", held)
	}
}

func TestAnInstanceThatWasTriedIsNotTriedAgain(t *testing.T) {
	table := newTable(t)
	put(t, table, "a.test", liveRoute("web", replica("one", 81), replica("two", 82)))
	first := table.Acquire("a.test", nil)
	second := table.Acquire("a.test", []*Instance{first.Instance})
	if first.Instance == second.Instance {
		t.Error("the same instance twice")
	}
	if third := table.Acquire("a.test", []*Instance{first.Instance, second.Instance}); third != nil {
		t.Errorf("a third came from nowhere: %v", third)
	}
	table.Release(first, true)
	table.Release(second, false)
	for _, report := range table.Instances() {
		if report.InFlight != 0 || report.Requests != 1 || (report.ID == first.Instance.ID()) != (report.Errors == 1) {
			t.Errorf("%+v", report)
		}
	}
}

func TestWaitingEndsWithTheLastRequestOrWithTheContext(t *testing.T) {
	table := newTable(t)
	put(t, table, "a.test", liveRoute("web", replica("one", 81)))
	if left := table.WaitUntilEmpty(context.Background(), "nobody"); left != 0 {
		t.Errorf("an unknown instance has %d in flight", left)
	}
	endpoint := table.Acquire("a.test", nil)
	put(t, table, "a.test", liveRoute("web", replica("two", 82)))
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if left := table.WaitUntilEmpty(short, "one"); left != 1 {
		t.Errorf("%d left instead of 1", left)
	}
	var ended atomic.Bool
	go func() {
		time.Sleep(50 * time.Millisecond)
		ended.Store(true)
		table.Release(endpoint, false)
	}()
	if left := table.WaitUntilEmpty(context.Background(), "one"); left != 0 || !ended.Load() {
		t.Errorf("%d left, ended: %v", left, ended.Load())
	}
}

// The promise that drains rest on: once a change has been answered and the removed instance was seen empty, it stays empty.
func TestNoRequestReachesAnInstanceAfterItWasDrained(t *testing.T) {
	table := newTable(t)
	var closed sync.Map
	put(t, table, "a.test", liveRoute("web", replica("i0", 80)))
	stop := make(chan struct{})
	var workers sync.WaitGroup
	var late, served atomic.Int64
	for range 8 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				endpoint := table.Acquire("a.test", nil)
				if endpoint == nil {
					late.Add(1)
					continue
				}
				if _, gone := closed.Load(endpoint.Instance.ID()); gone {
					late.Add(1)
				}
				served.Add(1)
				table.Release(endpoint, false)
				runtime.Gosched()
			}
		})
	}
	for swap := range 500 {
		// On a busy machine all swaps could be over before the first request: each waits for one.
		for before := served.Load(); served.Load() == before; {
			runtime.Gosched()
		}
		change := put(t, table, "a.test", liveRoute("web", replica(fmt.Sprint("i", swap+1), 80)))
		for _, id := range change.Removed {
			if left := table.WaitUntilEmpty(context.Background(), id); left != 0 {
				t.Fatalf("%d left", left)
			}
			closed.Store(id, true)
		}
	}
	close(stop)
	workers.Wait()
	if late.Load() != 0 || served.Load() == 0 {
		t.Errorf("%d of %d requests went wrong", late.Load(), served.Load())
	}
	for _, report := range table.Instances() {
		if report.InFlight != 0 {
			t.Errorf("a count was left behind: %+v", report)
		}
	}
}

func TestCountsOfRemovedInstancesAreForgottenAfterAWhile(t *testing.T) {
	table := newTable(t)
	put(t, table, "a.test", liveRoute("web", replica("one", 81)))
	busy := table.Acquire("a.test", nil)
	put(t, table, "a.test", liveRoute("other", replica("two", 82)))
	later := time.Now().Add(2 * keepRemoved)
	table.forget(later)
	if len(table.Instances()) != 2 {
		t.Error("an instance with a request in flight was forgotten")
	}
	table.Release(busy, false)
	table.forget(later.Add(2 * time.Minute))
	if found := table.Instances(); len(found) != 1 || found[0].ID != "two" {
		t.Errorf("%+v", found)
	}
	if services := table.Metrics().Services; len(services) != 1 {
		t.Errorf("%+v", services)
	}
}
