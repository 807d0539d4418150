//! The whole state in and out: into a file, out of it, and from one database to another.
//!
//! What is carried comes from the schema itself ([`schema`]), so that no table can be forgotten. Rows are read in pages
//! by their key from one snapshot ([`source`]), and written in batches into a database that is marked as unfinished
//! until all of it is there and was read again ([`target`]).

mod backup;
mod copy;
mod file;
mod restore;
mod row;
mod schema;
mod source;
mod target;

use std::{io, path::Path};

pub use backup::backup;
pub use copy::copy;
pub use file::Header;
pub use restore::{examine, restore};
pub use schema::{NOT_CARRIED, carried_tables};

use crate::{Error, Location};

/// Why the state was not carried.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file is not one of ours, or was changed, or is of another version.
    #[error("{0}")]
    Damaged(String),
    /// The file was made under another `ENCRYPTION_KEY`.
    #[error(
        "the backup was made under another ENCRYPTION_KEY: its secrets would never open. Set the key that the platform had \
         when the backup was made"
    )]
    OtherKey,
    /// There is no state where it is to be read.
    #[error("there is no state of Click-to-Deploy in {0}")]
    NoState(String),
    /// The database holds something already.
    #[error("the database {0} is not empty")]
    NotEmpty(String),
    /// A value that the other database cannot hold.
    #[error("{table}.{column} of the row {key} {problem}")]
    Value {
        /// In which table.
        table: String,
        /// Which column.
        column: String,
        /// The row's key.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// What was read again is not what was written.
    #[error(
        "{table} does not hold what was written: {wrote} row(s) were written, {found} were found, and their digests differ"
    )]
    Differs {
        /// In which table.
        table: String,
        /// Rows that were written.
        wrote: u64,
        /// Rows that were found.
        found: u64,
    },
    /// A file could not be read or written.
    #[error("{what}")]
    File {
        /// Which, and what was done.
        what: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for DumpError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl DumpError {
    fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::File { what, cause }
    }
}

/// A table that was carried.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedTable {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// SHA-256, in hexadecimal, over every value of every row in the order of the key.
    pub sha256: String,
}

/// What was carried.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The number of the newest migration of the database that was read.
    pub migration: i64,
    /// Each table, in the order in which rows refer to each other.
    pub tables: Vec<CarriedTable>,
    /// How many files of uploads.
    pub uploads: u64,
    /// Uploads whose file was gone already when it was to be read.
    pub absent_uploads: Vec<String>,
}

/// Is told the table, and how many rows there were so far in all.
pub type OnProgress<'a> = &'a mut (dyn FnMut(&str, u64) + Send);

/// The file of an upload. The id was parsed before, so that it cannot lead elsewhere.
fn upload_file(uploads: &Path, id: &domain::UploadId) -> std::path::PathBuf {
    uploads.join(id.to_string())
}

fn no_state(location: &Location) -> DumpError {
    DumpError::NoState(location.to_string())
}
