//! Images that were built here and that no deployment has: after a restored backup, say. They are looked for by the job
//! `cleanup`, since the engine is asked for all of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use domain::{
    DeploymentId, ServiceId, labels,
    ports::image::{LabelledImage, StoredImage},
};

use super::orphans::{self, Found, OrphanKind};
use crate::world::World;

/// Removes those whose grace is over.
pub(crate) async fn sweep(world: &World) -> Result<(), crate::Error> {
    let found = nobodys_images(world).await?;
    let by_name: BTreeMap<String, StoredImage> = found
        .iter()
        .map(|one| (one.image.reference.clone(), one.image.clone()))
        .collect();
    let found = found.into_iter().map(orphan).collect();
    for orphan in orphans::due(world, OrphanKind::Image, found).await? {
        let Some(image) = by_name.get(&orphan.name) else {
            continue;
        };
        match world.images.remove(image).await {
            Ok(()) => tracing::warn!("the image `{}` was removed: {}", orphan.name, orphan.why),
            Err(error) => tracing::info!("the image `{}` is nobody's and is left for now: {error}", orphan.name),
        }
    }
    Ok(())
}

/// All of them, for operators.
pub(super) async fn nobodys(world: &World) -> Result<Vec<Found>, crate::Error> {
    Ok(nobodys_images(world).await?.into_iter().map(orphan).collect())
}

fn orphan(one: LabelledImage) -> Found {
    Found {
        kind: OrphanKind::Image,
        name: one.image.reference,
        organization: orphans::organization(&one.labels),
        why: "no deployment has it",
        since_ms: None,
    }
}

async fn nobodys_images(world: &World) -> Result<Vec<LabelledImage>, crate::Error> {
    // Listed before the state is read: what is built meanwhile is not taken for nobody's.
    let built = world.images.built(&world.installation_labels()).await?;
    let unfinished = world.store.unfinished_deployments().await?;
    let unfinished: HashSet<DeploymentId> = unfinished.iter().map(|deployment| deployment.id).collect();
    let removing = world.store.unfinished_serial_keys().await?;
    let mut by_service: BTreeMap<Option<ServiceId>, Vec<LabelledImage>> = BTreeMap::new();
    for one in built {
        let service = one.labels.get(labels::RESOURCE).and_then(|id| id.parse().ok());
        by_service.entry(service).or_default().push(one);
    }
    let mut nobodys = Vec::new();
    for (service, images) in by_service {
        let kept = match service {
            Some(service) => world.store.deployments_with_image(service).await?,
            None => Vec::new(),
        };
        let kept: BTreeSet<&str> = kept
            .iter()
            .filter_map(|deployment| Some(deployment.image.as_ref()?.reference.as_str()))
            .collect();
        nobodys.extend(images.into_iter().filter(|one| {
            let deployment = one.labels.get(labels::DEPLOYMENT);
            let is_at_work = deployment
                .and_then(|id| id.parse().ok())
                .is_some_and(|id| unfinished.contains(&id));
            // A job of its own removes it.
            let is_going = deployment.is_some_and(|id| removing.contains(&format!("image/{id}")));
            !is_at_work && !is_going && !kept.contains(one.image.reference.as_str())
        }));
    }
    Ok(nobodys)
}
