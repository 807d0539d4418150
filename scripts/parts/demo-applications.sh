# The two applications of the demo. Sourced by scripts/demo.
# shellcheck shell=bash

# For a shell of the user's: where the API is, its token, and the program.
write_environment() {
  ( umask 077
    printf 'export %s=%q\n' CLICK_DEPLOY_URL "http://127.0.0.1:$API_PORT" CLICK_DEPLOY_TOKEN "$(cat "$HOME_DIR/demo.token")" >"$HOME_DIR/demo.env.part"
    # shellcheck disable=SC2016  # expanded by the shell that reads it
    printf 'case ":$PATH:" in *:%s:*) ;; *) export PATH=%q:$PATH ;; esac\n' "$BIN" "$BIN" >>"$HOME_DIR/demo.env.part" )
  mv "$HOME_DIR/demo.env.part" "$HOME_DIR/demo.env"
}

# repository NAME: a bare Git repository with the files of samples/NAME on its
# branch main; a new commit only if they changed. Prints its folder.
repository() {
  local name=$1 folder=$HOME_DIR/demo/git/$1.git tree parent commit
  mkdir -p "${folder%/*}"
  [ -e "$folder/HEAD" ] && git -C "$folder" rev-parse --git-dir >/dev/null 2>&1 ||
    { rm -rf "$folder"; git init --quiet --bare --initial-branch=main "$folder"; }
  # An index of its own: an interrupted run leaves no lock that matters.
  rm -f "$folder/demo.index" "$folder/demo.index.lock"
  GIT_INDEX_FILE=$folder/demo.index git --git-dir="$folder" --work-tree="$ROOT/samples/$name" add --all
  tree=$(GIT_INDEX_FILE=$folder/demo.index git --git-dir="$folder" write-tree)
  parent=$(git --git-dir="$folder" rev-parse --quiet --verify refs/heads/main || true)
  if [ -z "$parent" ] || [ "$(git --git-dir="$folder" rev-parse "$parent^{tree}")" != "$tree" ]; then
    commit=$(GIT_AUTHOR_NAME='Click-to-Deploy demo' GIT_AUTHOR_EMAIL=demo@localhost GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' \
      GIT_COMMITTER_NAME='Click-to-Deploy demo' GIT_COMMITTER_EMAIL=demo@localhost GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' \
      git --git-dir="$folder" commit-tree "$tree" ${parent:+-p "$parent"} -m "The $name sample")
    git --git-dir="$folder" update-ref refs/heads/main "$commit"
  fi
  echo "$folder"
}
commit_of() { git --git-dir="$HOME_DIR/demo/git/$1.git" rev-parse refs/heads/main; }

url_of() { sed -n 1p "$HOME_DIR/demo/$1.url" 2>/dev/null || true; }
page_shows() { curl -fsS --max-time 5 "$1" 2>/dev/null | grep -qF "$2"; }

# deploy NAME TEXT: have the application live with its newest commit, and see
# that its page holds the text.
deploy() {
  local name=$1 text=$2 folder commit url
  folder=$(repository "$name")
  commit=$(commit_of "$name")
  url=$(url_of "$name")
  if [ "$(sed -n 2p "$HOME_DIR/demo/$name.url" 2>/dev/null || true)" = "$commit $PROXY_PORT" ] && [ -n "$url" ] && wait_until 5 page_shows "$url" "$text"; then
    say "$name is live already: $url"
    return 0
  fi
  say "deploying $name from $folder"
  ( . "$HOME_DIR/demo.env"
    click-deploy up --project demo --service "$name" --git "file://$folder" --branch main --json ) >"$LOG/demo-$name.log" 2> >(sed -u "s/^/    /" >&2) ||
    { show_end "$LOG/demo-$name.log" 15; die "$name was not deployed"; }
  url=$(tail -1 "$LOG/demo-$name.log" | sed -n 's/.*"url" *: *"\([^"]*\)".*/\1/p')
  [ -n "$url" ] || { show_end "$LOG/demo-$name.log"; die "the deployment of $name told no address"; }
  wait_until 15 page_shows "$url" "$text" || { curl -si --max-time 5 "$url" | head -20 >&2; die "$url does not show the page of $name"; }
  printf '%s\n' "$url" "$commit $PROXY_PORT" >"$HOME_DIR/demo/$name.url"
  say "$name is live: $url"
}
