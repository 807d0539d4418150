//! Where instances run.

pub mod docker;
