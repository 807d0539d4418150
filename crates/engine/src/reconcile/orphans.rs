//! What carries this installation's label, and nobody owns any more. It is removed after a grace time from when it was
//! noticed, so that what is just being made is never taken for an orphan.

use std::{
    collections::{BTreeSet, HashMap},
    time::UNIX_EPOCH,
};

use domain::{
    OrganizationId, ServiceId, labels,
    ports::infrastructure::{Instance, Network},
};
use store::services::{Service, Wanted};

use crate::{lifecycle::belongs_to_work, routes, world::World};

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrphanKind {
    /// A container.
    Instance,
    /// A network of a project.
    Network,
    /// An image in the engine's store.
    Image,
    /// A work directory, or an upload.
    File,
}

impl OrphanKind {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Network => "network",
            Self::Image => "image",
            Self::File => "file",
        }
    }
}

/// Something that nobody owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// What it is.
    pub kind: OrphanKind,
    /// Its name; of a file, `work/…` or `uploads/…`.
    pub name: String,
    /// Whose it was, where it says so.
    pub organization: Option<OrganizationId>,
    /// Why it counts as an orphan.
    pub why: &'static str,
    /// Since when it is known for one: milliseconds since 1970.
    pub since_ms: i64,
    /// When it is removed, at the earliest: milliseconds since 1970.
    pub remove_at_ms: i64,
}

/// What was found, without a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: OrphanKind,
    pub(super) name: String,
    pub(super) organization: Option<OrganizationId>,
    pub(super) why: &'static str,
    /// Where the thing itself says since when; else it counts from when it was noticed first.
    pub(super) since_ms: Option<i64>,
}

/// All that was found, by name, with its times: when each was `noticed` first, unless it says so itself.
pub(super) fn timed(found: Vec<Found>, noticed: &HashMap<String, i64>, now_ms: i64, grace_ms: i64) -> Vec<Orphan> {
    let timed = |one: Found| {
        let first = noticed.get(&one.name).copied().unwrap_or(now_ms);
        let since_ms = one.since_ms.unwrap_or(first);
        Orphan {
            kind: one.kind,
            name: one.name,
            organization: one.organization,
            why: one.why,
            since_ms,
            remove_at_ms: since_ms + grace_ms,
        }
    };
    let mut orphans: Vec<Orphan> = found.into_iter().map(timed).collect();
    orphans.sort_by(|one, other| one.name.cmp(&other.name));
    orphans
}

/// Those of a kind with their times. Who asks does not matter: they are known from then on.
pub(super) async fn known(world: &World, kind: OrphanKind, found: Vec<Found>) -> Result<Vec<Orphan>, store::Error> {
    let now_ms = store::now_ms();
    let names = found.iter().map(|one| one.name.as_str()).collect();
    let noticed = world.store.notice_orphans(kind.name(), &names, now_ms).await?;
    Ok(timed(found, &noticed, now_ms, world.grace_ms()))
}

/// Those of a kind whose grace is over. What was not found again is forgotten: its grace begins anew.
pub(super) async fn due(world: &World, kind: OrphanKind, found: Vec<Found>) -> Result<Vec<Orphan>, store::Error> {
    let names = found.iter().map(|one| one.name.as_str()).collect();
    world.store.forget_orphans(kind.name(), &names).await?;
    let mut orphans = known(world, kind, found).await?;
    let now_ms = store::now_ms();
    orphans.retain(|orphan| orphan.remove_at_ms <= now_ms);
    Ok(orphans)
}

pub(super) fn organization(of: &std::collections::BTreeMap<String, String>) -> Option<OrganizationId> {
    of.get(labels::ORGANIZATION)?.parse().ok()
}

/// The service that an instance says it is of.
pub(super) fn service_of(instance: &Instance) -> Option<ServiceId> {
    instance.labels.get(labels::RESOURCE)?.parse().ok()
}

/// Instances of services that are not there.
pub(super) fn nobodys<'i>(instances: impl IntoIterator<Item = &'i Instance>) -> Vec<Found> {
    let found = |instance: &Instance| Found {
        kind: OrphanKind::Instance,
        name: instance.name.clone(),
        organization: organization(&instance.labels),
        why: "there is no such service",
        since_ms: None,
    };
    instances.into_iter().map(found).collect()
}

/// Whether an instance is one that the service should have.
pub(super) fn serves(service: &Service, instance: &Instance) -> bool {
    match (service.wanted, service.current) {
        (Wanted::Running, Some(current)) => routes::belongs(instance, current, service.current_job),
        _ => false,
    }
}

/// Instances of a service on which no job works, that serve no more.
pub(super) async fn strays(world: &World, service: &Service, found: &[Instance]) -> Result<Vec<Found>, store::Error> {
    let mut strays = Vec::new();
    for instance in found.iter().filter(|instance| !serves(service, instance)) {
        if !belongs_to_work(world, service.organization, instance).await? {
            strays.push(Found {
                kind: OrphanKind::Instance,
                name: instance.name.clone(),
                organization: Some(service.organization),
                why: "neither the service's current deployment nor a job owns it",
                since_ms: None,
            });
        }
    }
    Ok(strays)
}

/// Networks of projects that are not there.
pub(super) fn of_networks(networks: &[Network], known: &BTreeSet<String>) -> Vec<Found> {
    let found = |network: &Network| Found {
        kind: OrphanKind::Network,
        name: network.name.clone(),
        organization: organization(&network.labels),
        why: "there is no such project",
        since_ms: None,
    };
    networks
        .iter()
        .filter(|network| !known.contains(&network.name))
        .map(found)
        .collect()
}

/// What is in a directory and is not known, as `folder/…`. It counts from when it was written last.
pub(super) async fn of_folder(
    directory: &std::path::Path,
    folder: &str,
    known: &BTreeSet<String>,
    why: &'static str,
) -> Vec<Found> {
    let mut found = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(directory).await else {
        return found;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        if known.contains(&name) {
            continue;
        }
        // One that goes just now has no time, and is none.
        let Ok(Ok(modified)) = entry.metadata().await.map(|metadata| metadata.modified()) else {
            continue;
        };
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        found.push(Found {
            kind: OrphanKind::File,
            name: format!("{folder}/{name}"),
            organization: None,
            why,
            since_ms: i64::try_from(since.as_millis()).ok(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, since_ms: Option<i64>) -> Found {
        Found {
            kind: OrphanKind::Network,
            name: name.to_owned(),
            organization: None,
            why: "",
            since_ms,
        }
    }

    #[test]
    fn an_orphan_goes_a_grace_time_after_it_was_noticed_or_says_itself() {
        let noticed = HashMap::from([("a".to_owned(), 100), ("said".to_owned(), 100)]);
        let all = vec![found("said", Some(40)), found("new", None), found("a", None)];
        let times: Vec<_> = timed(all, &noticed, 130, 60)
            .into_iter()
            .map(|one| (one.name, one.since_ms, one.remove_at_ms))
            .collect();
        let wanted = [("a", 100, 160), ("new", 130, 190), ("said", 40, 100)];
        assert_eq!(
            times,
            wanted.map(|(name, since, until)| (name.to_owned(), since, until))
        );
    }
}
