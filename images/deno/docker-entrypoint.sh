#!/bin/sh
# A command of Deno's is given to it, anything else is run.
set -e
case "$1" in
  add|bench|bundle|cache|check|compile|coverage|doc|eval|fmt|info|install|lint|outdated|publish|remove|repl|run|serve|task|test|types|uninstall|upgrade|vendor|-*)
    exec deno "$@" ;;
esac
exec "$@"
