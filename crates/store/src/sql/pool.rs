//! The connections to each database, and what is set on them.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Connection as _, Database, Executor as _, MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool,
    mysql::MySqlConnectOptions,
    pool::PoolOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::door::{Behind, Door, answers, was_lost};
use crate::{Result, location::Place};

/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Connections that nobody used for this long are closed.
const IDLE: Duration = Duration::from_secs(30);
/// A connection that nobody used for less than this is not asked for a sign of life before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// The most connections that read, and the most that write, of one process to a server.
const CONNECTIONS: u32 = 8;

/// A statement ends after 20 s, waiting for a lock after 10 s, and a transaction that its program forgot after 5 s:
/// nothing of a sleeping process holds others up for longer. Every statement sees what was committed before it.
const SET_UP_POSTGRES: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET statement_timeout = '20s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '5s'";
const SET_UP_MARIADB: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION \
    sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', max_statement_time = 20, \
    innodb_lock_wait_timeout = 10, idle_transaction_timeout = 5";

/// Connections to one of the databases.
#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(Behind<PgPool>),
    MariaDb(Behind<MySqlPool>),
}

/// A transaction on one of them. Dropping it undoes it.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(Behind<sqlx::Transaction<'static, Postgres>>),
    MariaDb(Behind<sqlx::Transaction<'static, MySql>>),
}

/// For one connection that reads or writes everything: each statement of a transaction sees the same state, and nothing
/// ends it because whoever reads the answer is slow.
const SET_UP_POSTGRES_ALONE: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
    SET statement_timeout = 0; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = 0";
const SET_UP_MARIADB_ALONE: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET SESSION \
    sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', max_statement_time = 0, \
    innodb_lock_wait_timeout = 10, idle_transaction_timeout = 0";

impl Pool {
    /// Begins a transaction that reads one state, whatever is written meanwhile; on a pool of [`connect_alone`].
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction> {
        const MARIADB: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
        Box::pin(async {
            Ok(match self {
                Self::Sqlite(pool) => Transaction::Sqlite(pool.begin().await?),
                Self::Postgres(pool) => {
                    Transaction::Postgres(pool.begin(pool.inner.begin_with("BEGIN READ ONLY")).await?)
                }
                Self::MariaDb(pool) => Transaction::MariaDb(pool.begin(pool.inner.begin_with(MARIADB)).await?),
            })
        })
        .await
    }

    /// Begins a transaction that will write. On SQLite it begins immediate: one that reads first and then writes would
    /// be refused as soon as another one wrote in between.
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        Box::pin(async {
            match self.begin_once().await {
                // Nothing is begun on a connection that was lost before.
                Err(error) if was_lost(&error) => self.begin_once().await,
                end => end,
            }
        })
        .await
    }

    async fn begin_once(&self) -> Result<Transaction> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin(pool.inner.begin()).await?),
            Self::MariaDb(pool) => Transaction::MariaDb(pool.begin(pool.inner.begin()).await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.inner.close().await,
            Self::MariaDb(pool) => pool.inner.close().await,
        }
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<()> {
        Box::pin(async {
            match self {
                Self::Sqlite(transaction) => Ok(transaction.commit().await?),
                Self::Postgres(Behind { inner, door }) => door.hear(inner.commit()).await,
                Self::MariaDb(Behind { inner, door }) => door.hear(inner.commit()).await,
            }
        })
        .await
    }
}

fn sized<D: Database>(door: &Arc<Door>) -> PoolOptions<D> {
    watched(door).max_connections(CONNECTIONS).idle_timeout(IDLE)
}

/// Connections of which no lost one stays: before it is used, one that was idle for long is asked for a sign of life, and
/// one from before the server was away is not used any more; afterwards each is asked, since whoever used it may have
/// left in the middle. sqlx asks as well, and waits for the answer for ever.
fn watched<D: Database>(door: &Arc<Door>) -> PoolOptions<D> {
    let (before, after) = (Arc::clone(door), Arc::clone(door));
    PoolOptions::new()
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(move |connection, idle| {
            let door = Arc::clone(&before);
            Box::pin(async move {
                if door.doubts(idle.idle_for) {
                    return Ok(false);
                }
                let there = idle.idle_for < FRESH || answers(connection).await;
                if !there {
                    door.close();
                }
                Ok(there)
            })
        })
        .after_release(move |connection, _| {
            let door = Arc::clone(&after);
            Box::pin(async move { Ok(door.is_open() && answers(connection).await) })
        })
}

/// What is set on each connection to a file.
fn file_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode a power cut can lose the newest commits with NORMAL, never the database's consistency; a
        // killed process loses nothing. A deployment that is lost so is found as an orphan and removed.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(64)
}

/// Readers and the one writer of a file.
pub(crate) async fn connect_sqlite(file: &Path) -> Result<(Pool, Pool)> {
    let options = file_options(file);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        // When the disk is full SQLite undoes the transaction by itself, and the connection goes on believing that it is
        // in one: such a connection would refuse every write from then on.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(4)
        .min_connections(1)
        .idle_timeout(IDLE)
        .connect_with(options)
        .await?;
    Ok((Pool::Sqlite(readers), Pool::Sqlite(writer)))
}

/// Readers and writers of a PostgreSQL database. They are apart: whoever writes may read beside it, and would otherwise
/// wait for a connection that other writers hold.
pub(crate) async fn connect_postgres(options: &PgConnectOptions) -> Result<(Pool, Pool)> {
    let door = Door::new();
    let pool = async || -> Result<Pool> {
        let pool = sized::<Postgres>(&door)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SET_UP_POSTGRES).await.map(drop) }))
            .connect_with(options.clone());
        Ok(Pool::Postgres(Behind::new(pool.await?, &door)))
    };
    Ok((pool().await?, pool().await?))
}

/// Readers and writers of a MariaDB database.
pub(crate) async fn connect_mariadb(options: &MySqlConnectOptions) -> Result<(Pool, Pool)> {
    let door = Door::new();
    let pool = async || -> Result<Pool> {
        let pool = sized::<MySql>(&door)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SET_UP_MARIADB).await.map(drop) }))
            .connect_with(options.clone());
        Ok(Pool::MariaDb(Behind::new(pool.await?, &door)))
    };
    Ok((pool().await?, pool().await?))
}

/// One connection for as long as the answer lives: for a whole copy, or for a lock. A file is made if `make` says so.
pub(crate) async fn connect_alone(place: &Place, make: bool) -> Result<Pool> {
    fn alone<D: Database>(options: PoolOptions<D>) -> PoolOptions<D> {
        options.max_connections(1).idle_timeout(None).max_lifetime(None)
    }
    let door = Door::new();
    Ok(match place {
        Place::Sqlite(file) => {
            let options = alone(SqlitePoolOptions::new().acquire_timeout(ACQUIRE));
            Pool::Sqlite(options.connect_with(file_options(file).create_if_missing(make)).await?)
        }
        Place::Postgres(options) => {
            let pool = alone::<Postgres>(watched(&door)).after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SET_UP_POSTGRES_ALONE).await.map(drop) })
            });
            Pool::Postgres(Behind::new(pool.connect_with((**options).clone()).await?, &door))
        }
        Place::MariaDb(options) => {
            let pool = alone::<MySql>(watched(&door)).after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SET_UP_MARIADB_ALONE).await.map(drop) })
            });
            Pool::MariaDb(Behind::new(pool.connect_with((**options).clone()).await?, &door))
        }
    })
}
