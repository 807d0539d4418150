//! How a process that is told to stop turns requests away without losing one: first it says so (`/health` answers 503, and
//! each answer ends its connection) while it still answers all, then it ends.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio_util::sync::CancellationToken;

use crate::Api;

/// Tells the API that its process ends. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    draining: CancellationToken,
    closed: CancellationToken,
    /// Read by each WebSocket as long as it is open, which nothing else waits for.
    streams: Arc<RwLock<()>>,
}

impl Closing {
    /// From now on others should be asked: whoever looks at `/health` hears so.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// From now on nothing new is taken.
    pub fn close(&self) {
        self.draining.cancel();
        self.closed.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// What a WebSocket holds as long as it is open; nothing once the process ends.
    pub(crate) fn stream(&self) -> Option<OwnedRwLockReadGuard<()>> {
        Arc::clone(&self.streams).try_read_owned().ok()
    }

    /// Returns when every WebSocket has been told that the process ends, and is closed.
    pub(crate) async fn streams_ended(&self) {
        drop(self.streams.write().await);
    }
}

/// Ends the connection of each answer once the process ends, so that its next request goes elsewhere.
pub(crate) async fn say(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // A WebSocket is told by itself; HTTP/2 has no such header (RFC 9113, section 8.2.2).
    if api.closing.is_draining() && response.status() != axum::http::StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
