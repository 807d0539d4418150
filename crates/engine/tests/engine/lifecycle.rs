//! Stopping, starting and restarting, alone and beside a deployment that is under way.

use contract::world::{Failure, Step};
use domain::{deployment::DeploymentStatus, ports::router::RouteState, service::ServiceStatus};
use engine::Error;
use futures_util::future::join_all;
use store::services::Wanted;

use crate::{
    bed::{Bed, git, quick, replicas},
    watched::{Moment, Which},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_stopped_and_started_again_without_a_build() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    bed.watched.need_not_serve(&service.host);
    bed.engine.stop_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    assert_eq!(bed.route(&service.host).await.unwrap().state, RouteState::Stopped);
    assert_eq!(bed.world.alive().containers, Vec::<String>::new());
    assert_eq!(
        bed.engine.service(bed.organization, service.id).await.unwrap().status,
        ServiceStatus::Stopped
    );
    bed.is_tidy(&[service.id]).await;

    bed.engine.start_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    assert_eq!(
        bed.engine.service(bed.organization, service.id).await.unwrap().status,
        ServiceStatus::Live
    );
    assert_eq!(bed.world.builds().len(), 1);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_replaces_the_instances_beside_each_other() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let before = bed.world.alive().containers;
    bed.engine.restart_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    assert!(bed.world.alive().containers.iter().all(|name| !before.contains(name)));
    assert_eq!(bed.service(service.id).await.current, service.current);
    assert_eq!(bed.world.builds().len(), 1);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_fails_leaves_what_serves_alone() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let before = bed.route(&service.host).await;
    for step in [Step::EnsureNetwork, Step::Start, Step::SetRoute] {
        bed.world.fail_next(step, Failure::Refused);
        let job = bed.engine.restart_service(bed.organization, service.id).await.unwrap();
        bed.until_quiet().await;
        let job = bed.job(job.id).await;
        assert_eq!(job.status, "failed", "{step:?}");
        assert!(job.reason.is_some(), "{step:?}");
        assert_eq!(bed.route(&service.host).await, before, "{step:?}");
        bed.is_tidy(&[service.id]).await;
    }
    // It serves, and the platform itself brings it back.
    bed.world.fail_next(Step::KeepRunning, Failure::Refused);
    let job = bed.engine.restart_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    assert_eq!(bed.job(job.id).await.status, "done");
    bed.is_tidy(&[service.id]).await;
}

async fn restarted_although(step: Step, failure: Failure) {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.world.fail_next(step, failure);
    let job = bed.engine.restart_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    assert_eq!(bed.job(job.id).await.status, "done", "{step:?} {failure:?}");
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_when_a_counterpart_was_away_or_its_answer_was_lost() {
    let steps = [Step::Start, Step::SetRoute, Step::Stop, Step::RemoveInstance];
    let all = steps
        .into_iter()
        .flat_map(|step| [Failure::Unreachable, Failure::Lost].map(|failure| restarted_although(step, failure)));
    join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_ran_can_be_neither_stopped_nor_started() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    let (engine, organization) = (&bed.engine, bed.organization);
    for end in [
        engine.stop_service(organization, service.id).await,
        engine.start_service(organization, service.id).await,
        engine.restart_service(organization, service.id).await,
    ] {
        assert!(matches!(
            end,
            Err(Error::Conflict {
                code: "never-deployed",
                ..
            })
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_deployment_is_done_after_it() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let pause = bed.watched.pause(Which::Step(Step::Build), Moment::Before);
    let id = bed.ask(service.id).await;
    pause.reached().await;
    bed.engine.stop_service(bed.organization, service.id).await.unwrap();
    pause.resume();
    assert_eq!(bed.until_over(id).await.status, DeploymentStatus::Live);
    bed.watched.need_not_serve(&service.host);
    bed.until_quiet().await;
    assert_eq!(bed.service(service.id).await.wanted, Wanted::Stopped);
    assert_eq!(bed.route(&service.host).await.unwrap().state, RouteState::Stopped);
    assert_eq!(bed.world.alive().containers, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_a_start_during_a_deployment_leave_the_service_running() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    let pause = bed.watched.pause(Which::Step(Step::Build), Moment::Before);
    let id = bed.ask(service.id).await;
    pause.reached().await;
    bed.engine.stop_service(bed.organization, service.id).await.unwrap();
    bed.engine.start_service(bed.organization, service.id).await.unwrap();
    pause.resume();
    bed.until_quiet().await;
    assert_eq!(bed.service(service.id).await.current, Some(id));
    assert_eq!(bed.service(service.id).await.wanted, Wanted::Running);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_stays_stopped_when_its_deployment_fails_and_runs_when_it_works() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    bed.engine.stop_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    bed.world.fail_next(Step::Build, Failure::Refused);
    assert_eq!(bed.deploy(service.id).await.status, DeploymentStatus::Failed);
    assert_eq!(bed.service(service.id).await.wanted, Wanted::Stopped);
    bed.until("the page says that it is stopped", async || {
        (bed.route(&service.host).await?.state == RouteState::Stopped).then_some(())
    })
    .await;
    assert_eq!(bed.world.alive().containers, Vec::<String>::new());
    assert_eq!(bed.deploy(service.id).await.status, DeploymentStatus::Live);
    bed.is_tidy(&[service.id]).await;
}
