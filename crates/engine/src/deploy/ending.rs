//! The end of a deployment and the last line of its log, in one transaction: however it is killed, a deployment that is
//! over has exactly one last line, and one that is not has none.

use domain::{
    DeploymentId, Reason,
    deployment::{DeploymentEvent, Phase},
    logs::LogLevel,
};
use store::{Write, logs::Log};

use super::progress::line;

/// What is known of an end that is not *live*.
pub(crate) struct Ending<'a> {
    /// Whether it failed, was cancelled, or a newer one took its place.
    pub(crate) event: DeploymentEvent,
    /// Why.
    pub(crate) reason: &'a Reason,
    /// Where it was.
    pub(crate) phase: Phase,
    /// What became of what it had made; a failure is told by its reason instead.
    pub(crate) left: &'a str,
}

/// Ends a deployment that did not go live; false when it is over already, and then nothing is said.
pub(crate) async fn end(write: &mut Write, id: DeploymentId, ending: &Ending<'_>) -> Result<bool, store::Error> {
    if !write.end_deployment(id, ending.event, Some(ending.reason)).await? {
        return Ok(false);
    }
    let (level, text) = match ending.event {
        DeploymentEvent::Cancel => (LogLevel::Info, format!("cancelled; {}", ending.left)),
        DeploymentEvent::Supersede => (LogLevel::Info, format!("superseded: {}", ending.reason.message)),
        _ => (LogLevel::Error, format!("failed: {}", ending.reason)),
    };
    say(write, id, ending.phase, level, &text).await?;
    Ok(true)
}

/// Says that a deployment which is live has done all of its work.
pub(crate) async fn live(write: &mut Write, id: DeploymentId, url: &str) -> Result<(), store::Error> {
    if write.set_finished(id).await? {
        say(write, id, Phase::Check, LogLevel::Info, &format!("live at {url}")).await?;
    }
    Ok(())
}

async fn say(
    write: &mut Write,
    id: DeploymentId,
    phase: Phase,
    level: LogLevel,
    text: &str,
) -> Result<(), store::Error> {
    write
        .append_lines(Log::Build(id), &mut [line(phase, level, "", text)])
        .await
}
