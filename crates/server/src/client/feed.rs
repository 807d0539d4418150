//! A live log, line by line in order, none lost and none twice, whatever happens to the connection: the cursor moves
//! with each line that was handed on, and every connection begins at the cursor.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use api::wire::{LogLine, LogMessage};
use domain::{DeploymentId, deployment::DeploymentStatus};
use futures_util::{Stream, StreamExt, stream};
use tokio_tungstenite::tungstenite::Message;

use super::{
    address::LogAddress,
    api::Api,
    error::ClientError,
    socket::{Socket, SocketError},
};

/// A server that says nothing for so long is gone: it pings more often.
const SILENCE: Duration = Duration::from_secs(75);
/// How long an unreachable server is waited for; it may be starting again.
const GIVE_UP: Duration = Duration::from_secs(120);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The wait between two questions where WebSockets do not pass.
const POLL: Duration = Duration::from_millis(500);

/// What a live log brings.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The lines that follow the last ones.
    Lines(Vec<LogLine>),
    /// Nothing more will come: the deployment is over.
    End(DeploymentStatus),
    /// The connection was lost; it is being made again.
    Trouble(String),
}

/// Follows a log from a cursor. With a deployment's id it ends when the deployment is over; else never.
///
/// The stream keeps its state: waiting for the next piece may be given up and begun again at any time.
pub(crate) fn follow(
    api: Api,
    log: LogAddress,
    ends_with: Option<DeploymentId>,
    after: i64,
) -> impl Stream<Item = Result<Piece, ClientError>> {
    let feed = Feed {
        api,
        log,
        ends_with,
        cursor: after,
        socket: None,
        ready: VecDeque::new(),
        over: false,
        failures: 0,
        down_since: None,
        polling: false,
    };
    stream::unfold(feed, |mut feed| async move {
        loop {
            if let Some(piece) = feed.ready.pop_front() {
                return Some((Ok(piece), feed));
            }
            if feed.over {
                return None;
            }
            if let Err(error) = feed.advance().await {
                feed.over = true;
                return Some((Err(error), feed));
            }
        }
    })
}

struct Feed {
    api: Api,
    log: LogAddress,
    ends_with: Option<DeploymentId>,
    cursor: i64,
    socket: Option<Socket>,
    ready: VecDeque<Piece>,
    over: bool,
    failures: u32,
    down_since: Option<Instant>,
    polling: bool,
}

impl Feed {
    /// Does one thing that can bring the next piece.
    async fn advance(&mut self) -> Result<(), ClientError> {
        if let Some(socket) = &mut self.socket {
            return match tokio::time::timeout(SILENCE, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => match serde_json::from_str(&text) {
                    Ok(message) => self.take(message).await,
                    Err(cause) => {
                        self.polling = true;
                        self.broken(&format!("a message was not understood: {cause}"))
                    }
                },
                // Pings are answered by the library as it reads; a connection that lives so long is a good one.
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_)))) => {
                    self.progressed();
                    Ok(())
                }
                Ok(Some(Ok(Message::Close(_))) | None) => self.broken("the server closed the connection"),
                Ok(Some(Err(cause))) => self.broken(&cause.to_string()),
                Err(_) => self.broken("the server was silent"),
            };
        }
        if self.failures > 0 {
            let wait = Duration::from_millis(100) * 2_u32.saturating_pow(self.failures.min(10) - 1);
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
        if !self.polling {
            match self.api.log_socket(&self.log, self.cursor).await {
                Ok(socket) => {
                    self.socket = Some(socket);
                    return Ok(());
                }
                Err(SocketError::Refused(error)) => return Err(error),
                Err(SocketError::Unsupported(_)) => self.polling = true,
                Err(SocketError::Broken(_)) => {}
            }
        }
        self.poll().await
    }

    /// Notes that the connection is lost. Attempts count only as long as they bring nothing.
    fn broken(&mut self, why: &str) -> Result<(), ClientError> {
        self.socket = None;
        self.failures += 1;
        if self.failures == 3 {
            self.ready.push_back(Piece::Trouble(why.to_owned()));
        }
        Ok(())
    }

    fn progressed(&mut self) {
        self.failures = 0;
        self.down_since = None;
    }

    async fn take(&mut self, message: LogMessage) -> Result<(), ClientError> {
        match message {
            LogMessage::Lines { items } => {
                let first = items.first().map_or(self.cursor, |line| line.sequence);
                if first > self.cursor + 1 && !self.fill(first).await {
                    return self.broken("lines are missing");
                }
                self.hand_on(items);
                self.progressed();
            }
            LogMessage::End { status } => {
                self.ready.push_back(Piece::End(status));
                self.over = true;
            }
        }
        Ok(())
    }

    /// Hands on the lines that are new, and moves the cursor behind them.
    fn hand_on(&mut self, mut items: Vec<LogLine>) {
        items.retain(|line| {
            let new = line.sequence > self.cursor;
            self.cursor = self.cursor.max(line.sequence);
            new
        });
        if !items.is_empty() {
            self.ready.push_back(Piece::Lines(items));
        }
    }

    /// Fetches the lines between the cursor and `before`, which the live form left out. Those that the server no
    /// longer has are given up. Whether that worked.
    async fn fill(&mut self, before: i64) -> bool {
        while self.cursor + 1 < before {
            let Ok(page) = self.page().await else {
                return false;
            };
            if page.items.first().is_none_or(|line| line.sequence >= before) {
                return true;
            }
            self.hand_on(page.items.into_iter().filter(|line| line.sequence < before).collect());
        }
        true
    }

    async fn page(&self) -> Result<api::wire::LogPage, ClientError> {
        let after = self.cursor.to_string();
        self.api
            .log_page(&self.log, &[("after", &after), ("limit", "1000")])
            .await
    }

    /// Asks for what is there, where WebSockets do not pass or the last one just broke.
    async fn poll(&mut self) -> Result<(), ClientError> {
        // The status before the lines: what is written after it became final is read too.
        let asked = async {
            let status = match self.ends_with {
                Some(id) => Some(self.api.deployment(id).await?.summary.status),
                None => None,
            };
            Ok((status, self.page().await?))
        };
        match asked.await {
            Ok((status, page)) => {
                let nothing = page.items.is_empty();
                self.hand_on(page.items);
                if let Some(status) = status.filter(|status| nothing && !page.more && status.is_final()) {
                    self.ready.push_back(Piece::End(status));
                    self.over = true;
                } else if !nothing {
                    self.progressed();
                } else if self.polling {
                    self.progressed();
                    tokio::time::sleep(POLL).await;
                } else {
                    self.down_since = None;
                    self.failures += 1;
                }
                Ok(())
            }
            Err(error) if may_pass(&error) => {
                let since = *self.down_since.get_or_insert_with(Instant::now);
                if since.elapsed() > GIVE_UP {
                    return Err(error);
                }
                self.broken(&error.to_string())
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether waiting can help: the server is away or overloaded, not unwilling.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(problem) => problem.status == 429 || problem.status >= 500,
        // A proxy before a server that starts again.
        ClientError::Foreign { why, .. } => why.starts_with('5'),
        _ => false,
    }
}
