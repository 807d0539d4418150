//! Docker Engine's own builder with a registry: what it built goes there, and is run by its digest from then on.

use async_trait::async_trait;
use domain::ports::{
    builder::{BuildError, BuildObserver, BuildRequest, Builder},
    image::{ImageError, ImageStore, StoredImage},
};

use super::registry::Registry;
use crate::infrastructure::docker::DockerEngine;

/// A builder that leaves images in the engine's store, and the push that follows.
pub struct PushingBuilder<B> {
    builder: B,
    engine: DockerEngine,
    registry: Registry,
}

impl<B: Builder> PushingBuilder<B> {
    /// `engine` is the one in whose store `builder` leaves its images, and knows `registry`'s credentials.
    pub fn new(builder: B, engine: DockerEngine, registry: Registry) -> Self {
        Self {
            builder,
            engine,
            registry,
        }
    }
}

fn not_pushed(error: ImageError) -> BuildError {
    match error {
        ImageError::Unreachable(cause) => BuildError::Push(format!("the registry does not answer: {cause}")),
        other => BuildError::Push(other.to_string()),
    }
}

#[async_trait]
impl<B: Builder> Builder for PushingBuilder<B> {
    async fn build(&self, request: &BuildRequest, observer: &dyn BuildObserver) -> Result<StoredImage, BuildError> {
        self.builder.build(request, observer).await?;
        observer.pushing();
        self.engine.push(&request.image_name).await.map_err(not_pushed)?;
        let pushed = self
            .registry
            .resolve_own(&request.image_name)
            .await
            .map_err(not_pushed)?;
        pushed.ok_or_else(|| BuildError::Push("the registry took the image and does not have it".to_owned()))
    }

    fn merges_layers(&self) -> bool {
        self.builder.merges_layers()
    }

    async fn prune_cache(&self, keep_bytes: u64) -> Result<u64, BuildError> {
        self.builder.prune_cache(keep_bytes).await
    }

    async fn version(&self) -> Result<String, BuildError> {
        self.builder.version().await
    }
}
