//! The new instances, beside the old ones.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{
    Reason,
    deployment::{DeploymentEvent, Phase},
    labels,
    logs::LogLevel,
    names::VariableKey,
    ports::{
        Cause,
        image::StoredImage,
        infrastructure::{OutputCursor, OutputLine, OutputSink},
        router::RouteInstance,
    },
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::deployments::Deployment;

use super::{Deploying, build::BuiltImage, build_failure, release_command};
use crate::{
    instances::{self, DEFAULT_PORT, Port, refused},
    saga::{Step, StepError},
    world::World,
};

pub(super) struct Release;

/// What the step leaves in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Released {
    /// Who is to serve.
    pub instances: Vec<RouteInstance>,
    /// The port on which they listen.
    pub port: u16,
}

/// How long an instance whose start was broken off may take to appear.
const LATE_START: Duration = Duration::from_secs(2);
/// How many of an instance's last lines are shown when it does not work.
const TAIL_LINES: usize = 30;

#[async_trait]
impl Step<Deploying> for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    async fn run(&self, deploying: &Deploying) -> Result<Value, StepError> {
        let Deploying {
            world,
            service,
            deployment,
            claim,
            progress,
            ..
        } = deploying;
        let image = image_of(deploying).await?;
        release_command::clean_up(deploying).await?;
        let released = deploying
            .phase(Phase::Release, async {
                deploying.advance(DeploymentEvent::ReleaseStarted).await?;
                let port = choose_port(world, deployment, &image).await?;
                let replicas = deployment.made.settings.replicas.get();
                progress.say(
                    Phase::Release,
                    &format!("starting {replicas} instance(s), PORT is {}", port.number),
                );
                let say = |text: &str| progress.say(Phase::Release, text);
                let up = instances::bring_up(world, service, deployment, claim.job.id, &image, port, &say).await;
                let (instances, port) = match up {
                    Err(StepError::Fail(reason)) => return Err(with_last_words(deploying, reason).await),
                    other => other?,
                };
                world.store.set_port(deployment.id, port).await?;
                Ok(Released { instances, port })
            })
            .await?;
        progress.say(Phase::Release, "the new version is healthy");
        serde_json::to_value(released)
            .map_err(|error| StepError::Fail(domain::Reason::new("journal", error.to_string(), "")))
    }

    async fn undo(&self, deploying: &Deploying, _made: Option<&Value>) -> Result<(), StepError> {
        let Deploying { world, claim, .. } = deploying;
        remove_instances_of_job(world, &claim.job.id.to_string()).await
    }
}

/// Removes whatever a job started, found by its label. They have served nobody, or nobody any more.
pub(crate) async fn remove_instances_of_job(world: &World, job: &str) -> Result<(), StepError> {
    let mut wanted = world.installation_labels();
    wanted.insert(labels::JOB.to_owned(), job.to_owned());
    let mut awaited = world.starts.broken_off(job);
    let began = Instant::now();
    loop {
        let found = world.infrastructure.instances(&wanted).await.map_err(refused)?;
        try_join_all(found.iter().map(|instance| world.infrastructure.remove(&instance.name)))
            .await
            .map_err(refused)?;
        awaited.retain(|name| !found.iter().any(|instance| instance.name == *name));
        // What comes even later is found by the reconciler.
        if awaited.is_empty() || began.elapsed() > LATE_START {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The image that the build step left.
pub(super) async fn image_of(deploying: &Deploying) -> Result<StoredImage, StepError> {
    let journal = deploying.world.store.journal(deploying.claim.job.id).await?;
    let made = journal
        .into_iter()
        .find(|entry| entry.step == "build")
        .and_then(|entry| entry.made);
    made.and_then(|made| serde_json::from_value::<BuiltImage>(made).ok())
        .map(|built| built.image)
        .ok_or_else(|| {
            StepError::Fail(domain::Reason::new(
                "journal",
                "the build left no image",
                "Deploy again.",
            ))
        })
}

/// The user's setting, the user's variable, what the planner saw, what the image exposes, or the default.
pub(super) async fn choose_port(
    world: &World,
    deployment: &Deployment,
    image: &StoredImage,
) -> Result<Port, StepError> {
    if let Some(number) = deployment.made.settings.port {
        return Ok(Port { number, chosen: true });
    }
    let environment: BTreeMap<VariableKey, _> = world.store.deployment_environment(deployment.id).await?;
    let variable = environment.iter().find(|(key, _)| key.as_str() == "PORT");
    if let Some(number) = variable.and_then(|(_, (_, value))| value.trim().parse().ok()) {
        return Ok(Port { number, chosen: true });
    }
    let planned = world
        .store
        .any_deployment(deployment.id)
        .await?
        .and_then(|fresh| fresh.port);
    if let Some(number) = planned {
        return Ok(Port { number, chosen: false });
    }
    let exposed = world.images.exposed_port(image).await.unwrap_or_default();
    Ok(Port {
        number: exposed.unwrap_or(DEFAULT_PORT),
        chosen: false,
    })
}

/// Shows what instances that do not work said last, and adds the line that says why they ended, if they did.
pub(super) async fn with_last_words(deploying: &Deploying, mut reason: Reason) -> StepError {
    let lines = show_output(deploying).await;
    if reason.code == "exited" && !reason.message.contains("exit code 0") {
        reason.message.push_str(&build_failure::said(&lines));
    }
    StepError::Fail(reason)
}

/// Puts the last lines of instances that do not work into the deployment's own log, where the failure is looked at.
async fn show_output(deploying: &Deploying) -> Vec<String> {
    let mut said = Vec::new();
    let Deploying {
        world,
        service,
        claim,
        deployment,
        progress,
        ..
    } = deploying;
    for replica in 1..=deployment.made.settings.replicas.get() {
        let name = instances::name(service, claim.job.id, replica);
        let tail = Tail::default();
        let follow = world
            .infrastructure
            .follow_output(&name, OutputCursor::default(), &tail);
        // One that still runs is followed for a moment only.
        let _ = tokio::time::timeout(Duration::from_millis(800), follow).await;
        let lines = tail.0.into_inner().unwrap_or_default();
        for line in lines {
            let level = if line.level == LogLevel::Error {
                LogLevel::Warn
            } else {
                line.level
            };
            progress.push(Phase::Release, level, &name, &line.text);
            said.push(line.text);
        }
    }
    said
}

/// Keeps the last lines.
#[derive(Default)]
struct Tail(Mutex<Vec<OutputLine>>);

#[async_trait]
impl OutputSink for Tail {
    async fn take(&self, lines: Vec<OutputLine>, _cursor: OutputCursor) -> Result<(), Cause> {
        if let Ok(mut kept) = self.0.lock() {
            keep_last(&mut kept, lines);
        }
        Ok(())
    }
}

/// Adds lines, and keeps the last ones of all.
pub(super) fn keep_last(kept: &mut Vec<OutputLine>, lines: Vec<OutputLine>) {
    kept.extend(lines);
    let surplus = kept.len().saturating_sub(TAIL_LINES);
    kept.drain(..surplus);
}
