//! Jobs: leases with a fence, and the journal of their sagas.
//!
//! A job is claimed by compare-and-set on its `attempt`; the lease is short and renewed while the worker lives, so that a
//! dead worker's job is taken over in seconds. Jobs of one `serial_key` run one after the other, in the order in which
//! they were made.

use domain::{JobId, OrganizationId, Reason};

use crate::{
    Error, Result, Store, Write, now_ms,
    services::{from_optional_json, to_json},
    sql::{Row, query},
    transaction,
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
    /// `waiting`, `running`, `done`, `failed`.
    pub status: String,
    /// How often it was taken; the fence.
    pub attempt: i64,
    /// Why it failed, or waits again.
    pub reason: Option<Reason>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<i64>,
}

/// How far a step of a saga is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// It began; whether it ended is unknown.
    Started,
    /// It ended well.
    Done,
    /// It was undone.
    Undone,
}

/// An entry of a saga's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The step's name.
    pub step: String,
    /// How far it is.
    pub state: StepState,
    /// What it made.
    pub made: Option<serde_json::Value>,
}

const LOCK_ORGANIZATION: &str = "SELECT id FROM organizations WHERE id = ?";
const INSERT: &str = "INSERT INTO jobs (id, organization_id, name, subject, serial_key, status, run_after_ms, created_at_ms) \
    VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?)";
const CANDIDATES: &str = "SELECT * FROM jobs WHERE status IN ('waiting', 'running') AND lease_until_ms <= ? \
    AND run_after_ms <= ? AND NOT EXISTS (SELECT 1 FROM jobs earlier WHERE earlier.serial_key = jobs.serial_key \
    AND earlier.status IN ('waiting', 'running') AND earlier.id < jobs.id) ORDER BY id LIMIT ?";
const CLAIM: &str = "UPDATE jobs SET status = 'running', owner = ?, lease_until_ms = ?, attempt = attempt + 1 \
    WHERE id = ? AND attempt = ? AND lease_until_ms <= ? AND status IN ('waiting', 'running')";
const RENEW: &str =
    "UPDATE jobs SET lease_until_ms = ? WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const FINISH: &str = "UPDATE jobs SET status = ?, reason = ?, finished_at_ms = ?, lease_until_ms = 0 \
    WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const AGAIN: &str = "UPDATE jobs SET status = 'waiting', reason = ?, run_after_ms = ?, lease_until_ms = 0 \
    WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const RELEASE: &str = "UPDATE jobs SET lease_until_ms = 0 WHERE status = 'running'";
const CANCEL_WAITING: &str = "UPDATE jobs SET status = 'done', finished_at_ms = ? \
    WHERE subject = ? AND name = ? AND status = 'waiting' AND attempt = 0";
const GET: &str = "SELECT * FROM jobs WHERE organization_id = ? AND id = ?";
const LIST: &str = "SELECT * FROM jobs WHERE organization_id = ? AND id < ? ORDER BY id DESC LIMIT ?";
const NEXT_RUN: &str = "SELECT MIN(run_after_ms) AS due_at_ms FROM jobs WHERE status = 'waiting'";
const UNFINISHED_OF: &str =
    "SELECT COUNT(*) AS number FROM jobs WHERE serial_key = ? AND status IN ('waiting', 'running')";
const UNFINISHED_KEYS: &str = "SELECT DISTINCT serial_key FROM jobs WHERE status IN ('waiting', 'running')";
const HOLDS: &str = "SELECT 1 FROM jobs WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const JOURNAL: &str = "SELECT step, state, made FROM saga_journal WHERE job_id = ? ORDER BY position";
const JOURNAL_UPDATE: &str =
    "UPDATE saga_journal SET state = ?, made = COALESCE(?, made), at_ms = ? WHERE job_id = ? AND step = ?";
const JOURNAL_INSERT: &str = "INSERT INTO saga_journal (job_id, step, position, state, made, at_ms) \
    SELECT ?, ?, COUNT(*), ?, ?, ? FROM saga_journal WHERE job_id = ?";
const PRUNE: &str = "DELETE FROM jobs WHERE status IN ('done', 'failed') AND finished_at_ms < ?";

/// A claim: what the worker shows with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// Who holds it.
    pub owner: String,
}

fn read(row: &Row) -> Result<Job> {
    Ok(Job {
        id: row.get::<&str>("id").parse().map_err(Error::corrupt("job id"))?,
        organization: row
            .get::<&str>("organization_id")
            .parse()
            .map_err(Error::corrupt("organization id"))?,
        name: row.get("name"),
        subject: row.get("subject"),
        status: row.get("status"),
        attempt: row.get("attempt"),
        reason: from_optional_json(row, "reason")?,
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
        query(INSERT)
            .bind(id.to_string())
            .bind(&tenant)
            .bind(name)
            .bind(subject)
            .bind(serial_key)
            .bind(now_ms())
            .bind(now_ms())
            .execute(&mut self.transaction)
            .await?;
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

    /// Goes on only if the worker still holds the job, and keeps it from others until the write ends: the fence of whatever
    /// else is written here.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn require_lease(&mut self, claim: &Claim) -> Result<()> {
        let holds = query(HOLDS)
            .bind(claim.job.id.to_string())
            .bind(&claim.owner)
            .bind(claim.job.attempt)
            .locking()
            .fetch_optional(&mut self.transaction)
            .await?;
        if holds.is_some() {
            Ok(())
        } else {
            Err(Error::LeaseLost(claim.job.id.to_string()))
        }
    }

    /// Ends a job that this worker holds.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn finish_job(&mut self, claim: &Claim, failed: Option<&Reason>) -> Result<()> {
        let done = query(FINISH)
            .bind(if failed.is_some() { "failed" } else { "done" })
            .bind(failed.map(to_json))
            .bind(now_ms())
            .bind(claim.job.id.to_string())
            .bind(&claim.owner)
            .bind(claim.job.attempt)
            .execute(&mut self.transaction)
            .await?;
        if done == 0 {
            Err(Error::LeaseLost(claim.job.id.to_string()))
        } else {
            Ok(())
        }
    }
}

impl Store {
    /// Claims up to `limit` jobs that are due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_jobs(&self, owner: &str, lease_ms: i64, limit: i64) -> Result<Vec<Claim>> {
        let now = now_ms();
        let rows = query(CANDIDATES)
            .bind(now)
            .bind(now)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let mut claims = Vec::new();
        for row in &rows {
            let mut job = read(row)?;
            let claiming = query(CLAIM)
                .bind(owner)
                .bind(now + lease_ms)
                .bind(job.id.to_string())
                .bind(job.attempt)
                .bind(now);
            if self.change(claiming).await? == 1 {
                job.attempt += 1;
                job.status = "running".to_owned();
                claims.push(Claim {
                    job,
                    owner: owner.to_owned(),
                });
            }
        }
        Ok(claims)
    }

    /// Renews a lease; false when it is lost.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_lease(&self, claim: &Claim, lease_ms: i64) -> Result<bool> {
        let renewing = query(RENEW)
            .bind(now_ms() + lease_ms)
            .bind(claim.job.id.to_string())
            .bind(&claim.owner)
            .bind(claim.job.attempt);
        Ok(self.change(renewing).await? > 0)
    }

    /// Ends a job that this worker holds.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn finish_job(&self, claim: &Claim, failed: Option<&Reason>) -> Result<()> {
        transaction!(self, |write| { write.finish_job(claim, failed).await? })
    }

    /// Puts a job back for later.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn put_back(&self, claim: &Claim, why: &Reason, after_ms: i64) -> Result<()> {
        let done = self
            .change(
                query(AGAIN)
                    .bind(to_json(why))
                    .bind(now_ms() + after_ms)
                    .bind(claim.job.id.to_string())
                    .bind(&claim.owner)
                    .bind(claim.job.attempt),
            )
            .await?;
        if done == 0 {
            return Err(Error::LeaseLost(claim.job.id.to_string()));
        }
        Ok(())
    }

    /// Ends every lease. Only for the one process that holds the lock of a database file: whoever held them is dead. On a
    /// server, leases of the dead end by their time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_all_leases(&self) -> Result<u64> {
        self.change(query(RELEASE)).await
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
        let rows = query(LIST)
            .bind(organization.to_string())
            .bind(before)
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

    /// Forgets jobs that ended before a time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_jobs(&self, before_ms: i64) -> Result<u64> {
        self.change(query(PRUNE).bind(before_ms)).await
    }

    /// The journal of a job's saga, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn journal(&self, job: JobId) -> Result<Vec<JournalEntry>> {
        let rows = query(JOURNAL).bind(job.to_string()).fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| {
                Ok(JournalEntry {
                    step: row.get("step"),
                    state: match row.get::<&str>("state") {
                        "done" => StepState::Done,
                        "undone" => StepState::Undone,
                        _ => StepState::Started,
                    },
                    made: from_optional_json(row, "made")?,
                })
            })
            .collect()
    }

    /// Writes the journal, if this worker still holds the job.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn write_journal(
        &self,
        claim: &Claim,
        step: &str,
        state: StepState,
        made: Option<&serde_json::Value>,
    ) -> Result<()> {
        let job = claim.job.id.to_string();
        let state = match state {
            StepState::Started => "started",
            StepState::Done => "done",
            StepState::Undone => "undone",
        };
        let made = made.map(to_json);
        transaction!(self, |write| {
            // Steps that run together count their places one after the other under it.
            write.require_lease(claim).await?;
            let done = query(JOURNAL_UPDATE)
                .bind(state)
                .bind(&made)
                .bind(now_ms())
                .bind(&job)
                .bind(step)
                .execute(&mut write.transaction)
                .await?;
            if done == 0 {
                query(JOURNAL_INSERT)
                    .bind(&job)
                    .bind(step)
                    .bind(state)
                    .bind(&made)
                    .bind(now_ms())
                    .bind(&job)
                    .execute(&mut write.transaction)
                    .await?;
            }
        })
    }
}
