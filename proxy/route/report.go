package route

import (
	"context"
	"slices"
	"strings"
)

// Snapshot is the whole table as the control plane reads it.
type Snapshot struct {
	Generation uint64           `json:"generation"`
	Routes     map[string]Route `json:"routes"`
}

// Snapshot reads the whole table at one generation.
func (t *Table) Snapshot() Snapshot {
	current := t.current.Load()
	routes := make(map[string]Route, len(current.entries))
	for host, entry := range current.entries {
		routes[host] = entry.Route
	}
	return Snapshot{Generation: current.generation, Routes: routes}
}

// InstanceReport says what one instance does and did.
type InstanceReport struct {
	ID string `json:"id"`
	// InFlight counts the requests being worked on, upgraded connections and streams included.
	InFlight int64 `json:"in_flight"`
	// Requests counts what was sent to the instance, failed attempts included.
	Requests uint64 `json:"requests"`
	// Errors counts connections refused, answers broken off and time-outs; not answers with an error status.
	Errors uint64 `json:"errors"`
	// Removed tells that no route leads to the instance any more.
	Removed bool `json:"removed"`
}

// Instances reports on all instances that are in the table or left it lately, in the order of their ids.
func (t *Table) Instances() []InstanceReport {
	t.change.Lock()
	reports := make([]InstanceReport, 0, len(t.instances))
	for _, instance := range t.instances {
		reports = append(reports, InstanceReport{
			ID: instance.id, InFlight: instance.inFlight.Load(), Requests: instance.requests.Load(),
			Errors: instance.errors.Load(), Removed: instance.removed.Load(),
		})
	}
	t.change.Unlock()
	slices.SortFunc(reports, func(a, b InstanceReport) int { return strings.Compare(a.ID, b.ID) })
	return reports
}

// WaitUntilEmpty returns once the instance has no request in flight, or with the number left once the context ends. An
// instance that nobody knows has none.
func (t *Table) WaitUntilEmpty(ctx context.Context, id string) int64 {
	t.change.Lock()
	instance := t.instances[id]
	t.change.Unlock()
	if instance == nil {
		return 0
	}
	return instance.waitUntilEmpty(ctx)
}

// ServiceReport is what one service did since the proxy started.
type ServiceReport struct {
	Requests      uint64 `json:"requests"`
	ServerErrors  uint64 `json:"server_errors"`
	InFlight      int64  `json:"in_flight"`
	ResponseBytes uint64 `json:"response_bytes"`
}

// Metrics is what the proxy did since it started.
type Metrics struct {
	Generation uint64 `json:"generation"`
	Routes     int    `json:"routes"`
	// UnknownHostRequests counts requests for hosts that are not in the table.
	UnknownHostRequests uint64 `json:"unknown_host_requests"`
	// SnapshotDamagedLines counts the lines of the snapshot that could not be used at start.
	SnapshotDamagedLines int                      `json:"snapshot_damaged_lines"`
	Services             map[string]ServiceReport `json:"services"`
}

// Metrics reads all counters of services.
func (t *Table) Metrics() Metrics {
	current := t.current.Load()
	t.change.Lock()
	defer t.change.Unlock()
	services := make(map[string]ServiceReport, len(t.services))
	for id, service := range t.services {
		services[id] = ServiceReport{
			Requests: service.Requests.Load(), ServerErrors: service.ServerErrors.Load(),
			InFlight: service.InFlight.Load(), ResponseBytes: service.ResponseBytes.Load(),
		}
	}
	return Metrics{
		Generation: current.generation, Routes: len(current.entries), UnknownHostRequests: t.UnknownHosts.Load(),
		SnapshotDamagedLines: t.damage, Services: services,
	}
}
