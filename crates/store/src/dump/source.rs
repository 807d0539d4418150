//! One snapshot of a database, read in pages by the key.

use super::{
    DumpError, no_state,
    row::Values,
    schema::{Table, tables},
};
use crate::{
    Error, Location,
    migrations::{NEWEST, OLDEST, known},
    sql::{Pool, Transaction, connect_alone, query, written},
};

const INSTALLATION: &str = "SELECT value FROM installation WHERE name = 'name'";

/// How many bytes a page is meant to have, and the most rows.
const PAGE_BYTES: usize = 1024 * 1024;
const PAGE_ROWS: usize = 500;
/// Rows of the first page of a table, before it is known how large they are.
const FIRST_PAGE: usize = 16;

/// The state as it was at one moment, however long it is read.
pub(crate) struct Snapshot {
    pool: Pool,
    pub(crate) transaction: Transaction,
    pub(crate) migration: i64,
    pub(crate) installation: String,
    pub(crate) tables: Vec<Table>,
}

impl Snapshot {
    /// Opens it. The database is not changed, also when it is of an older program.
    pub(crate) async fn open(location: &Location) -> Result<Self, DumpError> {
        if location.as_file().is_some_and(|file| !file.exists()) {
            return Err(no_state(location));
        }
        let pool = Box::pin(connect_alone(&location.0, false)).await?;
        let mut transaction = pool.begin_snapshot().await?;
        let migration = match query(NEWEST).fetch_one(&mut transaction).await {
            Ok(row) => row.get::<i64>("newest"),
            // No such table: nothing of ours was ever here.
            Err(Error::Database(_)) => return Err(no_state(location)),
            Err(error) => return Err(error.into()),
        };
        if query(OLDEST).fetch_one(&mut transaction).await?.get::<i64>("oldest") == 0 {
            return Err(Error::Unfinished.into());
        }
        if migration == 0 {
            return Err(no_state(location));
        }
        if migration > known() {
            return Err(Error::TooNew {
                found: migration,
                known: known(),
            }
            .into());
        }
        let installation = query(INSTALLATION).fetch_optional(&mut transaction).await?;
        Ok(Self {
            pool,
            transaction,
            migration,
            installation: installation.map(|row| row.get("value")).unwrap_or_default(),
            tables: tables(migration).await?,
        })
    }

    pub(crate) async fn close(self) {
        drop(self.transaction);
        self.pool.close().await;
    }
}

/// Where reading of a table goes on.
pub(crate) struct Pages<'t> {
    table: &'t Table,
    after: Option<Values>,
    /// How many columns of the key are those of the row before.
    same: usize,
    size: usize,
    over: bool,
}

impl<'t> Pages<'t> {
    pub(crate) fn of(table: &'t Table) -> Self {
        Self {
            table,
            after: None,
            same: table.key.len() - 1,
            size: FIRST_PAGE,
            over: false,
        }
    }

    /// The statement behind the row before. Each database finds its place by the index: the key's first columns are
    /// equal, and the next one is greater. What follows is asked for with fewer equal ones.
    fn statement(&self) -> String {
        let name = |&at: &usize| self.table.columns[at].name.as_str();
        let keys: Vec<&str> = self.table.key.iter().map(name).collect();
        let mut sql = format!("SELECT {} FROM {}", self.table.names(), self.table.name);
        if self.after.is_some() {
            let equal = keys[..self.same].iter().map(|key| format!("{key} = ? AND "));
            sql += &format!(" WHERE {}{} > ?", equal.collect::<String>(), keys[self.same]);
        }
        sql + &format!(" ORDER BY {} LIMIT ?", keys.join(", "))
    }

    /// The next rows; none at the end.
    pub(crate) async fn next(&mut self, transaction: &mut Transaction) -> Result<Vec<Values>, DumpError> {
        while !self.over {
            let mut statement = written(self.statement().into());
            if let Some(after) = &self.after {
                for &at in &self.table.key[..=self.same] {
                    statement = statement.bind_value(after[at].clone());
                }
            }
            let limit = i64::try_from(self.size).unwrap_or(i64::MAX);
            let answer = statement.bind(limit).fetch_all(&mut *transaction).await?;
            let is_full = answer.len() >= self.size;
            let mut rows = Vec::with_capacity(answer.len());
            for row in &answer {
                let values = self.table.columns.iter().enumerate();
                let values = values.map(|(at, column)| row.value(at, column.kind));
                rows.push(values.collect::<Result<Values, _>>()?);
            }
            self.step(is_full, &rows);
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    fn step(&mut self, is_full: bool, rows: &[Values]) {
        let first = self.after.is_none();
        if is_full {
            self.same = self.table.key.len() - 1;
        } else if first || self.same == 0 {
            self.over = true;
        } else {
            self.same -= 1;
        }
        if let Some(last) = rows.last() {
            self.after = Some(last.clone());
            let largest = rows.iter().map(|row| super::row::size(row)).max().unwrap_or(1);
            self.size = (PAGE_BYTES / largest.max(1)).clamp(1, PAGE_ROWS);
        }
    }
}
