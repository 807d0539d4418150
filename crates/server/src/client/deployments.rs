//! The commands that are about deployments: deploy, redeploy, cancel, retry, rollback, history.

use std::{io::IsTerminal, time::Duration};

use api::wire::{Deploy, Deployment, DeploymentSummary, Service};
use clap::Args;
use domain::{deployment::DeploymentStatus, names::Commit};
use tokio::time::sleep;

use super::{
    Session,
    error::ClientError,
    explanation,
    follow::{self, FollowOptions},
    login::confirm,
    output::{Cell, Output, Tint, clean},
    screen::durations,
    services::{age, status_tint},
    which::{ServiceOption, Which},
};

/// Shown under `--help`.
pub(crate) const DEPLOY_EXAMPLES: &str = "Examples:
  click-deploy deploy api
  click-deploy deploy api --commit 8f3c2d…          (all 40 digits)
  click-deploy deploy api --no-cache --timeout 10m
  click-deploy deploy api --replace                 cancel the one under way instead of waiting for it

A service whose files were uploaded is deployed with `click-deploy up`.";

/// Deploys a service again.
#[derive(Debug, Args)]
pub(crate) struct DeployCommand {
    #[command(flatten)]
    which: Which,
    /// The exact commit, all digits of it
    #[arg(long)]
    commit: Option<Commit>,
    /// Build everything anew
    #[arg(long, visible_alias = "rebuild")]
    no_cache: bool,
    /// Cancel the deployment that is under way instead of waiting for it
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    follow: FollowOptions,
}

/// Starts the image that is live anew.
#[derive(Debug, Args)]
pub(crate) struct Redeploy {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    follow: FollowOptions,
}

/// A deployment, by id or number.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The deployment: its id, or its number; the one under way when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    #[command(flatten)]
    service: ServiceOption,
}

/// Tries a failed deployment again.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// The deployment: its id, or its number; the newest when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    #[command(flatten)]
    service: ServiceOption,
    #[command(flatten)]
    follow: FollowOptions,
}

/// Puts a past deployment back.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The deployment: its id, or its number; the live one before the current when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    #[command(flatten)]
    service: ServiceOption,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    follow: FollowOptions,
}

/// Lists deployments.
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    which: Which,
    /// How many, the newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Shown under `--help`.
pub(crate) const SHOW_EXAMPLES: &str = "Examples:
  click-deploy deployment --service api             the newest
  click-deploy deployment 12 --service api
  click-deploy deployment 12 --service api --dockerfile
  click-deploy deployment dep_0190… --json | jq .plan.facts";

/// Shows one deployment.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The deployment: its id, or its number; the newest when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    #[command(flatten)]
    service: ServiceOption,
    /// Print the Dockerfile that the planner wrote for it, and nothing else on standard output
    #[arg(long, conflicts_with = "json")]
    dockerfile: bool,
}

/// `deploy`
pub(crate) async fn deploy(session: &Session, command: &DeployCommand) -> Result<(), ClientError> {
    let service = command.which.service(session).await?;
    let ask = Deploy {
        commit: command.commit.clone(),
        image_of: None,
        no_cache: command.no_cache,
        replace_running: command.replace,
    };
    let started = session.api.deploy(service.id, &ask).await?;
    follow::finish(session, &started, &command.follow).await
}

/// `redeploy`
pub(crate) async fn redeploy(session: &Session, command: &Redeploy) -> Result<(), ClientError> {
    let service = command.which.service(session).await?;
    let current = service.current_deployment_id.ok_or_else(|| {
        ClientError::conflict(
            format!("service {} has nothing live whose image could be taken", service.name),
            "`click-deploy deploy` or `click-deploy up` builds one.",
        )
    })?;
    let ask = Deploy {
        image_of: Some(current),
        ..Deploy::default()
    };
    let started = session.api.deploy(service.id, &ask).await?;
    follow::finish(session, &started, &command.follow).await
}

/// `cancel`: asks, and waits until it is so.
pub(crate) async fn cancel(session: &Session, command: &Named) -> Result<(), ClientError> {
    let found = command
        .service
        .deployment(
            session,
            command.deployment.as_deref(),
            "no deployment is under way",
            |one| !one.status.is_final(),
        )
        .await?;
    let mut now = session.api.cancel(found.id).await?.summary;
    for _ in 0..300 {
        if now.status.is_final() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        now = session.api.deployment(found.id).await?.summary;
    }
    if session.output.json {
        session.output.json_line(&now)?;
    }
    match now.status {
        DeploymentStatus::Cancelled => {
            if !session.output.json {
                session
                    .output
                    .line(&format!("deployment {} ({}) is cancelled", now.number, now.id))?;
            }
            Ok(())
        }
        status if status.is_final() => Err(ClientError::conflict(
            format!(
                "deployment {} was over before it could be cancelled: it is {}",
                now.id,
                status.name()
            ),
            "",
        )),
        _ => Err(ClientError::TimedOut {
            message: format!("deployment {} is not yet cancelled after 30 s", now.id),
            advice: "It was asked to; look again with `click-deploy deployments`.".to_owned(),
        }),
    }
}

/// `retry`
pub(crate) async fn retry(session: &Session, command: &Retry) -> Result<(), ClientError> {
    let found = command
        .service
        .deployment(
            session,
            command.deployment.as_deref(),
            "there is no deployment yet",
            |_| true,
        )
        .await?;
    let started = session.api.retry(found.id).await?;
    follow::finish(session, &started, &command.follow).await
}

/// `rollback`
pub(crate) async fn rollback(session: &Session, command: &Rollback) -> Result<(), ClientError> {
    let mut behind_current = false;
    let found = command
        .service
        .deployment(
            session,
            command.deployment.as_deref(),
            "no earlier deployment was live",
            |one| {
                let earlier_live = behind_current && one.status == DeploymentStatus::Live;
                behind_current |= one.current;
                earlier_live
            },
        )
        .await?;
    if !command.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        let service = session.api.service(found.service_id).await?;
        let question = format!(
            "Put deployment {} of {} ({}, {}) back, with its variables and settings?",
            found.number,
            service.name,
            version(&found),
            age(&found.created_at) + " ago"
        );
        if !confirm(session.output, &question)? {
            return Err(ClientError::failed("nothing was changed", ""));
        }
    }
    let started = session.api.rollback(found.service_id, found.id).await?;
    follow::finish(session, &started, &command.follow).await
}

/// `deployments`
pub(crate) async fn history(session: &Session, command: &History) -> Result<(), ClientError> {
    let service = command.which.service(session).await?;
    let found = newest(session, &service, command.limit).await?;
    let output = session.output;
    if output.json {
        return output.json_line(&found);
    }
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|one| {
            let status = if one.current {
                format!("{} *", one.status.name())
            } else {
                one.status.name().to_owned()
            };
            let why = one.reason.as_ref().map(|reason| reason.message.as_str());
            let said = why.or(one.commit_message.as_deref()).unwrap_or_default();
            vec![
                one.number.to_string().into(),
                Cell::tinted(deployment_tint(one.status), status),
                trigger(one).into(),
                version(one).into(),
                age(&one.created_at).into(),
                one.id.to_string().into(),
                shortened(said).into(),
            ]
        })
        .collect();
    output.table(&["NUMBER", "STATUS", "BY", "VERSION", "AGE", "ID", "MESSAGE"], &rows)?;
    let tint = status_tint(service.status);
    output.note(&format!(
        "{} is {}; * marks what serves",
        service.name,
        output.tint_error(tint, service.status.name())
    ));
    Ok(())
}

/// `deployment`
pub(crate) async fn show(session: &Session, command: &Show) -> Result<(), ClientError> {
    let said = command.deployment.as_deref();
    let nothing = "there is no deployment yet";
    let found = command.service.deployment(session, said, nothing, |_| true).await?;
    let deployment = session.api.deployment(found.id).await?;
    let output = session.output;
    if output.json {
        return output.json_line(&deployment);
    }
    if command.dockerfile {
        return dockerfile(&deployment, output);
    }
    let summary = &deployment.summary;
    let status = summary.status.name();
    let mut lines = vec![
        (
            "deployment",
            Tint::Strong,
            format!("{} ({})", summary.number, summary.id),
        ),
        (
            "status",
            deployment_tint(summary.status),
            if summary.current {
                format!("{status}, serves")
            } else {
                status.to_owned()
            },
        ),
    ];
    if let Some(reason) = &summary.reason {
        lines.push(("reason", Tint::Bad, format!("{} ({})", reason.message, reason.code)));
        lines.push(("what to do", Tint::Plain, reason.advice.clone()));
    }
    lines.push((
        "by",
        Tint::Plain,
        format!("{}, {} ago", trigger(summary), age(&summary.created_at)),
    ));
    if summary.commit.is_some() {
        let message = summary.commit_message.as_deref().unwrap_or_default();
        lines.push(("version", Tint::Plain, format!("{} {message}", version(summary))));
    }
    lines.push(("url", Tint::Plain, deployment.url.clone()));
    lines.push(("took", Tint::Plain, durations(&deployment)));
    for (name, tint, value) in lines.iter().filter(|(.., value)| !value.is_empty()) {
        let name = output.paint(Tint::Faint, &format!("{name:<12}"));
        output.line(&format!("{name}{}", output.paint(*tint, &value.replace('\n', " "))))?;
    }
    match &deployment.plan {
        Some(plan) => {
            output.line("")?;
            explanation::print(plan, output)
        }
        None => Ok(()),
    }
}

/// Prints the Dockerfile of a deployment, made harmless for a terminal.
fn dockerfile(deployment: &Deployment, output: Output) -> Result<(), ClientError> {
    let plan = deployment.plan.as_ref();
    let Some(text) = plan.and_then(|plan| plan.dockerfile.as_ref()) else {
        let own = plan.and_then(|plan| plan.dockerfile_path.as_ref());
        let why = own.map_or_else(
            || "nothing was planned for it by our planner".to_owned(),
            |path| format!("it was built by its own Dockerfile, {path}"),
        );
        return Err(ClientError::missing(
            format!(
                "deployment {} has no Dockerfile of the planner's: {why}",
                deployment.summary.number
            ),
            "",
        ));
    };
    text.lines().try_for_each(|line| output.line(&clean(line)))
}

async fn newest(session: &Session, service: &Service, limit: u32) -> Result<Vec<DeploymentSummary>, ClientError> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit as usize {
        let page = session
            .api
            .deployments(service.id, limit.min(100), cursor.as_deref())
            .await?;
        let empty = page.items.is_empty();
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || empty {
            break;
        }
    }
    found.truncate(limit as usize);
    Ok(found)
}

/// What was deployed, in a word: the short commit, or what took its place.
pub(crate) fn version(deployment: &DeploymentSummary) -> String {
    match &deployment.commit {
        Some(commit) => commit.chars().take(7).collect(),
        None => format!("#{}", deployment.number),
    }
}

fn trigger(deployment: &DeploymentSummary) -> String {
    serde_json::to_value(deployment.trigger)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The colour of a status.
pub(crate) fn deployment_tint(status: DeploymentStatus) -> Tint {
    match status {
        DeploymentStatus::Live => Tint::Good,
        DeploymentStatus::Failed => Tint::Bad,
        DeploymentStatus::Cancelled | DeploymentStatus::Superseded => Tint::Faint,
        _ => Tint::Warm,
    }
}

/// A text that does not break the table.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}
