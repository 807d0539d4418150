//! What a deployment says while it goes on: log lines and build steps, written in batches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    DeploymentId,
    deployment::Phase,
    logs::{LogLevel, clean_line},
    ports::{
        builder::{BuildObserver, BuildStep},
        source::SourceObserver,
    },
};
use store::{
    jobs::Claim,
    logs::{Line, Log},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{notices::Notice, world::World};

/// How long lines wait for company before they are written.
const BATCH: Duration = Duration::from_millis(40);

#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    steps: BTreeMap<String, BuildStep>,
    order: Vec<String>,
}

/// When a count was shown last.
struct Counts(Instant);

impl Counts {
    /// Whether another one may be shown; then it is.
    fn is_due(&mut self) -> bool {
        let due = self.0.elapsed() > Duration::from_secs(2);
        if due {
            self.0 = Instant::now();
        }
        due
    }
}

/// Whether a line only says how far something is: `Receiving objects: 40 % (2/5)`.
fn is_percentage(text: &str) -> bool {
    text.split_once('%')
        .is_some_and(|(before, _)| before.trim_end().ends_with(|last: char| last.is_ascii_digit()))
}

/// A line of a deployment's log, written now.
pub(super) fn line(phase: Phase, level: LogLevel, origin: &str, text: &str) -> Line {
    Line {
        sequence: 0,
        at_ns: i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX),
        phase: phase.name(),
        level,
        origin: clean_line(origin),
        message: clean_line(text),
    }
}

/// Takes lines and steps from everywhere, and writes them in order.
pub(crate) struct Progress {
    world: Arc<World>,
    deployment: DeploymentId,
    claim: Claim,
    waiting: Mutex<Waiting>,
    more: Notify,
    over: CancellationToken,
    writing: tokio::sync::Mutex<()>,
    counts: Mutex<Counts>,
}

impl Progress {
    /// Begins writing.
    pub(crate) fn start(world: Arc<World>, deployment: DeploymentId, claim: &Claim) -> Arc<Self> {
        let progress = Arc::new(Self {
            world,
            deployment,
            claim: claim.clone(),
            waiting: Mutex::default(),
            more: Notify::new(),
            over: CancellationToken::new(),
            writing: tokio::sync::Mutex::new(()),
            counts: Mutex::new(Counts(Instant::now())),
        });
        let writer = Arc::clone(&progress);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = writer.more.notified() => {}
                    () = writer.over.cancelled() => return,
                }
                tokio::select! {
                    () = tokio::time::sleep(BATCH) => writer.flush().await,
                    // Who ends in order writes what waits.
                    () = writer.over.cancelled() => return,
                }
            }
        });
        progress
    }

    /// A line of the platform's own.
    pub(crate) fn say(&self, phase: Phase, text: &str) {
        self.push(phase, LogLevel::Info, "", text);
    }

    /// Something that the user should look at.
    pub(crate) fn warn(&self, phase: Phase, text: &str) {
        self.push(phase, LogLevel::Warn, "", text);
    }

    pub(crate) fn push(&self, phase: Phase, level: LogLevel, origin: &str, text: &str) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .push(line(phase, level, origin, text));
        self.more.notify_one();
    }

    /// Writes what waits. A worker that has lost its lease writes nothing any more: another one may have written the last
    /// line.
    pub(crate) async fn flush(&self) {
        let _writing = self.writing.lock().await;
        let Waiting {
            mut lines,
            mut steps,
            order,
        } = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let steps: Vec<BuildStep> = order.iter().filter_map(|id| steps.remove(id)).collect();
        if !steps.is_empty()
            && let Err(error) = self.world.store.put_steps(self.deployment, &steps).await
        {
            tracing::warn!(deployment.id = %self.deployment, "build steps were not kept: {error}");
        }
        if lines.is_empty() {
            return;
        }
        let log = Log::Build(self.deployment);
        let kept = async {
            store::transaction!(self.world.store, |write| {
                write.append_lines(log, &mut lines).await?;
                write.require_lease(&self.claim).await?;
            })
        };
        if let Err(error) = kept.await {
            tracing::warn!(deployment.id = %self.deployment, "log lines were not kept: {error}");
        }
        self.world.notices.tell(Notice::Log(log));
    }

    /// Ends the writing when it is dropped, however the deployment's work ends.
    pub(crate) fn guard(&self) -> tokio_util::sync::DropGuard {
        self.over.clone().drop_guard()
    }

    /// Writes what waits, and ends.
    pub(crate) async fn finish(&self) {
        self.over.cancel();
        self.flush().await;
    }
}

impl SourceObserver for Progress {
    fn line(&self, text: &str) {
        // Git counts up to a hundred: now and then is enough.
        if is_percentage(text) && !self.counts.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
            return;
        }
        self.push(Phase::Build, LogLevel::Info, "fetch", text);
    }
}

impl BuildObserver for Progress {
    fn step(&self, step: BuildStep) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.steps.contains_key(&step.id) {
            waiting.order.push(step.id.clone());
        }
        waiting.steps.insert(step.id.clone(), step);
        drop(waiting);
        self.more.notify_one();
    }

    fn line(&self, step_name: &str, level: LogLevel, text: &str) {
        self.push(Phase::Build, level, step_name, text);
    }

    fn pushing(&self) {
        self.push(Phase::Build, LogLevel::Info, "", "the image goes to the registry");
    }
}
