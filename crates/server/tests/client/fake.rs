//! A server that answers as the platform does, from memory, and misbehaves when told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        Path, Query, Request, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::run::TOKEN;

/// How the live log misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Streams {
    /// Not at all.
    #[default]
    Good,
    /// Connections are cut at any place, lines come again, lines are left out, handshakes fail.
    Cut,
    /// A proxy before the server does not pass WebSockets.
    Refused,
}

/// What the server knows and how it behaves.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) projects: Vec<Value>,
    pub(crate) services: Vec<Value>,
    pub(crate) deployments: Vec<Value>,
    pub(crate) variables: BTreeMap<String, Value>,
    pub(crate) uploads: Vec<Vec<u8>>,
    /// `METHOD path` of every request below the base path, with its `If-Match`.
    pub(crate) asked: Vec<String>,
    /// The whole log of every deployment, and how much of it is written yet.
    pub(crate) lines: Vec<Value>,
    pub(crate) written: usize,
    /// The log is written while it is followed, from its first line on.
    pub(crate) growing: bool,
    /// How every deployment ends; never when empty.
    pub(crate) ending: String,
    pub(crate) reason: Option<Value>,
    /// Answers instead of ours, each given once: by `METHOD path`.
    pub(crate) canned: HashMap<String, Vec<(u16, Value)>>,
    pub(crate) streams: Streams,
    pub(crate) connections: usize,
    random: u64,
}

impl World {
    fn random(&mut self, below: u64) -> u64 {
        // Knuth's MMIX generator: repeatable, and good enough to cut connections.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn over(&self) -> bool {
        self.written >= self.lines.len() && !self.ending.is_empty()
    }
}

type Shared = Arc<Mutex<World>>;

/// A running fake.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) world: Shared,
}

/// An id of a kind with a number in it.
pub(crate) fn id(prefix: &str, number: usize) -> String {
    format!("{prefix}_{number:032x}")
}

/// A line of a log.
pub(crate) fn line(sequence: usize, message: &str) -> Value {
    json!({"sequence": sequence, "at": "2026-01-02T03:04:05Z", "phase": "build", "level": "info", "origin": "", "message": message})
}

/// A problem as the server says it.
pub(crate) fn problem(status: u16, code: &str, detail: &str) -> (u16, Value) {
    (
        status,
        json!({"type": "about:blank", "status": status, "title": code, "code": code, "detail": detail, "request_id": "req_1"}),
    )
}

impl Fake {
    /// Starts one whose deployments go live after a few lines.
    pub(crate) async fn start() -> Self {
        let world = World {
            lines: (1..=3).map(|n| line(n, &format!("line {n}"))).collect(),
            ending: "live".to_owned(),
            random: 42,
            ..World::default()
        };
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(world.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, world }
    }

    /// Changes how it behaves.
    pub(crate) fn set(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    /// Answers this once, instead of what it would.
    pub(crate) fn answer(&self, what: &str, answer: (u16, Value)) {
        self.set(|world| world.canned.entry(what.to_owned()).or_default().push(answer));
    }

    /// How often something was asked.
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.world
            .lock()
            .unwrap()
            .asked
            .iter()
            .filter(|one| one.starts_with(what))
            .count()
    }

    /// Has a project and a service with deployments of these statuses, oldest first; the last live one is current.
    pub(crate) fn deployed(&self, statuses: &[&str]) {
        self.set(|world| {
            add_project(world, "default");
            add_service(world, "app", &json!({"kind": "upload", "root_directory": ""}));
            for status in statuses {
                add_deployment(world);
                world.deployments.last_mut().unwrap()["status"] = json!(status);
            }
            if let Some(current) = world.deployments.iter_mut().rfind(|one| one["status"] == "live") {
                current["current"] = json!(true);
                world.services[0]["current_deployment_id"] = current["id"].clone();
            }
        });
    }
}

fn add_project(world: &mut World, name: &str) -> Value {
    let project = json!({"id": id("prj", world.projects.len() + 1), "name": name, "version": 1, "created_at": "2026-01-01T00:00:00Z"});
    world.projects.push(project.clone());
    project
}

fn add_service(world: &mut World, name: &str, source: &Value) -> Value {
    let service = json!({
        "id": id("svc", world.services.len() + 1), "project_id": id("prj", 1), "name": name,
        "host": "app1234.localhost", "url": "http://app1234.localhost:8080", "status": "live", "source": source,
        "settings": {}, "current_deployment_id": null, "latest_deployment": null, "version": 1,
        "created_at": "2026-01-01T00:00:00Z",
    });
    world.services.push(service.clone());
    service
}

fn add_deployment(world: &mut World) -> Value {
    let number = world.deployments.len() + 1;
    let deployment = json!({
        "id": id("dep", number), "service_id": id("svc", 1), "number": number, "status": "queued", "current": false,
        "trigger": "manual", "commit": null, "commit_message": null, "commit_author": null, "cancel_requested": false,
        "created_at": "2026-01-01T00:00:00Z", "finished_at": null, "url": "http://app1234.localhost:8080",
        "phases": [], "steps": [], "settings": {}, "environment": [],
    });
    world.deployments.push(deployment.clone());
    deployment
}

fn page(items: Vec<Value>) -> Response {
    Json(json!({"items": items})).into_response()
}

fn router(world: Shared) -> Router {
    let v1 = Router::new()
        .route(
            "/auth/me",
            get(|| async { Json(json!({"organization_id": id("org", 1), "organization": "acme", "token": "ci"})) }),
        )
        .route("/projects", get(list_projects).post(create_project))
        .route("/projects/{id}/services", get(list_services).post(create_service))
        .route("/services/{id}", get(one_service).patch(change_service))
        .route("/services/{id}/deploy", post(deploy))
        .route("/services/{id}/rollback/{to}", post(deploy))
        .route("/services/{id}/source", post(upload))
        .route("/services/{id}/deployments", get(list_deployments))
        .route("/services/{id}/env/bulk", post(variables))
        .route("/services/{id}/{verb}", post(job))
        .route("/services/{id}/logs", get(logs))
        .route(
            "/jobs/{id}",
            get(|Path(id): Path<String>| async move { Json(a_job(&id, "done")) }),
        )
        .route("/deployments/{id}", get(one_deployment))
        .route("/deployments/{id}/cancel", post(cancel))
        .route("/deployments/{id}/logs", get(logs))
        .route("/deployments/{id}/logs/stream", get(stream))
        .layer(middleware::from_fn_with_state(world.clone(), gate));
    Router::new()
        .nest("/v1/click-deploy", v1)
        .route("/health/ready", get(ready))
        .with_state(world)
}

async fn ready() -> Response {
    let dependencies = json!([
        {"name": "database", "ready": true, "detail": "SQLite 3"},
        {"name": "engine", "ready": false, "detail": "no socket; start Docker Engine"}]);
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({"ready": false, "dependencies": dependencies})),
    )
        .into_response()
}

/// Looks at the token, notes what is asked, and gives canned answers.
async fn gate(State(world): State<Shared>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches("/v1/click-deploy").to_owned();
    let what = format!("{} {path}", request.method());
    let canned = {
        let mut world = world.lock().unwrap();
        let version = headers
            .get("if-match")
            .map(|value| format!(" {}", value.to_str().unwrap()))
            .unwrap_or_default();
        world.asked.push(format!("{what}{version}"));
        match world.canned.get_mut(&what) {
            Some(answers) if !answers.is_empty() => Some(answers.remove(0)),
            _ => None,
        }
    };
    let authorized = headers
        .get("authorization")
        .is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    let (status, body) = match canned {
        Some(answer) => answer,
        None if authorized => return next.run(request).await,
        None => problem(401, "unauthorized", "this token is not known"),
    };
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn list_projects(State(world): State<Shared>) -> Response {
    page(world.lock().unwrap().projects.clone())
}

async fn create_project(State(world): State<Shared>, Json(ask): Json<Value>) -> Response {
    let project = add_project(&mut world.lock().unwrap(), ask["name"].as_str().unwrap());
    (StatusCode::CREATED, Json(project)).into_response()
}

async fn list_services(State(world): State<Shared>) -> Response {
    page(world.lock().unwrap().services.clone())
}

async fn create_service(State(world): State<Shared>, Json(ask): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    add_service(&mut world, ask["name"].as_str().unwrap(), &ask["source"]);
    world.services.last_mut().unwrap()["settings"] = ask["settings"].clone();
    (StatusCode::CREATED, Json(world.services.last().cloned())).into_response()
}

fn missing() -> Response {
    let (status, body) = problem(404, "missing", "there is no such thing");
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn one_service(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let world = world.lock().unwrap();
    world
        .services
        .iter()
        .find(|one| one["id"] == id.as_str())
        .map_or_else(missing, |one| Json(one.clone()).into_response())
}

async fn change_service(State(world): State<Shared>, Path(id): Path<String>, Json(ask): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    let Some(service) = world.services.iter_mut().find(|one| one["id"] == id.as_str()) else {
        return missing();
    };
    for name in ["source", "settings"] {
        if !ask[name].is_null() {
            service[name] = ask[name].clone();
        }
    }
    service["version"] = json!(service["version"].as_i64().unwrap() + 1);
    Json(service.clone()).into_response()
}

async fn deploy(State(world): State<Shared>) -> Response {
    (StatusCode::ACCEPTED, Json(add_deployment(&mut world.lock().unwrap()))).into_response()
}

async fn upload(State(world): State<Shared>, body: Bytes) -> Response {
    let mut world = world.lock().unwrap();
    world.uploads.push(body.to_vec());
    (StatusCode::ACCEPTED, Json(add_deployment(&mut world))).into_response()
}

async fn list_deployments(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    // Two on each page, so that reading on is tested.
    let world = world.lock().unwrap();
    let from: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let items: Vec<Value> = world.deployments.iter().rev().skip(from).take(2).cloned().collect();
    let next = (from + 2 < world.deployments.len()).then(|| (from + 2).to_string());
    Json(json!({"items": items, "next_cursor": next})).into_response()
}

async fn variables(State(world): State<Shared>, Json(ask): Json<Value>) -> Response {
    let mut world = world.lock().unwrap();
    for one in ask["set"].as_array().unwrap() {
        world
            .variables
            .insert(one["key"].as_str().unwrap().to_owned(), one.clone());
    }
    page(world.variables.values().cloned().collect())
}

fn a_job(id: &str, status: &str) -> Value {
    json!({"id": id, "name": "stop-service", "status": status, "subject": "x", "attempt": 1, "created_at": "", "finished_at": null})
}

async fn job() -> Response {
    (StatusCode::ACCEPTED, Json(a_job(&id("job", 1), "running"))).into_response()
}

async fn one_deployment(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let world = world.lock().unwrap();
    let Some(found) = world.deployments.iter().find(|one| one["id"] == id.as_str()) else {
        return missing();
    };
    let mut found = found.clone();
    if found["status"] == "queued" && world.over() {
        found["status"] = json!(world.ending);
        found["reason"] = world.reason.clone().unwrap_or_default();
    }
    Json(found).into_response()
}

async fn cancel(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let mut world = world.lock().unwrap();
    let Some(found) = world.deployments.iter_mut().find(|one| one["id"] == id.as_str()) else {
        return missing();
    };
    found["status"] = json!("cancelled");
    (StatusCode::ACCEPTED, Json(found.clone())).into_response()
}

async fn logs(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let mut world = world.lock().unwrap();
    if !world.growing {
        world.written = world.lines.len();
    } else if world.connections > 0 {
        // Time goes on for those who ask, too.
        world.written = (world.written + 5).min(world.lines.len());
    }
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let (written, limit) = (world.written, number("limit").unwrap_or(100).min(25));
    let from = match number("tail") {
        Some(tail) => written.saturating_sub(tail),
        None => number("after").unwrap_or(0).min(written),
    };
    let items: Vec<Value> = world.lines[from..written].iter().take(limit).cloned().collect();
    let more = from + items.len() < written;
    Json(json!({"items": items, "next_after": from + items.len(), "more": more})).into_response()
}

async fn stream(
    State(world): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let mode = {
        let mut world = world.lock().unwrap();
        world.connections += 1;
        let streams = world.streams;
        match streams {
            Streams::Cut if world.random(6) == 0 => return StatusCode::BAD_GATEWAY.into_response(),
            Streams::Refused => return StatusCode::BAD_REQUEST.into_response(),
            mode => mode,
        }
    };
    let after = query["after"].parse().unwrap();
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(move |socket| speak(world, socket, after, mode)),
        Err(rejection) => rejection.into_response(),
    }
}

async fn speak(world: Shared, mut socket: WebSocket, mut after: usize, mode: Streams) {
    loop {
        let (message, cut, over) = {
            let mut world = world.lock().unwrap();
            let step = 1 + world.random(10) as usize;
            world.written = (world.written.max(after) + step).min(world.lines.len());
            let mut from = after;
            let mut cut = false;
            if mode == Streams::Cut {
                cut = world.random(4) == 0;
                match world.random(8) {
                    // Lines that were sent before.
                    0 => from = after.saturating_sub(3),
                    // Lines are left out.
                    1 => from = (after + 2).min(world.written),
                    _ => {}
                }
            }
            let items = &world.lines[from..world.written];
            let message = (!items.is_empty()).then(|| json!({"kind": "lines", "items": items}).to_string());
            after = world.written;
            (message, cut, world.over().then(|| world.ending.clone()))
        };
        if let Some(message) = message
            && socket.send(Message::text(message)).await.is_err()
        {
            return;
        }
        if cut {
            return;
        }
        if let Some(status) = over {
            let _ = socket
                .send(Message::text(json!({"kind": "end", "status": status}).to_string()))
                .await;
            let _ = socket.send(Message::Close(None)).await;
            // The other end reads first, and closes.
            let _ = tokio::time::timeout(Duration::from_secs(1), socket.recv()).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
