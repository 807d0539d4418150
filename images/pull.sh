# Pulling with a quick verdict: on a closed network a pull would hang for long.
# Sourced by images/provide.
# shellcheck shell=bash

VERDICT_MINUTES=5
VERDICT=$RUN/registry-is-out-of-reach
PULL_LOG=$LOG/pull.$$.log
trap 'rm -f "$PULL_LOG"' EXIT

# pull REFERENCE: 0 pulled, 1 no registry can be reached, 2 the registry refused.
pull() {
  local reference=$1 pid end registry
  registry=$(registry_of "$reference")
  [ "${CLICK_DEPLOY_PULL:-on}" != off ] || return 1
  [ -n "$registry" ] || [ -z "$(find "$VERDICT" -mmin "-$VERDICT_MINUTES" 2>/dev/null)" ] || return 1
  : >"$PULL_LOG"
  docker pull "$reference" >"$PULL_LOG" 2>&1 </dev/null &
  pid=$!
  # A registry that is there names the image within seconds; layers may then
  # take as long as they need.
  end=$(( SECONDS + 5 ))
  while kill -0 "$pid" 2>/dev/null; do
    if grep -q 'Pulling from\|Pulling fs layer' "$PULL_LOG"; then break; fi
    if [ "$SECONDS" -ge "$end" ]; then
      kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true
      [ -n "$registry" ] || : >"$VERDICT"
      return 1
    fi
    sleep 0.05
  done
  wait "$pid" && return 0
  # What the registry itself said; anything else means that it was not reached.
  if grep -qiE 'manifest unknown|not found: manifest|manifest for .* not found|pull access denied|repository does not exist|no matching manifest|unauthorized' "$PULL_LOG"; then return 2; fi
  [ -n "$registry" ] || : >"$VERDICT"
  return 1
}
pull_reason() { tail -1 "$PULL_LOG" | sed 's/^Error response from daemon: //'; }

# The registry that a reference names, nothing for the engine's default one.
registry_of() {
  local first=${1%%/*}
  [ "$first" != "$1" ] || return 0
  case $first in docker.io|index.docker.io) ;; localhost|*.*|*:*) echo "$first" ;; esac
}
