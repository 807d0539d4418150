//! Jobs: work that must not be forgotten, a row each. Jobs of one `serial_key` run one after the other, in the order in
//! which they were made. Who works on them: [`claims`](crate::claims).

use domain::{JobId, OrganizationId, Reason};

use crate::{
    Error, Result, Store, Write,
    kinds::Kind,
    now_ms,
    services::from_optional_json,
    sql::{Row, query},
    transaction,
};
pub use crate::{
    claims::{Claim, Later, Room},
    journal::{JournalEntry, StepState},
};

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its tenant.
    pub organization: OrganizationId,
    /// What is to be done: `deploy`, `stop-service`, ….
    pub name: String,
    /// What it is done to: an id.
    pub subject: String,
    /// Jobs with the same one run one after the other.
    pub serial_key: String,
    /// `waiting`, `running`, `stuck` (it waits, and has failed often), `done`, `failed`, `dead` (it was given up, and its
    /// work is left).
    pub status: String,
    /// How often it was taken; the fence.
    pub attempt: i64,
    /// How often it was tried in vain since it was made or asked for again.
    pub failures: i64,
    /// Since when it is tried in vain, in milliseconds since 1970.
    pub failing_since_ms: Option<i64>,
    /// Why it failed, or waits again.
    pub reason: Option<Reason>,
    /// The step of its saga where it does not go on.
    pub step: Option<String>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<i64>,
}

pub(crate) const LOCK_ORGANIZATION: &str = "SELECT id FROM organizations WHERE id = ?";
const INSERT: &str = "INSERT INTO jobs (id, organization_id, name, subject, serial_key, status, priority, run_after_ms, \
    due_at_ms, created_at_ms) VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?)";
const CANCEL_WAITING: &str = "UPDATE jobs SET status = 'done', finished_at_ms = ? \
    WHERE subject = ? AND name = ? AND status = 'waiting' AND attempt = 0";
const RETRY: &str = "UPDATE jobs SET status = 'waiting', run_after_ms = ?, due_at_ms = ?, failures = 0, \
    failing_since_ms = NULL, stuck = 0, finished_at_ms = NULL \
    WHERE organization_id = ? AND id = ? AND (status = 'dead' OR (status = 'waiting' AND stuck = 1))";
const GET: &str = "SELECT * FROM jobs WHERE organization_id = ? AND id = ?";
const LIST: &str = "SELECT * FROM jobs WHERE organization_id = ? AND id < ? AND (? = '' OR name = ?) \
    AND (? = '' OR CASE WHEN status = 'waiting' AND stuck = 1 THEN 'stuck' ELSE status END = ?) \
    ORDER BY id DESC LIMIT ?";
const NEXT_RUN: &str = "SELECT MIN(run_after_ms) AS due_at_ms FROM jobs WHERE status = 'waiting'";
const UNFINISHED_OF: &str =
    "SELECT COUNT(*) AS number FROM jobs WHERE serial_key = ? AND status IN ('waiting', 'running')";
const UNFINISHED_KEYS: &str = "SELECT DISTINCT serial_key FROM jobs WHERE status IN ('waiting', 'running')";

pub(crate) fn read(row: &Row) -> Result<Job> {
    let status: &str = row.get("status");
    let stuck = status == "waiting" && row.get::<i64>("stuck") != 0;
    Ok(Job {
        id: row.get::<&str>("id").parse().map_err(Error::corrupt("job id"))?,
        organization: row
            .get::<&str>("organization_id")
            .parse()
            .map_err(Error::corrupt("organization id"))?,
        name: row.get("name"),
        subject: row.get("subject"),
        serial_key: row.get("serial_key"),
        status: if stuck { "stuck" } else { status }.to_owned(),
        attempt: row.get("attempt"),
        failures: row.get("failures"),
        failing_since_ms: row.get("failing_since_ms"),
        reason: from_optional_json(row, "reason")?,
        step: row.get("step"),
        created_at_ms: row.get("created_at_ms"),
        finished_at_ms: row.get("finished_at_ms"),
    })
}

impl Write {
    /// Enqueues a job, in the transaction that made it necessary.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue(
        &mut self,
        organization: OrganizationId,
        name: &str,
        subject: &str,
        serial_key: &str,
    ) -> Result<JobId> {
        // Jobs of a key run in the order of their ids. So an id is minted only when no other write can commit an earlier one
        // later: nobody who looks for jobs would have seen that one.
        let tenant = organization.to_string();
        self.lock(LOCK_ORGANIZATION, &tenant).await?;
        let id = JobId::mint();
        let now = now_ms();
        query(INSERT)
            .bind(id.to_string())
            .bind(&tenant)
            .bind(name)
            .bind(subject)
            .bind(serial_key)
            .bind(Kind::of(name).priority)
            .bind(now)
            .bind(now)
            .bind(now)
            .execute(&mut self.transaction)
            .await?;
        self.wake_workers().await?;
        Ok(id)
    }

    /// Takes a job that nobody has begun out of the queue; false when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_waiting(&mut self, name: &str, subject: &str) -> Result<bool> {
        let done = query(CANCEL_WAITING)
            .bind(now_ms())
            .bind(subject)
            .bind(name)
            .execute(&mut self.transaction)
            .await?;
        Ok(done > 0)
    }

    /// Wakes the workers of all processes when this commits.
    async fn wake_workers(&mut self) -> Result<()> {
        self.transaction.wake("jobs").await
    }
}

impl Store {
    /// Asks for a dead or stuck job again, at once; it goes on where its journal ends. False when it is neither.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn retry_job(&self, organization: OrganizationId, id: JobId) -> Result<bool> {
        let (tenant, key) = (organization.to_string(), id.to_string());
        let done = transaction!(self, |write| {
            let now = now_ms();
            let done = query(RETRY)
                .bind(now)
                .bind(now)
                .bind(&tenant)
                .bind(&key)
                .execute(&mut write.transaction)
                .await?;
            // Whoever is just taking a job of its key sees it, or is seen.
            write.lock(LOCK_ORGANIZATION, &tenant).await?;
            write.wake_workers().await?;
            done
        })?;
        if done == 0 {
            self.job(organization, id).await?;
        }
        Ok(done > 0)
    }

    /// One job of an organization.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn job(&self, organization: OrganizationId, id: JobId) -> Result<Job> {
        let row = query(GET)
            .bind(organization.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or_else(|| Error::missing("job", id))?;
        read(&row)
    }

    /// Jobs before an id (or `~` for the newest), newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn jobs(&self, organization: OrganizationId, before: &str, limit: i64) -> Result<Vec<Job>> {
        self.find_jobs(organization, "", "", before, limit).await
    }

    /// Jobs of a kind and a status (any, where they are empty) before an id (or `~` for the newest), newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_jobs(
        &self,
        organization: OrganizationId,
        name: &str,
        status: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Job>> {
        let rows = query(LIST)
            .bind(organization.to_string())
            .bind(before)
            .bind(name)
            .bind(name)
            .bind(status)
            .bind(status)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// When the next waiting job is due, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_job_at(&self) -> Result<Option<i64>> {
        Ok(query(NEXT_RUN).fetch_one(&self.readers).await?.get("due_at_ms"))
    }

    /// How many jobs of a serial key are not over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished_jobs_of(&self, serial_key: &str) -> Result<i64> {
        Ok(query(UNFINISHED_OF)
            .bind(serial_key)
            .fetch_one(&self.readers)
            .await?
            .get("number"))
    }

    /// The serial keys of all jobs that are not over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished_serial_keys(&self) -> Result<std::collections::BTreeSet<String>> {
        let rows = query(UNFINISHED_KEYS).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| row.get("serial_key")).collect())
    }
}
