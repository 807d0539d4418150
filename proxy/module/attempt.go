package module

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"click-deploy.org/proxy/route"
)

// attemptVariable is where a request carries its attempt, from our handler to our upstream source.
const attemptVariable = "click_deploy.attempt"

// attempt is the way of one request through the instances of its host. It holds at most one instance at a time.
type attempt struct {
	table   *route.Table
	host    string
	current *route.Endpoint
	tried   []*route.Instance
}

// next gives up the instance that could not be reached, if any, and takes another.
func (a *attempt) next() *route.Endpoint {
	if a.current != nil {
		a.tried = append(a.tried, a.current.Instance)
		a.end(true)
	}
	a.current = a.table.Acquire(a.host, a.tried)
	return a.current
}

// end gives the instance back. It may be called again and then does nothing.
func (a *attempt) end(failed bool) {
	if a.current != nil {
		held := a.current
		a.current = nil
		a.table.Release(held, failed)
	}
}

// Upstreams tells the reverse proxy where to send a request that our handler has taken in: to one instance, which counts as
// busy from then on. When the proxy asks again, the first instance did not accept the connection, and it gets another one.
type Upstreams struct{}

// CaddyModule tells Caddy about the upstream source.
func (Upstreams) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.click_deploy", New: func() caddy.Module { return new(Upstreams) }}
}

// GetUpstreams names one instance, or none when all were tried. It never fails: the proxy would then fall back to upstreams of its own.
func (Upstreams) GetUpstreams(request *http.Request) ([]*reverseproxy.Upstream, error) {
	attempt, ok := caddyhttp.GetVar(request.Context(), attemptVariable).(*attempt)
	if !ok {
		return nil, nil
	}
	endpoint := attempt.next()
	if endpoint == nil {
		return nil, nil
	}
	return []*reverseproxy.Upstream{{Dial: endpoint.Address}}, nil
}

var _ reverseproxy.UpstreamSource = Upstreams{}
