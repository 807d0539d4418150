//! A way to a server that counts, falls silent, or loses an answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use store::{Location, Store};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use crate::bed::{KEY, Place, open};

/// The way to the server.
pub(crate) struct Relay {
    here: SocketAddr,
    place: Arc<Place>,
    state: Arc<State>,
    relaying: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// How often somebody went to the server and waited for an answer, signs of life apart.
    trips: AtomicUsize,
    /// The connections that there were, and how many of the first of them are silent.
    made: AtomicUsize,
    silent: AtomicUsize,
    /// The answer to the next commit is lost, and the connection with it.
    loses_commit: AtomicBool,
}

/// Host and port of the server, and the address with a place for another port.
pub(crate) fn server_of(place: &Place) -> (String, String) {
    let url = place.url();
    let (before, rest) = url.rsplit_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    (server.to_owned(), format!("{before}@HERE/{database}"))
}

impl Relay {
    pub(crate) async fn to(place: &Arc<Place>) -> Self {
        let (server, _) = server_of(place);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let relaying = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let way = Arc::new(Way {
                    number: shared.made.fetch_add(1, SeqCst),
                    state: Arc::clone(&shared),
                    answered: AtomicBool::new(true),
                    loses_answer: AtomicBool::new(false),
                });
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(Arc::clone(&way).ask(from_client, to_server));
                tokio::spawn(way.answer(from_server, to_client));
            }
        });
        Self {
            here,
            place: Arc::clone(place),
            state,
            relaying,
        }
    }

    /// The database as whoever takes this way opens it.
    pub(crate) async fn store(&self) -> Store {
        let (_, address) = server_of(&self.place);
        let location: Location = address.replace("HERE", &self.here.to_string()).parse().unwrap();
        open(&location, KEY).await.unwrap()
    }

    pub(crate) fn trips(&self) -> usize {
        self.state.trips.load(SeqCst)
    }

    /// Nothing arrives on the connections that there are, and none of them ends. New ones are as they should be.
    pub(crate) fn fall_silent(&self) {
        self.state.silent.store(self.state.made.load(SeqCst), SeqCst);
    }

    pub(crate) fn lose_answer_to_commit(&self) {
        self.state.loses_commit.store(true, SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.relaying.abort();
    }
}

/// One connection.
struct Way {
    number: usize,
    state: Arc<State>,
    answered: AtomicBool,
    loses_answer: AtomicBool,
}

impl Way {
    fn is_silent(&self) -> bool {
        self.number < self.state.silent.load(SeqCst)
    }

    async fn ask(self: Arc<Self>, mut client: OwnedReadHalf, mut server: OwnedWriteHalf) {
        // PostgreSQL's `Sync` and MariaDB's `Ping`, each alone.
        const SIGNS_OF_LIFE: [&[u8]; 2] = [&[b'S', 0, 0, 0, 4], &[1, 0, 0, 0, 14]];
        let mut bytes = [0; 16_384];
        while let Ok(number @ 1..) = client.read(&mut bytes).await {
            let asked = &bytes[..number];
            if self.is_silent() {
                continue;
            }
            if self.answered.swap(false, SeqCst) && !SIGNS_OF_LIFE.contains(&asked) {
                self.state.trips.fetch_add(1, SeqCst);
            }
            let is_commit = [&b"COMMIT\0"[..], b"COMMIT"].iter().any(|end| asked.ends_with(end));
            if is_commit && self.state.loses_commit.swap(false, SeqCst) {
                self.loses_answer.store(true, SeqCst);
            }
            if server.write_all(asked).await.is_err() {
                return;
            }
        }
    }

    async fn answer(self: Arc<Self>, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
        let mut bytes = [0; 16_384];
        while let Ok(number @ 1..) = server.read(&mut bytes).await {
            if self.is_silent() {
                continue;
            }
            self.answered.store(true, SeqCst);
            // The client hears that the connection has ended, and nothing else.
            if self.loses_answer.load(SeqCst) || client.write_all(&bytes[..number]).await.is_err() {
                return;
            }
        }
        if self.is_silent() {
            std::future::pending::<()>().await;
        }
    }
}
