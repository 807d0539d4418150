//! What is true whatever runs it: identities, names, statuses and their transitions, and the ports
//! through which the engine reaches the world. No input or output happens here.

#![warn(missing_docs)]

pub mod deployment;
pub mod environment;
pub mod id;
pub mod labels;
pub mod logs;
pub mod names;
pub mod ports;
pub mod reason;
pub mod secret;
pub mod service;
pub mod source;

pub use id::{DeploymentId, JobId, OrganizationId, ProjectId, ServiceId, TokenId, UploadId};
pub use reason::Reason;
pub use secret::SecretText;
