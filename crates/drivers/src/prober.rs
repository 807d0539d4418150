//! Asks instances over TCP and HTTP/1.1, and the public address through the proxy. Each question is one connection, and
//! no more of an answer is read than its head.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    DeploymentId,
    names::HostName,
    ports::prober::{Probe, Prober},
    service::HealthCheck,
};
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// By this header the proxy knows that it is us who ask, and says who answered.
const PROBE_HEADER: &str = "click-deploy-probe";
const DEPLOYMENT_HEADER: &str = "click-deploy-deployment";
const USER_AGENT: &str = concat!("click-deploy/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Asks over the network.
#[derive(Debug, Clone)]
pub struct HttpProber {
    is_https: bool,
    host: String,
    port: u16,
}

impl HttpProber {
    /// Public addresses are asked at this proxy: `http://127.0.0.1:7480`, or `https://…`, whose certificate is not
    /// looked at, as it is our own proxy's.
    ///
    /// # Errors
    /// A sentence, when the address has another form.
    pub fn new(proxy_url: &str) -> Result<Self, String> {
        let form = || format!("the proxy's address is `http://host:port` or `https://host:port`, not `{proxy_url}`");
        let uri: Uri = proxy_url.parse().map_err(|_| form())?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(form()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(form)?;
        Ok(Self {
            is_https,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
        })
    }

    async fn ask_plain(&self, host: &HostName, path: &str) -> Result<(StatusCode, HeaderMap), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| format!("the proxy accepts no connection: {error}"))?;
        get(stream, host.as_str(), path, true)
            .await
            .map_err(|error| format!("the proxy gave no answer: {error}"))
    }

    /// Over TLS the name must be known before the request, so each question has a client of its own.
    async fn ask_encrypted(
        &self,
        host: &HostName,
        path: &str,
        timeout: Duration,
    ) -> Result<(StatusCode, HeaderMap), String> {
        let words = |error: reqwest::Error| format!("the proxy gave no answer: {}", error.without_url());
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<SocketAddr> = addresses
            .map_err(|error| format!("the proxy is not found: {error}"))?
            .collect();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .resolve_to_addrs(host.as_str(), &addresses)
            .build()
            .map_err(words)?;
        let url = format!("https://{host}:{}{path}", self.port);
        let answer = client.get(url).header(PROBE_HEADER, "1").send().await.map_err(words)?;
        Ok((answer.status(), answer.headers().clone()))
    }
}

/// Asks for a path, and reads the head of the answer.
async fn get(
    stream: TcpStream,
    host: &str,
    path: &str,
    is_probe: bool,
) -> Result<(StatusCode, HeaderMap), hyper::Error> {
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    let headers = request.headers_mut();
    if let Ok(host) = host.parse() {
        headers.insert(header::HOST, host);
    }
    headers.insert(header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("*/*"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    if is_probe {
        headers.insert(PROBE_HEADER, header::HeaderValue::from_static("1"));
    }
    // Both ends of one connection are driven here, so that dropping this closes it.
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => {
                let answer = answer?;
                return Ok((answer.status(), answer.headers().clone()));
            }
            // When it ends, the answer is there, or will never be.
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}

async fn probe(address: SocketAddr, check: &HealthCheck) -> Probe {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(_) => return Probe::Refused,
    };
    let HealthCheck::Http { path } = check else {
        return Probe::Healthy;
    };
    match get(stream, &address.to_string(), path.as_str(), false).await {
        Ok((status, _)) if status.as_u16() < 400 => Probe::Healthy,
        Ok((status, _)) => Probe::Status(status.as_u16()),
        Err(error) if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
            Probe::Gibberish("it closed the connection without an answer".to_owned())
        }
        Err(error) => Probe::Gibberish(error.to_string()),
    }
}

#[async_trait]
impl Prober for HttpProber {
    async fn probe(&self, address: SocketAddr, check: &HealthCheck, timeout: Duration) -> Probe {
        tokio::time::timeout(timeout, probe(address, check))
            .await
            .unwrap_or(Probe::Silent)
    }

    async fn ask_public(
        &self,
        host: &HostName,
        path: &str,
        timeout: Duration,
    ) -> Result<(Option<DeploymentId>, u16), String> {
        if !path.starts_with('/') || path.parse::<Uri>().is_err() {
            return Err(format!("`{path}` is no path"));
        }
        let asked = async {
            if self.is_https {
                self.ask_encrypted(host, path, timeout).await
            } else {
                self.ask_plain(host, path).await
            }
        };
        let (status, headers) = tokio::time::timeout(timeout, asked)
            .await
            .map_err(|_| format!("the public address gave no answer within {} ms", timeout.as_millis()))??;
        let deployment = headers
            .get(DEPLOYMENT_HEADER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((deployment, status.as_u16()))
    }
}
