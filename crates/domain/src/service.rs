//! What a service is set to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{BuildTarget, HealthPath, InsidePath, Replicas, ShellCommand, VariableKey};

/// How big an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum InstanceSize {
    /// 1 CPU, 512 MB.
    #[default]
    Small,
    /// 2 CPUs, 2 GB.
    Medium,
    /// 4 CPUs, 4 GB.
    Large,
    /// 8 CPUs, 8 GB.
    Xlarge,
}

impl InstanceSize {
    /// The limits that it stands for.
    #[must_use]
    pub fn resources(self) -> Resources {
        let (cpu_millis, memory_mb) = match self {
            Self::Small => (1000, 512),
            Self::Medium => (2000, 2048),
            Self::Large => (4000, 4096),
            Self::Xlarge => (8000, 8192),
        };
        Resources {
            cpu_millis,
            memory_mb,
            pids: 1024,
        }
    }
}

/// Limits of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: u32,
    /// Megabytes (2^20 bytes) of memory.
    pub memory_mb: u32,
    /// Processes and threads.
    pub pids: u32,
}

/// How an instance shows that it works. It is asked from outside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(tag = "kind", rename_all = "snake_case", from = "WrittenHealthCheck")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum HealthCheck {
    /// The port accepts a connection.
    #[default]
    Tcp,
    /// The path answers with a status below 400.
    Http {
        /// The path.
        path: HealthPath,
    },
}

/// As it is written in JSON: serde lets unknown fields pass beside a variant that has none of its own.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum WrittenHealthCheck {
    Tcp {},
    Http { path: HealthPath },
}

impl From<WrittenHealthCheck> for HealthCheck {
    fn from(written: WrittenHealthCheck) -> Self {
        match written {
            WrittenHealthCheck::Tcp {} => Self::Tcp,
            WrittenHealthCheck::Http { path } => Self::Http { path },
        }
    }
}

/// Who plans the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum BuildMethod {
    /// The Dockerfile when there is one, then Railpack where its program and a `buildkitd` are, then our planner.
    #[default]
    Automatic,
    /// The Dockerfile.
    Dockerfile,
    /// Our planner.
    Planner,
    /// Railpack.
    Railpack,
}

/// How a service is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BuildSettings {
    /// Who plans.
    pub method: BuildMethod,
    /// The Dockerfile inside the root directory; `Dockerfile` when absent.
    pub dockerfile_path: Option<InsidePath>,
    /// The stage to build; the last one when absent.
    pub target: Option<BuildTarget>,
    /// Build arguments. They are visible in the image's history: not for secrets.
    pub arguments: BTreeMap<VariableKey, String>,
    /// Replaces the install command that was detected.
    pub install_command: Option<ShellCommand>,
    /// Replaces the build command that was detected.
    pub build_command: Option<ShellCommand>,
    /// Where a static build leaves its files.
    pub output_directory: Option<InsidePath>,
}

/// How a service runs. A deployment keeps the settings that it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceSettings {
    /// How it is built.
    pub build: BuildSettings,
    /// Replaces the image's own command.
    pub start_command: Option<ShellCommand>,
    /// Runs once in each new image before an instance of it serves, as for migrations of a database; when it fails, the
    /// deployment does. It replaces what the plan found.
    pub release_command: Option<ShellCommand>,
    /// The port that the application listens on, given to it as `PORT`; found out when absent.
    pub port: Option<u16>,
    /// How big an instance is.
    pub instance_size: InstanceSize,
    /// How many instances run.
    pub replicas: Replicas,
    /// How an instance shows that it works.
    pub health_check: HealthCheck,
    /// Seconds that a new instance has to become healthy: 1 to 3600.
    pub health_timeout_seconds: u32,
    /// Seconds that requests under way may take when their instance is replaced: 0 to 3600.
    pub drain_timeout_seconds: u32,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            build: BuildSettings::default(),
            start_command: None,
            release_command: None,
            port: None,
            instance_size: InstanceSize::default(),
            replicas: Replicas::ONE,
            health_check: HealthCheck::default(),
            health_timeout_seconds: 120,
            drain_timeout_seconds: 30,
        }
    }
}

impl ServiceSettings {
    /// What the fields' own types cannot say.
    ///
    /// # Errors
    /// Field and rule, one for each that is broken.
    pub fn check(&self) -> Result<(), Vec<(&'static str, String)>> {
        let mut broken = Vec::new();
        if self.port == Some(0) {
            broken.push(("port", "a port is 1 to 65535".to_owned()));
        }
        if !(1..=3600).contains(&self.health_timeout_seconds) {
            broken.push(("health_timeout_seconds", "1 to 3600 seconds".to_owned()));
        }
        if self.drain_timeout_seconds > 3600 {
            broken.push(("drain_timeout_seconds", "0 to 3600 seconds".to_owned()));
        }
        if self.build.arguments.len() > 100
            || self
                .build
                .arguments
                .values()
                .any(|v| v.len() > 32 * 1024 || v.contains('\0'))
        {
            broken.push((
                "build.arguments",
                "at most 100, each of at most 32768 bytes and without NUL".to_owned(),
            ));
        }
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }
}

/// What a service is doing, as one word for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ServiceStatus {
    /// It has no source yet.
    NotConfigured,
    /// It was never deployed.
    Ready,
    /// A deployment is under way.
    Deploying,
    /// Its current deployment serves.
    Live,
    /// Its current deployment should serve, and some or all of it does not.
    Unhealthy,
    /// Nothing serves, and the newest deployment failed.
    Failed,
    /// It was stopped.
    Stopped,
}

impl ServiceStatus {
    /// The name in JSON and on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::Ready => "ready",
            Self::Deploying => "deploying",
            Self::Live => "live",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}
