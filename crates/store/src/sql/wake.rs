//! Waking other processes. On PostgreSQL a payload is sent in the transaction that made it necessary and arrives when that
//! commits; on the other databases nothing is sent, and who waits looks now and then. A payload carries no truth: whoever
//! hears it looks into the state.

use std::time::Duration;

use sqlx::{
    Executor as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::{Transaction, query};
use crate::Result;

/// The one channel of this product; it is a database's own.
const CHANNEL: &str = "click_deploy";
const NOTIFY: &str = "SELECT pg_notify('click_deploy', ?)";

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

/// Hears what other processes (and this one) send.
pub struct Wakes {
    options: Option<PgConnectOptions>,
    listener: Option<PgListener>,
    pause: Duration,
    doubt: Duration,
    patience: Duration,
}

impl Wakes {
    pub(crate) fn new(options: Option<PgConnectOptions>) -> Self {
        Self {
            options,
            listener: None,
            pause: FIRST_PAUSE,
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

    /// The next payload; an empty one when some may have been missed. Never, on a database that sends none.
    pub async fn next(&mut self) -> String {
        let Some(options) = &self.options else {
            return std::future::pending().await;
        };
        loop {
            let Some(listener) = &mut self.listener else {
                match tokio::time::timeout(PATIENCE, listen(options)).await {
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
            let lost = match tokio::time::timeout(self.doubt, listener.try_recv()).await {
                Ok(Ok(Some(heard))) => return heard.payload().to_owned(),
                Ok(Ok(None) | Err(_)) => true,
                // What is half open is silent for ever: only an answer shows that somebody is there.
                Err(_) => !matches!(
                    tokio::time::timeout(self.patience, listener.execute("SELECT 1")).await,
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
