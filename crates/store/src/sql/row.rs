//! A row, whoever sent it.

use sqlx::{Decode, MySql, Postgres, Row as _, Sqlite, Type, mysql::MySqlRow, postgres::PgRow, sqlite::SqliteRow};

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
