//! HTTP to the admin endpoint, over TCP or a Unix socket, with connections kept in between.

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use domain::ports::router::RouterError;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// The longest answer that is read: a table of very many hosts.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;
const IDLE: Duration = Duration::from_secs(30);

/// The way to the endpoint; clones share its connections.
#[derive(Clone)]
pub(super) struct Admin {
    client: Client<Connector, Full<Bytes>>,
    authority: Arc<str>,
}

/// What it answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

#[derive(Deserialize)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    title: Option<String>,
}

impl Admin {
    pub(super) fn new(url: &str) -> Result<Self, RouterError> {
        let form = || {
            RouterError::Refused(format!(
                "the proxy is at `http://host:port` or `unix:///path`, not `{url}`"
            ))
        };
        let (place, authority) = if let Some(path) = url.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(form());
            }
            // The endpoint looks at the name by which it is asked; over its socket, this machine's is the right one.
            (Place::Unix(PathBuf::from(path)), "127.0.0.1".to_owned())
        } else {
            let uri: Uri = url.parse().map_err(|_| form())?;
            let authority = uri.authority().filter(|authority| authority.port().is_some());
            let authority = authority.ok_or_else(form)?.to_string();
            if uri.scheme_str() != Some("http") || uri.path() != "/" || authority.contains('@') {
                return Err(form());
            }
            (Place::Tcp(authority.clone()), authority)
        };
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_max_idle_per_host(4);
        Ok(Self {
            client: builder.build(Connector(Arc::new(place))),
            authority: authority.into(),
        })
    }

    /// Asks once; and once more when the connection broke, as everything here may be done twice.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        deadline: Duration,
    ) -> Result<Answer, RouterError> {
        let body = Bytes::from(body.unwrap_or_default());
        let asked = async {
            match self.ask_once(&method, path, body.clone()).await {
                Err(RouterError::Unreachable(_)) => self.ask_once(&method, path, body).await,
                answer => answer,
            }
        };
        tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| {
            let seconds = deadline.as_secs();
            Err(RouterError::Unreachable(format!("no answer within {seconds} s").into()))
        })
    }

    async fn ask_once(&self, method: &Method, path: &str, body: Bytes) -> Result<Answer, RouterError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.authority))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| RouterError::Refused(error.to_string()))?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| RouterError::Unreachable(Box::new(error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
        let body = body.map_err(RouterError::Unreachable)?.to_bytes();
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The code of a problem.
    pub(super) fn code(&self) -> Option<String> {
        self.problem()?.code
    }

    fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The answer, when it is no problem.
    pub(super) fn good(self) -> Result<Self, RouterError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem = self.problem();
        let words = problem
            .and_then(|problem| problem.detail.or(problem.title))
            .unwrap_or_else(|| self.status.to_string());
        // 507 says that its disk is at its end: it lives, and asking again does not help.
        if self.status.is_server_error() && self.status != StatusCode::INSUFFICIENT_STORAGE {
            return Err(RouterError::Unreachable(words.into()));
        }
        Err(RouterError::Refused(words))
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, RouterError> {
        serde_json::from_slice(&self.body).map_err(|_| super::unreadable())
    }
}

enum Place {
    Tcp(String),
    Unix(PathBuf),
}

/// Opens connections to the one place, whatever the request's address says.
#[derive(Clone)]
struct Connector(Arc<Place>);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let place = Arc::clone(&self.0);
        Box::pin(async move {
            let stream = match &*place {
                Place::Tcp(authority) => {
                    let stream = TcpStream::connect(authority.as_str()).await?;
                    stream.set_nodelay(true)?;
                    Stream::Tcp(stream)
                }
                Place::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
            };
            Ok(TokioIo::new(stream))
        })
    }
}

/// Either kind of connection.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
