//! From what the engine says about a container to how an instance is.

use std::collections::BTreeMap;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use domain::ports::infrastructure::{Instance, InstanceExit, InstanceStatus};

use super::time;

/// Codes with which a process ends that did what it was told: it is finished, or it was asked to end.
const ORDINARY_CODES: [i64; 2] = [0, 143];

/// The instance that a container is.
pub(super) fn instance_of(found: &ContainerInspectResponse) -> Option<Instance> {
    let state = found.state.as_ref()?;
    let labels = found.config.as_ref().and_then(|config| config.labels.clone());
    let status = status_of(state);
    Some(Instance {
        id: found.id.clone()?,
        name: found.name.as_deref()?.trim_start_matches('/').to_owned(),
        labels: labels.map(BTreeMap::from_iter).unwrap_or_default(),
        status,
        address: if status == InstanceStatus::Running {
            address_of(found)
        } else {
            None
        },
        exit: if status == InstanceStatus::Exited {
            Some(exit_of(state))
        } else {
            None
        },
        started_at_ms: started_at_ms(state),
        restarts: found
            .restart_count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0),
    })
}

/// A container that waits for the engine to start it again has ended; one that could not be started has, too.
fn status_of(state: &ContainerState) -> InstanceStatus {
    match state.status {
        Some(
            ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED | ContainerStateStatusEnum::STOPPING,
        ) => InstanceStatus::Running,
        Some(ContainerStateStatusEnum::CREATED) if engine_words(state).is_none() => InstanceStatus::Created,
        _ => InstanceStatus::Exited,
    }
}

/// How the container's process ended last.
pub(super) fn exit_of(state: &ContainerState) -> InstanceExit {
    let code = state.exit_code.unwrap_or(0);
    let finished_at_ms = state.finished_at.as_deref().and_then(time::milliseconds);
    let ran_ms = match (started_at_ms(state), finished_at_ms) {
        (Some(started), Some(finished)) => (finished - started).max(0),
        _ => 0,
    };
    InstanceExit {
        code,
        // The engine's mark stays when only a child was ended and the instance itself went on.
        out_of_memory: state.oom_killed.unwrap_or(false) && !ORDINARY_CODES.contains(&code),
        ran_ms,
        error: engine_words(state),
    }
}

fn engine_words(state: &ContainerState) -> Option<String> {
    state.error.clone().filter(|words| !words.is_empty())
}

pub(super) fn started_at_ms(state: &ContainerState) -> Option<i64> {
    state.started_at.as_deref().and_then(time::milliseconds)
}

fn address_of(found: &ContainerInspectResponse) -> Option<std::net::IpAddr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    networks
        .values()
        .find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok())
}

/// Whether a container is on its way out, so that its name will be free.
pub(super) fn is_being_removed(found: &ContainerInspectResponse) -> bool {
    let status = found.state.as_ref().and_then(|state| state.status);
    matches!(
        status,
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD)
    )
}

/// The host's number of the container's first process, while it runs.
pub(super) fn process_of(found: &ContainerInspectResponse) -> Option<i64> {
    found.state.as_ref()?.pid.filter(|pid| *pid > 0)
}
