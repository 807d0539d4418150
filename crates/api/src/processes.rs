//! The processes of the platform, for operators.

use axum::{Json, extract::State};

use crate::{
    Api,
    caller::Caller,
    convert,
    problem::Answer,
    wire::{Problem, Processes},
};

/// The processes of this installation, and what each does for all. Other organizations than the first, the operator's, see none.
#[utoipa::path(get, path = "/v1/click-deploy/processes", operation_id = "list_processes", tag = "health",
    responses((status = 200, body = Processes), (status = "4XX", body = Problem)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Answer<Json<Processes>> {
    let found = api.engine.processes(caller.organization).await?;
    Ok(Json(Processes {
        items: found.into_iter().map(convert::process).collect(),
    }))
}
