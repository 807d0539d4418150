//! Parsing at the door: paths, queries, bodies and headers, with problems that say what is expected.

use std::str::FromStr;

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, header, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::problem::{Answer, Failure};

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::JsonDataError(error)) => {
                // The text is `Failed to deserialize …: field: message at line …`.
                let text = error.body_text();
                let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
                let text = text.rsplit_once(" at line ").map_or(text, |(message, _)| message);
                let (field, message) = text.split_once(": ").unwrap_or(("body", text));
                Err(Failure::field(field, message))
            }
            Err(error) => {
                let (status, code) = match error.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
                    }
                    _ => (StatusCode::BAD_REQUEST, "bad-json"),
                };
                Err(Failure::new(
                    status,
                    code,
                    "The body cannot be read",
                    format!("{}.", error.body_text()),
                ))
            }
        }
    }
}

/// Parts of the path, each of its own type.
pub(crate) struct In<T>(pub(crate) T);

fn part<T: FromStr>(what: &'static str, text: &str) -> Answer<T> {
    // What is no identity names nothing: a stranger learns no more from one form of it than from another.
    text.parse().map_err(|_| {
        Failure::missing(
            what,
            &domain::logs::clean_line(&text.chars().take(64).collect::<String>()),
        )
    })
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for In<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Failure::missing("resource", ""))?;
        Ok(Self(part("resource", &text)?))
    }
}

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for In2<A, B> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((first, second)) = path.map_err(|_| Failure::missing("resource", ""))?;
        Ok(Self(part("resource", &first)?, part("resource", &second)?))
    }
}

/// Two parts of the path.
pub(crate) struct In2<A, B>(pub(crate) A, pub(crate) B);

/// Named parameters.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(value) = query.map_err(|error| {
            Failure::new(
                StatusCode::BAD_REQUEST,
                "bad-query",
                "The query cannot be read",
                format!("{}.", error.body_text()),
            )
        })?;
        Ok(Self(value))
    }
}

/// The version that the caller saw, from `If-Match`.
pub(crate) struct IfMatch(pub(crate) Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let version = text
            .trim_matches('"')
            .parse()
            .map_err(|_| Failure::field("If-Match", "the `version` that you read"))?;
        Ok(Self(Some(version)))
    }
}

/// How lists are read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    limit: Option<i64>,
    #[serde(default)]
    pub(crate) cursor: String,
    #[serde(default)]
    pub(crate) name: String,
}

impl ListParameters {
    /// 1 to 200, 50 when nothing is said.
    pub(crate) fn limit(&self) -> i64 {
        self.limit.unwrap_or(50).clamp(1, 200)
    }
}
