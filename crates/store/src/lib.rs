//! State: one module per aggregate, over SQLite, PostgreSQL or MariaDB. SQL stands as a named constant beside the function
//! that runs it, in the subset that all three understand (no `RETURNING`, no `ON CONFLICT`, ids minted in Rust). Only `sql`
//! and `migrations` know a driver.

pub mod claims;
mod database;
pub mod deployments;
pub mod dump;
mod error;
pub mod idempotency;
pub mod jobs;
pub mod journal;
pub mod kinds;
pub mod leases;
mod location;
pub mod logs;
mod migrations;
pub mod organizations;
pub mod orphans;
pub mod phases;
pub mod processes;
pub mod projects;
pub mod queue;
pub mod retention;
pub mod schedules;
pub mod seal;
pub mod services;
mod sql;
mod turns;
pub mod variables;
mod waits;

pub use database::{Store, Tries, Write};
pub use error::Error;
pub use location::{BadLocation, Location};
pub use sql::{Presence, Wakes};

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Now, in milliseconds since 1970, UTC.
#[must_use]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
