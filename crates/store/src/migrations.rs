//! Migrations, up and down, in the program itself. They have the same numbers and names on each database.
//!
//! One process migrates at a time: under the file's write lock on SQLite, under a lock of that name on the servers. A
//! process that is killed takes its lock along. On SQLite and PostgreSQL a migration is one transaction. MariaDB commits
//! each statement by itself, so that there each can be run again (`IF NOT EXISTS` and its kin), and a migration that was
//! broken off is begun anew.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _,
    SqliteConnection, sqlite::SqliteConnectOptions,
};

use crate::{Error, Location, Result, location::Place, now_ms};

/// A migration, as each database has it: up, down.
struct Migration {
    number: i64,
    sqlite: [&'static str; 2],
    postgres: [&'static str; 2],
    mariadb: [&'static str; 2],
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration {
            number: $number,
            sqlite: [
                include_str!(concat!("../../../migrations/sqlite/", $name, ".up.sql")),
                include_str!(concat!("../../../migrations/sqlite/", $name, ".down.sql")),
            ],
            postgres: [
                include_str!(concat!("../../../migrations/postgres/", $name, ".up.sql")),
                include_str!(concat!("../../../migrations/postgres/", $name, ".down.sql")),
            ],
            mariadb: [
                include_str!(concat!("../../../migrations/mariadb/", $name, ".up.sql")),
                include_str!(concat!("../../../migrations/mariadb/", $name, ".down.sql")),
            ],
        }
    };
}

const MIGRATIONS: [Migration; 5] = [
    migration!(1, "0001_deployments"),
    migration!(2, "0002_indexes"),
    migration!(3, "0003_job_queue"),
    migration!(4, "0004_removed_logs"),
    migration!(5, "0005_processes"),
];

/// Number 0 is no migration: it marks a database into which a restore, or a move, began and did not end.
pub(crate) const MAKE: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL)";
pub(crate) const NEWEST: &str = "SELECT COALESCE(MAX(number), 0) AS newest FROM schema_migrations";

pub(crate) const OLDEST: &str = "SELECT COALESCE(MIN(number), 1) AS oldest FROM schema_migrations";
pub(crate) const MARK: &str = "INSERT INTO schema_migrations (number, applied_at_ms) VALUES (0, ?)";
pub(crate) const UNMARK: &str = "DELETE FROM schema_migrations WHERE number = 0";

/// The name of the lock on a server: of one database, of this product.
const LOCK_POSTGRES: &str = "SELECT pg_advisory_lock(7400, hashtext(current_database()))";
const LOCK_MARIADB: &str = "SELECT COALESCE(GET_LOCK(CONCAT('click-deploy/', DATABASE()), 600), 0) AS taken";

/// How long a server may take to let us in.
const CONNECT: Duration = Duration::from_secs(10);

/// A step from what was found towards what is wanted.
struct Step {
    migration: &'static Migration,
    up: bool,
}

impl Step {
    /// The next step, or none when `found` is the `target`.
    fn next(found: i64, target: i64) -> Option<Self> {
        if target > found {
            let migration = MIGRATIONS.iter().find(|one| one.number > found)?;
            (migration.number <= target).then_some(Self { migration, up: true })
        } else if target < found {
            let migration = MIGRATIONS.iter().rev().find(|one| one.number <= found)?;
            Some(Self { migration, up: false })
        } else {
            None
        }
    }

    fn text(&self, of: [&'static str; 2]) -> &'static str {
        of[usize::from(!self.up)]
    }

    /// The statement that keeps that it was done.
    fn kept(&self) -> String {
        let number = self.migration.number;
        if self.up {
            format!(
                "INSERT INTO schema_migrations (number, applied_at_ms) VALUES ({number}, {})",
                now_ms()
            )
        } else {
            format!("DELETE FROM schema_migrations WHERE number = {number}")
        }
    }
}

/// The statements of a file: each ends with a semicolon at the end of a line.
fn statements(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.split(";\n").map(str::trim).filter(|one| !one.is_empty())
}

/// The number of the newest migration.
pub(crate) fn known() -> i64 {
    MIGRATIONS.iter().map(|one| one.number).max().unwrap_or(0)
}

fn checked(found: i64) -> Result<i64> {
    let known = known();
    if found > known {
        Err(Error::TooNew { found, known })
    } else {
        Ok(found)
    }
}

async fn in_time<T>(connecting: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(end) => Ok(end?),
        Err(_) => Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
    }
}

/// Brings the schema to `target` (the newest when absent), one migration at a time, on a connection of its own: no
/// statement of it is ended for taking long.
pub(crate) async fn migrate(location: &Location, target: Option<i64>) -> Result<i64> {
    let target = target.unwrap_or_else(known);
    match &location.0 {
        Place::Sqlite(file) => {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true)
                .foreign_keys(true)
                .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
                .busy_timeout(Duration::from_secs(10));
            let mut connection = options.connect().await?;
            let end = on_sqlite(&mut connection, target).await;
            connection.close().await?;
            end
        }
        Place::Postgres(options) => {
            let mut connection = in_time(options.connect()).await?;
            let end = on_postgres(&mut connection, target).await;
            // With the connection its lock ends.
            connection.close().await?;
            end
        }
        Place::MariaDb(options) => {
            let mut connection = in_time(options.connect()).await?;
            let end = on_mariadb(&mut connection, target).await;
            connection.close().await?;
            end
        }
    }
}

pub(crate) async fn on_sqlite(connection: &mut SqliteConnection, target: i64) -> Result<i64> {
    connection.execute(MAKE).await?;
    loop {
        // What was found holds as long as the write lock.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let found = checked(transaction.fetch_one(NEWEST).await?.get("newest"))?;
        let Some(step) = Step::next(found, target) else {
            return Ok(found);
        };
        sqlx::raw_sql(step.text(step.migration.sqlite))
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql(AssertSqlSafe(step.kept()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
}

async fn on_postgres(connection: &mut PgConnection, target: i64) -> Result<i64> {
    connection
        .execute("SET client_min_messages = 'warning'; SET statement_timeout = 0; SET lock_timeout = 0")
        .await?;
    connection.execute(LOCK_POSTGRES).await?;
    connection.execute(MAKE).await?;
    loop {
        let found = checked(connection.fetch_one(NEWEST).await?.get("newest"))?;
        let Some(step) = Step::next(found, target) else {
            return Ok(found);
        };
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(step.text(step.migration.postgres))
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql(AssertSqlSafe(step.kept()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
}

async fn on_mariadb(connection: &mut MySqlConnection, target: i64) -> Result<i64> {
    connection
        .execute("SET SESSION max_statement_time = 0, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")
        .await?;
    let taken: i64 = connection.fetch_one(LOCK_MARIADB).await?.get("taken");
    if taken != 1 {
        return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
    }
    connection.execute(MAKE).await?;
    loop {
        let found = checked(connection.fetch_one(NEWEST).await?.get("newest"))?;
        let Some(step) = Step::next(found, target) else {
            return Ok(found);
        };
        for statement in statements(step.text(step.migration.mariadb)) {
            sqlx::raw_sql(statement).execute(&mut *connection).await?;
        }
        sqlx::raw_sql(AssertSqlSafe(step.kept()))
            .execute(&mut *connection)
            .await?;
    }
}
