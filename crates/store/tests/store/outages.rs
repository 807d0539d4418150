//! A server that goes away and comes back: writes are refused meanwhile, and go on afterwards by themselves.

use std::sync::Arc;

use store::{Error, Location, Store, seal::Sealer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::bed::{Bed, KEY, Place};

crate::bed::promises!(on postgresql: a_pool_survives_that_its_server_is_away_for_a_while, a_server_that_ends_every_connection_is_asked_again);
mod mariadb_too {
    crate::bed::promises!(on mariadb: a_pool_survives_that_its_server_is_away_for_a_while, a_server_that_ends_every_connection_is_asked_again);
    use super::{
        a_pool_survives_that_its_server_is_away_for_a_while, a_server_that_ends_every_connection_is_asked_again,
    };
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

/// Host and port of the server, and the address with a place for another port.
fn server_of(place: &Place) -> (String, String) {
    let url = place.url();
    let (before, rest) = url.rsplit_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    (server.to_owned(), format!("{before}@HERE/{database}"))
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
    let store = Arc::new(bed.store.clone());
    store.update_service(&service).await.unwrap();
    assert_eq!(
        store.service(bed.organization, service.id).await.unwrap().version,
        service.version + 1
    );
}
