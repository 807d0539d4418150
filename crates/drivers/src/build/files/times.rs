//! Modification times that stay the same as long as a file does.
//!
//! BuildKit keeps the last context of each service and asks only for files whose size, mode or modification time
//! differs. Each deployment has a fresh checkout, where every time is new, so true times would send everything again;
//! and a time that an archive carries along can be the same for two contents, which would then pass for one. Times made
//! out of the content's digest would be exact and stable, but they end up in the image, where they must not run
//! backwards (a server that answers `If-Modified-Since` would call a new file unmodified).
//!
//! So a content gets the time at which it was first sent, and keeps it: exact, stable and in order. What was sent is
//! remembered in memory, by digests, up to a bound; what was forgotten is only sent once more.
//!
//! Hashing 50 MB costs some 50 ms, sending it five to ten times that.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// How many files are remembered in one of the two halves; an entry takes about 32 bytes.
const HALF: usize = 60_000;

/// The digest of where a content was sent from, its path and itself.
pub(crate) type Fingerprint = [u8; 16];

/// When each content was first sent.
#[derive(Debug, Default)]
pub(crate) struct Times {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Fingerprint, i64>,
    old: HashMap<Fingerprint, i64>,
}

impl Times {
    /// The time for a content, in nanoseconds: the one that it had, else `now`.
    pub(crate) fn of(&self, content: Fingerprint, now: i64) -> i64 {
        let mut halves = self.lock();
        if let Some(time) = halves.young.get(&content) {
            return *time;
        }
        let time = halves.old.remove(&content).unwrap_or(now);
        if halves.young.len() >= HALF {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(content, time);
        time
    }

    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_nanos()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_keeps_its_first_time() {
        let times = Times::default();
        assert_eq!(times.of([1; 16], 10), 10);
        assert_eq!(times.of([2; 16], 20), 20);
        assert_eq!(times.of([1; 16], 30), 10);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let times = Times::default();
        for number in 0..(3 * HALF as u64) {
            let mut content = [0; 16];
            content[..8].copy_from_slice(&number.to_be_bytes());
            times.of(content, 1);
            assert_eq!(times.of([255; 16], 7 + i64::try_from(number).unwrap()), 7);
        }
        let halves = times.lock();
        assert!(halves.young.len() + halves.old.len() <= 2 * HALF + 1);
    }
}
