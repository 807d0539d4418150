//! Which database: what `DATABASE_URL` says.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};

/// One of the databases that the state can be kept in. Shown without user and password.
#[derive(Clone)]
pub struct Location(pub(crate) Place);

#[derive(Clone)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
    MariaDb(Box<MySqlConnectOptions>),
}

/// `DATABASE_URL` is not what it should be. It does not repeat the address, which may hold a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadLocation(&'static str);

const SCHEMES: BadLocation = BadLocation(
    "it begins with sqlite:/// and an absolute path, or with postgres://, postgresql://, mysql:// or mariadb://",
);
const UNREADABLE: BadLocation = BadLocation(
    "it is scheme://user:password@host:port/database, with %40 and so on for @, :, / and other special characters of a \
     user or password",
);
const NO_DATABASE: BadLocation = BadLocation("it names a database behind the host, which has to be there");

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let (scheme, rest) = text.split_once("://").ok_or(SCHEMES)?;
        match scheme {
            "sqlite" if rest.len() > 1 && rest.starts_with('/') => Ok(Self::file(Path::new(rest))),
            "postgres" | "postgresql" => {
                let options = PgConnectOptions::from_str(text).map_err(|_| UNREADABLE)?;
                options
                    .get_database()
                    .filter(|name| !name.is_empty())
                    .ok_or(NO_DATABASE)?;
                Ok(Self(Place::Postgres(Box::new(
                    options.application_name("click-deploy"),
                ))))
            }
            "mysql" | "mariadb" => {
                let options = MySqlConnectOptions::from_str(&format!("mysql://{rest}")).map_err(|_| UNREADABLE)?;
                options
                    .get_database()
                    .filter(|name| !name.is_empty())
                    .ok_or(NO_DATABASE)?;
                let options = options.charset("utf8mb4").collation("utf8mb4_nopad_bin");
                Ok(Self(Place::MariaDb(Box::new(options))))
            }
            _ => Err(SCHEMES),
        }
    }
}

impl Location {
    /// A SQLite database in a file; made when it is not there.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self(Place::Sqlite(path.to_owned()))
    }

    /// The file, where it is one of our own. Nobody else then works in it: the lock of the data directory sees to that.
    #[must_use]
    pub fn as_file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) | Place::MariaDb(_) => None,
        }
    }

    /// The product's name.
    #[must_use]
    pub fn product(&self) -> &'static str {
        match &self.0 {
            Place::Sqlite(_) => "SQLite",
            Place::Postgres(_) => "PostgreSQL",
            Place::MariaDb(_) => "MariaDB",
        }
    }
}

/// Scheme, host and database; never a user, a password or an option.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Place::Postgres(options) => write!(
                f,
                "postgres://{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
            Place::MariaDb(options) => write!(
                f,
                "mariadb://{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn every_scheme_is_understood_and_no_password_is_shown() {
        for (text, product, shown) in [
            ("sqlite:///var/lib/a.db", "SQLite", "sqlite:///var/lib/a.db"),
            (
                "postgres://me:s3cret@db.example.org/state",
                "PostgreSQL",
                "postgres://db.example.org:5432/state",
            ),
            (
                "postgresql://me:s3cret@db:5433/state?sslmode=disable",
                "PostgreSQL",
                "postgres://db:5433/state",
            ),
            ("mysql://me:s3cret@db/state", "MariaDB", "mariadb://db:3306/state"),
            (
                "mariadb://me:s3cret@db:3307/state",
                "MariaDB",
                "mariadb://db:3307/state",
            ),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!((location.product(), location.to_string().as_str()), (product, shown));
            assert!(!format!("{location:?}").contains("s3cret"));
        }
    }

    #[test]
    fn what_is_wrong_is_refused_without_being_repeated() {
        for text in [
            "/var/lib/a.db",
            "sqlite://a.db",
            "sqlite:///",
            "oracle://me:s3cret@db/state",
            "postgres://me:s3cret@db",
            "mysql://me:s3cret@db/",
            "postgres://me:s3cret@db:port/state",
        ] {
            let refused = text.parse::<Location>().unwrap_err().to_string();
            assert!(!refused.contains("s3cret") && !refused.is_empty(), "{refused}");
        }
    }
}
