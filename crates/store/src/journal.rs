//! The journal of a job's saga: how far each step is.

use domain::JobId;

use crate::{
    Result, Store, Write,
    claims::Claim,
    now_ms,
    services::{from_optional_json, to_json},
    sql::query,
    transaction,
};

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

impl StepState {
    /// The name in the database and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }
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
    /// When it came so far, in milliseconds since 1970.
    pub at_ms: i64,
}

const JOURNAL: &str = "SELECT step, state, made, at_ms FROM saga_journal WHERE job_id = ? ORDER BY position";
const UPDATE: &str =
    "UPDATE saga_journal SET state = ?, made = COALESCE(?, made), at_ms = ? WHERE job_id = ? AND step = ?";
const INSERT: &str = "INSERT INTO saga_journal (job_id, step, position, state, made, at_ms) \
    SELECT ?, ?, COUNT(*), ?, ?, ? FROM saga_journal WHERE job_id = ?";

impl Store {
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
                    at_ms: row.get("at_ms"),
                })
            })
            .collect()
    }

    /// Writes the journal, if this worker still holds the job.
    ///
    /// # Errors
    /// [`Error::LeaseLost`](crate::Error::LeaseLost).
    pub async fn write_journal(
        &self,
        claim: &Claim,
        step: &str,
        state: StepState,
        made: Option<&serde_json::Value>,
    ) -> Result<()> {
        transaction!(self, |write| { write.write_journal(claim, step, state, made).await? })
    }
}

impl Write {
    /// Leaves something in the journal of a job that nobody has begun: what it needs to know, and no row will tell it then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leave_for_job(&mut self, job: JobId, step: &str, made: &serde_json::Value) -> Result<()> {
        query(INSERT)
            .bind(job.to_string())
            .bind(step)
            .bind(StepState::Started.name())
            .bind(to_json(made))
            .bind(now_ms())
            .bind(job.to_string())
            .execute(&mut self.transaction)
            .await
            .map(drop)
    }

    /// Writes the journal, if this worker still holds the job.
    ///
    /// # Errors
    /// [`Error::LeaseLost`](crate::Error::LeaseLost).
    pub async fn write_journal(
        &mut self,
        claim: &Claim,
        step: &str,
        state: StepState,
        made: Option<&serde_json::Value>,
    ) -> Result<()> {
        let job = claim.job.id.to_string();
        let made = made.map(to_json);
        // Steps that run together count their places one after the other under it.
        self.require_lease(claim).await?;
        let done = query(UPDATE)
            .bind(state.name())
            .bind(&made)
            .bind(now_ms())
            .bind(&job)
            .bind(step)
            .execute(&mut self.transaction)
            .await?;
        if done == 0 {
            query(INSERT)
                .bind(&job)
                .bind(step)
                .bind(state.name())
                .bind(&made)
                .bind(now_ms())
                .bind(&job)
                .execute(&mut self.transaction)
                .await?;
        }
        Ok(())
    }
}
