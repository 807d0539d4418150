//! The few requests to Docker Engine's own interface that a build needs.

use bytes::Bytes;
use domain::ports::Cause;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;

use super::address::Address;

/// The longest answer that is read.
const ANSWER_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Turns a request into a raw connection, as `/grpc` and `/session` offer.
pub(super) async fn upgrade(
    address: &Address,
    path: &str,
    headers: &[(&str, String)],
) -> Result<TokioIo<Upgraded>, Cause> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(address.connect().await?)).await?;
    // Ends by itself: with the upgrade, or when `sender` is dropped before.
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!("the engine answered {} to {path}", response.status()).into());
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await?))
}

/// Asks for a document; `None` when there is none.
pub(super) async fn get<T: serde::de::DeserializeOwned>(address: &Address, path: &str) -> Result<Option<T>, Cause> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, "docker")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(address.connect().await?)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES)
        .collect()
        .await?
        .to_bytes();
    match status {
        StatusCode::OK => Ok(Some(serde_json::from_slice(&body)?)),
        StatusCode::NOT_FOUND => Ok(None),
        other => Err(format!("the engine answered {other} to {path}").into()),
    }
}

/// What is wanted of `GET /version`.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    /// Such as `20.10.24`.
    #[serde(rename = "Version")]
    pub(super) version: String,
}

/// What is wanted of `GET /info`.
#[derive(Debug, Deserialize)]
pub(super) struct Information {
    /// `cgroupfs` or `systemd`.
    #[serde(rename = "CgroupDriver", default)]
    pub(super) cgroup_driver: String,
}

/// What is wanted of `GET /images/{name}/json`.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    /// `sha256:…`
    #[serde(rename = "Id")]
    pub(super) id: String,
    /// Bytes.
    #[serde(rename = "Size", default)]
    pub(super) size: u64,
}

/// Makes a name fit to be one segment of a path; slashes stay, as the engine wants them.
pub(super) fn in_path(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
