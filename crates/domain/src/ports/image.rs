//! Where images are kept.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Cause;

/// An image that can be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredImage {
    /// What it is run by: `name@sha256:…` of a registry, or the tag of the engine's store.
    pub reference: String,
    /// Its content: the manifest's digest in a registry, the image's id in the engine's store. `sha256:…`.
    pub digest: String,
    /// Bytes, as the store counts them; 0 when unknown.
    #[serde(default)]
    pub size_bytes: u64,
}

/// An image that was built here, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// The image, by the name that it was built under.
    pub image: StoredImage,
    /// What it says of itself.
    pub labels: BTreeMap<String, String>,
}

/// Why an image could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store cannot be reached. Trying again can help.
    #[error("the image store is unreachable")]
    Unreachable(#[source] Cause),
    /// The registry refused our credentials.
    #[error("the registry refused access to `{0}`")]
    Denied(String),
    /// There is no such image.
    #[error("there is no image `{0}`")]
    Missing(String),
    /// A container uses it. It can be removed once that is gone.
    #[error("the image `{0}` is in use")]
    InUse(String),
    /// Anything else that it said.
    #[error("the image store said: {0}")]
    Other(String),
}

/// Keeps images: the engine's own store, or a registry of the OCI distribution specification.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// The full name, with a tag, for what a deployment of a service builds.
    fn name_for(&self, organization: &str, project: &str, service: &str, tag: &str) -> String;

    /// Looks a reference up and pins it: the answer's digest is what runs from now on. Pulls it where the store is the
    /// engine's own and the image is not there yet.
    async fn resolve(&self, reference: &str) -> Result<StoredImage, ImageError>;

    /// Finds an image that was built here under this name, without pulling anything; `None` when there is none.
    async fn resolve_own(&self, name: &str) -> Result<Option<StoredImage>, ImageError>;

    /// Images that were built here and have these labels. None where the store cannot be asked for labels, as a registry.
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Vec<LabelledImage>, ImageError>;

    /// Whether the image is still there.
    async fn exists(&self, image: &StoredImage) -> Result<bool, ImageError>;

    /// Removes it. Absence is success; one that a container uses stays, and is [`ImageError::InUse`]. A registry does not
    /// know who uses what it keeps.
    async fn remove(&self, image: &StoredImage) -> Result<(), ImageError>;

    /// The port that the image exposes, when it is exactly one TCP port.
    async fn exposed_port(&self, image: &StoredImage) -> Result<Option<u16>, ImageError>;

    /// Whether the store answers; the words are its kind and version.
    async fn version(&self) -> Result<String, ImageError>;
}
