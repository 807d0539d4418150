//! Failures on demand.

use std::collections::{HashMap, HashSet, VecDeque};

use super::FakeWorld;

/// A call of a port that can be made to fail, to wait, and that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after the method that it stands for")]
pub enum Step {
    EnsureNetwork,
    RemoveNetwork,
    Networks,
    Start,
    Instance,
    Instances,
    Wait,
    StartAgain,
    KeepRunning,
    Stop,
    RemoveInstance,
    ListeningPorts,
    FollowOutput,
    ResolveImage,
    ResolveOwnImage,
    BuiltImages,
    ImageExists,
    RemoveImage,
    ExposedPort,
    SetRoute,
    RemoveRoute,
    GetRoute,
    Table,
    Drained,
    Probe,
    AskPublic,
    Plan,
    EnsureBaseImages,
    Build,
    PruneCache,
    Checkout,
    Unpack,
    GenerateDeployKey,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The counterpart is away; nothing was done.
    Unreachable,
    /// The counterpart refused for good; nothing was done.
    Refused,
    /// It was done, and the answer was lost: the caller hears that the counterpart is unreachable.
    Lost,
}

/// What is to fail, what waits, and what was called.
#[derive(Default)]
pub(super) struct Plan {
    next: HashMap<Step, VecDeque<Failure>>,
    always: HashMap<Step, Failure>,
    held: HashSet<Step>,
    calls: Vec<Step>,
}

impl FakeWorld {
    /// The next call fails this way; repeated, the one after it too.
    pub fn fail_next(&self, step: Step, failure: Failure) {
        self.state().plan.next.entry(step).or_default().push_back(failure);
    }

    /// Every call fails this way until [`Self::mend`].
    pub fn fail_always(&self, step: Step, failure: Failure) {
        self.state().plan.always.insert(step, failure);
    }

    /// Ends all failures of a step that were asked for.
    pub fn mend(&self, step: Step) {
        let mut state = self.state();
        state.plan.always.remove(&step);
        state.plan.next.remove(&step);
    }

    /// Calls of this step wait, before they do anything, until [`Self::release`].
    pub fn hold(&self, step: Step) {
        self.state().plan.held.insert(step);
    }

    /// Lets the calls go on that [`Self::hold`] keeps.
    pub fn release(&self, step: Step) {
        self.state().plan.held.remove(&step);
        self.tell();
    }

    /// How often a step was called.
    #[must_use]
    pub fn calls(&self, step: Step) -> usize {
        self.state().plan.calls.iter().filter(|called| **called == step).count()
    }

    /// All calls, in order.
    #[must_use]
    pub fn all_calls(&self) -> Vec<Step> {
        self.state().plan.calls.clone()
    }

    /// Notes the call, waits while it is held, and says how it is to fail.
    pub(super) async fn enter(&self, step: Step) -> Option<Failure> {
        self.state().plan.calls.push(step);
        self.until(|state| (!state.plan.held.contains(&step)).then_some(()))
            .await;
        let mut state = self.state();
        if let Some(failure) = state.plan.next.get_mut(&step).and_then(VecDeque::pop_front) {
            return Some(failure);
        }
        state.plan.always.get(&step).copied()
    }

    /// Does what a call does, or fails as it was told to.
    pub(super) async fn perform<T, E>(
        &self,
        step: Step,
        error: fn(Failure) -> E,
        act: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let answer = match self.enter(step).await {
            None => act(),
            Some(Failure::Lost) => {
                let _lost = act();
                Err(error(Failure::Lost))
            }
            Some(failure) => Err(error(failure)),
        };
        self.tell();
        answer
    }

    /// Waits until the state has an answer; looks again after every change and whenever a process does something.
    pub(super) async fn until<T>(&self, look: impl Fn(&super::State) -> Option<T>) -> T {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next_event = {
                let state = self.state();
                if let Some(answer) = look(&state) {
                    return answer;
                }
                state.containers.values().filter_map(super::Container::next_event).min()
            };
            match next_event {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }
}
