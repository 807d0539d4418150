package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"click-deploy.org/proxy/route"
)

// Limits on the bodies that the admin endpoint reads, and on how long it lets a caller wait.
const (
	maximumTableBody = 64 << 20
	maximumRouteBody = 1 << 20
	defaultWait      = 30 * time.Second
	maximumWait      = 10 * time.Minute
)

// Admin is the control plane's way to the table, on Caddy's admin endpoint and under its protection.
type Admin struct{}

// CaddyModule tells Caddy about the endpoint.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.click_deploy", New: func() caddy.Module { return new(Admin) }}
}

// Routes names the one path below which everything is.
func (Admin) Routes() []caddy.AdminRoute {
	mux := http.NewServeMux()
	for path, methods := range endpoints {
		mux.Handle(path, methods)
	}
	handler := caddy.AdminHandlerFunc(func(writer http.ResponseWriter, request *http.Request) error {
		mux.ServeHTTP(writer, request)
		return nil
	})
	return []caddy.AdminRoute{{Pattern: "/click-deploy/", Handler: handler}}
}

// operation answers one kind of request with a value that becomes JSON, or with an error that becomes a problem.
type operation func(table *route.Table, writer http.ResponseWriter, request *http.Request) (any, error)

// methods are the operations of one path.
type methods map[string]operation

var endpoints = map[string]methods{
	"/click-deploy/":                       {},
	"/click-deploy/table":                  {http.MethodGet: getTable, http.MethodPut: putTable},
	"/click-deploy/routes/{host}":          {http.MethodGet: getRoute, http.MethodPut: putRoute, http.MethodDelete: deleteRoute},
	"/click-deploy/instances":              {http.MethodGet: listInstances},
	"/click-deploy/instances/{id}/drained": {http.MethodGet: awaitDrained},
	"/click-deploy/metrics":                {http.MethodGet: getMetrics},
}

// ServeHTTP finds the operation, carries it out and writes what came of it.
func (m methods) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	value, err := m.carryOut(writer, request)
	if err != nil {
		_ = asProblem(err).write(writer)
		return
	}
	writer.Header().Set("Content-Type", "application/json")
	writer.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(writer).Encode(value)
}

func (m methods) carryOut(writer http.ResponseWriter, request *http.Request) (any, error) {
	if len(m) == 0 {
		return nil, newProblem(http.StatusNotFound, "unknown-endpoint", "there is no such endpoint")
	}
	operation := m[request.Method]
	if operation == nil {
		for method := range m {
			writer.Header().Add("Allow", method)
		}
		return nil, newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "the endpoint does not know this method")
	}
	table, err := activeTable()
	if err != nil {
		return nil, err
	}
	return operation(table, writer, request)
}

func getTable(table *route.Table, _ http.ResponseWriter, _ *http.Request) (any, error) {
	return table.Snapshot(), nil
}

// tableChange answers a change of the whole table.
type tableChange struct {
	Generation       uint64   `json:"generation"`
	RemovedInstances []string `json:"removed_instances"`
}

// routeChange answers a change of one route.
type routeChange struct {
	Generation       uint64       `json:"generation"`
	Replaced         *route.Route `json:"replaced"`
	RemovedInstances []string     `json:"removed_instances"`
}

func putTable(table *route.Table, writer http.ResponseWriter, request *http.Request) (any, error) {
	var body struct {
		Routes *map[string]route.Route `json:"routes"`
	}
	if err := readBody(writer, request, maximumTableBody, &body); err != nil {
		return nil, err
	}
	// An empty body would otherwise take every service off the air.
	if body.Routes == nil {
		return nil, newProblem(http.StatusBadRequest, "bad-body", "the body has no routes; an empty table is {\"routes\": {}}")
	}
	expected, err := expectedGeneration(request)
	if err != nil {
		return nil, err
	}
	change, err := table.Replace(*body.Routes, expected)
	return tableChange{Generation: change.Generation, RemovedInstances: change.Removed}, err
}

func getRoute(table *route.Table, _ http.ResponseWriter, request *http.Request) (any, error) {
	host, err := route.ParseHost(request.PathValue("host"))
	if err != nil {
		return nil, &route.InvalidError{Host: request.PathValue("host"), Cause: err}
	}
	entry := table.Lookup(host)
	if entry == nil {
		return nil, newProblem(http.StatusNotFound, "unknown-host", "the host is not in the table")
	}
	return entry.Route, nil
}

func putRoute(table *route.Table, writer http.ResponseWriter, request *http.Request) (any, error) {
	var body route.Route
	if err := readBody(writer, request, maximumRouteBody, &body); err != nil {
		return nil, err
	}
	expected, err := expectedGeneration(request)
	if err != nil {
		return nil, err
	}
	change, err := table.Put(request.PathValue("host"), body, expected)
	return routeChange{Generation: change.Generation, Replaced: change.Replaced, RemovedInstances: change.Removed}, err
}

func deleteRoute(table *route.Table, _ http.ResponseWriter, request *http.Request) (any, error) {
	expected, err := expectedGeneration(request)
	if err != nil {
		return nil, err
	}
	change, err := table.Delete(request.PathValue("host"), expected)
	return routeChange{Generation: change.Generation, Replaced: change.Replaced, RemovedInstances: change.Removed}, err
}

func listInstances(table *route.Table, _ http.ResponseWriter, _ *http.Request) (any, error) {
	return table.Instances(), nil
}

// drained answers how far an instance is from having nothing in flight.
type drained struct {
	InFlight int64 `json:"in_flight"`
	WaitedMS int64 `json:"waited_ms"`
}

func awaitDrained(table *route.Table, writer http.ResponseWriter, request *http.Request) (any, error) {
	wait := defaultWait
	if text := request.URL.Query().Get("timeout_ms"); text != "" {
		milliseconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || milliseconds < 0 || milliseconds > maximumWait.Milliseconds() {
			return nil, newProblem(http.StatusBadRequest, "bad-parameter", fmt.Sprintf("timeout_ms is a number from 0 to %d", maximumWait.Milliseconds()))
		}
		wait = time.Duration(milliseconds) * time.Millisecond
	}
	// Caddy gives a request to its admin endpoint ten seconds to be read, and Go takes a deadline that passes later on for
	// a client that went away. The request is read by now.
	_ = http.NewResponseController(writer).SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(request.Context(), wait)
	defer cancel()
	start := time.Now()
	left := table.WaitUntilEmpty(ctx, request.PathValue("id"))
	return drained{InFlight: left, WaitedMS: time.Since(start).Milliseconds()}, nil
}

func getMetrics(table *route.Table, _ http.ResponseWriter, _ *http.Request) (any, error) {
	return table.Metrics(), nil
}

// readBody reads exactly one JSON value of the given kind and refuses everything else.
func readBody(writer http.ResponseWriter, request *http.Request, limit int64, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(writer, request.Body, limit))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the body is empty")
		}
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body has something after its JSON value")
	}
	return nil
}

// expectedGeneration reads what generation the caller has seen; nil if it did not say.
func expectedGeneration(request *http.Request) (*uint64, error) {
	text := request.URL.Query().Get("expected_generation")
	if text == "" {
		return nil, nil
	}
	generation, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "bad-parameter", "expected_generation is a number")
	}
	return &generation, nil
}

var _ caddy.AdminRouter = Admin{}
