//! Takes jobs and does them: the one place where the engine's work is spawned.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use domain::{OrganizationId, Reason};
use futures_util::FutureExt as _;
use store::jobs::{Claim, Later, Room};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    back_off::{self, STUCK_FROM, Verdict},
    deploy,
    leases::{self, Pulse},
    lifecycle, maintenance, output, reconcile, retention,
    world::World,
};

/// A lease is renewed three times before it would end.
const LEASE_MS: i64 = 15_000;
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long work may go on without a renewal that arrived: the lease still lasts then, by any clock that is a little wrong.
const TRUSTED: Duration = Duration::from_secs(12);
/// How often the queue is looked at without being woken.
const POLL: Duration = Duration::from_secs(2);
/// Jobs at once in this process. Most of them wait for something; builds have turns of their own. One organization gets
/// half of it at most.
const JOBS_AT_ONCE: usize = 128;
/// After how long a job that waits for others looks again.
const WAIT_MS: i64 = 1000;

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// It is done, and its own transaction has said so.
    Finished,
    /// It is to be tried again.
    Again(Reason),
    /// It waits for other jobs, which is no failure.
    Waits(Reason),
    /// It is to be tried again; at this step of its saga it does not go on.
    Stuck(Reason, &'static str),
    /// It came to an orderly end that is a failure.
    GiveUp(Reason),
    /// It cannot be done, and its work is left.
    Dead(Reason),
}

/// Does the engine's background work until it is told to stop.
pub struct Runner {
    world: Arc<World>,
    owner: String,
}

impl Runner {
    /// For this world; `owner` names this process in leases.
    #[must_use]
    pub fn new(world: Arc<World>, owner: String) -> Self {
        Self { world, owner }
    }

    /// Works until `stop`. What is under way then is dropped and handed over: its journal says where it goes on.
    pub async fn run(self, stop: CancellationToken) {
        let mut background = self.background();
        let mut jobs: JoinSet<OrganizationId> = JoinSet::new();
        let mut room = Room {
            held: Some(BTreeMap::new()),
            ..Room::default()
        };
        while !stop.is_cancelled() {
            while let Some(ended) = jobs.try_join_next() {
                if let (Ok(organization), Some(held)) = (ended, &mut room.held)
                    && let Some(number) = held.get_mut(&organization)
                {
                    *number = number.saturating_sub(1);
                }
            }
            if let Some(held) = &mut room.held {
                held.retain(|_, number| *number > 0);
            }
            room.places = JOBS_AT_ONCE.saturating_sub(jobs.len());
            // Before the lease begins, so that it is never trusted for longer than it lasts.
            let pulse = Pulse::new(TRUSTED);
            let claimed = self.claim(&mut room).await;
            let idle = claimed.is_empty();
            for claim in claimed {
                let (world, pulse) = (Arc::clone(&self.world), pulse.clone());
                jobs.spawn(async move {
                    work(&world, &claim, &pulse).await;
                    // Another one of the same service may have waited for this one.
                    world.notices.job();
                    claim.job.organization
                });
            }
            if idle {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.world.notices.next_job() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
        jobs.shutdown().await;
        background.shutdown().await;
        self.hand_over().await;
    }

    /// What goes on beside the jobs: for all processes it is done by one that leads.
    fn background(&self) -> JoinSet<()> {
        let mut background = JoinSet::new();
        let (world, owner) = (Arc::clone(&self.world), self.owner.clone());
        background.spawn(async move {
            let work = || async { tokio::join!(reconcile::run(&world), maintenance::run(&world)).0 };
            leases::lead(&world.store, &owner, "reconciler", work).await;
        });
        let (world, owner) = (Arc::clone(&self.world), self.owner.clone());
        background.spawn(async move {
            leases::lead(&world.store, &owner, "output", || output::run(Arc::clone(&world))).await;
        });
        let (world, owner) = (Arc::clone(&self.world), self.owner.clone());
        background.spawn(async move {
            let work = || retention::bound_build_cache(&world);
            leases::lead(&world.store, &owner, "build-cache", work).await;
        });
        if !self.world.store.is_alone() {
            background.spawn(reconcile::sweep_work_directory(Arc::clone(&self.world)));
        }
        background
    }

    /// Lets others go on at once with what this worker did.
    async fn hand_over(&self) {
        let store = &self.world.store;
        let handing = async {
            let number = store.hand_over(&self.owner).await?;
            store.let_leases_go(&self.owner).await?;
            store.send(["jobs"]).await?;
            Ok::<_, store::Error>(number)
        };
        match handing.await {
            Ok(0) => {}
            Ok(number) => tracing::info!("{number} job(s) were under way, and go on elsewhere or after the next start"),
            Err(error) => tracing::warn!("what is under way could not be handed over, and goes on in 15 s: {error}"),
        }
    }

    async fn claim(&self, room: &mut Room) -> Vec<Claim> {
        let claimed = self.world.store.claim(&self.owner, LEASE_MS, room).await;
        claimed.unwrap_or_else(|error| {
            tracing::error!("jobs could not be claimed: {error}");
            Vec::new()
        })
    }
}

async fn work(world: &Arc<World>, claim: &Claim, pulse: &Pulse) {
    let job = &claim.job;
    tracing::debug!(job.id = %job.id, job.name = %job.name, job.attempt = job.attempt, "`{}` of `{}` begins", job.name, job.subject);
    let outcome = tokio::select! {
        outcome = pulse.guard(AssertUnwindSafe(dispatch(world, claim)).catch_unwind()) => outcome,
        () = lose_lease(world, claim, pulse) => {
            tracing::warn!(job.id = %job.id, "the lease of `{}` is lost: another worker goes on", job.name);
            world.counters.count(&job.name, "lost");
            return;
        }
    };
    let end = match outcome {
        Ok(Ok(Outcome::Finished)) => Ok("done"),
        Ok(Ok(Outcome::Done)) => world.store.finish_job(claim, None).await.map(|()| "done"),
        Ok(Ok(Outcome::GiveUp(reason))) => {
            tracing::warn!(job.id = %job.id, "`{}` of `{}` failed: {reason}", job.name, job.subject);
            world.store.finish_job(claim, Some(&reason)).await.map(|()| "failed")
        }
        Ok(Ok(Outcome::Waits(reason))) => {
            let waits = world.store.wait_for_others(claim, &reason, WAIT_MS).await;
            waits.map(|()| "waits")
        }
        Ok(Ok(Outcome::Again(reason))) => again(world, claim, &reason, None, false).await,
        Ok(Ok(Outcome::Stuck(reason, step))) => again(world, claim, &reason, Some(step), false).await,
        Ok(Ok(Outcome::Dead(reason))) => bury(world, claim, &reason, None).await.map(|()| "dead"),
        // Whoever holds it now says how it goes on.
        Ok(Err(error @ store::Error::LeaseLost(_))) => Err(error),
        Ok(Err(error)) => {
            tracing::error!(job.id = %job.id, "`{}` of `{}` was broken off: {}", job.name, job.subject, chain(&error));
            let reason = Reason::new("state", error.to_string(), "");
            again(world, claim, &reason, None, error.is_lasting()).await
        }
        Err(_) => {
            // The panic's own message is in the log already.
            tracing::error!(job.id = %job.id, "`{}` of `{}` panicked", job.name, job.subject);
            let reason = Reason::new(
                "internal",
                "the platform failed while it worked on it",
                "Its log says where.",
            );
            again(world, claim, &reason, None, true).await
        }
    };
    match end {
        Ok(outcome) => world.counters.count(&job.name, outcome),
        Err(error) => {
            tracing::warn!(job.id = %job.id, "the end of `{}` was not kept: {}", job.name, chain(&error));
        }
    }
}

/// Puts a job back for later, or gives it up. `lasting`: the next try will meet the same.
async fn again(
    world: &Arc<World>,
    claim: &Claim,
    reason: &Reason,
    step: Option<&str>,
    lasting: bool,
) -> Result<&'static str, store::Error> {
    let job = &claim.job;
    let Verdict::Later { most_ms, stuck } = back_off::judge(job, lasting, store::now_ms()) else {
        bury(world, claim, reason, step).await?;
        return Ok("dead");
    };
    if stuck && job.failures + 1 == STUCK_FROM {
        tracing::error!(job.id = %job.id, "`{}` of `{}` is stuck and goes on: {reason}", job.name, job.subject);
    }
    let later = Later {
        why: reason,
        after_ms: back_off::pause_ms(most_ms),
        step,
        stuck,
    };
    world.store.try_later(claim, &later).await?;
    Ok("again")
}

/// Gives a job up. A deployment ends with it, visibly.
async fn bury(world: &Arc<World>, claim: &Claim, reason: &Reason, step: Option<&str>) -> Result<(), store::Error> {
    let job = &claim.job;
    tracing::error!(job.id = %job.id, "`{}` of `{}` was given up and is dead: {reason}", job.name, job.subject);
    if job.name == "deploy" {
        match deploy::bury(world, claim, reason, step).await {
            Err(error) if error.is_lasting() => {
                tracing::error!(job.id = %job.id, "the deployment `{}` could not be ended: {}", job.subject, chain(&error));
            }
            end => return end,
        }
    }
    store::transaction!(world.store, |write| { write.bury_job(claim, reason, step).await? })
}

/// An error with what lies under it, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Renews the lease; returns when it is lost.
async fn lose_lease(world: &World, claim: &Claim, pulse: &Pulse) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match world.store.renew_lease(claim, LEASE_MS).await {
            Ok(true) => pulse.beat(),
            Ok(false) => return,
            Err(error) => tracing::warn!("a lease could not be renewed: {error}"),
        }
    }
}

async fn dispatch(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    match claim.job.name.as_str() {
        "deploy" => deploy::run(world, claim).await,
        "stop-service" => lifecycle::stop(world, claim).await,
        "start-service" | "restart-service" => lifecycle::start(world, claim).await,
        "retire-instances" => lifecycle::retire(world, claim).await,
        "remove-service" => lifecycle::remove_service(world, claim).await,
        "remove-project" => lifecycle::remove_project(world, claim).await,
        "remove-image" => retention::remove_left(world, claim).await,
        "prune-images" => retention::prune(world, claim).await,
        "cleanup" => maintenance::clean_up(world).await,
        other => Ok(Outcome::Dead(Reason::new(
            "unknown-job",
            format!("this version knows no job `{other}`"),
            "Start the version that made it, or ask for it again there.",
        ))),
    }
}
