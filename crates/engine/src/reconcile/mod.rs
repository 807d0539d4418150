//! Compares what should be with what is, and mends it: instances, routes, networks, files. It takes no hint: a signal only
//! wakes it. A service on which a job works is left to that job. Each kind has a module with a plan that touches nothing.

mod images;
mod instances;
mod orphans;
mod table;
mod tries;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{OrganizationId, ServiceId, ports::infrastructure::Instance};
pub(crate) use images::sweep as sweep_images;
use orphans::Found;
pub use orphans::{Orphan, OrphanKind};
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
pub(crate) async fn run(world: &Arc<World>) {
    tokio::join!(rounds(world), retention::run(world));
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
    for orphan in orphans::due(world, OrphanKind::Instance, stray).await? {
        tracing::warn!("`{}` is removed: {}", orphan.name, orphan.why);
        tries
            .remove(&orphan.name, world.infrastructure.remove(&orphan.name))
            .await?;
    }
    if let Some(seen) = &mut seen {
        seen.change(world, table::plan_rest(routes)).await?;
    }
    if let Some(error) = unread {
        return Err(error.into());
    }
    for orphan in orphans::due(world, OrphanKind::Network, networks(world).await?).await? {
        tries
            .remove(&orphan.name, world.infrastructure.remove_network(&orphan.name))
            .await?;
    }
    if let Err(error) = retention::uploads::forget(world).await {
        tracing::debug!("uploads could not be looked through: {error}");
    }
    sweep(world, &world.settings.upload_directory, uploads(world).await?).await;
    sweep(world, &world.work_directory(), work_directories(world).await?).await;
    Ok(())
}

/// Removes what no deployment left in the work directory of this process, for good: the process that leads has its own.
pub(crate) async fn sweep_work_directory(world: Arc<World>) {
    loop {
        tokio::time::sleep(EVERY).await;
        match work_directories(&world).await {
            Ok(found) => sweep(&world, &world.work_directory(), found).await,
            Err(error) => tracing::debug!("the work directory could not be looked through: {error}"),
        }
    }
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

/// Work directories of deployments that are over.
async fn work_directories(world: &World) -> Result<Vec<Found>, store::Error> {
    let unfinished = world.store.unfinished_deployments().await?;
    let working: BTreeSet<String> = unfinished
        .iter()
        .map(|deployment: &Deployment| deployment.id.to_string())
        .collect();
    let why = "no deployment is at work in it";
    Ok(orphans::of_folder(&world.work_directory(), "work", &working, why).await)
}

/// Uploads that no row knows.
async fn uploads(world: &World) -> Result<Vec<Found>, store::Error> {
    let uploads = world.store.uploads().await?;
    let known = uploads.iter().map(|(id, _)| id.to_string()).collect();
    let why = "no deployment takes its files from it";
    Ok(orphans::of_folder(&world.settings.upload_directory, "uploads", &known, why).await)
}

/// Removes those files of a folder whose grace is over.
async fn sweep(world: &World, folder: &Path, found: Vec<Found>) {
    let now_ms = store::now_ms();
    for orphan in orphans::timed(found, &HashMap::new(), now_ms, world.grace_ms()) {
        if orphan.remove_at_ms <= now_ms
            && let Some((_, name)) = orphan.name.split_once('/')
        {
            remove_file(&folder.join(name)).await;
        }
    }
}

async fn remove_file(path: &Path) {
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

/// What nobody owns now, of an organization. Looked for anew: it is for operators, and rare.
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
    let mut all = orphans::known(world, OrphanKind::Instance, stray).await?;
    all.extend(orphans::known(world, OrphanKind::Network, networks(world).await?).await?);
    all.extend(orphans::known(world, OrphanKind::Image, images::nobodys(world).await?).await?);
    let files = [work_directories(world).await?, uploads(world).await?].concat();
    // Files say themselves since when.
    all.extend(orphans::timed(
        files,
        &HashMap::new(),
        store::now_ms(),
        world.grace_ms(),
    ));
    // What says nothing of an organization is the operator's, who is in the first one.
    let is_first = world.store.first_organization().await? == Some(organization);
    all.retain(|orphan| orphan.organization.map_or(is_first, |of| of == organization));
    Ok(all)
}
