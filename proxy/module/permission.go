package module

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"click-deploy.org/proxy/route"
)

// Permission allows certificates on demand for the hosts of the table and for no others, so that nobody makes us order
// certificates for strangers' names.
type Permission struct {
	table *route.Table
}

// CaddyModule tells Caddy about the permission.
func (Permission) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tls.permission.click_deploy", New: func() caddy.Module { return new(Permission) }}
}

// Provision finds the table.
func (p *Permission) Provision(ctx caddy.Context) error {
	table, err := configuredTable(ctx)
	p.table = table
	return err
}

// CertificateAllowed says no unless the name is in the table.
func (p *Permission) CertificateAllowed(_ context.Context, name string) error {
	if p.table.Lookup(route.RequestHost(name)) == nil {
		return fmt.Errorf("%w: the host is not in the route table", caddytls.ErrPermissionDenied)
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*Permission)(nil)
	_ caddytls.OnDemandPermission = (*Permission)(nil)
)
