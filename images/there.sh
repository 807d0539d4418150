# Is an image in the engine's store? Sourced, also before scripts/lib.sh.
# shellcheck shell=bash

there() {
  # A reference with anything unusual in it goes to the docker program, as an argument.
  if [[ ${DOCKER_HOST:-} == unix://* && $1 =~ ^[A-Za-z0-9._/:@-]+$ ]]; then
    [ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "${DOCKER_HOST#unix://}" "http://engine/images/$1/json")" = 200 ]
  else
    docker image inspect -- "$1" >/dev/null 2>&1
  fi
}
