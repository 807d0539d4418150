//! HTTP in and out: routes, problems, OpenAPI, WebSockets. A handler parses, calls the engine, and answers.

mod caller;
mod closing;
mod convert;
mod deployments;
mod document;
mod explorer;
mod extract;
mod health;
mod idempotency;
mod jobs;
mod leftover;
mod logs;
mod metrics;
mod orphans;
mod problem;
mod processes;
mod projects;
mod services;
mod variables;
pub mod wire;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, header},
    middleware,
    routing::{get, patch, post},
};
use engine::Engine;
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, trace::TraceLayer};

pub use caller::token_hash;
pub use closing::Closing;
pub use document::openapi_json;

/// Where all routes of the API begin.
pub const BASE: &str = "/v1/click-deploy";
/// The most bytes of a JSON body.
pub(crate) const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    pub(crate) engine: Engine,
    pub(crate) closing: Closing,
    pub(crate) readiness: Arc<tokio::sync::Mutex<Option<(std::time::Instant, wire::Readiness)>>>,
}

impl Api {
    /// Over this engine, until it is closed.
    #[must_use]
    pub fn new(engine: Engine, closing: Closing) -> Self {
        Self {
            engine,
            closing,
            readiness: Arc::default(),
        }
    }

    /// Serves until it is closed, and then until the requests under way are answered and the WebSockets are told.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: tokio::net::TcpListener) -> std::io::Result<()> {
        let (closing, closed) = (self.closing.clone(), self.closing.clone());
        let serving = axum::serve(listener, self.router());
        serving
            .with_graceful_shutdown(async move { closed.closed().await })
            .await?;
        closing.streams_ended().await;
        Ok(())
    }

    /// The routes.
    pub fn router(self) -> Router {
        let routes = Router::new()
            .route("/auth/me", get(caller::me))
            .route("/projects", get(projects::list).post(projects::create))
            .route(
                "/projects/{id}",
                get(projects::show).patch(projects::update).delete(projects::remove),
            )
            .route("/projects/{id}/services", get(services::list).post(services::create))
            .route(
                "/services/{id}",
                get(services::show).patch(services::update).delete(services::remove),
            )
            .route("/services/{id}/deploy", post(deployments::deploy))
            .route("/services/{id}/rollback/{deployment_id}", post(deployments::roll_back))
            .route(
                "/services/{id}/source",
                post(deployments::upload).layer(DefaultBodyLimit::disable()),
            )
            .route("/services/{id}/stop", post(services::stop))
            .route("/services/{id}/start", post(services::start))
            .route("/services/{id}/restart", post(services::restart))
            .route("/services/{id}/deploy-key", post(services::make_deploy_key))
            .route("/services/{id}/instances", get(services::instances))
            .route("/services/{id}/deployments", get(deployments::list))
            .route("/services/{id}/logs", get(logs::run_page))
            .route("/services/{id}/logs/stream", get(logs::run_stream))
            .route("/services/{id}/env", get(variables::list).post(variables::set))
            .route("/services/{id}/env/bulk", post(variables::bulk))
            .route("/services/{id}/env/import", post(variables::import))
            .route("/services/{id}/env/pending", get(variables::pending))
            .route(
                "/services/{id}/env/{key}",
                patch(variables::update).delete(variables::remove),
            )
            .route("/deployments/{id}", get(deployments::show))
            .route("/deployments/{id}/cancel", post(deployments::cancel))
            .route("/deployments/{id}/retry", post(deployments::retry))
            .route("/deployments/{id}/logs", get(logs::build_page))
            .route("/deployments/{id}/logs/stream", get(logs::build_stream))
            .route("/jobs", get(jobs::list))
            .route("/orphans", get(orphans::list))
            .route("/processes", get(processes::list))
            .route("/jobs/{id}", get(jobs::show))
            .route("/jobs/{id}/retry", post(jobs::retry))
            .layer(middleware::from_fn_with_state(self.clone(), idempotency::honour));
        let header_value = |name: &'static str, value: &'static str| {
            SetResponseHeaderLayer::overriding(HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Router::new()
            .nest(BASE, routes)
            .route("/health", get(health::alive))
            .route("/health/ready", get(health::ready))
            .route("/metrics", get(metrics::show))
            .route("/openapi.json", get(document::serve))
            .route("/docs", get(explorer::to_folder))
            .route("/docs/", get(explorer::page))
            .route("/docs/{file}", get(explorer::part))
            .fallback(problem::no_such_route)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(CatchPanicLayer::custom(problem::panicked))
            .layer(middleware::from_fn_with_state(self.clone(), closing::say))
            .layer(middleware::from_fn(leftover::read))
            .layer(middleware::from_fn(problem::with_request_id))
            .layer(header_value("x-content-type-options", "nosniff"))
            .layer(header_value("x-frame-options", "DENY"))
            .layer(header_value("referrer-policy", "no-referrer"))
            .layer(SetResponseHeaderLayer::if_not_present(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
            ))
            .layer(SetResponseHeaderLayer::if_not_present(
                header::CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ))
            .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
                let route = request
                    .extensions()
                    .get::<MatchedPath>()
                    .map_or("", MatchedPath::as_str);
                tracing::debug_span!("request", http.method = %request.method(), http.route = route)
            }))
            .with_state(self)
    }
}

/// How long an answer about readiness is good for.
pub(crate) const READINESS_KEPT: Duration = Duration::from_secs(1);
