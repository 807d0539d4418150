//! Background work, for operators.

use axum::{Json, extract::State};
use domain::JobId;
use serde::Deserialize;

use crate::{
    Api,
    caller::Caller,
    convert,
    extract::{In, Parameters},
    problem::{Answer, Failure},
    wire::{Job, JobDetail, Page, Problem},
};

/// Every status of a job.
const STATUSES: [&str; 6] = ["waiting", "running", "stuck", "done", "failed", "dead"];

/// Which jobs are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobParameters {
    limit: Option<i64>,
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    kind: String,
}

/// Jobs, newest first.
#[utoipa::path(get, path = "/v1/click-deploy/jobs", operation_id = "list_jobs", tag = "jobs",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "`waiting`, `running`, `stuck`, `done`, `failed` or `dead`"),
        ("kind" = Option<String>, Query, description = "A job's `name`, such as `deploy`")),
    responses((status = 200, body = Page<Job>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(query): Parameters<JobParameters>,
) -> Answer<Json<Page<Job>>> {
    if !query.status.is_empty() && !STATUSES.contains(&query.status.as_str()) {
        return Err(Failure::field("status", format!("one of {}", STATUSES.join(", "))));
    }
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let found = api
        .engine
        .jobs(
            caller.organization,
            &query.kind,
            &query.status,
            &query.cursor,
            limit + 1,
        )
        .await?;
    let jobs = found.into_iter().map(convert::job).collect();
    Ok(Json(convert::page(jobs, limit, |job: &Job| job.id.to_string())))
}

/// A job, with how far each step of it is.
#[utoipa::path(get, path = "/v1/click-deploy/jobs/{id}", operation_id = "show_job", tag = "jobs",
    params(("id" = String, Path)), responses((status = 200, body = JobDetail), (status = "4XX", body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, caller: Caller, In(id): In<JobId>) -> Answer<Json<JobDetail>> {
    let (job, journal) = api.engine.job_with_journal(caller.organization, id).await?;
    Ok(Json(JobDetail {
        job: convert::job(job),
        journal: journal.into_iter().map(convert::journal_entry).collect(),
    }))
}

/// Asks for a dead or stuck job again, at once. It goes on where its journal ends.
#[utoipa::path(post, path = "/v1/click-deploy/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs",
    params(("id" = String, Path)), responses((status = 200, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn retry(State(api): State<Api>, caller: Caller, In(id): In<JobId>) -> Answer<Json<Job>> {
    let job = api.engine.retry_job(caller.organization, id).await?;
    Ok(Json(convert::job(job)))
}
