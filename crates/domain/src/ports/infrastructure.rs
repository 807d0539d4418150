//! Where instances run: Docker Engine, or the OpenStack service contract. Both know networks, containers with limits
//! and an address, their state, and their output.

use std::{collections::BTreeMap, net::IpAddr};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Cause, image::StoredImage};
use crate::{SecretText, logs::LogLevel, service::Resources};

/// A project's network.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// Its name; unique within the installation.
    pub name: String,
    /// [`crate::labels`].
    pub labels: BTreeMap<String, String>,
}

/// A network that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An instance to be started.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// Its name; unique within the installation. Starting the same name twice finds the first one.
    pub name: String,
    /// [`crate::labels`].
    pub labels: BTreeMap<String, String>,
    /// What runs.
    pub image: StoredImage,
    /// Replaces the image's command, run by the image's own `sh -c`.
    pub command: Option<String>,
    /// The complete environment; the platform's own never leaks into it.
    pub environment: BTreeMap<String, SecretText>,
    /// The project's network.
    pub network: String,
    /// The names under which others in the network find it.
    pub aliases: Vec<String>,
    /// Limits.
    pub resources: Resources,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum InstanceStatus {
    /// Made, not yet running.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited,
}

/// An instance that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How it is.
    pub status: InstanceStatus,
    /// Where it is reached from this machine; absent while it does not run.
    pub address: Option<IpAddr>,
    /// How its process ended, when it did.
    pub exit: Option<InstanceExit>,
    /// When it was started last, in milliseconds since 1970.
    pub started_at_ms: Option<i64>,
    /// How often the engine started it again by itself.
    pub restarts: u32,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceExit {
    /// Its exit code; 128 + n for signal n.
    pub code: i64,
    /// The kernel ended it for its memory.
    pub out_of_memory: bool,
    /// How long it ran, in milliseconds.
    pub ran_ms: i64,
    /// What the engine said when it could not even be started.
    pub error: Option<String>,
}

/// A line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// When, in nanoseconds since 1970, by the engine's clock; never decreasing within an instance.
    pub at_ns: i64,
    /// [`LogLevel::Error`] for standard error, [`LogLevel::Info`] for standard output.
    pub level: LogLevel,
    /// The line without its newline, as UTF-8 (what is none is replaced).
    pub text: String,
}

/// Where to go on reading an instance's output: after this many lines of this very time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct OutputCursor {
    /// The time of the last line that was read.
    pub at_ns: i64,
    /// How many lines of that time were read.
    pub lines_at_that_time: u32,
}

/// Takes an instance's output; an error ends the following.
#[async_trait]
pub trait OutputSink: Send + Sync {
    /// Takes lines in order, together with where reading goes on after them.
    async fn take(&self, lines: Vec<OutputLine>, cursor: OutputCursor) -> Result<(), Cause>;
}

/// Why something could not be done to an instance or a network.
#[derive(Debug, thiserror::Error)]
pub enum InfrastructureError {
    /// The engine cannot be reached, or went away. Trying again can help.
    #[error("the container engine is unreachable")]
    Unreachable(#[source] Cause),
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// The image is not there.
    #[error("the image `{0}` is not there")]
    ImageMissing(String),
    /// The engine refused; trying again does not help.
    #[error("the container engine said: {0}")]
    Refused(String),
    /// Whoever took the output could not.
    #[error("the output could not be taken")]
    Sink(#[source] Cause),
}

/// Runs instances. Everything is found again by labels; nothing without our installation's label is ever touched.
#[async_trait]
pub trait Infrastructure: Send + Sync {
    /// Makes the network, or finds it.
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network, InfrastructureError>;
    /// Removes a network of ours. Absence is success.
    async fn remove_network(&self, name: &str) -> Result<(), InfrastructureError>;
    /// All networks that carry these labels.
    async fn networks(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Network>, InfrastructureError>;

    /// Makes and starts the instance, or finds it under its name; one that was made and never started is started.
    /// The image must be there or to be pulled. It is running, with an address, when this returns, or has ended.
    async fn start(&self, spec: &InstanceSpec) -> Result<Instance, InfrastructureError>;
    /// One instance by its name.
    async fn instance(&self, name: &str) -> Result<Option<Instance>, InfrastructureError>;
    /// All instances, running or not, that carry these labels.
    async fn instances(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Instance>, InfrastructureError>;
    /// Waits until the instance ends. Absence is an end without a story.
    async fn wait(&self, name: &str) -> Result<Option<InstanceExit>, InfrastructureError>;
    /// Starts an instance that has ended. [`InfrastructureError::Refused`] says that this very one will not start again;
    /// it can be removed, and another one be made under its name.
    async fn start_again(&self, name: &str) -> Result<Instance, InfrastructureError>;
    /// Says whether the engine itself starts the instance again when it ends or the machine restarts: off while a release
    /// is tried, on once it serves. Absence is success.
    async fn keep_running(&self, name: &str, keep: bool) -> Result<(), InfrastructureError> {
        let _ = (name, keep);
        Ok(())
    }
    /// Asks its process to end, and kills it after the grace. Absence is success.
    async fn stop(&self, name: &str, grace_seconds: u32) -> Result<(), InfrastructureError>;
    /// Removes it, killing what still runs. Absence is success.
    async fn remove(&self, name: &str) -> Result<(), InfrastructureError>;
    /// The TCP ports that processes inside the instance listen on, on any address but loopback, and on loopback.
    async fn listening_ports(&self, name: &str) -> Result<ListeningPorts, InfrastructureError>;

    /// Frees the room of images of this installation that no instance uses and that can be had again from a registry. Where
    /// the engine's own store is the only place of an image, nothing goes.
    async fn forget_unused_images(&self) -> Result<(), InfrastructureError> {
        Ok(())
    }

    /// Follows the output from the cursor on, until the instance has ended and everything is read. What was taken is
    /// not taken again, whatever breaks in between.
    async fn follow_output(
        &self,
        name: &str,
        from: OutputCursor,
        sink: &dyn OutputSink,
    ) -> Result<(), InfrastructureError>;

    /// Whether the engine answers; the words are its name and version.
    async fn version(&self) -> Result<String, InfrastructureError>;
}

/// What an instance listens on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListeningPorts {
    /// Reachable from outside the container.
    pub open: Vec<u16>,
    /// Bound to the loopback address only: nobody outside can reach it.
    pub loopback: Vec<u16>,
}
