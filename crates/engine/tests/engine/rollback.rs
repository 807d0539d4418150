//! Going back, deploying the same again, and which images are kept for it.

use contract::world::Step;
use domain::{
    deployment::{DeploymentStatus, Trigger},
    environment::VariableKind,
    names::VariableKey,
    ports::image::ImageStore as _,
    service::{InstanceSize, ServiceSettings},
};
use engine::{
    Error,
    manage::{DeploymentRequest, VariableChange},
};

use crate::bed::{Bed, REPOSITORY, quick, replicas};

async fn set(bed: &Bed, service: domain::ServiceId, key: &str, value: &str, kind: VariableKind) {
    let key = VariableKey::parse(key).unwrap();
    let change = VariableChange {
        key,
        value: value.to_owned(),
        kind: Some(kind),
    };
    bed.engine
        .change_variables(bed.organization, service, vec![change], &[])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_restores_the_image_the_variables_and_the_settings_without_a_build() {
    let bed = Bed::new().await;
    let service = bed.create("web", &crate::bed::git(), &replicas(2)).await;
    set(&bed, service.id, "GREETING", "one", VariableKind::Static).await;
    set(&bed, service.id, "PASSWORD", "first", VariableKind::Secret).await;
    let first = bed.deploy(service.id).await;
    assert_eq!(first.status, DeploymentStatus::Live);
    bed.watched.must_serve(&service.host);

    set(&bed, service.id, "GREETING", "two", VariableKind::Static).await;
    set(&bed, service.id, "PASSWORD", "second", VariableKind::Secret).await;
    let large = ServiceSettings {
        instance_size: InstanceSize::Large,
        ..quick()
    };
    bed.set_settings(service.id, large.clone()).await;
    bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
    let second = bed.deploy(service.id).await;
    assert_ne!(second.image, first.image);
    assert_ne!(second.commit, first.commit);

    let builds = bed.world.builds().len();
    let back = bed
        .engine
        .roll_back(bed.organization, service.id, first.id)
        .await
        .unwrap()
        .deployment;
    bed.until_quiet().await;
    let back = bed.deployment(back.id).await;
    assert_eq!((back.status, back.trigger), (DeploymentStatus::Live, Trigger::Rollback));
    assert_eq!(
        (&back.image, &back.commit, &back.made),
        (&first.image, &first.commit, &first.made)
    );
    assert_eq!(bed.world.builds().len(), builds);
    let running = bed.world.alive().running;
    assert_eq!(running.len(), 2, "as many as then");
    let environment = bed.world.environment_of(&running[0]).unwrap();
    assert_eq!(environment["GREETING"], "one");
    assert_eq!(environment["PASSWORD"], "first");
    assert_eq!(environment["CLICK_DEPLOY_DEPLOYMENT_ID"], back.id.to_string());
    // What is set for the next deployment is still there.
    assert_eq!(bed.service(service.id).await.settings, large);
    let pending = bed.engine.pending(bed.organization, service.id).await.unwrap();
    assert_eq!(pending.variables.len(), 2);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_is_refused_when_the_image_is_gone_or_there_is_nothing_to_go_back_to() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let first = bed.deployment(service.current.unwrap()).await;
    bed.deploy(service.id).await;
    bed.world.fail_next(Step::Build, contract::world::Failure::Refused);
    let failed = bed.deploy(service.id).await;
    let refused = bed.engine.roll_back(bed.organization, service.id, failed.id).await;
    assert!(matches!(refused, Err(Error::Conflict { code: "never-live", .. })));
    bed.world.remove(first.image.as_ref().unwrap()).await.unwrap();
    let refused = bed.engine.roll_back(bed.organization, service.id, first.id).await;
    assert!(matches!(refused, Err(Error::Conflict { code: "image-gone", .. })));
    let request = DeploymentRequest {
        image_of: Some(first.id),
        ..DeploymentRequest::default()
    };
    let refused = bed.engine.deploy(bed.organization, service.id, &request).await;
    assert!(matches!(refused, Err(Error::Conflict { code: "image-gone", .. })));
    assert_eq!(
        bed.store.deployments(service.id, i64::MAX, 10).await.unwrap().len(),
        3,
        "nothing was begun"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_goes_while_the_rollback_waits_fails_it_and_the_old_version_serves() {
    let mut bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let first = bed.deployment(service.current.unwrap()).await;
    let second = bed.deploy(service.id).await;
    bed.kill().await;
    let back = bed
        .engine
        .roll_back(bed.organization, service.id, first.id)
        .await
        .unwrap()
        .deployment;
    bed.world.remove(first.image.as_ref().unwrap()).await.unwrap();
    bed.store.set_image_removed(first.id).await.unwrap();
    bed.start_runner();
    let back = bed.until_over(back.id).await;
    assert_eq!(back.status, DeploymentStatus::Failed);
    assert_eq!(back.reason.unwrap().code, "image-gone");
    assert_eq!(bed.service(service.id).await.current, Some(second.id));
    assert_eq!(bed.watched.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn redeploying_an_image_calls_no_builder_and_takes_the_variables_of_now() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    set(&bed, service.id, "GREETING", "now", VariableKind::Static).await;
    let (builds, checkouts) = (bed.world.calls(Step::Build), bed.world.calls(Step::Checkout));
    let request = DeploymentRequest {
        image_of: service.current,
        ..DeploymentRequest::default()
    };
    let id = bed.ask_for(service.id, request).await.deployment.id;
    bed.until_quiet().await;
    let again = bed.deployment(id).await;
    assert_eq!(
        (again.status, again.trigger),
        (DeploymentStatus::Live, Trigger::Redeploy)
    );
    assert_eq!(
        (bed.world.calls(Step::Build), bed.world.calls(Step::Checkout)),
        (builds, checkouts)
    );
    let running = bed.world.alive().running;
    assert_eq!(bed.world.environment_of(&running[0]).unwrap()["GREETING"], "now");
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_takes_the_same_commit_and_only_after_the_first_try_is_over() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let commit = bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
    bed.world.fail_next(Step::Build, contract::world::Failure::Refused);
    let failed = bed.deploy(service.id).await;
    assert_eq!(failed.status, DeploymentStatus::Failed);
    bed.world.push(REPOSITORY, "main", &[("index.html", "three")]);
    let retry = bed
        .engine
        .retry(bed.organization, failed.id)
        .await
        .unwrap()
        .deployment
        .id;
    let early = bed.engine.retry(bed.organization, retry).await;
    assert!(matches!(early, Err(Error::Conflict { code: "under-way", .. })));
    bed.until_quiet().await;
    let retried = bed.deployment(retry).await;
    assert_eq!(retried.status, DeploymentStatus::Live);
    assert_eq!(retried.commit.unwrap().commit, commit);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_release_failed_can_be_tried_again() {
    let bed = Bed::new().await;
    let service = bed.create("web", &crate::bed::uploads(), &quick()).await;
    bed.world.fail_next(Step::Start, contract::world::Failure::Refused);
    let id = bed.upload(service.id, &[("index.html", "one")]).await;
    assert_eq!(bed.until_over(id).await.status, DeploymentStatus::Failed);
    let retry = bed.engine.retry(bed.organization, id).await.unwrap().deployment.id;
    assert_eq!(bed.until_over(retry).await.status, DeploymentStatus::Live);
    bed.is_tidy(&[service.id]).await;
    bed.until("the upload is gone once it is live", async || {
        bed.shared().notices.reconcile();
        let uploads = std::fs::read_dir(bed.directory().join("uploads"));
        uploads
            .map_or(true, |mut entries| entries.next().is_none())
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_images_go_and_those_of_the_newest_ten_stay() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    for _ in 0..12 {
        bed.deploy(service.id).await;
    }
    bed.until_quiet().await;
    let deployments = bed.store.deployments(service.id, i64::MAX, 100).await.unwrap();
    let kept: Vec<i64> = deployments
        .iter()
        .filter(|d| !d.image_removed)
        .map(|d| d.number)
        .collect();
    assert_eq!(kept, (4..=13).rev().collect::<Vec<_>>());
    let refused = bed
        .engine
        .roll_back(bed.organization, service.id, deployments[12].id)
        .await;
    assert!(matches!(refused, Err(Error::Conflict { code: "image-gone", .. })));
    bed.is_tidy(&[service.id]).await;
}
