//! What the product does: use cases, jobs, sagas and reconcilers. It reaches the world through the ports of `domain`
//! and its memory through `store`; it knows neither Docker nor SQL nor HTTP.

#![warn(missing_docs)]

mod back_off;
mod build_turns;
mod deploy;
mod error;
mod instances;
mod leases;
mod lifecycle;
mod maintenance;
pub mod manage;
mod metrics;
mod notices;
mod output;
mod processes;
mod reconcile;
mod retention;
mod routes;
mod runner;
mod saga;
mod starts;
mod world;

pub use build_turns::BuildTurns;
pub use error::{Error, FieldError};
pub use metrics::Counters;
pub use notices::{Notice, Notices};
pub use processes::take_part;
pub use reconcile::{Orphan, OrphanKind};
pub use retention::Retention;
pub use runner::Runner;
pub use starts::Starts;
pub use world::{BuildCache, Engine, Settings, World};

/// What the use cases answer with, as the memory keeps it.
pub mod state {
    pub use store::{Error, deployments, idempotency, jobs, kinds, logs, processes, projects, services, variables};
}
