//! Compares what should be with what is, and mends it: instances, routes, networks, files. It takes no hint: a signal only
//! wakes it. A service on which a job works is left to that job. Each kind has a module with a plan that touches nothing.

mod instances;
mod orphans;
mod table;
mod tries;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{OrganizationId, ServiceId, ports::infrastructure::Instance};
use orphans::Found;
pub use orphans::{Orphan, OrphanKind, Orphans};
use store::{
    deployments::Deployment,
    services::{Service, Wanted},
};
use table::Seen;
use tries::Tries;

use crate::{
    retention,
    routes::{self, Situation},
    world::World,
};

/// How often the world is compared without being woken.
const EVERY: Duration = Duration::from_secs(10);
/// Signals that come within this time are answered together.
const CALM: Duration = Duration::from_millis(100);
/// Services that are read at once.
const PAGE: i64 = 500;

/// Compares and mends, and forgets what is over, for good.
pub(crate) async fn run(world: Arc<World>) {
    tokio::join!(rounds(&world), retention::run(&world));
}

async fn rounds(world: &Arc<World>) {
    let mut tries = Tries::default();
    loop {
        let began = Instant::now();
        match round(world, &mut tries).await {
            Ok(()) => tracing::debug!("a round took {} ms", began.elapsed().as_millis()),
            Err(error) => tracing::debug!("the world could not be compared: {error}"),
        }
        tries.forget_old();
        let _ = tokio::time::timeout(tries.until_next(EVERY), world.notices.next_reconcile()).await;
        tokio::time::sleep(CALM).await;
    }
}

async fn round(world: &Arc<World>, tries: &mut Tries) -> Result<(), crate::Error> {
    // The order decides. What a job does after the table was read changes the table's number, and we then change
    // nothing; of a job that ended before the jobs were read, the services know; any other job is seen among the jobs.
    let table = world.router.table_at().await;
    let (mut seen, mut routes, unread) = match table {
        Ok((number, routes)) => (Some(Seen::new(number)), routes, None),
        Err(error) => (None, Default::default(), Some(error)),
    };
    let mut work = Work::look(world).await?;
    let mut stray: Vec<Found> = Vec::new();
    while let Some(page) = work.next_page(world).await? {
        let current = world.store.any_current_deployments(&page).await?;
        let latest = world.store.any_latest_deployments(&page).await?;
        let mut wanted = Vec::new();
        for service in &page {
            let found = work.instances_of(service.id);
            if work.is_busy(service) {
                wanted.push((service.host.clone(), None));
                continue;
            }
            if !work.is_retiring(service) {
                stray.extend(orphans::strays(world, service, &found).await?);
            }
            let current = current.get(&service.id);
            instances::mend(world, tries, service, current, &found).await?;
            let situation = Situation {
                service,
                port: current.and_then(|deployment| deployment.port),
                instances: &found,
                deploying: work.deploying.contains(&service.id),
                failure: latest
                    .get(&service.id)
                    .and_then(|deployment| deployment.reason.as_ref()),
            };
            wanted.push((service.host.clone(), Some(routes::wanted(&situation))));
        }
        if let Some(seen) = &mut seen {
            seen.change(world, table::plan(wanted, &mut routes)).await?;
        }
    }
    stray.extend(work.nobodys());
    let grace_ms = world.grace_ms();
    let now_ms = store::now_ms();
    for orphan in world.orphans.of_kind(OrphanKind::Instance, stray, now_ms, grace_ms) {
        if orphan.remove_at_ms <= now_ms {
            tracing::warn!("`{}` is removed: {}", orphan.name, orphan.why);
            tries
                .remove(&orphan.name, world.infrastructure.remove(&orphan.name))
                .await?;
        }
    }
    if let Some(seen) = &mut seen {
        seen.change(world, table::plan_rest(routes)).await?;
    }
    if let Some(error) = unread {
        return Err(error.into());
    }
    for orphan in world
        .orphans
        .of_kind(OrphanKind::Network, networks(world).await?, now_ms, grace_ms)
    {
        if orphan.remove_at_ms <= now_ms {
            tries
                .remove(&orphan.name, world.infrastructure.remove_network(&orphan.name))
                .await?;
        }
    }
    if let Err(error) = retention::uploads::forget(world).await {
        tracing::debug!("uploads could not be looked through: {error}");
    }
    for orphan in world
        .orphans
        .of_kind(OrphanKind::File, files(world).await?, now_ms, grace_ms)
    {
        if orphan.remove_at_ms <= now_ms {
            remove_file(&world.settings.data_directory.join(&orphan.name)).await;
        }
    }
    Ok(())
}

/// What is there and who works on what, as it was before the services are read page by page.
struct Work {
    by_service: HashMap<ServiceId, Vec<Instance>>,
    unlabelled: Vec<Instance>,
    at_work: HashSet<String>,
    deploying: HashSet<ServiceId>,
    after: Option<String>,
}

impl Work {
    async fn look(world: &World) -> Result<Self, crate::Error> {
        let mut by_service: HashMap<ServiceId, Vec<Instance>> = HashMap::new();
        let mut unlabelled = Vec::new();
        for instance in world.infrastructure.instances(&world.installation_labels()).await? {
            match orphans::service_of(&instance) {
                Some(service) => by_service.entry(service).or_default().push(instance),
                None => unlabelled.push(instance),
            }
        }
        let at_work = world.store.unfinished_serial_keys().await?.into_iter().collect();
        let unfinished = world.store.unfinished_deployments().await?;
        Ok(Self {
            by_service,
            unlabelled,
            at_work,
            deploying: unfinished.iter().map(|deployment| deployment.service).collect(),
            after: Some(String::new()),
        })
    }

    /// The next services, until there is none.
    async fn next_page(&mut self, world: &World) -> Result<Option<Vec<Service>>, store::Error> {
        let Some(after) = self.after.take() else {
            return Ok(None);
        };
        let page = world.store.any_services_after(&after, PAGE).await?;
        if page.len() as i64 == PAGE {
            self.after = page.last().map(|service| service.id.to_string());
        }
        Ok((!page.is_empty()).then_some(page))
    }

    fn instances_of(&mut self, service: ServiceId) -> Vec<Instance> {
        self.by_service.remove(&service).unwrap_or_default()
    }

    /// Whether the service is left to its job.
    fn is_busy(&self, service: &Service) -> bool {
        service.wanted == Wanted::Removed || self.at_work.contains(&service.id.to_string())
    }

    /// Whether a job lets the instances go that serve no more: it waits until their requests are over.
    fn is_retiring(&self, service: &Service) -> bool {
        self.at_work.contains(&format!("retire/{}", service.id))
    }

    /// What is left when every service was looked at.
    fn nobodys(&self) -> Vec<Found> {
        orphans::nobodys(self.by_service.values().flatten().chain(&self.unlabelled))
    }
}

async fn networks(world: &World) -> Result<Vec<Found>, crate::Error> {
    // Listed before the projects are read: a network that is made meanwhile is not taken for nobody's.
    let networks = world.infrastructure.networks(&world.installation_labels()).await?;
    let projects = world.store.all_projects().await?;
    let known: BTreeSet<String> = projects.iter().map(|project| world.network_name(project.id)).collect();
    Ok(orphans::of_networks(&networks, &known))
}

/// Work directories of deployments that are over, and uploads that no row knows.
async fn files(world: &World) -> Result<Vec<Found>, store::Error> {
    let unfinished = world.store.unfinished_deployments().await?;
    let working: BTreeSet<String> = unfinished
        .iter()
        .map(|deployment: &Deployment| deployment.id.to_string())
        .collect();
    let mut found = orphans::of_folder(&world.work_directory(), &working, "no deployment is at work in it").await;
    let uploads = world.store.uploads().await?;
    let known = uploads.iter().map(|(id, _)| id.to_string()).collect();
    let folder: PathBuf = world.settings.data_directory.join("uploads");
    found.extend(orphans::of_folder(&folder, &known, "no deployment takes its files from it").await);
    Ok(found)
}

async fn remove_file(path: &std::path::Path) {
    let removed = if path.is_dir() {
        tokio::fs::remove_dir_all(path).await
    } else {
        tokio::fs::remove_file(path).await
    };
    match removed {
        Ok(()) => tracing::info!("`{}` belonged to nothing and was removed", path.display()),
        Err(error) => tracing::warn!("`{}` belongs to nothing and is left: {error}", path.display()),
    }
}

/// What nobody owns now, of an organization or of none that it names. Looked for anew: it is for operators, and rare.
pub(crate) async fn orphans_of(world: &World, organization: OrganizationId) -> Result<Vec<Orphan>, crate::Error> {
    let mut work = Work::look(world).await?;
    let mut stray = Vec::new();
    while let Some(page) = work.next_page(world).await? {
        for service in &page {
            let found = work.instances_of(service.id);
            if !found.is_empty() && !work.is_busy(service) && !work.is_retiring(service) {
                stray.extend(orphans::strays(world, service, &found).await?);
            }
        }
    }
    stray.extend(work.nobodys());
    let (now_ms, grace_ms) = (store::now_ms(), world.grace_ms());
    let mut all = world.orphans.of_kind(OrphanKind::Instance, stray, now_ms, grace_ms);
    all.extend(
        world
            .orphans
            .of_kind(OrphanKind::Network, networks(world).await?, now_ms, grace_ms),
    );
    all.extend(
        world
            .orphans
            .of_kind(OrphanKind::File, files(world).await?, now_ms, grace_ms),
    );
    all.retain(|orphan| orphan.organization.is_none_or(|of| of == organization));
    Ok(all)
}
