//! The connections: many readers, one writer.

use std::{path::Path, time::Duration};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Result, migrations, seal::Sealer};

/// The state. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) readers: SqlitePool,
    writer: SqlitePool,
    pub(crate) sealer: Sealer,
}

/// A write transaction. It begins immediate: a transaction that reads first and then writes would be refused by SQLite
/// as soon as another one wrote in between. Dropping it undoes it.
pub struct Write {
    pub(crate) transaction: Transaction<'static, Sqlite>,
}

impl Store {
    /// Opens the database file, makes it when it is not there, and migrates it.
    ///
    /// # Errors
    /// When the file cannot be opened, or is of a newer version.
    pub async fn open(file: &Path, sealer: Sealer) -> Result<Self> {
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
        let mut connection = writer.acquire().await?;
        migrations::migrate(&mut connection, None).await?;
        drop(connection);
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .min_connections(1)
            .idle_timeout(Duration::from_secs(30))
            .connect_with(options)
            .await?;
        Ok(Self {
            readers,
            writer,
            sealer,
        })
    }

    /// Brings the schema to an older or newer migration.
    ///
    /// # Errors
    /// When a migration fails; the ones before it stay.
    pub async fn migrate(&self, target: Option<i64>) -> Result<i64> {
        let mut connection = self.writer.acquire().await?;
        migrations::migrate(&mut connection, target).await
    }

    /// Begins a write.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write(&self) -> Result<Write> {
        Ok(Write {
            transaction: self.writer.begin_with("BEGIN IMMEDIATE").await?,
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        const PING: &str = "SELECT 1";
        sqlx::query(PING).execute(&self.readers).await?;
        Ok(())
    }

    /// Ends all connections in order, so that the write-ahead log is folded into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Write {
    /// Makes it durable.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit(self) -> Result<()> {
        Ok(self.transaction.commit().await?)
    }
}
