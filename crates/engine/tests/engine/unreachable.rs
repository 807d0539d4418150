//! A counterpart that does not answer for a while is tried again; one that stays away fails the deployment with a
//! reason that names it; once it is back, the next deployment works. An answer that was lost does no harm.

use contract::world::{Failure, Step};
use domain::{deployment::DeploymentStatus, source::Source};
use futures_util::future::join_all;

use crate::bed::{Bed, git, quick, replicas, uploads};
use engine::state::logs::Log;

const OF_A_DEPLOYMENT: [Step; 7] = [
    Step::EnsureNetwork,
    Step::Checkout,
    Step::Build,
    Step::Start,
    Step::Wait,
    Step::SetRoute,
    Step::KeepRunning,
];

async fn away_for_a_moment(step: Step, failures: &[Failure], source: Source) {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    bed.world.add_image("nginx:1", contract::world::ORDINARY_PROGRAM, None);
    bed.set_source(service.id, source.clone()).await;
    for failure in failures {
        bed.world.fail_next(step, *failure);
    }
    let status = bed.deploy_again(service.id, source == uploads()).await;
    assert_eq!(status, DeploymentStatus::Live, "{step:?} {failures:?}");
    bed.world.mend(step);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counterpart_that_is_away_for_a_moment_or_whose_answer_is_lost_is_asked_again() {
    let twice = &[Failure::Unreachable, Failure::Unreachable];
    let lost = &[Failure::Lost];
    let image = || Source::Image {
        reference: "nginx:1".parse().unwrap(),
    };
    let all = OF_A_DEPLOYMENT.into_iter().flat_map(|step| {
        [
            away_for_a_moment(step, twice, git()),
            away_for_a_moment(step, lost, git()),
        ]
    });
    let others = [
        away_for_a_moment(Step::ResolveImage, twice, image()),
        away_for_a_moment(Step::Unpack, lost, uploads()),
        away_for_a_moment(Step::Drained, twice, git()),
        away_for_a_moment(Step::Stop, twice, git()),
        away_for_a_moment(Step::RemoveInstance, twice, git()),
        away_for_a_moment(Step::RemoveInstance, lost, git()),
        away_for_a_moment(Step::AskPublic, twice, git()),
        away_for_a_moment(Step::Probe, twice, git()),
    ];
    futures_util::future::join(join_all(all), join_all(others)).await;
}

/// The counterpart is away until the deployment gave up, or a while after it began to give up.
async fn away_for_long(step: Step, code: &str) {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.world.fail_always(step, Failure::Unreachable);
    let id = bed.ask(service.id).await;
    bed.until("the deployment gives up", async || {
        let jobs = bed.jobs().await;
        let job = jobs.iter().find(|job| job.subject == id.to_string())?;
        let journal = bed.store.journal(job.id).await.unwrap();
        journal.iter().any(|entry| entry.step == "giving-up").then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    bed.world.mend(step);
    let deployment = bed.until_over(id).await;
    assert_eq!(deployment.status, DeploymentStatus::Failed, "{step:?}");
    let reason = deployment.reason.unwrap();
    assert_eq!(reason.code, code, "{step:?}: {reason}");
    assert!(!reason.advice.is_empty(), "{step:?}: {reason}");
    assert_eq!(bed.service(service.id).await.current, service.current);
    bed.is_tidy(&[service.id]).await;
    assert_eq!(
        bed.deploy_again(service.id, false).await,
        DeploymentStatus::Live,
        "after {step:?}"
    );
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counterpart_that_stays_away_fails_the_deployment_and_the_next_one_works_when_it_is_back() {
    join_all([
        away_for_long(Step::EnsureNetwork, "engine-unreachable"),
        away_for_long(Step::Checkout, "source-unreachable"),
        away_for_long(Step::Build, "builder-unreachable"),
        away_for_long(Step::Start, "engine-unreachable"),
        away_for_long(Step::SetRoute, "proxy-unreachable"),
    ])
    .await;
}

async fn cannot_be_taken_back(step: Step) {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.world.build_with("web", "exit 1");
    bed.world.fail_always(step, Failure::Unreachable);
    let id = bed.ask(service.id).await;
    let failed = bed.until_over(id).await;
    assert_eq!(
        (failed.status, failed.reason.unwrap().code.as_str()),
        (DeploymentStatus::Failed, "exited"),
        "{step:?}"
    );
    assert!(
        bed.jobs().await.iter().any(|job| job.finished_at_ms.is_none()),
        "what is left is worked off"
    );
    let lines = bed.engine.newest_line(Log::Build(id)).await.unwrap();
    bed.world.mend(step);
    bed.world.build_with("web", contract::world::ORDINARY_PROGRAM);
    bed.is_tidy(&[service.id]).await;
    assert_eq!(
        bed.engine.newest_line(Log::Build(id)).await.unwrap(),
        lines,
        "its log had ended"
    );
    assert_eq!(bed.deploy_again(service.id, false).await, DeploymentStatus::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_cannot_be_taken_back_yet_is_told_failed_at_once_and_leaves_nothing_later() {
    join_all([
        cannot_be_taken_back(Step::RemoveInstance),
        cannot_be_taken_back(Step::RemoveImage),
    ])
    .await;
}
