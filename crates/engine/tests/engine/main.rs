//! The engine over a real store and a world in memory: what the use cases promise, and what is left when things break.
//!
//! Time is real (the store has a clock of its own), and no test asserts how long something takes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod bed;
mod broken;
mod broken_calls;
mod given_up;
mod journalled;
mod killed;
mod lifecycle;
mod logs;
mod queue;
mod reconciler;
mod release_command;
mod removal;
mod retention;
mod rollback;
mod scenarios;
mod tenancy;
mod tidy;
mod twice;
mod unreachable;
mod watched;
mod works;
