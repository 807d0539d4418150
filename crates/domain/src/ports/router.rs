//! The table by which the proxy finds a host's instances.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::{DeploymentId, ServiceId, names::HostName};

/// What the proxy does for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteState {
    /// Requests go to the instances.
    Live,
    /// A page says that the first version is on its way.
    Building,
    /// A page says that it was stopped.
    Stopped,
    /// A page says that no version works.
    Failed,
}

/// One instance behind a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
pub struct RouteInstance {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub address: SocketAddr,
}

/// A host's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The service.
    pub service: ServiceId,
    /// Its name, for the pages.
    pub name: String,
    /// What the proxy does.
    pub state: RouteState,
    /// A sentence for the page; may be empty.
    #[serde(default)]
    pub message: String,
    /// The deployment that serves.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
    /// Who serves; empty unless live.
    #[serde(default)]
    pub instances: Vec<RouteInstance>,
}

/// Why the table could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The proxy cannot be reached. It goes on serving what it knows; trying again can help.
    #[error("the proxy is unreachable")]
    Unreachable(#[source] Cause),
    /// It refused.
    #[error("the proxy said: {0}")]
    Refused(String),
}

/// Keeps the proxy's table.
#[async_trait]
pub trait Router: Send + Sync {
    /// Sets a host's entry, atomically and at once: every request that comes after this returned goes by the new entry.
    async fn set(&self, host: &HostName, route: &Route) -> Result<(), RouterError>;
    /// Removes a host's entry. Absence is success.
    async fn remove(&self, host: &HostName) -> Result<(), RouterError>;
    /// A host's entry.
    async fn get(&self, host: &HostName) -> Result<Option<Route>, RouterError>;
    /// The whole table.
    async fn table(&self) -> Result<BTreeMap<HostName, Route>, RouterError>;
    /// The whole table, and a number that grows with each change of it.
    async fn table_at(&self) -> Result<(u64, BTreeMap<HostName, Route>), RouterError> {
        Ok((0, self.table().await?))
    }
    /// Sets a host's entry, or removes it, unless the table has changed since it had that number: then `None`. The new
    /// number otherwise.
    async fn change_at(&self, number: u64, host: &HostName, route: Option<&Route>) -> Result<Option<u64>, RouterError> {
        match route {
            Some(route) => self.set(host, route).await?,
            None => self.remove(host).await?,
        }
        Ok(Some(number))
    }
    /// Waits until no request is under way at an instance that is in no entry any more, or the limit is reached; the
    /// number of requests that are left.
    async fn drained(&self, instance: &str, limit: Duration) -> Result<u64, RouterError>;
    /// Whether the proxy answers.
    async fn version(&self) -> Result<String, RouterError>;
}
