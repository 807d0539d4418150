//! A row, whoever sent it.

use sqlx::{Decode, MySql, Postgres, Row as _, Sqlite, Type, mysql::MySqlRow, postgres::PgRow, sqlite::SqliteRow};

use super::{Kind, Value};

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    MariaDb(MySqlRow),
}

/// What a column can be read as: integers, floats, texts and bytes, each or nothing.
pub(crate) trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + Decode<'r, MySql> + Type<MySql>
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + Decode<'r, MySql> + Type<MySql>
{
}

impl Row {
    /// A column by its place, as the schema says that it is.
    pub(crate) fn value(&self, at: usize, kind: Kind) -> sqlx::Result<Value> {
        Ok(match kind {
            Kind::Integer => Value::Integer(self.try_get(at)?),
            Kind::Float => Value::Float(self.try_get(at)?),
            Kind::Text => Value::Text(self.try_get(at)?),
            Kind::Bytes => Value::Bytes(self.try_get(at)?),
        })
    }

    fn try_get<'r, T: Column<'r>>(&'r self, at: usize) -> sqlx::Result<T> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
            Self::MariaDb(row) => row.try_get(at),
        }
    }

    /// A column by its name.
    ///
    /// # Panics
    /// When the statement has no such column, or of another type: each statement is tested on each database.
    pub(crate) fn get<'r, T: Column<'r>>(&'r self, column: &str) -> T {
        match self {
            Self::Sqlite(row) => row.get(column),
            Self::Postgres(row) => row.get(column),
            Self::MariaDb(row) => row.get(column),
        }
    }
}
