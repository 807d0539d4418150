//! What is left of a body when its request was answered early. A connection can carry another request only behind the
//! end of the body: so a small rest is read, and otherwise the answer says that the connection ends.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, HttpBody},
    extract::Request,
    http::{HeaderValue, Version, header},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// The most bytes that are read for nothing.
const REST_LIMIT: usize = 256 * 1024;
/// How long they may take.
const REST_TIME: Duration = Duration::from_secs(1);

/// Where a body comes back to.
type Returned = Arc<Mutex<Option<BodyDataStream>>>;

/// A body that comes back when whoever reads it has enough.
struct Lent {
    body: Option<BodyDataStream>,
    returned: Returned,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let read = body.poll_next_unpin(context);
        if matches!(read, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        read
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// Answers only once the rest of the body is read, or says that the connection ends.
pub(crate) async fn read(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || request.version() > Version::HTTP_11 {
        return next.run(request).await;
    }
    // A client that asks first sends nothing, or the whole of it, once we begin to read.
    let asks_first = request.headers().contains_key(header::EXPECT);
    let returned = Returned::default();
    let lend = |body: Body| {
        Body::from_stream(Lent {
            body: Some(body.into_data_stream()),
            returned: Arc::clone(&returned),
        })
    };
    let mut response = next.run(request.map(lend)).await;
    let rest = returned.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(rest) = rest
        && (asks_first || !is_read(rest).await)
    {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn is_read(mut rest: BodyDataStream) -> bool {
    if HttpBody::size_hint(&rest).lower() > REST_LIMIT as u64 {
        return false;
    }
    let reading = async {
        let mut length = 0;
        while let Some(piece) = rest.next().await {
            length += piece.map_or(REST_LIMIT + 1, |piece| piece.len());
            if length > REST_LIMIT {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(REST_TIME, reading).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, middleware, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A server that refuses every POST without reading it, and a connection to it.
    async fn connection() -> TcpStream {
        let refuse = || async { StatusCode::UNAUTHORIZED };
        let routes = Router::new()
            .route("/", get(|| async { "found" }).post(refuse))
            .layer(middleware::from_fn(read));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        TcpStream::connect(address).await.unwrap()
    }

    /// Sends a POST with a body of this length, in pieces, and maybe not the whole of it; what is answered up to the
    /// end of the headers.
    async fn post(stream: &mut TcpStream, headers: &str, length: usize, sent: usize) -> String {
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for piece in vec![b'x'; sent].chunks(8 * 1024) {
            stream.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        head_of(stream).await
    }

    async fn head_of(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    #[tokio::test]
    async fn a_refused_request_leaves_its_connection_to_the_next_one() {
        let mut stream = connection().await;
        for _ in 0..3 {
            let refused = post(&mut stream, "", 100_000, 100_000).await;
            assert!(
                refused.starts_with("http/1.1 401") && !refused.contains("close"),
                "{refused}"
            );
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            assert!(head_of(&mut stream).await.starts_with("http/1.1 200"));
            let mut found = [0; 5];
            stream.read_exact(&mut found).await.unwrap();
            assert_eq!(&found, b"found");
        }
    }

    #[tokio::test]
    async fn a_connection_that_cannot_go_on_says_so() {
        for (headers, length, sent) in [
            ("", 10 * REST_LIMIT, 0),
            ("", 1000, 10),
            ("expect: 100-continue\r\n", 1000, 0),
        ] {
            let refused = post(&mut connection().await, headers, length, sent).await;
            let says_so = refused.starts_with("http/1.1 401") && refused.contains("connection: close");
            assert!(says_so, "{length}: {refused}");
        }
    }
}
