//! A deployment that is broken at any of its steps ends with a reason, leaves what was there before alone, and leaves
//! nothing behind.

use contract::world::{Failure, ORDINARY_PROGRAM, REFUSED_FILE, Step};
use domain::{deployment::DeploymentStatus, service::HealthCheck, source::Source};
use engine::manage::DeploymentRequest;
use futures_util::future::join_all;

use crate::{
    bed::{Bed, REPOSITORY, git, quick, replicas, uploads},
    watched::{Moment, Which},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Git,
    Upload,
    Image,
    EarlierImage,
}

/// A service with a live version, and a second one asked for while `step` refuses.
async fn breaks_at(from: From, step: Step, times: Option<usize>, status: DeploymentStatus) {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let before = bed.route(&service.host).await;
    let image = bed.world.add_image("nginx:1", ORDINARY_PROGRAM, None);
    let source = match from {
        From::Git | From::EarlierImage => git(),
        From::Upload => uploads(),
        From::Image => Source::Image {
            reference: image.reference.parse().unwrap(),
        },
    };
    bed.set_source(service.id, source).await;
    match times {
        None => bed.world.fail_always(step, Failure::Refused),
        Some(times) => (0..times).for_each(|_| bed.world.fail_next(step, Failure::Refused)),
    }
    let id = match from {
        From::Git | From::Image => bed.ask(service.id).await,
        From::Upload => bed.upload(service.id, &[("index.html", "two")]).await,
        From::EarlierImage => {
            let request = DeploymentRequest {
                image_of: service.current,
                ..DeploymentRequest::default()
            };
            bed.ask_for(service.id, request).await.deployment.id
        }
    };
    let deployment = bed.until_over(id).await;
    bed.world.mend(step);
    assert_eq!(deployment.status, status, "{from:?} {step:?}: {:?}", deployment.reason);
    bed.until_quiet().await;
    if status == DeploymentStatus::Failed {
        assert_eq!(bed.service(service.id).await.current, service.current, "{step:?}");
        assert_eq!(bed.route(&service.host).await, before, "{step:?}");
    }
    bed.is_tidy(&[service.id]).await;
    assert_eq!(
        bed.deploy_again(service.id, from == From::Upload).await,
        DeploymentStatus::Live,
        "after {step:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_breaks_at_any_step_leaves_the_old_version_alone_and_nothing_behind() {
    use DeploymentStatus::{Failed, Live};
    let always = None;
    join_all([
        breaks_at(From::Git, Step::EnsureNetwork, always, Failed),
        breaks_at(From::Git, Step::Checkout, always, Failed),
        breaks_at(From::Upload, Step::Unpack, always, Failed),
        breaks_at(From::Image, Step::ResolveImage, always, Failed),
        breaks_at(From::Git, Step::Plan, always, Failed),
        // The builder may know the image from somewhere else.
        breaks_at(From::Git, Step::EnsureBaseImages, always, Live),
        breaks_at(From::Git, Step::Build, always, Failed),
        // A guess is as good.
        breaks_at(From::Git, Step::ExposedPort, always, Live),
        breaks_at(From::Git, Step::Start, always, Failed),
        breaks_at(From::Git, Step::Start, Some(1), Failed),
        breaks_at(From::Upload, Step::Start, always, Failed),
        breaks_at(From::Image, Step::Start, always, Failed),
        breaks_at(From::EarlierImage, Step::Start, always, Failed),
        breaks_at(From::Git, Step::Probe, always, Failed),
        breaks_at(From::Git, Step::ListeningPorts, always, Live),
        breaks_at(From::Git, Step::SetRoute, Some(1), Failed),
        breaks_at(From::EarlierImage, Step::SetRoute, Some(1), Failed),
        breaks_at(From::Git, Step::AskPublic, always, Failed),
        // It serves, and the platform itself brings it back.
        breaks_at(From::Git, Step::KeepRunning, Some(2), Live),
    ])
    .await;
}

/// A first version with this program; the code of the reason for which it fails.
async fn program_fails(program: &str, check: HealthCheck, code: &str) {
    let bed = Bed::new().await;
    let settings = domain::service::ServiceSettings {
        health_check: check,
        ..quick()
    };
    let service = bed.create("web", &git(), &settings).await;
    bed.world.build_with("web", program);
    let deployment = bed.deploy(service.id).await;
    assert_eq!(deployment.status, DeploymentStatus::Failed, "{program}");
    let reason = deployment.reason.clone().unwrap();
    assert_eq!(reason.code, code, "{program}: {reason}");
    bed.is_tidy(&[service.id]).await;
    let view = bed.engine.service(bed.organization, service.id).await.unwrap();
    assert_eq!(view.status, domain::service::ServiceStatus::Failed);
    assert_eq!(view.reason, Some(reason));
    bed.until("the address says that no version works", async || {
        let route = bed.route(&service.host).await?;
        (route.state == domain::ports::router::RouteState::Failed).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_does_not_work_fails_its_deployment_with_the_reason() {
    let http = || HealthCheck::Http {
        path: domain::names::HealthPath::parse("/health").unwrap(),
    };
    let tcp = || HealthCheck::Tcp;
    join_all([
        program_fails("echo oh no >&2; exit 1", tcp(), "exited"),
        program_fails("exit", tcp(), "exited"),
        program_fails("sleep 0.1; oom", tcp(), "out-of-memory"),
        program_fails("refuse exec format error", tcp(), "cannot-start"),
        program_fails("no-such-program", tcp(), "command-not-found"),
        program_fails("wait", tcp(), "port-never-opened"),
        program_fails("listen $PORT loopback; wait", tcp(), "listens-on-loopback"),
        program_fails("listen $PORT; answer 500; wait", http(), "health-check-status"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_an_application_that_does_not_start_are_in_the_log_of_its_deployment() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    bed.world.build_with("web", "echo missing DATABASE_URL >&2; exit 1");
    let deployment = bed.deploy(service.id).await;
    let log = bed.engine.build_log(bed.organization, deployment.id).await.unwrap();
    let lines = bed.engine.lines(log, 0, &Default::default(), 1000).await.unwrap();
    assert!(
        lines.iter().any(|line| line.message == "missing DATABASE_URL"),
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_planned_says_why() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    bed.world
        .push(REPOSITORY, "main", &[(REFUSED_FILE, "there is no package.json")]);
    let deployment = bed.deploy(service.id).await;
    assert_eq!(deployment.status, DeploymentStatus::Failed);
    assert_eq!(deployment.reason.unwrap().message, "there is no package.json");
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_the_application_chose_itself_is_found() {
    let bed = Bed::new().await;
    bed.world.build_with("web", "listen 3000; wait");
    let service = bed
        .live(
            "web",
            &domain::service::ServiceSettings {
                health_timeout_seconds: 30,
                ..quick()
            },
        )
        .await;
    let deployment = bed.deployment(service.current.unwrap()).await;
    assert_eq!(deployment.port, Some(3000));
    assert_eq!(
        bed.route(&service.host).await.unwrap().instances[0].address.port(),
        3000
    );
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_a_killed_engine_half_remembers_is_made_anew_by_its_deployment() {
    let mut bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let before = bed.world.alive().containers;
    let pause = bed.watched.pause(Which::Step(Step::Start), Moment::After);
    let id = bed.ask(service.id).await;
    pause.reached().await;
    bed.kill().await;
    let made = bed.world.alive().containers;
    let new = made.iter().find(|name| !before.contains(name)).unwrap();
    bed.world.half_remember(new);
    bed.restart().await;
    let deployment = bed.until_over(id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.reason);
    bed.is_tidy(&[service.id]).await;
}
