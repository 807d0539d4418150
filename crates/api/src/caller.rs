//! Who asks: a bearer token, known by its hash.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use domain::OrganizationId;

use crate::{
    Api,
    problem::{Answer, Failure},
    wire::Me,
};

/// The caller of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) organization: OrganizationId,
    organization_name: String,
    token_name: String,
}

/// How a token is kept: SHA-256, hexadecimal. A token has 256 random bits, so that no slow hash is needed.
#[must_use]
pub fn token_hash(token: &str) -> String {
    ring::digest::digest(&ring::digest::SHA256, token.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Answer<Self> {
        let header = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
        let Some(token) = token.map(str::trim).filter(|token| !token.is_empty()) else {
            return Err(Failure::unauthorized("Send an API token as `Authorization: Bearer …`."));
        };
        let owner = api.engine.world().store.token_owner(&token_hash(token)).await?;
        let owner = owner.ok_or_else(|| Failure::unauthorized("The token is not known here."))?;
        Ok(Self {
            organization: owner.organization,
            organization_name: owner.organization_name,
            token_name: owner.token_name,
        })
    }
}

/// Who the caller is.
#[utoipa::path(get, path = "/v1/click-deploy/auth/me", operation_id = "show_me", tag = "account", responses((status = 200, body = Me)))]
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    Json(Me {
        organization_id: caller.organization,
        organization: caller.organization_name,
        token: caller.token_name,
    })
}
