//! Waits until a container ends, and finds out how.

use std::{
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    errors::Error,
    models::{ContainerState, EventMessage},
    query_parameters::{EventsOptionsBuilder, WaitContainerOptionsBuilder},
};
use domain::ports::infrastructure::{InfrastructureError, Instance, InstanceExit, InstanceStatus};
use futures_util::StreamExt;

use super::{
    DockerEngine,
    client::{explain, filters, is_missing},
    container::BETWEEN_TRIES,
    state, time,
};

/// How long the engine may take to tell what happened a moment ago.
const EVENTS_DEADLINE: Duration = Duration::from_secs(2);

/// The exit code of a process that was ended by signal 9.
pub(super) const KILLED: i64 = 137;
/// How often it is looked, right after the end, whether that was for its memory.
const KILLED_LOOKS: usize = 10;

impl DockerEngine {
    pub(super) async fn wait_for_end(&self, name: &str) -> Result<Option<InstanceExit>, InfrastructureError> {
        let instance = loop {
            let Some(instance) = self.find(name).await? else {
                return Ok(None);
            };
            match instance.status {
                InstanceStatus::Exited => return Ok(instance.exit),
                InstanceStatus::Running => break instance,
                // Somebody is about to start it.
                InstanceStatus::Created => tokio::time::sleep(BETWEEN_TRIES).await,
            }
        };
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let docker = self.docker()?;
        let mut answers = pin!(docker.wait_container(&instance.id, Some(options)));
        let code = match answers.next().await {
            Some(Ok(answer)) => answer.status_code,
            Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) if is_missing(&error) => return Ok(None),
            Some(Err(error)) => return Err(explain(error, name)),
            None => {
                return Err(InfrastructureError::Unreachable(
                    "the engine went away during the wait".into(),
                ));
            }
        };
        let Some(mut state) = self.inspect(&instance.id).await?.and_then(|found| found.state) else {
            return Ok(None);
        };
        if code == KILLED && state.oom_killed != Some(true) {
            state.oom_killed = Some(self.was_out_of_memory(&instance, KILLED_LOOKS).await);
        }
        if state.running == Some(true) {
            return Ok(Some(self.end_of_earlier_run(&instance, &state, code).await));
        }
        Ok(Some(state::exit_of(&state)))
    }

    /// How a run ended after which the engine was quick to start the container again: what it says of the container
    /// is about the new run by then, and even the wait may have been answered with the new run's code.
    async fn end_of_earlier_run(&self, instance: &Instance, state: &ContainerState, code: i64) -> InstanceExit {
        let told = tokio::time::timeout(EVENTS_DEADLINE, self.code_by_events(instance)).await;
        let finished = state.finished_at.as_deref().and_then(time::milliseconds);
        let ran_ms = match (instance.started_at_ms, finished) {
            (Some(started), Some(finished)) => (finished - started).max(0),
            _ => 0,
        };
        InstanceExit {
            code: told.ok().flatten().unwrap_or(code),
            ran_ms,
            error: None,
            ..state::exit_of(state)
        }
    }

    /// The code with which a container ended first after it was started.
    async fn code_by_events(&self, instance: &Instance) -> Option<i64> {
        let event = self.first_event(instance, "die").await?;
        event.actor?.attributes?.get("exitCode")?.parse().ok()
    }

    /// Whether a container ran out of memory after it was started. Engine 20.10 hears of that by another way than of the
    /// end; what it hears after the end is not marked on the container, and is told only as an event.
    pub(super) async fn was_out_of_memory(&self, instance: &Instance, looks: usize) -> bool {
        let looking = async {
            for look in 0..looks {
                if look > 0 {
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                if self.first_event(instance, "oom").await.is_some() {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(EVENTS_DEADLINE, looking).await.unwrap_or(false)
    }

    /// What first happened of this kind to a container after it was started, from what the engine remembers.
    async fn first_event(&self, instance: &Instance, kind: &str) -> Option<EventMessage> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let only = filters([
            ("container", vec![instance.id.clone()]),
            ("event", vec![kind.to_owned()]),
        ]);
        let started_seconds = instance.started_at_ms? / 1000;
        let options = EventsOptionsBuilder::new()
            .since(&started_seconds.to_string())
            .until(&format!("{}.{:09}", now.as_secs(), now.subsec_nanos()))
            .filters(&only)
            .build();
        let mut events = pin!(self.docker().ok()?.events(Some(options)));
        while let Some(Ok(event)) = events.next().await {
            // The second in which it was started may hold an end before it.
            let at_ms = event.time_nano.map(|at| at / 1_000_000);
            if at_ms >= instance.started_at_ms {
                return Some(event);
            }
        }
        None
    }
}
