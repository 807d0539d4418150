//! The switch, and the proof: the public address is asked, through the proxy, for the new version.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{
    Reason,
    deployment::{DeploymentEvent, Phase},
    labels,
    ports::router::{Route, RouteState},
    service::HealthCheck,
};
use serde_json::{Value, json};

use super::{
    Deploying, go_live,
    provision::unrouted,
    release::{Released, with_last_words},
};
use crate::{
    instances::{ended, refused},
    routes::{self, Situation},
    saga::{Step, StepError},
};

pub(super) struct Check;

/// How long one question to the public address may take.
const QUESTION: Duration = Duration::from_secs(10);
/// How long the public address has to answer as it should.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an application that answers with a server error, or no HTTP/1.1 at all, is asked again before that is taken
/// for its answer. Without an HTTP health check nobody has said that it should be better.
const GOOD_ENOUGH_AFTER: Duration = Duration::from_secs(3);

#[async_trait]
impl Step<Deploying> for Check {
    fn name(&self) -> &'static str {
        "check"
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
        let journal = world.store.journal(claim.job.id).await?;
        let made = journal
            .into_iter()
            .find(|entry| entry.step == "release")
            .and_then(|entry| entry.made);
        let released: Released = made
            .and_then(|made| serde_json::from_value(made).ok())
            .ok_or_else(|| StepError::Fail(Reason::new("journal", "the release left no instances", "Deploy again.")))?;
        deploying
            .phase(Phase::Check, async {
                deploying.advance(DeploymentEvent::ReleaseStarted).await?;
                deploying.advance(DeploymentEvent::CheckStarted).await?;
                let route = Route {
                    service: service.id,
                    name: service.name.to_string(),
                    state: RouteState::Live,
                    message: String::new(),
                    deployment: Some(deployment.id),
                    instances: released.instances.clone(),
                };
                world.router.set(&service.host, &route).await.map_err(unrouted)?;
                ask(deploying).await?;
                progress.say(Phase::Check, "the public address serves the new version");
                Ok(())
            })
            .await?;
        go_live(deploying).await?;
        for instance in &released.instances {
            // From now on the engine brings them back by itself, even while the platform is away.
            if let Err(error) = world.infrastructure.keep_running(&instance.id, true).await {
                tracing::warn!(deployment.id = %deployment.id, "`{}` will not be restarted by the engine itself: {error}", instance.id);
            }
        }
        Ok(json!({}))
    }

    async fn undo(&self, deploying: &Deploying, _made: Option<&Value>) -> Result<(), StepError> {
        let Deploying {
            world,
            service,
            deployment,
            ..
        } = deploying;
        let mut wanted_labels = world.installation_labels();
        wanted_labels.insert(labels::RESOURCE.to_owned(), service.id.to_string());
        let instances = world.infrastructure.instances(&wanted_labels).await.map_err(refused)?;
        let Some(service) = world.store.any_service(service.id).await? else {
            return Ok(());
        };
        let current = match service.current {
            Some(current) if current != deployment.id => world.store.any_deployment(current).await?,
            _ => None,
        };
        let failure = Reason::new("failed", "", "");
        let situation = Situation {
            service: &service,
            port: current.and_then(|current| current.port),
            instances: &instances,
            deploying: false,
            failure: Some(&failure),
        };
        world
            .router
            .set(&service.host, &routes::wanted(&situation))
            .await
            .map_err(unrouted)?;
        Ok(())
    }
}

/// A server whose parent opens the port before its workers have loaded the application looks healthy for a moment.
async fn still_running(deploying: &Deploying) -> Result<(), StepError> {
    let Deploying { world, claim, .. } = deploying;
    let mut wanted = world.installation_labels();
    wanted.insert(labels::JOB.to_owned(), claim.job.id.to_string());
    let instances = world.infrastructure.instances(&wanted).await.map_err(refused)?;
    let Some(exit) = instances.into_iter().find_map(|instance| instance.exit) else {
        return Ok(());
    };
    Err(with_last_words(deploying, ended(&exit)).await)
}

async fn ask(deploying: &Deploying) -> Result<(), StepError> {
    let Deploying {
        world,
        service,
        deployment,
        progress,
        ..
    } = deploying;
    let (path, strict) = match &deployment.made.settings.health_check {
        HealthCheck::Http { path } => (path.as_str(), true),
        HealthCheck::Tcp => ("/", false),
    };
    let began = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        let answer = world.prober.ask_public(&service.host, path, QUESTION).await;
        let late = began.elapsed() > GOOD_ENOUGH_AFTER && !strict;
        let problem = match answer {
            Ok((Some(id), status)) if id == deployment.id && (status < 400 || (!strict && status < 500)) => {
                return Ok(());
            }
            Ok((Some(id), status)) if id == deployment.id && late => {
                progress.warn(
                    Phase::Check,
                    &format!("the public address answers `{path}` with {status}"),
                );
                return Ok(());
            }
            Ok((None, 502)) if late => {
                still_running(deploying).await?;
                progress.warn(
                    Phase::Check,
                    "the app does not answer HTTP/1.1 requests; that its port is open was taken for enough",
                );
                return Ok(());
            }
            Ok((Some(id), status)) if id == deployment.id => format!("it answers `{path}` with {status}"),
            Ok((Some(other), _)) => format!("another deployment ({other}) answers"),
            Ok((None, status)) => format!("the proxy answers {status} by itself"),
            Err(message) => message,
        };
        if began.elapsed() > PATIENCE {
            return Err(StepError::Fail(Reason::new(
                "public-address",
                format!("the public address does not serve the new version: {problem}"),
                "The version before it serves again. Check that the app answers requests, and that the proxy runs.",
            )));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
}
