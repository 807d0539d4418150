//! Builds images by BuildKit's own interface (gRPC), at two kinds of endpoint: the BuildKit inside Docker Engine, whose
//! image ends up in the engine's store, and a `buildkitd` of its own, which pushes to a registry.
//!
//! A build opens its own connections and closes them when it ends, so a daemon that was restarted in between is simply
//! reached again, and dropping the future of a build is what cancels it: BuildKit ends the running step when the call
//! and the session are gone.

mod address;
mod caps;
mod dockerfile;
mod engine;
mod failure;
mod files;
mod lines;
mod mask;
mod progress;
pub mod railpack;
mod recipe;
mod session;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bollard_buildkit_proto::moby::buildkit::v1::{
    InfoRequest, ListWorkersRequest, PruneRequest, SolveRequest, SolveResponse, StatusRequest, StatusResponse,
    control_client::ControlClient,
};
use domain::{
    SecretText,
    logs::LogLevel,
    ports::{
        Cause,
        builder::{BuildError, BuildObserver, BuildRequest, Builder},
        image::StoredImage,
    },
};
use futures_util::{Stream, StreamExt, TryFutureExt};
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use address::Address;
pub use caps::Caps;
use caps::{Daemon, Keeper};
use failure::{Circumstances, unreachable};
use files::{Sources, Times};
use mask::Mask;
use progress::Progress;
use session::{Offer, Session};

/// The longest message of BuildKit that is read.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// How long the last events may take after the build itself is over.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// How long a question other than a build may take.
const QUESTION: Duration = Duration::from_secs(15);

/// What all builds of one builder together may use; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildLimits {
    /// Processor time, in thousandths of a processor.
    pub cpu_millis: u32,
    /// Memory.
    pub memory_mb: u64,
}

impl BuildLimits {
    /// No limits at all.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            cpu_millis: 0,
            memory_mb: 0,
        }
    }
}

/// The registry to which a separate `buildkitd` pushes.
#[derive(Debug, Clone)]
pub struct RegistryAccess {
    /// `host` or `host:port`, as image names begin.
    pub host: String,
    /// Who we are there; nobody when absent.
    pub username: Option<String>,
    /// What proves it.
    pub password: Option<SecretText>,
    /// It speaks plain HTTP.
    pub plain_http: bool,
}

/// BuildKit, at one of its two kinds of endpoint.
#[derive(Debug)]
pub struct BuildKit {
    address: Address,
    kind: Kind,
    limits: BuildLimits,
    times: Arc<Times>,
    keeper: Keeper,
}

#[derive(Debug)]
enum Kind {
    /// Inside Docker Engine.
    Embedded,
    /// A `buildkitd` of its own.
    Remote(RegistryAccess),
}

impl BuildKit {
    /// The BuildKit inside the Docker Engine at `docker_host` (`unix:///…` or `tcp://…`).
    #[must_use]
    pub fn embedded(docker_host: &str, limits: BuildLimits) -> Self {
        Self::at(docker_host, Kind::Embedded, limits)
    }

    /// A `buildkitd` at `buildkit_host` (`unix:///…` or `tcp://…`), which pushes to `registry`.
    #[must_use]
    pub fn remote(buildkit_host: &str, registry: RegistryAccess, limits: BuildLimits) -> Self {
        Self::at(buildkit_host, Kind::Remote(registry), limits)
    }

    fn at(host: &str, kind: Kind, limits: BuildLimits) -> Self {
        Self {
            address: Address::parse(host),
            kind,
            limits,
            times: Arc::default(),
            keeper: Keeper::default(),
        }
    }

    /// Sets the caps on builds, and says which of them hold. Each build does so too.
    pub async fn caps(&self) -> Caps {
        let daemon = match &self.kind {
            Kind::Embedded => Daemon::Engine,
            Kind::Remote(_) => Daemon::Buildkit,
        };
        self.keeper.enforce(&self.address, daemon, self.limits).await
    }

    async fn prune(&self, keep_bytes: u64) -> Result<u64, BuildError> {
        let mut control = self.control().await?;
        let keep = i64::try_from(keep_bytes).unwrap_or(i64::MAX);
        let request = PruneRequest {
            reserved_space: keep,
            max_used_space: keep,
            ..PruneRequest::default()
        };
        let mut records = control.prune(request).await.map_err(unreachable)?.into_inner();
        let mut freed = 0_u64;
        while let Some(record) = records.message().await.map_err(unreachable)? {
            freed += u64::try_from(record.size).unwrap_or(0);
        }
        Ok(freed)
    }

    /// A connection of its own for calls.
    async fn control(&self) -> Result<ControlClient<Channel>, BuildError> {
        let (address, embedded) = (self.address.clone(), matches!(self.kind, Kind::Embedded));
        // The connector is called once: a channel that broke is not used again.
        let connector = tower::service_fn(move |_| {
            let address = address.clone();
            async move {
                let stream: Box<dyn address::Stream> = if embedded {
                    Box::new(engine::upgrade(&address, "/grpc", &[]).await?)
                } else {
                    address.connect().await?
                };
                Ok::<_, Cause>(TokioIo::new(stream))
            }
        });
        let channel = Endpoint::from_static("http://builder")
            .connect_with_connector(connector)
            .await
            .map_err(unreachable)?;
        Ok(ControlClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES))
    }

    async fn session(
        &self,
        control: &mut ControlClient<Channel>,
        key: &str,
        offer: Offer,
    ) -> Result<Session, BuildError> {
        match &self.kind {
            Kind::Embedded => Session::with_engine(&self.address, key, offer)
                .await
                .map_err(unreachable),
            Kind::Remote(_) => Session::with_daemon(control, key, offer).await.map_err(unreachable),
        }
    }

    /// The exporter and its attributes.
    fn exporter(&self, image_name: &str) -> (&'static str, HashMap<String, String>) {
        let mut attributes = HashMap::from([("name".to_owned(), image_name.to_owned())]);
        match &self.kind {
            Kind::Embedded => ("moby", attributes),
            Kind::Remote(registry) => {
                attributes.insert("push".to_owned(), "true".to_owned());
                if registry.plain_http {
                    attributes.insert("registry.insecure".to_owned(), "true".to_owned());
                }
                ("image", attributes)
            }
        }
    }

    /// The image that a build left.
    async fn stored(&self, image_name: &str, response: &SolveResponse) -> Result<StoredImage, BuildError> {
        let digest = response.exporter_response.get("containerimage.digest");
        match &self.kind {
            Kind::Embedded => {
                let path = format!("/images/{}/json", engine::in_path(image_name));
                let image = engine::get::<engine::Image>(&self.address, &path)
                    .await
                    .map_err(unreachable)?
                    .ok_or_else(|| unreachable(format!("`{image_name}` was built and is gone")))?;
                Ok(StoredImage {
                    reference: image_name.to_owned(),
                    digest: image.id,
                    size_bytes: image.size,
                })
            }
            Kind::Remote(_) => {
                let digest = digest.ok_or_else(|| BuildError::Push("the builder told no digest".to_owned()))?;
                Ok(StoredImage {
                    reference: format!("{}@{digest}", without_tag(image_name)),
                    digest: digest.clone(),
                    size_bytes: 0,
                })
            }
        }
    }

    /// Asks the daemon, within a deadline, who it is.
    async fn ask_version(&self) -> Result<String, BuildError> {
        match &self.kind {
            Kind::Embedded => {
                let version = engine::get::<engine::Version>(&self.address, "/version")
                    .await
                    .map_err(unreachable)?
                    .ok_or_else(|| unreachable("the engine tells no version"))?;
                // The engine may answer while its builder does not.
                self.control()
                    .await?
                    .list_workers(ListWorkersRequest::default())
                    .await
                    .map_err(unreachable)?;
                Ok(format!("BuildKit of Docker Engine {}", version.version))
            }
            Kind::Remote(_) => {
                let mut control = self.control().await?;
                match control.info(InfoRequest {}).await {
                    Ok(answer) => {
                        let version = answer.into_inner().buildkit_version.unwrap_or_default().version;
                        Ok(format!("BuildKit {version}"))
                    }
                    Err(status) if status.code() == tonic::Code::Unimplemented => {
                        control
                            .list_workers(ListWorkersRequest::default())
                            .await
                            .map_err(unreachable)?;
                        Ok("BuildKit".to_owned())
                    }
                    Err(status) => Err(unreachable(status)),
                }
            }
        }
    }
}

#[async_trait]
impl Builder for BuildKit {
    async fn build(&self, request: &BuildRequest, observer: &dyn BuildObserver) -> Result<StoredImage, BuildError> {
        let registry = match &self.kind {
            Kind::Embedded => None,
            Kind::Remote(registry) => Some(registry.clone()),
        };
        let password = registry.as_ref().and_then(|registry| registry.password.clone());
        let mask = Mask::new(request.secrets.values().chain(&password));
        let mut progress = Progress::new(observer, &mask);

        let plan = recipe::plan(request, self.merges_layers()).await?;
        for notice in &plan.notices {
            progress.notice(LogLevel::Info, notice);
        }
        if let Some(why) = self.caps().await.missing {
            tracing::warn!(%why, "builds are not capped in all that was asked for");
        }

        let mut control = self.control().await?;
        let (notify, mut notices) = mpsc::unbounded_channel();
        let key = recipe::cache_name(&request.cache_key);
        let offer = Offer {
            sources: Sources {
                mounts: plan.mounts,
                times: self.times.clone(),
                cache_key: key.clone(),
                notices: notify,
            },
            secrets: request
                .secrets
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .chain(plan.secrets)
                .collect(),
            registry,
        };
        let session = self.session(&mut control, &key, offer).await?;

        let reference = random_name();
        let (exporter, exporter_attributes) = self.exporter(&request.image_name);
        let solve = SolveRequest {
            r#ref: reference.clone(),
            session: session.id.clone(),
            frontend: plan.frontend.to_owned(),
            frontend_attrs: plan.options,
            // The newer fields are unknown to older builders, and these are still read by newer ones.
            exporter_deprecated: exporter.to_owned(),
            exporter_attrs_deprecated: exporter_attributes,
            ..SolveRequest::default()
        };
        let mut caller = control.clone();
        let solve = caller.solve(solve);
        let reports = control
            .status(StatusRequest { r#ref: reference })
            .map_ok(tonic::Response::into_inner)
            .try_flatten_stream();
        let outcome = follow(solve, reports, &mut progress, &mut notices).await;
        progress.end();
        drop(session);

        match outcome {
            Ok(response) => self.stored(&request.image_name, &response).await,
            Err(status) => {
                let circumstances = Circumstances {
                    step: progress.failed(),
                    pushing: progress.is_pushing(),
                    syntax: plan.syntax.as_deref(),
                    mask: &mask,
                    limits: self.limits,
                };
                Err(failure::explain(&status, circumstances))
            }
        }
    }

    fn merges_layers(&self) -> bool {
        matches!(self.kind, Kind::Remote(_))
    }

    async fn prune_cache(&self, keep_bytes: u64) -> Result<u64, BuildError> {
        self.prune(keep_bytes).await
    }

    async fn version(&self) -> Result<String, BuildError> {
        let version = tokio::time::timeout(QUESTION, self.ask_version())
            .await
            .map_err(|_| unreachable("no answer within 15 seconds"))??;
        // Whoever asks for the version is told, too, what keeps builds from starving what serves.
        let caps = self.caps().await;
        Ok(match (&caps.missing, caps.cpu_millis, caps.memory_mb) {
            (Some(why), ..) => format!("{version}; builds are not capped: {why}"),
            (None, None, None) => format!("{version}; builds are not capped, as configured"),
            (None, cpu, memory) => {
                let cpu = cpu.map(|millis| format!("{:.1} CPUs", f64::from(millis) / 1000.0));
                let memory = memory.map(|mb| format!("{mb} MB"));
                let limits: Vec<String> = cpu.into_iter().chain(memory).collect();
                format!("{version}; builds get at most {}", limits.join(" and "))
            }
        })
    }
}

/// Waits for the end of a build and tells all that happens until then.
async fn follow(
    solve: impl Future<Output = Result<tonic::Response<SolveResponse>, Status>>,
    reports: impl Stream<Item = Result<StatusResponse, Status>>,
    progress: &mut Progress<'_>,
    notices: &mut mpsc::UnboundedReceiver<String>,
) -> Result<SolveResponse, Status> {
    tokio::pin!(solve, reports);
    let mut reporting = true;
    let outcome = loop {
        tokio::select! {
            outcome = &mut solve => break outcome,
            report = reports.next(), if reporting => match report {
                Some(Ok(report)) => progress.take(report),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a build's events ended");
                    reporting = false;
                }
                None => reporting = false,
            },
            Some(notice) = notices.recv() => progress.notice(LogLevel::Warn, &notice),
        }
    };
    let last = async {
        while let Some(Ok(report)) = reports.next().await {
            progress.take(report);
        }
    };
    if reporting && tokio::time::timeout(LAST_EVENTS, last).await.is_err() {
        tracing::debug!("a build's last events did not come in time");
    }
    while let Ok(notice) = notices.try_recv() {
        progress.notice(LogLevel::Warn, &notice);
    }
    outcome.map(tonic::Response::into_inner)
}

/// An image's name without its tag.
fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// A name that nobody else has.
fn random_name() -> String {
    let mut bytes = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the kernel gives random bytes");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_port() {
        assert_eq!(without_tag("registry:5000/a/b:c"), "registry:5000/a/b");
        assert_eq!(without_tag("registry:5000/a/b"), "registry:5000/a/b");
    }
}
