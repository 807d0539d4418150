//! The session of a build: on one connection, BuildKit is the client and we are the server of files, secrets and
//! credentials.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bollard_buildkit_proto::{
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::{
            secrets::v1::{
                GetSecretRequest, GetSecretResponse,
                secrets_server::{Secrets, SecretsServer},
            },
            v1::{BytesMessage, control_client::ControlClient},
        },
        filesync::v1::{
            CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
            GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
            auth_server::{Auth, AuthServer},
            file_sync_server::FileSyncServer,
        },
    },
};
use domain::{SecretText, ports::Cause};
use futures_util::{StreamExt, TryStreamExt};
use http::{Request as HttpRequest, Response as HttpResponse};
use hyper::{body::Incoming, rt, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::JoinHandle;
use tokio_stream::Empty;
use tokio_util::io::{ReaderStream, StreamReader};
use tonic::{Request, Response, Status, metadata::MetadataValue, transport::Channel};
use tower::Service;

use super::{
    RegistryAccess,
    address::Address,
    engine,
    files::{Files, Sources},
};

/// What BuildKit may call, as it names the methods.
const METHODS: [&str; 4] = [
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
    "/grpc.health.v1.Health/Check",
];

/// How much of the connection may wait in between, for `Control.Session`.
const PIPE_BYTES: usize = 256 * 1024;

/// What a session offers.
pub(super) struct Offer {
    /// The files.
    pub(super) sources: Sources,
    /// The secrets, by id.
    pub(super) secrets: BTreeMap<String, SecretText>,
    /// The registry whose credentials are told.
    pub(super) registry: Option<RegistryAccess>,
}

/// An open session. Dropping it closes the connection, and with it the build.
pub(super) struct Session {
    /// What BuildKit knows it by.
    pub(super) id: String,
    server: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Session {
    /// Opens a session with Docker Engine's builder.
    pub(super) async fn with_engine(address: &Address, shared_key: &str, offer: Offer) -> Result<Self, Cause> {
        let id = super::random_name();
        let headers: Vec<(&str, String)> = exposed(&id, shared_key).collect();
        let connection = engine::upgrade(address, "/session", &headers).await?;
        let server = tokio::spawn(serve(connection.into_inner(), offer));
        Ok(Self { id, server })
    }

    /// Opens a session with a daemon: HTTP/2 inside a stream of messages.
    pub(super) async fn with_daemon(
        control: &mut ControlClient<Channel>,
        shared_key: &str,
        offer: Offer,
    ) -> Result<Self, Status> {
        let id = super::random_name();
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let outgoing = ReaderStream::with_capacity(theirs, PIPE_BYTES / 8)
            .take_while(|piece| std::future::ready(piece.is_ok()))
            .filter_map(|piece| std::future::ready(piece.ok()))
            .map(|piece| BytesMessage { data: piece.to_vec() });
        let mut request = Request::new(outgoing);
        for (name, value) in exposed(&id, shared_key) {
            let value: MetadataValue<_> = value
                .parse()
                .map_err(|_| Status::invalid_argument("a cache key is printable ASCII"))?;
            request
                .metadata_mut()
                .append(tonic::metadata::MetadataKey::from_static(name), value);
        }
        let incoming = control.session(request).await?.into_inner();
        let incoming = StreamReader::new(
            incoming
                .map_ok(|message| bytes::Bytes::from(message.data))
                .map_err(std::io::Error::other),
        );
        let connection = TokioIo::new(tokio::io::join(incoming, ours));
        let server = tokio::spawn(serve(connection, offer));
        Ok(Self { id, server })
    }
}

/// What tells BuildKit who calls and what it may call.
fn exposed(id: &str, shared_key: &str) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("x-docker-expose-session-uuid", id.to_owned()),
        ("x-docker-expose-session-name", "click-deploy".to_owned()),
        ("x-docker-expose-session-sharedkey", shared_key.to_owned()),
    ]
    .into_iter()
    .chain(METHODS.map(|method| ("x-docker-expose-session-grpc-method", method.to_owned())))
}

/// Serves one connection until it ends.
async fn serve<T: rt::Read + rt::Write + Unpin + Send + 'static>(connection: T, offer: Offer) {
    let files = FileSyncServer::new(Files(Arc::new(offer.sources)));
    let secrets = SecretsServer::new(OfferedSecrets(offer.secrets));
    let credentials = AuthServer::new(OfferedCredentials(offer.registry));
    let health = HealthServer::new(Alive);
    let service = service_fn(move |request: HttpRequest<Incoming>| {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
        let (mut files, mut secrets, mut credentials, mut health) =
            (files.clone(), secrets.clone(), credentials.clone(), health.clone());
        async move {
            match service.as_str() {
                "moby.filesync.v1.FileSync" => files.call(request).await,
                "moby.buildkit.secrets.v1.Secrets" => secrets.call(request).await,
                "moby.filesync.v1.Auth" => credentials.call(request).await,
                "grpc.health.v1.Health" => health.call(request).await,
                _ => Ok::<HttpResponse<tonic::body::Body>, Infallible>(
                    Status::unimplemented("this session has no such service").into_http(),
                ),
            }
        }
    });
    let outcome = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(connection, service)
        .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a build's session ended");
    }
}

struct OfferedSecrets(BTreeMap<String, SecretText>);

#[tonic::async_trait]
impl Secrets for OfferedSecrets {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        match self.0.get(id) {
            Some(value) => Ok(Response::new(GetSecretResponse {
                data: value.expose().as_bytes().to_vec(),
            })),
            None => Err(Status::not_found(format!("secret {id} not found"))),
        }
    }
}

struct OfferedCredentials(Option<RegistryAccess>);

#[tonic::async_trait]
impl Auth for OfferedCredentials {
    /// Empty ones for every other host: that is how BuildKit is told to go on without.
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        let host = &request.get_ref().host;
        let known = self
            .0
            .as_ref()
            .filter(|registry| registry.host == *host)
            .and_then(|registry| Some((registry.username.clone()?, registry.password.clone()?)));
        Ok(Response::new(match known {
            Some((username, password)) => CredentialsResponse {
                username,
                secret: password.expose().to_owned(),
            },
            None => CredentialsResponse::default(),
        }))
    }

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the builder"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the builder"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the builder"))
    }
}

struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("there is one service"))
    }

    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask with Check"))
    }
}
