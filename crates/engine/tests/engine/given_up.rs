//! What the queue gives up: it says so, ends what hangs on it, stands in nobody's way, and goes on when it is asked for.

use domain::deployment::DeploymentStatus;
use engine::{Error, state::jobs::Job};

use crate::bed::{Bed, git, quick};

/// Waits until a job has that status; nothing waits for a pause meanwhile.
async fn until_job(bed: &Bed, subject: &str, status: &str) -> Job {
    bed.until(&format!("the job of {subject} is {status}"), async || {
        bed.run_sql("UPDATE jobs SET run_after_ms = 0 WHERE status = 'waiting'")
            .await;
        bed.shared().notices.job();
        let jobs = bed.jobs().await;
        jobs.into_iter()
            .find(|job| job.subject == subject && job.status == status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_state_cannot_be_read_ends_visibly_and_the_next_one_goes_on() {
    let mut bed = Bed::asleep().await;
    let service = bed.create("web", &git(), &quick()).await;
    let id = bed.ask(service.id).await;
    bed.run_sql(&format!(
        "UPDATE deployments SET sealed_environment = x'00' WHERE id = '{id}'"
    ))
    .await;
    bed.start_runner();
    let job = until_job(&bed, &id.to_string(), "dead").await;
    assert_eq!(job.reason.as_ref().unwrap().code, "state");
    assert!(job.finished_at_ms.is_some());
    let deployment = bed.deployment(id).await;
    assert_eq!(deployment.status, DeploymentStatus::Failed);
    assert_eq!(deployment.reason, job.reason);
    assert_eq!(bed.deploy_again(service.id, false).await, DeploymentStatus::Live);

    // What it had begun is undone when it is asked for again; the version that serves by now stays.
    bed.watched.must_serve(&service.host);
    let again = bed.engine.retry_job(bed.organization, job.id).await.unwrap();
    assert_eq!(again.failures, 0);
    bed.until_quiet().await;
    let ended = bed.job(job.id).await;
    assert_eq!(ended.status, "failed");
    let journal = bed.store.journal(job.id).await.unwrap();
    assert!(
        journal
            .iter()
            .all(|entry| entry.step == "giving-up" || entry.state == store::jobs::StepState::Undone),
        "{journal:?}"
    );
    let refused = bed.engine.retry_job(bed.organization, job.id).await;
    assert!(matches!(
        refused,
        Err(Error::Conflict {
            code: "nothing-to-retry",
            ..
        })
    ));
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_this_version_does_not_know_is_dead_and_delays_nobody() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    let key = service.id.to_string();
    let made = async {
        store::transaction!(bed.store, |write| {
            write.enqueue(bed.organization, "from-the-future", "it", &key).await?
        })
    };
    let job = made.await.unwrap();
    let deployment = bed.deploy(service.id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live);
    let job = bed.job(job).await;
    assert_eq!(
        (job.status.as_str(), job.reason.unwrap().code.as_str()),
        ("dead", "unknown-job")
    );
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_keeps_failing_is_stuck_says_why_and_comes_to_its_end_when_it_can() {
    use contract::world::{Failure, Step};
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    bed.world.fail_always(Step::Stop, Failure::Unreachable);
    let job = bed.engine.stop_service(bed.organization, service.id).await.unwrap();
    let stuck = until_job(&bed, &service.id.to_string(), "stuck").await;
    assert_eq!(stuck.id, job.id);
    assert_eq!(stuck.reason.unwrap().code, "engine-unreachable");
    let figures = bed.store.queue().await.unwrap()["stop-service"].clone();
    assert_eq!(figures.dead, 0);
    bed.until("it waits for long", async || {
        bed.run_sql("UPDATE jobs SET run_after_ms = 9000000000000 WHERE status = 'waiting'")
            .await;
        (bed.job(job.id).await.status == "stuck").then_some(())
    })
    .await;
    bed.world.mend(Step::Stop);
    let again = bed.engine.retry_job(bed.organization, job.id).await.unwrap();
    assert_ne!(again.status, "stuck");
    bed.until_quiet().await;
    assert_eq!(bed.job(job.id).await.status, "done");
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_for_long_is_forgotten_by_a_job_of_the_installation() {
    let mut bed = Bed::asleep().await;
    let service = bed.create("web", &git(), &quick()).await;
    bed.start_runner();
    bed.deploy(service.id).await;
    let kept = bed.jobs().await.len();
    bed.kill().await;
    for (number, status, days) in [(1, "done", 8), (2, "failed", 6), (3, "dead", 8), (4, "dead", 31)] {
        let at_ms = store::now_ms() - days * 24 * 3600 * 1000;
        bed.run_sql(&format!(
            "INSERT INTO jobs (id, organization_id, name, subject, serial_key, status, run_after_ms, created_at_ms, \
             finished_at_ms) VALUES ('job_0000000000007000800000000000000{number}', '{}', 'deploy', 's', 'k{number}', \
             '{status}', 0, {at_ms}, {at_ms})",
            bed.organization
        ))
        .await;
    }
    bed.run_sql("UPDATE schedules SET next_at_ms = 1").await;
    bed.restart().await;
    bed.until("the old ones are gone", async || {
        (bed.jobs().await.len() == kept + 2).then_some(())
    })
    .await;
    let jobs = bed.jobs().await;
    assert!(jobs.iter().any(|job| job.status == "dead") && jobs.iter().any(|job| job.status == "failed"));
    assert!(jobs.iter().all(|job| job.name != "cleanup"), "it is nobody's");
}
