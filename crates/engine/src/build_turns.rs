//! Turns for builds: so many at once, and whoever has the fewest is next. An organization with a hundred builds delays
//! another one's by one build at most.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::OrganizationId;
use tokio::sync::oneshot;

/// Turns for builds.
#[derive(Clone)]
pub struct BuildTurns(Arc<Mutex<State>>);

struct State {
    free: usize,
    held: HashMap<OrganizationId, usize>,
    /// In the order in which they came.
    waiting: Vec<(OrganizationId, oneshot::Sender<Turn>)>,
}

/// A turn; it is over when this is dropped.
pub(crate) struct Turn {
    turns: BuildTurns,
    organization: OrganizationId,
}

impl State {
    /// Gives a free turn to whoever has the fewest, and of those to whoever came first.
    fn next(&mut self) -> Option<(OrganizationId, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        let held = |organization| self.held.get(organization).copied().unwrap_or(0);
        let (index, _) = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, (organization, _))| held(organization))?;
        let (organization, waiter) = self.waiting.remove(index);
        self.take(organization);
        Some((organization, waiter))
    }

    fn take(&mut self, organization: OrganizationId) {
        self.free -= 1;
        *self.held.entry(organization).or_default() += 1;
    }

    fn give_back(&mut self, organization: OrganizationId) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&organization) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&organization);
            }
        }
    }
}

impl BuildTurns {
    /// So many at once.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: at_once,
            held: HashMap::new(),
            waiting: Vec::new(),
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, organization: OrganizationId) -> Turn {
        Turn {
            turns: self.clone(),
            organization,
        }
    }

    /// A turn at once, or none.
    pub(crate) fn try_take(&self, organization: OrganizationId) -> Option<Turn> {
        let mut state = self.state();
        // A turn is only free when nobody waits.
        (state.free > 0).then(|| {
            state.take(organization);
            self.turn(organization)
        })
    }

    /// Waits for a turn. Whoever stops waiting leaves nothing behind.
    pub(crate) async fn take(&self, organization: OrganizationId) -> Turn {
        loop {
            let granted = {
                let mut state = self.state();
                if state.free > 0 {
                    state.take(organization);
                    return self.turn(organization);
                }
                let (waiter, granted) = oneshot::channel();
                state.waiting.push((organization, waiter));
                granted
            };
            if let Ok(turn) = granted.await {
                return turn;
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.give_back(self.organization);
        let next = state.next();
        drop(state);
        if let Some((organization, waiter)) = next {
            // Who does not wait any more lets go of it at once, and the next one gets it.
            drop(waiter.send(self.turns.turn(organization)));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn whoever_has_the_fewest_is_next_and_of_those_whoever_came_first() {
        let turns = BuildTurns::new(2);
        let (greedy, modest, third) = (OrganizationId::mint(), OrganizationId::mint(), OrganizationId::mint());
        let first = turns.try_take(greedy).unwrap();
        let second = turns.take(greedy).await;
        assert!(turns.try_take(modest).is_none());
        let mut more = Box::pin(turns.take(greedy));
        let mut late = Box::pin(turns.take(modest));
        let mut later = Box::pin(turns.take(third));
        for waiting in [&mut more, &mut late, &mut later] {
            assert!(poll!(waiting).is_pending());
        }
        drop(first);
        let of_modest = late.now_or_never().expect("it came later, and has none");
        assert!(poll!(&mut later).is_pending() && poll!(&mut more).is_pending());
        drop(of_modest);
        let of_third = later.now_or_never().expect("it has none");
        drop(second);
        let of_greedy = more.now_or_never().expect("nobody else waits");
        drop((of_third, of_greedy));
        assert!(turns.try_take(modest).is_some());
    }

    #[tokio::test]
    async fn whoever_stops_waiting_keeps_no_turn() {
        let turns = BuildTurns::new(1);
        let one = OrganizationId::mint();
        let held = turns.take(one).await;
        for _ in 0..3 {
            let mut gone = Box::pin(turns.take(one));
            assert!(poll!(&mut gone).is_pending());
        }
        let mut waiting = Box::pin(turns.take(OrganizationId::mint()));
        assert!(poll!(&mut waiting).is_pending());
        drop(held);
        let turn = waiting.now_or_never().expect("those before it are gone");
        // One who was given a turn and never looked has let go of it too.
        let mut unlooked = Box::pin(turns.take(one));
        assert!(poll!(&mut unlooked).is_pending());
        drop(turn);
        drop(unlooked);
        assert!(turns.try_take(one).is_some());
    }
}
