//! Projects.

use axum::{Json, extract::State, http::StatusCode};
use domain::ProjectId;

use crate::{
    Api,
    caller::Caller,
    convert,
    extract::{Body, IfMatch, In, ListParameters, Parameters},
    problem::Answer,
    wire::{CreateProject, Job, Page, Problem, Project, ProjectDetail, UpdateProject},
};

/// The projects of the organization.
#[utoipa::path(get, path = "/v1/click-deploy/projects", operation_id = "list_projects", tag = "projects",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query), ("name" = Option<String>, Query)),
    responses((status = 200, body = Page<Project>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(query): Parameters<ListParameters>,
) -> Answer<Json<Page<Project>>> {
    let found = api
        .engine
        .projects(caller.organization, &query.cursor, &query.name, query.limit() + 1)
        .await?;
    let projects = found.into_iter().map(convert::project).collect();
    Ok(Json(convert::page(projects, query.limit(), |project: &Project| {
        project.id.to_string()
    })))
}

/// Makes a project.
#[utoipa::path(post, path = "/v1/click-deploy/projects", operation_id = "create_project", tag = "projects", request_body = CreateProject,
    responses((status = 201, body = Project), (status = "4XX", body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(ask): Body<CreateProject>,
) -> Answer<(StatusCode, Json<Project>)> {
    let project = api.engine.create_project(caller.organization, &ask.name).await?;
    Ok((StatusCode::CREATED, Json(convert::project(project))))
}

/// A project and its services.
#[utoipa::path(get, path = "/v1/click-deploy/projects/{id}", operation_id = "show_project", tag = "projects",
    params(("id" = String, Path)), responses((status = 200, body = ProjectDetail), (status = "4XX", body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, caller: Caller, In(id): In<ProjectId>) -> Answer<Json<ProjectDetail>> {
    let project = convert::project(api.engine.project(caller.organization, id).await?);
    let services = api.engine.services(caller.organization, id, "", "", 10_000).await?;
    Ok(Json(ProjectDetail {
        project,
        services: services.into_iter().map(convert::service).collect(),
    }))
}

/// Renames a project.
#[utoipa::path(patch, path = "/v1/click-deploy/projects/{id}", operation_id = "update_project", tag = "projects", request_body = UpdateProject,
    params(("id" = String, Path)), responses((status = 200, body = Project), (status = "4XX", body = Problem)))]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ProjectId>,
    IfMatch(version): IfMatch,
    Body(ask): Body<UpdateProject>,
) -> Answer<Json<Project>> {
    Ok(Json(convert::project(
        api.engine
            .rename_project(caller.organization, id, &ask.name, version)
            .await?,
    )))
}

/// Removes a project with all that is in it.
#[utoipa::path(delete, path = "/v1/click-deploy/projects/{id}", operation_id = "remove_project", tag = "projects",
    params(("id" = String, Path)), responses((status = 202, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ProjectId>,
) -> Answer<(StatusCode, Json<Job>)> {
    let job = api.engine.remove_project(caller.organization, id).await?;
    Ok((StatusCode::ACCEPTED, Json(convert::job(job))))
}
