package route

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// snapshotFormat is the number of the format written here. Records of another format are not read.
const snapshotFormat = 1

// maximumLine bounds what one line of a snapshot may take in memory while it is read.
const maximumLine = 4 << 20

// record is one line of the snapshot: a head without a host, a route of a host, or a host without a route, which removes it.
type record struct {
	Format     int    `json:"format,omitempty"`
	Generation uint64 `json:"generation"`
	Host       string `json:"host,omitempty"`
	Route      *Route `json:"route"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeRecord(generation uint64, host string, route *Route) []byte {
	return encodeLine(record{Generation: generation, Host: host, Route: route})
}

func encodeHead(generation uint64) []byte {
	return encodeLine(record{Format: snapshotFormat, Generation: generation})
}

// encodeLine makes a line: the checksum of what follows in hexadecimal, a space, JSON.
func encodeLine(value record) []byte {
	payload, err := json.Marshal(value)
	if err != nil {
		panic("a record consists of strings and numbers, which always can be written as JSON: " + err.Error())
	}
	line := make([]byte, 0, len(payload)+10)
	line = fmt.Appendf(line, "%08x ", crc32.Checksum(payload, castagnoli))
	line = append(line, payload...)
	return append(line, '\n')
}

func decodeLine(line []byte) (record, error) {
	var value record
	if len(line) < 10 || line[8] != ' ' {
		return value, errors.New("not a record")
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], line[:8]); err != nil {
		return value, errors.New("no checksum")
	}
	payload := line[9:]
	if want := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3]); crc32.Checksum(payload, castagnoli) != want {
		return value, errors.New("wrong checksum")
	}
	if err := json.Unmarshal(payload, &value); err != nil {
		return value, fmt.Errorf("not JSON: %w", err)
	}
	return value, nil
}

// loaded is what could be read of a snapshot.
type loaded struct {
	generation uint64
	routes     map[string]*Route
	// damage describes each line that could not be used.
	damage []string
}

// loadSnapshot reads what is readable. That there is no file is an empty table; only a file that cannot be opened is an error.
func loadSnapshot(path string) (loaded, error) {
	result := loaded{routes: map[string]*Route{}}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return result, nil
	}
	if err != nil {
		return result, fmt.Errorf("the snapshot cannot be opened: %w", err)
	}
	defer file.Close()
	if about, err := file.Stat(); err != nil || !about.Mode().IsRegular() {
		return result, fmt.Errorf("the snapshot %s is not a file", path)
	}

	reader := bufio.NewReaderSize(file, 1<<16)
	for number := 1; ; number++ {
		line, err := readLine(reader)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err == nil || errors.Is(err, io.EOF) {
			if problem := result.apply(line, err == nil); problem != nil {
				result.damage = append(result.damage, fmt.Sprintf("line %d: %v", number, problem))
			}
		} else {
			result.damage = append(result.damage, fmt.Sprintf("line %d: %v", number, err))
		}
		if err != nil && !errors.Is(err, errLongLine) {
			break
		}
	}
	return result, nil
}

// apply takes over one line. The rules for a route are the same as at the door.
func (l *loaded) apply(line []byte, complete bool) error {
	value, err := decodeLine(line)
	if err != nil {
		if !complete {
			return fmt.Errorf("cut off: %w", err)
		}
		return err
	}
	l.generation = max(l.generation, value.Generation)
	if value.Host == "" {
		if value.Format != snapshotFormat {
			return fmt.Errorf("format %d is not known", value.Format)
		}
		return nil
	}
	host, err := ParseHost(value.Host)
	if err != nil {
		return err
	}
	if value.Route == nil {
		delete(l.routes, host)
		return nil
	}
	if err := value.Route.check(); err != nil {
		return err
	}
	l.routes[host] = value.Route
	return nil
}

var errLongLine = errors.New("too long to be a record")

// readLine reads up to the next line feed and leaves it out. A line that is too long is skipped to its end.
func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		if len(line)+len(part) > maximumLine {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = reader.ReadSlice('\n')
			}
			if err == nil || errors.Is(err, io.EOF) {
				err = errLongLine
			}
			return nil, err
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(line, []byte{'\n'}), err
	}
}
