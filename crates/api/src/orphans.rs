//! What nobody owns, for operators.

use axum::{Json, extract::State};

use crate::{
    Api,
    caller::Caller,
    convert,
    problem::Answer,
    wire::{Orphans, Problem},
};

/// What carries this installation's label and nobody owns any more, and when it is removed.
#[utoipa::path(get, path = "/v1/click-deploy/orphans", operation_id = "list_orphans", tag = "jobs",
    responses((status = 200, body = Orphans), (status = "4XX", body = Problem)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Answer<Json<Orphans>> {
    let found = api.engine.orphans(caller.organization).await?;
    Ok(Json(Orphans {
        items: found.into_iter().map(convert::orphan).collect(),
    }))
}
