//! Any number of platforms work on a database of a server, or one restore, and never both.

use std::time::Duration;

use store::Presence;

use crate::bed::Bed;

crate::bed::promises!(on postgresql:
    one_restore_or_any_number_of_platforms_work_on_a_database,
    a_platform_that_lost_its_connection_takes_its_place_again_or_learns_that_it_is_too_late);
crate::bed::promises!(on mariadb:
    one_restore_or_any_number_of_platforms_work_on_a_database,
    a_platform_that_lost_its_connection_takes_its_place_again_or_learns_that_it_is_too_late);

async fn one_restore_or_any_number_of_platforms_work_on_a_database(bed: Bed) {
    let shared = || async { Presence::shared(&bed.location).await.unwrap() };
    let alone = || async { Presence::alone(&bed.location).await.unwrap() };
    let (first, second) = (shared().await.unwrap(), shared().await.unwrap());
    assert!(alone().await.is_none());
    first.end().await;
    assert!(alone().await.is_none());
    second.end().await;
    let restoring = alone().await.unwrap();
    assert!(shared().await.is_none() && alone().await.is_none());
    restoring.end().await;
    shared().await.unwrap().end().await;
}

async fn a_platform_that_lost_its_connection_takes_its_place_again_or_learns_that_it_is_too_late(bed: Bed) {
    const LOOK: Duration = Duration::from_millis(20);
    let cut = || async {
        if bed.place.is_postgres() {
            let others = "datname = current_database() AND pid <> pg_backend_pid()";
            let sql = format!("SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity WHERE {others}");
            bed.run(&sql).await;
        } else {
            let others = "db = DATABASE() AND id <> CONNECTION_ID()";
            let sql = format!("SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE {others}");
            for kill in bed.run(&sql).await {
                bed.run(&kill).await;
            }
        }
    };
    bed.store.close().await;
    let platform = Presence::shared(&bed.location).await.unwrap().unwrap();
    cut().await;
    // It takes its place again when it looks; how soon that is done depends on the machine.
    for left in (0..30).rev() {
        let looks = tokio::time::timeout(Duration::from_secs(1), platform.lost(LOOK)).await;
        assert!(looks.is_err(), "nobody took it meanwhile");
        let Some(taken) = Presence::alone(&bed.location).await.unwrap() else {
            break;
        };
        taken.end().await;
        assert!(left > 0, "it is not held again");
    }
    cut().await;
    let mut taken = Presence::alone(&bed.location).await.unwrap();
    for _ in 0..100 {
        if taken.is_some() {
            break;
        }
        // A server takes a moment to notice that its connection was ended.
        tokio::time::sleep(LOOK).await;
        taken = Presence::alone(&bed.location).await.unwrap();
    }
    let restoring = taken.unwrap();
    tokio::time::timeout(Duration::from_secs(60), platform.lost(LOOK))
        .await
        .unwrap();
    restoring.end().await;
}
