//! The promises of the ports as functions that every adapter must keep, and a world in memory that keeps them too:
//! what the engine's tests run against.

#![warn(missing_docs)]

pub mod bed;
pub mod image_store;
pub mod infrastructure;
pub mod router;
pub mod world;
