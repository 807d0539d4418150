//! What the server answered: a good thing, or a problem in its own words.

use std::error::Error as _;

use api::wire::Problem;
use reqwest::{Response, StatusCode, header};

use super::error::ClientError;

/// The answer when it is a good one, and the server's problem otherwise.
pub(crate) async fn accepted(response: Response, server: &str) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    if status.is_redirection() {
        let to = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("elsewhere");
        return Err(ClientError::Foreign {
            url: server.to_owned(),
            why: format!("it redirects to {to}; use that address"),
        });
    }
    let text = response.bytes().await.unwrap_or_default();
    Err(match serde_json::from_slice::<Problem>(&text) {
        // The number that travelled outside is the one that counts.
        Ok(problem) => ClientError::Refused(Box::new(Problem {
            status: status.as_u16(),
            ..problem
        })),
        Err(_) => ClientError::Foreign {
            url: server.to_owned(),
            why: format!("{status}, without an explanation"),
        },
    })
}

/// The cause at the bottom of a chain: `Connection refused` says more than `error sending request`.
pub(crate) fn innermost(cause: &reqwest::Error) -> String {
    if cause.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut deepest = cause.source();
    while let Some(next) = deepest.and_then(|error| error.source()) {
        deepest = Some(next);
    }
    deepest.map_or_else(|| cause.to_string(), ToString::to_string)
}
