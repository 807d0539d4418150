//! Stopping, starting, restarting and removing: jobs that may begin again at any line, because each looks at what is
//! there and does what is left.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    DeploymentId, ProjectId, Reason, ServiceId,
    deployment::Phase,
    labels,
    ports::{
        infrastructure::{InfrastructureError, Instance},
        router::{Route, RouteState},
    },
};
use futures_util::future::try_join_all;
use store::{
    deployments::Deployment,
    jobs::Claim,
    services::{Service, Wanted},
};

use crate::{
    deploy::{provision, release},
    instances::{self, DEFAULT_PORT, Port, STOP_GRACE_SECONDS, refused},
    retention,
    routes::{self, Situation},
    runner::Outcome,
    saga::StepError,
    world::World,
};

/// A step's error as the end of a job that has to come to its end: a refusal of this moment (a container that is just
/// ending, a network that is still in use) is another one's success a moment later.
fn ended(error: StepError) -> Result<Outcome, store::Error> {
    match error {
        StepError::Again(reason) | StepError::Fail(reason) => Ok(Outcome::Again(reason)),
        StepError::Store(error) => Err(error),
    }
}

async fn subject(world: &World, claim: &Claim) -> Result<Option<Service>, store::Error> {
    match claim.job.subject.parse::<ServiceId>() {
        Ok(id) => world.store.any_service(id).await,
        Err(_) => Ok(None),
    }
}

fn service_labels(world: &World, service: ServiceId) -> BTreeMap<String, String> {
    let mut wanted = world.installation_labels();
    wanted.insert(labels::RESOURCE.to_owned(), service.to_string());
    wanted
}

/// Lets instances finish their requests, then ends and removes them.
async fn let_go(world: &World, instances: &[&Instance], drain: Duration) -> Result<(), StepError> {
    try_join_all(instances.iter().map(|instance| async move {
        // When the proxy is away nobody can be counted; new requests cannot come through it either.
        match world.router.drained(&instance.name, drain).await {
            Ok(0) => {}
            Ok(left) => tracing::info!(
                "`{}` is stopped with {left} request(s) under way: its time is over",
                instance.name
            ),
            Err(error) => tracing::warn!("`{}` is stopped without being drained: {error}", instance.name),
        }
        // What was stopped is not started again by the engine itself, whatever it was told before.
        world.infrastructure.stop(&instance.name, STOP_GRACE_SECONDS).await?;
        // What it said last is read before it goes.
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.infrastructure.remove(&instance.name).await
    }))
    .await
    .map_err(refused)?;
    Ok(())
}

fn page(service: &Service, state: RouteState) -> Route {
    Route {
        service: service.id,
        name: service.name.to_string(),
        state,
        message: String::new(),
        deployment: None,
        instances: Vec::new(),
    }
}

async fn want(world: &World, claim: &Claim, service: &Service, wanted: Wanted) -> Result<(), store::Error> {
    store::transaction!(world.store, |write| {
        write.lock_service(service.id).await?;
        write.require_lease(claim).await?;
        write.set_wanted(service.id, wanted).await?;
    })
}

/// Stops a service: its page says so, its instances finish their requests and go.
pub(crate) async fn stop(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Some(service) = subject(world, claim).await? else {
        return Ok(Outcome::Done);
    };
    want(world, claim, &service, Wanted::Stopped).await?;
    let stopping = async {
        let route = page(&service, RouteState::Stopped);
        world
            .router
            .set(&service.host, &route)
            .await
            .map_err(provision::unrouted)?;
        let found = world
            .infrastructure
            .instances(&service_labels(world, service.id))
            .await
            .map_err(refused)?;
        let drain = Duration::from_secs(service.settings.drain_timeout_seconds.into());
        let_go(world, &found.iter().collect::<Vec<_>>(), drain).await
    };
    match stopping.await {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => ended(error),
    }
}

/// Starts or restarts the current deployment: new instances beside the old ones, the switch, the old ones go.
pub(crate) async fn start(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Some(service) = subject(world, claim).await? else {
        return Ok(Outcome::Done);
    };
    let Some(current) = service.current else {
        return Ok(Outcome::Done);
    };
    let Some(deployment) = world.store.any_deployment(current).await? else {
        return Ok(Outcome::Done);
    };
    if service.wanted == Wanted::Removed {
        return Ok(Outcome::Done);
    }
    want(world, claim, &service, Wanted::Running).await?;
    let deadline = Duration::from_secs(u64::from(deployment.made.settings.health_timeout_seconds) + 120);
    let end = tokio::time::timeout(deadline, bring_up_current(world, claim, &service, &deployment)).await;
    match end.unwrap_or_else(|_| {
        Err(StepError::Fail(Reason::new(
            "deadline",
            "it took too long",
            "Deploy again.",
        )))
    }) {
        Ok(()) => {
            let id = service.id.to_string();
            store::transaction!(world.store, |write| {
                write.lock_service(service.id).await?;
                write.finish_job(claim, None).await?;
                write.set_current(service.id, deployment.id, claim.job.id).await?;
                write
                    .enqueue(service.organization, "retire-instances", &id, &format!("retire/{id}"))
                    .await?;
            })?;
            world.notices.job();
            Ok(Outcome::Finished)
        }
        Err(StepError::Fail(reason)) => {
            // What served before goes on serving.
            let undone = async {
                show_current(world, service.id, &deployment).await?;
                release::remove_instances_of_job(world, &claim.job.id.to_string()).await
            };
            if let Err(error) = undone.await {
                return ended(error);
            }
            world.store.set_unhealthy(service.id, Some(&reason)).await?;
            world.notices.reconcile();
            Ok(Outcome::GiveUp(reason))
        }
        Err(error) => ended(error),
    }
}

async fn bring_up_current(
    world: &World,
    claim: &Claim,
    service: &Service,
    deployment: &Deployment,
) -> Result<(), StepError> {
    let gone = || {
        StepError::Fail(Reason::new(
            "image-gone",
            "the image of the current deployment is gone",
            "Deploy again.",
        ))
    };
    let image = deployment.image.clone().ok_or_else(gone)?;
    provision::ensure_network(world, &claim.owner, service).await?;
    let port = Port {
        number: deployment.port.unwrap_or(DEFAULT_PORT),
        chosen: true,
    };
    let (found, _) = instances::bring_up(world, service, deployment, claim.job.id, &image, port, &|_| {}).await?;
    let route = Route {
        deployment: Some(deployment.id),
        instances: found.clone(),
        ..page(service, RouteState::Live)
    };
    world
        .router
        .set(&service.host, &route)
        .await
        .map_err(provision::unrouted)?;
    for instance in &found {
        if let Err(error) = world.infrastructure.keep_running(&instance.id, true).await {
            tracing::warn!("`{}` will not be restarted by the engine itself: {error}", instance.id);
        }
    }
    Ok(())
}

/// Leads the address to the instances that the state knows, whoever had switched it.
async fn show_current(world: &World, service: ServiceId, deployment: &Deployment) -> Result<(), StepError> {
    let instances = world
        .infrastructure
        .instances(&service_labels(world, service))
        .await
        .map_err(refused)?;
    let Some(service) = world.store.any_service(service).await? else {
        return Ok(());
    };
    let situation = Situation {
        service: &service,
        port: deployment.port,
        instances: &instances,
        deploying: false,
        failure: None,
    };
    world
        .router
        .set(&service.host, &routes::wanted(&situation))
        .await
        .map_err(provision::unrouted)
}

/// Ends the instances that serve no more: neither the current ones, nor those of work that is under way.
pub(crate) async fn retire(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Some(service) = subject(world, claim).await? else {
        return Ok(Outcome::Done);
    };
    let retiring = async {
        let found = world
            .infrastructure
            .instances(&service_labels(world, service.id))
            .await
            .map_err(refused)?;
        let mut idle = Vec::new();
        for instance in &found {
            if !belongs_to_work(world, service.organization, instance).await? {
                idle.push(instance);
            }
        }
        // The order decides: what serves is read last, so that of every job that was over above it is known here.
        let Some(service) = subject(world, claim).await? else {
            return Ok(());
        };
        let (Some(current), Some(job)) = (service.current, service.current_job) else {
            return Ok(());
        };
        let old: Vec<&Instance> = idle
            .into_iter()
            .filter(|instance| !routes::belongs(instance, current, Some(job)))
            .collect();
        if !old.is_empty() {
            let drain = Duration::from_secs(service.settings.drain_timeout_seconds.into());
            world
                .store
                .begin_phase(current, Phase::Drain, service.settings.drain_timeout_seconds + 60)
                .await?;
            let_go(world, &old, drain).await?;
            forget_images(world).await;
        }
        world.store.end_drains(service.id).await?;
        Ok(())
    };
    match retiring.await {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => ended(error),
    }
}

/// Whether the job that started an instance is not over.
pub(crate) async fn belongs_to_work(
    world: &World,
    organization: domain::OrganizationId,
    instance: &Instance,
) -> Result<bool, store::Error> {
    let Some(job) = instance.labels.get(labels::JOB).and_then(|job| job.parse().ok()) else {
        return Ok(false);
    };
    match world.store.job(organization, job).await {
        Ok(job) => Ok(job.finished_at_ms.is_none()),
        Err(store::Error::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a service with all that is its own: route, instances, images, uploads, rows.
pub(crate) async fn remove_service(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Some(service) = subject(world, claim).await? else {
        return Ok(Outcome::Done);
    };
    let removing = async {
        world.router.remove(&service.host).await.map_err(provision::unrouted)?;
        let found = world
            .infrastructure
            .instances(&service_labels(world, service.id))
            .await
            .map_err(refused)?;
        let drain = Duration::from_secs(service.settings.drain_timeout_seconds.min(5).into());
        let_go(world, &found.iter().collect::<Vec<_>>(), drain).await?;
        for deployment in world.store.deployments_with_image(service.id).await? {
            if let Some(image) = &deployment.image {
                retention::let_go(world, service.organization, &deployment, image).await?;
            }
        }
        Ok::<(), StepError>(())
    };
    if let Err(error) = removing.await {
        return ended(error);
    }
    for deployment in world.store.deployments(service.id, i64::MAX, 10_000).await? {
        remove_work_directory(world, deployment.id).await;
    }
    for (upload, _) in world
        .store
        .uploads()
        .await?
        .into_iter()
        .filter(|(_, owner)| *owner == service.id)
    {
        let _ = tokio::fs::remove_file(world.upload_file(upload)).await;
    }
    world.store.delete_service(service.id).await?;
    forget_images(world).await;
    world.notices.reconcile();
    Ok(Outcome::Done)
}

/// Frees the room of what a registry has too.
async fn forget_images(world: &World) {
    if let Err(error) = world.infrastructure.forget_unused_images().await {
        tracing::warn!("unused images are left: {error}");
    }
}

async fn remove_work_directory(world: &World, deployment: DeploymentId) {
    // Absence is the usual case; what else fails is found by the reconciler.
    let _ = tokio::fs::remove_dir_all(world.work_directory().join(deployment.to_string())).await;
}

/// Removes a project once its services are gone; their removal was enqueued with this job.
pub(crate) async fn remove_project(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Ok(id) = claim.job.subject.parse::<ProjectId>() else {
        return Ok(Outcome::Done);
    };
    let left = world.store.services(claim.job.organization, id, "", "", 1000).await?;
    if !left.is_empty() {
        let names: Vec<_> = left.iter().map(|service| service.name.to_string()).collect();
        return Ok(Outcome::Waits(Reason::new(
            "waiting",
            format!("services are being removed: {}", names.join(", ")),
            "",
        )));
    }
    if let Err(error) = remove_network(world, id).await {
        return ended(refused(error));
    }
    world.store.delete_project(id).await?;
    world.notices.reconcile();
    Ok(Outcome::Done)
}

/// The pauses between the tries to remove a network that the engine says is in use.
const NETWORK_PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Removes a project's network. One that the engine keeps (it may count a place in it that no container has, until it is
/// restarted) does not keep the project: once no project knows it, the reconciler goes on trying.
async fn remove_network(world: &World, project: ProjectId) -> Result<(), InfrastructureError> {
    let name = world.network_name(project);
    for pause in NETWORK_PAUSES {
        match world.infrastructure.remove_network(&name).await {
            Err(InfrastructureError::Refused(_)) => tokio::time::sleep(pause).await,
            ended => return ended,
        }
    }
    match world.infrastructure.remove_network(&name).await {
        Err(InfrastructureError::Refused(words)) => {
            tracing::warn!(%project, "the network `{name}` of a removed project is left for later: {words}");
            Ok(())
        }
        ended => ended,
    }
}
