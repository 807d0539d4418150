package route

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// journal is the snapshot on disk: one record a line, the last one of a host counts. Changes of one host are appended, and
// now and then the file is written anew beside the old one and renamed over it.
//
// What append or rewrite has accepted survives the end of this process. It survives the loss of power once it is synced,
// which happens within syncDelay of an append, and before the rename of a rewrite.
type journal struct {
	path   string
	logger *zap.Logger
	lock   *os.File

	// handle guards file against being swapped while the syncer takes it, and closed.
	handle sync.Mutex
	file   *os.File

	size     int64
	appended int
	// broken is set when the end of the file may be torn; only a rewrite mends it.
	broken bool
	closed bool

	dirty chan struct{}
	done  chan struct{}
}

const (
	// syncDelay is how long appended records wait for company on their way to the disk.
	syncDelay = 100 * time.Millisecond
	// minimumHistory is the number of appended records below which a rewrite is never worth it.
	minimumHistory = 1000
)

// ErrInUse means that another process holds the snapshot.
var ErrInUse = errors.New("another proxy uses this snapshot")

// openJournal takes hold of the snapshot at the path. The caller loads it and then rewrites it before anything is appended.
func openJournal(path string, logger *zap.Logger) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the snapshot cannot be made: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock of the snapshot cannot be opened: %w", err)
	}
	// Two proxies may well share a port without noticing, as listeners reuse ports; they must not share a snapshot.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	journal := &journal{path: path, logger: logger, lock: lock, broken: true, dirty: make(chan struct{}, 1), done: make(chan struct{})}
	go journal.syncInBackground()
	return journal, nil
}

// wantsRewrite tells whether the file holds more history than table.
func (j *journal) wantsRewrite(routes int) bool {
	return j.broken || j.appended >= max(minimumHistory, routes)
}

func (j *journal) append(line []byte) error {
	if written, err := j.file.WriteAt(line, j.size); err != nil {
		if written > 0 {
			// A torn line would swallow the next one, so it goes; if it will not go, the file is written anew next time.
			j.broken = j.file.Truncate(j.size) != nil
		}
		return err
	}
	j.size += int64(len(line))
	j.appended++
	select {
	case j.dirty <- struct{}{}:
	default:
	}
	return nil
}

func (j *journal) rewrite(table *view) error {
	temporary := j.path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	size, err := writeAll(file, table)
	if err == nil {
		err = os.Rename(temporary, j.path)
	}
	if err != nil {
		file.Close()
		os.Remove(temporary)
		return err
	}
	syncFolder(filepath.Dir(j.path))

	j.handle.Lock()
	old := j.file
	j.file = file
	j.handle.Unlock()
	if old != nil {
		old.Close()
	}
	j.size, j.appended, j.broken = size, 0, false
	return nil
}

func writeAll(file *os.File, table *view) (int64, error) {
	writer := bufio.NewWriterSize(file, 1<<20)
	head := encodeHead(table.generation)
	size := int64(len(head))
	if _, err := writer.Write(head); err != nil {
		return 0, err
	}
	for _, entry := range table.entries {
		if _, err := writer.Write(entry.line); err != nil {
			return 0, err
		}
		size += int64(len(entry.line))
	}
	if err := writer.Flush(); err != nil {
		return 0, err
	}
	return size, file.Sync()
}

// syncFolder makes a rename durable. A file system that cannot is not a reason to refuse a change.
func syncFolder(path string) {
	if folder, err := os.Open(path); err == nil {
		_ = folder.Sync()
		folder.Close()
	}
}

func (j *journal) syncInBackground() {
	for {
		select {
		case <-j.done:
			return
		case <-j.dirty:
		}
		select {
		case <-j.done:
			return
		case <-time.After(syncDelay):
		}
		j.handle.Lock()
		file := j.file
		j.handle.Unlock()
		// A file that a rewrite closed meanwhile needs no sync: its successor was synced before it took its place.
		if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			j.logger.Error("the snapshot could not be synced", zap.String("snapshot.path", j.path), zap.Error(err))
		}
	}
}

// close may be called again and then does nothing.
func (j *journal) close() error {
	j.handle.Lock()
	defer j.handle.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	close(j.done)
	var err error
	if j.file != nil {
		err = errors.Join(j.file.Sync(), j.file.Close())
	}
	return errors.Join(err, j.lock.Close())
}
