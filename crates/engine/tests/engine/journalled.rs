//! The generated tests of the saga: for each entry of its journal, the platform is killed after it was written and before
//! anything else is. A step whose *started* is the last entry has done all of its work then, and does it a second time;
//! one whose *undone* is missing is undone a second time.

use domain::deployment::DeploymentStatus;
use futures_util::{StreamExt as _, stream};

use crate::bed::{Bed, REPOSITORY, replicas};

/// More entries than any saga has.
const ALL: i64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Deployment,
    FailingDeployment,
}

/// Lets so many more entries into the journal.
async fn allow(bed: &Bed, entries: i64) {
    bed.run_sql(&format!(
        "CREATE TABLE allowed (entries INTEGER NOT NULL); \
         INSERT INTO allowed VALUES ({entries}); \
         CREATE TRIGGER no_insert BEFORE INSERT ON saga_journal WHEN (SELECT entries FROM allowed) <= 0 \
         BEGIN SELECT RAISE(ABORT, 'the journal is closed'); END; \
         CREATE TRIGGER no_update BEFORE UPDATE ON saga_journal WHEN (SELECT entries FROM allowed) <= 0 \
         BEGIN SELECT RAISE(ABORT, 'the journal is closed'); END; \
         CREATE TRIGGER inserted AFTER INSERT ON saga_journal BEGIN UPDATE allowed SET entries = entries - 1; END; \
         CREATE TRIGGER updated AFTER UPDATE ON saga_journal BEGIN UPDATE allowed SET entries = entries - 1; END;"
    ))
    .await;
}

/// Runs the work with so many entries, then kills the platform and starts it again; how many entries the whole takes.
async fn with_entries(work: Work, entries: i64) -> i64 {
    let mut bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    if work == Work::FailingDeployment {
        bed.world.build_with("web", "echo oh no; sleep 0.05; exit 1");
    }
    bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
    allow(&bed, entries).await;
    let id = bed.ask(service.id).await;
    bed.until("it cannot go on, or is over", async || {
        let jobs = bed.jobs().await;
        let job = jobs.iter().find(|job| job.subject == id.to_string())?;
        (job.failures > 0 || job.finished_at_ms.is_some()).then_some(())
    })
    .await;
    bed.kill().await;
    let written = bed.journal_of(id).await;
    bed.run_sql("DROP TRIGGER no_insert; DROP TRIGGER no_update; UPDATE jobs SET run_after_ms = 0")
        .await;
    bed.restart().await;
    let deployment = bed.until_over(id).await;
    match work {
        Work::Deployment => {
            assert_eq!(
                deployment.status,
                DeploymentStatus::Live,
                "after {entries}: {written:?}"
            );
            bed.until_quiet().await;
            assert_eq!(bed.service(service.id).await.current, Some(id));
        }
        Work::FailingDeployment => {
            assert_eq!(
                deployment.status,
                DeploymentStatus::Failed,
                "after {entries}: {written:?}"
            );
            assert_eq!(bed.service(service.id).await.current, service.current);
        }
    }
    bed.is_tidy(&[service.id]).await;
    written.len() as i64
}

async fn killed_after_each_entry(work: Work, at_least: i64) {
    // Entries that a step's end adds to are counted by the step's states: started, done, undone.
    let steps = with_entries(work, ALL).await;
    let all = steps * 3;
    assert!(steps >= at_least, "{work:?} writes only {steps} entries");
    let runs = stream::iter(0..=all).map(|entries| with_entries(work, entries));
    runs.buffer_unordered(8).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_killed_after_any_entry_of_its_journal_is_finished() {
    killed_after_each_entry(Work::Deployment, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_fails_and_is_killed_after_any_entry_of_its_journal_is_undone() {
    killed_after_each_entry(Work::FailingDeployment, 4).await;
}
