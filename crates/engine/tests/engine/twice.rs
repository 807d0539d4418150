//! The generated tests of what is done twice. A job whose worker did all of it, and whose end was not kept because the
//! lease went to another one, is done by that one from the beginning; a step whose end the journal does not have is run or
//! undone once more. Both end as once.

use std::time::Duration;

use crate::{
    scenarios,
    works::{Begun, May, Site, Work},
};

/// How long nothing may happen before a worker is taken to be at its end. When it was not, its lease is lost in the middle
/// of its work, which must do no harm either.
const CALM: Duration = Duration::from_millis(300);

/// Nobody's end is kept before its job was handed over to another worker.
const FORGET_ENDS: &str = "CREATE TABLE handed_over (job_id TEXT NOT NULL); \
    CREATE TRIGGER forget_end BEFORE UPDATE ON jobs WHEN OLD.status = 'running' AND NEW.status IN ('done', 'failed') \
    AND NOT EXISTS (SELECT 1 FROM handed_over WHERE job_id = OLD.id) BEGIN SELECT RAISE(IGNORE); END;";
/// The lease goes to another worker, and from that one to whoever comes next.
const HAND_OVER: &str = "INSERT INTO handed_over SELECT id FROM jobs WHERE status = 'running'; \
    UPDATE jobs SET lease_until_ms = 0, attempt = attempt + 1 WHERE status = 'running';";

async fn each_job_twice(work: Work) {
    let site = Site::prepare(work).await;
    site.bed.run_sql(FORGET_ENDS).await;
    let (begun, ()) = tokio::join!(site.begin(), hand_over(&site));
    let begun = begun.unwrap();
    let attempts = site.attempts_of(begun).await;
    assert!(attempts > 1, "it was done {attempts} times");
    site.bed.run_sql("DROP TRIGGER forget_end").await;
    site.holds(begun, May::OnlySucceed).await;
    site.goes_on().await;
}

/// Hands every job over, once it is at its end, until none is left.
async fn hand_over(site: &Site) {
    let has_begun = std::cell::Cell::new(false);
    site.bed
        .until("every job was done twice", async || {
            let calls = site.bed.watched.counted();
            tokio::time::sleep(CALM).await;
            let jobs = site.bed.jobs().await;
            let under_way = jobs.iter().any(|job| job.finished_at_ms.is_none());
            has_begun.set(has_begun.get() || under_way);
            if under_way && site.bed.watched.counted() == calls {
                site.bed.run_sql(HAND_OVER).await;
                site.bed.shared().notices.job();
            }
            (has_begun.get() && !under_way).then_some(())
        })
        .await;
}

/// The steps of a deployment's saga, and the entries with which they end.
const ENDS: [(&str, &str); 10] = [
    ("provision", "done"),
    ("build", "done"),
    ("release-command", "done"),
    ("release", "done"),
    ("check", "done"),
    ("check", "undone"),
    ("release", "undone"),
    ("release-command", "undone"),
    ("build", "undone"),
    ("provision", "undone"),
];

async fn step_twice(work: Work, step: &str, end: &str) {
    let site = Site::prepare(work).await;
    let forget = format!(
        "CREATE TRIGGER forget_step BEFORE UPDATE ON saga_journal WHEN NEW.step = '{step}' AND NEW.state = '{end}' \
         AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = NEW.job_id AND failures > 0) \
         BEGIN SELECT RAISE(ABORT, 'the end of the step is forgotten'); END;"
    );
    site.bed.run_sql(&forget).await;
    let begun = site.begin().await.unwrap();
    site.holds(begun, May::OnlySucceed).await;
    let (Begun::Deployment(id) | Begun::Cancelled(id)) = begun else {
        panic!("a saga is a deployment's");
    };
    let journal = site.bed.journal_of(id).await;
    let wrote = journal.iter().any(|(name, state)| name == step && state.name() == end);
    if wrote {
        let attempts = site.attempts_of(begun).await;
        assert!(attempts > 1, "it was done {attempts} times: {journal:?}");
    }
    site.bed.run_sql("DROP TRIGGER forget_step").await;
    site.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_done_by_two_workers_one_after_the_other_ends_as_if_it_were_done_by_one() {
    let works = Work::SAGAS.into_iter().chain(Work::JOBS).collect();
    scenarios::all("each job twice", works, each_job_twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_run_or_undone_twice_ends_as_if_it_were_so_once() {
    let all = Work::SAGAS.into_iter();
    let all = all.flat_map(|work| ENDS.map(|(step, end)| (work, step, end)));
    scenarios::all("a step twice", all.collect(), async |(work, step, end)| {
        step_twice(work, step, end).await;
    })
    .await;
}
