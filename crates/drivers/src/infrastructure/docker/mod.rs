//! Instances on a Docker Engine of API 1.40 or newer: each a container, each project a network.
//!
//! Nothing is known here that the engine does not know: every call asks it, so its restart, or somebody's hand on a
//! container, needs no repair. The one exception is `seen`, which spares asking twice what cannot have changed.
//!
//! Output is kept by the engine in three files of 10 MB for each container, the oldest of which is thrown away for a
//! new one. Whoever follows it loses nothing as long as they are not behind by more than two of the files; how that is
//! kept is in `pace`.

pub(crate) mod client;
mod container;
mod follow;
mod network;
mod output;
mod pace;
mod ports;
pub(crate) mod pull;
mod seen;
mod spec;
mod state;
mod subnet;
mod time;
mod wait;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    labels,
    ports::infrastructure::{
        Infrastructure, InfrastructureError, Instance, InstanceExit, InstanceSpec, ListeningPorts, Network,
        NetworkSpec, OutputCursor, OutputSink,
    },
};

use self::{
    client::{Client, explain},
    seen::Seen,
    subnet::Range,
};
use crate::image::registry::RegistryAccess;

/// Where networks come from when the engine has no addresses left of its own.
const ADDRESS_RANGE: &str = "10.213.0.0/16";

/// How long an instance may write nothing before the engine is asked whether that is so.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// A Docker Engine. Clones share its connection.
#[derive(Clone)]
pub struct DockerEngine {
    client: Client,
    installation: String,
    address_range: Range,
    network_making: Arc<tokio::sync::Mutex<()>>,
    without_init: Arc<AtomicBool>,
    longest_silence: Duration,
    seen: Seen,
}

impl DockerEngine {
    /// The engine at `unix:///path` or `tcp://host:port`. Nothing is asked yet; it may come up later. What carries
    /// another installation's label is as good as not there.
    ///
    /// # Errors
    /// [`InfrastructureError::Refused`] when the address or the installation's name has another form.
    pub fn new(docker_host: &str, installation: &str) -> Result<Self, InfrastructureError> {
        check_name(installation)?;
        let address_range = Range::parse(ADDRESS_RANGE)
            .ok_or_else(|| InfrastructureError::Refused(format!("`{ADDRESS_RANGE}` is no range")))?;
        Ok(Self {
            client: Client::new(docker_host)?,
            installation: installation.to_owned(),
            address_range,
            network_making: Arc::default(),
            without_init: Arc::default(),
            longest_silence: LONGEST_SILENCE,
            seen: Seen::default(),
        })
    }

    /// Images of this registry are pulled with these credentials.
    #[must_use]
    pub fn with_registry(mut self, access: RegistryAccess) -> Self {
        self.client = self.client.with_registry(access);
        self
    }

    /// The private range from which networks of 256 addresses are taken once the engine's own pools are used up;
    /// `10.213.0.0/16` by default.
    ///
    /// # Errors
    /// [`InfrastructureError::Refused`] when it is no range of IPv4 addresses, as in `10.1.0.0/16`.
    pub fn with_address_range(mut self, range: &str) -> Result<Self, InfrastructureError> {
        self.address_range = Range::parse(range)
            .ok_or_else(|| InfrastructureError::Refused(format!("`{range}` is no range such as `10.1.0.0/16`")))?;
        Ok(self)
    }

    /// How long a follower of output hears nothing before it asks anew, 30 s by default; silence that was real is believed
    /// longer the next time.
    #[must_use]
    pub fn with_longest_silence(mut self, longest: Duration) -> Self {
        self.longest_silence = longest;
        self
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The labels of what is looked for, ours among them.
    fn label_filters(&self, wanted: &BTreeMap<String, String>) -> Vec<String> {
        let own = self.own_labels(wanted);
        own.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    fn own_labels(&self, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut own = given.clone();
        own.insert(labels::INSTALLATION.to_owned(), self.installation.clone());
        own
    }

    fn is_ours(&self, instance: &Instance) -> bool {
        instance.labels.get(labels::INSTALLATION) == Some(&self.installation)
    }

    fn has_init(&self) -> bool {
        !self.without_init.load(Ordering::Relaxed)
    }
}

/// The engine's own rule for names, so that none of them can mean another path of its API.
fn check_name(name: &str) -> Result<(), InfrastructureError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if begins && name.len() <= 128 && name.bytes().all(fits) {
        return Ok(());
    }
    Err(InfrastructureError::Refused(
        "a name has 1 to 128 letters, digits, `_`, `.` and `-`, and begins with a letter or digit".to_owned(),
    ))
}

#[async_trait]
impl Infrastructure for DockerEngine {
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network, InfrastructureError> {
        self.make_network(spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), InfrastructureError> {
        self.delete_networks(name).await
    }

    async fn networks(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Network>, InfrastructureError> {
        self.list_networks(labels).await
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<Instance, InfrastructureError> {
        self.start_container(spec).await
    }

    async fn instance(&self, name: &str) -> Result<Option<Instance>, InfrastructureError> {
        self.find(name).await
    }

    async fn instances(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Instance>, InfrastructureError> {
        self.find_all(labels).await
    }

    async fn wait(&self, name: &str) -> Result<Option<InstanceExit>, InfrastructureError> {
        self.wait_for_end(name).await
    }

    async fn start_again(&self, name: &str) -> Result<Instance, InfrastructureError> {
        self.start_container_again(name).await
    }

    async fn keep_running(&self, name: &str, keep: bool) -> Result<(), InfrastructureError> {
        self.set_restarting(name, keep).await
    }

    async fn stop(&self, name: &str, grace_seconds: u32) -> Result<(), InfrastructureError> {
        self.stop_container(name, grace_seconds).await
    }

    async fn remove(&self, name: &str) -> Result<(), InfrastructureError> {
        self.remove_container(name).await
    }

    async fn listening_ports(&self, name: &str) -> Result<ListeningPorts, InfrastructureError> {
        self.ports_of(name).await
    }

    async fn forget_unused_images(&self) -> Result<(), InfrastructureError> {
        self.prune_pulled_images().await
    }

    async fn follow_output(
        &self,
        name: &str,
        from: OutputCursor,
        sink: &dyn OutputSink,
    ) -> Result<(), InfrastructureError> {
        self.follow(name, from, sink).await
    }

    async fn version(&self) -> Result<String, InfrastructureError> {
        let docker = self.client.docker().map_err(|error| explain(error, "engine"))?;
        let version = docker.version().await.map_err(|error| explain(error, "version"))?;
        Ok(format!("Docker Engine {}", version.version.unwrap_or_default()))
    }
}
