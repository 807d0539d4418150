# Programs that are compiled or fetched into our own folder. Sourced by scripts/setup.
# shellcheck shell=bash

BUILDKIT_VERSION=0.32.2
GO_AT_LEAST=1.26
RUST_AT_LEAST=1.90

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

require_go() {
  local found
  command -v go >/dev/null || die "Go is missing. Install Go $GO_AT_LEAST or newer into /usr/local/go and put its bin folder on PATH; Debian's golang (1.19) is too old"
  found=$(cd / && go env GOVERSION); found=${found#go}
  at_least "$GO_AT_LEAST" "$found" || [ "$(cd / && go env GOTOOLCHAIN)" != local ] ||
    die "Go $found is too old: $GO_AT_LEAST or newer is needed"
}
require_rust() {
  local found
  command -v cargo >/dev/null || die "Rust is missing. Install rustc and cargo $RUST_AT_LEAST or newer with rustup and put ~/.cargo/bin on PATH; Debian's rustc is too old"
  command -v cc >/dev/null || need cc=gcc /usr/include/stdio.h=libc6-dev
  found=$(cd "$ROOT" && rustc --version | cut -d' ' -f2)
  at_least "$RUST_AT_LEAST" "$found" || die "Rust $found is too old: $RUST_AT_LEAST or newer is needed"
}

# compile NAME STAMP COMMAND…: run the command unless the stamp says that this
# very source was compiled before.
compile() {
  local name=$1 stamp=$2 began; shift 2
  [ -x "$BIN/$name" ] && [ "$(cat "$BIN/.$name.stamp" 2>/dev/null)" = "$stamp" ] && return 0
  began=$(date +%s)
  say "compiling $name"
  "$@" >"$LOG/compile-$name.log" 2>&1 || { show_end "$LOG/compile-$name.log" 15; die "$name did not compile, see $LOG/compile-$name.log"; }
  echo "$stamp" >"$BIN/.$name.stamp"
  say "$name is compiled after $(( $(date +%s) - began )) s"
}

# --- Caddy ---------------------------------------------------------------------

part_caddy() { require_go; locked caddy compile_caddy; }
compile_caddy() {
  local stamp
  stamp=$(cd "$ROOT/proxy" && { go env GOVERSION; find . -type f ! -name '*_test.go' ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum; } | sha256sum | cut -c1-64)
  compile caddy "$stamp" build_caddy
}
build_caddy() {
  # A running Caddy keeps the file that it was started from.
  cd "$ROOT/proxy" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$BIN/caddy.part" . &&
    mv -f "$BIN/caddy.part" "$BIN/caddy"
}

# --- BuildKit ------------------------------------------------------------------

compile_buildkit() { compile buildkitd "$BUILDKIT_VERSION $(cd / && go env GOVERSION)" build_buildkit; }
# BuildKit's go.mod has an exclude directive, so `go install …@version` refuses
# it. A module that only requires it builds the same two programs.
build_buildkit() {
  local folder=$CACHE/buildkit-source
  mkdir -p "$folder" && cd "$folder" || return 1
  export CGO_ENABLED=0 GOFLAGS=-mod=mod
  [ -e go.mod ] || go mod init click-deploy.local/tools || return 1
  go get "github.com/moby/buildkit@v$BUILDKIT_VERSION" || return 1
  nice go build -trimpath -ldflags "-s -w -X github.com/moby/buildkit/version.Version=v$BUILDKIT_VERSION" -o "$folder/out/" \
    github.com/moby/buildkit/cmd/buildctl github.com/moby/buildkit/cmd/buildkitd || return 1
  mv -f "$folder/out/buildctl" "$folder/out/buildkitd" "$BIN/"
}

# --- Python for tests ------------------------------------------------------------

# The versions are pinned: a test runner that changes overnight is no witness.
PYTHON_PACKAGES='pytest==8.4.2 pytest-timeout==2.4.0 httpx==0.28.1 websockets==15.0.1 psycopg[binary]==3.2.13 pymysql==1.1.2'
part_python() { locked python make_python_environment; }
make_python_environment() {
  local folder=$HOME_DIR/venv
  [ "$(cat "$folder/.packages" 2>/dev/null)" = "$PYTHON_PACKAGES" ] && [ -x "$folder/bin/pytest" ] && return 0
  need /usr/bin/python3=python3
  /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || need "/usr/lib/python3/none=python3-venv"
  say "making the Python environment of the tests"
  rm -rf "$folder"
  /usr/bin/python3 -m venv "$folder" >"$LOG/python.log" 2>&1 || { show_end "$LOG/python.log"; die "the Python environment cannot be made"; }
  # shellcheck disable=SC2086  # a list of packages is words
  "$folder/bin/pip" install --quiet --disable-pip-version-check $PYTHON_PACKAGES >>"$LOG/python.log" 2>&1 ||
    { show_end "$LOG/python.log"; die "the test runner cannot be installed"; }
  echo "$PYTHON_PACKAGES" >"$folder/.packages"
}
