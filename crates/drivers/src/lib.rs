//! How the world is reached: one module for each kind of counterpart, each an adapter of a port in `domain`.

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "docker")]
pub mod image;
#[cfg(feature = "docker")]
pub mod infrastructure;
#[cfg(all(feature = "build", feature = "source"))]
pub mod planning;
#[cfg(feature = "docker")]
pub mod prober;
#[cfg(feature = "docker")]
pub mod proxy;
#[cfg(feature = "source")]
pub mod source;
