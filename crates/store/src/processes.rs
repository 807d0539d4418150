//! Which processes of the platform work on this database, for operators. Nothing is decided by it.

use crate::{Result, Store, now_ms, sql::query};

/// A process of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name in leases.
    pub id: String,
    /// What it does: `all`, `api`, `worker`.
    pub role: String,
    /// The name of its machine.
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When it said last that it lives, by its own clock, in milliseconds since 1970.
    pub seen_at_ms: i64,
}

/// One that was silent for so long is forgotten.
const FORGOTTEN_MS: i64 = 3600 * 1000;

const SEEN: &str = "UPDATE processes SET seen_at_ms = ? WHERE id = ?";
const INSERT: &str =
    "INSERT INTO processes (id, role, host, version, started_at_ms, seen_at_ms) VALUES (?, ?, ?, ?, ?, ?)";
const DELETE: &str = "DELETE FROM processes WHERE id = ?";
const FORGET: &str = "DELETE FROM processes WHERE seen_at_ms < ?";
const FORGET_ALL: &str = "DELETE FROM processes";
const ALL: &str = "SELECT * FROM processes ORDER BY started_at_ms, id";

impl Store {
    /// Keeps that a process lives; the first time with what it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn see_process(&self, process: &Process) -> Result<()> {
        let now = now_ms();
        if self.change(query(SEEN).bind(now).bind(&process.id)).await? == 1 {
            return Ok(());
        }
        self.change(query(FORGET).bind(now - FORGOTTEN_MS)).await?;
        let inserting = query(INSERT)
            .bind(&process.id)
            .bind(&process.role)
            .bind(&process.host)
            .bind(&process.version)
            .bind(process.started_at_ms)
            .bind(now);
        self.change(inserting).await.map(drop)
    }

    /// Forgets a process that ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_process(&self, id: &str) -> Result<()> {
        self.change(query(DELETE).bind(id)).await.map(drop)
    }

    pub(crate) async fn forget_all_processes(&self) -> Result<()> {
        self.change(query(FORGET_ALL)).await.map(drop)
    }

    /// Every process, the oldest first. One that was killed is among them for an hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn processes(&self) -> Result<Vec<Process>> {
        let rows = query(ALL).fetch_all(&self.readers).await?;
        let read = |row: &crate::sql::Row| Process {
            id: row.get("id"),
            role: row.get("role"),
            host: row.get("host"),
            version: row.get("version"),
            started_at_ms: row.get("started_at_ms"),
            seen_at_ms: row.get("seen_at_ms"),
        };
        Ok(rows.iter().map(read).collect())
    }
}
