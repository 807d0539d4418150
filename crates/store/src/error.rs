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
    /// A restore into the database, or a move to it, did not end.
    #[error(
        "a restore into this database, or a move to it, began and did not end: it holds a part of the state. Run the same \
         `click-deploy restore` or `click-deploy migrate` again, which begins anew"
    )]
    Unfinished,
    /// The database does not answer, or is too busy, and will do later. Nothing was written, unless it fell silent while
    /// it was told to commit.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

/// Two writes stood in each other's way and this one was undone: serialization failure and deadlock of PostgreSQL,
/// deadlock and lock wait timeout of MariaDB.
const CONFLICTS: [&str; 4] = ["40001", "40P01", "1213", "1205"];
/// SQLSTATEs of a PostgreSQL server that ends, begins, is full, or took too long, or whose client did (08… is the
/// connection's own class).
const POSTGRES_AWAY: [&str; 7] = ["57P01", "57P02", "57P03", "57014", "55P03", "53300", "25P03"];
/// The same of MariaDB: full, ending, connection killed, statement too long, and what a proxy in between says.
const MARIADB_AWAY: [u16; 8] = [1040, 1053, 1203, 1226, 1317, 1927, 1969, 4031];
/// SQLite's `BUSY` and `LOCKED`; the upper bits say more.
const SQLITE_BUSY: [i64; 2] = [5, 6];

/// The code by which the server itself knows the error.
fn code_of(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(mariadb) => Some(mariadb.number().to_string()),
        None => error.code().map(std::borrow::Cow::into_owned),
    }
}

fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(database) => {
            if let Some(mariadb) = database.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return MARIADB_AWAY.contains(&mariadb.number());
            }
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                return code
                    .parse::<i64>()
                    .is_ok_and(|code| SQLITE_BUSY.contains(&(code & 0xff)));
            }
            code.starts_with("08") || POSTGRES_AWAY.contains(&code.as_ref())
        }
        _ => false,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let conflict = code_of(&error).is_some_and(|code| CONFLICTS.contains(&code.as_str()));
        if conflict || is_away(&error) {
            Self::Unavailable(error)
        } else {
            Self::Database(error)
        }
    }
}

impl Error {
    /// Says `Taken` where a unique index was broken.
    pub(crate) fn taken(what: &'static str) -> impl Fn(Self) -> Self {
        move |error| match &error {
            Self::Database(sqlx::Error::Database(cause)) if cause.is_unique_violation() => Self::Taken { what },
            _ => error,
        }
    }

    /// Whether the next try will meet the same: what is there cannot be read, or is not there.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. } | Self::Corrupt { .. } | Self::Sealed | Self::TooNew { .. }
        )
    }

    /// Whether the whole write was undone because of another one, and can be done again.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            Self::Unavailable(cause) => code_of(cause).is_some_and(|code| CONFLICTS.contains(&code.as_str())),
            _ => false,
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
