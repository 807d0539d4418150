//! `Idempotency-Key` on POST: a repeated request is answered as the first one was, and does nothing again.

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use engine::state::idempotency::Known;

use crate::{
    Api, BODY_LIMIT,
    caller::{Caller, token_hash},
    problem::{Answer, Failure},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Answers a repeated request from memory, and remembers the answers of the others.
pub(crate) async fn honour(State(api): State<Api>, request: Request, next: Next) -> Response {
    match answered(&api, request, next).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn answered(api: &Api, request: Request, next: Next) -> Answer<Response> {
    let Some(key) = request
        .headers()
        .get(&KEY)
        .cloned()
        .filter(|_| request.method() == Method::POST)
    else {
        return Ok(next.run(request).await);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
    let key = key
        .ok_or_else(|| Failure::field("Idempotency-Key", "1 to 255 visible ASCII characters"))?
        .to_owned();
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, api).await?;
    // An upload is too large to be kept for a comparison: its key stands for its path alone.
    let streamed = parts.uri.path().ends_with("/source");
    let (body, digest) = if streamed {
        (body, String::new())
    } else {
        let bytes = to_bytes(body, BODY_LIMIT).await.map_err(|_| {
            Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                format!("At most {BODY_LIMIT} bytes."),
            )
        })?;
        let digest = token_hash(&String::from_utf8_lossy(&bytes));
        (Body::from(bytes), digest)
    };
    let digest = token_hash(&format!("{} {digest}", parts.uri.path()));
    let store = &api.engine.world().store;
    match store.take_idempotency_key(caller.organization, &key, &digest).await? {
        Known::New => {}
        Known::UnderWay => {
            return Err(Failure::new(
                StatusCode::CONFLICT,
                "request-under-way",
                "The first request is under way",
                "A request with this Idempotency-Key is being answered: ask again in a moment.",
            ));
        }
        Known::Other => {
            return Err(Failure::field(
                "Idempotency-Key",
                "another request used this key: take a new one for each request",
            ));
        }
        Known::Answered { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let kind = if status.is_success() {
                "application/json"
            } else {
                "application/problem+json"
            };
            let mut response = (status, body).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            response
                .headers_mut()
                .insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // What failed on our side may be tried again with the same key.
    let kept = (!parts.status.is_server_error()).then_some((parts.status.as_u16(), &bytes[..]));
    store.answer_idempotency_key(caller.organization, &key, kept).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}
