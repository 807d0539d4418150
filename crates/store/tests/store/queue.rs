//! The queue: whose turn it is, how many at once, what fails, and what is done again and again.

use std::{collections::BTreeMap, time::Duration};

use domain::{JobId, OrganizationId, Reason};
use store::{
    Error,
    jobs::{Claim, Later, Room, StepState},
};

use crate::{bed::Bed, relay::Relay};

crate::bed::promises!(
    an_organization_with_a_thousand_waiting_jobs_does_not_delay_another_ones_one_job,
    nobody_takes_all_places_of_a_worker,
    what_people_wait_for_goes_before_clean_up_and_what_is_older_before_what_is_newer,
    no_more_of_a_kind_run_at_once_than_may_however_many_processes_claim,
    a_job_that_keeps_failing_is_stuck_until_someone_asks_for_it_again,
    a_job_does_not_wait_for_a_time_that_a_clock_set_back_has_moved_far_away,
    a_dead_job_stands_in_nobodys_way_and_goes_on_when_it_is_asked_for_again,
    two_jobs_of_one_key_never_run_at_once_when_an_earlier_one_comes_back,
    what_is_scheduled_is_enqueued_once_however_many_look,
    the_figures_say_what_waits_and_since_when_it_could_have_been_done,
    a_job_that_a_clock_set_back_has_moved_far_away_counts_as_due,
);
crate::bed::promises!(on postgresql:
    claiming_reads_no_more_however_many_jobs_are_over_and_wait,
    a_new_job_wakes_other_processes_when_it_is_committed,
    a_listener_whose_connection_was_cut_listens_again,
    a_listener_whose_connection_is_half_open_listens_again
);

async fn enqueue_for(bed: &Bed, organization: OrganizationId, name: &str, key: &str) -> JobId {
    store::transaction!(bed.store, |write| {
        write.enqueue(organization, name, key, key).await?
    })
    .unwrap()
}

async fn enqueue(bed: &Bed, name: &str, key: &str) -> JobId {
    enqueue_for(bed, bed.organization, name, key).await
}

async fn claim(bed: &Bed, limit: i64) -> Vec<Claim> {
    bed.store.claim_jobs("worker", 60_000, limit).await.unwrap()
}

fn away() -> Reason {
    Reason::new("away", "it is away", "")
}

async fn status(bed: &Bed, id: JobId) -> String {
    bed.store.job(bed.organization, id).await.unwrap().status
}

async fn an_organization_with_a_thousand_waiting_jobs_does_not_delay_another_ones_one_job(bed: Bed) {
    for number in 0..1000 {
        enqueue(&bed, "deploy", &format!("key-{number}")).await;
    }
    let other = bed.store.ensure_organization("other").await.unwrap();
    let one = enqueue_for(&bed, other, "deploy", "other").await;
    let taken = claim(&bed, 2).await;
    assert!(taken.iter().any(|claim| claim.job.id == one), "{taken:?}");
    // A worker with one place gives it to one after the other.
    let mut room = Room::default();
    let mut turns = Vec::new();
    for number in 0..4 {
        enqueue_for(&bed, other, "deploy", &format!("other-{number}")).await;
        room.places = 1;
        let taken = bed.store.claim("worker", 60_000, &mut room).await.unwrap();
        turns.push(taken[0].job.organization);
    }
    turns.sort();
    assert_eq!(turns, [bed.organization, bed.organization, other, other]);
}

async fn nobody_takes_all_places_of_a_worker(bed: Bed) {
    for number in 0..20 {
        enqueue(&bed, "deploy", &format!("key-{number}")).await;
    }
    let mut room = Room {
        places: 16,
        held: Some(BTreeMap::new()),
        ..Room::default()
    };
    assert_eq!(bed.store.claim("worker", 60_000, &mut room).await.unwrap().len(), 8);
    assert_eq!(bed.store.claim("worker", 60_000, &mut room).await.unwrap(), []);
    let other = bed.store.ensure_organization("other").await.unwrap();
    let one = enqueue_for(&bed, other, "deploy", "other").await;
    assert_eq!(
        bed.store.claim("worker", 60_000, &mut room).await.unwrap()[0].job.id,
        one
    );
}

async fn what_people_wait_for_goes_before_clean_up_and_what_is_older_before_what_is_newer(bed: Bed) {
    let prune = enqueue(&bed, "prune-images", "a").await;
    let retire = enqueue(&bed, "retire-instances", "b").await;
    let (stop, deploy) = (
        enqueue(&bed, "stop-service", "c").await,
        enqueue(&bed, "deploy", "d").await,
    );
    let order: Vec<JobId> = claim(&bed, 9).await.iter().map(|claim| claim.job.id).collect();
    assert_eq!(order, [stop, deploy, retire, prune]);
}

async fn no_more_of_a_kind_run_at_once_than_may_however_many_processes_claim(bed: Bed) {
    let at_once = store::kinds::Kind::of("prune-images").at_once.unwrap();
    for number in 0..12 {
        enqueue(&bed, "prune-images", &format!("prune-{number}")).await;
        enqueue(&bed, "retire-instances", &format!("retire-{number}")).await;
    }
    let stores = [bed.another().await, bed.another().await];
    let claims: Vec<_> = (0..8)
        .map(|worker| {
            let store = stores[worker % 2].clone();
            tokio::spawn(async move { store.claim_jobs(&format!("worker-{worker}"), 60_000, 24).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for claiming in claims {
        taken.extend(claiming.await.unwrap());
    }
    taken.extend(claim(&bed, 24).await);
    let of = |name: &str| taken.iter().filter(|claim| claim.job.name == name).count() as i64;
    assert_eq!((of("prune-images"), of("retire-instances")), (at_once, 12));
    let one = taken.iter().find(|claim| claim.job.name == "prune-images").unwrap();
    bed.store.finish_job(one, None).await.unwrap();
    assert_eq!(claim(&bed, 24).await.len(), 1);
}

async fn a_job_that_keeps_failing_is_stuck_until_someone_asks_for_it_again(bed: Bed) {
    let id = enqueue(&bed, "deploy", "key").await;
    let why = away();
    for failures in 0..3 {
        let taken = claim(&bed, 1).await.remove(0);
        assert_eq!(taken.job.failures, failures);
        let (step, stuck) = (Some("build"), failures == 2);
        let after_ms = if stuck { 200_000 } else { 0 };
        let later = Later {
            why: &why,
            after_ms,
            step,
            stuck,
        };
        bed.store.try_later(&taken, &later).await.unwrap();
    }
    let job = bed.store.job(bed.organization, id).await.unwrap();
    assert_eq!(
        (job.status.as_str(), job.step.as_deref(), job.failures),
        ("stuck", Some("build"), 3)
    );
    assert!(job.failing_since_ms.is_some_and(|since| since <= store::now_ms()));
    assert_eq!(
        bed.store
            .find_jobs(bed.organization, "", "stuck", "~", 9)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        bed.store
            .find_jobs(bed.organization, "", "waiting", "~", 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        bed.store
            .find_jobs(bed.organization, "stop-service", "", "~", 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(claim(&bed, 1).await, [], "not before its time");

    let stranger = bed.store.ensure_organization("stranger").await.unwrap();
    assert!(matches!(
        bed.store.retry_job(stranger, id).await,
        Err(Error::Missing { .. })
    ));
    assert!(bed.store.retry_job(bed.organization, id).await.unwrap());
    assert!(
        !bed.store.retry_job(bed.organization, id).await.unwrap(),
        "it waits, and is not stuck any more"
    );
    let again = claim(&bed, 1).await.remove(0);
    assert_eq!((again.job.attempt, again.job.failures), (4, 0));
}

/// The clock was an hour ahead when the job was put back.
async fn a_job_does_not_wait_for_a_time_that_a_clock_set_back_has_moved_far_away(bed: Bed) {
    let id = enqueue(&bed, "stop-service", "key").await;
    let taken = claim(&bed, 1).await.remove(0);
    let why = away();
    let later = Later {
        why: &why,
        after_ms: 3_600_000,
        step: None,
        stuck: false,
    };
    bed.store.try_later(&taken, &later).await.unwrap();
    assert_eq!(claim(&bed, 1).await[0].job.id, id);
}

async fn a_dead_job_stands_in_nobodys_way_and_goes_on_when_it_is_asked_for_again(bed: Bed) {
    let (first, second) = (
        enqueue(&bed, "deploy", "key").await,
        enqueue(&bed, "deploy", "key").await,
    );
    let taken = claim(&bed, 9).await.remove(0);
    bed.store
        .write_journal(&taken, "build", StepState::Done, None)
        .await
        .unwrap();
    store::transaction!(bed.store, |write| {
        write.bury_job(&taken, &away(), Some("release")).await?
    })
    .unwrap();
    assert!(matches!(
        bed.store.finish_job(&taken, None).await,
        Err(Error::LeaseLost(_))
    ));
    let dead = bed.store.job(bed.organization, first).await.unwrap();
    assert_eq!(
        (dead.status.as_str(), dead.step.as_deref(), dead.reason),
        ("dead", Some("release"), Some(away()))
    );
    assert_eq!(bed.store.forget_jobs(i64::MAX).await.unwrap(), 0, "it is kept");
    let next = claim(&bed, 9).await.remove(0);
    assert_eq!(next.job.id, second);
    bed.store.finish_job(&next, None).await.unwrap();

    assert!(bed.store.retry_job(bed.organization, first).await.unwrap());
    let again = claim(&bed, 9).await.remove(0);
    assert_eq!((again.job.id, again.job.attempt), (first, 2));
    assert_eq!(bed.store.journal(first).await.unwrap().len(), 1, "its journal is there");
    store::transaction!(bed.store, |write| { write.bury_job(&again, &away(), None).await? }).unwrap();
    assert_eq!(bed.store.forget_dead_jobs(i64::MAX).await.unwrap(), 1);
}

async fn two_jobs_of_one_key_never_run_at_once_when_an_earlier_one_comes_back(bed: Bed) {
    let (first, second) = (
        enqueue(&bed, "deploy", "key").await,
        enqueue(&bed, "deploy", "key").await,
    );
    for _ in 0..10 {
        let taken = claim(&bed, 9).await.remove(0);
        assert_eq!(taken.job.id, first);
        store::transaction!(bed.store, |write| { write.bury_job(&taken, &away(), None).await? }).unwrap();
        // One sees only the second one, one both.
        let stores = [bed.another().await, bed.another().await];
        let one = stores[0].clone();
        let early = tokio::spawn(async move { one.claim_jobs("early", 60_000, 9).await.unwrap() });
        assert!(bed.store.retry_job(bed.organization, first).await.unwrap());
        let mut taken = stores[1].claim_jobs("late", 60_000, 9).await.unwrap();
        taken.extend(early.await.unwrap());
        assert!(taken.len() <= 1, "{taken:?}");
        for claim in taken {
            bed.store.put_back(&claim, &away(), 0).await.unwrap();
        }
    }
    assert_eq!(status(&bed, second).await, "waiting");
}

async fn what_is_scheduled_is_enqueued_once_however_many_look(bed: Bed) {
    bed.store.schedule("cleanup", 3_600_000).await.unwrap();
    bed.store.schedule("cleanup", 3_600_000).await.unwrap();
    let stores = [bed.another().await, bed.another().await];
    let looks: Vec<_> = (0..8)
        .map(|worker| {
            let store = stores[worker % 2].clone();
            tokio::spawn(async move { store.enqueue_scheduled().await.unwrap() })
        })
        .collect();
    let mut enqueued = 0;
    for look in looks {
        enqueued += look.await.unwrap();
    }
    assert_eq!(enqueued, 1);
    let taken = claim(&bed, 9).await;
    assert_eq!(taken.len(), 1);
    // Its time comes again while it runs: it is not enqueued beside itself, and what was missed is not made up for.
    bed.run("UPDATE schedules SET next_at_ms = 5").await;
    assert_eq!(bed.store.enqueue_scheduled().await.unwrap(), 0);
    bed.store.finish_job(&taken[0], None).await.unwrap();
    assert_eq!(
        bed.store.enqueue_scheduled().await.unwrap(),
        0,
        "the time that was missed is over"
    );
    bed.run("UPDATE schedules SET next_at_ms = 5").await;
    assert_eq!(bed.store.enqueue_scheduled().await.unwrap(), 1);
    assert_eq!(
        bed.store.jobs(bed.organization, "~", 9).await.unwrap(),
        [],
        "it is nobody's but the installation's"
    );
}

async fn the_figures_say_what_waits_and_since_when_it_could_have_been_done(bed: Bed) {
    assert!(bed.store.queue().await.unwrap().is_empty());
    let before = store::now_ms();
    for key in ["one", "one", "other"] {
        enqueue(&bed, "deploy", key).await;
    }
    let taken = claim(&bed, 9).await;
    let held = bed.store.queue().await.unwrap()["deploy"].clone();
    assert_eq!(
        (held.waiting, held.running, held.due_since_ms),
        (1, 2, None),
        "who waits for another one is not late"
    );
    let first = taken.iter().find(|claim| claim.job.serial_key == "one").unwrap();
    let other = taken.iter().find(|claim| claim.job.serial_key == "other").unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    bed.store.finish_job(first, None).await.unwrap();
    let freed = bed.store.queue().await.unwrap()["deploy"].clone();
    assert!(
        freed.due_since_ms.unwrap() > before,
        "only since the one before it is over"
    );
    let why = away();
    let later = Later {
        why: &why,
        after_ms: 60_000,
        step: None,
        stuck: true,
    };
    bed.store.try_later(other, &later).await.unwrap();
    let next = claim(&bed, 9).await.remove(0);
    store::transaction!(bed.store, |write| { write.bury_job(&next, &away(), None).await? }).unwrap();
    let figures = bed.store.queue().await.unwrap()["deploy"].clone();
    assert_eq!(
        (figures.waiting, figures.running, figures.stuck, figures.dead),
        (0, 0, 1, 1)
    );
    assert_eq!(figures.due_since_ms, None);
}

async fn a_job_that_a_clock_set_back_has_moved_far_away_counts_as_due(bed: Bed) {
    let id = enqueue(&bed, "deploy", "key").await;
    let made = bed.store.job(bed.organization, id).await.unwrap().created_at_ms;
    let far = store::now_ms() + 3_600_000;
    bed.run(&format!("UPDATE jobs SET run_after_ms = {far}, due_at_ms = {far}"))
        .await;
    // Nobody knows since when it is due; it is as old as it can be.
    assert_eq!(bed.store.queue().await.unwrap()["deploy"].due_since_ms, Some(made));
    // It was made before the clock was set back as well.
    bed.run(&format!("UPDATE jobs SET created_at_ms = {far}")).await;
    let due = bed.store.queue().await.unwrap()["deploy"].due_since_ms.unwrap();
    assert!((made..far).contains(&due), "{due}");
    // A pause, and no clock.
    let soon = store::now_ms() + 200_000;
    bed.run(&format!("UPDATE jobs SET run_after_ms = {soon}, due_at_ms = {soon}"))
        .await;
    assert_eq!(bed.store.queue().await.unwrap()["deploy"].due_since_ms, None);
}

/// What claims cost where 1,000 jobs are over and as many wait, and where ten times as many do, in the blocks that
/// PostgreSQL reads. (MariaDB counts for the whole server, where other tests run, and SQLite not at all: there the plans
/// are looked at, in `statements`.)
async fn claiming_reads_no_more_however_many_jobs_are_over_and_wait(bed: Bed) {
    let sql = "SELECT (COALESCE(SUM(idx_blks_hit + idx_blks_read), 0) + COALESCE(SUM(heap_blks_hit + heap_blks_read), 0)) \
        ::bigint::text FROM pg_statio_user_tables WHERE relname = 'jobs'";
    let mut costs = Vec::new();
    let mut made = 0;
    for total in [2000, 20_000] {
        let mut rows = Vec::new();
        while made < total {
            let status = if made % 2 == 0 { "done" } else { "waiting" };
            rows.push(format!(
                "('job_{made:032}', '{}', 'deploy', 's', 'key{made}', '{status}', 0, 0, 1, 1)",
                bed.organization
            ));
            made += 1;
        }
        for part in rows.chunks(1000) {
            bed.run(&format!(
                "INSERT INTO jobs (id, organization_id, name, subject, serial_key, status, lease_until_ms, run_after_ms, \
                created_at_ms, finished_at_ms) VALUES {}",
                part.join(", ")
            ))
            .await;
        }
        bed.run("VACUUM ANALYZE jobs").await;
        let read = async || {
            bed.run("SELECT pg_stat_force_next_flush()::text").await;
            bed.run(sql).await[0].parse::<i64>().unwrap()
        };
        let store = bed.another().await;
        let before = read().await;
        let mut claimed = 0;
        while claimed < 20 {
            claimed += store.claim_jobs("worker", 60_000, 1).await.unwrap().len();
        }
        // A session tells its counts when it ends.
        store.close().await;
        let mut after = read().await;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = read().await;
            if now == after && now > before {
                break;
            }
            after = now;
        }
        costs.push(after - before);
    }
    assert!(
        costs[0] > 0 && costs[1] < costs[0] * 4,
        "blocks read by 20 claims: {costs:?}"
    );
}

async fn a_new_job_wakes_other_processes_when_it_is_committed(bed: Bed) {
    let mut wakes = bed.another().await.wakes();
    assert_eq!(wakes.next().await, "", "it begins by looking");
    let mut write = bed.store.write().await.unwrap();
    write.enqueue(bed.organization, "deploy", "key", "key").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), wakes.next()).await;
    assert!(early.is_err(), "nothing is committed yet");
    write.commit().await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(20), wakes.next()).await;
    assert_eq!(heard.unwrap(), "jobs");
}

async fn a_listener_whose_connection_was_cut_listens_again(bed: Bed) {
    let mut wakes = bed.another().await.wakes();
    assert_eq!(wakes.next().await, "");
    bed.run(
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() \
        AND query LIKE 'LISTEN%'",
    )
    .await;
    let heard = tokio::time::timeout(Duration::from_secs(30), wakes.next()).await;
    assert_eq!(heard.unwrap(), "", "what was said meanwhile may be missed");
    enqueue(&bed, "deploy", "key").await;
    let heard = tokio::time::timeout(Duration::from_secs(20), wakes.next()).await;
    assert_eq!(heard.unwrap(), "jobs");
}

async fn a_listener_whose_connection_is_half_open_listens_again(bed: Bed) {
    let relay = Relay::to(&bed.place).await;
    let store = relay.store().await;
    let mut wakes = store
        .wakes()
        .doubting_after(Duration::from_millis(300), Duration::from_secs(5));
    assert_eq!(wakes.next().await, "");
    // From here on nothing arrives on the connections that are there, and none of them ends.
    relay.fall_silent();
    enqueue(&bed, "deploy", "one").await;
    let heard = tokio::time::timeout(Duration::from_secs(30), wakes.next()).await;
    assert_eq!(heard.unwrap(), "", "it was doubted, and another one begun");
    enqueue(&bed, "deploy", "other").await;
    let heard = tokio::time::timeout(Duration::from_secs(30), wakes.next())
        .await
        .unwrap();
    // A machine that is too busy to answer in time may be doubted once more.
    assert!(heard == "jobs" || heard.is_empty(), "{heard}");
}
