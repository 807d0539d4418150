//! Whether a follower keeps up with what an instance writes, and how long it may hear nothing.
//!
//! The engine changes a container's file after every 10 MB. Its followers are told by names and signals, not by content:
//! one that is behind when that happens is shown a file twice, or never. Reading what is there at once has no such fault,
//! because all files are opened together. So a follower that falls behind, or to which much comes, reads what is there,
//! again and again, until little comes. And because a file that is not shown looks like silence, and so does an engine
//! that is gone without a word, silence is believed for a while only.

use std::time::Duration;

use tokio::time::Instant;

/// So many bytes within so short a time are not followed: a file lasts about half a minute then.
const MUCH_BYTES: usize = 1024 * 1024;
const SHORT_TIME: Duration = Duration::from_secs(4);

/// Nor is this much within that time that comes so much later than it was written.
const LATE_BYTES: usize = 64 * 1024;
const LATE_NS: i64 = 1_000_000_000;

/// Where so much came within that time, silence is believed for this long only: less than a file lasts.
const SOME_BYTES: usize = 64 * 1024;
const SHORT_SILENCE: Duration = Duration::from_secs(10);

/// Silence that was real is believed twice as long the next time, up to this.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);

/// What is known of one follower.
pub(super) struct Pace {
    /// Since when is counted.
    since: Instant,
    bytes: usize,
    late_bytes: usize,
    /// The least by which a line was older than the moment at which it came. Two clocks are compared, so it may be
    /// anything; what is more than it is lateness.
    least_lag_ns: Option<i64>,
    was_late: bool,
    /// When everything that was there was read last.
    last_read: Option<Instant>,
    first_silence: Duration,
    silence: Duration,
    doubted_at_ns: Option<i64>,
}

impl Pace {
    /// Of a follower that believes in silence for so long at first.
    pub(super) fn new(first_silence: Duration) -> Self {
        Self {
            since: Instant::now(),
            bytes: 0,
            late_bytes: 0,
            least_lag_ns: None,
            was_late: false,
            last_read: None,
            first_silence,
            silence: first_silence,
            doubted_at_ns: None,
        }
    }

    /// Counts a new line that was followed; whether following is not safe any more. `now_ns` is the time in nanoseconds
    /// since 1970, by our clock; `at_ns` is the line's, by the engine's.
    pub(super) fn falls_behind(&mut self, bytes: usize, at_ns: i64, now: Instant, now_ns: i64) -> bool {
        if now.duration_since(self.since) > SHORT_TIME {
            (self.since, self.bytes, self.late_bytes) = (now, 0, 0);
        }
        let lag_ns = now_ns.saturating_sub(at_ns);
        let least_lag_ns = self.least_lag_ns.map_or(lag_ns, |least| least.min(lag_ns));
        self.least_lag_ns = Some(least_lag_ns);
        if let Some(doubted_at_ns) = self.doubted_at_ns.take()
            && at_ns.saturating_add(least_lag_ns) < doubted_at_ns
        {
            // It was there, and was not shown.
            self.silence = self.first_silence;
        }
        self.bytes += bytes;
        if lag_ns - least_lag_ns > LATE_NS {
            self.late_bytes += bytes;
        }
        self.was_late = self.late_bytes >= LATE_BYTES;
        self.was_late || self.bytes >= MUCH_BYTES
    }

    /// Everything that was there has been read, `bytes` of it new; whether it is safe to follow now. The reading began at
    /// `began`.
    pub(super) fn has_caught_up(&mut self, bytes: usize, began: Instant) -> bool {
        let time = self.last_read.replace(began).map(|last| began.duration_since(last));
        let is_much = match time {
            Some(time) if time > SHORT_TIME => bytes as f64 / time.as_secs_f64() >= per_second(),
            _ => bytes >= MUCH_BYTES,
        };
        if is_much {
            return false;
        }
        if self.was_late && bytes < LATE_BYTES {
            // Nothing was left behind: it is the clocks that went apart.
            self.least_lag_ns = None;
        }
        (self.since, self.bytes, self.late_bytes, self.was_late) = (Instant::now(), bytes, 0, false);
        true
    }

    /// How long nothing may come before that is doubted.
    pub(super) fn longest_silence(&self) -> Duration {
        match self.bytes >= SOME_BYTES {
            true => self.silence.min(SHORT_SILENCE),
            false => self.silence,
        }
    }

    /// The silence is doubted.
    pub(super) fn doubt(&mut self, now_ns: i64) {
        if self.bytes < SOME_BYTES {
            self.silence = (self.silence * 2).min(LONGEST_SILENCE.max(self.first_silence));
        }
        (self.bytes, self.late_bytes) = (0, 0);
        self.doubted_at_ns = Some(now_ns);
    }
}

fn per_second() -> f64 {
    MUCH_BYTES as f64 / SHORT_TIME.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const FIRST: Duration = Duration::from_secs(30);

    /// Follows lines of 100 bytes: how many there are each second, how late they come, and after how many it was too much.
    fn follow(pace: &mut Pace, per_second: u32, late_ns: i64, seconds: u32) -> Option<u32> {
        let start = Instant::now();
        (0..per_second * seconds).find(|number| {
            let after = Duration::from_secs_f64(f64::from(*number) / f64::from(per_second));
            let now_ns = i64::try_from(after.as_nanos()).unwrap();
            pace.falls_behind(100, now_ns - late_ns, start + after, now_ns)
        })
    }

    #[test]
    fn much_within_short_time_is_too_much_and_little_never_is() {
        assert_eq!(follow(&mut Pace::new(FIRST), 2_000, 0, 1000), None);
        assert!(follow(&mut Pace::new(FIRST), 10_000, 0, 10).is_some());
    }

    #[test]
    fn what_comes_late_is_too_much_sooner_whatever_the_clocks_say() {
        for difference in [-3600 * SECOND, 0, 3600 * SECOND] {
            let mut pace = Pace::new(FIRST);
            assert_eq!(follow(&mut pace, 1_000, difference, 100), None);
            let behind = follow(&mut pace, 1_000, difference + 3 * SECOND, 100).unwrap();
            assert!(behind < 1_000, "{behind}");
        }
        // A few lines that are late are no danger.
        let mut pace = Pace::new(FIRST);
        assert_eq!(follow(&mut pace, 10, 0, 10), None);
        assert_eq!(follow(&mut pace, 10, 3 * SECOND, 100), None);
    }

    #[test]
    fn clocks_that_went_apart_do_not_keep_it_from_following() {
        let mut pace = Pace::new(FIRST);
        assert_eq!(follow(&mut pace, 1_000, 0, 10), None);
        assert!(follow(&mut pace, 1_000, 60 * SECOND, 10).is_some());
        assert!(pace.has_caught_up(1_000, Instant::now()));
        assert_eq!(follow(&mut pace, 1_000, 60 * SECOND, 10), None);
    }

    #[test]
    fn it_reads_what_is_there_until_little_comes() {
        let (mut pace, start) = (Pace::new(FIRST), Instant::now());
        assert!(!pace.has_caught_up(20 * MUCH_BYTES, start));
        assert!(!pace.has_caught_up(2 * MUCH_BYTES, start + SHORT_TIME));
        assert!(!pace.has_caught_up(20 * MUCH_BYTES, start + SHORT_TIME * 11));
        assert!(pace.has_caught_up(5 * MUCH_BYTES, start + SHORT_TIME * 21));
    }

    #[test]
    fn silence_is_believed_longer_each_time_unless_something_was_kept_back() {
        let mut pace = Pace::new(FIRST);
        for _ in 0..10 {
            pace.doubt(0);
        }
        assert_eq!(pace.longest_silence(), LONGEST_SILENCE);
        pace.doubt(100 * SECOND);
        assert!(!pace.falls_behind(1, 101 * SECOND, Instant::now(), 101 * SECOND));
        assert_eq!(pace.longest_silence(), LONGEST_SILENCE);
        pace.doubt(200 * SECOND);
        assert!(!pace.falls_behind(1, 150 * SECOND, Instant::now(), 201 * SECOND));
        assert_eq!(pace.longest_silence(), FIRST);
        // After much, it is doubted soon, and that is no sign of patience.
        assert!(pace.has_caught_up(SOME_BYTES, Instant::now()));
        assert_eq!(pace.longest_silence(), SHORT_SILENCE);
        pace.doubt(300 * SECOND);
        assert_eq!(pace.longest_silence(), FIRST);
    }
}
