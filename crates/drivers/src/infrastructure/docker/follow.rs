//! Follows a container's output through whatever breaks.

use std::{
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use domain::{
    logs::LogLevel,
    ports::infrastructure::{InfrastructureError, InstanceStatus, OutputCursor, OutputLine, OutputSink},
};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    DockerEngine,
    client::{explain, is_missing},
    output::{Numbered, OutputReader},
    pace::Pace,
};

/// Lines are handed on when so many are there, or when the first of them has waited so long.
const LINES_AT_ONCE: usize = 500;
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Between tries to reach the engine again: it doubles from the first to the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// After so many refusals in a row the engine means it.
const REFUSALS: u32 = 5;

/// Between two readings of what is there: the engine reads all its files for each.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// How the engine is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// For what is there and for what comes.
    Follow,
    /// For what is there.
    CatchUp,
}

/// What is to be done after a reading.
enum Next {
    Read(Reading),
    /// Everything is read, and nothing comes any more.
    Nothing,
}

/// Hands lines on in batches, and remembers how far.
struct Batches<'a> {
    sink: &'a dyn OutputSink,
    cursor: OutputCursor,
    lines: Vec<OutputLine>,
    next_cursor: OutputCursor,
    due: Option<Instant>,
}

impl Batches<'_> {
    async fn add(&mut self, (line, cursor): Numbered) -> Result<(), InfrastructureError> {
        self.due.get_or_insert_with(|| Instant::now() + LONGEST_WAIT);
        self.lines.push(line);
        self.next_cursor = cursor;
        if self.lines.len() >= LINES_AT_ONCE {
            self.hand_on().await?;
        }
        Ok(())
    }

    async fn hand_on(&mut self) -> Result<(), InfrastructureError> {
        self.due = None;
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        self.sink
            .take(lines, self.next_cursor)
            .await
            .map_err(InfrastructureError::Sink)?;
        self.cursor = self.next_cursor;
        Ok(())
    }
}

/// Nanoseconds since 1970.
fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

impl DockerEngine {
    pub(super) async fn follow(
        &self,
        name: &str,
        from: OutputCursor,
        sink: &dyn OutputSink,
    ) -> Result<(), InfrastructureError> {
        let mut batches = Batches {
            sink,
            cursor: from,
            lines: Vec::new(),
            next_cursor: from,
            due: None,
        };
        let mut id: Option<String> = None;
        let mut pause = SHORTEST_PAUSE;
        let mut refusals = 0;
        let mut reading = Reading::Follow;
        let mut pace = Pace::new(self.longest_silence);
        loop {
            let before = batches.cursor;
            let target = id.clone().unwrap_or_else(|| name.to_owned());
            let step = self.read_once(&target, &mut id, &mut batches, &mut pace, reading).await;
            if batches.cursor != before {
                (pause, refusals) = (SHORTEST_PAUSE, 0);
            }
            match step {
                Ok(Next::Nothing) => return Ok(()),
                Ok(Next::Read(next)) => {
                    if (reading, next) == (Reading::CatchUp, Reading::CatchUp) {
                        sleep(BETWEEN_READINGS).await;
                    }
                    reading = next;
                    continue;
                }
                Err(InfrastructureError::Missing(_)) => return Ok(()),
                Err(sink @ InfrastructureError::Sink(_)) => return Err(sink),
                Err(InfrastructureError::Unreachable(_)) => {}
                Err(other) => {
                    refusals += 1;
                    if refusals == REFUSALS {
                        return Err(other);
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads until the stream ends, or becomes doubtful. A stream that ends together with its container may lack its
    /// last lines, so everything is read when one more reading, begun after the end, ends by itself.
    async fn read_once(
        &self,
        name: &str,
        id: &mut Option<String>,
        batches: &mut Batches<'_>,
        pace: &mut Pace,
        reading: Reading,
    ) -> Result<Next, InfrastructureError> {
        let instance = self.find(name).await?;
        let instance = instance.ok_or_else(|| InfrastructureError::Missing(name.to_owned()))?;
        if instance.status == InstanceStatus::Created {
            sleep(SHORTEST_PAUSE).await;
            return Ok(Next::Read(reading));
        }
        let has_ended = instance.status == InstanceStatus::Exited;
        let is_following = !has_ended && reading == Reading::Follow;
        let options = LogsOptionsBuilder::new()
            .follow(is_following)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(OutputReader::since_seconds(batches.cursor))
            .build();
        let docker = self.client.docker().map_err(|error| explain(error, "engine"))?;
        let mut reader = OutputReader::new(batches.cursor);
        let mut records = pin!(docker.logs(&instance.id, Some(options)));
        // From now on this very container, whatever is made under its name.
        *id = Some(instance.id.clone());
        let (began, mut heard) = (Instant::now(), Instant::now());
        let mut bytes_read = 0;
        loop {
            let silence = heard + pace.longest_silence();
            let until = batches.due.map_or(silence, |due| due.min(silence));
            let Ok(record) = timeout_at(until, records.next()).await else {
                batches.hand_on().await?;
                if until < silence {
                    continue;
                }
                // Nothing came, or the connection is a dead one, or the engine does not show a file.
                pace.doubt(now_ns());
                return match is_following {
                    true => Ok(Next::Read(reading)),
                    false => Err(InfrastructureError::Unreachable("its answer does not go on".into())),
                };
            };
            heard = Instant::now();
            let heard_ns = now_ns();
            match record {
                Some(Ok(record)) => {
                    let (level, bytes) = match &record {
                        LogOutput::StdErr { message } => (LogLevel::Error, message),
                        LogOutput::StdOut { message }
                        | LogOutput::StdIn { message }
                        | LogOutput::Console { message } => (LogLevel::Info, message),
                    };
                    let line = reader.record(level, bytes);
                    if is_following && reader.is_suspicious() {
                        batches.hand_on().await?;
                        return Ok(Next::Read(Reading::CatchUp));
                    }
                    let Some(line) = line else { continue };
                    bytes_read += bytes.len();
                    let at_ns = line.0.at_ns;
                    batches.add(line).await?;
                    if is_following && pace.falls_behind(bytes.len(), at_ns, heard, heard_ns) {
                        batches.hand_on().await?;
                        return Ok(Next::Read(Reading::CatchUp));
                    }
                    // Whoever takes the lines may need his time for it.
                    heard = Instant::now();
                }
                Some(Err(error)) => {
                    batches.hand_on().await?;
                    return Err(match is_missing(&error) {
                        true => InfrastructureError::Missing(name.to_owned()),
                        false => explain(error, name),
                    });
                }
                None => break,
            }
        }
        if has_ended {
            for line in reader.finish() {
                batches.add(line).await?;
            }
        }
        batches.hand_on().await?;
        Ok(match (has_ended, reading) {
            (true, _) => Next::Nothing,
            (false, Reading::CatchUp) if !pace.has_caught_up(bytes_read, began) => Next::Read(Reading::CatchUp),
            (false, _) => Next::Read(Reading::Follow),
        })
    }
}
