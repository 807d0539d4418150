# The environment of the demo's two programs. Sourced by scripts/run.
# shellcheck shell=bash

# What `make demo` was told last (ports, engine): a program that is started again
# by another shell gets the same.
# shellcheck source=/dev/null
[ ! -r "$HOME_DIR/demo.settings" ] || . "$HOME_DIR/demo.settings"

export CLICK_DEPLOY_DATA_DIR=$HOME_DIR/data
export CLICK_DEPLOY_LISTEN=127.0.0.1:$API_PORT
export DATABASE_URL=sqlite://$HOME_DIR/data/click-deploy.db
ENCRYPTION_KEY=$(cat "$HOME_DIR/demo.key")
export ENCRYPTION_KEY
export BASE_DOMAIN=localhost PUBLIC_SCHEME=http PUBLIC_PORT=$PROXY_PORT
export PROXY_ADMIN_URL=http://127.0.0.1:$PROXY_ADMIN_PORT PROXY_URL=http://127.0.0.1:$PROXY_PORT
export BASE_IMAGE_PROGRAM=$ROOT/images/provide
export CLICK_DEPLOY_TOKEN_FILE=$HOME_DIR/demo.token
export GIT_ALLOW_FILE_URLS=true

export CLICK_DEPLOY_PROXY_LISTEN=127.0.0.1:$PROXY_PORT
export CLICK_DEPLOY_PROXY_ADMIN=127.0.0.1:$PROXY_ADMIN_PORT
export CLICK_DEPLOY_PROXY_SNAPSHOT=$HOME_DIR/caddy/routes.json
export XDG_DATA_HOME=$HOME_DIR/caddy/data XDG_CONFIG_HOME=$HOME_DIR/caddy/config
mkdir -p "$HOME_DIR/caddy" "$CLICK_DEPLOY_DATA_DIR"
chmod 700 "$CLICK_DEPLOY_DATA_DIR"
