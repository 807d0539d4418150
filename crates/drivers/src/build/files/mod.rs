//! The application's files on their way to BuildKit: what fsutil's protocol calls the sender.

mod follow;
pub(super) mod pattern;
mod service;
mod times;
mod tree;

pub(super) use service::{Files, Mount, Sources};
pub(super) use times::Times;
