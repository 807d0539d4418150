//! Networks and containers in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    SecretText,
    ports::infrastructure::{
        Infrastructure, InfrastructureError, Instance, InstanceExit, InstanceSpec, InstanceStatus, ListeningPorts,
        Network, NetworkSpec, OutputCursor, OutputLine, OutputSink,
    },
};
use tokio::time::Instant;

use super::{
    Clock, Failure, FakeWorld, State, Step,
    program::{self, Event, Happening},
};

/// A network that was made.
pub(super) struct MadeNetwork {
    id: String,
    labels: BTreeMap<String, String>,
}

/// A container.
pub(super) struct Container {
    pub(super) name: String,
    id: String,
    labels: BTreeMap<String, String>,
    pub(super) environment: BTreeMap<String, SecretText>,
    pub(super) image: String,
    network: String,
    program: String,
    pub(super) address: IpAddr,
    status: InstanceStatus,
    started: Option<Instant>,
    started_at_ms: Option<i64>,
    to_come: VecDeque<Event>,
    lines: Vec<OutputLine>,
    pub(super) ports: ListeningPorts,
    pub(super) answer: Answer,
    exit: Option<InstanceExit>,
    keeps_running: bool,
    restarts: u32,
    /// When the engine starts it again by itself.
    restarts_at: Option<Instant>,
    /// The engine was killed and half remembers it: it never starts this one again.
    pub(super) half_remembered: bool,
}

/// The pause before the engine starts a container again; it doubles with each time, up to a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a container's program answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u16),
    Never,
}

impl Container {
    pub(super) fn is_running(&self) -> bool {
        self.status == InstanceStatus::Running
    }

    pub(super) fn next_event(&self) -> Option<Instant> {
        if self.restarts_at.is_some() {
            return self.restarts_at;
        }
        Some(self.started? + self.to_come.front().filter(|_| self.is_running())?.after)
    }

    /// What a killed engine leaves of it.
    pub(super) fn half_remember(&mut self, at: Instant) {
        self.end(137, false, None, at);
        self.restarts_at = None;
        self.status = InstanceStatus::Created;
        self.half_remembered = true;
    }

    fn refuse_half_remembered(&self) -> Result<(), InfrastructureError> {
        if self.half_remembered {
            return Err(InfrastructureError::Refused(format!("task {} already exists", self.id)));
        }
        Ok(())
    }

    fn begin(&mut self, now: Instant, clock: Clock) {
        let timeline = program::read(&self.program, &self.environment);
        self.restarts_at = None;
        self.started = Some(now);
        self.started_at_ms = Some(clock.nanoseconds(now) / 1_000_000);
        self.ports = ListeningPorts::default();
        self.answer = Answer::Status(200);
        self.exit = None;
        self.status = InstanceStatus::Running;
        self.to_come = timeline.events.into();
        if timeline.refused.is_some() {
            self.end(127, false, timeline.refused, now);
        }
    }

    /// Lets everything happen that is due.
    pub(super) fn settle(&mut self, now: Instant, clock: Clock) {
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            if self.restarts_at.is_some() {
                self.restarts += 1;
                self.begin(at, clock);
                continue;
            }
            let Some(event) = self.to_come.pop_front() else { return };
            match event.what {
                Happening::Line(level, text) => {
                    let last = self.lines.last().map_or(i64::MIN, |line| line.at_ns);
                    self.lines.push(OutputLine {
                        at_ns: clock.nanoseconds(at).max(last),
                        level,
                        text,
                    });
                }
                Happening::Listen { port, loopback: true } => self.ports.loopback.push(port),
                Happening::Listen { port, loopback: false } => self.ports.open.push(port),
                Happening::Answer(status) => self.answer = Answer::Status(status),
                Happening::Hang => self.answer = Answer::Never,
                Happening::End { code, out_of_memory } => self.end(code, out_of_memory, None, at),
            }
        }
    }

    pub(super) fn end(&mut self, code: i64, out_of_memory: bool, error: Option<String>, at: Instant) {
        if !self.is_running() {
            return;
        }
        let ran = self.started.map(|started| at.saturating_duration_since(started));
        self.status = InstanceStatus::Exited;
        self.to_come.clear();
        self.ports = ListeningPorts::default();
        self.exit = Some(InstanceExit {
            code,
            out_of_memory,
            ran_ms: ran.map_or(0, |ran| i64::try_from(ran.as_millis()).unwrap_or(i64::MAX)),
            error,
        });
        if self.keeps_running {
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.restarts.min(16));
            self.restarts_at = Some(at + pause.min(LONGEST_PAUSE));
        }
    }

    fn as_instance(&self) -> Instance {
        Instance {
            id: self.id.clone(),
            name: self.name.clone(),
            labels: self.labels.clone(),
            status: self.status,
            address: self.is_running().then_some(self.address),
            exit: self.exit.clone(),
            started_at_ms: self.started_at_ms,
            restarts: self.restarts,
        }
    }
}

fn carries(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn error(failure: Failure) -> InfrastructureError {
    match failure {
        Failure::Refused => InfrastructureError::Refused("refused, as the test asked for".to_owned()),
        Failure::Unreachable | Failure::Lost => InfrastructureError::Unreachable("away, as the test asked for".into()),
    }
}

fn missing(name: &str) -> InfrastructureError {
    InfrastructureError::Missing(format!("instance `{name}`"))
}

impl State {
    fn start(&mut self, spec: &InstanceSpec) -> Result<Instance, InfrastructureError> {
        let clock = self.clock();
        if let Some(container) = self.containers.get_mut(&spec.name) {
            container.refuse_half_remembered()?;
            if container.status == InstanceStatus::Created {
                container.begin(Instant::now(), clock);
                self.runs.push(spec.name.clone());
            }
            return Ok(container.as_instance());
        }
        if !self.networks.contains_key(&spec.network) {
            return Err(InfrastructureError::Missing(format!("network `{}`", spec.network)));
        }
        let image = self
            .image(&spec.image)
            .ok_or_else(|| InfrastructureError::ImageMissing(spec.image.reference.clone()))?;
        let mut container = Container {
            name: spec.name.clone(),
            id: String::new(),
            labels: spec.labels.clone(),
            environment: spec.environment.clone(),
            program: spec.command.clone().unwrap_or_else(|| image.program.clone()),
            image: image.stored.digest.clone(),
            network: spec.network.clone(),
            address: IpAddr::from([0, 0, 0, 0]),
            status: InstanceStatus::Created,
            started: None,
            started_at_ms: None,
            to_come: VecDeque::new(),
            lines: Vec::new(),
            ports: ListeningPorts::default(),
            answer: Answer::Status(200),
            exit: None,
            keeps_running: false,
            restarts: 0,
            restarts_at: None,
            half_remembered: false,
        };
        container.id = format!("container-{}", self.next());
        container.address = self.next_address();
        let now = Instant::now();
        container.begin(now, clock);
        self.runs.push(spec.name.clone());
        container.settle(now, clock);
        let instance = container.as_instance();
        self.containers.insert(spec.name.clone(), container);
        Ok(instance)
    }
}

/// The lines after the cursor, and the cursor after them.
fn lines_after(lines: &[OutputLine], from: OutputCursor) -> (Vec<OutputLine>, OutputCursor) {
    let mut of_that_time = 0;
    let mut cursor = from;
    let mut fresh = Vec::new();
    for line in lines {
        if line.at_ns < from.at_ns {
            continue;
        }
        if line.at_ns == from.at_ns && of_that_time < from.lines_at_that_time {
            of_that_time += 1;
            continue;
        }
        cursor = OutputCursor {
            at_ns: line.at_ns,
            lines_at_that_time: if line.at_ns == cursor.at_ns {
                cursor.lines_at_that_time + 1
            } else {
                1
            },
        };
        fresh.push(line.clone());
    }
    (fresh, cursor)
}

#[async_trait]
impl Infrastructure for FakeWorld {
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network, InfrastructureError> {
        self.perform(Step::EnsureNetwork, error, || {
            let mut state = self.state();
            if !state.networks.contains_key(&spec.name) {
                let id = format!("network-{}", state.next());
                let labels = spec.labels.clone();
                state.networks.insert(spec.name.clone(), MadeNetwork { id, labels });
            }
            let made = &state.networks[&spec.name];
            Ok(Network {
                id: made.id.clone(),
                name: spec.name.clone(),
                labels: made.labels.clone(),
            })
        })
        .await
    }

    async fn remove_network(&self, name: &str) -> Result<(), InfrastructureError> {
        self.perform(Step::RemoveNetwork, error, || {
            let mut state = self.state();
            let is_used = |container: &Container| container.is_running() && container.network == name;
            if state.containers.values().any(is_used) {
                return Err(InfrastructureError::Refused(format!("the network `{name}` is in use")));
            }
            state.networks.remove(name);
            Ok(())
        })
        .await
    }

    async fn networks(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Network>, InfrastructureError> {
        self.perform(Step::Networks, error, || {
            let state = self.state();
            let found = state.networks.iter().filter(|(_, made)| carries(&made.labels, labels));
            Ok(found
                .map(|(name, made)| Network {
                    id: made.id.clone(),
                    name: name.clone(),
                    labels: made.labels.clone(),
                })
                .collect())
        })
        .await
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<Instance, InfrastructureError> {
        self.perform(Step::Start, error, || self.state().start(spec)).await
    }

    async fn instance(&self, name: &str) -> Result<Option<Instance>, InfrastructureError> {
        self.perform(Step::Instance, error, || {
            Ok(self.state().containers.get(name).map(Container::as_instance))
        })
        .await
    }

    async fn instances(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Instance>, InfrastructureError> {
        self.perform(Step::Instances, error, || {
            let state = self.state();
            let found = state
                .containers
                .values()
                .filter(|container| carries(&container.labels, labels));
            Ok(found.map(Container::as_instance).collect())
        })
        .await
    }

    async fn wait(&self, name: &str) -> Result<Option<InstanceExit>, InfrastructureError> {
        self.perform(Step::Wait, error, || Ok(())).await?;
        Ok(self
            .until(|state| match state.containers.get(name) {
                None => Some(None),
                Some(container) => container.exit.clone().map(Some),
            })
            .await)
    }

    async fn start_again(&self, name: &str) -> Result<Instance, InfrastructureError> {
        self.perform(Step::StartAgain, error, || {
            let mut state = self.state();
            let clock = state.clock();
            let container = state.containers.get_mut(name).ok_or_else(|| missing(name))?;
            container.refuse_half_remembered()?;
            if !container.is_running() {
                let now = Instant::now();
                container.begin(now, clock);
                container.settle(now, clock);
            }
            Ok(container.as_instance())
        })
        .await
    }

    async fn keep_running(&self, name: &str, keep: bool) -> Result<(), InfrastructureError> {
        self.perform(Step::KeepRunning, error, || {
            if let Some(container) = self.state().containers.get_mut(name) {
                container.keeps_running = keep;
            }
            Ok(())
        })
        .await
    }

    async fn stop(&self, name: &str, _grace_seconds: u32) -> Result<(), InfrastructureError> {
        self.perform(Step::Stop, error, || {
            if let Some(container) = self.state().containers.get_mut(name) {
                container.end(143, false, None, Instant::now());
                container.restarts_at = None;
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, name: &str) -> Result<(), InfrastructureError> {
        self.perform(Step::RemoveInstance, error, || {
            self.state().containers.remove(name);
            Ok(())
        })
        .await
    }

    async fn listening_ports(&self, name: &str) -> Result<ListeningPorts, InfrastructureError> {
        self.perform(Step::ListeningPorts, error, || {
            let state = self.state();
            let container = state.containers.get(name).ok_or_else(|| missing(name))?;
            Ok(container.ports.clone())
        })
        .await
    }

    async fn follow_output(
        &self,
        name: &str,
        from: OutputCursor,
        sink: &dyn OutputSink,
    ) -> Result<(), InfrastructureError> {
        self.perform(Step::FollowOutput, error, || Ok(())).await?;
        let mut cursor = from;
        loop {
            let (lines, next) = self
                .until(|state| match state.containers.get(name) {
                    None => Some((Vec::new(), cursor)),
                    Some(container) => {
                        let (lines, next) = lines_after(&container.lines, cursor);
                        (!lines.is_empty() || !container.is_running()).then_some((lines, next))
                    }
                })
                .await;
            if lines.is_empty() {
                return Ok(());
            }
            cursor = next;
            sink.take(lines, next).await.map_err(InfrastructureError::Sink)?;
        }
    }

    async fn version(&self) -> Result<String, InfrastructureError> {
        Ok("a world in memory".to_owned())
    }
}
