//! The commands that start background work on a service or project, and wait for it.

use std::{io::IsTerminal, time::Duration};

use api::wire::Job;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::{
    Session,
    error::ClientError,
    follow::parse_duration,
    login::confirm,
    output::clean,
    which::{Which, project},
};

/// Something done to a service.
#[derive(Debug, Args)]
pub(crate) struct Act {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    wait: Wait,
}

/// How long background work is waited for.
#[derive(Debug, Args)]
struct Wait {
    /// Do not wait until it is done
    #[arg(long)]
    detach: bool,
    /// Wait at most so long (90, 90s, 10m, 1h)
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
}

/// Removes a service or a project.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    which: Which,
    /// Remove the whole project and all that is in it
    #[arg(long, conflicts_with_all = ["name", "service"])]
    all: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

/// `stop`, `start` and `restart`
pub(crate) async fn act(session: &Session, command: &Act, verb: &str) -> Result<(), ClientError> {
    let service = command.which.service(session).await?;
    let job = session.api.act(service.id, verb).await?;
    let done = match verb {
        "stop" => "stopped",
        "start" => "started",
        _ => "restarted",
    };
    done_with(session, job, &command.wait, &format!("{} is {done}", service.name)).await
}

/// `rm`
pub(crate) async fn remove(session: &Session, command: &Remove) -> Result<(), ClientError> {
    if command.all {
        let project = project(session, &command.which.option.project.project).await?;
        let names: Vec<String> = session
            .api
            .services(project.id)
            .await?
            .into_iter()
            .map(|service| service.name.to_string())
            .collect();
        let what = format!(
            "project {} with {} services ({})",
            project.name,
            names.len(),
            names.join(", ")
        );
        agreed(session, command.yes, &what)?;
        let job = session.api.delete_project(project.id).await?;
        return done_with(
            session,
            job,
            &command.wait,
            &format!("project {} is removed", project.name),
        )
        .await;
    }
    if command.which.said().is_none() {
        return Err(ClientError::usage(
            "say which service is to be removed",
            "`click-deploy rm SERVICE --yes`, or `--all` for the whole project.",
        ));
    }
    let service = command.which.service(session).await?;
    agreed(
        session,
        command.yes,
        &format!("service {} ({})", service.name, service.url),
    )?;
    let job = session.api.delete_service(service.id).await?;
    done_with(session, job, &command.wait, &format!("{} is removed", service.name)).await
}

fn agreed(session: &Session, yes: bool, what: &str) -> Result<(), ClientError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(ClientError::usage(
            format!("this removes {what}"),
            "Give --yes to say that you mean it.",
        ));
    }
    if confirm(session.output, &format!("Remove {what}? This cannot be undone."))? {
        return Ok(());
    }
    Err(ClientError::failed("nothing was removed", ""))
}

/// Waits until background work is done, and says so.
async fn done_with(session: &Session, job: Job, wait: &Wait, done: &str) -> Result<(), ClientError> {
    let output = session.output;
    let mut job = job;
    let until = Instant::now() + wait.timeout;
    while !wait.detach && matches!(job.status.as_str(), "waiting" | "running" | "stuck") {
        if Instant::now() >= until {
            return Err(ClientError::TimedOut {
                message: format!("{} is not done after {} s", job.name, wait.timeout.as_secs()),
                advice: "It goes on; `click-deploy status` shows when it is done.".to_owned(),
            });
        }
        sleep(Duration::from_millis(150)).await;
        job = match session.api.job(job.id).await {
            // Work that is done may be forgotten, with what it removed.
            Err(ClientError::Refused(problem)) if problem.status == 404 => Job {
                status: "done".to_owned(),
                ..job
            },
            other => other?,
        };
    }
    if output.json {
        output.json_line(&job)?;
    }
    if matches!(job.status.as_str(), "failed" | "dead") {
        let reason = job
            .reason
            .unwrap_or_else(|| domain::Reason::new("failed", format!("{} failed", job.name), ""));
        return Err(ClientError::failed(reason.message, reason.advice));
    }
    match (output.json, wait.detach) {
        (true, _) => Ok(()),
        (false, true) => output.line(&job.id.to_string()),
        (false, false) => output.line(&clean(done)),
    }
}
