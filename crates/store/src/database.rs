//! The state, and how it is written.

use std::time::Duration;

use crate::{
    Error, Location, Result,
    location::Place,
    migrations,
    seal::Sealer,
    sql::{Pool, Statement, Transaction, connect_mariadb, connect_postgres, connect_sqlite, query},
};

/// The state. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) readers: Pool,
    writers: Pool,
    location: Location,
    pub(crate) sealer: Sealer,
}

/// A write transaction. Dropping it undoes it.
///
/// SQLite has one writer; on the servers many write at once, each statement sees what others committed before it, and
/// whoever decides by what it read locks the row that it decides about. Locks are taken in this order, so that two writes
/// rarely wait for each other: project, service, deployment, job, organization.
pub struct Write {
    pub(crate) transaction: Transaction,
}

/// How often a write that stood in another one's way is done again.
const TRIES: u32 = 20;

/// Counts how often a write was begun again; see [`transaction!`](crate::transaction).
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// Waits a moment and says yes when the write was undone because of another one.
    pub async fn again(&mut self, error: &Error) -> bool {
        if !error.is_conflict() || self.0 >= TRIES {
            return false;
        }
        self.0 += 1;
        // Two that met do not meet again: the clock's last digits differ.
        let jitter = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() % 20_000;
        tokio::time::sleep(Duration::from_micros(u64::from(self.0 * 5_000 + jitter))).await;
        true
    }
}

/// Does a whole write: begins it, runs the block, commits. When the database undid it because of another write (a
/// deadlock), all of it is done again; so the block reads and writes the database and nothing else that counts. An early
/// `return Ok(…)` in the block ends it without a commit.
#[macro_export]
macro_rules! transaction {
    ($store:expr, |$write:ident| $body:block) => {{
        let mut tries = $crate::Tries::default();
        loop {
            let end: $crate::Result<_> = async {
                let mut $write = $store.write().await?;
                let value = $body;
                $write.commit().await?;
                Ok(value)
            }
            .await;
            match end {
                Err(error) if tries.again(&error).await => {}
                end => break end,
            }
        }
    }};
}

impl Store {
    /// Opens the database and migrates it. A file is made when it is not there; a database on a server has to be.
    ///
    /// # Errors
    /// When it cannot be opened within 10 s, or is of a newer version.
    pub async fn open(location: &Location, sealer: Sealer) -> Result<Self> {
        migrations::migrate(location, None).await?;
        let (readers, writers) = match &location.0 {
            Place::Sqlite(file) => connect_sqlite(file).await?,
            Place::Postgres(options) => connect_postgres(options).await?,
            Place::MariaDb(options) => connect_mariadb(options).await?,
        };
        Ok(Self {
            readers,
            writers,
            location: location.clone(),
            sealer,
        })
    }

    /// Which database it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Brings the schema to an older or newer migration.
    ///
    /// # Errors
    /// When a migration fails; the ones before it stay.
    pub async fn migrate(&self, target: Option<i64>) -> Result<i64> {
        migrations::migrate(&self.location, target).await
    }

    /// Begins a write. Where it can be repeated as a whole, use [`transaction!`](crate::transaction).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write(&self) -> Result<Write> {
        Ok(Write {
            transaction: self.writers.begin().await?,
        })
    }

    /// Does a write of one statement; how many rows it found.
    pub(crate) async fn change(&self, statement: Statement) -> Result<u64> {
        let mut tries = Tries::default();
        loop {
            match statement.clone().execute(&self.writers).await {
                Err(error) if tries.again(&error).await => {}
                end => return end,
            }
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        const PING: &str = "SELECT 1";
        query(PING).fetch_one(&self.readers).await?;
        Ok(())
    }

    /// Ends all connections in order, so that a file's write-ahead log is folded into it.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

impl Write {
    /// Makes it durable.
    ///
    /// # Errors
    /// When the database fails; nothing is written then, unless it fell silent in this very moment.
    pub async fn commit(self) -> Result<()> {
        self.transaction.commit().await
    }

    /// Locks the row that a decision is about until the write ends; false when there is none.
    pub(crate) async fn lock(&mut self, sql: &'static str, key: &str) -> Result<bool> {
        let found = query(sql).bind(key).locking().fetch_optional(&mut self.transaction);
        Ok(found.await?.is_some())
    }
}
