//! WebSockets on the connections of the HTTP client, so that proxies, certificates and addresses are the same.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, Upgraded, header};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};

use super::{
    answer::{accepted, innermost},
    error::ClientError,
};

/// How long the handshake may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<Upgraded>;

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// The server refused, and would refuse again.
    #[error(transparent)]
    Refused(ClientError),
    /// The server, or a proxy before it, does not speak WebSocket here.
    #[error("WebSockets do not pass: {0}")]
    Unsupported(String),
    /// Trying again can help.
    #[error("{0}")]
    Broken(String),
}

/// Performs the opening handshake of RFC 6455 §4.1.
pub(crate) async fn open(request: RequestBuilder, server: &str) -> Result<Socket, SocketError> {
    let key = generate_key();
    let request = request
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key);
    let shake = async {
        let response = request
            .send()
            .await
            .map_err(|cause| SocketError::Broken(innermost(&cause)))?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                return Err(match accepted(response, server).await {
                    Err(refusal @ ClientError::Refused(_)) => SocketError::Refused(refusal),
                    Err(other) => SocketError::Unsupported(other.to_string()),
                    Ok(_) => SocketError::Unsupported("an unexpected answer".to_owned()),
                });
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(SocketError::Broken(status.to_string()));
            }
            status => return Err(SocketError::Unsupported(status.to_string())),
        }
        let expected = derive_accept_key(key.as_bytes());
        let accept = response
            .headers()
            .get(header::SEC_WEBSOCKET_ACCEPT)
            .and_then(|value| value.to_str().ok());
        if accept != Some(expected.as_str()) {
            return Err(SocketError::Unsupported(
                "the handshake was answered wrongly".to_owned(),
            ));
        }
        let upgraded = response
            .upgrade()
            .await
            .map_err(|cause| SocketError::Broken(innermost(&cause)))?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    };
    tokio::time::timeout(DEADLINE, shake)
        .await
        .unwrap_or_else(|_| Err(SocketError::Broken("the handshake took too long".to_owned())))
}
