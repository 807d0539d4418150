//! The door before a server's connections. Whoever finds the server away closes it; while it is closed, one look at a time
//! goes to the server, and everybody else hears after a second that it is away, instead of waiting for a connection for
//! as long as a pool does. The first answer opens it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Connection, Database, pool::PoolConnection};
use tokio::{sync::watch, time::timeout};

use crate::{Error, Result};

/// How long an answer is waited for. The server ends a statement before (see `pool`); this is for a server, or a way to
/// it, that is gone without a word.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a sign of life is waited for. A connection without one is closed.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a closed door is waited at.
const WAIT: Duration = Duration::from_secs(1);
/// How long a look at a server that is away may take.
const LOOK: Duration = Duration::from_secs(3);

/// Ends of connections by the server itself: shut down by an operator, crashed, not yet begun.
const POSTGRES_LOST: [&str; 3] = ["57P01", "57P02", "57P03"];
/// The same of MariaDB: shutting down, killed.
const MARIADB_LOST: [u16; 2] = [1053, 1927];

/// Something behind a door: connections, or a transaction on one of them.
#[derive(Clone)]
pub(crate) struct Behind<T> {
    pub(super) inner: T,
    pub(super) door: Arc<Door>,
}

impl<T> Behind<T> {
    pub(super) fn new(inner: T, door: &Arc<Door>) -> Self {
        let door = Arc::clone(door);
        Self { inner, door }
    }
}

/// A door.
pub(crate) struct Door {
    open: watch::Sender<bool>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// A look is on its way.
    looking: bool,
    /// When the server was found away the last time.
    lost: Option<Instant>,
}

impl Door {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: watch::Sender::new(true),
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        self.seen().lost = Some(Instant::now());
        self.open.send_if_modified(|open| std::mem::replace(open, false));
    }

    fn open(&self) {
        if self.is_open() {
            return;
        }
        self.open.send_if_modified(|open| !std::mem::replace(open, true));
    }

    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Whether a connection that nobody used for so long is from before the server was found away.
    pub(super) fn doubts(&self, idle: Duration) -> bool {
        self.seen().lost.is_some_and(|lost| lost.elapsed() <= idle)
    }

    /// Waits for the answer to a statement on a connection.
    pub(super) async fn hear<T>(&self, answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => {
                self.open();
                Ok(answer)
            }
            Ok(Err(error)) => {
                if is_lost(&error) {
                    self.close();
                }
                Err(error.into())
            }
            Err(_) => {
                self.close();
                Err(away())
            }
        }
    }

    /// Ends when the server has been away for longer than anybody waits.
    async fn given_up(&self) {
        let mut open = self.open.subscribe();
        loop {
            // Its sender is here.
            let _ = open.wait_for(|open| !open).await;
            if timeout(WAIT, open.wait_for(|open| *open)).await.is_err() {
                return;
            }
        }
    }
}

impl<D: Database> Behind<sqlx::Pool<D>> {
    /// A connection. It may just have been lost.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<D>> {
        self.enter(self.inner.acquire()).await
    }

    /// A connection that answers, for a statement that cannot be sent again when it is lost.
    pub(super) async fn acquire_sure(&self) -> Result<PoolConnection<D>> {
        let mut connection = self.acquire().await?;
        if answers(&mut *connection).await {
            return Ok(connection);
        }
        self.door.close();
        drop(connection);
        self.acquire().await
    }

    /// Begins a transaction.
    pub(super) async fn begin(
        &self,
        beginning: impl Future<Output = sqlx::Result<sqlx::Transaction<'static, D>>>,
    ) -> Result<Behind<sqlx::Transaction<'static, D>>> {
        Ok(Behind::new(self.enter(beginning).await?, &self.door))
    }

    /// Goes through the door to what begins with a connection, and has written nothing when it is broken off.
    async fn enter<T>(&self, beginning: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        self.wait().await?;
        let end = tokio::select! {
            end = timeout(PATIENCE, beginning) => end.unwrap_or(Err(sqlx::Error::PoolTimedOut)),
            () = self.door.given_up() => Err(sqlx::Error::PoolTimedOut),
        };
        match &end {
            Ok(_) => self.door.open(),
            // When all are in use, the server may well be there.
            Err(sqlx::Error::PoolTimedOut) if self.is_full() => {}
            Err(error) if is_lost(error) => self.door.close(),
            Err(_) => {}
        }
        Ok(end?)
    }

    fn is_full(&self) -> bool {
        self.inner.size() >= self.inner.options().get_max_connections()
    }

    /// Waits a moment at a closed door.
    async fn wait(&self) -> Result<()> {
        if self.door.is_open() {
            return Ok(());
        }
        let mut open = self.door.open.subscribe();
        self.look();
        match timeout(WAIT, open.wait_for(|open| *open)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(away()),
        }
    }

    /// Looks whether the server is there again, unless somebody looks already.
    fn look(&self) {
        if std::mem::replace(&mut self.door.seen().looking, true) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            if let Ok(Ok(_)) = timeout(LOOK, this.inner.acquire()).await {
                this.door.open();
            }
            this.door.seen().looking = false;
        });
    }
}

/// Whether somebody is at the other end.
pub(super) async fn answers(connection: &mut impl Connection) -> bool {
    matches!(timeout(ANSWER, connection.ping()).await, Ok(Ok(())))
}

fn away() -> Error {
    Error::Unavailable(sqlx::Error::PoolTimedOut)
}

/// Whether a connection is lost, or was not made.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(database) => {
            if let Some(mariadb) = database.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return MARIADB_LOST.contains(&mariadb.number());
            }
            database
                .code()
                .is_some_and(|code| POSTGRES_LOST.contains(&code.as_ref()))
        }
        _ => false,
    }
}

/// Whether a statement that only reads is to be asked once more, on another connection.
pub(super) fn was_lost(error: &Error) -> bool {
    match error {
        Error::Unavailable(sqlx::Error::PoolTimedOut) => false,
        Error::Unavailable(cause) => is_lost(cause),
        _ => false,
    }
}
