//! Who works on which job: leases with a fence, and how a claim ends. Whose turn it is: [`turns`](crate::turns).
//!
//! A waiting job is claimed by compare-and-set on its status, one whose worker died on its `attempt`; each claim counts
//! `attempt` up, and every write of the job shows it. The lease is short and renewed while the worker lives, so that a dead
//! worker's job is taken over in seconds.

use std::collections::BTreeMap;

use domain::{OrganizationId, Reason};

use crate::{Error, Result, Store, Write, jobs::Job, now_ms, services::to_json, sql::query, transaction};

/// A claim: what the worker shows with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// Who holds it.
    pub owner: String,
    /// Whoever held it before let go of it in order, because it was told to stop.
    pub handed_over: bool,
}

/// What a worker has room for.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// Places that are free.
    pub places: usize,
    /// How many places each organization has already. Nobody takes more than are left for the others, so that whoever
    /// comes last still finds one. Without it, places go to whoever has work.
    pub held: Option<BTreeMap<OrganizationId, usize>>,
    /// The organization whose turn was last.
    pub last: String,
}

impl Room {
    pub(crate) fn has_for(&self, organization: OrganizationId) -> bool {
        let held = |held: &BTreeMap<OrganizationId, usize>| held.get(&organization).copied().unwrap_or(0);
        self.places > self.held.as_ref().map_or(0, held)
    }

    pub(crate) fn take(&mut self, organization: OrganizationId) {
        self.places = self.places.saturating_sub(1);
        if let Some(held) = &mut self.held {
            *held.entry(organization).or_default() += 1;
        }
    }
}

/// How a job is put back for later.
#[derive(Debug, Clone, Copy)]
pub struct Later<'a> {
    /// Why it did not come to its end.
    pub why: &'a Reason,
    /// Not before so many milliseconds.
    pub after_ms: i64,
    /// The step of its saga where it does not go on.
    pub step: Option<&'a str>,
    /// It has failed so often that someone should look.
    pub stuck: bool,
}

const RENEW: &str =
    "UPDATE jobs SET lease_until_ms = ? WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
pub(crate) const HOLDS: &str = "SELECT 1 FROM jobs WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const FINISH: &str = "UPDATE jobs SET status = ?, reason = ?, step = ?, stuck = 0, finished_at_ms = ?, \
    lease_until_ms = 0 WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const FREE_KEY: &str = "UPDATE jobs SET due_at_ms = ? WHERE serial_key = ? AND status = 'waiting' AND due_at_ms < ?";
const PUT_BACK: &str = "UPDATE jobs SET status = 'waiting', reason = ?, step = ?, stuck = ?, failures = failures + 1, \
    failing_since_ms = COALESCE(failing_since_ms, ?), run_after_ms = ?, due_at_ms = ?, lease_until_ms = 0 \
    WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const HAND_OVER: &str = "UPDATE jobs SET lease_until_ms = 0, handed_over = 1 WHERE status = 'running' AND owner = ?";
const RELEASE: &str = "UPDATE jobs SET lease_until_ms = 0 WHERE status = 'running'";

impl Store {
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
        let (step, stuck) = (None, false);
        self.try_later(
            claim,
            &Later {
                why,
                after_ms,
                step,
                stuck,
            },
        )
        .await
    }

    /// Puts a job back for later, and counts that it failed.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn try_later(&self, claim: &Claim, later: &Later<'_>) -> Result<()> {
        let now = now_ms();
        let statement = query(PUT_BACK)
            .bind(to_json(later.why))
            .bind(later.step.map(ToOwned::to_owned))
            .bind(i64::from(later.stuck))
            .bind(now)
            .bind(now + later.after_ms)
            .bind(now + later.after_ms)
            .bind(claim.job.id.to_string())
            .bind(&claim.owner)
            .bind(claim.job.attempt);
        if self.change(statement).await? == 0 {
            return Err(Error::LeaseLost(claim.job.id.to_string()));
        }
        Ok(())
    }

    /// Lets go of every job that a worker holds, for others to go on with at once: how many.
    ///
    /// # Errors
    /// When the database fails; then the leases end by their time.
    pub async fn hand_over(&self, owner: &str) -> Result<u64> {
        self.change(query(HAND_OVER).bind(owner)).await
    }

    /// Ends every lease, and forgets the processes that were. Only for the one process that holds the lock of a database
    /// file: whoever held them is dead. On a server, leases of the dead end by their time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_all_leases(&self) -> Result<u64> {
        self.forget_all_processes().await?;
        self.change(query(RELEASE)).await
    }
}

impl Write {
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

    /// Ends a job that this worker holds: its work is done, or came to an orderly end that is a failure.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn finish_job(&mut self, claim: &Claim, failed: Option<&Reason>) -> Result<()> {
        let status = if failed.is_some() { "failed" } else { "done" };
        self.end_job(claim, status, failed, None).await
    }

    /// Gives a job up that did not come to its end: it is dead until someone asks for it again. Jobs behind it go on.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn bury_job(&mut self, claim: &Claim, reason: &Reason, step: Option<&str>) -> Result<()> {
        self.end_job(claim, "dead", Some(reason), step).await
    }

    async fn end_job(
        &mut self,
        claim: &Claim,
        status: &str,
        reason: Option<&Reason>,
        step: Option<&str>,
    ) -> Result<()> {
        let now = now_ms();
        let done = query(FINISH)
            .bind(status)
            .bind(reason.map(to_json))
            .bind(step.map(ToOwned::to_owned))
            .bind(now)
            .bind(claim.job.id.to_string())
            .bind(&claim.owner)
            .bind(claim.job.attempt)
            .execute(&mut self.transaction)
            .await?;
        if done == 0 {
            return Err(Error::LeaseLost(claim.job.id.to_string()));
        }
        self.free_key(&claim.job.serial_key).await
    }

    /// What waited behind a job that is over could begin from now on.
    pub(crate) async fn free_key(&mut self, serial_key: &str) -> Result<()> {
        let now = now_ms();
        query(FREE_KEY)
            .bind(now)
            .bind(serial_key)
            .bind(now)
            .execute(&mut self.transaction)
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_last_still_finds_a_place() {
        let mut room = Room {
            places: 64,
            held: Some(BTreeMap::new()),
            ..Room::default()
        };
        for _ in 0..6 {
            let greedy = OrganizationId::mint();
            assert!(room.has_for(greedy));
            while room.has_for(greedy) {
                room.take(greedy);
            }
        }
        assert!(room.places > 0);
    }
}
