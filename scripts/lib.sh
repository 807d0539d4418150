# Shared by everything in scripts/ and by images/provide: where things live, how
# a line of progress looks, how a package gets onto the machine, and which
# engine is ours. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HOME_DIR=${CLICK_DEPLOY_HOME:-$ROOT/.click-deploy}
case $HOME_DIR in /*) ;; *) HOME_DIR=$PWD/$HOME_DIR ;; esac
export CLICK_DEPLOY_HOME=$HOME_DIR

# Names on the machine (bridge, cgroup, socket folder) must differ between two
# checkouts, so they end in a digest of the folder.
INSTANCE=$(printf %s "$HOME_DIR" | sha256sum | cut -c1-8)
BRIDGE=cd-$INSTANCE

BIN=$HOME_DIR/bin
CACHE=$HOME_DIR/cache
LOG=$HOME_DIR/log
# The kernel takes 107 characters for a socket's path, and the engine's longest
# socket adds some 40 to this folder.
RUN=$HOME_DIR/run
[ ${#RUN} -le 60 ] || RUN=/run/click-deploy-$INSTANCE

API_PORT=${CLICK_DEPLOY_API_PORT:-7400}
PROXY_PORT=${CLICK_DEPLOY_PROXY_PORT:-7480}
PROXY_ADMIN_PORT=${CLICK_DEPLOY_PROXY_ADMIN_PORT:-7481}
REGISTRY_PORT=${CLICK_DEPLOY_REGISTRY_PORT:-5500}
AUTH_REGISTRY_PORT=${CLICK_DEPLOY_AUTH_REGISTRY_PORT:-$(( REGISTRY_PORT + 1 ))}
REGISTRY=127.0.0.1:$REGISTRY_PORT
AUTH_REGISTRY=127.0.0.1:$AUTH_REGISTRY_PORT

OWN_DOCKER_HOST=unix://$RUN/docker.sock
BUILDKIT_SOCKET=unix://$RUN/buildkitd.sock
CGROUP=click-deploy-$INSTANCE

export PATH=$BIN:$PATH:/usr/local/sbin:/usr/sbin:/sbin
mkdir -p "$BIN" "$CACHE/apt/partial" "$LOG" "$RUN"

# --- Words ---------------------------------------------------------------------

export CLICK_DEPLOY_BEGAN=${CLICK_DEPLOY_BEGAN:-$(date +%s)}
say()  { printf '[%4d s] %s\n' $(( $(date +%s) - CLICK_DEPLOY_BEGAN )) "$*"; }
warn() { printf '[%4d s] warning: %s\n' $(( $(date +%s) - CLICK_DEPLOY_BEGAN )) "$*" >&2; }
die()  { printf 'error: %s\n' "$*" >&2; exit 1; }

# show_end FILE LINES: the last words of a log, indented, after a failure.
show_end() { tail -n "${2:-8}" "$1" 2>/dev/null | sed 's/^/    /' >&2 || true; }

# A line that fails says where: nothing ends in silence.
set -E
trap 'printf "error: %s, line %s: this failed: %s\n" "${BASH_SOURCE[0]#"$ROOT/"}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# wait_until SECONDS COMMAND…: poll until the command succeeds.
wait_until() {
  local end=$(( $(date +%s) + $1 )); shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# locked NAME COMMAND…: one at a time among all programs of this checkout. The
# lock ends with its holder, so an interrupted run leaves none behind.
locked() {
  local name=$1; shift
  ( flock 9; "$@" 9>&- ) 9>"$RUN/$name.lock"
}

# --- Processes -----------------------------------------------------------------

# A pid file can outlive its process and the number be given to a stranger, so
# a pid counts as ours only while its command line still names our folder.
pid_of() {
  local pid; pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] || return 1
  { tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -e "$HOME_DIR" -e "$RUN/"; } 2>/dev/null && echo "$pid"
}
gone() { ! pid_of "$1" >/dev/null; }

# stop_process NAME [SECONDS]: ask, wait, insist.
stop_process() {
  local pid; pid=$(pid_of "$1") || { rm -f "$RUN/$1.pid"; return 0; }
  kill "$pid" 2>/dev/null || true
  wait_until "${2:-30}" gone "$1" || kill -9 "$pid" 2>/dev/null || true
  rm -f "$RUN/$1.pid"
}

# --- Packages ------------------------------------------------------------------

# need COMMAND=PACKAGE…: install the Debian packages whose command (or absolute
# path) is missing, all in one go. Package files stay in our own folder: a later
# run finds them, and an apt that empties the shared one cannot pull them away.
need() {
  local pair missing=()
  for pair in "$@"; do
    case ${pair%%=*} in
      /*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
      *) command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "this machine has no apt-get; install these yourself: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "not root; install these yourself: ${missing[*]}"
  say "installing ${missing[*]}"
  locked apt install_packages "${missing[@]}" || { show_end "$LOG/apt.log" 6; die "apt-get install ${missing[*]}"; }
}
APT=(-qq -o "Dir::Cache::archives=$CACHE/apt" -o DPkg::Lock::Timeout=600 -o APT::Sandbox::User=root)
install_packages() {
  local package fresh=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed' || fresh+=("$package")
  done
  apt-get "${APT[@]}" --print-uris install "$@" >/dev/null 2>&1 || update_packages
  apt_install "$@" || { update_packages; apt_install "$@"; } || return 1
  printf '%s\n' ${fresh[@]+"${fresh[@]}"} >>"$HOME_DIR/installed-packages"
}
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get "${APT[@]}" -o APT::Keep-Downloaded-Packages=true -o DPkg::Options::=--force-unsafe-io \
    install -y --no-install-recommends "$@" >>"$LOG/apt.log" 2>&1
}
# The lists have a lock of their own, for which apt does not wait.
update_packages() {
  local end=$(( $(date +%s) + 300 ))
  until apt-get "${APT[@]}" update >"$LOG/apt-update.log" 2>&1; do
    cat "$LOG/apt-update.log" >>"$LOG/apt.log"
    grep -qi 'could not get lock\|unable to lock' "$LOG/apt-update.log" || return 1
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 1
  done
}
# unpack_package PACKAGE FOLDER: a Debian package's files without installing it,
# so that no service of it is started.
unpack_package() {
  local file
  locked apt download_package "$1" || { show_end "$LOG/apt.log" 6; die "apt-get download $1"; }
  file=$(find "$CACHE/apt" -maxdepth 1 -name "$1_*.deb" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2-)
  mkdir -p "$2"
  dpkg-deb -x "$file" "$2"
}
download_package() {
  cd "$CACHE/apt"
  apt-get "${APT[@]}" download "$1" >>"$LOG/apt.log" 2>&1 && return 0
  update_packages && apt-get "${APT[@]}" download "$1" >>"$LOG/apt.log" 2>&1
}

# --- The engine ----------------------------------------------------------------

engine_answers() { DOCKER_HOST=$1 timeout 5 docker version >/dev/null 2>&1; }
socket_answers() { [ -S "$1" ] && curl -fsS --max-time 3 --unix-socket "$1" http://engine/_ping >/dev/null 2>&1; }

# Which engine: the caller's DOCKER_HOST, else our own if it was set up, else the
# machine's. Prints its address; nothing if there is none yet.
find_engine() {
  if [ -n "${DOCKER_HOST:-}" ]; then echo "$DOCKER_HOST"
  elif [ -e "$HOME_DIR/engine-is-ours" ]; then echo "$OWN_DOCKER_HOST"
  elif socket_answers /var/run/docker.sock; then echo unix:///var/run/docker.sock
  fi
}
use_engine() {
  DOCKER_HOST=$(find_engine)
  [ -n "$DOCKER_HOST" ] || die "no Docker engine; run scripts/setup docker"
  export DOCKER_HOST
}
# The engine that the demo was started with; this shell may not name it any more.
demo_engine() {
  # shellcheck source=/dev/null
  ( [ ! -r "$HOME_DIR/demo.settings" ] || . "$HOME_DIR/demo.settings"; find_engine )
}
