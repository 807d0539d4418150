//! `jobs`: background work, for whoever looks why something does not come to its end.

use api::wire::{Job, JobDetail};
use clap::{Args, Subcommand};
use domain::JobId;

use super::{
    Session,
    error::ClientError,
    output::{Cell, Output, Tint, clean},
    services::age,
};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Examples:
  click-deploy jobs
  click-deploy jobs --status dead
  click-deploy jobs --kind deploy --limit 5 --json
  click-deploy jobs show job_0190…
  click-deploy jobs retry job_0190…

A job is stuck when it has failed often; it goes on by itself. A dead one was given up: it goes on when it is asked for again.";

/// Lists background work, or acts on one job.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Jobs {
    /// Only those of this status
    #[arg(long, value_parser = ["waiting", "running", "stuck", "done", "failed", "dead"])]
    status: Option<String>,
    /// Only those of this kind, such as deploy
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    #[command(subcommand)]
    action: Option<Action>,
}

/// What is done with one job.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show a job and how far each step of it is
    #[command(after_help = "Example:\n  click-deploy jobs show job_0190…")]
    Show {
        /// The job's id
        id: JobId,
    },
    /// Ask for a dead or stuck job again, at once; it goes on where it ended
    #[command(after_help = "Example:\n  click-deploy jobs retry job_0190…")]
    Retry {
        /// The job's id
        id: JobId,
    },
}

/// `jobs`
pub(crate) async fn run(session: &Session, command: &Jobs) -> Result<(), ClientError> {
    let output = session.output;
    match &command.action {
        Some(Action::Show { id }) => {
            let job = session.api.job_detail(*id).await?;
            if output.json {
                return output.json_line(&job);
            }
            closely(output, &job)
        }
        Some(Action::Retry { id }) => {
            let job = session.api.retry_job(*id).await?;
            if output.json {
                return output.json_line(&job);
            }
            output.line(&clean(&format!("{} is tried again", job.id)))
        }
        None => list(session, command).await,
    }
}

fn tint(status: &str) -> Tint {
    match status {
        "done" => Tint::Good,
        "stuck" | "failed" | "dead" => Tint::Bad,
        "running" => Tint::Warm,
        _ => Tint::Faint,
    }
}

async fn list(session: &Session, command: &Jobs) -> Result<(), ClientError> {
    let output = session.output;
    let (status, kind) = (command.status.as_deref(), command.kind.as_deref());
    let jobs = session
        .api
        .jobs(status.unwrap_or_default(), kind.unwrap_or_default(), command.limit)
        .await?;
    if output.json {
        return output.json_line(&jobs);
    }
    if jobs.is_empty() {
        output.note("there are no such jobs; those that are done are forgotten after a week");
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = jobs.iter().map(row).collect();
    output.table(&["JOB", "KIND", "STATUS", "TRIES", "AGE", "SUBJECT", "WHY"], &rows)
}

fn row(job: &Job) -> Vec<Cell> {
    let why = job.reason.as_ref().map_or("", |reason| reason.message.as_str());
    let why = match &job.step {
        Some(step) => format!("{step}: {why}"),
        None => why.to_owned(),
    };
    vec![
        job.id.to_string().into(),
        job.name.as_str().into(),
        Cell::tinted(tint(&job.status), job.status.as_str()),
        job.attempt.to_string().into(),
        age(&job.created_at).into(),
        job.subject.as_str().into(),
        why.into(),
    ]
}

fn closely(output: Output, detail: &JobDetail) -> Result<(), ClientError> {
    let job = &detail.job;
    let mut lines = vec![
        format!("job      {}", job.id),
        format!("kind     {}", clean(&job.name)),
        format!("subject  {}", clean(&job.subject)),
        format!("status   {}", output.paint(tint(&job.status), &job.status)),
        format!(
            "tries    {}, {} in vain since it was asked for",
            job.attempt, job.failures
        ),
    ];
    if let Some(since) = &job.failing_since {
        lines.push(format!("failing  for {}", age(since)));
    }
    if let Some(step) = &job.step {
        lines.push(format!("at step  {}", clean(step)));
    }
    if let Some(reason) = &job.reason {
        lines.push(format!("why      {}", clean(&reason.to_string())));
    }
    for entry in &detail.journal {
        lines.push(format!(
            "step     {} {} at {}",
            clean(&entry.step),
            clean(&entry.state),
            clean(&entry.at)
        ));
    }
    output.line(&lines.join("\n"))?;
    if matches!(job.status.as_str(), "dead" | "stuck") {
        output.note(&format!("`click-deploy jobs retry {}` tries it again at once", job.id));
    }
    Ok(())
}
