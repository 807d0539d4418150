//! `logs`: what a service or a deployment wrote, and goes on to write.

use std::pin::pin;

use api::wire::LogLine;
use clap::Args;
use domain::{DeploymentId, logs::LogLevel};
use futures_util::StreamExt;

use super::{
    Session,
    address::LogAddress,
    error::ClientError,
    feed::{self, Piece},
    output::{Tint, clean},
    which::Which,
};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Examples:
  click-deploy logs api -f
  click-deploy logs api --tail 1000 --search timeout --level error
  click-deploy logs api --build                     of the newest deployment
  click-deploy logs --deployment 12 --service api
  click-deploy logs api --json | jq -r .message";

/// The most lines of one answer.
const PAGE: usize = 1000;

/// Prints a log.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    which: Which,
    /// Go on with what is written from now on, until the deployment is over or Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// The log of the newest deployment instead of the running service's
    #[arg(long, conflicts_with = "deployment")]
    build: bool,
    /// The log of this deployment, by its id or its number
    #[arg(long, value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    /// Of the last lines alone; 100 for a running service (5000 with a filter), all for a deployment
    #[arg(long, short = 'n', value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    tail: Option<u32>,
    /// Only lines that hold this text, in upper or lower case
    #[arg(long, short = 's', value_name = "TEXT")]
    search: Option<String>,
    /// Only lines of this level: debug, info, warn or error
    #[arg(long, value_parser = level)]
    level: Option<LogLevel>,
}

fn level(text: &str) -> Result<LogLevel, String> {
    LogLevel::parse(text).ok_or_else(|| "a level is debug, info, warn or error".to_owned())
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: &Logs) -> Result<(), ClientError> {
    let (log, ends_with) = command.log(session).await?;
    let (lines, after) = match (&log, command.tail) {
        (LogAddress::Runtime(_), tail) => {
            command
                .last(
                    session,
                    &log,
                    tail.unwrap_or(if command.filter().is_empty() { 100 } else { 5000 }),
                )
                .await?
        }
        (LogAddress::Build(_), tail) => command.all(session, &log, tail).await?,
    };
    for line in &lines {
        print(session, line)?;
    }
    if !command.follow {
        if lines.is_empty() {
            session.output.note("no such lines");
        }
        return Ok(());
    }
    let mut pieces = pin!(feed::follow(session.api.clone(), log, ends_with, after));
    while let Some(piece) = pieces.next().await {
        match piece? {
            Piece::Lines(lines) => {
                for line in lines.iter().filter(|line| command.wants(line)) {
                    print(session, line)?;
                }
            }
            Piece::Trouble(why) => {
                session
                    .output
                    .note(&format!("the connection is lost, trying again: {}", clean(&why)));
            }
            Piece::End(status) => {
                session.output.note(&format!("the deployment is {}", status.name()));
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Logs {
    async fn log(&self, session: &Session) -> Result<(LogAddress, Option<DeploymentId>), ClientError> {
        if !self.build && self.deployment.is_none() {
            return Ok((LogAddress::runtime(self.which.service(session).await?.id), None));
        }
        let mut option = self.which.option.clone();
        option.service = self.which.said().map(str::to_owned);
        let found = option
            .deployment(
                session,
                self.deployment.as_deref(),
                "there is no deployment yet",
                |_| true,
            )
            .await?;
        Ok((LogAddress::build(found.id), Some(found.id)))
    }

    /// What the server is asked to filter by.
    fn filter(&self) -> Vec<(&'static str, &str)> {
        let level = self.level.map(|level| ("level", level.name()));
        self.search
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| ("q", text))
            .into_iter()
            .chain(level)
            .collect()
    }

    /// The same filter for lines that come live: by text without regard to case (ASCII), and by exact level.
    fn wants(&self, line: &LogLine) -> bool {
        let text = self.search.as_deref().unwrap_or_default().to_ascii_lowercase();
        self.level.is_none_or(|level| level == line.level) && line.message.to_ascii_lowercase().contains(&text)
    }

    /// The last lines of a running service, and where the live log goes on.
    async fn last(&self, session: &Session, log: &LogAddress, tail: u32) -> Result<(Vec<LogLine>, i64), ClientError> {
        // Where to go on comes before the lines are chosen: with a filter, the last line that fits may be an old one.
        let newest = session.api.log_page(log, &[("tail", "1")]).await?;
        let after = newest
            .items
            .last()
            .map_or(newest.next_after, |line| line.sequence.max(newest.next_after));
        if tail == 0 {
            return Ok((Vec::new(), after));
        }
        let count = tail.to_string();
        let mut query = self.filter();
        query.push(("tail", &count));
        let mut page = session.api.log_page(log, &query).await?;
        page.items.retain(|line| line.sequence <= after);
        Ok((page.items, after))
    }

    /// All lines of a deployment, or the last ones of them, and where the live log goes on.
    async fn all(
        &self,
        session: &Session,
        log: &LogAddress,
        tail: Option<u32>,
    ) -> Result<(Vec<LogLine>, i64), ClientError> {
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let (place, limit) = (after.to_string(), PAGE.to_string());
            let query = [("after", place.as_str()), ("limit", limit.as_str())];
            // Filtered here, so that the cursor is the place of a line that was read.
            let page = session.api.log_page(log, &query).await?;
            let before = after;
            after = page.items.last().map_or(after, |line| line.sequence);
            lines.extend(page.items.into_iter().filter(|line| self.wants(line)));
            if let Some(tail) = tail.map(|tail| tail as usize)
                && lines.len() > tail
            {
                lines.drain(..lines.len() - tail);
            }
            if !page.more || after == before {
                return Ok((lines, after));
            }
        }
    }
}

fn print(session: &Session, line: &LogLine) -> Result<(), ClientError> {
    let output = session.output;
    if output.json {
        return output.json_line(line);
    }
    let tint = match line.level {
        LogLevel::Error => Tint::Bad,
        LogLevel::Warn => Tint::Warm,
        LogLevel::Debug => Tint::Faint,
        LogLevel::Info => Tint::Plain,
    };
    // The time to the second; the rest is in `--json`.
    let time: String = line.at.chars().take(19).collect();
    let origin = if line.phase == "run" { &line.origin } else { &line.phase };
    let head = output.paint(Tint::Faint, &format!("{time} {origin} │"));
    output.line(&format!("{head} {}", output.paint(tint, &line.message)))
}
