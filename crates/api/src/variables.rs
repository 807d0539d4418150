//! Environment variables of a service.

use axum::{Json, extract::State, http::StatusCode};
use domain::{ServiceId, names::VariableKey};
use engine::manage::VariableChange;

use crate::{
    Api,
    caller::Caller,
    convert,
    extract::{Body, In, In2},
    problem::{Answer, Failure},
    wire::{
        BulkVariables, ImportVariables, Pending, PendingVariable, Problem, SetVariable, UpdateVariable, Variable,
        Variables,
    },
};

/// The variables of a service; secrets without their value.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}/env", operation_id = "list_variables", tag = "environment",
    params(("id" = String, Path)), responses((status = 200, body = Variables), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
) -> Answer<Json<Variables>> {
    Ok(Json(convert::variables(
        api.engine.variables(caller.organization, service).await?,
    )))
}

/// Sets a variable.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/env", operation_id = "set_variable", tag = "environment", request_body = SetVariable,
    params(("id" = String, Path)), responses((status = 201, body = Variable), (status = "4XX", body = Problem)))]
pub(crate) async fn set(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
    Body(ask): Body<SetVariable>,
) -> Answer<(StatusCode, Json<Variable>)> {
    let key = ask.key.clone();
    let change = VariableChange {
        key: ask.key,
        value: ask.value,
        kind: Some(ask.kind),
    };
    let variables = api
        .engine
        .change_variables(caller.organization, service, vec![change], &[])
        .await?;
    Ok((StatusCode::CREATED, Json(only(variables, &key)?)))
}

/// Changes a variable that is there.
#[utoipa::path(patch, path = "/v1/click-deploy/services/{id}/env/{key}", operation_id = "update_variable", tag = "environment", request_body = UpdateVariable,
    params(("id" = String, Path), ("key" = String, Path)), responses((status = 200, body = Variable), (status = "4XX", body = Problem)))]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    In2(service, key): In2<ServiceId, VariableKey>,
    Body(ask): Body<UpdateVariable>,
) -> Answer<Json<Variable>> {
    let before = api.engine.variables(caller.organization, service).await?;
    if !before.iter().any(|variable| variable.key == key) {
        return Err(Failure::missing("variable", key.as_str()));
    }
    let change = VariableChange {
        key: key.clone(),
        value: ask.value,
        kind: ask.kind,
    };
    let variables = api
        .engine
        .change_variables(caller.organization, service, vec![change], &[])
        .await?;
    Ok(Json(only(variables, &key)?))
}

/// Removes a variable. Absence is success.
#[utoipa::path(delete, path = "/v1/click-deploy/services/{id}/env/{key}", operation_id = "remove_variable", tag = "environment",
    params(("id" = String, Path), ("key" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    In2(service, key): In2<ServiceId, VariableKey>,
) -> Answer<StatusCode> {
    api.engine
        .change_variables(caller.organization, service, Vec::new(), &[key])
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets and removes many variables, all or none.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/env/bulk", operation_id = "change_variables", tag = "environment", request_body = BulkVariables,
    params(("id" = String, Path)), responses((status = 200, body = Variables), (status = "4XX", body = Problem)))]
pub(crate) async fn bulk(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
    Body(ask): Body<BulkVariables>,
) -> Answer<Json<Variables>> {
    let change = |ask: SetVariable| VariableChange {
        key: ask.key,
        value: ask.value,
        kind: Some(ask.kind),
    };
    let set = ask.set.into_iter().map(change).collect();
    Ok(Json(convert::variables(
        api.engine
            .change_variables(caller.organization, service, set, &ask.remove)
            .await?,
    )))
}

/// Reads variables from `.env` text, all or none.
#[utoipa::path(post, path = "/v1/click-deploy/services/{id}/env/import", operation_id = "import_variables", tag = "environment", request_body = ImportVariables,
    params(("id" = String, Path)), responses((status = 200, body = Variables), (status = "4XX", body = Problem)))]
pub(crate) async fn import(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
    Body(ask): Body<ImportVariables>,
) -> Answer<Json<Variables>> {
    Ok(Json(convert::variables(
        api.engine
            .import_variables(caller.organization, service, &ask.text, ask.kind)
            .await?,
    )))
}

/// What the next deployment would change in what runs.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}/env/pending", operation_id = "show_pending", tag = "environment",
    params(("id" = String, Path)), responses((status = 200, body = Pending), (status = "4XX", body = Problem)))]
pub(crate) async fn pending(
    State(api): State<Api>,
    caller: Caller,
    In(service): In<ServiceId>,
) -> Answer<Json<Pending>> {
    let changes = api.engine.pending(caller.organization, service).await?;
    Ok(Json(Pending {
        pending: !changes.variables.is_empty() || !changes.settings.is_empty(),
        variables: changes
            .variables
            .into_iter()
            .map(|(key, change)| PendingVariable {
                key,
                change: change.to_owned(),
            })
            .collect(),
        settings: changes.settings,
    }))
}

fn only(variables: Vec<engine::state::variables::Variable>, key: &VariableKey) -> Answer<Variable> {
    let found = convert::variables(variables)
        .items
        .into_iter()
        .find(|variable| variable.key == *key);
    found.ok_or_else(|| Failure::missing("variable", key.as_str()))
}
