//! What becomes of a job that did not come to its end: when it is tried again, from when on someone should look, and when
//! it is given up.

use store::{jobs::Job, kinds::Kind};

/// From this failure on a job is stuck: it goes on, and someone should look.
pub(crate) const STUCK_FROM: i64 = 10;
/// Of what time does not mend, so many tries are enough.
const LASTING_TRIES: i64 = 5;
/// Before so many tries nothing is given up, however long the platform was away meanwhile.
const LEAST_TRIES: i64 = 5;

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is tried again, within so many milliseconds.
    Later {
        /// The longest pause; the real one is chosen by chance.
        most_ms: i64,
        /// It is stuck.
        stuck: bool,
    },
    /// It is given up.
    Dead,
}

/// Judges a job that failed once more. `lasting`: the next try will meet the same.
pub(crate) fn judge(job: &Job, lasting: bool, now_ms: i64) -> Verdict {
    let kind = Kind::of(&job.name);
    let failures = job.failures + 1;
    let failing_ms = now_ms - job.failing_since_ms.unwrap_or(now_ms);
    let impatient = kind.patience_ms.is_some_and(|patience_ms| failing_ms > patience_ms);
    if (lasting && failures >= LASTING_TRIES) || (impatient && failures >= LEAST_TRIES) {
        return Verdict::Dead;
    }
    Verdict::Later {
        most_ms: (1000 << failures.min(20)).min(kind.longest_pause_ms),
        stuck: failures >= STUCK_FROM,
    }
}

/// A pause of up to so many milliseconds, any of them: what failed together does not come back together.
pub(crate) fn pause_ms(most_ms: i64) -> i64 {
    fastrand::i64(0..=most_ms)
}

#[cfg(test)]
mod tests {
    use domain::{JobId, OrganizationId};

    use super::*;

    fn job(name: &str, failures: i64, failing_since_ms: Option<i64>) -> Job {
        Job {
            id: JobId::mint(),
            organization: OrganizationId::mint(),
            name: name.to_owned(),
            subject: String::new(),
            serial_key: String::new(),
            status: "running".to_owned(),
            attempt: failures + 1,
            failures,
            failing_since_ms,
            reason: None,
            step: None,
            created_at_ms: 0,
            finished_at_ms: None,
        }
    }

    #[test]
    fn pauses_double_up_to_the_kinds_longest_and_never_overflow() {
        let most = |failures| match judge(&job("deploy", failures, Some(0)), false, 0) {
            Verdict::Later { most_ms, .. } => most_ms,
            Verdict::Dead => panic!("it is not given up yet"),
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(most), [2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(most(i64::MAX - 1), 30_000);
        assert!((0..1000).all(|_| (0..=5).contains(&pause_ms(5))));
    }

    #[test]
    fn what_fails_often_is_stuck_and_what_fails_for_long_or_for_good_is_dead() {
        let later = |stuck| Verdict::Later { most_ms: 30_000, stuck };
        assert_eq!(judge(&job("deploy", 8, Some(0)), false, 1), later(false));
        assert_eq!(judge(&job("deploy", 9, Some(0)), false, 1), later(true));
        assert_eq!(judge(&job("deploy", 9, Some(0)), false, 3_600_001), Verdict::Dead);
        assert_eq!(judge(&job("deploy", 4, None), true, 0), Verdict::Dead);
        // The platform was off for a week: that is not its fault.
        assert!(matches!(
            judge(&job("deploy", 1, Some(0)), false, i64::MAX),
            Verdict::Later { .. }
        ));
        // Nothing else would remove the service.
        let years = judge(&job("remove-service", 10_000, Some(0)), false, i64::MAX);
        assert!(matches!(years, Verdict::Later { stuck: true, .. }));
    }
}
