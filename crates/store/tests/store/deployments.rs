//! Deployments: numbered, moved through one function, never alive again.

use std::collections::BTreeSet;

use domain::{
    DeploymentId, JobId, Reason,
    deployment::{DeploymentEvent as Event, DeploymentStatus as Status, Phase},
};
use store::{Error, services::Wanted};

use crate::bed::{Bed, new_deployment};

crate::bed::promises!(
    deployments_that_are_made_at_once_are_numbered_from_one_without_a_gap,
    a_deployment_moves_only_from_where_it_is,
    what_is_over_stays_over,
    a_deployment_that_is_to_be_cancelled_does_not_go_live,
    what_waits_and_what_runs_is_told_apart,
    a_service_that_is_to_be_removed_is_neither_deployed_nor_wanted_again,
    a_service_takes_its_rows_along_and_a_project_goes_last,
    a_project_that_is_being_removed_takes_no_service,
    pages_hold_everything_once,
);

async fn to_checking(bed: &Bed, id: DeploymentId) {
    let mut status = Status::Queued;
    for event in [
        Event::Begin,
        Event::BuildStarted,
        Event::ReleaseStarted,
        Event::CheckStarted,
    ] {
        status = bed.store.move_deployment(id, status, event).await.unwrap();
    }
    assert_eq!(status, Status::Checking);
}

async fn go_live(bed: &Bed, id: DeploymentId) -> Result<(), Error> {
    let mut write = bed.store.write().await?;
    write.go_live(id).await?;
    write.commit().await
}

async fn deployments_that_are_made_at_once_are_numbered_from_one_without_a_gap(bed: Bed) {
    let bed = std::sync::Arc::new(bed);
    let service = bed.service("web").await;
    let made: Vec<_> = (0..40)
        .map(|_| {
            let (bed, service) = (std::sync::Arc::clone(&bed), service.clone());
            tokio::spawn(async move { bed.deployment(&service, &[]).await })
        })
        .collect();
    for one in made {
        one.await.unwrap();
    }
    let numbers: Vec<i64> = bed
        .store
        .deployments(service.id, i64::MAX, 100)
        .await
        .unwrap()
        .iter()
        .map(|d| d.number)
        .collect();
    assert_eq!(numbers, (1..=40).rev().collect::<Vec<_>>());
    let page: Vec<i64> = bed
        .store
        .deployments(service.id, 11, 3)
        .await
        .unwrap()
        .iter()
        .map(|d| d.number)
        .collect();
    assert_eq!(page, [10, 9, 8]);
}

async fn a_deployment_moves_only_from_where_it_is(bed: Bed) {
    let id = bed.deployment(&bed.service("web").await, &[]).await;
    bed.store
        .move_deployment(id, Status::Queued, Event::Begin)
        .await
        .unwrap();
    let late = bed.store.move_deployment(id, Status::Queued, Event::Begin).await;
    assert!(matches!(late, Err(Error::Stale { .. })));
    assert!(
        bed.store
            .move_deployment(id, Status::Provisioning, Event::WentLive)
            .await
            .is_err()
    );
    assert!(
        matches!(go_live(&bed, id).await, Err(Error::Stale { .. })),
        "it was not checked"
    );
    assert_eq!(
        bed.store.any_deployment(id).await.unwrap().unwrap().status,
        Status::Provisioning
    );
}

async fn what_is_over_stays_over(bed: Bed) {
    let service = bed.service("web").await;
    let live = bed.deployment(&service, &[]).await;
    to_checking(&bed, live).await;
    go_live(&bed, live).await.unwrap();
    let failed = bed.deployment(&service, &[]).await;
    let reason = Reason::new("no", "it did not work", "");
    bed.store.begin_phase(failed, Phase::Build, 60).await.unwrap();
    let mut write = bed.store.write().await.unwrap();
    assert!(write.end_deployment(failed, Event::Fail, Some(&reason)).await.unwrap());
    for id in [live, failed] {
        for event in [Event::Fail, Event::Cancel, Event::Supersede] {
            assert!(!write.end_deployment(id, event, None).await.unwrap());
        }
        assert!(!write.request_cancel(id).await.unwrap());
    }
    write.commit().await.unwrap();
    let seen = bed.store.any_deployment(failed).await.unwrap().unwrap();
    assert_eq!((seen.status, seen.reason), (Status::Failed, Some(reason)));
    assert_eq!(bed.store.phases(failed).await.unwrap()[0].status, "failed");
    assert_eq!(bed.store.unfinished_deployments().await.unwrap(), []);
}

async fn a_deployment_that_is_to_be_cancelled_does_not_go_live(bed: Bed) {
    let id = bed.deployment(&bed.service("web").await, &[]).await;
    to_checking(&bed, id).await;
    assert!(bed.store.request_cancel(id).await.unwrap());
    assert!(matches!(go_live(&bed, id).await, Err(Error::Stale { .. })));
}

async fn what_waits_and_what_runs_is_told_apart(bed: Bed) {
    let service = bed.service("web").await;
    let (running, waiting, new) = (
        bed.deployment(&service, &[]).await,
        bed.deployment(&service, &[]).await,
        bed.deployment(&service, &[]).await,
    );
    bed.deployment(&bed.service("other").await, &[]).await;
    bed.store
        .move_deployment(running, Status::Queued, Event::Begin)
        .await
        .unwrap();
    let mut write = bed.store.write().await.unwrap();
    assert_eq!(write.queued_deployments(service.id, new).await.unwrap(), [waiting]);
    assert_eq!(write.running_deployments(service.id, new).await.unwrap(), [running]);
}

async fn a_service_that_is_to_be_removed_is_neither_deployed_nor_wanted_again(bed: Bed) {
    let service = bed.service("web").await;
    let mut write = bed.store.write().await.unwrap();
    write.set_wanted(service.id, Wanted::Removed).await.unwrap();
    write.set_wanted(service.id, Wanted::Running).await.unwrap();
    let refused = write
        .insert_deployment(&bed.store, &new_deployment(&service, &[]))
        .await;
    assert!(matches!(refused, Err(Error::Missing { .. })));
    write.commit().await.unwrap();
    assert_eq!(
        bed.store.service(bed.organization, service.id).await.unwrap().wanted,
        Wanted::Removed
    );
}

async fn a_service_takes_its_rows_along_and_a_project_goes_last(bed: Bed) {
    let service = bed.service("web").await;
    let id = bed.deployment(&service, &[("A", "1")]).await;
    let mut write = bed.store.write().await.unwrap();
    write.set_current(service.id, id, JobId::mint()).await.unwrap();
    write.commit().await.unwrap();
    assert!(
        bed.store.delete_project(bed.project).await.is_err(),
        "it still holds a service"
    );
    bed.store.delete_service(service.id).await.unwrap();
    bed.store.delete_service(service.id).await.unwrap();
    assert_eq!(bed.store.any_deployment(id).await.unwrap(), None);
    bed.store.delete_project(bed.project).await.unwrap();
    assert_eq!(bed.store.all_projects().await.unwrap(), []);
}

async fn a_project_that_is_being_removed_takes_no_service(bed: Bed) {
    let mut write = bed.store.write().await.unwrap();
    write.mark_project_removing(bed.project).await.unwrap();
    write.commit().await.unwrap();
    let host = domain::names::HostName::parse("late.example.com").unwrap();
    let (source, settings) = (crate::bed::uploads(), Default::default());
    let late = bed
        .store
        .create_service(
            bed.organization,
            bed.project,
            &crate::bed::slug("late"),
            &host,
            &source,
            &settings,
        )
        .await;
    assert!(matches!(late, Err(Error::Missing { .. })));
}

async fn pages_hold_everything_once(bed: Bed) {
    let mut made = BTreeSet::new();
    for number in 0..23 {
        made.insert(bed.service(&format!("web-{number}")).await.id);
    }
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = bed
            .store
            .services(bed.organization, bed.project, &after, "", 5)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = last.id.to_string();
        assert!(page.iter().all(|service| seen.insert(service.id)));
    }
    assert_eq!(seen, made);
    let named = bed
        .store
        .services(bed.organization, bed.project, "", "web-7", 5)
        .await
        .unwrap();
    assert_eq!(named.len(), 1);
}
