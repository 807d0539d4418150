//! A page on which the OpenAPI document is read and tried: Swagger UI, whose files are in the executable. Nothing of it
//! comes from anywhere else.

use std::sync::{Arc, LazyLock};

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use utoipa_swagger_ui::Config;

use crate::problem;

/// What the page may load: its own files, and the styles that it writes into itself. Requests go to this server alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The token that someone enters is kept by the page alone, until it is closed.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(
        Config::from("/openapi.json")
            .persist_authorization(false)
            .display_request_duration(true)
            .use_base_layout()
            .doc_expansion("none")
            .filter(true),
    )
});

/// `/docs`: the page's own links are relative to a folder.
pub(crate) async fn to_folder() -> Redirect {
    Redirect::permanent("/docs/")
}

/// `/docs/`.
pub(crate) async fn page() -> Response {
    file("").await
}

/// `/docs/{file}`.
pub(crate) async fn part(Path(name): Path<String>) -> Response {
    file(&name).await
}

async fn file(name: &str) -> Response {
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).unwrap_or_else(|error| {
        tracing::error!("a file of the explorer cannot be read: {error}");
        None
    });
    match found {
        Some(file) => (
            [
                (header::CONTENT_TYPE, file.content_type),
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.to_owned()),
            ],
            file.bytes.into_owned(),
        )
            .into_response(),
        None => problem::no_such_route().await.into_response(),
    }
}
