//! The world in memory, watched: every call of a port can be paused before or after it is done, or broken, and after each
//! call that changes something it is checked that the hosts that have to be served are.

mod ports;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use contract::world::{Failure, FakeWorld, Step};
use domain::{
    names::HostName,
    ports::router::{RouteState, Router as _},
};
use tokio::sync::Notify;

/// How long anything is waited for, however busy the machine is.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// Before or after the call is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// Which call is paused or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The n-th call from now on of those that only jobs make, counted from 1.
    Nth(usize),
    /// The n-th call of this step from now on, whoever makes it, counted from 1.
    NthOf(Step, usize),
    /// The next call of this step.
    Step(Step),
}

/// A call that stands still until it is let go or its caller is killed.
#[derive(Clone)]
pub(crate) struct Pause {
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl Pause {
    /// Waits until the call stands still.
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(LONGEST, self.reached.notified()).await;
        assert!(reached.is_ok(), "the call that was to stand still was never made");
    }

    /// Lets the call go on.
    pub(crate) fn resume(&self) {
        self.go.notify_one();
    }
}

struct Planned {
    which: Which,
    moment: Moment,
    pause: Pause,
}

/// How a call is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breakage {
    pub(crate) which: Which,
    pub(crate) failure: Failure,
    /// Every call of its step is broken from then on.
    pub(crate) lasting: bool,
}

#[derive(Default)]
struct State {
    counted: usize,
    of_step: HashMap<Step, usize>,
    breakages: Vec<Breakage>,
    broken: Vec<Step>,
    /// The number of the proxy's table.
    changes: u64,
    planned: Vec<Planned>,
    served: BTreeSet<HostName>,
    violations: Vec<String>,
}

/// The ports of the world, watched. Clones share everything.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) world: FakeWorld,
    state: Arc<Mutex<State>>,
}

/// Whether only jobs make this call: what is left out is also called by the loops in the background, at any time.
fn is_of_jobs(step: Step) -> bool {
    use Step as S;
    !matches!(
        step,
        S::Instance | S::Instances | S::Networks | S::Table | S::GetRoute | S::FollowOutput | S::Wait
    )
}

fn changes(step: Step) -> bool {
    use Step as S;
    matches!(
        step,
        S::Start | S::StartAgain | S::Stop | S::RemoveInstance | S::SetRoute | S::RemoveRoute
    )
}

impl Watched {
    pub(crate) fn new(world: FakeWorld) -> Self {
        Self {
            world,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call stand still.
    pub(crate) fn pause(&self, which: Which, moment: Moment) -> Pause {
        let pause = Pause {
            reached: Arc::default(),
            go: Arc::default(),
        };
        let mut state = self.state();
        let which = state.counted_from_now(which);
        state.planned.push(Planned {
            which,
            moment,
            pause: pause.clone(),
        });
        pause
    }

    /// Breaks a call.
    pub(crate) fn break_call(&self, breakage: Breakage) {
        let mut state = self.state();
        let which = state.counted_from_now(breakage.which);
        state.breakages.push(Breakage { which, ..breakage });
    }

    /// Ends every breakage; which steps were broken.
    pub(crate) fn mend(&self) -> Vec<Step> {
        let broken = {
            let mut state = self.state();
            state.breakages.clear();
            std::mem::take(&mut state.broken)
        };
        broken.iter().for_each(|step| self.world.mend(*step));
        broken
    }

    /// How many calls only jobs have made.
    pub(crate) fn counted(&self) -> usize {
        self.state().counted
    }

    /// How many calls of a step were made.
    pub(crate) fn counted_of(&self, step: Step) -> usize {
        self.state().of_step.get(&step).copied().unwrap_or(0)
    }

    /// From now on the host has to be served by running instances.
    pub(crate) fn must_serve(&self, host: &HostName) {
        self.state().served.insert(host.clone());
    }

    /// From now on it need not.
    pub(crate) fn need_not_serve(&self, host: &HostName) {
        self.state().served.remove(host);
    }

    /// When a host that had to be served was not.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    async fn gate(&self, call: Call, moment: Moment) {
        let found = {
            let mut state = self.state();
            let fits = |planned: &Planned| call.is(planned.which) && planned.moment == moment;
            let position = state.planned.iter().position(fits);
            position.map(|position| state.planned.remove(position).pause)
        };
        if let Some(pause) = found {
            pause.reached.notify_one();
            pause.go.notified().await;
        }
    }

    async fn look(&self, step: Step) {
        let served: Vec<HostName> = self.state().served.iter().cloned().collect();
        for host in served {
            // The engine never asks for one route, so this call is never told to fail.
            let route = self.world.get(&host).await.ok().flatten();
            let running = self.world.alive().running;
            let is_served = route.as_ref().is_some_and(|route| {
                route.state == RouteState::Live
                    && !route.instances.is_empty()
                    && route.instances.iter().all(|instance| running.contains(&instance.id))
            });
            let mut state = self.state();
            if !is_served && state.served.contains(&host) {
                state.violations.push(format!(
                    "after {step:?} `{host}` was not served: {route:?}, running {running:?}"
                ));
            }
        }
    }

    async fn around<T>(&self, step: Step, call: impl Future<Output = T> + Send) -> T {
        let call_is = {
            let mut state = self.state();
            state.counted += usize::from(is_of_jobs(step));
            state.changes += u64::from(matches!(step, Step::SetRoute | Step::RemoveRoute));
            let of_step = state.of_step.entry(step).or_default();
            *of_step += 1;
            Call {
                step,
                of_step: *of_step,
                number: state.counted,
            }
        };
        self.gate(call_is, Moment::Before).await;
        self.break_now(call_is);
        let answer = call.await;
        if changes(step) {
            self.look(step).await;
        }
        self.gate(call_is, Moment::After).await;
        answer
    }

    fn break_now(&self, call: Call) {
        let mut state = self.state();
        let Some(position) = state.breakages.iter().position(|breakage| call.is(breakage.which)) else {
            return;
        };
        let breakage = state.breakages.remove(position);
        state.broken.push(call.step);
        if breakage.lasting {
            self.world.fail_always(call.step, breakage.failure);
        } else {
            self.world.fail_next(call.step, breakage.failure);
        }
    }
}

/// A call that is made, and its place among the others.
#[derive(Clone, Copy)]
struct Call {
    step: Step,
    of_step: usize,
    number: usize,
}

impl Call {
    fn is(self, which: Which) -> bool {
        match which {
            Which::Nth(wanted) => is_of_jobs(self.step) && wanted == self.number,
            Which::NthOf(step, wanted) => step == self.step && wanted == self.of_step,
            Which::Step(wanted) => wanted == self.step,
        }
    }
}

impl State {
    fn counted_from_now(&self, which: Which) -> Which {
        match which {
            Which::Nth(number) => Which::Nth(self.counted + number),
            Which::NthOf(step, number) => Which::NthOf(step, self.of_step.get(&step).copied().unwrap_or(0) + number),
            step => step,
        }
    }
}
