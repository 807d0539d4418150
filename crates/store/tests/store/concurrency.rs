//! Sixteen write at once, and nothing is lost.

use std::sync::Arc;

use domain::JobId;

use crate::bed::{Bed, new_deployment};

crate::bed::promises!(
    sixteen_writers_that_meet_in_both_orders_all_come_to_their_end_and_lose_nothing,
    jobs_of_one_key_become_visible_in_the_order_of_their_ids,
);

/// Each write counts up two services, half of the writers one way round and half the other: on the servers they lock each
/// other out, and are undone and done again.
async fn sixteen_writers_that_meet_in_both_orders_all_come_to_their_end_and_lose_nothing(bed: Bed) {
    if bed.place.is_postgres() {
        // It looks for a deadlock after a second; this many would take a minute.
        let name = bed.run("SELECT current_database()::text").await.remove(0);
        bed.run(&format!("ALTER DATABASE {name} SET deadlock_timeout = '20ms'"))
            .await;
    }
    let services = [bed.service("one").await, bed.service("other").await];
    let stores = [bed.another().await, bed.another().await];
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let store = stores[writer % 2].clone();
            let mut services = services.clone();
            if writer % 4 < 2 {
                services.reverse();
            }
            tokio::spawn(async move {
                for _ in 0..5 {
                    let new = services.each_ref().map(|service| new_deployment(service, &[]));
                    store::transaction!(store, |write| {
                        for one in &new {
                            write.insert_deployment(&store, one).await?;
                        }
                    })
                    .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for service in &services {
        let made = bed.store.deployments(service.id, i64::MAX, 1000).await.unwrap();
        let numbers: Vec<i64> = made.iter().map(|one| one.number).collect();
        assert_eq!(numbers, (1..=80).rev().collect::<Vec<_>>());
    }
}

/// A worker takes the oldest job of a key that it sees. A job that was made before, and is seen only later, would run
/// beside it.
async fn jobs_of_one_key_become_visible_in_the_order_of_their_ids(bed: Bed) {
    let bed = Arc::new(bed);
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move {
                for _ in 0..10 {
                    let mut write = bed.store.write().await.unwrap();
                    write.enqueue(bed.organization, "work", "key", "key").await.unwrap();
                    // Some take long to commit.
                    if writer % 3 == 0 {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                    write.commit().await.unwrap();
                }
            })
        })
        .collect();
    let mut seen = std::collections::BTreeSet::<JobId>::new();
    while seen.len() < 160 {
        let jobs = bed.store.jobs(bed.organization, "~", 1000).await.unwrap();
        let newest_before = seen.last().copied();
        for job in jobs {
            let is_new = seen.insert(job.id);
            assert!(
                !is_new || newest_before.is_none_or(|newest| job.id > newest),
                "{} came late",
                job.id
            );
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
