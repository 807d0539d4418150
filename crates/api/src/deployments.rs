//! Deployments.

use axum::{Json, body::Body as Bytes, extract::State, http::StatusCode};
use domain::{DeploymentId, ServiceId, UploadId};
use engine::manage::{DeploymentDetail, DeploymentRequest};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::{
    Api,
    caller::Caller,
    convert,
    extract::{Body, In, In2, ListParameters, Parameters},
    problem::{Answer, Failure},
    wire::{Deploy, Deployment, DeploymentSummary, Page, Problem},
};

fn accepted(detail: DeploymentDetail) -> Answer<(StatusCode, Json<Deployment>)> {
    Ok((StatusCode::ACCEPTED, Json(convert::deployment(detail))))
}

/// Deploys a service.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/deploy", operation_id = "deploy_service", tag = "deployments", request_body = Deploy,
    params(("id" = String, Path)), responses((status = 202, body = Deployment), (status = "4XX", body = Problem)))]
pub(crate) async fn deploy(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
    Body(ask): Body<Deploy>,
) -> Answer<(StatusCode, Json<Deployment>)> {
    let request = DeploymentRequest {
        commit: ask.commit,
        image_of: ask.image_of,
        no_cache: ask.no_cache,
        replace_running: ask.replace_running,
    };
    accepted(api.engine.deploy(caller.organization, id, &request).await?)
}

/// Deploys the image, variables and settings of an earlier deployment.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/rollback/{deployment_id}", operation_id = "roll_back_service", tag = "deployments",
    params(("id" = String, Path), ("deployment_id" = String, Path)), responses((status = 202, body = Deployment), (status = "4XX", body = Problem)))]
pub(crate) async fn roll_back(
    State(api): State<Api>,
    caller: Caller,
    In2(service, to): In2<ServiceId, DeploymentId>,
) -> Answer<(StatusCode, Json<Deployment>)> {
    accepted(api.engine.roll_back(caller.organization, service, to).await?)
}

/// How an upload is deployed.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadParameters {
    /// Build everything anew.
    #[serde(default)]
    no_cache: bool,
}

/// Uploads an archive (tar, tar.gz or zip) and deploys it.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/source", operation_id = "upload_source", tag = "deployments",
    params(("id" = String, Path), ("no_cache" = Option<bool>, Query)), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 202, body = Deployment), (status = "4XX", body = Problem)))]
pub(crate) async fn upload(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
    Parameters(query): Parameters<UploadParameters>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Deployment>)> {
    // Nothing is written for whoever may not deploy.
    api.engine.service_for_upload(caller.organization, service).await?;
    let upload = UploadId::mint();
    let path = api.engine.upload_path(upload);
    let limit = api.engine.world().settings.upload_limit_bytes;
    let received = match receive(body, &path, limit).await {
        Ok(received) => received,
        Err(failure) => {
            let _ = tokio::fs::remove_file(&path).await;
            return Err(failure);
        }
    };
    accepted(
        api.engine
            .deploy_upload(caller.organization, service, upload, received, query.no_cache)
            .await?,
    )
}

async fn receive(body: Bytes, path: &std::path::Path, limit: u64) -> Answer<u64> {
    let local = |error: std::io::Error| {
        tracing::error!("an upload could not be kept: {error}");
        Failure::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no-room",
            "The upload could not be kept",
            "Is the platform's disk full?",
        )
    };
    if let Some(directory) = path.parent() {
        tokio::fs::create_dir_all(directory).await.map_err(local)?;
    }
    let mut file = tokio::fs::File::create(path).await.map_err(local)?;
    let mut received = 0u64;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Failure::new(
                StatusCode::BAD_REQUEST,
                "upload-broke-off",
                "The upload broke off",
                format!("{error}."),
            )
        })?;
        received += chunk.len() as u64;
        if received > limit {
            return Err(Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The upload is too large",
                format!(
                    "An upload has at most {limit} bytes. Leave out what is built or downloaded, such as node_modules."
                ),
            ));
        }
        file.write_all(&chunk).await.map_err(local)?;
    }
    file.flush().await.map_err(local)?;
    Ok(received)
}

/// The deployments of a service, newest first.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}/deployments", operation_id = "list_deployments", tag = "deployments",
    params(("id" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<DeploymentSummary>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
    Parameters(query): Parameters<ListParameters>,
) -> Answer<Json<Page<DeploymentSummary>>> {
    let before = match query.cursor.as_str() {
        "" => i64::MAX,
        text => text
            .parse()
            .map_err(|_| Failure::field("cursor", "the `next_cursor` of the page before"))?,
    };
    let (found, current) = api
        .engine
        .deployments(caller.organization, service, before, query.limit() + 1)
        .await?;
    let summaries = found
        .iter()
        .map(|deployment| convert::summary(deployment, current == Some(deployment.id)))
        .collect();
    Ok(Json(convert::page(
        summaries,
        query.limit(),
        |summary: &DeploymentSummary| summary.number.to_string(),
    )))
}

/// A deployment with its phases, steps and facts.
#[utoipa::path(get, path = "/v1/click-deploy/deployments/{id}", operation_id = "show_deployment", tag = "deployments",
    params(("id" = String, Path)), responses((status = 200, body = Deployment), (status = "4XX", body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, caller: Caller, In(id): In<DeploymentId>) -> Answer<Json<Deployment>> {
    Ok(Json(convert::deployment(
        api.engine.deployment(caller.organization, id).await?,
    )))
}

/// Cancels a deployment.
#[utoipa::path(post, path = "/v1/click-deploy/deployments/{id}/cancel", operation_id = "cancel_deployment", tag = "deployments",
    params(("id" = String, Path)), responses((status = 202, body = Deployment), (status = "4XX", body = Problem)))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<DeploymentId>,
) -> Answer<(StatusCode, Json<Deployment>)> {
    accepted(api.engine.cancel(caller.organization, id).await?)
}

/// Tries a deployment that is over again: a new deployment of the same commit.
#[utoipa::path(post, path = "/v1/click-deploy/deployments/{id}/retry", operation_id = "retry_deployment", tag = "deployments",
    params(("id" = String, Path)), responses((status = 202, body = Deployment), (status = "4XX", body = Problem)))]
pub(crate) async fn retry(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<DeploymentId>,
) -> Answer<(StatusCode, Json<Deployment>)> {
    accepted(api.engine.retry(caller.organization, id).await?)
}
