//! The state, and how it is written.

use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::{
    Error, Location, Result,
    location::Place,
    migrations,
    seal::Sealer,
    sql::{Pool, Statement, Transaction, Wakes, connect_mariadb, connect_postgres, connect_sqlite, query},
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
/// rarely wait for each other: project, service, deployment, job, organization, the
/// limits of jobs.
pub struct Write {
    pub(crate) transaction: Transaction,
}

/// How long a write that stands in others' way is done again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says when a write is begun again; see [`transaction!`](crate::transaction).
#[derive(Default)]
pub struct Tries {
    first: Option<Instant>,
    number: u32,
}

impl Tries {
    /// Waits a moment and says yes when the write was undone because of another one.
    pub async fn again(&mut self, error: &Error) -> bool {
        if !error.is_conflict() || self.first.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return false;
        }
        // Those that met wait for different times, up to 10 ms, 20 ms, … 320 ms, or they would meet again.
        let mut random = [0; 2];
        let _ = SystemRandom::new().fill(&mut random);
        let share = u64::from(u16::from_le_bytes(random));
        let most_us = 10_000_u64 << self.number.min(5);
        self.number += 1;
        tokio::time::sleep(Duration::from_micros(most_us * share / u64::from(u16::MAX))).await;
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
            // On the heap: what a whole write needs would lie in the future of each of its callers.
            let end: $crate::Result<_> = Box::pin(async {
                let mut $write = $store.write().await?;
                let value = $body;
                $write.commit().await?;
                Ok(value)
            })
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
    /// When it cannot be opened within 10 s, is of a newer version, or holds a restore that did not end.
    pub async fn open(location: &Location, sealer: Sealer) -> Result<Self> {
        Box::pin(migrations::migrate(location, None)).await?;
        let (readers, writers) = match &location.0 {
            Place::Sqlite(file) => Box::pin(connect_sqlite(file)).await?,
            Place::Postgres(options) => Box::pin(connect_postgres(options)).await?,
            Place::MariaDb(options) => Box::pin(connect_mariadb(options)).await?,
        };
        if query(migrations::OLDEST)
            .fetch_one(&readers)
            .await?
            .get::<i64>("oldest")
            == 0
        {
            readers.close().await;
            writers.close().await;
            return Err(Error::Unfinished);
        }
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

    /// Hears what processes of the same database send.
    #[must_use]
    pub fn wakes(&self) -> Wakes {
        match &self.location.0 {
            Place::Sqlite(_) => Wakes::nothing(),
            Place::Postgres(options) => Wakes::postgres((**options).clone()),
            Place::MariaDb(_) => Wakes::mariadb(self.readers.clone()),
        }
    }

    /// Brings the schema to an older or newer migration.
    ///
    /// # Errors
    /// When a migration fails; the ones before it stay.
    pub async fn migrate(&self, target: Option<i64>) -> Result<i64> {
        Box::pin(migrations::migrate(&self.location, target)).await
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
