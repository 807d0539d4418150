//! Jobs: each is done once, in its order, by whoever holds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{JobId, Reason};
use store::{
    Error, Store,
    jobs::{Claim, StepState},
};

use crate::bed::Bed;

crate::bed::promises!(
    sixteen_workers_of_two_processes_take_each_of_500_jobs_once,
    jobs_of_one_key_are_done_one_after_the_other_in_their_order,
    a_worker_whose_lease_ended_and_whose_job_was_taken_can_change_nothing,
    even_the_same_worker_does_not_hold_a_job_that_it_took_twice,
    a_job_that_is_over_is_not_taken_by_a_worker_that_saw_it_before,
    a_waiting_job_that_is_cancelled_is_not_taken_by_a_worker_that_saw_it_before,
    a_job_that_was_begun_is_no_waiting_one_even_when_it_was_put_back,
    a_platform_that_starts_again_takes_over_what_the_dead_one_held,
    the_journal_keeps_its_order_and_what_was_made,
    only_jobs_that_are_over_are_forgotten,
    a_write_that_is_dropped_or_whose_task_is_killed_never_was,
);

async fn enqueue(bed: &Bed, name: &str, key: &str) -> JobId {
    let mut write = bed.store.write().await.unwrap();
    let id = write.enqueue(bed.organization, name, key, key).await.unwrap();
    write.commit().await.unwrap();
    id
}

async fn claim_one(store: &Store, owner: &str, lease_ms: i64) -> Claim {
    let mut claims = store.claim_jobs(owner, lease_ms, 1).await.unwrap();
    assert_eq!(claims.len(), 1);
    claims.remove(0)
}

async fn sixteen_workers_of_two_processes_take_each_of_500_jobs_once(bed: Bed) {
    for number in 0..500 {
        enqueue(&bed, "work", &format!("key-{number}")).await;
    }
    let done = Arc::new(Mutex::new(Vec::new()));
    let stores = [bed.store.clone(), bed.another().await];
    let workers: Vec<_> = (0..16)
        .map(|worker| {
            let (store, done) = (stores[worker % 2].clone(), Arc::clone(&done));
            tokio::spawn(async move {
                loop {
                    let claims = store.claim_jobs(&format!("worker-{worker}"), 60_000, 7).await.unwrap();
                    if claims.is_empty() && done.lock().unwrap().len() >= 500 {
                        return;
                    }
                    for claim in claims {
                        done.lock().unwrap().push(claim.job.id);
                        store.finish_job(&claim, None).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let done = done.lock().unwrap();
    assert_eq!(done.len(), 500);
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), 500);
}

async fn jobs_of_one_key_are_done_one_after_the_other_in_their_order(bed: Bed) {
    let mut made = BTreeMap::<String, Vec<JobId>>::new();
    for number in 0..120 {
        let key = format!("key-{}", number % 5);
        made.entry(key.clone())
            .or_default()
            .push(enqueue(&bed, "work", &key).await);
    }
    let done = Arc::new(Mutex::new(BTreeMap::<String, Vec<JobId>>::new()));
    let busy = Arc::new(Mutex::new(BTreeSet::new()));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (store, done, busy) = (bed.store.clone(), Arc::clone(&done), Arc::clone(&busy));
            tokio::spawn(async move {
                while done.lock().unwrap().values().map(Vec::len).sum::<usize>() < 120 {
                    for claim in store.claim_jobs(&format!("worker-{worker}"), 60_000, 3).await.unwrap() {
                        let key = claim.job.subject.clone();
                        assert!(busy.lock().unwrap().insert(key.clone()), "two jobs of {key} at once");
                        tokio::task::yield_now().await;
                        done.lock().unwrap().entry(key.clone()).or_default().push(claim.job.id);
                        busy.lock().unwrap().remove(&key);
                        store.finish_job(&claim, None).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(*done.lock().unwrap(), made);
}

async fn a_worker_whose_lease_ended_and_whose_job_was_taken_can_change_nothing(bed: Bed) {
    enqueue(&bed, "work", "key").await;
    let slow = claim_one(&bed.store, "slow", 0).await;
    let quick = claim_one(&bed.another().await, "quick", 60_000).await;
    assert_eq!((slow.job.attempt, quick.job.attempt), (1, 2));
    let reason = Reason::new("late", "too late", "");
    let lost = |end: Result<(), Error>| assert!(matches!(end, Err(Error::LeaseLost(_))), "{end:?}");
    lost(bed.store.finish_job(&slow, None).await);
    lost(bed.store.put_back(&slow, &reason, 0).await);
    lost(bed.store.write_journal(&slow, "step", StepState::Done, None).await);
    let mut write = bed.store.write().await.unwrap();
    lost(write.require_lease(&slow).await);
    lost(write.finish_job(&slow, None).await);
    drop(write);
    assert!(!bed.store.renew_lease(&slow, 60_000).await.unwrap());
    assert_eq!(bed.store.journal(slow.job.id).await.unwrap(), []);

    assert!(bed.store.renew_lease(&quick, 60_000).await.unwrap());
    bed.store.finish_job(&quick, None).await.unwrap();
    lost(bed.store.finish_job(&quick, None).await);
}

async fn even_the_same_worker_does_not_hold_a_job_that_it_took_twice(bed: Bed) {
    enqueue(&bed, "work", "key").await;
    let first = claim_one(&bed.store, "worker", 0).await;
    let second = claim_one(&bed.store, "worker", 60_000).await;
    assert!(matches!(
        bed.store.finish_job(&first, None).await,
        Err(Error::LeaseLost(_))
    ));
    bed.store.finish_job(&second, None).await.unwrap();
}

async fn a_job_that_is_over_is_not_taken_by_a_worker_that_saw_it_before(bed: Bed) {
    let waiting = enqueue(&bed, "work", "waiting").await;
    let expired = enqueue(&bed, "work", "expired").await;
    // Both are held with a lease that ends at once; the holder does not know that of the second one.
    let holder = bed.store.claim_jobs("holder", 0, 2).await.unwrap().remove(1);
    assert_eq!(holder.job.id, expired);
    let late = bed.another().await;
    let mut write = bed.store.write().await.unwrap();
    write.finish_job(&holder, None).await.unwrap();
    // It sees both as its own, and waits for the one who writes.
    let claiming = tokio::spawn(async move { late.claim_jobs("late", 60_000, 10).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    write.commit().await.unwrap();
    let taken: Vec<JobId> = claiming
        .await
        .unwrap()
        .unwrap()
        .iter()
        .map(|claim| claim.job.id)
        .collect();
    assert_eq!(taken, [waiting]);
    assert_eq!(bed.store.job(bed.organization, expired).await.unwrap().status, "done");
}

async fn a_waiting_job_that_is_cancelled_is_not_taken_by_a_worker_that_saw_it_before(bed: Bed) {
    let id = enqueue(&bed, "work", "key").await;
    let late = bed.another().await;
    let mut write = bed.store.write().await.unwrap();
    assert!(write.cancel_waiting("work", "key").await.unwrap());
    assert!(!write.cancel_waiting("work", "key").await.unwrap(), "once");
    let claiming = tokio::spawn(async move { late.claim_jobs("late", 60_000, 10).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    write.commit().await.unwrap();
    assert_eq!(claiming.await.unwrap().unwrap(), []);
    assert_eq!(bed.store.job(bed.organization, id).await.unwrap().status, "done");
}

async fn a_job_that_was_begun_is_no_waiting_one_even_when_it_was_put_back(bed: Bed) {
    enqueue(&bed, "work", "key").await;
    let claim = claim_one(&bed.store, "worker", 60_000).await;
    bed.store
        .put_back(&claim, &Reason::new("away", "away", ""), 60_000)
        .await
        .unwrap();
    assert_eq!(
        bed.store.claim_jobs("worker", 60_000, 10).await.unwrap(),
        [],
        "not before its time"
    );
    let mut write = bed.store.write().await.unwrap();
    assert!(!write.cancel_waiting("work", "key").await.unwrap());
    drop(write);
    assert!(
        bed.store
            .next_job_at()
            .await
            .unwrap()
            .is_some_and(|at| at > store::now_ms())
    );
    assert_eq!(bed.store.unfinished_jobs_of("key").await.unwrap(), 1);
}

async fn a_platform_that_starts_again_takes_over_what_the_dead_one_held(bed: Bed) {
    enqueue(&bed, "work", "key").await;
    let dead = claim_one(&bed.store, "dead", 600_000).await;
    assert_eq!(bed.store.claim_jobs("new", 60_000, 1).await.unwrap(), []);
    assert_eq!(bed.store.release_all_leases().await.unwrap(), 1);
    let new = claim_one(&bed.store, "new", 60_000).await;
    assert_eq!(new.job.id, dead.job.id);
    assert!(matches!(
        bed.store.finish_job(&dead, None).await,
        Err(Error::LeaseLost(_))
    ));
}

async fn the_journal_keeps_its_order_and_what_was_made(bed: Bed) {
    enqueue(&bed, "work", "key").await;
    let claim = claim_one(&bed.store, "worker", 60_000).await;
    let made = serde_json::json!({ "image": "app:1" });
    for (step, state, made) in [
        ("second", StepState::Started, None),
        ("first", StepState::Started, None),
        ("second", StepState::Done, Some(&made)),
        ("second", StepState::Undone, None),
    ] {
        bed.store.write_journal(&claim, step, state, made).await.unwrap();
    }
    let journal = bed.store.journal(claim.job.id).await.unwrap();
    let told: Vec<_> = journal
        .iter()
        .map(|entry| (entry.step.as_str(), entry.state, entry.made.as_ref()))
        .collect();
    assert_eq!(
        told,
        [
            ("second", StepState::Undone, Some(&made)),
            ("first", StepState::Started, None)
        ]
    );
}

async fn only_jobs_that_are_over_are_forgotten(bed: Bed) {
    let (over, waiting) = (
        enqueue(&bed, "work", "over").await,
        enqueue(&bed, "work", "waiting").await,
    );
    let claim = claim_one(&bed.store, "worker", 60_000).await;
    assert_eq!(claim.job.id, over);
    bed.store
        .finish_job(&claim, Some(&Reason::new("no", "no", "")))
        .await
        .unwrap();
    assert_eq!(bed.store.forget_jobs(0).await.unwrap(), 0);
    assert_eq!(bed.store.forget_jobs(i64::MAX).await.unwrap(), 1);
    let left: Vec<JobId> = bed
        .store
        .jobs(bed.organization, "~", 10)
        .await
        .unwrap()
        .iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(left, [waiting]);
}

async fn a_write_that_is_dropped_or_whose_task_is_killed_never_was(bed: Bed) {
    let service = bed.service("web").await;
    let new = crate::bed::new_deployment(&service, &[]);
    let mut write = bed.store.write().await.unwrap();
    write.insert_deployment(&bed.store, &new).await.unwrap();
    write
        .enqueue(bed.organization, "deploy", &new.id.to_string(), "key")
        .await
        .unwrap();
    drop(write);

    let (store, organization) = (bed.store.clone(), bed.organization);
    let (began, begun) = tokio::sync::oneshot::channel();
    let killed = tokio::spawn(async move {
        let mut write = store.write().await.unwrap();
        write.enqueue(organization, "work", "key", "key").await.unwrap();
        began.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    begun.await.unwrap();
    killed.abort();
    let _ = killed.await;

    // The next one waits for nothing, and finds nothing.
    assert_eq!(
        bed.deployment(&service, &[]).await,
        bed.store.deployments(service.id, 99, 9).await.unwrap()[0].id
    );
    assert_eq!(bed.store.any_deployment(new.id).await.unwrap(), None);
    assert_eq!(
        bed.store.deployments(service.id, 99, 9).await.unwrap()[0].number,
        1,
        "no number is lost"
    );
    assert_eq!(bed.store.jobs(bed.organization, "~", 10).await.unwrap(), []);
}
