//! Figures for a monitoring system, as OpenMetrics text (which Prometheus reads).

use std::sync::atomic::AtomicU64;

use axum::{extract::State, http::header, response::IntoResponse};
use engine::state::kinds::KINDS;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{Api, caller::Caller, problem::Answer, wire::Problem};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// The queue of all organizations by kind, and what became of jobs since this process began. It names no tenant, and needs a
/// token all the same: how busy an installation is is nothing for strangers.
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "health",
    responses((status = 200, content_type = "application/openmetrics-text", body = String), (status = "4XX", body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, _caller: Caller) -> Answer<impl IntoResponse> {
    let world = api.engine.world();
    let jobs = Family::<Labels, Gauge>::default();
    let due = Family::<Labels, Gauge>::default();
    let ended = Family::<Labels, Counter<u64, AtomicU64>>::default();
    for kind in KINDS {
        for status in ["waiting", "running", "stuck", "dead"] {
            jobs.get_or_create(&labels(kind.name, Some(("status", status)))).set(0);
        }
        due.get_or_create(&labels(kind.name, None)).set(0);
    }
    let now_ms = jiff::Timestamp::now().as_millisecond();
    for (name, figures) in world.store.queue().await? {
        // A kind of another version may be anything.
        let known = KINDS.iter().find(|kind| kind.name == name);
        let name = known.map_or("unknown", |kind| kind.name);
        for (status, number) in [
            ("waiting", figures.waiting),
            ("running", figures.running),
            ("stuck", figures.stuck),
            ("dead", figures.dead),
        ] {
            jobs.get_or_create(&labels(name, Some(("status", status))))
                .inc_by(number);
        }
        let seconds = figures.due_since_ms.map_or(0, |since| (now_ms - since).max(0) / 1000);
        let oldest = due.get_or_create(&labels(name, None));
        oldest.set(oldest.get().max(seconds));
    }
    for ((kind, outcome), number) in world.counters.read() {
        ended
            .get_or_create(&labels(&kind, Some(("outcome", outcome))))
            .inc_by(number);
    }
    let mut registry = Registry::with_prefix("click_deploy");
    registry.register(
        "jobs",
        "Jobs that are not over, and dead ones, of all organizations",
        jobs,
    );
    registry.register(
        "jobs_oldest_due_seconds",
        "How long the oldest job has waited that could have been worked on",
        due,
    );
    registry.register(
        "jobs_tried",
        "How the tries of this process at jobs ended since it began",
        ended,
    );
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes any text");
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

fn labels(kind: &str, other: Option<(&'static str, &str)>) -> Labels {
    let mut labels = vec![("kind", kind.to_owned())];
    labels.extend(other.map(|(name, value)| (name, value.to_owned())));
    labels
}
