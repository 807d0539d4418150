//! Logs: by page, and live over WebSocket (RFC 6455).

use std::time::Duration;

use axum::{
    Json,
    extract::{
        FromRequestParts, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use domain::{DeploymentId, ServiceId, logs::LogLevel};
use engine::manage::LogCursor;
use engine::state::logs::{Filter, Log};
use serde::Deserialize;

use crate::{
    Api, Closing,
    caller::Caller,
    convert,
    extract::{In, Parameters},
    problem::{Answer, Failure},
    wire::{LogMessage, LogPage, Problem},
};

/// How often a live reader that hears nothing is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogParameters {
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
    tail: Option<i64>,
    #[serde(default)]
    q: String,
    level: Option<LogLevel>,
    #[serde(default)]
    phase: String,
}

impl LogParameters {
    fn filter(&self) -> Filter {
        Filter {
            text: self.q.clone(),
            level: self.level,
            phase: self.phase.clone(),
        }
    }
}

/// A request to open a WebSocket, from our own pages or from no page at all.
pub(crate) struct Live(WebSocketUpgrade);

impl FromRequestParts<Api> for Live {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Answer<Self> {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(origin) = text(header::ORIGIN) {
            let host = text(header::HOST).unwrap_or_default();
            if origin.split_once("://").is_none_or(|(_, authority)| authority != host) {
                return Err(Failure::new(
                    StatusCode::FORBIDDEN,
                    "foreign-origin",
                    "Another site's page",
                    "WebSockets are opened by our own pages only.",
                ));
            }
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, api)
            .await
            .map_err(|error| {
                Failure::new(
                    StatusCode::BAD_REQUEST,
                    "not-a-websocket",
                    "This path is a WebSocket",
                    format!("{}.", error.body_text()),
                )
            })?;
        Ok(Self(upgrade))
    }
}

async fn page(api: &Api, log: Log, query: &LogParameters) -> Answer<Json<LogPage>> {
    let limit = query.limit.or(query.tail).unwrap_or(1000).clamp(1, 5000);
    let after = match query.tail {
        Some(tail) => (api.engine.newest_line(log).await? - tail.clamp(0, 5000)).max(query.after),
        None => query.after,
    };
    let mut lines = api.engine.lines(log, after, &query.filter(), limit + 1).await?;
    let more = lines.len() as i64 > limit;
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_after = lines.last().map_or(after, |line| line.sequence);
    Ok(Json(LogPage {
        items: lines.into_iter().map(convert::line).collect(),
        next_after,
        more,
    }))
}

fn stream(api: &Api, log: Log, query: &LogParameters, Live(upgrade): Live) -> Response {
    let cursor = api.engine.follow(log, query.after, query.filter());
    let closing = api.closing.clone();
    let open = closing.stream();
    upgrade
        .max_message_size(16 * 1024)
        .on_upgrade(move |socket| async move {
            send(socket, cursor, closing).await;
            drop(open);
        })
}

async fn send(mut socket: WebSocket, mut cursor: LogCursor, closing: Closing) {
    loop {
        let message = tokio::select! {
            next = cursor.next() => match next {
                Ok(Ok(lines)) => LogMessage::Lines { items: lines.into_iter().map(convert::line).collect() },
                Ok(Err(status)) => LogMessage::End { status },
                // The owner was removed, or the state failed: the reader connects again and is told.
                Err(_) => return,
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                // Nothing that a reader says changes anything.
                Some(Ok(_)) => continue,
            },
            // The reader connects again, and goes on where it was, in another process.
            () = closing.closed() => {
                let frame = CloseFrame { code: close_code::AWAY, reason: "the process ends".into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            () = tokio::time::sleep(PING) => {
                if socket.send(Message::Ping(Vec::new().into())).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let ended = matches!(message, LogMessage::End { .. });
        let Ok(text) = serde_json::to_string(&message) else {
            return;
        };
        if socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
        if ended {
            let _ = socket.send(Message::Close(None)).await;
            return;
        }
    }
}

/// The log of a deployment, by page.
#[utoipa::path(get, path = "/v1/click-deploy/deployments/{id}/logs", operation_id = "list_deployment_logs", tag = "logs",
    params(("id" = String, Path), ("after" = Option<i64>, Query), ("limit" = Option<i64>, Query), ("tail" = Option<i64>, Query),
        ("q" = Option<String>, Query), ("level" = Option<LogLevel>, Query), ("phase" = Option<String>, Query)),
    responses((status = 200, body = LogPage), (status = "4XX", body = Problem)))]
pub(crate) async fn build_page(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<DeploymentId>,
    Parameters(query): Parameters<LogParameters>,
) -> Answer<Json<LogPage>> {
    let log = api.engine.build_log(caller.organization, id).await?;
    page(&api, log, &query).await
}

/// The log of a deployment, live.
#[utoipa::path(get, path = "/v1/click-deploy/deployments/{id}/logs/stream", operation_id = "stream_deployment_logs", tag = "logs",
    params(("id" = String, Path), ("after" = Option<i64>, Query)), responses((status = 101), (status = "4XX", body = Problem)))]
pub(crate) async fn build_stream(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<DeploymentId>,
    Parameters(query): Parameters<LogParameters>,
    live: Live,
) -> Answer<Response> {
    let log = api.engine.build_log(caller.organization, id).await?;
    Ok(stream(&api, log, &query, live))
}

/// The log of a running service, by page.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}/logs", operation_id = "list_service_logs", tag = "logs",
    params(("id" = String, Path), ("after" = Option<i64>, Query), ("limit" = Option<i64>, Query), ("tail" = Option<i64>, Query),
        ("q" = Option<String>, Query), ("level" = Option<LogLevel>, Query)),
    responses((status = 200, body = LogPage), (status = "4XX", body = Problem)))]
pub(crate) async fn run_page(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
    Parameters(query): Parameters<LogParameters>,
) -> Answer<Json<LogPage>> {
    let log = api.engine.run_log(caller.organization, id).await?;
    page(&api, log, &query).await
}

/// The log of a running service, live.
#[utoipa::path(get, path = "/v1/click-deploy/services/{id}/logs/stream", operation_id = "stream_service_logs", tag = "logs",
    params(("id" = String, Path), ("after" = Option<i64>, Query)), responses((status = 101), (status = "4XX", body = Problem)))]
pub(crate) async fn run_stream(
    State(api): State<Api>,
    caller: Caller,
    In(id): In<ServiceId>,
    Parameters(query): Parameters<LogParameters>,
    live: Live,
) -> Answer<Response> {
    let log = api.engine.run_log(caller.organization, id).await?;
    Ok(stream(&api, log, &query, live))
}
