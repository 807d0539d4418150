//! Migrations, up and down, in the program itself.

use sqlx::{Connection, Row, SqliteConnection};

use crate::{Error, Result};

struct Migration {
    number: i64,
    up: &'static str,
    down: &'static str,
}

const MIGRATIONS: [Migration; 1] = [Migration {
    number: 1,
    up: include_str!("../../../migrations/sqlite/0001_deployments.up.sql"),
    down: include_str!("../../../migrations/sqlite/0001_deployments.down.sql"),
}];

const MAKE: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL)";
const NEWEST: &str = "SELECT COALESCE(MAX(number), 0) AS newest FROM schema_migrations";
const APPLIED: &str = "INSERT INTO schema_migrations (number, applied_at_ms) VALUES (?, ?)";
const REVERTED: &str = "DELETE FROM schema_migrations WHERE number = ?";

/// Brings the schema to `target` (the newest when absent), one migration per transaction.
pub(crate) async fn migrate(connection: &mut SqliteConnection, target: Option<i64>) -> Result<i64> {
    sqlx::query(MAKE).execute(&mut *connection).await?;
    let found: i64 = sqlx::query(NEWEST).fetch_one(&mut *connection).await?.get("newest");
    let known = MIGRATIONS.iter().map(|m| m.number).max().unwrap_or(0);
    if found > known {
        return Err(Error::TooNew { found, known });
    }
    let target = target.unwrap_or(known);
    for migration in MIGRATIONS.iter().filter(|m| m.number > found && m.number <= target) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(migration.up).execute(&mut *transaction).await?;
        sqlx::query(APPLIED)
            .bind(migration.number)
            .bind(crate::now_ms())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    for migration in MIGRATIONS
        .iter()
        .rev()
        .filter(|m| m.number <= found && m.number > target)
    {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(migration.down).execute(&mut *transaction).await?;
        sqlx::query(REVERTED)
            .bind(migration.number)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(target)
}
