package module

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"click-deploy.org/proxy/pages"
	"click-deploy.org/proxy/route"
)

// Handler answers with a page what the table does not lead anywhere, and counts what it hands to the reverse proxy after it.
// The proxy must take its upstreams from Upstreams.
type Handler struct {
	table *route.Table
}

// CaddyModule tells Caddy about the handler.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.click_deploy", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the table.
func (h *Handler) Provision(ctx caddy.Context) error {
	table, err := configuredTable(ctx)
	h.table = table
	return err
}

// statusClientGone is what Caddy calls the status of a request whose client did not wait.
const statusClientGone = 499

// ServeHTTP handles one request.
func (h *Handler) ServeHTTP(writer http.ResponseWriter, request *http.Request, next caddyhttp.Handler) error {
	probe := request.Header.Get("Click-Deploy-Probe") == "1"
	stripRequestHeaders(request)
	host := route.RequestHost(request.Host)
	entry := h.table.Lookup(host)
	if entry == nil {
		h.table.UnknownHosts.Add(1)
		return pages.UnknownHost(request.Host).Write(writer, request)
	}

	attempt := &attempt{table: h.table, host: host}
	answer := &answerWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: writer}, attempt: attempt, probe: probe}
	service := entry.Service
	service.Requests.Add(1)
	service.InFlight.Add(1)
	finished := false
	// Deferred, since the proxy panics on purpose to break off an answer, and since an application must not be able to
	// leave a count behind in any way.
	defer func() {
		attempt.end(!finished)
		service.InFlight.Add(-1)
		service.ResponseBytes.Add(answer.bytes)
		if answer.status >= http.StatusInternalServerError {
			service.ServerErrors.Add(1)
		}
	}()

	if !entry.HasInstances() {
		finished = true
		return pages.NoInstance(entry.Route).Write(answer, request)
	}
	caddyhttp.SetVar(request.Context(), attemptVariable, attempt)
	err := next.ServeHTTP(answer, request)
	if err == nil || clientIsGone(err) {
		finished = true
		return nil
	}
	// From here on the instance has failed, if one was reached at all; no page can follow an answer that has begun.
	if answer.status != 0 {
		return nil
	}
	// The page must not carry the name of an instance that did not answer.
	attempt.end(true)
	return h.explain(host, entry, err).Write(answer, request)
}

// explain finds the page for a request that the proxy could not deliver.
func (h *Handler) explain(host string, before *route.Entry, err error) pages.Page {
	// The table may have moved on meanwhile, for example because the service was just stopped.
	now := h.table.Lookup(host)
	if now == nil {
		return pages.UnknownHost(host)
	}
	if !now.HasInstances() {
		return pages.NoInstance(now.Route)
	}
	var status caddyhttp.HandlerError
	var refused reverseproxy.DialError
	switch {
	case errors.As(err, &refused):
		return pages.Unreachable(before.Route)
	case errors.As(err, &status) && status.StatusCode == http.StatusGatewayTimeout:
		return pages.TimedOut(before.Route)
	case errors.As(err, &status) && status.StatusCode == http.StatusServiceUnavailable:
		return pages.Unreachable(before.Route)
	default:
		return pages.BrokenOff(before.Route)
	}
}

func clientIsGone(err error) bool {
	var status caddyhttp.HandlerError
	return errors.As(err, &status) && status.StatusCode == statusClientGone
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
