//! Images in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::ports::image::{ImageError, ImageStore, LabelledImage, StoredImage};

use super::{Failure, FakeImage, FakeWorld, State, Step};

fn error(failure: Failure) -> ImageError {
    match failure {
        Failure::Refused => ImageError::Denied("the image, as the test asked for".to_owned()),
        Failure::Unreachable | Failure::Lost => ImageError::Unreachable("away, as the test asked for".into()),
    }
}

impl State {
    /// The image, when it is there with the same content.
    pub(super) fn image(&self, stored: &StoredImage) -> Option<&FakeImage> {
        self.images
            .get(&stored.reference)
            .filter(|image| image.stored.digest == stored.digest)
    }
}

#[async_trait]
impl ImageStore for FakeWorld {
    fn name_for(&self, organization: &str, project: &str, service: &str, tag: &str) -> String {
        format!("click-deploy/{organization}/{project}/{service}:{tag}").to_lowercase()
    }

    async fn resolve(&self, reference: &str) -> Result<StoredImage, ImageError> {
        self.perform(Step::ResolveImage, error, || {
            let state = self.state();
            let image = state.images.get(reference);
            image
                .map(|image| image.stored.clone())
                .ok_or_else(|| ImageError::Missing(reference.to_owned()))
        })
        .await
    }

    async fn resolve_own(&self, name: &str) -> Result<Option<StoredImage>, ImageError> {
        self.perform(Step::ResolveOwnImage, error, || {
            Ok(self.state().images.get(name).map(|image| image.stored.clone()))
        })
        .await
    }

    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Vec<LabelledImage>, ImageError> {
        self.perform(Step::BuiltImages, error, || {
            let state = self.state();
            let fits = |image: &&FakeImage| labels.iter().all(|(name, value)| image.labels.get(name) == Some(value));
            let labelled = |image: &FakeImage| LabelledImage {
                image: image.stored.clone(),
                labels: image.labels.clone(),
            };
            Ok(state.images.values().filter(fits).map(labelled).collect())
        })
        .await
    }

    async fn exists(&self, image: &StoredImage) -> Result<bool, ImageError> {
        self.perform(Step::ImageExists, error, || Ok(self.state().image(image).is_some()))
            .await
    }

    async fn remove(&self, image: &StoredImage) -> Result<(), ImageError> {
        self.perform(Step::RemoveImage, error, || {
            let mut state = self.state();
            if state.image(image).is_none() {
                return Ok(());
            }
            let mut containers = state.containers.values();
            if containers.any(|container| container.image == image.digest) {
                return Err(ImageError::InUse(image.reference.clone()));
            }
            state.images.remove(&image.reference);
            Ok(())
        })
        .await
    }

    async fn exposed_port(&self, image: &StoredImage) -> Result<Option<u16>, ImageError> {
        self.perform(Step::ExposedPort, error, || {
            let state = self.state();
            let image = state
                .image(image)
                .ok_or_else(|| ImageError::Missing(image.reference.clone()))?;
            Ok(image.exposed_port)
        })
        .await
    }

    async fn version(&self) -> Result<String, ImageError> {
        Ok("a world in memory".to_owned())
    }
}
