//! Which images are kept. Rollback is promised for what is kept, so nothing that it may need goes.

use std::{collections::BTreeSet, sync::Arc};

use domain::{DeploymentId, OrganizationId, Reason, ServiceId, ports::image::StoredImage};
use serde::{Deserialize, Serialize};
use store::{Write, deployments::Deployment, jobs::Claim};

use super::Retention;
use crate::{deploy::build, runner::Outcome, world::World};

/// The deployments whose image may go. `deployments` are newest first.
fn to_prune<'d>(
    policy: &Retention,
    deployments: &'d [Deployment],
    current: Option<DeploymentId>,
) -> Vec<&'d Deployment> {
    let mut kept: BTreeSet<DeploymentId> = deployments
        .iter()
        .take(policy.images)
        .map(|deployment| deployment.id)
        .collect();
    kept.extend(
        deployments
            .iter()
            .filter(|d| d.went_live_at_ms.is_some())
            .take(policy.live_images)
            .map(|d| d.id),
    );
    kept.extend(current);
    kept.extend(deployments.iter().filter(|d| !d.status.is_final()).map(|d| d.id));
    let kept_digests: BTreeSet<&str> = deployments
        .iter()
        .filter(|d| kept.contains(&d.id))
        .filter_map(|d| Some(d.image.as_ref()?.digest.as_str()))
        .collect();
    let shared = |d: &Deployment| {
        d.image
            .as_ref()
            .is_some_and(|image| kept_digests.contains(image.digest.as_str()))
    };
    // An image that a kept deployment uses too goes only under a name that is not the kept one's.
    let kept_references: BTreeSet<&str> = deployments
        .iter()
        .filter(|d| kept.contains(&d.id))
        .filter_map(|d| Some(d.image.as_ref()?.reference.as_str()))
        .collect();
    deployments
        .iter()
        .filter(|d| !kept.contains(&d.id))
        .filter(|d| {
            let same_name = d
                .image
                .as_ref()
                .is_some_and(|image| kept_references.contains(image.reference.as_str()));
            !(same_name || (shared(d) && d.image.as_ref().is_some_and(|image| image.reference.contains('@'))))
        })
        .collect()
}

/// Whether removing a deployment's image would take another deployment's along: a registry removes by content, and two
/// builds of the same files can be the same content. In the engine's store each has a name of its own.
async fn is_shared(world: &World, deployment: &Deployment, image: &StoredImage) -> Result<bool, store::Error> {
    let others = world.store.deployments_with_image(deployment.service).await?;
    let same = |other: &StoredImage| {
        other.reference == image.reference || (image.reference.contains('@') && other.digest == image.digest)
    };
    Ok(others
        .iter()
        .any(|other| other.id != deployment.id && other.image.as_ref().is_some_and(same)))
}

/// What a job that removes an image later knows of it. The rows of its deployment may be gone by then.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Left {
    /// It was seen.
    Image(StoredImage),
    /// Whether it was built is not known: it would have this name, and no other image has it.
    Name(String),
}

/// Where [`Left`] stands in the journal of the job.
const LEFT: &str = "left";

/// Makes the removal of what is left of a deployment's image a job, in the transaction that leaves it.
pub(crate) async fn leave(
    write: &mut Write,
    organization: OrganizationId,
    deployment: DeploymentId,
    left: &Left,
) -> Result<(), store::Error> {
    let subject = deployment.to_string();
    let job = write
        .enqueue(organization, "remove-image", &subject, &format!("image/{subject}"))
        .await?;
    let left = serde_json::to_value(left).unwrap_or_default();
    write.leave_for_job(job, LEFT, &left).await
}

/// Lets the image of a deployment go that needs it no more: it is removed, unless another deployment needs it too. When
/// that cannot be done now (a container uses it, the store is away or refuses), it is put off and not forgotten.
pub(crate) async fn let_go(
    world: &World,
    organization: OrganizationId,
    deployment: &Deployment,
    image: &StoredImage,
) -> Result<(), store::Error> {
    let removed = if is_needed(world, deployment, image).await? {
        Ok(())
    } else {
        world.images.remove(image).await
    };
    store::transaction!(world.store, |write| {
        write.set_image_removed(deployment.id).await?;
        if removed.is_err() {
            leave(&mut write, organization, deployment.id, &Left::Image(image.clone())).await?;
        }
    })?;
    if let Err(error) = removed {
        tracing::info!(deployment.id = %deployment.id, "the image `{}` is removed later: {error}", image.reference);
        world.notices.job();
    }
    Ok(())
}

/// Whether somebody else has it. What was built for a deployment is known by its own service alone; somebody else's image
/// may be used by any.
async fn is_needed(world: &World, deployment: &Deployment, image: &StoredImage) -> Result<bool, store::Error> {
    Ok(is_shared(world, deployment, image).await?
        || (!build::builds(deployment) && world.store.is_image_of_others(image, deployment.id).await?))
}

/// Removes an image whose removal was put off.
pub(crate) async fn remove_left(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Ok(id) = claim.job.subject.parse::<DeploymentId>() else {
        return Ok(Outcome::Done);
    };
    let Some(left) = left_of(world, claim, id).await? else {
        return Ok(Outcome::Done);
    };
    let found = match left {
        Left::Image(image) => Ok(Some(image)),
        Left::Name(name) => world.images.resolve_own(&name).await,
    };
    let removed = match found {
        Ok(Some(image)) if !is_used(world, id, &image).await? => world.images.remove(&image).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {
            world.store.set_image_removed(id).await?;
            Ok(Outcome::Done)
        }
        Err(error) => Ok(Outcome::Again(Reason::new("image-store", error.to_string(), ""))),
    }
}

/// What is left, as it was written down; a job of an earlier version only knows the deployment.
async fn left_of(world: &World, claim: &Claim, id: DeploymentId) -> Result<Option<Left>, store::Error> {
    let journal = world.store.journal(claim.job.id).await?;
    let entry = journal.into_iter().find(|entry| entry.step == LEFT);
    if let Some(left) = entry.and_then(|entry| serde_json::from_value(entry.made?).ok()) {
        return Ok(Some(left));
    }
    let Some(deployment) = world.store.any_deployment(id).await? else {
        return Ok(None);
    };
    let service = world.store.any_service(deployment.service).await?;
    Ok(service.map(|service| Left::Name(build::image_name(world, &service, &deployment))))
}

/// Whether a deployment that is still there uses an image that another one left.
async fn is_used(world: &World, left_by: DeploymentId, image: &StoredImage) -> Result<bool, store::Error> {
    if world.store.is_image_of_others(image, left_by).await? {
        return Ok(true);
    }
    match world.store.any_deployment(left_by).await? {
        Some(deployment) => is_shared(world, &deployment, image).await,
        None => Ok(false),
    }
}

/// Removes the images of a service that retention does not keep.
pub(crate) async fn prune(world: &Arc<World>, claim: &Claim) -> Result<Outcome, store::Error> {
    let Ok(id) = claim.job.subject.parse::<ServiceId>() else {
        return Ok(Outcome::Done);
    };
    let Some(service) = world.store.any_service(id).await? else {
        return Ok(Outcome::Done);
    };
    let deployments = world.store.deployments_with_image(id).await?;
    for deployment in to_prune(&world.settings.retention, &deployments, service.current) {
        if let Some(image) = &deployment.image {
            let_go(world, service.organization, deployment, image).await?;
        }
    }
    if let Err(error) = world.infrastructure.forget_unused_images().await {
        tracing::warn!("unused images are left: {error}");
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use domain::{
        deployment::{DeploymentStatus, Trigger},
        service::ServiceSettings,
        source::{Revision, Source},
    };
    use store::deployments::Made;

    use super::*;

    fn deployment(number: i64, live: bool) -> Deployment {
        Deployment {
            id: DeploymentId::mint(),
            service: ServiceId::mint(),
            number,
            status: if live {
                DeploymentStatus::Live
            } else {
                DeploymentStatus::Failed
            },
            trigger: Trigger::Manual,
            revision: Revision::Image,
            no_cache: false,
            made: Made {
                source: Source::Image {
                    reference: "nginx".parse().unwrap(),
                },
                settings: ServiceSettings::default(),
            },
            commit: None,
            plan: None,
            image: Some(StoredImage {
                reference: format!("app:{number}"),
                digest: format!("sha256:{number}"),
                size_bytes: 0,
            }),
            image_removed: false,
            log_removed: false,
            port: None,
            reason: None,
            cancel_requested: false,
            went_live_at_ms: live.then_some(number),
            created_at_ms: number,
            finished_at_ms: Some(number),
        }
    }

    #[test]
    fn the_newest_the_last_live_ones_and_the_current_one_are_kept() {
        // 30 deployments, newest first; only the numbers 1 to 5 were live.
        let deployments: Vec<Deployment> = (1..=30).rev().map(|number| deployment(number, number <= 5)).collect();
        let current = deployments.iter().find(|d| d.number == 1).map(|d| d.id);
        let policy = Retention::default();
        let pruned: Vec<i64> = to_prune(&policy, &deployments, current)
            .iter()
            .map(|d| d.number)
            .collect();
        let kept: Vec<i64> = (1..=30).filter(|n| !pruned.contains(n)).collect();
        assert_eq!(kept, [1, 3, 4, 5, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    }

    #[test]
    fn a_name_that_a_kept_deployment_uses_stays() {
        let mut deployments: Vec<Deployment> = (1..=12).rev().map(|number| deployment(number, true)).collect();
        deployments[11].image = deployments[0].image.clone();
        assert_eq!(
            to_prune(&Retention::default(), &deployments, None)
                .iter()
                .map(|d| d.number)
                .collect::<Vec<_>>(),
            [2]
        );
    }
}
