//! Log lines, numbered from 1 without gaps within a deployment (build) or a service (run).

use domain::{DeploymentId, ServiceId, logs::LogLevel, ports::infrastructure::OutputCursor};

use crate::{
    Error, Result, Store, Write,
    sql::{Row, query},
    transaction,
};

/// Whose lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    /// A deployment's own: fetching, building, releasing.
    Build(DeploymentId),
    /// What a service's instances wrote.
    Run(ServiceId),
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its place; given by [`Store::append_lines`].
    pub sequence: i64,
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// The phase of a deployment, `run` for a service.
    pub phase: &'static str,
    /// How serious.
    pub level: LogLevel,
    /// The build step or the instance.
    pub origin: String,
    /// The text.
    pub message: String,
}

/// What was read of an instance's output, and from where: lines of one that read the same before are kept once.
#[derive(Debug, Clone, Copy)]
pub struct Read<'r> {
    /// The instance's name.
    pub instance: &'r str,
    /// Where it began.
    pub from: OutputCursor,
    /// Where it goes on.
    pub to: OutputCursor,
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only lines that hold this text, without regard to case (ASCII).
    pub text: String,
    /// Only lines of this level.
    pub level: Option<LogLevel>,
    /// Only lines of this phase.
    pub phase: String,
}

/// A statement for each number of [`ROWS`].
macro_rules! many {
    ($head:literal) => {
        [
            concat!($head, many!(rows 256)),
            concat!($head, many!(rows 32)),
            concat!($head, many!(rows 4)),
            concat!($head, many!(rows 1)),
        ]
    };
    (rows 1) => { "(?, ?, ?, ?, ?, ?, ?)" };
    (rows 4) => { concat!(many!(rows 1), ", ", many!(rows 1), ", ", many!(rows 1), ", ", many!(rows 1)) };
    (rows 16) => { concat!(many!(rows 4), ", ", many!(rows 4), ", ", many!(rows 4), ", ", many!(rows 4)) };
    (rows 32) => { concat!(many!(rows 16), ", ", many!(rows 16)) };
    (rows 64) => { concat!(many!(rows 32), ", ", many!(rows 32)) };
    (rows 256) => { concat!(many!(rows 64), ", ", many!(rows 64), ", ", many!(rows 64), ", ", many!(rows 64)) };
}

macro_rules! both {
    ($log:expr, $build:expr, $run:expr) => {
        match $log {
            Log::Build(id) => ($build, id.to_string()),
            Log::Run(id) => ($run, id.to_string()),
        }
    };
}

const LOCK_BUILD: &str = "SELECT id FROM deployments WHERE id = ?";
const LOCK_RUN: &str = "SELECT id FROM services WHERE id = ?";
const NEWEST_BUILD: &str = "SELECT COALESCE(MAX(sequence), 0) AS newest FROM deployment_logs WHERE deployment_id = ?";
const NEWEST_RUN: &str = "SELECT COALESCE(MAX(sequence), 0) AS newest FROM service_logs WHERE service_id = ?";
const INSERT_BUILD: [&str; 4] =
    many!("INSERT INTO deployment_logs (deployment_id, sequence, at_ns, phase, level, origin, message) VALUES ");
const INSERT_RUN: [&str; 4] =
    many!("INSERT INTO service_logs (service_id, sequence, at_ns, phase, level, origin, message) VALUES ");
/// How many rows each of those statements has: few statements, so that each stays prepared. The largest has 1,792 values;
/// the smallest limit of the three databases is 32,766. A line has at most 16 KiB, and 16 MiB go to a server at once.
const ROWS: [usize; 4] = [256, 32, 4, 1];
const READ_BUILD: &str = "SELECT * FROM deployment_logs WHERE deployment_id = ? AND sequence > ? \
    AND (? = '' OR level = ?) AND (? = '' OR phase = ?) AND (? = '' OR LOWER(message) LIKE LOWER(?) ESCAPE '!') ORDER BY sequence LIMIT ?";
const READ_RUN: &str = "SELECT * FROM service_logs WHERE service_id = ? AND sequence > ? \
    AND (? = '' OR level = ?) AND (? = '' OR phase = ?) AND (? = '' OR LOWER(message) LIKE LOWER(?) ESCAPE '!') ORDER BY sequence LIMIT ?";
const CURSOR: &str = "SELECT at_ns, lines_at_that_time FROM output_cursors WHERE instance = ?";
const MOVE_CURSOR: &str = "UPDATE output_cursors SET at_ns = ?, lines_at_that_time = ? \
    WHERE instance = ? AND at_ns = ? AND lines_at_that_time = ?";
const INSERT_CURSOR: &str =
    "INSERT INTO output_cursors (instance, service_id, at_ns, lines_at_that_time) VALUES (?, ?, ?, ?)";

fn read(row: &Row) -> Line {
    Line {
        sequence: row.get("sequence"),
        at_ns: row.get("at_ns"),
        phase: match row.get::<&str>("phase") {
            "provision" => "provision",
            "build" => "build",
            "release" => "release",
            "check" => "check",
            "drain" => "drain",
            _ => "run",
        },
        level: LogLevel::parse(row.get("level")).unwrap_or(LogLevel::Info),
        origin: row.get("origin"),
        message: row.get("message"),
    }
}

/// A `LIKE` pattern that finds the text itself.
pub(crate) fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// Cuts lines into statements, the largest first.
fn in_statements<'l>(insert: [&'static str; 4], mut lines: &'l [Line]) -> Vec<(&'static str, &'l [Line])> {
    let mut statements = Vec::new();
    for (sql, rows) in insert.into_iter().zip(ROWS) {
        while lines.len() >= rows {
            let (head, rest) = lines.split_at(rows);
            statements.push((sql, head));
            lines = rest;
        }
    }
    statements
}

impl Store {
    /// Appends lines and numbers them; with what was read of an instance's output, where reading goes on is kept in the
    /// same transaction, so that no crash loses or doubles a line.
    ///
    /// # Errors
    /// [`Error::Stale`] when somebody else kept lines of the instance meanwhile, or the database fails; then no line is
    /// kept.
    pub async fn append_lines(&self, log: Log, lines: &mut [Line], read: Option<Read<'_>>) -> Result<()> {
        transaction!(self, |write| {
            write.append_lines(log, lines).await?;
            if let (Log::Run(id), Some(read)) = (log, &read) {
                write.move_cursor(&id.to_string(), read).await?;
            }
        })
    }

    /// Lines after a place, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lines(&self, log: Log, after: i64, filter: &Filter, limit: i64) -> Result<Vec<Line>> {
        let (sql, id) = both!(log, READ_BUILD, READ_RUN);
        let level = filter.level.map_or("", LogLevel::name);
        let rows = query(sql)
            .bind(id)
            .bind(after)
            .bind(level)
            .bind(level)
            .bind(&filter.phase)
            .bind(&filter.phase)
            .bind(&filter.text)
            .bind(pattern(&filter.text))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        Ok(rows.iter().map(read).collect())
    }

    /// The place of the newest line; 0 when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest_line(&self, log: Log) -> Result<i64> {
        let (sql, id) = both!(log, NEWEST_BUILD, NEWEST_RUN);
        Ok(query(sql).bind(id).fetch_one(&self.readers).await?.get("newest"))
    }

    /// Where reading an instance's output goes on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn output_cursor(&self, instance: &str) -> Result<OutputCursor> {
        let row = query(CURSOR).bind(instance).fetch_optional(&self.readers).await?;
        Ok(row.map_or_else(OutputCursor::default, |row| OutputCursor {
            at_ns: row.get("at_ns"),
            lines_at_that_time: u32::try_from(row.get::<i64>("lines_at_that_time")).unwrap_or(0),
        }))
    }
}

impl Write {
    /// Appends lines and numbers them, together with whatever else is written here: the last line of a deployment is there
    /// exactly when the deployment is over.
    ///
    /// # Errors
    /// When whose lines they are is missing, or the database fails.
    pub async fn append_lines(&mut self, log: Log, lines: &mut [Line]) -> Result<()> {
        let (lock, id) = both!(log, LOCK_BUILD, LOCK_RUN);
        let (newest, _) = both!(log, NEWEST_BUILD, NEWEST_RUN);
        let (insert, _) = both!(log, INSERT_BUILD, INSERT_RUN);
        // Numbers are given one writer after the other, and become visible in their order.
        if !self.lock(lock, &id).await? {
            return Err(Error::missing("log", &id));
        }
        let newest = query(newest).bind(&id).fetch_one(&mut self.transaction).await?;
        let mut sequence: i64 = newest.get("newest");
        for line in lines.iter_mut() {
            sequence += 1;
            line.sequence = sequence;
        }
        for (sql, lines) in in_statements(insert, lines) {
            let mut statement = query(sql);
            for line in lines {
                statement = statement
                    .bind(&id)
                    .bind(line.sequence)
                    .bind(line.at_ns)
                    .bind(line.phase)
                    .bind(line.level.name())
                    .bind(&line.origin)
                    .bind(&line.message);
            }
            statement.execute(&mut self.transaction).await?;
        }
        Ok(())
    }

    async fn move_cursor(&mut self, service: &str, read: &Read<'_>) -> Result<()> {
        let stale = || Error::stale("output", read.instance);
        let done = query(MOVE_CURSOR)
            .bind(read.to.at_ns)
            .bind(i64::from(read.to.lines_at_that_time))
            .bind(read.instance)
            .bind(read.from.at_ns)
            .bind(i64::from(read.from.lines_at_that_time))
            .execute(&mut self.transaction)
            .await?;
        if done == 1 {
            return Ok(());
        }
        if read.from != OutputCursor::default() {
            return Err(stale());
        }
        let inserted = query(INSERT_CURSOR)
            .bind(read.instance)
            .bind(service)
            .bind(read.to.at_ns)
            .bind(i64::from(read.to.lines_at_that_time))
            .execute(&mut self.transaction)
            .await;
        match inserted.map_err(Error::taken("output")) {
            Err(Error::Taken { .. }) => Err(stale()),
            end => end.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{INSERT_BUILD, INSERT_RUN, ROWS};

    #[test]
    fn a_statement_has_as_many_rows_as_it_is_said_to_have() {
        for (insert, table) in [(INSERT_BUILD, "deployment_logs"), (INSERT_RUN, "service_logs")] {
            for (sql, rows) in insert.iter().zip(ROWS) {
                assert!(sql.contains(table));
                assert_eq!(sql.matches("(?, ?, ?, ?, ?, ?, ?)").count(), rows);
                assert_eq!(sql.matches('?').count(), 7 * rows);
            }
        }
    }
}
