//! What this process counts of its jobs since it began.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// How often jobs of a kind ended in a way. Ways: `done`, `failed`, `again`, `waits` (for other jobs), `dead`,
/// `lost` (the lease).
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<(String, &'static str), u64>>);

impl Counters {
    pub(crate) fn count(&self, kind: &str, outcome: &'static str) {
        // Names of kinds that this version does not know are not ours to repeat.
        let known = store::kinds::KINDS.iter().any(|one| one.name == kind);
        let kind = if known { kind } else { "unknown" };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind.to_owned(), outcome)).or_default() += 1;
    }

    /// The counts by kind and way.
    #[must_use]
    pub fn read(&self) -> BTreeMap<(String, &'static str), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
