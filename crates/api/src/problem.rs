//! The one place where errors become problems (RFC 9457). Every code has a page in `docs/problems/`.

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::wire::{FieldError, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A failed request.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
}

/// What a handler answers.
pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?", detail)
    }

    pub(crate) fn missing(what: &str, key: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "missing",
            "Not found",
            format!("There is no {what} `{key}`."),
        )
    }

    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    fn fields(errors: Vec<FieldError>) -> Self {
        let list: Vec<String> = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect();
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "invalid",
            title: "The request is not valid",
            detail: format!("{}.", list.join("; ")),
            errors,
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        use engine::Error as E;
        match error {
            E::Invalid(errors) => Self::fields(
                errors
                    .into_iter()
                    .map(|error| FieldError {
                        field: error.field,
                        message: error.message,
                    })
                    .collect(),
            ),
            E::Conflict { code, message } => Self::new(
                StatusCode::CONFLICT,
                code,
                "It does not fit how things are",
                sentence(&message),
            ),
            E::Gone { code, message } => {
                Self::new(StatusCode::GONE, code, "It is not kept any more", sentence(&message))
            }
            E::Unavailable { message, cause } => {
                tracing::warn!("unavailable: {message}: {cause:?}");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "A counterpart does not answer",
                    sentence(&message),
                )
            }
            E::Store(error) => error.into(),
        }
    }
}

impl From<engine::state::Error> for Failure {
    fn from(error: engine::state::Error) -> Self {
        use engine::state::Error as E;
        match error {
            E::Missing { what, key } => Self::missing(what, &key),
            E::Stale { what, .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "stale",
                "It was changed meanwhile",
                format!("The {what} was changed since you read it: read it again."),
            ),
            E::Taken { what } => Self::new(
                StatusCode::CONFLICT,
                "taken",
                "The name is taken",
                format!("There is a {what} of that name already."),
            ),
            E::Unavailable(cause) => {
                tracing::warn!("the database is unavailable: {cause}");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "A counterpart does not answer",
                    "The platform's database does not answer, or is too busy: try again in a moment.",
                )
            }
            other => {
                let cause = std::error::Error::source(&other)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                tracing::error!("the state failed: {other}: {cause}");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Something failed inside",
                    "The platform's log has the details, by the request id.",
                )
            }
        }
    }
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let mut sentence: String = characters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(characters)
        .collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("https://click-deploy.org/problems/{}", self.code),
            status: self.status.as_u16(),
            title: self.title.to_owned(),
            code: self.code.to_owned(),
            detail: self.detail,
            errors: self.errors,
            request_id: String::new(),
        };
        let mut response = (self.status, Json(&problem)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(problem);
        response
    }
}

/// Takes or makes the id of a request, returns it, and puts it into problems.
pub(crate) async fn with_request_id(mut request: Request, next: Next) -> Response {
    let fits = |value: &HeaderValue| {
        let text = value.as_bytes();
        !text.is_empty() && text.len() <= 64 && text.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    let id = match request.headers().get(&REQUEST_ID) {
        Some(value) if fits(value) => value.clone(),
        _ => HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string())
            .expect("hexadecimal digits are a header value"),
    };
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id.clone());
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = id.to_str().unwrap_or_default().to_owned();
        if let Ok(text) = serde_json::to_vec(&problem) {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(text);
        }
    }
    response
}

pub(crate) async fn no_such_route() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "no-such-route",
        "No such route",
        "The API has no such path; see /openapi.json.",
    )
}

pub(crate) async fn method_not_allowed() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "No such method",
        "The path does not take this method; see /openapi.json.",
    )
}

pub(crate) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something failed inside",
        "The platform's log has the details.",
    )
    .into_response()
}
