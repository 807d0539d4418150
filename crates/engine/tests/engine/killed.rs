//! The platform is killed before and after every call of a port, and at every other moment; it is started again and
//! ends what it had begun: it finishes, or undoes. Meanwhile the old version is served.

use std::{panic::AssertUnwindSafe, time::Duration};

use domain::{DeploymentId, JobId, ServiceId, deployment::DeploymentStatus, source::Source};
use engine::state::services::Service;
use futures_util::{FutureExt, StreamExt, stream};
use store::services::Wanted;

use crate::{
    bed::{Bed, REPOSITORY, git, replicas, uploads},
    watched::{Moment, Pause, Which},
};

/// What is under way when the platform is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    FirstDeployment,
    Deployment,
    UploadedDeployment,
    ImageDeployment,
    FailingDeployment,
    Restart,
    Stop,
    Start,
    RemoveService,
    RemoveProject,
}

enum Begun {
    Deployment(DeploymentId),
    Job(JobId),
}

/// When it is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// At this call, counted from the beginning of the work.
    At(usize, Moment),
    /// At this call, and again at the next call after it was started again.
    Twice(usize),
    /// After so many milliseconds.
    After(u64),
}

async fn prepare(work: Work) -> (Bed, Service) {
    let bed = Bed::new().await;
    let settings = replicas(2);
    if work == Work::FirstDeployment {
        let service = bed.create("web", &git(), &settings).await;
        return (bed, service);
    }
    let service = bed.live("web", &settings).await;
    match work {
        Work::UploadedDeployment => bed.set_source(service.id, uploads()).await,
        Work::ImageDeployment => {
            let image = bed.world.add_image("nginx:1", contract::world::ORDINARY_PROGRAM, None);
            bed.set_source(
                service.id,
                Source::Image {
                    reference: image.reference.parse().unwrap(),
                },
            )
            .await;
        }
        Work::FailingDeployment => bed.world.build_with("web", "echo oh no; sleep 0.05; exit 1"),
        Work::Start => {
            bed.watched.need_not_serve(&service.host);
            bed.engine.stop_service(bed.organization, service.id).await.unwrap();
            bed.until_quiet().await;
        }
        Work::Stop | Work::RemoveService | Work::RemoveProject => bed.watched.need_not_serve(&service.host),
        _ => {}
    }
    (bed, service)
}

async fn begin(bed: &Bed, work: Work, service: ServiceId) -> Begun {
    let (engine, organization) = (&bed.engine, bed.organization);
    match work {
        Work::FirstDeployment | Work::Deployment | Work::ImageDeployment | Work::FailingDeployment => {
            bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
            Begun::Deployment(bed.ask(service).await)
        }
        Work::UploadedDeployment => Begun::Deployment(bed.upload(service, &[("index.html", "two")]).await),
        Work::Restart => Begun::Job(engine.restart_service(organization, service).await.unwrap().id),
        Work::Stop => Begun::Job(engine.stop_service(organization, service).await.unwrap().id),
        Work::Start => Begun::Job(engine.start_service(organization, service).await.unwrap().id),
        Work::RemoveService => Begun::Job(engine.remove_service(organization, service).await.unwrap().id),
        Work::RemoveProject => Begun::Job(engine.remove_project(organization, bed.project.id).await.unwrap().id),
    }
}

async fn check(bed: &Bed, work: Work, service: &Service, begun: Begun) {
    bed.until_quiet().await;
    match (work, begun) {
        (Work::FailingDeployment, Begun::Deployment(id)) => {
            assert_eq!(bed.deployment(id).await.status, DeploymentStatus::Failed);
            assert_eq!(bed.service(service.id).await.current, service.current);
        }
        (_, Begun::Deployment(id)) => {
            let deployment = bed.deployment(id).await;
            assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.reason);
            assert_eq!(bed.service(service.id).await.current, Some(id));
        }
        (_, Begun::Job(id)) => assert_eq!(bed.job(id).await.status, "done", "{:?}", bed.job(id).await.reason),
    }
    match work {
        Work::RemoveService | Work::RemoveProject => {
            assert!(bed.store.service(bed.organization, service.id).await.is_err());
            bed.is_tidy(&[]).await;
            let alive = bed.world.alive();
            assert_eq!(alive.routes, Vec::<String>::new());
            if work == Work::RemoveProject {
                assert!(bed.store.project(bed.organization, bed.project.id).await.is_err());
                assert_eq!(alive.networks, Vec::<String>::new());
            }
        }
        _ => {
            let wanted = if work == Work::Stop {
                Wanted::Stopped
            } else {
                Wanted::Running
            };
            assert_eq!(bed.service(service.id).await.wanted, wanted);
            bed.is_tidy(&[service.id]).await;
        }
    }
}

/// One run makes a few calls less than another: then everything is over, and the kill comes afterwards.
async fn reached_or_over(bed: &Bed, pause: &Pause) {
    tokio::select! {
        () = pause.reached() => {}
        () = bed.until_quiet() => {}
    }
}

async fn killed(work: Work, kill: Kill) {
    let (mut bed, service) = prepare(work).await;
    let again = match kill {
        Kill::At(number, moment) => {
            let pause = bed.watched.pause(Which::Nth(number), moment);
            let begun = begin(&bed, work, service.id).await;
            reached_or_over(&bed, &pause).await;
            begun
        }
        Kill::Twice(number) => {
            let pause = bed.watched.pause(Which::Nth(number), Moment::After);
            let begun = begin(&bed, work, service.id).await;
            reached_or_over(&bed, &pause).await;
            let second = bed.watched.pause(Which::Nth(1), Moment::After);
            bed.restart().await;
            reached_or_over(&bed, &second).await;
            begun
        }
        Kill::After(milliseconds) => {
            let begun = begin(&bed, work, service.id).await;
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            begun
        }
    };
    bed.restart().await;
    check(&bed, work, &service, again).await;
}

/// How many calls the work makes when nobody kills it.
async fn calls_of(work: Work) -> usize {
    let (bed, service) = prepare(work).await;
    let before = bed.watched.counted();
    let begun = begin(&bed, work, service.id).await;
    bed.until_quiet().await;
    let calls = bed.watched.counted() - before;
    check(&bed, work, &service, begun).await;
    calls
}

/// How thoroughly: every way to kill it, or only after each call, where another kind of work has the same steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kills {
    All,
    AfterEachCall,
}

async fn killed_everywhere(work: Work, thoroughly: Kills) {
    let calls = calls_of(work).await;
    assert!(calls > 2, "{work:?} makes only {calls} calls");
    let mut kills: Vec<Kill> = (1..=calls).map(|number| Kill::At(number, Moment::After)).collect();
    if thoroughly == Kills::All {
        kills.extend((1..=calls).flat_map(|number| [Kill::At(number, Moment::Before), Kill::Twice(number)]));
        kills.extend((0..12).map(|step| Kill::After(step * 15)));
    }
    let failed: Vec<Kill> = stream::iter(kills)
        .map(|kill| async move { (kill, AssertUnwindSafe(killed(work, kill)).catch_unwind().await) })
        .buffer_unordered(16)
        .filter_map(async |(kill, end)| end.is_err().then_some(kill))
        .collect()
        .await;
    assert!(
        failed.is_empty(),
        "{work:?} is not as it should be when it is killed {failed:?}; {calls} calls"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deployment_that_is_killed_anywhere_is_finished() {
    killed_everywhere(Work::FirstDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_killed_anywhere_is_finished_while_the_old_version_serves() {
    killed_everywhere(Work::Deployment, Kills::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_an_upload_that_is_killed_anywhere_is_finished() {
    killed_everywhere(Work::UploadedDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_an_image_that_is_killed_anywhere_is_finished() {
    killed_everywhere(Work::ImageDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_fails_and_is_killed_anywhere_is_undone_while_the_old_version_serves() {
    killed_everywhere(Work::FailingDeployment, Kills::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_killed_anywhere_is_finished_while_the_service_is_served() {
    killed_everywhere(Work::Restart, Kills::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_a_start_that_are_killed_anywhere_are_finished() {
    killed_everywhere(Work::Stop, Kills::AfterEachCall).await;
    killed_everywhere(Work::Start, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_killed_anywhere_is_finished_and_leaves_nothing() {
    killed_everywhere(Work::RemoveService, Kills::AfterEachCall).await;
    killed_everywhere(Work::RemoveProject, Kills::AfterEachCall).await;
}
