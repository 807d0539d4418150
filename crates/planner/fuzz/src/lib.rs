//! Hostile files for the planner, made by libFuzzer: `scripts/fuzz` builds and runs the targets.
//!
//! What a target does with its input lies in `harness`, which an ordinary test of the planner shares (`tests/corpus.rs`).

#![forbid(unsafe_code)]

mod harness;
#[path = "../../tests/plans/promises.rs"]
mod promises;

pub use libfuzzer_sys;

/// A plan that takes long is a fault.
const WATCHES_TIME: bool = true;
/// A text is repeated until it is as large as the planner reads.
const LARGEST: usize = 1024 * 1024;

/// Does with an input what the target of this name does. A promise that is not kept is a panic.
pub fn run(target: &str, input: &[u8]) {
    harness::run(target, input);
}

/// The entry of a fuzz target, by the target's name in the table of `harness`.
#[macro_export]
macro_rules! fuzz {
    ($name:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::run(stringify!($name), input));
    };
}
