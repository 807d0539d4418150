# A throw-away PostgreSQL and a throw-away MariaDB for the tests, on ports of 127.0.0.1 that were free. Nothing of
# theirs is safe from the machine: no fsync. What was committed outlives the server's end. Sourced by scripts/setup, scripts/run and scripts/test.
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
  start_database postgresql PostgreSQL
  start_database mariadb MariaDB
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

# become_database COMMAND…: takes this process's place, as whoever may run a server.
become_database() {
  if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME="$DATABASES" "$@"
  else exec "$@"; fi
}
database_folder() {             # database_folder NAME: a folder and a port of its own, made when they are not there
  local folder=$DATABASES/$1
  mkdir -p "$folder"; own_database "$folder"
  chmod 711 "$HOME_DIR" "$DATABASES"
  [ -s "$RUN/$1.port" ] || free_port >"$RUN/$1.port"
}

make_postgresql() {
  local folder=$DATABASES/postgresql bin
  bin=$(dirname "$(find_postgres)")
  database_folder postgresql
  [ ! -s "$folder/data/PG_VERSION" ] || return 0
  (cd "$folder" && as_database "$bin/initdb" -D "$folder/data" -U click-deploy -A trust -E UTF8 --locale=C.UTF-8 -N) >"$LOG/postgresql.log" 2>&1 ||
    { show_end "$LOG/postgresql.log"; die "PostgreSQL's initdb failed"; }
}
become_postgresql() {
  local folder=$DATABASES/postgresql bin
  bin=$(dirname "$(find_postgres)")
  cd "$folder"
  become_database "$bin/postgres" -D "$folder/data" -p "$(cat "$RUN/postgresql.port")" -k '' -c listen_addresses=127.0.0.1 -c fsync=off \
    -c full_page_writes=off -c shared_buffers=64MB -c max_connections=300
}
postgresql_answers() { "$(dirname "$(find_postgres)")/pg_isready" -q -h 127.0.0.1 -p "$(cat "$RUN/postgresql.port")"; }
prepare_postgresql() {
  "$(dirname "$(find_postgres)")/psql" -q -h 127.0.0.1 -p "$(cat "$RUN/postgresql.port")" -U click-deploy -d postgres -c 'CREATE DATABASE click_deploy'
}

mariadb_socket() {
  local socket=$DATABASES/mariadb/mariadb.sock
  [ ${#socket} -le 100 ] || socket=/tmp/click-deploy-$INSTANCE.sock
  echo "$socket"
}
make_mariadb() {
  local folder=$DATABASES/mariadb
  database_folder mariadb
  [ ! -d "$folder/data/mysql" ] || return 0
  (cd "$folder" && as_database mariadb-install-db --no-defaults --datadir="$folder/data" --auth-root-authentication-method=normal --skip-test-db \
    --innodb-flush-method=nosync --innodb-use-native-aio=0) >"$LOG/mariadb.log" 2>&1 || { show_end "$LOG/mariadb.log"; die "mariadb-install-db failed"; }
}
become_mariadb() {
  local folder=$DATABASES/mariadb
  cd "$folder"
  become_database mariadbd --no-defaults --datadir="$folder/data" --socket="$(mariadb_socket)" --pid-file="$folder/pid" --bind-address=127.0.0.1 \
    --port="$(cat "$RUN/mariadb.port")" --skip-name-resolve --innodb-flush-log-at-trx-commit=2 --innodb-flush-method=nosync --innodb-buffer-pool-size=64M \
    --innodb-log-file-size=16M --innodb-use-native-aio=0 --performance-schema=off --max-connections=300
}
mariadb_answers() { mariadb --no-defaults --socket="$(mariadb_socket)" -u root -e "SELECT 1"; }
prepare_mariadb() {
  mariadb --no-defaults --socket="$(mariadb_socket)" -u root -e "CREATE DATABASE click_deploy CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
    CREATE USER 'click-deploy'@'%' IDENTIFIED BY 'click-deploy'; GRANT ALL ON *.* TO 'click-deploy'@'%'"
}

# start_database NAME WORDS: a fresh one in the background. The port stays the same until it is stopped.
start_database() {
  local name=$1
  ! database_runs "$name" || return 0
  stop_process "$name" 20
  rm -rf --one-file-system "${DATABASES:?}/$name"
  rm -f "$RUN/$name.port"
  "make_$name"
  "$ROOT/scripts/run" "$name" >>"$LOG/$name.log" 2>&1 </dev/null 9>&- &
  wait_until 60 "${name}_answers" || { show_end "$LOG/$name.log"; die "$2 does not answer, see $LOG/$name.log"; }
  "prepare_$name"
  say "$2 listens on 127.0.0.1:$(cat "$RUN/$name.port")"
}
database_runs() { pid_of "$1" >/dev/null && (exec 3<>"/dev/tcp/127.0.0.1/$(cat "$RUN/$1.port")") 2>/dev/null; }
postgres_address() { echo "postgres://click-deploy@127.0.0.1:$(cat "$RUN/postgresql.port")/click_deploy?sslmode=disable"; }
mariadb_address() { echo "mysql://click-deploy:click-deploy@127.0.0.1:$(cat "$RUN/mariadb.port")/click_deploy"; }
postgres_url() { ! database_runs postgresql || postgres_address; }
mariadb_url() { ! database_runs mariadb || mariadb_address; }

stop_databases() {
  local name pid
  # Asked by SIGTERM, PostgreSQL waits for its clients.
  ! pid=$(pid_of postgresql) || kill -INT "$pid" 2>/dev/null || true
  for name in postgresql mariadb; do
    stop_process "$name" 20
    rm -f "$RUN/$name.port"
    rm -rf --one-file-system "${DATABASES:?}/$name"
  done
}
