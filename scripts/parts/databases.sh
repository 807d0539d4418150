# A throw-away PostgreSQL and a throw-away MariaDB for the tests, on ports of 127.0.0.1 that were free. Nothing of
# theirs is kept safe: no fsync. Sourced by scripts/setup and scripts/test.
# shellcheck shell=bash

DATABASES=$HOME_DIR/databases

part_databases() { locked databases start_databases; }

start_databases() {
  # Debian's package makes and starts a cluster of its own, unless it is told not to.
  if [ "$(id -u)" = 0 ] && [ ! -e /etc/postgresql-common/createcluster.conf ] && ! find_postgres >/dev/null; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  find_postgres >/dev/null || need /usr/lib/none=postgresql
  # The server without the service that Debian's `mariadb-server` starts.
  need mariadbd=mariadb-server-core mariadb=mariadb-client-core
  mkdir -p "$DATABASES"
  chmod 711 "$HOME_DIR" "$DATABASES"
  start_postgres
  start_mariadb
}
find_postgres() { find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sort -V | tail -n 1 | grep .; }

# as_database COMMAND…: neither server runs as root; so they run as nobody, who owns their folder.
as_database() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME="$DATABASES" "$@"
  else "$@"; fi
}
own_database() { [ "$(id -u)" != 0 ] || chown -R nobody "$1"; }
# Two checkouts that look at once look at different places.
free_port() {
  local port=$(( 20000 + (BASHPID * 7 + RANDOM) % 12000 ))
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$(( port + 1 )); done
  echo "$port"
}

# The port stays the same over a restart: the tests restart a server of their own, and this one may be killed.
start_postgres() {
  local folder=$DATABASES/postgresql bin port
  ! database_runs postgresql || return 0
  bin=$(dirname "$(find_postgres)")
  rm -rf "$folder"; mkdir -p "$folder"; own_database "$folder"
  port=$(free_port); echo "$port" >"$RUN/postgresql.port"
  (cd "$folder" && as_database "$bin/initdb" -D "$folder/data" -U click-deploy -A trust -E UTF8 --locale=C.UTF-8 -N) >"$LOG/postgresql.log" 2>&1 ||
    { show_end "$LOG/postgresql.log"; die "PostgreSQL's initdb failed"; }
  (cd "$folder" && as_database "$bin/postgres" -D "$folder/data" -p "$port" -k '' -c listen_addresses=127.0.0.1 -c fsync=off \
    -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=300 >>"$LOG/postgresql.log" 2>&1 </dev/null 9>&- &)
  wait_until 30 "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" || { show_end "$LOG/postgresql.log"; die "PostgreSQL does not answer, see $LOG/postgresql.log"; }
  head -n 1 "$folder/data/postmaster.pid" >"$RUN/postgresql.pid"
  "$bin/psql" -q -h 127.0.0.1 -p "$port" -U click-deploy -d postgres -c 'CREATE DATABASE click_deploy'
  say "PostgreSQL $("$bin/postgres" --version | awk '{print $3}') listens on 127.0.0.1:$port"
}

start_mariadb() {
  local folder=$DATABASES/mariadb port socket
  ! database_runs mariadb || return 0
  rm -rf "$folder"; mkdir -p "$folder"; own_database "$folder"
  port=$(free_port); echo "$port" >"$RUN/mariadb.port"
  socket=$folder/mariadb.sock
  [ ${#socket} -le 100 ] || socket=/tmp/click-deploy-$INSTANCE.sock
  (cd "$folder" && as_database mariadb-install-db --no-defaults --datadir="$folder/data" --auth-root-authentication-method=normal --skip-test-db \
    --innodb-flush-method=nosync --innodb-use-native-aio=0) >"$LOG/mariadb.log" 2>&1 || { show_end "$LOG/mariadb.log"; die "mariadb-install-db failed"; }
  (cd "$folder" && as_database mariadbd --no-defaults --datadir="$folder/data" --socket="$socket" --pid-file="$folder/pid" --bind-address=127.0.0.1 \
    --port="$port" --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync --innodb-buffer-pool-size=64M \
    --innodb-log-file-size=16M --innodb-use-native-aio=0 --performance-schema=off --max-connections=300 >>"$LOG/mariadb.log" 2>&1 </dev/null 9>&- &)
  wait_until 60 mariadb --no-defaults --socket="$socket" -u root -e "SELECT 1" || { show_end "$LOG/mariadb.log"; die "MariaDB does not answer, see $LOG/mariadb.log"; }
  cp "$folder/pid" "$RUN/mariadb.pid"
  mariadb --no-defaults --socket="$socket" -u root -e "CREATE DATABASE click_deploy CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
    CREATE USER 'click-deploy'@'%' IDENTIFIED BY 'click-deploy'; GRANT ALL ON *.* TO 'click-deploy'@'%'"
  say "MariaDB $(mariadbd --version | sed 's/.*Ver \([0-9.]*\).*/\1/') listens on 127.0.0.1:$port"
}
database_runs() { pid_of "$1" >/dev/null && (exec 3<>"/dev/tcp/127.0.0.1/$(cat "$RUN/$1.port")") 2>/dev/null; }
postgres_url() { ! database_runs postgresql || echo "postgres://click-deploy@127.0.0.1:$(cat "$RUN/postgresql.port")/click_deploy?sslmode=disable"; }
mariadb_url() { ! database_runs mariadb || echo "mysql://click-deploy:click-deploy@127.0.0.1:$(cat "$RUN/mariadb.port")/click_deploy"; }

stop_databases() {
  local name
  for name in postgresql mariadb; do
    stop_process "$name" 20
    rm -f "$RUN/$name.port"
    rm -rf --one-file-system "${DATABASES:?}/$name"
  done
}
