#!/bin/sh
# Scripts in /docker-entrypoint.d run first; templates are filled from the
# environment, only with variables that are set.
set -e
if [ "${1:-}" = nginx ]; then
  for template in /etc/nginx/templates/*.template; do
    [ -f "$template" ] || continue
    name=$(basename "$template" .template)
    envsubst "$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1} /p' | tr -d '\n')" <"$template" >"/etc/nginx/conf.d/$name"
  done
  for script in /docker-entrypoint.d/*.sh; do
    [ ! -x "$script" ] || "$script"
  done
fi
exec "$@"
