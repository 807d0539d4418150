//! How the engine reaches the world: small traits named after the need. Each adapter keeps the promises that stand
//! here as doc comments; the crate `contract` holds them as tests. A future that is dropped stops what it began.

pub mod builder;
pub mod image;
pub mod infrastructure;
pub mod planning;
pub mod prober;
pub mod router;
pub mod source;

/// What lies under an error of the world, kept for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
