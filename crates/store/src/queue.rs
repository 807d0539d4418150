//! How the queue is, over all organizations: for metrics and alerts.

use std::collections::BTreeMap;

use crate::{Result, Store, kinds::LONGEST_PAUSE_MS, now_ms, sql::query};

/// How the jobs of one kind are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Jobs that wait, stuck ones apart.
    pub waiting: i64,
    /// Jobs that a worker holds.
    pub running: i64,
    /// Jobs that keep failing and are tried again.
    pub stuck: i64,
    /// Jobs that were given up.
    pub dead: i64,
    /// Since when, in milliseconds since 1970, the oldest job could have been worked on and was not.
    pub due_since_ms: Option<i64>,
}

const FIGURES: &str = "SELECT name, status, stuck, COUNT(*) AS number FROM jobs \
    WHERE status IN ('waiting', 'running', 'dead') GROUP BY name, status, stuck";
/// A job whose time a clock that was set back has moved far away is claimed, and is due: since it was made, for all that
/// is known.
const DUE: &str = "SELECT name, MIN(CASE WHEN run_after_ms > ? THEN created_at_ms ELSE due_at_ms END) AS due_since_ms \
    FROM jobs WHERE status = 'waiting' AND (run_after_ms <= ? OR run_after_ms > ?) \
    AND NOT EXISTS (SELECT 1 FROM jobs earlier WHERE earlier.serial_key = jobs.serial_key \
    AND earlier.status IN ('waiting', 'running') AND earlier.id < jobs.id) \
    AND NOT EXISTS (SELECT 1 FROM jobs beside WHERE beside.serial_key = jobs.serial_key AND beside.status = 'running') \
    GROUP BY name";
const LEFT: &str = "SELECT name, MIN(lease_until_ms) AS due_since_ms FROM jobs \
    WHERE status = 'running' AND lease_until_ms > 0 AND lease_until_ms <= ? GROUP BY name";

impl Store {
    /// How the jobs of each kind are that has any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queue(&self) -> Result<BTreeMap<String, KindFigures>> {
        let now = now_ms();
        let mut kinds = BTreeMap::<String, KindFigures>::new();
        for row in query(FIGURES).fetch_all(&self.readers).await? {
            let kind = kinds.entry(row.get("name")).or_default();
            let number: i64 = row.get("number");
            match (row.get::<&str>("status"), row.get::<i64>("stuck")) {
                ("running", _) => kind.running += number,
                ("dead", _) => kind.dead += number,
                (_, 0) => kind.waiting += number,
                _ => kind.stuck += number,
            }
        }
        let far = now + LONGEST_PAUSE_MS;
        for statement in [query(DUE).bind(far).bind(now).bind(far), query(LEFT).bind(now)] {
            for row in statement.fetch_all(&self.readers).await? {
                let kind = kinds.entry(row.get("name")).or_default();
                let since = row.get::<i64>("due_since_ms").min(now);
                kind.due_since_ms = Some(kind.due_since_ms.map_or(since, |before| before.min(since)));
            }
        }
        Ok(kinds)
    }
}
