//! A database that is filled, and marked as unfinished meanwhile.

use super::{
    CarriedTable, DumpError, OnProgress,
    row::{Tally, Values, without_nul},
    schema::{Table, tables},
    source::Pages,
};
use crate::{
    Error, Location,
    location::Place,
    migrations::{self, MAKE, MARK, NEWEST, OLDEST, UNMARK, known},
    now_ms,
    sql::{Pool, connect_alone, query, written},
};

/// How many values one statement takes: fewer than any of the three allows.
const VALUES: usize = 8000;

/// The row that migrations make: it is in every database, and so says nothing about whether one was used.
const USED: &str = "SELECT 1 FROM installation WHERE name <> 'job-limits' LIMIT 1";
/// It comes with the rows that are written, if it was there.
const CLEAR: &str = "DELETE FROM installation";

/// The database.
pub(crate) struct Target {
    location: Location,
    pool: Pool,
}

impl Target {
    /// Opens it without changing what it holds.
    ///
    /// # Errors
    /// When it holds something, unless that is to be replaced or is a part of what never ended.
    pub(crate) async fn open(location: &Location, replace: bool) -> Result<Self, DumpError> {
        let pool = Box::pin(connect_alone(&location.0, true)).await?;
        let target = Self {
            location: location.clone(),
            pool,
        };
        query(MAKE).execute(&target.pool).await?;
        let found = query(NEWEST).fetch_one(&target.pool).await?.get::<i64>("newest");
        if found > known() {
            let known = known();
            return Err(Error::TooNew { found, known }.into());
        }
        if found > 0 && !replace && !target.is_marked().await? && target.has_rows(found).await? {
            return Err(DumpError::NotEmpty(location.to_string()));
        }
        Ok(target)
    }

    async fn is_marked(&self) -> Result<bool, DumpError> {
        Ok(query(OLDEST).fetch_one(&self.pool).await?.get::<i64>("oldest") == 0)
    }

    async fn has_rows(&self, migration: i64) -> Result<bool, DumpError> {
        for table in tables(migration).await? {
            let any = match table.name.as_str() {
                "installation" => query(USED),
                name => written(format!("SELECT 1 FROM {name} LIMIT 1").into()),
            };
            if any.fetch_optional(&self.pool).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Marks it, and gives it the empty tables of a migration. From here on no platform starts on it.
    pub(crate) async fn begin(&self, migration: i64) -> Result<(), DumpError> {
        if !self.is_marked().await? {
            query(MARK).bind(now_ms()).execute(&self.pool).await?;
        }
        Box::pin(migrations::migrate(&self.location, Some(0))).await?;
        Box::pin(migrations::migrate(&self.location, Some(migration))).await?;
        query(CLEAR).execute(&self.pool).await?;
        Ok(())
    }

    /// Refuses what it could not hold.
    pub(crate) fn can_hold(location: &Location, table: &Table, rows: &[Values]) -> Result<(), DumpError> {
        if matches!(location.0, Place::Postgres(_)) {
            for row in rows {
                without_nul(table, row)?;
            }
        }
        Ok(())
    }

    /// Writes rows, in one transaction.
    pub(crate) async fn insert(&self, table: &Table, rows: Vec<Values>) -> Result<(), DumpError> {
        Self::can_hold(&self.location, table, &rows)?;
        let places = vec!["?"; table.columns.len()].join(", ");
        let mut transaction = self.pool.begin().await?;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let some: Vec<Values> = rows.by_ref().take((VALUES / table.columns.len()).max(1)).collect();
            let tuples = vec![format!("({places})"); some.len()].join(", ");
            let sql = format!("INSERT INTO {} ({}) VALUES {tuples}", table.name, table.names());
            let mut statement = written(sql.into());
            for value in some.into_iter().flatten() {
                statement = statement.bind_value(value);
            }
            statement.execute(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Reads everything again and compares it with what was written.
    pub(crate) async fn verify(
        &self,
        tables: &[Table],
        wrote: &[CarriedTable],
        progress: OnProgress<'_>,
    ) -> Result<(), DumpError> {
        let mut transaction = self.pool.begin_snapshot().await?;
        let mut total = 0;
        for (table, wrote) in tables.iter().zip(wrote) {
            let mut tally = Tally::new();
            let mut pages = Pages::of(table);
            loop {
                let rows = pages.next(&mut transaction).await?;
                if rows.is_empty() {
                    break;
                }
                total += rows.len() as u64;
                for row in &rows {
                    tally.add(row);
                }
                progress(&table.name, total);
            }
            let found = tally.of(table);
            if found != *wrote {
                return Err(DumpError::Differs {
                    table: table.name.clone(),
                    wrote: wrote.rows,
                    found: found.rows,
                });
            }
        }
        Ok(())
    }

    /// Brings the schema to the newest migration, takes the mark away, and closes it.
    pub(crate) async fn finish(self) -> Result<(), DumpError> {
        Box::pin(migrations::migrate(&self.location, None)).await?;
        query(UNMARK).execute(&self.pool).await?;
        self.pool.close().await;
        Ok(())
    }
}
