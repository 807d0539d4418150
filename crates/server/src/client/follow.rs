//! Waits for a deployment and shows how it goes; and what all commands that deploy say at the end.

use std::{pin::pin, time::Duration};

use api::wire::Deployment;
use clap::Args;
use domain::{Reason, deployment::DeploymentStatus};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Session,
    address::LogAddress,
    error::ClientError,
    feed::{self, Piece},
    output::clean,
    screen::Screen,
};

/// How often the phases and steps are looked at.
const LOOK: Duration = Duration::from_millis(700);
/// How long the log may go on when the deployment is over.
const GRACE: Duration = Duration::from_secs(3);
/// A time that never comes.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Options of every command that deploys.
#[derive(Debug, Clone, Args)]
pub(crate) struct FollowOptions {
    /// Do not wait: print the deployment's id and its URL at once
    #[arg(long)]
    pub(crate) detach: bool,
    /// Wait at most so long (90, 90s, 10m, 1h); the deployment goes on, the exit code is 6
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// Reads a time to wait.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let rule = || "a time is a number of seconds, or a number followed by s, m or h".to_owned();
    let (digits, factor) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| rule())?;
    number
        .checked_mul(factor)
        .filter(|seconds| (1..=30 * 24 * 3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(rule)
}

/// The last line of `--json`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Outcome {
    url: Option<String>,
    deployment: Option<String>,
    status: String,
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

impl Outcome {
    /// What is known of a deployment.
    fn of(deployment: &Deployment) -> Self {
        Self {
            url: Some(deployment.url.clone()),
            deployment: Some(deployment.summary.id.to_string()),
            status: deployment.summary.status.name().to_owned(),
            service: Some(deployment.summary.service_id.to_string()),
            reason: None,
        }
    }

    /// The same, ended by an error.
    pub(crate) fn failed(self, error: &ClientError) -> Self {
        let status = match error {
            ClientError::Ended { status, .. } => status.name().to_owned(),
            ClientError::TimedOut { .. } => "timed_out".to_owned(),
            ClientError::Interrupted { .. } => "interrupted".to_owned(),
            _ => "failed".to_owned(),
        };
        Self {
            status,
            reason: Some(error.reason()),
            ..self
        }
    }
}

/// Shows a deployment that was just asked for until it is over, and prints the URL last.
pub(crate) async fn finish(
    session: &Session,
    started: &Deployment,
    options: &FollowOptions,
) -> Result<(), ClientError> {
    session.outcome.replace(Outcome::of(started));
    let output = session.output;
    if options.detach {
        if !output.json {
            output.line(&started.summary.id.to_string())?;
            output.line(&clean(&started.url))?;
        }
        return Ok(());
    }
    output.note(&format!(
        "deployment {} ({})",
        started.summary.number, started.summary.id
    ));
    let ended = watch(session, started, options.timeout).await?;
    session.outcome.replace(Outcome::of(&ended));
    if ended.summary.status == DeploymentStatus::Live {
        if !output.json {
            output.line(&clean(&ended.url))?;
        }
        return Ok(());
    }
    if let Ok(service) = session.api.service(ended.summary.service_id).await
        && service.current_deployment_id.is_some()
        && ended.summary.status == DeploymentStatus::Failed
    {
        output.note(&format!(
            "The version before goes on as it was: {}",
            clean(&service.url)
        ));
    }
    Err(ClientError::Ended {
        id: ended.summary.id,
        status: ended.summary.status,
        reason: ended.summary.reason,
    })
}

/// Follows the log and the phases to the end.
async fn watch(session: &Session, started: &Deployment, timeout: Option<Duration>) -> Result<Deployment, ClientError> {
    let id = started.summary.id;
    let mut screen = Screen::new(session.output);
    screen.seen(started);
    let mut pieces = pin!(feed::follow(session.api.clone(), LogAddress::build(id), Some(id), 0));
    let mut looks = pin!(stream::unfold((), |()| async {
        sleep(LOOK).await;
        Some((session.api.deployment(id).await, ()))
    }));
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut late = pin!(sleep_until(Instant::now() + timeout.unwrap_or(NEVER)));
    let mut grace = pin!(sleep_until(Instant::now() + NEVER));
    let mut over = false;
    let cancel = format!(
        "The deployment goes on. Cancel it with `click-deploy cancel {id}`, see it with `click-deploy logs --deployment {id} -f`."
    );
    let stopped = loop {
        tokio::select! {
            piece = pieces.next() => match piece {
                Some(Ok(Piece::Lines(lines))) => lines.iter().for_each(|line| screen.line(line)),
                Some(Ok(Piece::Trouble(why))) => screen.note(&format!("the connection is lost, trying again: {}", clean(&why))),
                Some(Ok(Piece::End(_))) | None => break None,
                Some(Err(error)) => break Some(error),
            },
            // A look that fails is no matter: the log knows whether the server is away.
            Some(look) = looks.next() => if let Ok(deployment) = look {
                screen.seen(&deployment);
                if deployment.summary.status.is_final() && !over {
                    over = true;
                    grace.as_mut().reset(Instant::now() + GRACE);
                }
            },
            _ = &mut interrupted => break Some(ClientError::Interrupted {
                message: "interrupted".to_owned(),
                advice: cancel,
            }),
            () = &mut late => break Some(ClientError::TimedOut {
                message: format!("deployment {id} is not over after {} s", timeout.unwrap_or_default().as_secs()),
                advice: cancel,
            }),
            () = &mut grace => break None,
        }
    };
    screen.close();
    if let Some(error) = stopped {
        return Err(error);
    }
    let mut ended = session.api.deployment(id).await?;
    // The log may end a moment before the status that others read.
    for _ in 0..20 {
        if ended.summary.status.is_final() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        ended = session.api.deployment(id).await?;
    }
    screen.summary(&ended);
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_wait_are_read() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "-1", "m", "1d", "1.5", "99999999999999999999", "9999999h", "é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_line_of_json_has_the_reason_of_a_failure() {
        let reason = Reason::new("out-of-memory", "the build ran out of memory", "choose a larger size");
        let error = ClientError::Ended {
            id: domain::DeploymentId::mint(),
            status: DeploymentStatus::Failed,
            reason: Some(reason),
        };
        let outcome = Outcome {
            url: Some("http://x".to_owned()),
            ..Outcome::default()
        }
        .failed(&error);
        let json = serde_json::to_value(outcome).unwrap();
        assert_eq!(json["status"], "failed");
        assert_eq!(json["reason"]["code"], "out-of-memory");
        assert_eq!(json["url"], "http://x");
        assert_eq!(json["deployment"], serde_json::Value::Null);
    }
}
