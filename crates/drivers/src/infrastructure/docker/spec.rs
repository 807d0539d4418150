//! From an instance's specification to what the engine is asked for.

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig, RestartPolicy,
    RestartPolicyNameEnum,
};
use domain::ports::infrastructure::InstanceSpec;

use super::DockerEngine;

/// What a web application needs of the superuser's powers: to take over files, to become another user, to listen
/// below port 1024, to end its own workers.
const CAPABILITIES: [&str; 7] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
];

const MEGABYTE: i64 = 1024 * 1024;

impl DockerEngine {
    /// The container of an instance. The engine does not start it again by itself unless
    /// `keep_running` says so: while a release is watched, an end must be seen.
    pub(super) fn container_of(&self, spec: &InstanceSpec, image: &str, network_id: &str) -> ContainerCreateBody {
        let environment = spec.environment.iter();
        let endpoint = EndpointSettings {
            aliases: Some(spec.aliases.clone()),
            ..EndpointSettings::default()
        };
        ContainerCreateBody {
            image: Some(image.to_owned()),
            env: Some(
                environment
                    .map(|(key, value)| format!("{key}={}", value.expose()))
                    .collect(),
            ),
            labels: Some(self.own_labels(&spec.labels).into_iter().collect()),
            entrypoint: spec
                .command
                .as_ref()
                .map(|_| vec!["/bin/sh".to_owned(), "-c".to_owned()]),
            cmd: spec.command.clone().map(|command| vec![command]),
            host_config: Some(self.limits_of(spec, network_id)),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(network_id.to_owned(), endpoint)].into()),
            }),
            ..ContainerCreateBody::default()
        }
    }

    fn limits_of(&self, spec: &InstanceSpec, network_id: &str) -> HostConfig {
        let memory = i64::from(spec.resources.memory_mb) * MEGABYTE;
        let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        HostConfig {
            network_mode: Some(network_id.to_owned()),
            memory: Some(memory),
            // Memory and swap together: the same number means no swap.
            memory_swap: Some(memory),
            nano_cpus: Some(i64::from(spec.resources.cpu_millis) * 1_000_000),
            pids_limit: Some(i64::from(spec.resources.pids)),
            cap_drop: Some(words(&["ALL"])),
            cap_add: Some(words(&CAPABILITIES)),
            security_opt: Some(words(&["no-new-privileges"])),
            // The first process of a container must bury others' children and hear signals; few applications do.
            init: Some(self.has_init()),
            restart_policy: Some(restart_policy(false)),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                // Uncompressed, so that a follower that is behind can still read the older files.
                config: Some(
                    [("max-size", "10m"), ("max-file", "3"), ("compress", "false")]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
            }),
            ..HostConfig::default()
        }
    }
}

/// Whether the engine starts a container again that ended, also after the machine's own restart.
pub(super) fn restart_policy(keeps_running: bool) -> RestartPolicy {
    RestartPolicy {
        name: Some(if keeps_running {
            RestartPolicyNameEnum::UNLESS_STOPPED
        } else {
            RestartPolicyNameEnum::NO
        }),
        maximum_retry_count: None,
    }
}
