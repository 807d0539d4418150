# What our own engine needs from the machine's network. Sourced by scripts/run.
# shellcheck shell=bash

# prepare_engine_network: forwarding, a packet filter that works, a bridge, a
# range of addresses for project networks, and a name server that containers can
# reach. Sets ENGINE_MTU, ENGINE_POOL and, where needed, ENGINE_DNS.
prepare_engine_network() {
  local range way_out
  [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 1 >/proc/sys/net/ipv4/ip_forward ||
    die "cannot switch net.ipv4.ip_forward on: containers would have no network"
  choose_packet_filter

  # A larger MTU than that of the way out makes downloads in containers hang.
  way_out=$(ip -o route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -1)
  ENGINE_MTU=$(cat "/sys/class/net/${way_out:-lo}/mtu")
  [ "$ENGINE_MTU" -le 1500 ] || ENGINE_MTU=1500

  range=$(address_range)
  ENGINE_POOL=$range.128.0/17
  if ! ip link show "$BRIDGE" >/dev/null 2>&1; then
    ip link add "$BRIDGE" type bridge
  fi
  ip addr replace "$range.0.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" mtu "$ENGINE_MTU" up
  choose_name_server "$range.0.1"
}

# The first private range that touches no route of this machine; remembered, so
# that networks that exist keep their addresses.
address_range() {
  local file=$HOME_DIR/address-range second
  if [ ! -s "$file" ]; then
    for second in $(seq 201 254); do
      ip -4 route show table all | grep -q "10\.$second\." && continue
      # A route for all of 10.0.0.0/8 leaves no better choice: ours is narrower.
      echo "10.$second" >"$file"; break
    done
  fi
  cat "$file"
}

# Debian's iptables speaks nftables; a kernel without that still may have the
# older tables. dockerd finds the one that works first on its path.
choose_packet_filter() {
  iptables -t nat -S >/dev/null 2>&1 && return 0
  iptables-legacy -t nat -S >/dev/null 2>&1 || die "iptables does not work on this kernel: $(iptables -t nat -S 2>&1 | tail -1)"
  mkdir -p "$HOME_DIR/legacy-iptables"
  ln -sf "$(command -v iptables-legacy)" "$HOME_DIR/legacy-iptables/iptables"
  ln -sf "$(command -v ip6tables-legacy)" "$HOME_DIR/legacy-iptables/ip6tables"
  export PATH=$HOME_DIR/legacy-iptables:$PATH
}

# Where the machine asks a name server on loopback, a container cannot. The
# engine then falls back on public ones, which a closed network does not reach:
# so a forwarder of ours answers on the bridge. systemd-resolved keeps the real
# list in a file that the engine reads by itself.
choose_name_server() {
  ENGINE_DNS=''
  local servers
  servers=$(awk '$1 == "nameserver" { print $2 }' /etc/resolv.conf 2>/dev/null)
  [ -n "$servers" ] || return 0
  printf '%s\n' "$servers" | grep -qvE '^(127\.|::1$)' && return 0
  if [ "$servers" = 127.0.0.53 ] && [ -s /run/systemd/resolve/resolv.conf ]; then return 0; fi
  setsid "$ROOT/scripts/run" dns "$1" "$(printf '%s\n' "$servers" | grep '^127\.' | head -1)" >>"$LOG/dns.log" 2>&1 </dev/null &
  ENGINE_DNS=$1
}
