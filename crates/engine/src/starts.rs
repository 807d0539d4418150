//! Starts of instances that were broken off: the engine was asked, and nobody waited for its answer. What it still makes
//! must be taken back, too.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

/// The names of instances whose start was broken off, by job.
#[derive(Debug, Default)]
pub struct Starts(Mutex<HashMap<String, BTreeSet<String>>>);

impl Starts {
    /// A start begins.
    pub(crate) fn begin(&self, job: &str, name: &str) -> Beginning<'_> {
        Beginning {
            starts: self,
            job: job.to_owned(),
            name: name.to_owned(),
            answered: false,
        }
    }

    /// What was broken off of a job; it is told once.
    pub(crate) fn broken_off(&self, job: &str) -> BTreeSet<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(job)
            .unwrap_or_default()
    }
}

/// A start whose answer is waited for.
pub(crate) struct Beginning<'a> {
    starts: &'a Starts,
    job: String,
    name: String,
    answered: bool,
}

impl Beginning<'_> {
    /// The engine answered: what it made can be seen.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let mut broken = self.starts.0.lock().unwrap_or_else(PoisonError::into_inner);
            broken
                .entry(std::mem::take(&mut self.job))
                .or_default()
                .insert(std::mem::take(&mut self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_broken_off_is_told_and_once() {
        let starts = Starts::default();
        starts.begin("job", "answered").answered();
        drop(starts.begin("job", "broken"));
        assert_eq!(starts.broken_off("other"), BTreeSet::new());
        assert_eq!(starts.broken_off("job"), BTreeSet::from(["broken".to_owned()]));
        assert_eq!(starts.broken_off("job"), BTreeSet::new());
    }
}
