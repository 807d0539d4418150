//! Compares what should be with what is, and mends it: instances, routes, networks, directories. It takes no hint: a
//! signal only wakes it. A service on which a job works is left to that job.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Reason, ServiceId,
    deployment::DeploymentStatus,
    labels,
    names::HostName,
    ports::{
        infrastructure::{Instance, InstanceStatus},
        router::Route,
    },
    source::Revision,
};
use store::{
    deployments::Deployment,
    services::{Service, Wanted},
};

use crate::{
    instances::{self, DEFAULT_PORT},
    lifecycle::belongs_to_work,
    routes::{self, Situation},
    world::World,
};

/// How often the world is compared without being woken.
const EVERY: Duration = Duration::from_secs(10);
/// Signals that come within this time are answered together.
const CALM: Duration = Duration::from_millis(100);
/// What nobody owns is removed after this time, so that what is just being made is never taken for an orphan.
const GRACE_MS: i64 = 60_000;
/// The first pause before an instance that ended is started again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// A route that is not as it should be.
#[derive(Debug, PartialEq)]
pub(crate) enum RouteChange {
    /// Set it.
    Set(HostName, Route),
    /// Nobody's: remove it.
    Remove(HostName),
}

/// What makes the table as it should be. Hosts in `busy` are left alone.
pub(crate) fn plan_routes(
    wanted: &BTreeMap<HostName, Route>,
    busy: &BTreeSet<HostName>,
    found: &BTreeMap<HostName, Route>,
) -> Vec<RouteChange> {
    let mut changes = Vec::new();
    for (host, route) in wanted {
        if !busy.contains(host) && found.get(host) != Some(route) {
            changes.push(RouteChange::Set(host.clone(), route.clone()));
        }
    }
    for host in found.keys() {
        if !wanted.contains_key(host) && !busy.contains(host) {
            changes.push(RouteChange::Remove(host.clone()));
        }
    }
    changes
}

/// What is remembered between rounds: how often an instance ended, and when it may be started again.
#[derive(Default)]
struct Memory {
    pauses: HashMap<String, (Duration, Instant)>,
}

impl Memory {
    /// How long nobody need look: until the first pause ends, at most [`EVERY`].
    fn until_next_round(&self) -> Duration {
        let left = self
            .pauses
            .values()
            .map(|(_, not_before)| not_before.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero()).fold(EVERY, Duration::min)
    }
}

/// Compares and mends, for good.
pub(crate) async fn run(world: Arc<World>) {
    let mut memory = Memory::default();
    loop {
        if let Err(error) = round(&world, &mut memory).await {
            tracing::debug!("the world could not be compared: {error}");
        }
        let _ = tokio::time::timeout(memory.until_next_round(), world.notices.next_reconcile()).await;
        tokio::time::sleep(CALM).await;
    }
}

async fn round(world: &Arc<World>, memory: &mut Memory) -> Result<(), crate::Error> {
    // The order decides. What a job does after the table was read changes the table's number, and we then change
    // nothing; of a job that ended before the jobs were read, the services know; any other job is seen among the jobs.
    let table = world.router.table_at().await;
    let instances = world.infrastructure.instances(&world.installation_labels()).await?;
    let at_work = world.store.unfinished_serial_keys().await?;
    let services = world.store.all_services().await?;
    let unfinished = world.store.unfinished_deployments().await?;
    let mut by_service: HashMap<ServiceId, Vec<Instance>> = HashMap::new();
    let mut nobodys = Vec::new();
    for instance in instances {
        let owner = instance
            .labels
            .get(labels::RESOURCE)
            .and_then(|id| id.parse::<ServiceId>().ok());
        match owner.filter(|id| services.iter().any(|service| service.id == *id)) {
            Some(id) => by_service.entry(id).or_default().push(instance),
            None => nobodys.push(instance),
        }
    }
    let mut wanted = BTreeMap::new();
    let mut busy = BTreeSet::new();
    for service in &services {
        let found = by_service.remove(&service.id).unwrap_or_default();
        let deploying = unfinished.iter().any(|deployment| deployment.service == service.id);
        if service.wanted == Wanted::Removed || at_work.contains(&service.id.to_string()) {
            busy.insert(service.host.clone());
            continue;
        }
        let current = match service.current {
            Some(id) => world.store.any_deployment(id).await?,
            None => None,
        };
        mend_instances(world, memory, service, current.as_ref(), &found).await?;
        let latest = world.store.deployments(service.id, i64::MAX, 1).await?;
        let situation = Situation {
            service,
            port: current.as_ref().and_then(|deployment| deployment.port),
            instances: &found,
            deploying,
            failure: latest.first().and_then(|deployment| deployment.reason.as_ref()),
        };
        wanted.insert(service.host.clone(), routes::wanted(&situation));
    }
    remove_orphans(world, &nobodys).await?;
    let (mut number, table) = table?;
    for change in plan_routes(&wanted, &busy, &table) {
        let changed = match &change {
            RouteChange::Set(host, route) => world.router.change_at(number, host, Some(route)).await?,
            RouteChange::Remove(host) => world.router.change_at(number, host, None).await?,
        };
        let Some(next) = changed else {
            // A job changed it meanwhile: what is still to be done is found in another round.
            world.notices.reconcile();
            break;
        };
        number = next;
    }
    remove_networks(world).await?;
    remove_files(world, &unfinished).await;
    Ok(())
}

/// Brings back what should run, and removes what no deployment owns any more.
async fn mend_instances(
    world: &World,
    memory: &mut Memory,
    service: &Service,
    current: Option<&Deployment>,
    found: &[Instance],
) -> Result<(), crate::Error> {
    let serves = |instance: &Instance| match (service.wanted, service.current) {
        (Wanted::Running, Some(current)) => routes::belongs(instance, current, service.current_job),
        _ => false,
    };
    for instance in found.iter().filter(|instance| !serves(instance)) {
        if !belongs_to_work(world, service.organization, instance).await? && is_old(instance) {
            world.infrastructure.remove(&instance.name).await?;
        }
    }
    let (Wanted::Running, Some(deployment), Some(job)) = (service.wanted, current, service.current_job) else {
        return Ok(());
    };
    let mut unhealthy: Option<Reason> = None;
    for replica in 1..=deployment.made.settings.replicas.get() {
        let name = instances::name(service, job, replica);
        let instance = found.iter().find(|instance| instance.name == name);
        if let Some(instance) = instance.filter(|instance| instance.status == InstanceStatus::Running) {
            let steady = instance.started_at_ms.is_some_and(|at| store::now_ms() - at > GRACE_MS);
            if steady {
                memory.pauses.remove(&name);
            }
            continue;
        }
        unhealthy = Some(instance.and_then(|instance| instance.exit.as_ref()).map_or_else(
            || {
                Reason::new(
                    "instance-gone",
                    format!("instance {replica} was not there"),
                    "It is started again.",
                )
            },
            instances::ended,
        ));
        let (pause, not_before) = memory
            .pauses
            .get(&name)
            .copied()
            .unwrap_or((FIRST_PAUSE, Instant::now()));
        if Instant::now() < not_before {
            continue;
        }
        memory
            .pauses
            .insert(name.clone(), ((pause * 2).min(LAST_PAUSE), Instant::now() + pause));
        tracing::warn!(service.id = %service.id, "`{name}` does not run and is started again");
        let again = match instance {
            Some(_) => world.infrastructure.start_again(&name).await.map(drop),
            None => make_again(world, service, deployment, job, replica).await,
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

async fn make_again(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: domain::JobId,
    replica: u16,
) -> Result<(), domain::ports::infrastructure::InfrastructureError> {
    use domain::ports::infrastructure::InfrastructureError as E;
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
    if crate::deploy::provision::ensure_network(world, service).await.is_err() {
        return Err(E::Refused("the project's network could not be made".to_owned()));
    }
    let spec = instances::spec(world, service, deployment, job, image, replica, environment);
    world.infrastructure.start(&spec).await?;
    world.infrastructure.keep_running(&spec.name, true).await
}

fn is_old(instance: &Instance) -> bool {
    instance.started_at_ms.is_none_or(|at| store::now_ms() - at > GRACE_MS)
}

async fn remove_orphans(world: &World, nobodys: &[Instance]) -> Result<(), crate::Error> {
    for instance in nobodys.iter().filter(|instance| is_old(instance)) {
        tracing::warn!("`{}` belongs to no service and is removed", instance.name);
        world.infrastructure.remove(&instance.name).await?;
    }
    Ok(())
}

async fn remove_networks(world: &World) -> Result<(), crate::Error> {
    // Listed before the projects are read: a network that is made meanwhile is not taken for nobody's.
    let networks = world.infrastructure.networks(&world.installation_labels()).await?;
    let projects = world.store.all_projects().await?;
    let known: BTreeSet<String> = projects.iter().map(|project| world.network_name(project.id)).collect();
    for network in networks {
        if !known.contains(&network.name) {
            world.infrastructure.remove_network(&network.name).await?;
        }
    }
    Ok(())
}

/// Removes work directories of deployments that are over, and uploads that no row knows.
async fn remove_files(world: &World, unfinished: &[Deployment]) {
    let working: BTreeSet<String> = unfinished.iter().map(|deployment| deployment.id.to_string()).collect();
    remove_unknown(&world.work_directory(), &working).await;
    if let Err(error) = forget_uploads(world).await {
        tracing::debug!("uploads could not be looked through: {error}");
    }
    if let Ok(uploads) = world.store.uploads().await {
        let known = uploads.iter().map(|(id, _)| id.to_string()).collect();
        remove_unknown(&world.settings.data_directory.join("uploads"), &known).await;
    }
}

/// Forgets uploads that nobody will ask for: only one whose deployment is under way, or is the service's newest and did
/// not succeed, so that it may be tried again, is kept.
async fn forget_uploads(world: &World) -> Result<(), store::Error> {
    for (upload, service) in world.store.uploads().await? {
        let deployments = world.store.deployments(service, i64::MAX, 50).await?;
        let of_it = |deployment: &Deployment| deployment.revision == Revision::Upload { upload };
        let under_way = deployments
            .iter()
            .any(|deployment| of_it(deployment) && !deployment.status.is_final());
        let may_be_tried = deployments.first().is_some_and(|newest| {
            of_it(newest) && matches!(newest.status, DeploymentStatus::Failed | DeploymentStatus::Cancelled)
        });
        if !under_way && !may_be_tried {
            // The file first: a row without it says what it is, a file without a row would wait to be found.
            let _ = tokio::fs::remove_file(world.upload_file(upload)).await;
            world.store.delete_upload(upload).await?;
        }
    }
    Ok(())
}

async fn remove_unknown(directory: &std::path::Path, known: &BTreeSet<String>) {
    let Ok(mut entries) = tokio::fs::read_dir(directory).await else {
        return;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        let young = match entry.metadata().await.and_then(|metadata| metadata.modified()) {
            Ok(modified) => modified.elapsed().unwrap_or_default() < Duration::from_secs(60),
            Err(_) => true,
        };
        if known.contains(&name) || young {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            tokio::fs::remove_dir_all(&path).await
        } else {
            tokio::fs::remove_file(&path).await
        };
        match removed {
            Ok(()) => tracing::info!("`{name}` belonged to nothing and was removed"),
            Err(error) => tracing::warn!("`{name}` belongs to nothing and is left: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ports::router::RouteState;

    use super::*;

    fn route(state: RouteState) -> Route {
        Route {
            service: "svc_01900000000070008000000000000001".parse().unwrap(),
            name: "web".to_owned(),
            state,
            message: String::new(),
            deployment: None,
            instances: Vec::new(),
        }
    }

    fn host(name: &str) -> HostName {
        HostName::parse(name).unwrap()
    }

    #[test]
    fn a_table_that_is_right_is_left_alone() {
        let table = BTreeMap::from([(host("a.test"), route(RouteState::Stopped))]);
        assert_eq!(plan_routes(&table, &BTreeSet::new(), &table), []);
    }

    #[test]
    fn what_is_missing_wrong_or_nobodys_is_mended() {
        let wanted = BTreeMap::from([
            (host("missing.test"), route(RouteState::Live)),
            (host("wrong.test"), route(RouteState::Live)),
        ]);
        let found = BTreeMap::from([
            (host("nobodys.test"), route(RouteState::Live)),
            (host("wrong.test"), route(RouteState::Stopped)),
        ]);
        assert_eq!(
            plan_routes(&wanted, &BTreeSet::new(), &found),
            [
                RouteChange::Set(host("missing.test"), route(RouteState::Live)),
                RouteChange::Set(host("wrong.test"), route(RouteState::Live)),
                RouteChange::Remove(host("nobodys.test")),
            ]
        );
    }

    #[test]
    fn a_host_on_which_a_job_works_is_left_to_it() {
        let found = BTreeMap::from([(host("a.test"), route(RouteState::Live))]);
        let busy = BTreeSet::from([host("a.test")]);
        assert_eq!(plan_routes(&BTreeMap::new(), &busy, &found), []);
    }
}
