//! Whose turn it is, and how a job is taken.
//!
//! A look goes to the database once for all that it has to know: whose turn it is, that organization's next job, how many
//! of its kind run, and whether a lease has ended. Taking the job is a short transaction that sees to it that all of this
//! still holds.

use std::collections::BTreeSet;

use domain::{JobId, OrganizationId};

use crate::{
    Error, Result, Store,
    claims::{Claim, HOLDS, Room},
    jobs::{Job, LOCK_ORGANIZATION, read},
    kinds::{Kind, LONGEST_PAUSE_MS},
    now_ms,
    sql::query,
    transaction,
};

/// Leases that ended without a word.
const EXPIRED: &str =
    "SELECT * FROM jobs WHERE status = 'running' AND lease_until_ms <= ? ORDER BY lease_until_ms LIMIT ?";
const TAKE_OVER: &str = "UPDATE jobs SET owner = ?, lease_until_ms = ?, attempt = attempt + 1, handed_over = 0 \
    WHERE id = ? AND attempt = ? AND status = 'running' AND lease_until_ms <= ?";
/// The next organization that has waiting jobs, its next job, how many of that job's kind run, and when the first lease
/// ends. All is found by indexes, so that it costs the same however many jobs wait or are over.
const TURN: &str = "SELECT turn.turn_of, turn.first_end_ms, head.*, \
    (SELECT COUNT(*) FROM jobs alike WHERE alike.status = 'running' AND alike.name = head.name) AS alike \
    FROM (SELECT MIN(organization_id) AS turn_of, \
    (SELECT MIN(lease_until_ms) FROM jobs WHERE status = 'running') AS first_end_ms \
    FROM jobs WHERE status = 'waiting' AND organization_id > ?) turn \
    LEFT JOIN jobs head ON head.id = (SELECT pick.id FROM jobs pick WHERE pick.status = 'waiting' \
    AND pick.organization_id = turn.turn_of AND (pick.run_after_ms <= ? OR pick.run_after_ms > ?) \
    AND pick.name NOT IN (?, ?, ?, ?, ?, ?) \
    AND NOT EXISTS (SELECT 1 FROM jobs earlier WHERE earlier.serial_key = pick.serial_key \
    AND earlier.status IN ('waiting', 'running') AND earlier.id < pick.id) \
    AND NOT EXISTS (SELECT 1 FROM jobs beside WHERE beside.serial_key = pick.serial_key AND beside.status = 'running') \
    ORDER BY pick.priority, pick.id LIMIT 1)";
/// How many kinds [`TURN`] can leave out.
const LIMITED: usize = 6;
/// The job is as it was seen: nobody has taken it, put it back, or asked for it again.
const CLAIM: &str = "UPDATE jobs SET status = 'running', owner = ?, lease_until_ms = ?, attempt = attempt + 1 \
    WHERE id = ? AND attempt = ? AND failures = ? AND status = 'waiting' AND (run_after_ms <= ? OR run_after_ms > ?)";
/// For a kind with a limit: the organization, and the limits of all.
const LOCK_BOTH: &str = "SELECT organizations.id FROM organizations, installation \
    WHERE organizations.id = ? AND installation.name = 'job-limits'";
/// What is before a job or beside it, and how many of its kind run.
const BEFORE: &str = "SELECT (SELECT id FROM jobs WHERE serial_key = ? AND status IN ('waiting', 'running') AND id <> ? \
    AND (id < ? OR status = 'running') LIMIT 1) AS before_id, \
    (SELECT COUNT(*) FROM jobs WHERE status = 'running' AND name = ?) AS alike";

/// How often it is looked whether a claim was kept whose commit nobody heard the answer of.
const LOOKS: u32 = 3;

/// What a look has found.
struct Turn {
    /// When the first lease ends.
    first_end_ms: Option<i64>,
    organization: Option<OrganizationId>,
    /// The organization's next job, and how many of its kind run.
    head: Option<(Job, i64)>,
}

/// What came of trying to take a job.
enum Taken {
    Yes(Box<Job>),
    /// Somebody else was quicker.
    No,
    /// As many of its kind run as may.
    Full(String),
}

/// Who takes jobs.
struct Taker<'a> {
    owner: &'a str,
    now: i64,
    until: i64,
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
    /// When the database fails, and nothing was claimed before.
    pub async fn claim(&self, owner: &str, lease_ms: i64, room: &mut Room) -> Result<Vec<Claim>> {
        let now = now_ms();
        let until = now + lease_ms;
        let taker = Taker { owner, now, until };
        let mut claims = Vec::new();
        match self.claim_in_turns(&taker, room, &mut claims).await {
            Err(error) if !claims.is_empty() => {
                tracing::warn!("only {} jobs could be claimed: {error}", claims.len());
            }
            end => end?,
        }
        Ok(claims)
    }

    async fn claim_in_turns(&self, taker: &Taker<'_>, room: &mut Room, claims: &mut Vec<Claim>) -> Result<()> {
        // Kinds of which as many run as may.
        let mut full = BTreeSet::new();
        // Whoever had nothing for us since a job was taken the last time.
        let mut passed = BTreeSet::new();
        let mut wrapped = false;
        let mut looked = false;
        while room.places > 0 {
            let turn = self.turn(taker.now, &full, &room.last).await?;
            let has_ended = turn.first_end_ms.is_some_and(|end| end <= taker.now);
            if !std::mem::replace(&mut looked, true) && has_ended {
                self.take_over(taker, room, claims).await?;
                continue;
            }
            let Some(organization) = turn.organization else {
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
            if let Some((head, alike)) = &turn.head
                && Kind::of(&head.name).at_once.is_some_and(|most| *alike >= most)
            {
                // Perhaps it has another one.
                full.insert(head.name.clone());
                continue;
            }
            organization.to_string().clone_into(&mut room.last);
            let taken = match turn.head.filter(|_| room.has_for(organization)) {
                Some((head, _)) => self.take(taker, head).await?,
                None => Taken::No,
            };
            match taken {
                Taken::Yes(job) => {
                    (wrapped, passed) = (false, BTreeSet::new());
                    room.take(organization);
                    claims.push(Claim {
                        job: *job,
                        owner: taker.owner.to_owned(),
                        handed_over: false,
                    });
                }
                Taken::Full(kind) => drop(full.insert(kind)),
                Taken::No => drop(passed.insert(organization)),
            }
        }
        Ok(())
    }

    /// The next organization with waiting jobs after one, and its next job of a kind that is not full.
    async fn turn(&self, now: i64, full: &BTreeSet<String>, after: &str) -> Result<Turn> {
        let mut statement = query(TURN).bind(after).bind(now).bind(now + LONGEST_PAUSE_MS);
        let mut names = full.iter();
        for _ in 0..LIMITED {
            statement = statement.bind(names.next().map_or("", String::as_str));
        }
        let row = statement.fetch_one(&self.readers).await?;
        let organization = row
            .get::<Option<&str>>("turn_of")
            .map(str::parse::<OrganizationId>)
            .transpose();
        let head = match row.get::<Option<&str>>("id") {
            Some(_) => Some((read(&row)?, row.get("alike"))),
            None => None,
        };
        Ok(Turn {
            first_end_ms: row.get("first_end_ms"),
            organization: organization.map_err(Error::corrupt("organization id"))?,
            head,
        })
    }

    /// Takes jobs over whose workers died.
    async fn take_over(&self, taker: &Taker<'_>, room: &mut Room, claims: &mut Vec<Claim>) -> Result<()> {
        let places = i64::try_from(room.places).unwrap_or(i64::MAX);
        let expired = query(EXPIRED).bind(taker.now).bind(places);
        for row in &expired.fetch_all(&self.readers).await? {
            let mut job = read(row)?;
            let taking = query(TAKE_OVER)
                .bind(taker.owner)
                .bind(taker.until)
                .bind(job.id.to_string())
                .bind(job.attempt)
                .bind(taker.now);
            let taken = match self.change(taking).await {
                Ok(number) => number == 1,
                Err(error) => {
                    let lost = self.took_unheard(taker.owner, job.id, job.attempt + 1, error).await;
                    lost.map(|()| true)?
                }
            };
            if taken {
                job.attempt += 1;
                room.take(job.organization);
                claims.push(Claim {
                    job,
                    owner: taker.owner.to_owned(),
                    handed_over: row.get::<i64>("handed_over") != 0,
                });
            }
        }
        Ok(())
    }

    /// Takes a waiting job in a short transaction: if it still waits, nothing of its key is before or beside it by now (an
    /// operator may have asked for an earlier one again), and its kind is not full.
    async fn take(&self, taker: &Taker<'_>, mut job: Job) -> Result<Taken> {
        let id = job.id.to_string();
        let organization = job.organization.to_string();
        let at_once = Kind::of(&job.name).at_once;
        let lock = if at_once.is_some() {
            LOCK_BOTH
        } else {
            LOCK_ORGANIZATION
        };
        let end = transaction!(self, |write| {
            let done = query(CLAIM)
                .bind(taker.owner)
                .bind(taker.until)
                .bind(&id)
                .bind(job.attempt)
                .bind(job.failures)
                .bind(taker.now)
                .bind(taker.now + LONGEST_PAUSE_MS)
                .execute(&mut write.transaction)
                .await?;
            if done == 0 {
                return Ok(Some(Taken::No));
            }
            write.lock(lock, &organization).await?;
            // Only now: whoever held the lock may have changed it.
            let before = query(BEFORE)
                .bind(&job.serial_key)
                .bind(&id)
                .bind(&id)
                .bind(&job.name)
                .fetch_one(&mut write.transaction)
                .await?;
            if before.get::<Option<&str>>("before_id").is_some() {
                return Ok(Some(Taken::No));
            }
            if at_once.is_some_and(|most| before.get::<i64>("alike") > most) {
                return Ok(Some(Taken::Full(job.name.clone())));
            }
            None
        });
        match end {
            Ok(Some(refused)) => return Ok(refused),
            Ok(None) => {}
            Err(error) => self.took_unheard(taker.owner, job.id, job.attempt + 1, error).await?,
        }
        job.attempt += 1;
        "running".clone_into(&mut job.status);
        Ok(Taken::Yes(Box::new(job)))
    }

    /// Looks whether a job was taken although the answer to that was lost with the connection, so that it is not left to
    /// its lease.
    ///
    /// # Errors
    /// The one that there was, if the job was not taken or the database does not say.
    async fn took_unheard(&self, owner: &str, id: JobId, attempt: i64, error: Error) -> Result<()> {
        if !matches!(error, Error::Unavailable(_)) {
            return Err(error);
        }
        for _ in 0..LOOKS {
            let holds = query(HOLDS).bind(id.to_string()).bind(owner).bind(attempt);
            match holds.fetch_optional(&self.readers).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        Err(error)
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
}
