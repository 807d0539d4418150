//! Services.

use axum::{Json, extract::State, http::StatusCode};
use domain::{ProjectId, ServiceId};
use engine::manage::ServiceChange;

use crate::{
    Api,
    caller::Caller,
    convert,
    extract::{Body, IfMatch, In, ListParameters, Parameters},
    problem::Answer,
    wire::{CreateService, Instance, Job, Page, Problem, Service, UpdateService},
};

/// The services of a project.
#[utoipa::path(get, path = "/v1/click-deploy/projects/{id}/services", operation_id = "list_services", tag = "services",
    params(("id" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query), ("name" = Option<String>, Query)),
    responses((status = 200, body = Page<Service>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    In(project): In<ProjectId>,
    Parameters(query): Parameters<ListParameters>,
) -> Answer<Json<Page<Service>>> {
    let found = api
        .engine
        .services(
            caller.organization,
            project,
            &query.cursor,
            &query.name,
            query.limit() + 1,
        )
        .await?;
    let services = found.into_iter().map(convert::service).collect();
    Ok(Json(convert::page(services, query.limit(), |service: &Service| {
        service.id.to_string()
    })))
}

/// Makes a service.
#[utoipa::path(post, path = "/v1/click-deploy/projects/{id}/services", operation_id = "create_service", tag = "services", request_body = CreateService,
    params(("id" = String, Path)), responses((status = 201, body = Service), (status = "4XX", body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    In(project): In<ProjectId>,
    Body(ask): Body<CreateService>,
) -> Answer<(StatusCode, Json<Service>)> {
    let view = api
        .engine
        .create_service(caller.organization, project, &ask.name, &ask.source, &ask.settings)
        .await?;
    Ok((StatusCode::CREATED, Json(convert::service(view))))
}

/// A service.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}", operation_id = "show_service", tag = "services",
    params(("id" = String, Path)), responses((status = 200, body = Service), (status = "4XX", body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, caller: Caller, In(id): In<ServiceId>) -> Answer<Json<Service>> {
    Ok(Json(convert::service(
        api.engine.service(caller.organization, id).await?,
    )))
}

/// Changes a service; what runs stays until the next deployment.
#[utoipa::path(patch, path = "/v1/click-deploy/services/{id}", operation_id = "update_service", tag = "services", request_body = UpdateService,
    params(("id" = String, Path)), responses((status = 200, body = Service), (status = "4XX", body = Problem)))]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
    IfMatch(version): IfMatch,
    Body(ask): Body<UpdateService>,
) -> Answer<Json<Service>> {
    let change = ServiceChange {
        name: ask.name,
        source: ask.source,
        settings: ask.settings,
    };
    Ok(Json(convert::service(
        api.engine
            .change_service(caller.organization, id, change, version)
            .await?,
    )))
}

/// Removes a service with its deployments, images and instances.
#[utoipa::path(delete, path = "/v1/click-deploy/services/{id}", operation_id = "remove_service", tag = "services",
    params(("id" = String, Path)), responses((status = 202, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
) -> Answer<(StatusCode, Json<Job>)> {
    accepted(api.engine.remove_service(caller.organization, id).await?)
}

/// Stops a service.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/stop", operation_id = "stop_service", tag = "services",
    params(("id" = String, Path)), responses((status = 202, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn stop(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
) -> Answer<(StatusCode, Json<Job>)> {
    accepted(api.engine.stop_service(caller.organization, id).await?)
}

/// Starts a stopped service with the deployment that ran last.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/start", operation_id = "start_service", tag = "services",
    params(("id" = String, Path)), responses((status = 202, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn start(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
) -> Answer<(StatusCode, Json<Job>)> {
    accepted(api.engine.start_service(caller.organization, id).await?)
}

/// Replaces the instances of a service by new ones of the same deployment.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/restart", operation_id = "restart_service", tag = "services",
    params(("id" = String, Path)), responses((status = 202, body = Job), (status = "4XX", body = Problem)))]
pub(crate) async fn restart(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
) -> Answer<(StatusCode, Json<Job>)> {
    accepted(api.engine.restart_service(caller.organization, id).await?)
}

/// Makes a new key with which the service reads its repository by SSH.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/deploy-key", operation_id = "make_deploy_key", tag = "services",
    params(("id" = String, Path)), responses((status = 201, body = Service), (status = "4XX", body = Problem)))]
pub(crate) async fn make_deploy_key(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
) -> Answer<(StatusCode, Json<Service>)> {
    let view = api.engine.make_deploy_key(caller.organization, id).await?;
    Ok((StatusCode::CREATED, Json(convert::service(view))))
}

/// The instances of a service, as the container engine sees them.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}/instances", operation_id = "list_instances", tag = "services",
    params(("id" = String, Path)), responses((status = 200, body = Page<Instance>), (status = "4XX", body = Problem)))]
pub(crate) async fn instances(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
) -> Answer<Json<Page<Instance>>> {
    let found = api.engine.instances(caller.organization, id).await?;
    Ok(Json(Page {
        items: found.into_iter().map(convert::instance).collect(),
        next_cursor: None,
    }))
}

fn accepted(job: engine::state::jobs::Job) -> Answer<(StatusCode, Json<Job>)> {
    Ok((StatusCode::ACCEPTED, Json(convert::job(job))))
}
