//! A deployment as a saga: `provision ∥ build → release-command → release → check`, then it is live. Until the check has
//! seen the new version at the public address, the old one serves, and every step can be taken back.

pub(crate) mod build;
mod build_failure;
mod check;
pub(crate) mod ending;
mod progress;
pub(crate) mod provision;
pub(crate) mod release;
mod release_command;

use std::{sync::Arc, time::Duration};

use domain::{
    DeploymentId, Reason,
    deployment::{DeploymentEvent, DeploymentStatus, Phase},
    labels,
    ports::infrastructure::InfrastructureError,
};
use ending::Ending;
use store::{
    deployments::Deployment,
    jobs::Claim,
    logs::Log,
    services::{Service, Wanted},
};
use tokio::sync::Mutex;

use crate::{
    notices::Notice,
    retention::{self, Left},
    runner::Outcome,
    saga::{self, End, Stage, StepError},
    world::World,
};
use progress::Progress;

/// How often undoing is tried while the service's next deployment waits: about a minute.
const PATIENCE: i64 = 8;

/// What the steps of one deployment share.
pub(crate) struct Deploying {
    pub(crate) world: Arc<World>,
    pub(crate) service: Service,
    pub(crate) deployment: Deployment,
    pub(crate) claim: Claim,
    pub(crate) progress: Arc<Progress>,
    /// Where the deployment is: steps that run together move it one after the other.
    status: Mutex<DeploymentStatus>,
}

/// Seconds that a phase may take before it fails.
fn deadline(world: &World, deployment: &Deployment, phase: Phase) -> u32 {
    match phase {
        Phase::Provision => 60,
        Phase::Build => world.settings.build_deadline_seconds,
        // Starting the containers, and as long as the user gives the application.
        Phase::Release => deployment.made.settings.health_timeout_seconds + 120,
        Phase::Check => 60,
        Phase::Drain => deployment.made.settings.drain_timeout_seconds + 60,
    }
}

impl Deploying {
    /// Moves the deployment forward; an event that does not fit where it is (a parallel step was quicker) changes nothing.
    async fn advance(&self, event: DeploymentEvent) -> Result<(), StepError> {
        let mut status = self.status.lock().await;
        if status.after(event).is_ok() {
            *status = self
                .world
                .store
                .move_deployment(self.deployment.id, *status, event)
                .await?;
            self.world.notices.tell(Notice::Deployment(self.deployment.id));
        }
        Ok(())
    }

    /// Runs a phase: recorded, within its deadline.
    async fn phase<T>(&self, phase: Phase, work: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
        let seconds = deadline(&self.world, &self.deployment, phase);
        self.phase_within(phase, seconds, work).await
    }

    /// Runs a phase: recorded, within so many seconds.
    async fn phase_within<T>(
        &self,
        phase: Phase,
        seconds: u32,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        self.world.store.begin_phase(self.deployment.id, phase, seconds).await?;
        self.world.notices.tell(Notice::Deployment(self.deployment.id));
        let end = tokio::time::timeout(Duration::from_secs(seconds.into()), work)
            .await
            .unwrap_or_else(|_| {
                Err(StepError::Fail(Reason::new(
                    "deadline",
                    format!(
                        "the phase `{}` took longer than {seconds} s and was ended",
                        phase.name()
                    ),
                    "The log shows how far it came.",
                )))
            });
        if let Err(StepError::Again(reason)) = &end {
            // Whoever watches sees what is waited for, and not only that it takes long.
            self.progress.warn(phase, &reason.message);
        }
        let status = if end.is_ok() { "done" } else { "failed" };
        self.world.store.end_phase(self.deployment.id, phase, status).await?;
        end
    }
}

/// Runs a deployment from wherever it is.
pub(crate) async fn run(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Ok(id) = claim.job.subject.parse::<DeploymentId>() else {
        return Ok(Outcome::Done);
    };
    let Some(deployment) = world.store.any_deployment(id).await? else {
        return Ok(Outcome::Done);
    };
    let Some(service) = world.store.any_service(deployment.service).await? else {
        return Ok(Outcome::Done);
    };
    let is_over = deployment.status.is_final();
    if is_over && !(deployment.status != DeploymentStatus::Live && saga::given_up(&world.store, claim).await?.is_some())
    {
        // It was killed after it went live and before it could say that it is done.
        if deployment.status == DeploymentStatus::Live {
            keep_running(world, claim).await;
        }
        store::transaction!(world.store, |write| {
            if deployment.status == DeploymentStatus::Live {
                ending::live(&mut write, id, &world.url_of(&service.host)).await?;
            }
            write.finish_job(claim, None).await?;
        })?;
        world.notices.tell(Notice::Log(Log::Build(id)));
        world.notices.tell(Notice::Deployment(id));
        return Ok(Outcome::Finished);
    }
    let event = if deployment.status == DeploymentStatus::Queued {
        DeploymentEvent::Begin
    } else {
        DeploymentEvent::Resume
    };
    let status = match is_over {
        true => deployment.status,
        false => world.store.move_deployment(id, deployment.status, event).await?,
    };
    world.notices.tell(Notice::Deployment(id));
    let progress = Progress::start(Arc::clone(world), id, claim);
    let _guard = progress.guard();
    if event == DeploymentEvent::Resume && !is_over {
        let why = match (world.store.is_alone(), claim.handed_over) {
            (true, _) => "the platform was restarted",
            (false, true) => "the process that worked on it was stopped",
            (false, false) => "the process that worked on it is gone",
        };
        let text = format!("{why}: the deployment goes on from where it was");
        progress.say(Phase::Provision, &text);
    }
    let deploying = Deploying {
        world: Arc::clone(world),
        service,
        deployment,
        claim: claim.clone(),
        progress: Arc::clone(&progress),
        status: Mutex::new(status),
    };
    let stages: [Stage<Deploying>; 4] = [
        vec![Arc::new(provision::Provision), Arc::new(build::Build)],
        vec![Arc::new(release_command::ReleaseCommand)],
        vec![Arc::new(release::Release)],
        vec![Arc::new(check::Check)],
    ];
    let end = saga::run(&world.store, claim, &stages, &deploying, cancelled(world, id)).await;
    let outcome = finish(&deploying, end).await;
    progress.finish().await;
    world.notices.tell(Notice::Log(Log::Build(id)));
    world.notices.tell(Notice::Deployment(id));
    outcome
}

/// Tells the engine to bring back by itself what a job started.
async fn keep_running(world: &World, claim: &Claim) {
    let mut wanted = world.installation_labels();
    wanted.insert(labels::JOB.to_owned(), claim.job.id.to_string());
    let kept = async {
        for instance in world.infrastructure.instances(&wanted).await? {
            world.infrastructure.keep_running(&instance.name, true).await?;
        }
        Ok::<(), InfrastructureError>(())
    };
    if let Err(error) = kept.await {
        tracing::warn!("what serves will not be restarted by the engine itself: {error}");
    }
}

/// Yields when someone asked to cancel the deployment, or to remove its service.
async fn cancelled(world: &World, id: DeploymentId) -> Reason {
    loop {
        let woken = world.notices.cancelled();
        match world.store.any_deployment(id).await {
            Ok(Some(deployment)) if deployment.cancel_requested => {
                return Reason::new("cancelled", "it was cancelled", "");
            }
            Ok(None) => return Reason::new("cancelled", "the service was removed", ""),
            _ => {}
        }
        // Woken at once within this process; looked for by itself when the wish came through another one.
        let _ = tokio::time::timeout(Duration::from_secs(1), woken).await;
    }
}

/// The phase that a status belongs to.
fn phase_of(status: DeploymentStatus) -> Phase {
    match status {
        DeploymentStatus::Queued | DeploymentStatus::Provisioning => Phase::Provision,
        DeploymentStatus::Building | DeploymentStatus::Pushing => Phase::Build,
        DeploymentStatus::Releasing => Phase::Release,
        _ => Phase::Check,
    }
}

/// Whether someone wished the end.
fn is_cancellation(reason: &Reason) -> bool {
    reason.code == "cancelled"
}

fn event_of(reason: &Reason) -> DeploymentEvent {
    if is_cancellation(reason) {
        DeploymentEvent::Cancel
    } else {
        DeploymentEvent::Fail
    }
}

async fn finish(deploying: &Deploying, end: End) -> Result<Outcome, store::Error> {
    let Deploying {
        world,
        service,
        deployment,
        claim,
        progress,
        ..
    } = deploying;
    match end {
        End::Done => {
            progress.flush().await;
            let url = world.url_of(&service.host);
            store::transaction!(world.store, |write| {
                ending::live(&mut write, deployment.id, &url).await?;
                write.finish_job(claim, None).await?;
            })?;
            world.notices.job();
            Ok(Outcome::Finished)
        }
        End::Undone(reason) => {
            progress.flush().await;
            let was_cancelled = is_cancellation(&reason);
            let ending = Ending {
                event: event_of(&reason),
                reason: &reason,
                phase: phase_of(*deploying.status.lock().await),
                left: "everything that it had made is gone",
            };
            store::transaction!(world.store, |write| {
                ending::end(&mut write, deployment.id, &ending).await?;
                write.finish_job(claim, (!was_cancelled).then_some(&reason)).await?;
            })?;
            world.notices.reconcile();
            Ok(Outcome::Finished)
        }
        End::Stuck { reason, why, step } => {
            // The user is told at once how it ended; only what is left is tried again.
            let phase = phase_of(*deploying.status.lock().await);
            if !deployment.status.is_final() {
                progress.warn(
                    phase,
                    &format!("what it had made could not be taken back yet, and is tried again: {why}"),
                );
            }
            progress.flush().await;
            let ending = Ending {
                event: event_of(&reason),
                reason: &reason,
                phase,
                left: "what is left of it goes as soon as it can",
            };
            let is_patient = claim.job.failures + 1 < PATIENCE;
            store::transaction!(world.store, |write| {
                ending::end(&mut write, deployment.id, &ending).await?;
                if !is_patient {
                    // The service's next deployment has waited long enough. Instances and routes that belong to no work go
                    // with the reconciler; an image has a job of its own.
                    write.bury_job(claim, &why, Some(step)).await?;
                    let left = Left::Name(build::image_name(world, service, deployment));
                    retention::leave(&mut write, service.organization, deployment.id, &left).await?;
                }
            })?;
            if is_patient {
                return Ok(Outcome::Stuck(why, step));
            }
            world.notices.reconcile();
            world.notices.job();
            Ok(Outcome::Finished)
        }
        End::Store(error) => Err(error),
    }
}

/// Gives up the job of a deployment: the deployment ends with it. Asked for again, the job undoes what there is to undo.
pub(crate) async fn bury(
    world: &World,
    claim: &Claim,
    reason: &Reason,
    step: Option<&str>,
) -> Result<(), store::Error> {
    let Ok(id) = claim.job.subject.parse::<DeploymentId>() else {
        return store::transaction!(world.store, |write| { write.bury_job(claim, reason, step).await? });
    };
    // Whoever cancelled it is not told that it failed, whatever went wrong while it was undone.
    let given_up = saga::given_up(&world.store, claim).await?;
    let reason_of_end = given_up.as_ref().unwrap_or(reason);
    let left = match world.store.any_deployment(id).await? {
        Some(deployment) => match world.store.any_service(deployment.service).await? {
            Some(service) => Some((
                phase_of(deployment.status),
                Left::Name(build::image_name(world, &service, &deployment)),
            )),
            None => None,
        },
        None => None,
    };
    store::transaction!(world.store, |write| {
        if let Some((phase, left)) = &left {
            let ending = Ending {
                event: event_of(reason_of_end),
                reason: reason_of_end,
                phase: *phase,
                left: "what is left of it goes as soon as it can",
            };
            if ending::end(&mut write, id, &ending).await? {
                saga::give_up(&mut write, claim, reason_of_end).await?;
                retention::leave(&mut write, claim.job.organization, id, left).await?;
            }
        }
        write.bury_job(claim, reason, step).await?;
    })?;
    world.notices.tell(Notice::Log(Log::Build(id)));
    world.notices.tell(Notice::Deployment(id));
    world.notices.reconcile();
    Ok(())
}

/// The transaction that makes the deployment live.
async fn go_live(deploying: &Deploying) -> Result<(), StepError> {
    let Deploying {
        world,
        service,
        deployment,
        claim,
        ..
    } = deploying;
    let service_id = service.id.to_string();
    let end = store::transaction!(world.store, |write| {
        write.lock_service(service.id).await?;
        write.go_live(deployment.id).await?;
        write.require_lease(claim).await?;
        write.set_current(service.id, deployment.id, claim.job.id).await?;
        write.set_wanted(service.id, Wanted::Running).await?;
        // Draining what served before is a job of its own, so that the next deployment need not wait for it.
        write
            .enqueue(
                service.organization,
                "retire-instances",
                &service_id,
                &format!("retire/{service_id}"),
            )
            .await?;
        write
            .enqueue(
                service.organization,
                "prune-images",
                &service_id,
                &format!("prune/{service_id}"),
            )
            .await?;
    });
    match end {
        // Someone asked to cancel it in the last moment.
        Err(store::Error::Stale { .. }) => {
            return Err(StepError::Fail(Reason::new("cancelled", "it was cancelled", "")));
        }
        end => end?,
    }
    world.notices.tell(Notice::Deployment(deployment.id));
    Ok(())
}
