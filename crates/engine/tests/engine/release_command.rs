//! What runs once in the new image before an instance of it serves.

use contract::world::{ORDINARY_PROGRAM, Step};
use domain::{
    deployment::{DeploymentStatus, Phase},
    ports::infrastructure::Infrastructure as _,
    service::ServiceSettings,
    source::Source,
};
use engine::manage::DeploymentRequest;
use store::{
    deployments::Deployment,
    logs::{Filter, Log},
};

use crate::bed::{Bed, REPOSITORY, replicas};

fn with_command(command: &str) -> ServiceSettings {
    ServiceSettings {
        release_command: Some(command.parse().unwrap()),
        ..replicas(2)
    }
}

/// The programs that began since, each as `release` or the number of its replica.
fn runs_since(bed: &Bed, before: usize) -> Vec<String> {
    let runs = bed.world.runs().split_off(before);
    runs.iter()
        .map(|name| name.rsplit('-').next().unwrap().to_owned())
        .collect()
}

async fn log_of(bed: &Bed, deployment: &Deployment) -> Vec<String> {
    let lines = bed
        .store
        .lines(Log::Build(deployment.id), 0, &Filter::default(), 1000)
        .await
        .unwrap();
    let of_release = lines.into_iter().filter(|line| line.phase == Phase::Release.name());
    of_release.map(|line| line.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_once_before_the_instances_and_tells_what_it_says() {
    let bed = Bed::new().await;
    let service = bed
        .create(
            "web",
            &crate::bed::git(),
            &with_command("echo two tables; sleep 0.05; exit 0"),
        )
        .await;
    let deployment = bed.deploy(service.id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.reason);
    let mut runs = runs_since(&bed, 0);
    assert_eq!(runs.remove(0), "release");
    runs.sort();
    assert_eq!(runs, ["1", "2"]);
    let log = log_of(&bed, &deployment).await;
    let place = |words: &str| {
        log.iter()
            .position(|line| line.contains(words))
            .unwrap_or_else(|| panic!("{words}: {log:?}"))
    };
    let order = [
        "running the release command: echo",
        "two tables",
        "the release command has done its work",
        "starting 2 instance(s)",
    ];
    assert!(order.map(place).is_sorted(), "{log:?}");
    bed.until_quiet().await;
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_failure_is_the_deployments_and_no_instance_is_started() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    bed.watched.must_serve(&service.host);
    let before = (bed.world.runs().len(), bed.route(&service.host).await);
    bed.set_settings(service.id, with_command("echo no table users; exit 3"))
        .await;
    bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
    let deployment = bed.deploy(service.id).await;
    assert_eq!(deployment.status, DeploymentStatus::Failed);
    let reason = deployment.reason.unwrap();
    assert_eq!(reason.code, "release-command");
    assert!(
        reason.message.contains("exit code 3") && reason.message.contains("no table users"),
        "{reason}"
    );
    assert_eq!(runs_since(&bed, before.0), ["release"]);
    assert_eq!(bed.route(&service.host).await, before.1);
    bed.until_quiet().await;
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_again_runs_it_and_going_back_does_not() {
    let bed = Bed::new().await;
    let service = bed.create("web", &crate::bed::git(), &with_command("exit 0")).await;
    let first = bed.deploy(service.id).await;
    bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
    bed.deploy(service.id).await;
    let before = bed.world.runs().len();
    let request = DeploymentRequest {
        image_of: Some(first.id),
        ..DeploymentRequest::default()
    };
    let again = bed.ask_for(service.id, request).await.deployment.id;
    assert_eq!(bed.until_over(again).await.status, DeploymentStatus::Live);
    assert_eq!(runs_since(&bed, before)[0], "release");
    let before = bed.world.runs().len();
    let back = bed
        .engine
        .roll_back(bed.organization, service.id, first.id)
        .await
        .unwrap();
    assert_eq!(bed.until_over(back.deployment.id).await.status, DeploymentStatus::Live);
    assert!(!runs_since(&bed, before).contains(&"release".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_end_goes_with_its_cancelled_deployment() {
    let bed = Bed::new().await;
    let image = bed.world.add_image("tool:1", ORDINARY_PROGRAM, None);
    let service = bed.create("web", &crate::bed::git(), &with_command("sleep 600")).await;
    let reference = image.reference.parse().unwrap();
    bed.set_source(service.id, Source::Image { reference }).await;
    let id = bed.ask(service.id).await;
    let name = bed
        .until("it runs", async || {
            bed.world.runs().into_iter().find(|name| name.ends_with("-release"))
        })
        .await;
    let instances = bed.world.instances(&Default::default()).await.unwrap();
    assert_eq!(instances.iter().map(|one| &one.name).collect::<Vec<_>>(), [&name]);
    bed.engine.cancel(bed.organization, id).await.unwrap();
    assert_eq!(bed.until_over(id).await.status, DeploymentStatus::Cancelled);
    bed.until_quiet().await;
    assert!(bed.world.instances(&Default::default()).await.unwrap().is_empty());
    assert_eq!(bed.world.calls(Step::AskPublic), 0);
}
