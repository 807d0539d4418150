//! Jobs that wait for other jobs.

use domain::Reason;

use crate::{Error, Result, Store, claims::Claim, now_ms, services::to_json, sql::query};

const WAIT: &str = "UPDATE jobs SET status = 'waiting', reason = ?, run_after_ms = ?, due_at_ms = ?, lease_until_ms = 0 \
    WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";

impl Store {
    /// Puts a job back for later that only waits for others. That is no failure: however long they take, it does not count.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn wait_for_others(&self, claim: &Claim, why: &Reason, after_ms: i64) -> Result<()> {
        let at_ms = now_ms() + after_ms;
        let statement = query(WAIT)
            .bind(to_json(why))
            .bind(at_ms)
            .bind(at_ms)
            .bind(claim.job.id.to_string())
            .bind(&claim.owner)
            .bind(claim.job.attempt);
        if self.change(statement).await? == 0 {
            return Err(Error::LeaseLost(claim.job.id.to_string()));
        }
        Ok(())
    }
}
