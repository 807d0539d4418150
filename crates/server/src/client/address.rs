//! Which log is meant.

use domain::{DeploymentId, ServiceId};

/// Which log.
#[derive(Debug, Clone)]
pub(crate) enum LogAddress {
    /// What a deployment wrote until it was live.
    Build(String),
    /// What a service's instances write.
    Runtime(String),
}

impl LogAddress {
    /// The log of a deployment.
    pub(crate) fn build(id: DeploymentId) -> Self {
        Self::Build(id.to_string())
    }

    /// The log of a running service.
    pub(crate) fn runtime(id: ServiceId) -> Self {
        Self::Runtime(id.to_string())
    }

    /// Its path below the API's base path.
    pub(crate) fn path(&self) -> [&str; 3] {
        match self {
            Self::Build(id) => ["deployments", id, "logs"],
            Self::Runtime(id) => ["services", id, "logs"],
        }
    }
}
