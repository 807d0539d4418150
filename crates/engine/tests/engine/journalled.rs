//! The generated tests of the saga: for each entry of its journal, the platform is killed after it was written and before
//! anything else is. A step whose *started* is the last entry has done all of its work then, and does it a second time;
//! one whose *undone* is missing is undone a second time.

use crate::{
    bed::Bed,
    scenarios,
    works::{May, Site, Work},
};

/// More entries than any saga has.
const ALL: i64 = 1000;

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

/// Waits until the deployment cannot go on, or is over.
async fn stands_still(site: &Site) {
    site.bed
        .until("it cannot go on, or is over", async || {
            let job = site.new_job().await?;
            (job.failures > 0 || job.finished_at_ms.is_some()).then_some(())
        })
        .await;
}

/// Runs the work with so many entries, then kills the platform and starts it again; how many entries the whole takes.
async fn with_entries(work: Work, entries: i64) -> i64 {
    let mut site = Site::prepare(work).await;
    allow(&site.bed, entries).await;
    let begun = tokio::select! {
        begun = site.begin() => Some(begun.unwrap()),
        // Whoever cancels waits for what never comes.
        () = stands_still(&site) => None,
    };
    stands_still(&site).await;
    site.bed.kill().await;
    let job = site.new_job().await.unwrap();
    let written = site.bed.store.journal(job.id).await.unwrap().len();
    site.bed
        .run_sql("DROP TRIGGER no_insert; DROP TRIGGER no_update; UPDATE jobs SET run_after_ms = 0")
        .await;
    site.bed.restart().await;
    let begun = match begun {
        Some(begun) => begun,
        None => site.begin_unless_begun().await,
    };
    site.holds(begun, May::OnlySucceed).await;
    i64::try_from(written).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_killed_after_any_entry_of_its_journal_is_finished_or_undone() {
    let mut all = Vec::new();
    for work in Work::SAGAS {
        let steps = with_entries(work, ALL).await;
        assert!(steps >= 4, "{work:?} writes only {steps} entries");
        // Entries that a step's end adds to are counted by the step's states: started, done, undone.
        all.extend((0..=steps * 3).map(|entries| (work, entries)));
    }
    scenarios::all("a saga's journal ends", all, async |(work, entries)| {
        with_entries(work, entries).await;
    })
    .await;
}
