//! The use cases: what a caller of the API or the command line can ask for. Every one takes the caller's organization,
//! and what belongs to another one is missing.

mod deployments;
mod jobs;
mod logs;
mod orphans;
mod processes;
mod projects;
mod services;
mod variables;

pub use deployments::{DeploymentDetail, DeploymentRequest};
pub use logs::LogCursor;
pub use services::{ServiceChange, ServiceView};
pub use variables::{PendingChanges, VariableChange};
