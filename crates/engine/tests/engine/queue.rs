//! What waits, what is replaced, what is cancelled; in which order.

use std::time::Duration;

use contract::world::Step;
use domain::{DeploymentId, deployment::DeploymentStatus};
use engine::{Error, manage::DeploymentRequest};
use futures_util::future::join_all;

use crate::{
    bed::{Bed, git, quick, replicas},
    watched::{Moment, Which},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_deployment_takes_the_place_of_the_one_that_waits_and_never_of_the_running_one() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let pause = bed.watched.pause(Which::Step(Step::Build), Moment::Before);
    let running = bed.ask(service.id).await;
    pause.reached().await;
    let waiting = bed.ask(service.id).await;
    let newest = bed.ask(service.id).await;
    let superseded = bed.deployment(waiting).await;
    assert_eq!(superseded.status, DeploymentStatus::Superseded);
    assert!(superseded.reason.unwrap().message.contains(&newest.to_string()));
    assert_eq!(bed.deployment(running).await.status, DeploymentStatus::Building);
    assert_eq!(bed.deployment(newest).await.status, DeploymentStatus::Queued);
    pause.resume();
    bed.until_quiet().await;
    assert_eq!(bed.deployment(running).await.status, DeploymentStatus::Live);
    assert_eq!(bed.deployment(newest).await.status, DeploymentStatus::Live);
    assert_eq!(bed.service(service.id).await.current, Some(newest));
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_cancelled_when_it_is_to_be_replaced() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let pause = bed.watched.pause(Which::Step(Step::Build), Moment::Before);
    let running = bed.ask(service.id).await;
    pause.reached().await;
    let request = DeploymentRequest {
        replace_running: true,
        ..DeploymentRequest::default()
    };
    let newest = bed.ask_for(service.id, request).await.deployment.id;
    bed.until_quiet().await;
    assert_eq!(bed.deployment(running).await.status, DeploymentStatus::Cancelled);
    assert_eq!(bed.deployment(newest).await.status, DeploymentStatus::Live);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_waits_is_cancelled_at_once() {
    let mut bed = Bed::asleep().await;
    let service = bed.create("web", &git(), &quick()).await;
    let id = bed.ask(service.id).await;
    let cancelled = bed.engine.cancel(bed.organization, id).await.unwrap().deployment;
    assert_eq!(cancelled.status, DeploymentStatus::Cancelled);
    assert!(cancelled.finished_at_ms.is_some());
    let again = bed.engine.cancel(bed.organization, id).await;
    assert!(matches!(again, Err(Error::Conflict { code: "over", .. })));
    bed.start_runner();
    bed.until_quiet().await;
    assert_eq!(bed.world.builds(), Vec::<String>::new());
    bed.is_tidy(&[service.id]).await;
}

async fn cancelled_at(step: Step, moment: Moment) {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let pause = bed.watched.pause(Which::Step(step), moment);
    let id = bed.ask(service.id).await;
    pause.reached().await;
    bed.engine.cancel(bed.organization, id).await.unwrap();
    let deployment = bed.until_over(id).await;
    assert_eq!(deployment.status, DeploymentStatus::Cancelled, "{step:?} {moment:?}");
    assert_eq!(bed.service(service.id).await.current, service.current);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_cancelled_in_any_step_leaves_nothing_behind() {
    let steps = [
        Step::EnsureNetwork,
        Step::Checkout,
        Step::Plan,
        Step::EnsureBaseImages,
        Step::Build,
        Step::ExposedPort,
        Step::Start,
        Step::Probe,
        Step::SetRoute,
        Step::AskPublic,
    ];
    let all = steps
        .into_iter()
        .flat_map(|step| [cancelled_at(step, Moment::Before), cancelled_at(step, Moment::After)]);
    join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_cancel_that_comes_just_before_it_goes_live_is_heard_or_comes_too_late_but_never_half() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let asked = bed.watched.pause(Which::Step(Step::AskPublic), Moment::After);
    let id = bed.ask(service.id).await;
    asked.reached().await;
    let kept = bed.watched.pause(Which::Step(Step::KeepRunning), Moment::Before);
    // From another process: nobody is woken.
    assert!(bed.store.request_cancel(id).await.unwrap());
    asked.resume();
    let _ = tokio::time::timeout(Duration::from_secs(3), kept.reached()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    kept.resume();
    assert_eq!(bed.until_over(id).await.status, DeploymentStatus::Cancelled);
    assert_eq!(bed.service(service.id).await.current, service.current);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_of_one_service_run_one_after_the_other_and_of_others_beside_it() {
    let bed = Bed::new().await;
    let (one, other) = (bed.live("one", &quick()).await, bed.live("other", &quick()).await);
    let pause = bed.watched.pause(Which::Step(Step::Plan), Moment::Before);
    let first: DeploymentId = bed.ask(one.id).await;
    pause.reached().await;
    let second = bed.ask(one.id).await;
    let beside = bed.ask(other.id).await;
    assert_eq!(bed.until_over(beside).await.status, DeploymentStatus::Live);
    assert_eq!(bed.deployment(first).await.status, DeploymentStatus::Building);
    assert_eq!(bed.deployment(second).await.status, DeploymentStatus::Queued);
    pause.resume();
    bed.until_quiet().await;
    assert_eq!(bed.service(one.id).await.current, Some(second));
    bed.is_tidy(&[one.id, other.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_services_are_deployed_at_once_and_each_lands_where_it_should() {
    let bed = Bed::new().await;
    let mut services = Vec::new();
    for number in 0..12 {
        services.push(bed.create(&format!("web-{number}"), &git(), &quick()).await);
    }
    for service in &services {
        for _ in 0..3 {
            bed.ask(service.id).await;
        }
    }
    bed.until_quiet().await;
    for service in &services {
        let newest = bed.store.deployments(service.id, i64::MAX, 1).await.unwrap().remove(0);
        assert_eq!((newest.number, newest.status), (3, DeploymentStatus::Live));
        assert_eq!(bed.service(service.id).await.current, Some(newest.id));
    }
    bed.is_tidy(&services.iter().map(|service| service.id).collect::<Vec<_>>())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_changes_nothing_more() {
    let mut bed = Bed::asleep().await;
    let service = bed.create("web", &git(), &quick()).await;
    let id = bed.ask(service.id).await;
    let claim = bed.store.claim_jobs("sleeper", 0, 10).await.unwrap().remove(0);
    bed.start_runner();
    bed.until_quiet().await;
    assert_eq!(bed.deployment(id).await.status, DeploymentStatus::Live);
    assert!(matches!(
        bed.store.finish_job(&claim, None).await,
        Err(store::Error::LeaseLost(_))
    ));
    let entry = bed
        .store
        .write_journal(&claim, "build", store::jobs::StepState::Undone, None)
        .await;
    assert!(matches!(entry, Err(store::Error::LeaseLost(_))));
    bed.is_tidy(&[service.id]).await;
}
