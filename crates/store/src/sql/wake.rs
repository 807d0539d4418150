//! Waking other processes, with words that carry no truth: whoever hears one looks into the state.
//!
//! On PostgreSQL a word is a notification. It can be sent in the transaction that made it necessary, and arrives when that
//! commits. On MariaDB there is a counter for each first word, and who waits looks at them a few times a second. Of a file
//! there is one process, and nothing is sent.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{
    Executor as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::{Pool, Transaction, query};
use crate::{Result, Store};

/// The one channel of this product; it is a database's own.
const CHANNEL: &str = "click_deploy";
const NOTIFY: &str = "SELECT pg_notify('click_deploy', ?)";
const COUNT: &str = "UPDATE notices SET number = number + 1 WHERE name = ?";
const COUNTED: &str = "SELECT name, number FROM notices";

/// How often MariaDB's counters are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A connection that was silent for so long is asked whether it still is one.
const DOUBT: Duration = Duration::from_secs(30);
/// How long it has to answer, and a new one to be made.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before the first attempt to connect again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

impl Transaction {
    /// Sends a payload when this transaction commits. The same one, sent twice, arrives once.
    pub(crate) async fn wake(&mut self, payload: &str) -> Result<()> {
        if let Self::Postgres(_) = self {
            query(NOTIFY).bind(payload).fetch_one(self).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Sends words to the processes of this database, this one among them.
    ///
    /// # Errors
    /// When the database fails. Nothing depends on it: everybody looks now and then.
    pub async fn send(&self, words: impl IntoIterator<Item = &str>) -> Result<()> {
        for word in words {
            match &self.readers {
                Pool::Sqlite(_) => {}
                pool @ Pool::Postgres(_) => drop(query(NOTIFY).bind(word).fetch_one(pool).await?),
                Pool::MariaDb(_) => {
                    let name = word.split(' ').next().unwrap_or_default();
                    self.change(query(COUNT).bind(name)).await?;
                }
            }
        }
        Ok(())
    }
}

/// Hears what processes of this database send.
pub struct Wakes {
    on: On,
    doubt: Duration,
    patience: Duration,
}

enum On {
    /// Nobody sends anything.
    Nothing,
    Postgres(Box<Listening>),
    MariaDb(Looking),
}

impl Wakes {
    pub(crate) fn nothing() -> Self {
        Self::of(On::Nothing)
    }

    pub(crate) fn postgres(options: PgConnectOptions) -> Self {
        Self::of(On::Postgres(Box::new(Listening {
            options,
            listener: None,
            pause: FIRST_PAUSE,
        })))
    }

    pub(crate) fn mariadb(pool: Pool) -> Self {
        Self::of(On::MariaDb(Looking {
            pool,
            seen: None,
            changed: Vec::new(),
        }))
    }

    fn of(on: On) -> Self {
        Self {
            on,
            doubt: DOUBT,
            patience: PATIENCE,
        }
    }

    /// Doubts a silent connection sooner or later than after 30 s, and gives it another time than 10 s to answer.
    #[must_use]
    pub fn doubting_after(mut self, silence: Duration, patience: Duration) -> Self {
        (self.doubt, self.patience) = (silence, patience);
        self
    }

    /// The next word; an empty one when some may have been missed. Never, on a database that sends none.
    pub async fn next(&mut self) -> String {
        match &mut self.on {
            On::Nothing => std::future::pending().await,
            On::Postgres(listening) => listening.next(self.doubt, self.patience).await,
            On::MariaDb(looking) => looking.next().await,
        }
    }
}

/// A connection to PostgreSQL that is notified.
struct Listening {
    options: PgConnectOptions,
    listener: Option<PgListener>,
    pause: Duration,
}

impl Listening {
    async fn next(&mut self, doubt: Duration, patience: Duration) -> String {
        loop {
            let Some(listener) = &mut self.listener else {
                match tokio::time::timeout(PATIENCE, listen(&self.options)).await {
                    Ok(Ok(listener)) => {
                        self.listener = Some(listener);
                        self.pause = FIRST_PAUSE;
                        return String::new();
                    }
                    Ok(Err(error)) => tracing::debug!("wake-ups cannot be listened to: {error}"),
                    Err(_) => tracing::debug!("wake-ups cannot be listened to: the database is silent"),
                }
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LAST_PAUSE);
                continue;
            };
            let lost = match tokio::time::timeout(doubt, listener.try_recv()).await {
                Ok(Ok(Some(heard))) => return heard.payload().to_owned(),
                Ok(Ok(None) | Err(_)) => true,
                // What is half open is silent for ever: only an answer shows that somebody is there.
                Err(_) => !matches!(
                    tokio::time::timeout(patience, listener.execute("SELECT 1")).await,
                    Ok(Ok(_))
                ),
            };
            if lost {
                tracing::info!("wake-ups of the database are not heard any more: connecting again");
                self.listener = None;
            }
        }
    }
}

/// MariaDB's counters as they were.
struct Looking {
    pool: Pool,
    seen: Option<BTreeMap<String, i64>>,
    changed: Vec<String>,
}

impl Looking {
    async fn next(&mut self) -> String {
        loop {
            if let Some(name) = self.changed.pop() {
                return name;
            }
            tokio::time::sleep(LOOK).await;
            let Ok(rows) = query(COUNTED).fetch_all(&self.pool).await else {
                self.seen = None;
                continue;
            };
            let counted: BTreeMap<String, i64> = rows.iter().map(|row| (row.get("name"), row.get("number"))).collect();
            match self.seen.replace(counted.clone()) {
                None => return String::new(),
                Some(seen) => {
                    let changed = counted
                        .into_iter()
                        .filter(|(name, number)| seen.get(name) != Some(number));
                    self.changed = changed.map(|(name, _)| name).collect();
                }
            }
        }
    }
}

async fn listen(options: &PgConnectOptions) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(PATIENCE)
        .connect_with(options.clone())
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
