//! The kinds of jobs and what each may take, in one place. A name is never changed: jobs that are under way at an update
//! must still be known.

/// Someone waits for it.
const WISH: i64 = 1;
/// It follows from what someone wished.
const FOLLOWS: i64 = 2;
/// It can wait.
const CLEAN_UP: i64 = 3;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What a kind of job may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name, in the database, in JSON and on the screen.
    pub name: &'static str,
    /// The smaller goes first, inside of one organization.
    pub priority: i64,
    /// The most that run at once, in all processes together.
    pub at_once: Option<i64>,
    /// The longest pause between two tries, in milliseconds.
    pub longest_pause_ms: i64,
    /// After failing for so long, in milliseconds, it is given up as dead; never when absent, since nothing else would
    /// do its work.
    pub patience_ms: Option<i64>,
}

/// All kinds.
pub const KINDS: [Kind; 10] = [
    kind("deploy", WISH, None, 30 * SECOND_MS, Some(HOUR_MS)),
    kind("stop-service", WISH, None, 30 * SECOND_MS, Some(HOUR_MS)),
    kind("start-service", WISH, None, 30 * SECOND_MS, Some(HOUR_MS)),
    kind("restart-service", WISH, None, 30 * SECOND_MS, Some(HOUR_MS)),
    kind("remove-service", WISH, Some(16), MINUTE_MS, None),
    kind("remove-project", FOLLOWS, Some(16), MINUTE_MS, None),
    kind("retire-instances", FOLLOWS, None, MINUTE_MS, Some(24 * HOUR_MS)),
    kind("remove-image", CLEAN_UP, Some(4), 5 * MINUTE_MS, Some(24 * HOUR_MS)),
    kind("prune-images", CLEAN_UP, Some(4), 5 * MINUTE_MS, Some(24 * HOUR_MS)),
    kind("cleanup", CLEAN_UP, Some(1), 5 * MINUTE_MS, Some(24 * HOUR_MS)),
];

/// A job of a version that is newer or older than this one.
const UNKNOWN: Kind = kind("", FOLLOWS, None, MINUTE_MS, Some(HOUR_MS));

/// No job waits longer than this between two tries. One that is due later was put back before the clock was set back.
pub const LONGEST_PAUSE_MS: i64 = 5 * MINUTE_MS;

const fn kind(
    name: &'static str,
    priority: i64,
    at_once: Option<i64>,
    longest_pause_ms: i64,
    patience_ms: Option<i64>,
) -> Kind {
    Kind {
        name,
        priority,
        at_once,
        longest_pause_ms,
        patience_ms,
    }
}

impl Kind {
    /// The kind of that name; a cautious one when this version does not know it.
    #[must_use]
    pub fn of(name: &str) -> Self {
        KINDS.into_iter().find(|kind| kind.name == name).unwrap_or(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_pauses_for_longer_than_the_longest_pause() {
        assert!(KINDS.iter().all(|kind| kind.longest_pause_ms <= LONGEST_PAUSE_MS));
    }
}
