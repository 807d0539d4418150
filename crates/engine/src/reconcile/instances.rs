//! Instances that should run and do not: brought back, at growing pauses.

use domain::{
    Reason,
    ports::infrastructure::{InfrastructureError, Instance, InstanceStatus},
};
use store::{
    deployments::Deployment,
    services::{Service, Wanted},
};

use super::tries::{LONG_PAUSE, MANY, Tries};
use crate::{
    deploy::provision,
    instances::{self, DEFAULT_PORT},
    world::World,
};

/// An instance that has run for this long is well.
const STEADY_MS: i64 = 60_000;

/// How a replica that should run is found.
#[derive(Debug, PartialEq)]
enum State<'i> {
    Runs { steady: bool },
    Ended(&'i Instance),
    Gone,
}

/// Each replica of what should serve, by its number and name.
fn plan<'i>(
    service: &Service,
    deployment: &Deployment,
    job: domain::JobId,
    found: &'i [Instance],
    now_ms: i64,
) -> Vec<(u16, String, State<'i>)> {
    let state = |name: &str| match found.iter().find(|instance| instance.name == name) {
        None => State::Gone,
        Some(instance) if instance.status == InstanceStatus::Running => State::Runs {
            steady: instance.started_at_ms.is_some_and(|at| now_ms - at > STEADY_MS),
        },
        Some(instance) => State::Ended(instance),
    };
    (1..=deployment.made.settings.replicas.get())
        .map(|replica| {
            let name = instances::name(service, job, replica);
            let state = state(&name);
            (replica, name, state)
        })
        .collect()
}

/// Brings back what should run.
pub(super) async fn mend(
    world: &World,
    tries: &mut Tries,
    service: &Service,
    current: Option<&Deployment>,
    found: &[Instance],
) -> Result<(), crate::Error> {
    let (Wanted::Running, Some(deployment), Some(job)) = (service.wanted, current, service.current_job) else {
        return Ok(());
    };
    let mut unhealthy: Option<Reason> = None;
    for (replica, name, state) in plan(service, deployment, job, found, store::now_ms()) {
        let exit = match state {
            State::Runs { steady } => {
                if steady {
                    tries.is_well(&name);
                }
                continue;
            }
            State::Ended(instance) => instance.exit.as_ref(),
            State::Gone => None,
        };
        let reason = exit.map_or_else(
            || {
                Reason::new(
                    "instance-gone",
                    format!("instance {replica} was not there"),
                    "It is started again.",
                )
            },
            instances::ended,
        );
        let may_try = tries.may_try(&name);
        unhealthy = Some(if tries.were_many(&name) {
            keeps_ending(replica, &reason)
        } else {
            reason
        });
        if !may_try {
            continue;
        }
        tracing::warn!(service.id = %service.id, "`{name}` does not run and is started again");
        let again = match state {
            State::Gone => make_again(world, service, deployment, job, replica).await,
            _ => bring_back(world, service, deployment, job, replica, &name).await,
        };
        if let Err(error) = again {
            unhealthy = Some(Reason::new("cannot-start", error.to_string(), "Deploy again."));
        } else {
            world.notices.reconcile();
        }
    }
    if service.unhealthy != unhealthy {
        world.store.set_unhealthy(service.id, unhealthy.as_ref()).await?;
    }
    Ok(())
}

fn keeps_ending(replica: u16, reason: &Reason) -> Reason {
    let minutes = LONG_PAUSE.as_secs() / 60;
    Reason::new(
        "keeps-ending",
        format!(
            "instance {replica} was brought back {MANY} times within an hour, and is from now on every {minutes} minutes; at last: {}",
            reason.message
        ),
        "See the service's log, and deploy a version that goes on running, or roll back.",
    )
}

/// Starts an instance again that has ended. An engine that was killed may refuse that for good, because it half remembers
/// the instance's last run: then another one is made under the name.
async fn bring_back(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: domain::JobId,
    replica: u16,
    name: &str,
) -> Result<(), InfrastructureError> {
    match world.infrastructure.start_again(name).await {
        Ok(_) => Ok(()),
        Err(InfrastructureError::Refused(words)) => {
            tracing::warn!(service.id = %service.id, "`{name}` cannot be started again and is made anew: {words}");
            world.infrastructure.remove(name).await?;
            make_again(world, service, deployment, job, replica).await
        }
        // Somebody took it away meanwhile.
        Err(InfrastructureError::Missing(_)) => make_again(world, service, deployment, job, replica).await,
        Err(error) => Err(error),
    }
}

async fn make_again(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: domain::JobId,
    replica: u16,
) -> Result<(), InfrastructureError> {
    use InfrastructureError as E;
    let Some(image) = &deployment.image else {
        return Err(E::ImageMissing(String::new()));
    };
    let variables = world
        .store
        .deployment_environment(deployment.id)
        .await
        .map_err(|error| E::Refused(error.to_string()))?;
    let variables = variables
        .into_iter()
        .map(|(key, (_, value))| (key, domain::SecretText::new(value)))
        .collect();
    let port = deployment.port.unwrap_or(DEFAULT_PORT);
    let environment = instances::environment(world, service, deployment, &variables, port, replica);
    let owner = domain::JobId::mint().to_string();
    if provision::ensure_network(world, &owner, service).await.is_err() {
        return Err(E::Refused("the project's network could not be made".to_owned()));
    }
    let spec = instances::spec(world, service, deployment, job, image, replica, environment);
    world.infrastructure.start(&spec).await?;
    world.infrastructure.keep_running(&spec.name, true).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_keeps_ending_says_how_often_and_why() {
        let reason = keeps_ending(2, &Reason::new("exited", "the process exited 1", ""));
        assert_eq!(reason.code, "keeps-ending");
        assert!(
            reason.message.starts_with("instance 2 was brought back 20 times"),
            "{}",
            reason.message
        );
        assert!(
            reason
                .message
                .ends_with("every 10 minutes; at last: the process exited 1"),
            "{}",
            reason.message
        );
    }
}
