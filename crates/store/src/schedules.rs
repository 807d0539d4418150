//! What is done again and again: a job is enqueued when its time has come, by one of however many workers look.

use crate::{Error, Result, Store, now_ms, sql::query, transaction};

/// The organization whose jobs are the installation's own. No user can choose such a name.
const INSTALLATION: &str = "(installation)";

/// Also what is further away than it ever is: the clock was set back.
const DUE: &str = "SELECT name, every_ms, next_at_ms FROM schedules WHERE next_at_ms <= ? OR next_at_ms > ? + every_ms";
const SET: &str = "UPDATE schedules SET every_ms = ? WHERE name = ?";
const INSERT: &str = "INSERT INTO schedules (name, every_ms, next_at_ms) VALUES (?, ?, ?)";
const ADVANCE: &str = "UPDATE schedules SET next_at_ms = ? WHERE name = ? AND next_at_ms = ?";
const UNFINISHED: &str = "SELECT id FROM jobs WHERE serial_key = ? AND status IN ('waiting', 'running') LIMIT 1";

impl Store {
    /// Keeps that a kind of job is to be done every so many milliseconds, first at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn schedule(&self, name: &str, every_ms: i64) -> Result<()> {
        let setting = query(SET).bind(every_ms).bind(name);
        if self.change(setting).await? > 0 {
            return Ok(());
        }
        let inserting = query(INSERT).bind(name).bind(every_ms).bind(now_ms());
        match self.change(inserting).await.map_err(Error::taken("schedule")) {
            // Another process was first.
            Err(Error::Taken { .. }) => Ok(()),
            end => end.map(drop),
        }
    }

    /// Enqueues the jobs whose time has come, each once whoever else looks; how many. Times that were missed are not made
    /// up for, and a job that is not over yet is not enqueued again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue_scheduled(&self) -> Result<u64> {
        let now = now_ms();
        let due = query(DUE).bind(now).bind(now).fetch_all(&self.readers).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let organization = self.ensure_organization(INSTALLATION).await?;
        let mut enqueued = 0;
        for row in &due {
            let (name, every_ms, seen): (&str, i64, i64) =
                (row.get("name"), row.get("every_ms"), row.get("next_at_ms"));
            let key = format!("schedule/{name}");
            // Its own time after the last one, unless times were missed or the clock was set back.
            let next = Some(seen + every_ms).filter(|next| (now + 1..=now + every_ms).contains(next));
            let next = next.unwrap_or(now + every_ms);
            enqueued += transaction!(self, |write| {
                let advanced = query(ADVANCE)
                    .bind(next)
                    .bind(name)
                    .bind(seen)
                    .execute(&mut write.transaction)
                    .await?;
                let unfinished = query(UNFINISHED).bind(&key).fetch_optional(&mut write.transaction);
                if advanced == 0 || unfinished.await?.is_some() {
                    0
                } else {
                    write.enqueue(organization, name, name, &key).await?;
                    1
                }
            })?;
        }
        Ok(enqueued)
    }
}
