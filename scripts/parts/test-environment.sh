# What tests and benchmarks are told about their counterparts. Sourced.
# shellcheck shell=bash

# What contract and end-to-end tests build on; others are made when asked for.
PUSHED_IMAGES='debian:trixie-slim node:24-slim python:3.13-slim busybox caddy:2'
TEST_IMAGES="${PUSHED_IMAGES% *} golang:1.26"

in_root() { ( cd "$ROOT" && "$@" ); }
in_proxy() { ( cd "$ROOT/proxy" && "$@" ); }

# cargo_quietly ARGUMENT…: a long compilation, with a line now and then.
cargo_quietly() { ( cd "$ROOT" && cargo "$@" 2>&1 ) | fewer_lines; }

# A counterpart that could not be set up is absent for the tests, which then say
# "skipped" with its name, or fail where it is required.
finish_beside_softly() {
  local name status=0
  for name in "${!beside_pids[@]}"; do
    wait "${beside_pids[$name]}" || { warn "this part failed: $name (its lines are above, its logs in $LOG)"; status=1; }
    unset "beside_pids[$name]"
  done
  return "$status"
}

scripts_setup_images() {
  # shellcheck disable=SC2086  # a list of names is words
  "$ROOT/scripts/setup" images caddy:2 && "$ROOT/scripts/setup" buildkit-images $PUSHED_IMAGES
}

export_test_environment() {
  local engine; engine=$(find_engine)
  if [ -n "$engine" ] && engine_answers "$engine"; then export CLICK_DEPLOY_TEST_DOCKER_HOST=$engine DOCKER_HOST=$engine; fi
  if timeout 5 "$BIN/buildctl" --addr "$BUILDKIT_SOCKET" debug workers >/dev/null 2>&1; then export CLICK_DEPLOY_TEST_BUILDKIT_HOST=$BUILDKIT_SOCKET; fi
  if curl -fsS --max-time 2 -o /dev/null "http://$REGISTRY/v2/" 2>/dev/null; then
    export CLICK_DEPLOY_TEST_REGISTRY=$REGISTRY
    export CLICK_DEPLOY_TEST_AUTH_REGISTRY=$AUTH_REGISTRY CLICK_DEPLOY_TEST_AUTH_REGISTRY_USERNAME=click-deploy CLICK_DEPLOY_TEST_AUTH_REGISTRY_PASSWORD=click-deploy-test
  fi
  local address
  address=$(postgres_url); [ -z "$address" ] || export CLICK_DEPLOY_TEST_POSTGRES_URL=$address
  address=$(mariadb_url); [ -z "$address" ] || export CLICK_DEPLOY_TEST_MARIADB_URL=$address
  [ ! -x "$BIN/caddy" ] || export CLICK_DEPLOY_TEST_CADDY=$BIN/caddy
  [ ! -x "$BIN/click-deploy" ] || export CLICK_DEPLOY_TEST_BIN=$BIN/click-deploy
  export CLICK_DEPLOY_TEST_BASE_IMAGE_PROGRAM=$ROOT/images/provide
  # In CI an absent counterpart is a failure, not a skipped test.
  [ "${CI:-}" != true ] || export CLICK_DEPLOY_REQUIRE=docker,buildkit,registry,caddy,postgresql,mariadb
}
test_environment_words() { env | sed -n 's/^\(CLICK_DEPLOY_TEST_[A-Z_]*\|CLICK_DEPLOY_REQUIRE\)=.*/ \1/p' | sort | tr -d '\n'; }
