//! Whether the platform lives, and whether it can work.

use std::time::{Duration, Instant};

use axum::{Json, extract::State, http::StatusCode};

use crate::{
    Api, READINESS_KEPT,
    wire::{Dependency, Readiness},
};

/// How long a counterpart has to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A queue is late when a job that is due has waited for longer.
const LATE_SECONDS: i64 = 5 * 60;

/// The process lives, and takes requests: 503 when it was told to stop.
#[utoipa::path(get, path = "/health", operation_id = "show_health", tag = "health",
    responses((status = 200), (status = 503)))]
pub(crate) async fn alive(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.closing.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn ask<E: std::fmt::Display>(
    name: &str,
    mend: &str,
    answer: impl Future<Output = Result<String, E>>,
) -> Dependency {
    let (ready, detail) = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(version)) => (true, version),
        Ok(Err(error)) => (false, format!("{error}. {mend}")),
        Err(_) => (
            false,
            format!("It does not answer within {} s. {mend}", PATIENCE.as_secs()),
        ),
    };
    Dependency {
        name: name.to_owned(),
        ready,
        detail,
    }
}

/// Every dependency by name. Needs no token, and so says nothing that a stranger may not know.
#[utoipa::path(get, path = "/health/ready", operation_id = "show_readiness", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let mut kept = api.readiness.lock().await;
    let readiness = match kept.as_ref() {
        Some((at, readiness)) if at.elapsed() < READINESS_KEPT => readiness.clone(),
        _ => {
            let fresh = look(&api).await;
            *kept = Some((Instant::now(), fresh.clone()));
            fresh
        }
    };
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}

async fn look(api: &Api) -> Readiness {
    let world = api.engine.world();
    let database = async {
        world
            .store
            .ping()
            .await
            .map(|()| world.store.location().product().to_owned())
    };
    let (database, engine, builder, images, proxy) = futures_util::join!(
        ask(
            "database",
            "Check DATABASE_URL, the database server and the disk.",
            database
        ),
        ask(
            "engine",
            "Start Docker Engine, or set DOCKER_HOST.",
            world.infrastructure.version()
        ),
        ask(
            "builder",
            "Start Docker Engine, or the buildkitd of BUILDKIT_HOST.",
            world.builder.version()
        ),
        ask(
            "images",
            "Start Docker Engine, or the registry of REGISTRY_URL.",
            world.images.version()
        ),
        ask(
            "proxy",
            "Start the proxy, or set PROXY_ADMIN_URL.",
            world.router.version()
        ),
    );
    let mut dependencies = vec![database, engine, builder, images, proxy];
    let ready = dependencies.iter().all(|dependency| dependency.ready);
    // A queue that is late is looked into through this very API: it does not take it out of service.
    let queue = ask("queue", "See docs/operations/queue.md.", queue(api)).await;
    let degraded = !queue.ready;
    dependencies.push(queue);
    Readiness {
        ready,
        degraded,
        dependencies,
    }
}

/// How long the oldest due job has waited.
async fn queue(api: &Api) -> Result<String, String> {
    let kinds = api
        .engine
        .world()
        .store
        .queue()
        .await
        .map_err(|error| error.to_string())?;
    let since = kinds.values().filter_map(|figures| figures.due_since_ms).min();
    let Some(since) = since else {
        return Ok("no job is late".to_owned());
    };
    let seconds = (jiff::Timestamp::now().as_millisecond() - since).max(0) / 1000;
    let text = format!("the oldest job that is due has waited for {seconds} s");
    if seconds > LATE_SECONDS { Err(text) } else { Ok(text) }
}
