# What it takes to reach package registries the way this machine does. Asked from
# the machine's own clients: nothing here names a host. Sourced.
# shellcheck shell=bash

# The mirror that this machine's apt uses for its own release.
apt_mirror() {
  local codename; codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename { print $2; exit }'
}

# The site's own certificate authorities, where Debian keeps them.
site_certificates() {
  local file
  for file in /usr/local/share/ca-certificates/*.crt; do
    [ ! -f "$file" ] || sed -e '$a\' "$file"
  done
}

# Settings for the images that we make, as NAME=value lines. A value with a
# password in it is left out: the environment of an image is no secret.
image_network() {
  local name value bundle=/etc/ssl/certs/ca-certificates.crt
  {
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
      [ -z "${!name:-}" ] || echo "$name=${!name}"
    done
    if [ -n "$(site_certificates)" ]; then
      # The bundle inside the images holds the site's authorities too. Node and
      # Python's clients bring lists of their own, so each must be told.
      for name in SSL_CERT_FILE NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE PIP_CERT CURL_CA_BUNDLE GIT_SSL_CAINFO; do
        echo "$name=$bundle"
      done
    fi
    if value=${npm_config_registry:-$(cd / && npm config get registry 2>/dev/null || true)} && [ -n "$value" ]; then
      echo "npm_config_registry=$value"; echo "YARN_NPM_REGISTRY_SERVER=${value%/}"; echo "COREPACK_NPM_REGISTRY=${value%/}"
    fi
    # corepack checks signatures that a caching proxy may not carry.
    echo "COREPACK_INTEGRITY_KEYS=0"
    if value=${PIP_INDEX_URL:-$(cd / && pip config get global.index-url 2>/dev/null || true)} && [ -n "$value" ]; then
      echo "PIP_INDEX_URL=$value"; echo "UV_DEFAULT_INDEX=$value"
    fi
    for name in GOPROXY GOSUMDB; do
      if value=$(cd / && go env "$name" 2>/dev/null || true) && [ -n "$value" ]; then echo "$name=$value"; fi
    done
  } | grep -v '://[^/]*@' || true
}

# Settings of the caller's shell that our own background programs need too. Kept
# in a file of our folder, for these programs only.
HOST_NETWORK=$HOME_DIR/host-network.env
save_host_network() {
  local name
  ( umask 077
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR GIT_SSL_CAINFO \
      NODE_EXTRA_CA_CERTS CURL_CA_BUNDLE REQUESTS_CA_BUNDLE PIP_CERT PIP_INDEX_URL npm_config_registry GOPROXY GOSUMDB GOFLAGS; do
      [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
    done >"$HOST_NETWORK.part" )
  mv "$HOST_NETWORK.part" "$HOST_NETWORK"
}
load_host_network() {
  # shellcheck source=/dev/null
  [ ! -r "$HOST_NETWORK" ] || . "$HOST_NETWORK"
}
