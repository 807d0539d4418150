//! Who works on a database of a server: any number of platforms, or one restore, and never both. A file of ours needs
//! nothing here: the lock of the data directory is before it.
//!
//! The locks are the server's, of one connection, and end with it however the process ends. PostgreSQL has shared ones.
//! MariaDB's `GET_LOCK` has not: there each platform holds one of some places, and a restore all of them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::{Pool, connect_alone, query};
use crate::{Location, Result, location::Place};

const POSTGRES_SHARED: &str = "SELECT pg_try_advisory_lock_shared(7401, hashtext(current_database())) AS taken";
const POSTGRES_ALONE: &str = "SELECT pg_try_advisory_lock(7401, hashtext(current_database())) AS taken";
/// A name has at most 64 characters, as has a database's.
const MARIADB: &str = "SELECT COALESCE(GET_LOCK(CONCAT('click-deploy/', MD5(DATABASE()), '/', ?), 0), 0) = 1 AS taken";
/// How many platforms can work on one MariaDB database.
const PLACES: i64 = 32;
/// A lock on a database, held until this is dropped.
pub struct Presence {
    pool: Option<Pool>,
    alone: bool,
    place: AtomicI64,
}

impl Presence {
    /// Takes the place of a platform, unless a restore or a move works on the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn shared(location: &Location) -> Result<Option<Self>> {
        Self::take(location, false).await
    }

    /// Takes the database for one alone, unless a platform runs on it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alone(location: &Location) -> Result<Option<Self>> {
        Self::take(location, true).await
    }

    async fn take(location: &Location, alone: bool) -> Result<Option<Self>> {
        let pool = match &location.0 {
            Place::Sqlite(_) => None,
            place => Some(Box::pin(connect_alone(place, false)).await?),
        };
        let presence = Self {
            pool,
            alone,
            place: AtomicI64::new(0),
        };
        if presence.hold().await? {
            return Ok(Some(presence));
        }
        presence.end().await;
        Ok(None)
    }

    /// Takes the lock, or takes it once more, which changes nothing.
    async fn hold(&self) -> Result<bool> {
        match &self.pool {
            None | Some(Pool::Sqlite(_)) => Ok(true),
            Some(pool @ Pool::Postgres(_)) => {
                let sql = if self.alone { POSTGRES_ALONE } else { POSTGRES_SHARED };
                Ok(query(sql).fetch_one(pool).await?.get("taken"))
            }
            Some(pool @ Pool::MariaDb(_)) => {
                // First the place that it had, so that it never holds two.
                let first = self.place.load(Ordering::Relaxed);
                for place in (0..PLACES).map(|at| (first + at) % PLACES) {
                    let row = query(MARIADB).bind(place.to_string()).fetch_one(pool).await?;
                    let taken = row.get::<i64>("taken") == 1;
                    if taken != self.alone {
                        self.place.store(place, Ordering::Relaxed);
                        return Ok(taken);
                    }
                }
                Ok(self.alone)
            }
        }
    }

    /// Looks every so often whether the lock is still held, and takes it again after the connection was lost. Ends when a
    /// restore or a move took the database meanwhile; otherwise never.
    pub async fn lost(&self, look: Duration) {
        loop {
            tokio::time::sleep(look).await;
            // Whoever cannot reach the database holds nothing, and takes nothing from anybody either.
            if matches!(self.hold().await, Ok(false)) {
                return;
            }
        }
    }

    /// Lets go of it.
    pub async fn end(self) {
        if let Some(pool) = &self.pool {
            pool.close().await;
        }
    }
}
