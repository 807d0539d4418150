//! The command line as its users meet it: the executable, run against a small server in the test that answers as the
//! platform does and can be told to misbehave.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod commands;
mod exit_codes;
mod fake;
mod following;
mod run;
mod up;
