// Package route holds the table that says which host leads to which instances. It knows nothing of Caddy.
//
// Readers never lock: they load one pointer to an immutable view. Those who change the table take turns, write what they
// change to the snapshot first, and then swap the pointer.
package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrStale means that the table has moved on since the caller looked at it.
var ErrStale = errors.New("the table has another generation than expected")

// InvalidError is what the caller can mend: the message says which rule was broken.
type InvalidError struct {
	Host  string
	Cause error
}

func (e *InvalidError) Error() string { return fmt.Sprintf("the route of host %q is refused", e.Host) }
func (e *InvalidError) Unwrap() error { return e.Cause }

// PersistError means that the change could not be written to the snapshot and was therefore not made.
type PersistError struct{ Cause error }

func (e *PersistError) Error() string { return "the snapshot could not be written" }
func (e *PersistError) Unwrap() error { return e.Cause }

// Endpoint is a place to which requests of an entry go.
type Endpoint struct {
	Instance   *Instance
	Address    string
	Deployment string
}

// Entry is a route in force. Except for its counters it never changes.
type Entry struct {
	Route     Route
	Service   *Service
	endpoints []Endpoint
	// line is the entry's record as it stands in the snapshot.
	line []byte
	// turn makes equally busy endpoints take turns.
	turn atomic.Uint32
}

// HasInstances tells whether requests can be sent on.
func (e *Entry) HasInstances() bool { return len(e.endpoints) > 0 }

// view is the table at one generation; nothing in it changes.
type view struct {
	generation uint64
	entries    map[string]*Entry
}

// Table is the process-wide route table.
type Table struct {
	current atomic.Pointer[view]
	// UnknownHosts counts requests for hosts that are not in the table.
	UnknownHosts atomic.Uint64

	// change is held by whoever changes the table. Readers of routes never take it.
	change    sync.Mutex
	instances map[string]*Instance
	services  map[string]*Service
	journal   *journal
	logger    *zap.Logger
	damage    int
	forgotAt  time.Time
}

// Lookup finds the entry of a host, which must be in the form that RequestHost makes; nil if there is none.
func (t *Table) Lookup(host string) *Entry { return t.current.Load().entries[host] }

// Acquire counts a request into one instance of the host, the least busy that was not tried yet, and says where it is.
// The caller must Release exactly once. Without an instance left the endpoint is nil.
//
// Invariant: after a change has been answered, no request reaches an instance that the change removed, except those that
// its count in flight shows. The request is counted first and the table read again afterwards; a change swaps the table
// first and reads the count afterwards. Whichever comes second sees the other.
func (t *Table) Acquire(host string, tried []*Instance) *Endpoint {
	for {
		entry := t.current.Load().entries[host]
		if entry == nil {
			return nil
		}
		endpoint := entry.choose(tried)
		if endpoint == nil {
			return nil
		}
		endpoint.Instance.enter()
		if t.current.Load().entries[host] == entry {
			endpoint.Instance.requests.Add(1)
			return endpoint
		}
		endpoint.Instance.leave()
	}
}

// Release ends what Acquire began.
func (t *Table) Release(endpoint *Endpoint, failed bool) {
	if failed {
		endpoint.Instance.errors.Add(1)
	}
	endpoint.Instance.leave()
}

// choose picks the endpoint with the fewest requests in flight; equals take turns.
func (e *Entry) choose(tried []*Instance) *Endpoint {
	count := len(e.endpoints)
	if count == 0 {
		return nil
	}
	start := 0
	if count > 1 {
		start = int(e.turn.Add(1) % uint32(count))
	}
	var best *Endpoint
	var fewest int64
	for offset := range count {
		endpoint := &e.endpoints[(start+offset)%count]
		if len(tried) > 0 && slices.Contains(tried, endpoint.Instance) {
			continue
		}
		if busy := endpoint.Instance.InFlight(); best == nil || busy < fewest {
			best, fewest = endpoint, busy
		}
	}
	return best
}

// Change is what became of a change.
type Change struct {
	Generation uint64
	// Replaced is the route that the host had before, if any; only for changes of one host.
	Replaced *Route
	// Removed are the instances that no route leads to any more and that the change took away, in order.
	Removed []string
}

// Put sets the route of one host. A nil expected generation stands for any.
func (t *Table) Put(host string, route Route, expected *uint64) (Change, error) {
	host, err := ParseHost(host)
	if err == nil {
		err = route.check()
	}
	if err != nil {
		return Change{}, &InvalidError{Host: host, Cause: err}
	}
	return t.changeOne(host, &route, expected)
}

// Delete removes the route of one host. That there is none is success.
func (t *Table) Delete(host string, expected *uint64) (Change, error) {
	host, err := ParseHost(host)
	if err != nil {
		return Change{}, &InvalidError{Host: host, Cause: err}
	}
	return t.changeOne(host, nil, expected)
}

func (t *Table) changeOne(host string, route *Route, expected *uint64) (Change, error) {
	t.change.Lock()
	defer t.change.Unlock()
	before := t.current.Load()
	if expected != nil && *expected != before.generation {
		return Change{}, ErrStale
	}
	old := before.entries[host]
	outcome := Change{Generation: before.generation, Removed: []string{}}
	if old != nil {
		outcome.Replaced = &old.Route
	}
	if (old == nil && route == nil) || (old != nil && route != nil && old.Route.Equal(route)) {
		return outcome, nil
	}
	if route != nil && old == nil && len(before.entries) >= maximumRoutes {
		return Change{}, &InvalidError{Host: host, Cause: fmt.Errorf("the table has at most %d routes", maximumRoutes)}
	}

	after := &view{generation: before.generation + 1, entries: maps.Clone(before.entries)}
	line := encodeRecord(after.generation, host, route)
	var removed, added []*Entry
	if old != nil {
		removed = append(removed, old)
	}
	if route == nil {
		delete(after.entries, host)
	} else {
		after.entries[host] = &Entry{Route: *route, line: line}
		added = append(added, after.entries[host])
	}
	if err := t.persist(after, line); err != nil {
		return Change{}, &PersistError{Cause: err}
	}
	outcome.Generation = after.generation
	outcome.Removed = t.install(after, removed, added)
	return outcome, nil
}

// Replace sets the whole table at once. Routes that stay the same keep their place, and nothing is written if all do.
func (t *Table) Replace(routes map[string]Route, expected *uint64) (Change, error) {
	if len(routes) > maximumRoutes {
		return Change{}, &InvalidError{Cause: fmt.Errorf("the table has at most %d routes, not %d", maximumRoutes, len(routes))}
	}
	wanted := make(map[string]*Route, len(routes))
	for text, route := range routes {
		host, err := ParseHost(text)
		if err == nil {
			err = route.check()
		}
		if err == nil && wanted[host] != nil {
			err = errors.New("a host has one route, and this one has two")
		}
		if err != nil {
			return Change{}, &InvalidError{Host: text, Cause: err}
		}
		wanted[host] = &route
	}

	t.change.Lock()
	defer t.change.Unlock()
	before := t.current.Load()
	if expected != nil && *expected != before.generation {
		return Change{}, ErrStale
	}
	after := &view{generation: before.generation + 1, entries: make(map[string]*Entry, len(wanted))}
	var removed, added []*Entry
	for host, route := range wanted {
		old := before.entries[host]
		if old != nil && old.Route.Equal(route) {
			after.entries[host] = old
			continue
		}
		after.entries[host] = &Entry{Route: *route, line: encodeRecord(after.generation, host, route)}
		added = append(added, after.entries[host])
		if old != nil {
			removed = append(removed, old)
		}
	}
	for host, old := range before.entries {
		if wanted[host] == nil {
			removed = append(removed, old)
		}
	}
	if len(added) == 0 && len(removed) == 0 {
		return Change{Generation: before.generation, Removed: []string{}}, nil
	}
	if err := t.journal.rewrite(after); err != nil {
		return Change{}, &PersistError{Cause: err}
	}
	return Change{Generation: after.generation, Removed: t.install(after, removed, added)}, nil
}

// persist appends the record of a change, or writes the whole table anew when too much of the journal is history.
func (t *Table) persist(after *view, line []byte) error {
	if t.journal.wantsRewrite(len(after.entries)) {
		return t.journal.rewrite(after)
	}
	return t.journal.append(line)
}

// install puts a view in force and brings the references in line. It answers which instances are gone.
func (t *Table) install(after *view, removed, added []*Entry) []string {
	now := time.Now()
	for _, entry := range added {
		t.bind(entry)
	}
	// An instance is marked removed only after the swap: until then requests may rightly go there.
	t.current.Store(after)
	gone := []string{}
	for _, entry := range removed {
		for _, endpoint := range entry.endpoints {
			instance := endpoint.Instance
			if instance.references--; instance.references == 0 {
				instance.removedAt = now
				instance.removed.Store(true)
				gone = append(gone, instance.id)
			}
		}
		if entry.Service.references--; entry.Service.references == 0 {
			entry.Service.removedAt = now
		}
	}
	t.forget(now)
	slices.Sort(gone)
	return gone
}

// bind connects a new entry with the counters of its instances and its service, making those that are not there.
func (t *Table) bind(entry *Entry) {
	entry.endpoints = make([]Endpoint, len(entry.Route.Instances))
	for index, replica := range entry.Route.Instances {
		instance := t.instances[replica.ID]
		if instance == nil {
			instance = newInstance(replica.ID)
			t.instances[replica.ID] = instance
		}
		instance.references++
		instance.removed.Store(false)
		entry.endpoints[index] = Endpoint{Instance: instance, Address: replica.Address, Deployment: entry.Route.Deployment}
	}
	service := t.services[entry.Route.Service]
	if service == nil {
		service = &Service{}
		t.services[entry.Route.Service] = service
	}
	service.references++
	entry.Service = service
}

// keepRemoved is how long the counts of what was removed stay visible.
const keepRemoved = 5 * time.Minute

// forget drops the counts of what was removed a while ago and has nothing in flight. It looks at most once a minute, so
// that a change does not cost more the more instances there are.
func (t *Table) forget(now time.Time) {
	if now.Sub(t.forgotAt) < time.Minute {
		return
	}
	t.forgotAt = now
	for id, instance := range t.instances {
		if instance.references == 0 && now.Sub(instance.removedAt) > keepRemoved && instance.InFlight() == 0 {
			delete(t.instances, id)
		}
	}
	for id, service := range t.services {
		if service.references == 0 && now.Sub(service.removedAt) > keepRemoved && service.InFlight.Load() == 0 {
			delete(t.services, id)
		}
	}
}
