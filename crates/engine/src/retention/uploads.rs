//! Which uploaded archives are kept.

use domain::{deployment::DeploymentStatus, source::Revision};
use store::deployments::Deployment;

use crate::world::World;

/// Forgets uploads that nobody will ask for: only one whose deployment is under way, or is the service's newest and did
/// not succeed, so that it may be tried again, is kept.
pub(crate) async fn forget(world: &World) -> Result<(), store::Error> {
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
