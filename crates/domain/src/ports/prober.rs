//! Asks an instance, from outside of it, whether it works.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;

use crate::{DeploymentId, names::HostName, service::HealthCheck};

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It works.
    Healthy,
    /// Nobody accepts connections there.
    Refused,
    /// It did not answer in time.
    Silent,
    /// It answered with this HTTP status.
    Status(u16),
    /// It answered with what is no HTTP.
    Gibberish(String),
}

/// Asks.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Asks an instance once.
    async fn probe(&self, address: SocketAddr, check: &HealthCheck, timeout: Duration) -> Probe;

    /// Asks the public address through the proxy: the deployment that answered, and the status; `None` when the proxy
    /// answered by itself.
    async fn ask_public(
        &self,
        host: &HostName,
        path: &str,
        timeout: Duration,
    ) -> Result<(Option<DeploymentId>, u16), String>;
}
