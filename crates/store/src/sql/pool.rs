//! The connections to each database, and what is set on them.

use std::{path::Path, time::Duration};

use sqlx::{
    Executor as _, MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::patiently;
use crate::Result;

/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Connections that nobody used for this long are closed.
const IDLE: Duration = Duration::from_secs(30);
/// The most connections that read, and the most that write, of one process to a server.
const CONNECTIONS: u32 = 8;

/// A statement ends after 20 s, waiting for a lock after 10 s, and a transaction that its program forgot after a minute:
/// nothing of a sleeping process holds others up for longer. Every statement sees what was committed before it.
const SET_UP_POSTGRES: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET statement_timeout = '20s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'";
const SET_UP_MARIADB: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION \
    sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', max_statement_time = 20, \
    innodb_lock_wait_timeout = 10, idle_transaction_timeout = 60";

/// Connections to one of the databases.
#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MariaDb(MySqlPool),
}

/// A transaction on one of them. Dropping it undoes it.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
    MariaDb(sqlx::Transaction<'static, MySql>),
}

impl Pool {
    /// Begins a transaction that will write. On SQLite it begins immediate: one that reads first and then writes would
    /// be refused as soon as another one wrote in between.
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        Box::pin(async {
            Ok(match self {
                Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
                Self::Postgres(pool) => Transaction::Postgres(patiently(pool.begin()).await?),
                Self::MariaDb(pool) => Transaction::MariaDb(patiently(pool.begin()).await?),
            })
        })
        .await
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
            Self::MariaDb(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<()> {
        Box::pin(async {
            match self {
                Self::Sqlite(transaction) => Ok(transaction.commit().await?),
                Self::Postgres(transaction) => patiently(transaction.commit()).await,
                Self::MariaDb(transaction) => patiently(transaction.commit()).await,
            }
        })
        .await
    }
}

fn sized<D: sqlx::Database>(options: PoolOptions<D>) -> PoolOptions<D> {
    options
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
}

/// Readers and the one writer of a file.
pub(crate) async fn connect_sqlite(file: &Path) -> Result<(Pool, Pool)> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode a power cut can lose the newest commits with NORMAL, never the database's consistency; a
        // killed process loses nothing. A deployment that is lost so is found as an orphan and removed.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(64);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
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
    let pool = || {
        sized(PgPoolOptions::new())
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SET_UP_POSTGRES).await.map(drop) }))
            .connect_with(options.clone())
    };
    Ok((Pool::Postgres(pool().await?), Pool::Postgres(pool().await?)))
}

/// Readers and writers of a MariaDB database.
pub(crate) async fn connect_mariadb(options: &MySqlConnectOptions) -> Result<(Pool, Pool)> {
    let pool = || {
        sized(MySqlPoolOptions::new())
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SET_UP_MARIADB).await.map(drop) }))
            .connect_with(options.clone())
    };
    Ok((Pool::MariaDb(pool().await?), Pool::MariaDb(pool().await?)))
}
