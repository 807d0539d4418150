//! What the caller can do about it.

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such row, or none of this tenant.
    #[error("there is no {what} `{key}`")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// By which key.
        key: String,
    },
    /// Someone changed it meanwhile; read it again.
    #[error("the {what} `{key}` was changed meanwhile")]
    Stale {
        /// What was to be changed.
        what: &'static str,
        /// Its key.
        key: String,
    },
    /// The name is taken.
    #[error("there is a {what} of that name already")]
    Taken {
        /// What is there.
        what: &'static str,
    },
    /// This worker's lease is over: another one has the job.
    #[error("the lease of the job `{0}` is lost")]
    LeaseLost(String),
    /// A row holds what this version cannot read.
    #[error("the {what} in the database cannot be read")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A sealed value does not open with this key.
    #[error("a sealed value does not open: ENCRYPTION_KEY is not the one that sealed it")]
    Sealed,
    /// The database is of a newer version of the program.
    #[error("the database is at migration {found}, and this program knows only {known}: start the newer program")]
    TooNew {
        /// What the database says.
        found: i64,
        /// What the program knows.
        known: i64,
    },
    /// The database itself.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// Says `Taken` where a unique index was broken.
    pub(crate) fn taken(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |error| match error.as_database_error() {
            Some(database) if database.is_unique_violation() => Self::Taken { what },
            _ => Self::Database(error),
        }
    }

    pub(crate) fn corrupt<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl Fn(E) -> Self {
        move |cause| Self::Corrupt {
            what,
            cause: Box::new(cause),
        }
    }

    pub(crate) fn missing(what: &'static str, key: impl ToString) -> Self {
        Self::Missing {
            what,
            key: key.to_string(),
        }
    }

    pub(crate) fn stale(what: &'static str, key: impl ToString) -> Self {
        Self::Stale {
            what,
            key: key.to_string(),
        }
    }
}
