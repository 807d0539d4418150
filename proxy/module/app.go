// Package module connects the route table with Caddy: an app that owns the table, a handler, an upstream source, an admin
// endpoint and the permission for certificates on demand. It decides nothing; it does what the table says.
package module

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"click-deploy.org/proxy/route"
)

// appName is the name of our app in Caddy's configuration.
const appName = "click_deploy"

func init() {
	caddy.RegisterModule(App{})
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(Upstreams{})
	caddy.RegisterModule(Admin{})
	caddy.RegisterModule(Permission{})
}

// tables keeps each table alive across configuration reloads, under the path of its snapshot.
var tables = caddy.NewUsagePool()

// App owns the route table.
type App struct {
	// Snapshot is the path of the file that carries the table over a restart. Placeholders are replaced.
	Snapshot string `json:"snapshot"`

	path  string
	table *route.Table
}

// CaddyModule tells Caddy about the app.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision opens the table, or takes the one that the previous configuration uses.
func (a *App) Provision(ctx caddy.Context) error {
	path, err := caddy.NewReplacer().ReplaceOrErr(a.Snapshot, true, true)
	if err != nil || path == "" {
		return fmt.Errorf("the path of the snapshot is not set: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("the path of the snapshot is not usable: %w", err)
	}
	logger := ctx.Logger()
	pooled, _, err := tables.LoadOrNew(path, func() (caddy.Destructor, error) {
		table, err := route.Open(path, logger)
		if err != nil {
			return nil, err
		}
		return pooledTable{table}, nil
	})
	if err != nil {
		return err
	}
	a.path, a.table = path, pooled.(pooledTable).Table
	return nil
}

// Cleanup gives the table back; the last to do so closes it.
func (a *App) Cleanup() error {
	if a.table == nil {
		return nil
	}
	_, err := tables.Delete(a.path)
	return err
}

// Start has nothing to do: the table works from the moment that it is open.
func (*App) Start() error { return nil }

// Stop has nothing to do: Cleanup gives the table back when its last user is gone.
func (*App) Stop() error { return nil }

// pooledTable makes a table a citizen of Caddy's pool.
type pooledTable struct{ *route.Table }

// Destruct closes the table.
func (p pooledTable) Destruct() error { return p.Close() }

// configuredTable finds the table for a module that is being provisioned.
func configuredTable(ctx caddy.Context) (*route.Table, error) {
	app, err := ctx.App(appName)
	if err != nil {
		return nil, err
	}
	return app.(*App).table, nil
}

// errNotConfigured means that this Caddy runs without a route table, for example as a plain web server.
var errNotConfigured = errors.New("this proxy has no route table")

// activeTable finds the table of the configuration in force.
func activeTable() (*route.Table, error) {
	app, err := caddy.ActiveContext().AppIfConfigured(appName)
	if err != nil {
		return nil, errNotConfigured
	}
	return app.(*App).table, nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
