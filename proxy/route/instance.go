package route

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Instance counts the requests of one replica. It outlives table changes and configuration reloads: the counts belong to the id.
type Instance struct {
	id       string
	inFlight atomic.Int64
	requests atomic.Uint64
	errors   atomic.Uint64
	// removed is set once no route leads to the instance any more.
	removed atomic.Bool

	// references is the number of routes that lead here; guarded by Table.change.
	references int
	// removedAt is when references fell to zero; guarded by Table.change.
	removedAt time.Time

	waiting atomic.Int32
	signal  sync.Mutex
	// emptied is closed, and replaced, when the last request in flight leaves while somebody waits; guarded by signal.
	emptied chan struct{}
}

func newInstance(id string) *Instance {
	return &Instance{id: id, emptied: make(chan struct{})}
}

// ID names the instance.
func (i *Instance) ID() string { return i.id }

// InFlight is the number of requests that the instance works on now.
func (i *Instance) InFlight() int64 { return i.inFlight.Load() }

func (i *Instance) enter() { i.inFlight.Add(1) }

// leave must follow each enter exactly once, whatever became of the request.
func (i *Instance) leave() {
	if i.inFlight.Add(-1) != 0 || i.waiting.Load() == 0 {
		return
	}
	i.signal.Lock()
	close(i.emptied)
	i.emptied = make(chan struct{})
	i.signal.Unlock()
}

// waitUntilEmpty returns once no request is in flight, or with the number still in flight once the context ends.
//
// A waiter announces itself before it reads the count, and a leaver lowers the count before it looks for waiters, so that
// at least one of the two sees the other and no wake-up is lost. A wake-up proves nothing by itself: the leaver may have
// lowered the count long before it got round to waking anybody. So the count is read again.
func (i *Instance) waitUntilEmpty(ctx context.Context) int64 {
	i.waiting.Add(1)
	defer i.waiting.Add(-1)
	for {
		i.signal.Lock()
		emptied := i.emptied
		i.signal.Unlock()
		if i.inFlight.Load() == 0 {
			return 0
		}
		select {
		case <-emptied:
		case <-ctx.Done():
			return i.inFlight.Load()
		}
	}
}

// Service counts the requests of one service over all of its hosts and instances.
type Service struct {
	// Requests counts every request for a host of the service, answered by an instance or by a page.
	Requests atomic.Uint64
	// ServerErrors counts the answers with a 5xx status, pages included.
	ServerErrors atomic.Uint64
	// InFlight is the number of requests being worked on.
	InFlight atomic.Int64
	// ResponseBytes counts the bytes of response bodies; those of upgraded connections are not seen.
	ResponseBytes atomic.Uint64

	// references is the number of routes of the service; guarded by Table.change.
	references int
	// removedAt is when references fell to zero; guarded by Table.change.
	removedAt time.Time
}
