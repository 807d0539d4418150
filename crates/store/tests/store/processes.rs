//! Several processes of one database: who does what for all, who goes on with what, and how they tell each other.

use std::{collections::BTreeSet, time::Duration};

use store::processes::Process;

use crate::bed::Bed;

crate::bed::promises!(
    a_lease_has_one_owner_however_many_ask_at_once,
    a_lease_is_taken_from_one_that_stands_still_and_not_from_one_that_lives,
    a_job_that_is_handed_over_is_taken_at_once_and_known_for_it,
    processes_are_known_while_they_live,
    an_orphan_keeps_the_time_when_it_was_noticed_first,
);
crate::bed::promises!(on postgresql: what_one_process_says_the_others_hear);
mod mariadb_too {
    crate::bed::promises!(on mariadb: what_one_process_says_the_others_hear);
    use super::what_one_process_says_the_others_hear;
}

async fn a_lease_has_one_owner_however_many_ask_at_once(bed: Bed) {
    for round in 0..5 {
        let name = format!("output-{round}");
        let mut asking = Vec::new();
        for number in 0..8 {
            let (store, name) = (bed.store.clone(), name.clone());
            asking.push(tokio::spawn(async move {
                store.take_lease(&name, &format!("p{number}"), None).await.unwrap()
            }));
        }
        let mut owners = 0;
        for one in asking {
            owners += usize::from(one.await.unwrap());
        }
        assert_eq!(owners, 1);
        // The owner itself is no exception: it may ask twice at once.
        let lease = bed.store.lease(&name).await.unwrap().unwrap();
        assert!(!bed.store.take_lease(&name, &lease.owner, None).await.unwrap());
    }
}

async fn a_lease_is_taken_from_one_that_stands_still_and_not_from_one_that_lives(bed: Bed) {
    let store = &bed.store;
    assert_eq!(store.lease("output").await.unwrap(), None);
    assert!(store.take_lease("output", "a", None).await.unwrap());
    let seen = store.lease("output").await.unwrap().unwrap();
    assert!(store.beat_lease("output", "a").await.unwrap());
    assert!(!store.take_lease("output", "b", Some(&seen)).await.unwrap(), "it lives");
    let seen = store.lease("output").await.unwrap().unwrap();
    assert!(store.take_lease("output", "b", Some(&seen)).await.unwrap());
    assert!(
        !store.take_lease("output", "c", Some(&seen)).await.unwrap(),
        "one is quicker"
    );
    // The one that was frozen hears that it is not the owner, and takes nothing along.
    assert!(!store.beat_lease("output", "a").await.unwrap());
    store.let_lease_go("output", "a").await.unwrap();
    store.let_leases_go("a").await.unwrap();
    assert_eq!(store.leases().await.unwrap(), [("output".to_owned(), "b".to_owned())]);
    store.let_leases_go("b").await.unwrap();
    assert!(store.take_lease("output", "c", None).await.unwrap());
}

async fn a_job_that_is_handed_over_is_taken_at_once_and_known_for_it(bed: Bed) {
    let organization = bed.organization;
    for key in ["a", "b"] {
        store::transaction!(bed.store, |write| {
            write.enqueue(organization, "deploy", key, key).await?
        })
        .unwrap();
    }
    let first = bed.store.claim_jobs("stopping", 60_000, 1).await.unwrap().remove(0);
    let beside = bed.store.claim_jobs("other", 60_000, 1).await.unwrap().remove(0);
    assert!(!first.handed_over && !beside.handed_over);
    assert!(bed.store.claim_jobs("next", 60_000, 9).await.unwrap().is_empty());
    assert_eq!(bed.store.hand_over("stopping").await.unwrap(), 1);
    let mut taken = bed.store.claim_jobs("next", 60_000, 9).await.unwrap();
    let taken = taken.pop().unwrap();
    assert_eq!(taken.job.id, first.job.id);
    assert!(taken.handed_over && taken.job.attempt == first.job.attempt + 1);
    assert!(
        !bed.store.renew_lease(&first, 60_000).await.unwrap(),
        "it is another one's"
    );
    // It is said of the one that stopped, and not of those that come later and die.
    assert!(bed.store.renew_lease(&taken, -1).await.unwrap());
    let later = bed.store.claim_jobs("last", 60_000, 9).await.unwrap().remove(0);
    assert!(later.job.id == first.job.id && !later.handed_over);
}

async fn processes_are_known_while_they_live(bed: Bed) {
    let process = |id: &str, started_at_ms| Process {
        id: id.to_owned(),
        role: "worker".to_owned(),
        host: "here".to_owned(),
        version: "1".to_owned(),
        started_at_ms,
        seen_at_ms: 0,
    };
    let store = &bed.store;
    store.see_process(&process("b", 2)).await.unwrap();
    store.see_process(&process("a", 1)).await.unwrap();
    store.see_process(&process("a", 1)).await.unwrap();
    let known = store.processes().await.unwrap();
    let ids: Vec<&str> = known.iter().map(|process| process.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(known.iter().all(|process| process.seen_at_ms > 0));
    store.forget_process("a").await.unwrap();
    assert_eq!(store.processes().await.unwrap().len(), 1);
    // One that was killed long ago is forgotten when another one comes.
    bed.run("UPDATE processes SET seen_at_ms = 5").await;
    store.see_process(&process("c", 3)).await.unwrap();
    assert_eq!(store.processes().await.unwrap()[0].id, "c");
}

async fn an_orphan_keeps_the_time_when_it_was_noticed_first(bed: Bed) {
    let look = async |names: &[&str], now_ms| {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        bed.store.forget_orphans("network", &names).await.unwrap();
        let mut noticed: Vec<(String, i64)> = bed
            .store
            .notice_orphans("network", &names, now_ms)
            .await
            .unwrap()
            .into_iter()
            .collect();
        noticed.sort();
        noticed
    };
    let times = |all: &[(&str, i64)]| -> Vec<(String, i64)> {
        all.iter().map(|(name, since)| ((*name).to_owned(), *since)).collect()
    };
    assert_eq!(look(&["b", "a"], 100).await, times(&[("a", 100), ("b", 100)]));
    assert_eq!(look(&["a"], 130).await, times(&[("a", 100)]));
    // It was owned in between.
    assert_eq!(look(&["a", "b"], 150).await, times(&[("a", 100), ("b", 150)]));
    // Another kind's names are its own.
    let nothing = bed
        .store
        .notice_orphans("instance", &BTreeSet::new(), 155)
        .await
        .unwrap();
    assert!(nothing.is_empty());
    assert_eq!(look(&["b"], 300).await, times(&[("b", 150)]));
}

async fn what_one_process_says_the_others_hear(bed: Bed) {
    let mut wakes = bed.another().await.wakes();
    let next = async |wakes: &mut store::Wakes| {
        let heard = tokio::time::timeout(Duration::from_secs(30), wakes.next()).await;
        heard.expect("it was said")
    };
    assert_eq!(next(&mut wakes).await, "", "it begins by looking");
    bed.store.send(["cancel"]).await.unwrap();
    assert_eq!(next(&mut wakes).await, "cancel");
    bed.store.send(["change run svc_1", "change run svc_1"]).await.unwrap();
    assert!(next(&mut wakes).await.starts_with("change"));
}
