//! The OpenAPI document, made from the handlers.

use axum::{http::header, response::IntoResponse};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Click-to-Deploy", description = "From a commit to a URL. Every error is a problem of RFC 9457 with a stable `code`."),
    paths(
        crate::caller::me,
        crate::projects::list, crate::projects::create, crate::projects::show, crate::projects::update, crate::projects::remove,
        crate::services::list, crate::services::create, crate::services::show, crate::services::update, crate::services::remove,
        crate::services::stop, crate::services::start, crate::services::restart, crate::services::make_deploy_key,
        crate::services::instances,
        crate::deployments::deploy, crate::deployments::roll_back, crate::deployments::upload, crate::deployments::list,
        crate::deployments::show, crate::deployments::cancel, crate::deployments::retry,
        crate::variables::list, crate::variables::set, crate::variables::update, crate::variables::remove,
        crate::variables::bulk, crate::variables::import, crate::variables::pending,
        crate::logs::build_page, crate::logs::build_stream, crate::logs::run_page, crate::logs::run_stream,
        crate::jobs::list, crate::jobs::show, crate::jobs::retry, crate::orphans::list, crate::processes::list,
        crate::health::alive, crate::health::ready, crate::metrics::show,
    ),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", scheme);
    }
}

/// The document, as it is served and committed.
#[must_use]
pub fn openapi_json() -> String {
    Document::openapi()
        .to_pretty_json()
        .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}

pub(crate) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json())
}
