//! Where a daemon listens, and how it is reached.

use std::{path::PathBuf, time::Duration};

use domain::ports::Cause;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// How long a daemon may take to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// A connection to a daemon, whatever carries it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`, without encryption: meant for a private network.
    Tcp(String),
    /// A text that names neither; every use says so.
    Unusable(String),
}

impl Address {
    /// Reads what `DOCKER_HOST` and `BUILDKIT_HOST` hold: `unix:///path` or `tcp://host:port`.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://") {
            if path.starts_with('/') {
                return Self::Unix(PathBuf::from(path));
            }
        } else if let Some(host) = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")) {
            let host = host.trim_end_matches('/');
            let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_some() {
                return Self::Tcp(host.to_owned());
            }
        }
        Self::Unusable(text.to_owned())
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, Cause> {
        let attempt = async {
            Ok::<Box<dyn Stream>, Cause>(match self {
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Self::Tcp(host) => {
                    let stream = TcpStream::connect(host.as_str()).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Self::Unusable(text) => {
                    return Err(format!("`{text}` is no address: unix:///path or tcp://host:port").into());
                }
            })
        };
        tokio::time::timeout(CONNECT_DEADLINE, attempt)
            .await
            .map_err(|_| Cause::from("no connection within 10 seconds"))?
    }

    /// The process behind a socket of this machine, when it can be seen from here.
    pub(super) async fn process(&self) -> Option<u32> {
        let Self::Unix(path) = self else { return None };
        let stream = UnixStream::connect(path).await.ok()?;
        let process = stream.peer_cred().ok()?.pid()?;
        u32::try_from(process).ok().filter(|process| *process > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_a_host_with_a_port() {
        assert_eq!(
            Address::parse("unix:///run/docker.sock"),
            Address::Unix("/run/docker.sock".into())
        );
        assert_eq!(
            Address::parse("tcp://127.0.0.1:2375/"),
            Address::Tcp("127.0.0.1:2375".into())
        );
        for wrong in [
            "",
            "unix://relative",
            "tcp://host",
            "tcp://host:port",
            "ssh://host",
            "/run/docker.sock",
        ] {
            assert!(matches!(Address::parse(wrong), Address::Unusable(_)), "{wrong}");
        }
    }
}
