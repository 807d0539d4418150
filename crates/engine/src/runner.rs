//! Takes jobs and does them: the one place where the engine's work is spawned.

use std::{sync::Arc, time::Duration};

use domain::Reason;
use store::jobs::Claim;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{deploy, lifecycle, output, reconcile, retention, world::World};

/// A lease is renewed three times before it would end.
const LEASE_MS: i64 = 15_000;
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often the queue is looked at without being woken.
const POLL: Duration = Duration::from_secs(2);
/// Jobs at once. Most of them wait for something; builds have turns of their own.
const JOBS_AT_ONCE: usize = 64;
/// From this attempt on, a job that does not come to its end is reported as an error. It is never given up: nothing else
/// would do its work.
const STUCK_FROM: i64 = 10;

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// It is done, and its own transaction has said so.
    Finished,
    /// It is to be tried again.
    Again(Reason),
    /// It cannot be done.
    GiveUp(Reason),
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

    /// Works until `stop`. What is under way then is dropped: its journal says where it goes on.
    pub async fn run(self, stop: CancellationToken) {
        let mut background = JoinSet::new();
        background.spawn(reconcile::run(Arc::clone(&self.world)));
        background.spawn(output::run(Arc::clone(&self.world)));
        background.spawn(retention::bound_build_cache(Arc::clone(&self.world)));
        let mut jobs: JoinSet<()> = JoinSet::new();
        loop {
            while jobs.try_join_next().is_some() {}
            let room = JOBS_AT_ONCE.saturating_sub(jobs.len());
            let claimed = if room == 0 {
                Vec::new()
            } else {
                self.world
                    .store
                    .claim_jobs(&self.owner, LEASE_MS, room as i64)
                    .await
                    .unwrap_or_else(|error| {
                        tracing::error!("jobs could not be claimed: {error}");
                        Vec::new()
                    })
            };
            let idle = claimed.is_empty();
            for claim in claimed {
                let world = Arc::clone(&self.world);
                jobs.spawn(async move {
                    work(&world, &claim).await;
                    // Another one of the same service may have waited for this one.
                    world.notices.job();
                });
            }
            if idle {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.world.notices.next_job() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            } else if stop.is_cancelled() {
                break;
            }
        }
        jobs.shutdown().await;
        background.shutdown().await;
    }
}

async fn work(world: &Arc<World>, claim: &Claim) {
    let job = &claim.job;
    tracing::debug!(job.id = %job.id, job.name = %job.name, job.attempt = job.attempt, "`{}` of `{}` begins", job.name, job.subject);
    let outcome = tokio::select! {
        outcome = dispatch(world, claim) => outcome,
        () = lose_lease(world, claim) => {
            tracing::warn!(job.id = %job.id, "the lease of `{}` is lost: another worker goes on", job.name);
            return;
        }
    };
    let end = match outcome {
        Ok(Outcome::Finished) => Ok(()),
        Ok(Outcome::Done) => world.store.finish_job(claim, None).await,
        Ok(Outcome::GiveUp(reason)) => {
            tracing::warn!(job.id = %job.id, "`{}` of `{}` was given up: {reason}", job.name, job.subject);
            world.store.finish_job(claim, Some(&reason)).await
        }
        Ok(Outcome::Again(reason)) => {
            if job.attempt >= STUCK_FROM {
                tracing::error!(job.id = %job.id, "`{}` of `{}` is stuck and goes on: {reason}", job.name, job.subject);
            }
            let pause_ms = (1000 << job.attempt.min(5)).min(30_000);
            world.store.put_back(claim, &reason, pause_ms).await
        }
        Err(error) => {
            tracing::error!(job.id = %job.id, "`{}` of `{}` was broken off: {}", job.name, job.subject, chain(&error));
            let reason = Reason::new("state", error.to_string(), "");
            world.store.put_back(claim, &reason, 2000).await
        }
    };
    if let Err(error) = end {
        tracing::warn!(job.id = %job.id, "the end of `{}` was not kept: {}", job.name, chain(&error));
    }
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
async fn lose_lease(world: &World, claim: &Claim) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match world.store.renew_lease(claim, LEASE_MS).await {
            Ok(true) => {}
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
        other => Ok(Outcome::GiveUp(Reason::new(
            "unknown-job",
            format!("this version knows no job `{other}`"),
            "",
        ))),
    }
}
