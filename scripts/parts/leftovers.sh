# Finds what programs of ours left on the machine after they were killed.
# shellcheck shell=bash

# Steps of a killed buildkitd run on without it; they sit in a cgroup with our
# name, under either version of cgroups.
end_build_steps() {
  local file pid
  for file in /proc/[0-9]*/cgroup; do
    grep -qs "/${CGROUP}[/-]" "$file" || continue
    pid=${file#/proc/}; kill -9 "${pid%/cgroup}" 2>/dev/null || true
  done
}

# end_contained_processes [FOLDER]: processes whose root file system lies in our
# folder: containers and build steps of an engine that did not end them itself.
end_contained_processes() {
  local file pid folder
  folder=$(printf '%s/' "${1:-$HOME_DIR}" | sed 's/[][\.*^$+?(){}|]/\\&/g')
  { grep -lsE "^[0-9]+ [0-9]+ [0-9:]+ / / .*=$folder" /proc/[0-9]*/mountinfo || true; } | while read -r file; do
    pid=${file#/proc/}; kill -9 "${pid%/mountinfo}" 2>/dev/null || true
  done
}

# What a killed dockerd leaves running ends with it here, as the engine itself
# would have it, but at once. Its own way takes half a minute.
end_engine_remains() {
  local pid
  pid=$(cat "$RUN/docker/containerd/containerd.pid" 2>/dev/null) || return 0
  end_contained_processes "$HOME_DIR/docker"
  if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$RUN/docker/"; then kill -9 "$pid" 2>/dev/null || true; fi
  rm -f "$RUN/docker/containerd/containerd.pid" "$RUN/docker/containerd"/*.sock*
}

# Mounts in our folder would make rm cross into them.
unmount_all() {
  awk -v home="$HOME_DIR/" -v run="$RUN/" 'index($2, home) == 1 || index($2, run) == 1 { print $2 }' /proc/mounts |
    sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
}

# our_containers ENGINE [running]: the containers of the demo's installation. What
# identifies it is in its database; without one there are none.
our_containers() {
  local value all=--all
  [ "${2:-}" != running ] || all=
  installation_names | while read -r value; do
    # shellcheck disable=SC2086  # an option or nothing
    DOCKER_HOST=$1 docker ps $all --quiet --filter "label=click-deploy.org/installation=$value" 2>/dev/null || true
  done
}
our_networks() {
  local value
  installation_names | while read -r value; do
    DOCKER_HOST=$1 docker network ls --quiet --filter "label=click-deploy.org/installation=$value" 2>/dev/null || true
  done
}
our_images() {
  local value
  installation_names | while read -r value; do
    DOCKER_HOST=$1 docker image ls --quiet --filter "label=click-deploy.org/installation=$value" 2>/dev/null || true
  done
}
installation_names() {
  [ -s "$HOME_DIR/data/click-deploy.db" ] || return 0
  /usr/bin/python3 - "$HOME_DIR/data/click-deploy.db" <<'PYTHON' || true
import re, sqlite3, sys
for (value,) in sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute("SELECT value FROM installation"):
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9-]{1,63}", value):
        print(value)
PYTHON
}
