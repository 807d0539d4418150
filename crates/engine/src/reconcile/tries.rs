//! How often something is tried again: after pauses that double, and after long ones once it was tried many times.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use domain::ports::infrastructure::InfrastructureError;

/// The first pause before an instance that ended is started again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// After so many tries within this time the pauses are long.
pub(super) const MANY: usize = 20;
const WITHIN: Duration = Duration::from_secs(3600);
/// The long pause.
pub(super) const LONG_PAUSE: Duration = Duration::from_secs(600);

/// What is remembered between rounds: how often something was tried, and when it may be tried again.
#[derive(Default)]
pub(super) struct Tries {
    of: HashMap<String, Of>,
}

struct Of {
    pause: Duration,
    not_before: Instant,
    recent: VecDeque<Instant>,
}

impl Tries {
    /// Whether something that failed may be tried now.
    pub(super) fn may_try(&mut self, name: &str) -> bool {
        self.may_try_at(name, Instant::now())
    }

    fn may_try_at(&mut self, name: &str, now: Instant) -> bool {
        let of = self.of.entry(name.to_owned()).or_insert_with(|| Of {
            pause: FIRST_PAUSE,
            not_before: now,
            recent: VecDeque::new(),
        });
        if now < of.not_before {
            return false;
        }
        of.recent.push_back(now);
        while of
            .recent
            .front()
            .is_some_and(|first| now.duration_since(*first) > WITHIN)
        {
            of.recent.pop_front();
        }
        let pause = if of.recent.len() >= MANY { LONG_PAUSE } else { of.pause };
        of.not_before = now + pause;
        of.pause = (of.pause * 2).min(LAST_PAUSE);
        true
    }

    /// Whether it was tried so often that the pauses are long.
    pub(super) fn were_many(&self, name: &str) -> bool {
        self.of.get(name).is_some_and(|of| of.recent.len() >= MANY)
    }

    /// It is well again: the next pause is the first. How often it was tried is remembered for an hour.
    pub(super) fn is_well(&mut self, name: &str) {
        if let Some(of) = self.of.get_mut(name) {
            of.pause = FIRST_PAUSE;
            of.not_before = Instant::now();
            if of.recent.back().is_none_or(|last| last.elapsed() > WITHIN) {
                self.of.remove(name);
            }
        }
    }

    /// Forgets what nobody asked for in the last two hours.
    pub(super) fn forget_old(&mut self) {
        self.of.retain(|_, of| of.not_before.elapsed() < 2 * WITHIN);
    }

    /// Removes what is nobody's. What is refused for one of them is tried again later, and nothing to the others.
    pub(super) async fn remove(
        &mut self,
        name: &str,
        removal: impl Future<Output = Result<(), InfrastructureError>>,
    ) -> Result<(), InfrastructureError> {
        if !self.may_try(name) {
            return Ok(());
        }
        match removal.await {
            Ok(()) => {
                self.of.remove(name);
                Ok(())
            }
            Err(unreachable @ InfrastructureError::Unreachable(_)) => Err(unreachable),
            Err(error) => {
                tracing::warn!("`{name}` is nobody's, and is left for later: {error}");
                Ok(())
            }
        }
    }

    /// How long nobody need look: until the first pause ends, at most this long.
    pub(super) fn until_next(&self, longest: Duration) -> Duration {
        let left = self
            .of
            .values()
            .map(|of| of.not_before.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero()).fold(longest, Duration::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_long_after_many_tries_within_an_hour() {
        let mut tries = Tries::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..MANY + 2 {
            assert!(tries.may_try_at("web-1", now));
            let mut pause = 0;
            while !tries.of["web-1"].not_before.le(&(now + Duration::from_secs(pause))) {
                pause += 1;
            }
            assert!(pause == 0 || !tries.may_try_at("web-1", now + Duration::from_secs(pause - 1)));
            pauses.push(pause);
            now += Duration::from_secs(pause);
        }
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses[MANY - 2], 60);
        assert_eq!(pauses[MANY - 1..], [600; 3]);
        assert!(tries.were_many("web-1"));
        // An hour later it begins anew.
        assert!(tries.may_try_at("web-1", now + WITHIN + LONG_PAUSE));
        assert!(!tries.were_many("web-1"));
    }

    #[test]
    fn what_was_well_for_a_while_is_tried_at_once_but_how_often_it_was_is_remembered() {
        let mut tries = Tries::default();
        for _ in 0..MANY {
            assert!(tries.may_try("web-1"));
            assert!(!tries.may_try("web-1"));
            tries.is_well("web-1");
        }
        assert!(tries.were_many("web-1"));
    }
}
