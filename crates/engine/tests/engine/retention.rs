//! What is over goes by the policy, and what may be needed stays.

use contract::world::Step;
use domain::deployment::DeploymentStatus;
use engine::{Error, Retention, state::logs::Log};

use crate::bed::{Bed, quick};

fn little() -> Retention {
    Retention {
        build_logs: 2,
        deployments: 4,
        images: 2,
        live_images: 1,
        ..Retention::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_log_says_so_and_the_current_ones_stays() {
    let mut bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let current = service.current.unwrap();
    bed.world
        .fail_next(contract::world::Step::Start, contract::world::Failure::Refused);
    let failed = bed.deploy(service.id).await;
    assert_eq!(failed.status, DeploymentStatus::Failed);
    let mut newest = Vec::new();
    for _ in 0..2 {
        bed.world
            .fail_next(contract::world::Step::Start, contract::world::Failure::Refused);
        newest.push(bed.deploy(service.id).await.id);
    }
    bed.keep(little()).await;
    let deployment = bed
        .until("the old log is gone", async || {
            let lines = bed.store.newest_line(Log::Build(failed.id)).await.unwrap();
            (lines == 0).then_some(bed.deployment(failed.id).await)
        })
        .await;
    assert!(deployment.log_removed);
    assert_eq!(deployment.reason, failed.reason, "why it failed is still known");
    let refused = bed.engine.build_log(bed.organization, failed.id).await;
    assert!(
        matches!(
            refused,
            Err(Error::Gone {
                code: "log-removed",
                ..
            })
        ),
        "{refused:?}"
    );
    for kept in [current, newest[0], newest[1]] {
        assert!(!bed.deployment(kept).await.log_removed);
        bed.engine.build_log(bed.organization, kept).await.unwrap();
    }
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_beyond_the_newest_go_but_the_one_to_roll_back_to_stays() {
    let mut bed = Bed::new().await;
    bed.keep(little()).await;
    let service = bed.live("web", &quick()).await;
    bed.deploy(service.id).await;
    // Failures put the live ones beyond the newest four.
    for _ in 0..6 {
        bed.world
            .fail_next(contract::world::Step::Start, contract::world::Failure::Refused);
        bed.deploy(service.id).await;
    }
    bed.keep(little()).await;
    bed.until("the old failures are gone", async || {
        let deployments = bed.store.deployments(service.id, i64::MAX, 100).await.unwrap();
        let numbers: Vec<i64> = deployments.iter().map(|one| one.number).collect();
        (numbers == [8, 7, 6, 5, 2, 1]).then_some(())
    })
    .await;
    let rolled_back = bed
        .engine
        .roll_back(bed.organization, service.id, service.current.unwrap())
        .await;
    let id = rolled_back.unwrap().deployment.id;
    assert_eq!(bed.until_over(id).await.status, DeploymentStatus::Live);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_still_in_use_when_it_should_go_goes_later() {
    let mut bed = Bed::new().await;
    let images = 1;
    bed.keep(Retention { images, ..little() }).await;
    let service = bed.live("web", &quick()).await;
    let first = bed.deployment(service.current.unwrap()).await.image.unwrap();
    // The old version's instances are not let go yet.
    bed.world.hold(Step::Drained);
    let id = bed.ask(service.id).await;
    bed.until_over(id).await;
    bed.until("its removal is put off", async || {
        let jobs = bed.jobs().await;
        jobs.iter()
            .any(|job| job.name == "remove-image" && job.failures > 0)
            .then_some(())
    })
    .await;
    assert!(bed.world.alive().images.contains(&first.reference));
    bed.world.release(Step::Drained);
    bed.until_quiet_without_pauses().await;
    assert!(!bed.world.alive().images.contains(&first.reference));
    bed.is_tidy(&[service.id]).await;
}
