//! The connection to the engine: made when it is first needed, and nothing is kept that an engine's restart could spoil.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use domain::ports::infrastructure::InfrastructureError;

use crate::image::registry::RegistryAccess;

/// How long the engine may take to begin an answer. Streams and waits begin theirs at once and then last.
const ANSWER_SECONDS: u64 = 120;

/// The way to one engine; clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    host: Arc<str>,
    docker: Arc<OnceLock<Docker>>,
    registries: Arc<Vec<RegistryAccess>>,
}

impl Client {
    /// Checks the form of the address; nothing is asked yet.
    pub(crate) fn new(host: &str) -> Result<Self, InfrastructureError> {
        let known = ["unix://", "tcp://", "http://"];
        if !known
            .iter()
            .any(|scheme| host.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
        {
            return Err(InfrastructureError::Refused(format!(
                "the engine's address is `unix:///path` or `tcp://host:port`, not `{host}`"
            )));
        }
        Ok(Self {
            host: host.into(),
            docker: Arc::default(),
            registries: Arc::default(),
        })
    }

    pub(crate) fn with_registry(mut self, access: RegistryAccess) -> Self {
        Arc::make_mut(&mut self.registries).push(access);
        self
    }

    pub(crate) fn registries(&self) -> &[RegistryAccess] {
        &self.registries
    }

    /// Whether the engine runs on this machine, as far as its address tells.
    pub(crate) fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }

    /// The client library. It opens a connection for each call, so it outlives the engine's restarts; it is made late
    /// because it refuses a socket that is not there yet.
    pub(crate) fn docker(&self) -> Result<&Docker, Error> {
        if let Some(docker) = self.docker.get() {
            return Ok(docker);
        }
        let docker = if self.is_local() {
            Docker::connect_with_unix(&self.host, ANSWER_SECONDS, API_DEFAULT_VERSION)?
        } else {
            Docker::connect_with_http(&self.host, ANSWER_SECONDS, API_DEFAULT_VERSION)?
        };
        Ok(self.docker.get_or_init(|| docker))
    }

    /// The same, for a call whose answer takes this much longer.
    pub(crate) fn patient_docker(&self, longer: Duration) -> Result<Docker, Error> {
        let docker = self.docker()?.clone();
        Ok(docker.with_timeout(Duration::from_secs(ANSWER_SECONDS) + longer))
    }
}

/// What the caller can do about an error; `what` is what was looked for.
pub(crate) fn explain(error: Error, what: &str) -> InfrastructureError {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => InfrastructureError::Missing(what.to_owned()),
        Error::DockerResponseServerError { status_code, message } if !is_passing(status_code, &message) => {
            InfrastructureError::Refused(message)
        }
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => {
            InfrastructureError::Refused(error)
        }
        Error::UnsupportedURISchemeError { uri } => InfrastructureError::Refused(format!("`{uri}` is no address")),
        other => InfrastructureError::Unreachable(Box::new(other)),
    }
}

/// Whether what the engine says is about its own state, which passes.
fn is_passing(status_code: u16, message: &str) -> bool {
    status_code == 503
        || (status_code >= 500
            && [
                "shutting down",
                "containerd.sock",
                "context canceled",
                "context deadline exceeded",
            ]
            .iter()
            .any(|sign| message.contains(sign)))
}

/// Whether the engine knows no such thing.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// What the engine refused and why, when it did.
pub(crate) fn refusal(error: &Error) -> Option<(u16, &str)> {
    match error {
        Error::DockerResponseServerError { status_code, message } => Some((*status_code, message)),
        _ => None,
    }
}

/// Filters as the engine's lists take them.
pub(crate) fn filters<'a>(pairs: impl IntoIterator<Item = (&'a str, Vec<String>)>) -> HashMap<String, Vec<String>> {
    pairs
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(key, values)| (key.to_owned(), values))
        .collect()
}
