# Background programs and what the machine must have for them. Sourced by scripts/setup.
# shellcheck shell=bash

part_supervisor() { "$ROOT/scripts/supervised" prepare; }

# --- Docker Engine ---------------------------------------------------------------

part_docker() {
  local engine; engine=$(find_engine)
  if [ -n "$engine" ] && [ "$engine" != "$OWN_DOCKER_HOST" ]; then
    need curl=curl
    get_docker_client
    engine_answers "$engine" || die "no engine answers at $engine (DOCKER_HOST)"
    return 0
  fi
  socket_answers "$RUN/docker.sock" && return 0
  locked docker install_and_start_engine
}
install_and_start_engine() {
  local wanted=(dockerd=docker.io iptables=iptables ip=iproute2 curl=curl /etc/ssl/certs/ca-certificates.crt=ca-certificates)
  # With AppArmor in the kernel, an engine without its parser starts no container.
  [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || wanted+=(apparmor_parser=apparmor)
  need "${wanted[@]}"
  get_docker_client
  # The package may have started the machine's own engine: then that is the one.
  if [ ! -e "$HOME_DIR/engine-is-ours" ]; then
    if [ -d /run/systemd/system ] && systemctl is-enabled --quiet docker 2>/dev/null; then
      wait_until 20 socket_answers /var/run/docker.sock && { say "using the machine's Docker Engine"; return 0; }
    fi
    socket_answers /var/run/docker.sock && return 0
    touch "$HOME_DIR/engine-is-ours"
  fi
  save_host_network
  "$ROOT/scripts/supervised" start dockerd
  wait_until 60 socket_answers "$RUN/docker.sock" || { show_end "$LOG/dockerd.log"; die "our Docker Engine does not answer, see $LOG/dockerd.log"; }
  DOCKER_HOST=$OWN_DOCKER_HOST docker version --format '{{.Server.Version}}' | while read -r version; do say "Docker Engine $version runs"; done
}
# An engine can be there without the program that talks to it.
get_docker_client() {
  command -v docker >/dev/null && return 0
  unpack_package docker.io "$CACHE/docker-client"
  [ -x "$CACHE/docker-client/usr/bin/docker" ] || unpack_package docker-cli "$CACHE/docker-client"
  install -m 755 "$CACHE/docker-client/usr/bin/docker" "$BIN/docker"
}

# --- Names under localhost -------------------------------------------------------

# Browsers and curl know that every name under localhost is this machine; other
# programs ask the C library, which learns it from a small module.
part_names() {
  getent hosts probe.localhost >/dev/null && return 0
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || { warn "programs other than browsers and curl do not resolve names under localhost here"; return 0; }
  touch "$HOME_DIR/names-are-ours"
  need "/usr/lib/none=libnss-myhostname"
  getent hosts probe.localhost >/dev/null || warn "names under localhost still do not resolve; browsers and curl know them anyway"
}

# --- Registries --------------------------------------------------------------------

part_registry() {
  need curl=curl docker-registry=docker-registry /usr/bin/htpasswd=apache2-utils
  locked registry write_registry_configuration
  local name port
  for name in registry registry-auth; do
    port=$REGISTRY_PORT; [ "$name" = registry ] || port=$AUTH_REGISTRY_PORT
    registry_answers "$port" && pid_of "$name" >/dev/null && continue
    ! registry_answers "$port" || die "port $port is taken by another program; set CLICK_DEPLOY_REGISTRY_PORT (and CLICK_DEPLOY_AUTH_REGISTRY_PORT)"
    "$ROOT/scripts/supervised" start "$name"
    wait_until 20 registry_answers "$port" || { show_end "$LOG/$name.log"; die "the registry on port $port does not answer, see $LOG/$name.log"; }
  done
}
registry_answers() {
  case $(curl -s -o /dev/null -w '%{http_code}' --max-time 2 "http://127.0.0.1:$1/v2/" || true) in 200|401) ;; *) return 1 ;; esac
}
# The second one wants a password, which is known: it holds test images only.
write_registry_configuration() {
  [ -s "$HOME_DIR/registry.htpasswd" ] || htpasswd -Bbn click-deploy click-deploy-test >"$HOME_DIR/registry.htpasswd"
  registry_configuration "$HOME_DIR/registry" "$REGISTRY" >"$HOME_DIR/registry.yml"
  {
    registry_configuration "$HOME_DIR/registry-auth" "$AUTH_REGISTRY"
    echo "auth: {htpasswd: {realm: click-deploy, path: \"$HOME_DIR/registry.htpasswd\"}}"
  } >"$HOME_DIR/registry-auth.yml"
}
registry_configuration() {
  printf '%s\n' "version: 0.1" "log: {level: warn, accesslog: {disabled: true}}" \
    "storage: {filesystem: {rootdirectory: \"$1\"}, delete: {enabled: true}}" "http: {addr: \"$2\"}"
}

# --- BuildKit ----------------------------------------------------------------------

part_buildkit() {
  require_go
  need runc=runc curl=curl
  locked buildkit compile_buildkit
  write_buildkit_configuration
  buildkit_answers && return 0
  "$ROOT/scripts/supervised" start buildkitd
  wait_until 30 buildkit_answers || { show_end "$LOG/buildkitd.log"; die "buildkitd does not answer, see $LOG/buildkitd.log"; }
  say "buildkitd $BUILDKIT_VERSION runs"
}
buildkit_answers() { [ -S "${BUILDKIT_SOCKET#unix://}" ] && timeout 5 "$BIN/buildctl" --addr "$BUILDKIT_SOCKET" debug workers >/dev/null 2>&1; }
write_buildkit_configuration() {
  cat >"$HOME_DIR/buildkitd.toml" <<END
root = "$HOME_DIR/buildkit"
[grpc]
  address = ["$BUILDKIT_SOCKET"]
[worker.containerd]
  enabled = false
[worker.oci]
  enabled = true
  snapshotter = "overlayfs"
  # Where steps that outlive a killed daemon are found again.
  defaultCgroupParent = "$CGROUP"
  networkMode = "host"
  max-parallelism = $(( $(nproc) * 2 ))
  gc = true
  maxUsedSpace = "20GB"
# Tests never ask the world: what they build on is pushed here first.
[registry."docker.io"]
  mirrors = ["$REGISTRY"]
[registry."$REGISTRY"]
  http = true
[registry."$AUTH_REGISTRY"]
  http = true
END
}

# part_buildkit_images NAME…: push images of the engine's store to the test
# registry, under the name by which buildkitd asks for them.
part_buildkit_images() {
  local name path id
  use_engine
  "$ROOT/images/provide" "$@"
  mkdir -p "$HOME_DIR/pushed"
  for name in "$@"; do
    path=$name; case $name in */*) ;; *) path=library/$name ;; esac
    id=$(docker image inspect --format '{{.Id}}' "$name")
    [ "$(cat "$HOME_DIR/pushed/${path//\//_}" 2>/dev/null)" = "$id" ] && continue
    docker tag "$name" "$REGISTRY/$path"
    docker push --quiet "$REGISTRY/$path" >/dev/null || die "the push of $name to $REGISTRY failed"
    docker rmi "$REGISTRY/$path" >/dev/null
    echo "$id" >"$HOME_DIR/pushed/${path//\//_}"
    say "$name is in the test registry"
  done
}
