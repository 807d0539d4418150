// Command proxy is Caddy with its standard modules and the route table of Click-to-Deploy.
package main

import (
	// Time zones, for images that bring none.
	_ "time/tzdata"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "click-deploy.org/proxy/module"
)

func main() { caddycmd.Main() }
