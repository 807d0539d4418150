//! State: one module per aggregate, over SQLite. SQL stands as a named constant beside the function that runs it, in
//! the subset that PostgreSQL and MariaDB understand too (no `RETURNING`, no `ON CONFLICT`, ids minted in Rust).

mod database;
pub mod deployments;
mod error;
pub mod idempotency;
pub mod jobs;
pub mod logs;
mod migrations;
pub mod organizations;
pub mod projects;
pub mod seal;
pub mod services;
pub mod variables;

pub use database::{Store, Write};
pub use error::Error;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Now, in milliseconds since 1970, UTC.
#[must_use]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
