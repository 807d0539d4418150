//! Who works on which job: claims in turns between organizations, leases with a fence, and how a claim ends.
//!
//! A waiting job is claimed by compare-and-set on its status, one whose worker died on its `attempt`; each claim counts
//! `attempt` up, and every write of the job shows it. The lease is short and renewed while the worker lives, so that a dead
//! worker's job is taken over in seconds.

use std::collections::{BTreeMap, BTreeSet};

use domain::{OrganizationId, Reason};

use crate::{
    Error, Result, Store, Write,
    jobs::{Job, LOCK_ORGANIZATION, read},
    kinds::{Kind, LONGEST_PAUSE_MS},
    now_ms,
    services::to_json,
    sql::query,
    transaction,
};

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
    fn has_for(&self, organization: OrganizationId) -> bool {
        let held = |held: &BTreeMap<OrganizationId, usize>| held.get(&organization).copied().unwrap_or(0);
        self.places > self.held.as_ref().map_or(0, held)
    }

    fn take(&mut self, organization: OrganizationId) {
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

/// Leases that ended without a word.
const EXPIRED: &str =
    "SELECT * FROM jobs WHERE status = 'running' AND lease_until_ms <= ? ORDER BY lease_until_ms LIMIT ?";
const TAKE_OVER: &str = "UPDATE jobs SET owner = ?, lease_until_ms = ?, attempt = attempt + 1, handed_over = 0 \
    WHERE id = ? AND attempt = ? AND status = 'running' AND lease_until_ms <= ?";
const RUNNING: &str = "SELECT name, COUNT(*) AS number FROM jobs WHERE status = 'running' GROUP BY name";
/// The next organization that has waiting jobs, and its next job. It is found by the index, so that it costs the same
/// however many jobs wait or are over.
const TURN: &str = "SELECT turn.organization_id, (SELECT head.id FROM jobs head WHERE head.status = 'waiting' \
    AND head.organization_id = turn.organization_id AND (head.run_after_ms <= ? OR head.run_after_ms > ?) \
    AND head.name NOT IN (?, ?, ?, ?, ?, ?) \
    AND NOT EXISTS (SELECT 1 FROM jobs earlier WHERE earlier.serial_key = head.serial_key \
    AND earlier.status IN ('waiting', 'running') AND earlier.id < head.id) \
    AND NOT EXISTS (SELECT 1 FROM jobs beside WHERE beside.serial_key = head.serial_key AND beside.status = 'running') \
    ORDER BY head.priority, head.id LIMIT 1) AS job_id FROM (SELECT MIN(organization_id) AS organization_id \
    FROM jobs WHERE status = 'waiting' AND organization_id > ?) turn";
/// How many kinds [`TURN`] can leave out.
const LIMITED: usize = 6;
const CLAIM: &str = "UPDATE jobs SET status = 'running', owner = ?, lease_until_ms = ?, attempt = attempt + 1 \
    WHERE id = ? AND status = 'waiting' AND (run_after_ms <= ? OR run_after_ms > ?)";
const TAKEN: &str = "SELECT * FROM jobs WHERE id = ?";
const BEFORE: &str = "SELECT id FROM jobs WHERE serial_key = ? AND status IN ('waiting', 'running') AND id <> ? \
    AND (id < ? OR status = 'running')";
const LOCK_LIMITS: &str = "SELECT name FROM installation WHERE name = ?";
const RUNNING_OF_KIND: &str = "SELECT COUNT(*) AS number FROM jobs WHERE status = 'running' AND name = ?";
const RENEW: &str =
    "UPDATE jobs SET lease_until_ms = ? WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const HOLDS: &str = "SELECT 1 FROM jobs WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const FINISH: &str = "UPDATE jobs SET status = ?, reason = ?, step = ?, stuck = 0, finished_at_ms = ?, \
    lease_until_ms = 0 WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const FREE_KEY: &str = "UPDATE jobs SET due_at_ms = ? WHERE serial_key = ? AND status = 'waiting' AND due_at_ms < ?";
const PUT_BACK: &str = "UPDATE jobs SET status = 'waiting', reason = ?, step = ?, stuck = ?, failures = failures + 1, \
    failing_since_ms = COALESCE(failing_since_ms, ?), run_after_ms = ?, due_at_ms = ?, lease_until_ms = 0 \
    WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'";
const HAND_OVER: &str = "UPDATE jobs SET lease_until_ms = 0, handed_over = 1 WHERE status = 'running' AND owner = ?";
const RELEASE: &str = "UPDATE jobs SET lease_until_ms = 0 WHERE status = 'running'";

/// What came of trying to take a job.
enum Taken {
    Yes(Box<Job>),
    /// Somebody else was quicker.
    No,
    /// As many of its kind run as may.
    Full(String),
}

impl Store {
    /// Claims up to `limit` jobs that are due, whosever they are; see [`claim`](Self::claim).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_jobs(&self, owner: &str, lease_ms: i64, limit: i64) -> Result<Vec<Claim>> {
        let mut room = Room {
            places: usize::try_from(limit).unwrap_or(0),
            ..Room::default()
        };
        self.claim(owner, lease_ms, &mut room).await
    }

    /// Claims jobs that are due while there is room: first those whose worker died, then one of each organization in
    /// turn, again and again; inside of an organization by priority and age.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(&self, owner: &str, lease_ms: i64, room: &mut Room) -> Result<Vec<Claim>> {
        let now = now_ms();
        let until = now + lease_ms;
        let mut claims = Vec::new();
        if room.places == 0 {
            return Ok(claims);
        }
        let places = i64::try_from(room.places).unwrap_or(i64::MAX);
        let expired = query(EXPIRED).bind(now).bind(places).fetch_all(&self.readers).await?;
        for row in &expired {
            let mut job = read(row)?;
            let taking = query(TAKE_OVER)
                .bind(owner)
                .bind(until)
                .bind(job.id.to_string())
                .bind(job.attempt)
                .bind(now);
            if self.change(taking).await? == 1 {
                job.attempt += 1;
                room.take(job.organization);
                claims.push(Claim {
                    job,
                    owner: owner.to_owned(),
                    handed_over: row.get::<i64>("handed_over") != 0,
                });
            }
        }
        let mut full = self.full_kinds().await?;
        // Whoever had nothing for us since a job was taken the last time.
        let mut passed = BTreeSet::new();
        let mut wrapped = false;
        while room.places > 0 {
            let Some((organization, head)) = self.turn(now, &full, &room.last).await? else {
                // Nobody is behind the last one: it goes on with the first.
                if wrapped {
                    break;
                }
                wrapped = true;
                room.last.clear();
                continue;
            };
            if passed.contains(&organization) {
                break;
            }
            organization.to_string().clone_into(&mut room.last);
            let taken = match head.filter(|_| room.has_for(organization)) {
                Some(head) => self.take(&head, owner, until, now).await?,
                None => Taken::No,
            };
            match taken {
                Taken::Yes(job) => {
                    (wrapped, passed) = (false, BTreeSet::new());
                    room.take(organization);
                    if let Some(at_once) = Kind::of(&job.name).at_once {
                        full.count(&job.name, at_once, 1);
                    }
                    claims.push(Claim {
                        job: *job,
                        owner: owner.to_owned(),
                        handed_over: false,
                    });
                }
                Taken::Full(kind) => full.count(&kind, 0, 0),
                Taken::No => drop(passed.insert(organization)),
            }
        }
        Ok(claims)
    }

    /// The next organization with waiting jobs after one, and its next job of a kind that is not full.
    async fn turn(&self, now: i64, full: &Full, after: &str) -> Result<Option<(OrganizationId, Option<String>)>> {
        let mut statement = query(TURN).bind(now).bind(now + LONGEST_PAUSE_MS);
        let mut names = full.names();
        for _ in 0..LIMITED {
            statement = statement.bind(names.next().unwrap_or_default());
        }
        let row = statement.bind(after).fetch_one(&self.readers).await?;
        let Some(organization) = row.get::<Option<&str>>("organization_id") else {
            return Ok(None);
        };
        let organization = organization.parse().map_err(Error::corrupt("organization id"))?;
        Ok(Some((organization, row.get("job_id"))))
    }

    /// Takes a waiting job in a short transaction: if it still waits, nothing of its key is before or beside it by now (an
    /// operator may have asked for an earlier one again), and its kind is not full.
    async fn take(&self, head: &str, owner: &str, until: i64, now: i64) -> Result<Taken> {
        transaction!(self, |write| {
            let done = query(CLAIM)
                .bind(owner)
                .bind(until)
                .bind(head)
                .bind(now)
                .bind(now + LONGEST_PAUSE_MS)
                .execute(&mut write.transaction)
                .await?;
            if done == 0 {
                return Ok(Taken::No);
            }
            let taken = query(TAKEN).bind(head).fetch_one(&mut write.transaction).await?;
            let job = read(&taken)?;
            write.lock(LOCK_ORGANIZATION, &job.organization.to_string()).await?;
            let before = query(BEFORE).bind(&job.serial_key).bind(head).bind(head);
            if before.fetch_optional(&mut write.transaction).await?.is_some() {
                return Ok(Taken::No);
            }
            if let Some(at_once) = Kind::of(&job.name).at_once {
                write.lock(LOCK_LIMITS, "job-limits").await?;
                let counted = query(RUNNING_OF_KIND).bind(&job.name);
                let number: i64 = counted.fetch_one(&mut write.transaction).await?.get("number");
                if number > at_once {
                    return Ok(Taken::Full(job.name));
                }
            }
            Taken::Yes(Box::new(job))
        })
    }

    async fn full_kinds(&self) -> Result<Full> {
        let mut full = Full::default();
        for row in query(RUNNING).fetch_all(&self.readers).await? {
            let name: &str = row.get("name");
            if let Some(at_once) = Kind::of(name).at_once {
                full.count(name, at_once, row.get("number"));
            }
        }
        Ok(full)
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

/// How many of the kinds with a limit run, in all processes, and how many may.
#[derive(Debug, Default)]
struct Full(BTreeMap<String, (i64, i64)>);

impl Full {
    fn count(&mut self, kind: &str, at_once: i64, number: i64) {
        let (running, most) = self.0.entry(kind.to_owned()).or_default();
        *running += number;
        *most = at_once;
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let full = self.0.iter().filter(|(_, (running, most))| running >= most);
        full.map(|(kind, _)| kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn the_statement_has_places_for_all_kinds_with_a_limit() {
        assert!(KINDS.iter().filter(|kind| kind.at_once.is_some()).count() <= LIMITED);
    }

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
