//! Background work, for operators.

use axum::{Json, extract::State};
use domain::JobId;

use crate::{
    Api,
    caller::Caller,
    convert,
    extract::{In, ListParameters, Parameters},
    problem::Answer,
    wire::{Job, Page, Problem},
};

/// Jobs, newest first.
#[utoipa::path(get, path = "/v1/click-deploy/jobs", operation_id = "list_jobs", tag = "jobs",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Job>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(query): Parameters<ListParameters>,
) -> Answer<Json<Page<Job>>> {
    let found = api
        .engine
        .jobs(caller.organization, &query.cursor, query.limit() + 1)
        .await?;
    let jobs = found.into_iter().map(convert::job).collect();
    Ok(Json(convert::page(jobs, query.limit(), |job: &Job| job.id.to_string())))
}

/// A job.
#[utoipa::path(get, path = "/v1/click-deploy/jobs/{id}", operation_id = "show_job", tag = "jobs",
    params(("id" = String, Path)), responses((status = 200, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, caller: Caller, In(id): In<JobId>) -> Answer<Json<Job>> {
    Ok(Json(convert::job(api.engine.job(caller.organization, id).await?)))
}
