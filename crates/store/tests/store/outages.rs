//! A server that goes away and comes back: writes are refused meanwhile, and go on afterwards by themselves.

use std::time::{Duration, Instant};

use store::{Error, Location, Store, seal::Sealer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    bed::{Bed, KEY},
    relay::{Relay, server_of},
};

crate::bed::promises!(on postgresql:
    a_pool_survives_that_its_server_is_away_for_a_while,
    whoever_asks_a_server_that_is_known_to_be_away_hears_so_soon,
    a_server_that_ends_every_connection_is_asked_again,
    a_connection_whose_peer_has_vanished_leaves_its_place,
    a_transaction_that_was_forgotten_does_not_hold_its_locks,
    a_claim_whose_commit_nobody_heard_of_is_kept,
    a_claim_goes_to_the_server_six_times
);
mod mariadb_too {
    crate::bed::promises!(on mariadb:
        a_pool_survives_that_its_server_is_away_for_a_while,
        whoever_asks_a_server_that_is_known_to_be_away_hears_so_soon,
        a_server_that_ends_every_connection_is_asked_again,
        a_connection_whose_peer_has_vanished_leaves_its_place,
        a_transaction_that_was_forgotten_does_not_hold_its_locks,
        a_claim_whose_commit_nobody_heard_of_is_kept,
        a_claim_goes_to_the_server_six_times
    );
    use super::*;
}

/// The way to the server: taken away, connections to it end and new ones are refused, as when it is started again.
struct Way {
    server: String,
    here: std::net::SocketAddr,
    open: Option<JoinHandle<()>>,
}

impl Way {
    async fn open(server: String, here: &str) -> Self {
        let mut way = Self {
            server,
            here: here.parse().unwrap(),
            open: None,
        };
        way.again().await;
        way
    }

    async fn again(&mut self) {
        let listener = TcpListener::bind(self.here).await.unwrap();
        self.here = listener.local_addr().unwrap();
        let server = self.server.clone();
        self.open = Some(tokio::spawn(async move {
            // They end with it.
            let mut ways = tokio::task::JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let server = server.clone();
                ways.spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        }));
    }

    async fn away(&mut self) {
        let open = self.open.take().unwrap();
        open.abort();
        let _ = open.await;
    }
}

async fn a_pool_survives_that_its_server_is_away_for_a_while(bed: Bed) {
    let service = bed.service("web").await;
    let (server, address) = server_of(&bed.place);
    let mut way = Way::open(server, "127.0.0.1:0").await;
    let location: Location = address.replace("HERE", &way.here.to_string()).parse().unwrap();
    let store = Store::open(&location, Sealer::new(KEY).unwrap()).await.unwrap();
    assert_eq!(store.service(bed.organization, service.id).await.unwrap(), service);
    let mut begun = store.write().await.unwrap();
    begun.enqueue(bed.organization, "work", "lost", "lost").await.unwrap();

    way.away().await;
    let (read, written) = tokio::join!(
        store.service(bed.organization, service.id),
        store.update_service(&service)
    );
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
    assert!(matches!(begun.commit().await, Err(Error::Unavailable(_))));

    way.again().await;
    store.update_service(&service).await.unwrap();
    assert_eq!(
        store.service(bed.organization, service.id).await.unwrap().version,
        service.version + 1
    );
    assert_eq!(
        store.jobs(bed.organization, "~", 10).await.unwrap(),
        [],
        "what was not committed never was"
    );
}

async fn end_every_connection(bed: &Bed) {
    if bed.place.is_postgres() {
        let sql = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(!bed.run(sql).await.is_empty());
    } else {
        let sql = "SELECT CONCAT('KILL ', id) FROM information_schema.processlist \
            WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        let kills = bed.run(sql).await;
        assert!(!kills.is_empty());
        for kill in kills {
            bed.run(&kill).await;
        }
    }
}

async fn a_server_that_ends_every_connection_is_asked_again(bed: Bed) {
    let service = bed.service("web").await;
    let held: Vec<_> = (0..4)
        .map(|_| {
            let store = bed.store.clone();
            tokio::spawn(async move { store.ping().await })
        })
        .collect();
    for one in held {
        one.await.unwrap().unwrap();
    }
    end_every_connection(&bed).await;
    assert_eq!(bed.store.release_all_leases().await.unwrap(), 0);
    end_every_connection(&bed).await;
    bed.store.update_service(&service).await.unwrap();
    end_every_connection(&bed).await;
    assert_eq!(
        bed.store.service(bed.organization, service.id).await.unwrap().version,
        service.version + 1
    );
}

async fn whoever_asks_a_server_that_is_known_to_be_away_hears_so_soon(bed: Bed) {
    let (server, address) = server_of(&bed.place);
    let mut way = Way::open(server, "127.0.0.1:0").await;
    let location: Location = address.replace("HERE", &way.here.to_string()).parse().unwrap();
    let store = Store::open(&location, Sealer::new(KEY).unwrap()).await.unwrap();
    store.ping().await.unwrap();
    way.away().await;
    assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
    let began = Instant::now();
    for _ in 0..3 {
        let (read, written) = tokio::join!(store.ping(), store.release_all_leases());
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
    }
    // Three times the second that each waits, and not the 10 s of a pool.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    way.again().await;
    let mut tries = 0;
    while store.ping().await.is_err() {
        tries += 1;
        assert!(tries < 60, "it is there again, and is not found");
    }
    store.release_all_leases().await.unwrap();
}

/// More than the pool has places are in the middle of a statement when their connections fall silent, and are given up.
async fn a_connection_whose_peer_has_vanished_leaves_its_place(bed: Bed) {
    let relay = Relay::to(&bed.place).await;
    let store = relay.store().await;
    let mut writes = Vec::new();
    for _ in 0..8 {
        writes.push(store.write().await.unwrap());
    }
    relay.fall_silent();
    for mut write in writes {
        let asked = write.enqueue(bed.organization, "work", "key", "key");
        assert!(tokio::time::timeout(Duration::from_millis(50), asked).await.is_err());
    }
    let mut tries = 0;
    while let Err(error) = store.release_all_leases().await {
        tries += 1;
        assert!(
            tries < 30,
            "every place is taken by a connection that leads nowhere: {error}"
        );
    }
}

/// It was begun by a process that was stopped, say.
async fn a_transaction_that_was_forgotten_does_not_hold_its_locks(bed: Bed) {
    let mut forgotten = bed.store.write().await.unwrap();
    forgotten
        .enqueue(bed.organization, "work", "lost", "lost")
        .await
        .unwrap();
    let other = bed.another().await;
    // Whoever waits for the same lock does so for 10 s.
    let mut write = other.write().await.unwrap();
    let kept = write.enqueue(bed.organization, "work", "kept", "kept").await.unwrap();
    write.commit().await.unwrap();
    assert!(matches!(forgotten.commit().await, Err(Error::Unavailable(_))));
    let jobs = bed.store.jobs(bed.organization, "~", 9).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [kept]);
}

async fn enqueue(bed: &Bed, name: &str, key: &str) {
    store::transaction!(bed.store, |write| {
        write.enqueue(bed.organization, name, key, key).await?
    })
    .unwrap();
}

async fn a_claim_whose_commit_nobody_heard_of_is_kept(bed: Bed) {
    enqueue(&bed, "work", "key").await;
    let relay = Relay::to(&bed.place).await;
    let store = relay.store().await;
    relay.lose_answer_to_commit();
    let claims = store.claim_jobs("worker", 600_000, 9).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(
        store.job(bed.organization, claims[0].job.id).await.unwrap(),
        claims[0].job
    );
    store.finish_job(&claims[0], None).await.unwrap();
}

/// The look, the beginning, the job, the locks, what is before it, and the commit.
async fn a_claim_goes_to_the_server_six_times(bed: Bed) {
    let relay = Relay::to(&bed.place).await;
    let store = relay.store().await;
    for name in ["deploy", "remove-service"] {
        for number in 0..8 {
            enqueue(&bed, name, &format!("{name}-{number}")).await;
        }
        let mut trips = Vec::new();
        for _ in 0..8 {
            let before = relay.trips();
            assert_eq!(store.claim_jobs("worker", 600_000, 1).await.unwrap().len(), 1);
            trips.push(relay.trips() - before);
        }
        // A new connection is set up, and learns each statement.
        assert_eq!(trips.iter().min(), Some(&6), "{name}: {trips:?}");
    }
}
