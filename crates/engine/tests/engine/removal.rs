//! Removing services and projects, at rest and at work.

use contract::world::{Failure, ORDINARY_PROGRAM, Step};
use domain::{deployment::DeploymentStatus, names::HostName, source::Source};
use futures_util::future::join_all;

use crate::{
    bed::{Bed, git, quick, replicas, slug},
    watched::{Moment, Which},
};

async fn is_empty(bed: &Bed, hosts: &[&HostName]) {
    bed.until_quiet().await;
    bed.is_tidy(&[]).await;
    for host in hosts {
        assert_eq!(bed.route(host).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_service_takes_everything_along_and_leaves_the_others_alone() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let other = bed.live("other", &quick()).await;
    bed.deploy(service.id).await;
    bed.watched.need_not_serve(&service.host);
    bed.engine.remove_service(bed.organization, service.id).await.unwrap();
    bed.until_quiet().await;
    assert!(bed.engine.service(bed.organization, service.id).await.is_err());
    assert_eq!(bed.route(&service.host).await, None);
    bed.is_tidy(&[other.id]).await;
    // Its name is free again.
    bed.create("web", &git(), &quick()).await;
}

async fn removed_during(step: Step, moment: Moment) {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let pause = bed.watched.pause(Which::Step(step), moment);
    let id = bed.ask(service.id).await;
    pause.reached().await;
    let waiting = bed.ask(service.id).await;
    bed.watched.need_not_serve(&service.host);
    let job = bed.engine.remove_service(bed.organization, service.id).await.unwrap();
    let refused = bed
        .engine
        .deploy(bed.organization, service.id, &Default::default())
        .await;
    assert!(refused.is_err(), "{step:?}");
    bed.until_quiet().await;
    assert_eq!(bed.job(job.id).await.status, "done", "{step:?}");
    assert!(bed.store.any_deployment(id).await.unwrap().is_none());
    assert!(bed.store.any_deployment(waiting).await.unwrap().is_none());
    is_empty(&bed, &[&service.host]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_removed_while_it_is_deployed_leaves_nothing() {
    let steps = [
        Step::EnsureNetwork,
        Step::Checkout,
        Step::Build,
        Step::Start,
        Step::Probe,
        Step::SetRoute,
        Step::AskPublic,
    ];
    join_all(steps.into_iter().flat_map(|step| {
        [
            removed_during(step, Moment::Before),
            removed_during(step, Moment::After),
        ]
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_waits_for_counterparts_that_are_away_for_a_moment() {
    let steps = [Step::RemoveRoute, Step::Stop, Step::RemoveInstance, Step::RemoveImage];
    join_all(steps.map(|step| async move {
        let bed = Bed::new().await;
        let service = bed.live("web", &quick()).await;
        bed.watched.need_not_serve(&service.host);
        bed.world.fail_next(step, Failure::Unreachable);
        bed.engine.remove_service(bed.organization, service.id).await.unwrap();
        bed.until_quiet().await;
        assert!(
            bed.engine.service(bed.organization, service.id).await.is_err(),
            "{step:?}"
        );
        is_empty(&bed, &[&service.host]).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_project_takes_its_services_and_its_network_along() {
    let bed = Bed::new().await;
    let (one, other) = (bed.live("one", &quick()).await, bed.live("other", &quick()).await);
    let empty = bed
        .engine
        .create_project(bed.organization, &slug("empty"))
        .await
        .unwrap();
    let pause = bed.watched.pause(Which::Step(Step::Build), Moment::Before);
    bed.ask(one.id).await;
    pause.reached().await;
    bed.watched.need_not_serve(&one.host);
    bed.watched.need_not_serve(&other.host);
    bed.engine
        .remove_project(bed.organization, bed.project.id)
        .await
        .unwrap();
    let late = bed
        .engine
        .create_service(bed.organization, bed.project.id, &slug("late"), &git(), &quick())
        .await;
    assert!(late.is_err(), "nothing is made in what is being removed");
    is_empty(&bed, &[&one.host, &other.host]).await;
    assert!(bed.engine.project(bed.organization, bed.project.id).await.is_err());
    assert_eq!(bed.world.alive().networks, Vec::<String>::new());
    assert!(bed.engine.project(bed.organization, empty.id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_made_while_its_project_is_removed_is_refused_or_goes_with_it() {
    let bed = Bed::new().await;
    let names: Vec<_> = (0..20).map(|number| slug(&format!("web-{number}"))).collect();
    let (source, settings) = (git(), quick());
    let made = names.iter().map(|name| async {
        let made = bed
            .engine
            .create_service(bed.organization, bed.project.id, name, &source, &settings)
            .await;
        made.is_ok()
    });
    let removed = bed.engine.remove_project(bed.organization, bed.project.id);
    let (removed, _) = futures_util::future::join(removed, join_all(made)).await;
    removed.unwrap();
    bed.until_quiet().await;
    assert!(bed.engine.project(bed.organization, bed.project.id).await.is_err());
    assert_eq!(bed.store.all_services().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_first_deployment_never_worked_is_removed_too() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    bed.world.fail_next(Step::Build, Failure::Refused);
    assert_eq!(bed.deploy(service.id).await.status, DeploymentStatus::Failed);
    bed.engine.remove_service(bed.organization, service.id).await.unwrap();
    is_empty(&bed, &[&service.host]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_goes_although_the_engine_keeps_its_network_and_that_goes_once_it_can() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    bed.world.fail_always(Step::RemoveNetwork, Failure::Refused);
    let removed = bed.engine.remove_project(bed.organization, bed.project.id).await;
    removed.unwrap();
    bed.until_quiet().await;
    assert!(bed.engine.project(bed.organization, bed.project.id).await.is_err());
    assert_eq!(bed.world.alive().networks.len(), 1);
    let calls = bed.world.calls(Step::RemoveNetwork);
    bed.until("it is tried again", async || {
        (bed.world.calls(Step::RemoveNetwork) > calls).then_some(())
    })
    .await;
    bed.world.mend(Step::RemoveNetwork);
    bed.until("the network is gone", async || {
        bed.world.alive().networks.is_empty().then_some(())
    })
    .await;
    is_empty(&bed, &[&service.host]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_only_waits_for_its_services_does_not_count_as_failing() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    bed.world.fail_always(Step::Stop, Failure::Unreachable);
    let job = bed.engine.remove_project(bed.organization, bed.project.id).await;
    let job = job.unwrap().id;
    let waiting = bed
        .until("it has looked for its services a few times", async || {
            let job = bed.job(job).await;
            (job.attempt > 2 && job.status == "waiting").then_some(job)
        })
        .await;
    assert_eq!(
        (waiting.failures, waiting.reason.unwrap().code.as_str()),
        (0, "waiting")
    );
    bed.world.mend(Step::Stop);
    bed.until_quiet_without_pauses().await;
    is_empty(&bed, &[&service.host]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_goes_although_the_store_keeps_its_image_and_that_goes_once_it_can() {
    for failure in [Failure::Refused, Failure::Unreachable] {
        let bed = Bed::new().await;
        let service = bed.live("web", &quick()).await;
        bed.watched.need_not_serve(&service.host);
        bed.world.fail_always(Step::RemoveImage, failure);
        bed.engine.remove_service(bed.organization, service.id).await.unwrap();
        bed.until("the service is gone", async || {
            let gone = bed.engine.service(bed.organization, service.id).await.is_err();
            gone.then_some(())
        })
        .await;
        assert_eq!(bed.world.alive().images.len(), 1, "{failure:?}");
        bed.world.mend(Step::RemoveImage);
        bed.until_quiet_without_pauses().await;
        is_empty(&bed, &[&service.host]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_image_goes_with_the_last_service_that_uses_it() {
    let bed = Bed::new().await;
    let image = bed.world.add_image("nginx:1", ORDINARY_PROGRAM, None);
    let reference = image.reference.parse().unwrap();
    let source = Source::Image { reference };
    let mut services = Vec::new();
    for name in ["one", "other"] {
        let service = bed.create(name, &source, &quick()).await;
        assert_eq!(bed.deploy(service.id).await.status, DeploymentStatus::Live);
        services.push(service);
    }
    // One that is stopped has no container that would keep the image.
    bed.engine.stop_service(bed.organization, services[1].id).await.unwrap();
    bed.until_quiet().await;
    for (service, left) in services.iter().zip([1, 0]) {
        bed.engine.remove_service(bed.organization, service.id).await.unwrap();
        bed.until_quiet().await;
        assert_eq!(bed.world.alive().images.len(), left);
    }
}
