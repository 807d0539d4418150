# Which recipe stands in for a reference. Sourced by images/provide.
# shellcheck shell=bash

NEWEST_NODE=26
NEWEST_GO=1.26
NEWEST_RUST=1.95

# recipe_of REFERENCE: prints the recipe's words, or the end of the sentence
# "no image registry can be reached, and …" with status 1.
#   debian SUITE | buildpack SUITE | node VERSION VARIANT SUITE | python MINOR VARIANT SUITE
#   php MINOR VARIANT SUITE | composer | ruby MINOR VARIANT SUITE | elixir MINOR VARIANT SUITE
#   golang VERSION SUITE | rust VERSION VARIANT SUITE |
#   java MAJOR KIND SUITE | maven MAJOR SUITE | deno VERSION SUITE | caddy | nginx | busybox | alpine RECIPE…
recipe_of() {
  local reference=$1 name tag
  case $reference in *@*) echo "a digest can only be pulled"; return 1 ;; esac
  name=${reference#docker.io/}; name=${name#index.docker.io/}; name=${name#library/}
  tag=latest
  case $name in *:*) tag=${name##*:}; name=${name%:*} ;; esac
  case $name:$tag in
    alpine:*|*:*alpine*) alpine_recipe "$name" "$tag" ;;
    debian:*) debian_recipe "$tag" ;;
    node:*) node_recipe "$tag" ;;
    python:*) python_recipe "$tag" ;;
    golang:*) golang_recipe "$tag" ;;
    rust:*) rust_recipe "$tag" ;;
    eclipse-temurin:*) java_recipe "$tag" ;;
    maven:*) maven_recipe "$tag" ;;
    denoland/deno:*) deno_recipe "$tag" ;;
    php:*) php_recipe "$tag" ;;
    composer:latest|composer:2|composer:2.*) echo composer ;;
    ruby:*) ruby_recipe "$tag" ;;
    elixir:*) elixir_recipe "$tag" ;;
    caddy:*builder*) echo "caddy's builder image has no stand-in"; return 1 ;;
    caddy:latest|caddy:2|caddy:2.*) echo caddy ;;
    nginx:*perl*|nginx:*otel*) echo "only the plain nginx has a stand-in"; return 1 ;;
    nginx:*) echo nginx ;;
    busybox:*) echo busybox ;;
    *) echo "$name has no stand-in (there are: debian, node, python, golang, rust, eclipse-temurin, maven, denoland/deno, php, composer, ruby, elixir, caddy, nginx, busybox)"; return 1 ;;
  esac
}

# split_suite TAG: sets `rest`, the tag without its Debian release, and `suite`.
split_suite() {
  suite=trixie rest=$1
  case $1 in
    *bookworm*) suite=bookworm; rest=${1/bookworm/} ;;
    *trixie*) rest=${1/trixie/} ;;
    *bullseye*|*buster*|*windows*|*nanoserver*) echo "stand-ins are of Debian trixie and bookworm only"; return 1 ;;
  esac
  rest=${rest//--/-}; rest=${rest#-}; rest=${rest%-}
}
# split_variant: takes `-slim` off `rest` and sets `variant`.
split_variant() {
  variant=full
  case $rest in slim) variant=slim; rest=latest ;; *-slim) variant=slim; rest=${rest%-slim} ;; '') rest=latest ;; esac
}

debian_recipe() {
  case $1 in
    latest|stable|stable-slim|trixie|trixie-slim|13|13-slim|13.*) echo "debian trixie" ;;
    oldstable|oldstable-slim|bookworm|bookworm-slim|12|12-slim|12.*) echo "debian bookworm" ;;
    *) echo "stand-ins are of Debian trixie and bookworm only"; return 1 ;;
  esac
}

node_recipe() {
  local suite rest variant
  split_suite "$1" || return 1
  split_variant
  case $rest in latest|lts|current) rest=$NEWEST_NODE ;; krypton|lts-krypton) rest=24 ;; jod|lts-jod) rest=22 ;; iron|lts-iron) rest=20 ;; esac
  [[ $rest =~ ^[0-9]+(\.[0-9]+){0,2}$ ]] || { echo "node has no stand-in for the tag $1"; return 1; }
  echo "node $rest $variant $suite"
}

# Debian has one Python in each release, so the release follows from the version.
python_recipe() {
  local suite rest variant
  split_suite "$1" || return 1
  split_variant
  case $rest in
    latest|3|3.13|3.13.*) echo "python 3.13 $variant trixie" ;;
    3.11|3.11.*) echo "python 3.11 $variant bookworm" ;;
    *) echo "only Python 3.13 and 3.11 have a stand-in (they are Debian's)"; return 1 ;;
  esac
}

golang_recipe() {
  local suite rest
  split_suite "$1" || return 1
  case $rest in ''|latest|1) rest=$NEWEST_GO ;; esac
  [[ $rest =~ ^1\.[0-9]+(\.[0-9]+)?$ ]] || { echo "golang has no stand-in for the tag $1"; return 1; }
  echo "golang $rest $suite"
}

rust_recipe() {
  local suite rest variant
  split_suite "$1" || return 1
  split_variant
  case $rest in latest|1) rest=$NEWEST_RUST ;; esac
  [[ $rest =~ ^1\.[0-9]+(\.[0-9]+)?$ ]] || { echo "rust has no stand-in for the tag $1"; return 1; }
  echo "rust $rest $variant $suite"
}

# Debian has one or two JDKs in each release, so the release follows from the version.
java_suite() {
  case $1 in
    17) echo bookworm ;; 21|25) echo trixie ;;
    *) echo "only Java 17, 21 and 25 have a stand-in (they are Debian's)"; return 1 ;;
  esac
}
java_recipe() {
  local major=${1%%[-._]*} kind=jdk suite
  case $1 in *-jre|*-jre-*) kind=jre ;; latest) major=21 ;; esac
  suite=$(java_suite "$major") || { echo "$suite"; return 1; }
  echo "java $major $kind $suite"
}
maven_recipe() {
  local major=21 suite
  case $1 in
    *-eclipse-temurin-*) major=${1##*-eclipse-temurin-}; major=${major%%-*} ;;
    latest|3|3.*|eclipse-temurin) ;;
    *) echo "maven has no stand-in for the tag $1"; return 1 ;;
  esac
  case $1 in 4*) echo "only Maven 3 has a stand-in (it is Debian's)"; return 1 ;; esac
  suite=$(java_suite "$major") || { echo "$suite"; return 1; }
  echo "maven $major $suite"
}

deno_recipe() {
  local version=${1#debian-}
  case $version in latest|debian) version=2 ;; esac
  [[ $version =~ ^[0-9]+(\.[0-9]+){0,2}$ ]] || { echo "denoland/deno has no stand-in for the tag $1"; return 1; }
  echo "deno $version trixie"
}

# So it is with PHP, Ruby and Elixir, which are trixie's.
php_recipe() {
  local suite rest variant=cli
  split_suite "$1" || return 1
  case $rest in
    *-apache) variant=apache; rest=${rest%-apache} ;;
    apache) variant=apache; rest=latest ;;
    *-cli) rest=${rest%-cli} ;;
    cli|'') rest=latest ;;
    *fpm*|*zts*) echo "php has stand-ins with Apache and for the command line only"; return 1 ;;
  esac
  case $suite:$rest in
    trixie:latest|trixie:8|trixie:8.4|trixie:8.4.*) echo "php 8.4 $variant trixie" ;;
    *) echo "only PHP 8.4 has a stand-in (it is Debian's)"; return 1 ;;
  esac
}
ruby_recipe() {
  local suite rest variant
  split_suite "$1" || return 1
  split_variant
  case $suite:$rest in
    trixie:latest|trixie:3|trixie:3.3|trixie:3.3.*) echo "ruby 3.3 $variant trixie" ;;
    *) echo "only Ruby 3.3 has a stand-in (it is Debian's)"; return 1 ;;
  esac
}
elixir_recipe() {
  local suite rest variant
  split_suite "$1" || return 1
  rest=${rest/-otp-27/}
  split_variant
  case $suite:$rest in
    trixie:latest|trixie:1|trixie:1.18|trixie:1.18.*) echo "elixir 1.18 $variant trixie" ;;
    *) echo "only Elixir 1.18 on Erlang 27 has a stand-in (it is Debian's)"; return 1 ;;
  esac
}

# Alpine's packages and C library are not Debian's. Under that name a stand-in is
# made only where someone asked for it.
alpine_recipe() {
  local name=$1 tag=$2 inner
  if [ "${CLICK_DEPLOY_ALPINE_STAND_IN:-off}" != on ]; then
    [ "$name" != alpine ] || { name=debian; tag=trixie; }
    echo "stand-ins are Debian, not Alpine: name an image without \"alpine\", such as $name:${tag%%-*}-slim, or set CLICK_DEPLOY_ALPINE_STAND_IN=on to get Debian under this name"
    return 1
  fi
  [ "$name" != alpine ] || { echo "alpine debian trixie"; return; }
  tag=$(printf %s "$tag" | sed -E 's/-?alpine[0-9.]*//; s/-?(slim)$//')
  case $name in node|python) tag=${tag:+$tag-}slim ;; esac
  inner=$(recipe_of "$name:${tag:-latest}") || { echo "$inner"; return 1; }
  echo "alpine $inner"
}
