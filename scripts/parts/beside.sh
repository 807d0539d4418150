# Long parts beside the one in front. Sourced.
# shellcheck shell=bash

declare -A beside_pids=()

# beside NAME FUNCTION…: run it in the background; its lines carry its name.
beside() {
  local name=$1; shift
  ( "$@" 2>&1 | sed -u "s/^/$name: /" ) &
  beside_pids[$name]=$!
}
# finish_beside: wait for all; the first that failed ends the script.
finish_beside() {
  local name failed=''
  for name in "${!beside_pids[@]}"; do
    wait "${beside_pids[$name]}" || failed="$failed $name"
    unset "beside_pids[$name]"
  done
  [ -z "$failed" ] || die "this part failed:$failed (its lines are above, its logs in $LOG)"
}

# An interrupted script takes its background parts with it. Background programs
# that are meant to stay are children of the supervisor, not of ours.
descendants() {
  local child
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do descendants "$child"; echo "$child"; done
}
end_beside() {
  local name pid
  for name in "${!beside_pids[@]}"; do
    for pid in $(descendants "${beside_pids[$name]}") "${beside_pids[$name]}"; do kill "$pid" 2>/dev/null || true; done
  done
}
trap end_beside EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A line now and then instead of one for each crate, at once (awk would wait for more to read).
fewer_lines() {
  local line count=0
  while IFS= read -r line; do
    case $line in
      '   Compiling '*|'    Checking '*)
        count=$(( count + 1 ))
        [ $(( count % 40 )) -ne 0 ] || say "compiling: $count crates so far" ;;
      ' Downloading '*|'  Downloaded '*|'    Updating '*|'     Locking '*|'      Adding '*|'    Blocking '*|'  Executable '*) ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}

# build_executable: cargo's own progress on a terminal, a line now and then elsewhere.
build_executable() {
  local target=${CARGO_TARGET_DIR:-$ROOT/target}
  if [ -t 2 ]; then
    ( cd "$ROOT" && cargo build --workspace --bin click-deploy ) || return 1
  else
    ( cd "$ROOT" && cargo build --workspace --bin click-deploy 2>&1 ) | fewer_lines || return 1
  fi
  cmp -s "$target/debug/click-deploy" "$BIN/click-deploy" && return 0
  cp "$target/debug/click-deploy" "$BIN/click-deploy.part" &&
    mv -f "$BIN/click-deploy.part" "$BIN/click-deploy"
}
