//! One way to run a statement on each of the three databases. The rest of the crate knows no driver.
//!
//! Statements are named constants with `?` for values, in the subset that all three understand. PostgreSQL's `$1…`,
//! and how a row is locked, are written here and nowhere else.

mod door;
mod pool;
mod presence;
mod row;
mod value;
mod wake;

use std::borrow::Cow;

use door::was_lost;
pub(crate) use pool::{Pool, Transaction, connect_alone, connect_mariadb, connect_postgres, connect_sqlite};
pub use presence::Presence;
pub(crate) use row::Row;
use sqlx::{AssertSqlSafe, MySql, Postgres, Sqlite};
pub(crate) use value::Kind;
pub(crate) use value::Value;
pub use wake::Wakes;

use crate::{Error, Result};

/// A statement with its values.
#[derive(Clone)]
#[must_use = "a statement does nothing until it is run"]
pub(crate) struct Statement {
    sql: Cow<'static, str>,
    values: Vec<Value>,
    locking: bool,
}

/// A statement without values yet.
pub(crate) fn query(sql: &'static str) -> Statement {
    written(Cow::Borrowed(sql))
}

/// A statement that was put together from the names of our own schema, for `dump` alone.
pub(crate) fn written(sql: Cow<'static, str>) -> Statement {
    Statement {
        sql,
        values: Vec::new(),
        locking: false,
    }
}

/// Where a statement is run: on any connection, or in a transaction.
pub(crate) enum On<'c> {
    Pool(&'c Pool),
    Transaction(&'c mut Transaction),
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut Transaction> for On<'c> {
    fn from(transaction: &'c mut Transaction) -> Self {
        Self::Transaction(transaction)
    }
}

/// The statement as one driver takes it: its text, and all values bound.
macro_rules! bound {
    ($database:ty, $sql:expr, $values:expr) => {{
        let mut query = sqlx::query::<$database>($sql);
        for value in $values {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Float(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

/// Runs a method of sqlx's queries wherever the statement is to run.
macro_rules! run {
    ($statement:expr, $on:expr, $acquire:ident, $method:ident) => {{
        let Statement { sql, values, locking } = $statement;
        match $on {
            On::Pool(Pool::Sqlite(pool)) => Ran::Sqlite(bound!(Sqlite, sqlite(sql), values).$method(pool).await?),
            On::Transaction(Transaction::Sqlite(one)) => {
                Ran::Sqlite(bound!(Sqlite, sqlite(sql), values).$method(&mut **one).await?)
            }
            On::Pool(Pool::Postgres(pool)) => {
                let sql = AssertSqlSafe(postgres(&sql, locking));
                let mut connection = pool.$acquire().await?;
                let answer = bound!(Postgres, sql, values).$method(&mut *connection);
                Ran::Postgres(pool.door.hear(answer).await?)
            }
            On::Transaction(Transaction::Postgres(one)) => {
                let sql = AssertSqlSafe(postgres(&sql, locking));
                let answer = bound!(Postgres, sql, values).$method(&mut *one.inner);
                Ran::Postgres(one.door.hear(answer).await?)
            }
            On::Pool(Pool::MariaDb(pool)) => {
                let sql = AssertSqlSafe(mariadb(sql, locking));
                let mut connection = pool.$acquire().await?;
                let answer = bound!(MySql, sql, values).$method(&mut *connection);
                Ran::MariaDb(pool.door.hear(answer).await?)
            }
            On::Transaction(Transaction::MariaDb(one)) => {
                let sql = AssertSqlSafe(mariadb(sql, locking));
                let answer = bound!(MySql, sql, values).$method(&mut *one.inner);
                Ran::MariaDb(one.door.hear(answer).await?)
            }
        }
    }};
}

enum Ran<S, P, M> {
    Sqlite(S),
    Postgres(P),
    MariaDb(M),
}

/// Numbers the places of values. A `?` inside of a quoted text is one of the text.
fn postgres(sql: &str, locking: bool) -> String {
    let mut numbered = String::with_capacity(sql.len() + 32);
    let (mut number, mut quoted) = (0, false);
    for character in sql.chars() {
        quoted ^= character == '\'';
        if character == '?' && !quoted {
            number += 1;
            numbered.push('$');
            numbered.push_str(&number.to_string());
        } else {
            numbered.push(character);
        }
    }
    if locking {
        // Rows that refer to the locked one can be made meanwhile; only its key may not go.
        numbered.push_str(" FOR NO KEY UPDATE");
    }
    numbered
}

/// As sqlx takes it; its texts come from constants, or from names of our own schema.
fn sqlite(sql: Cow<'static, str>) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.into_owned())
}

fn mariadb(sql: Cow<'static, str>, locking: bool) -> String {
    if locking { sql + " FOR UPDATE" } else { sql }.into_owned()
}

impl Statement {
    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds a value as it is, with a NUL in a text too: `dump` carries what is there.
    pub(crate) fn bind_value(mut self, value: Value) -> Self {
        self.values.push(value);
        self
    }

    /// Locks the rows that are read until the transaction ends. SQLite has one writer, and needs no lock.
    pub(crate) fn locking(mut self) -> Self {
        self.locking = true;
        self
    }

    /// Runs it; how many rows it wrote. An `UPDATE` counts the rows that it found, changed or not.
    pub(crate) async fn execute(self, on: impl Into<On<'_>>) -> Result<u64> {
        let on = on.into();
        // On the heap: the futures of three drivers would make those of all callers large.
        Box::pin(async move {
            Ok(match run!(self, on, acquire_sure, execute) {
                Ran::Sqlite(done) => done.rows_affected(),
                Ran::Postgres(done) => done.rows_affected(),
                Ran::MariaDb(done) => done.rows_affected(),
            })
        })
        .await
    }

    /// Every row.
    pub(crate) async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>> {
        let on = on.into();
        Box::pin(async move {
            match on {
                On::Pool(pool @ (Pool::Postgres(_) | Pool::MariaDb(_))) => {
                    match self.clone().rows(On::Pool(pool)).await {
                        // The connection was lost before, and the statement only reads.
                        Err(error) if was_lost(&error) => self.rows(On::Pool(pool)).await,
                        end => end,
                    }
                }
                on => self.rows(on).await,
            }
        })
        .await
    }

    async fn rows(self, on: On<'_>) -> Result<Vec<Row>> {
        Ok(match run!(self, on, acquire, fetch_all) {
            Ran::Sqlite(rows) => rows.into_iter().map(Row::Sqlite).collect(),
            Ran::Postgres(rows) => rows.into_iter().map(Row::Postgres).collect(),
            Ran::MariaDb(rows) => rows.into_iter().map(Row::MariaDb).collect(),
        })
    }

    /// The one row that a key has.
    pub(crate) async fn fetch_optional(self, on: impl Into<On<'_>>) -> Result<Option<Row>> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// The row of a statement that always has one.
    pub(crate) async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<Row> {
        self.fetch_optional(on)
            .await?
            .ok_or(Error::Database(sqlx::Error::RowNotFound))
    }
}

#[cfg(test)]
mod tests {
    use super::{mariadb, postgres};

    #[test]
    fn places_are_numbered_but_not_inside_of_texts() {
        assert_eq!(
            postgres("SELECT a FROM t WHERE a = ? AND b = '?' AND (? = '' OR c = ?)", false),
            "SELECT a FROM t WHERE a = $1 AND b = '?' AND ($2 = '' OR c = $3)"
        );
    }

    #[test]
    fn a_lock_is_written_as_each_server_has_it() {
        assert_eq!(postgres("SELECT 1", true), "SELECT 1 FOR NO KEY UPDATE");
        assert_eq!(mariadb("SELECT ?".into(), true), "SELECT ? FOR UPDATE");
        assert_eq!(mariadb("SELECT ?".into(), false), "SELECT ?");
    }
}
