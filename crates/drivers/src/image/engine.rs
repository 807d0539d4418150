//! Images in the container engine's own store.
//!
//! What we built runs by its own name, which is used once. Somebody else's image, whose name may be moved, gets a
//! name of ours that holds its id: `click-deploy/pinned:…` when it had been there before us, `click-deploy/pulled:…`
//! when we brought it. So it is not cleaned up as long as we need it, and what we brought goes with its last use.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    errors::Error,
    models::ImageInspect,
    query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder},
};
use domain::ports::image::{ImageError, ImageStore, LabelledImage, StoredImage};

use async_trait::async_trait;

use super::reference::{self, Reference};
use crate::infrastructure::docker::{
    DockerEngine,
    client::{Client, is_missing, refusal},
    pull::explain,
};

const OWN: &str = "click-deploy/";
const PINNED: &str = "click-deploy/pinned";
const PULLED: &str = "click-deploy/pulled";

/// Whether a name is one that we gave, and that no registry knows.
pub(crate) fn is_own_name(reference: &str) -> bool {
    reference.starts_with(OWN)
}

/// The store of a Docker Engine.
#[derive(Clone)]
pub struct EngineStore {
    client: Client,
}

impl EngineStore {
    /// The store of this engine, with its credentials for pulls.
    #[must_use]
    pub fn new(engine: &DockerEngine) -> Self {
        Self {
            client: engine.client().clone(),
        }
    }

    fn docker(&self) -> Result<&bollard::Docker, ImageError> {
        self.client.docker().map_err(|error| explain(error, "engine"))
    }

    async fn inspect(&self, reference: &str) -> Result<Option<ImageInspect>, ImageError> {
        match self.docker()?.inspect_image(reference).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(explain(error, reference)),
        }
    }

    /// The image, and whether it had to be pulled.
    async fn find_or_pull(&self, full_name: &str) -> Result<(ImageInspect, bool), ImageError> {
        if let Some(found) = self.inspect(full_name).await? {
            return Ok((found, false));
        }
        self.client.pull(full_name).await?;
        let found = self.inspect(full_name).await?;
        found
            .map(|found| (found, true))
            .ok_or_else(|| ImageError::Missing(full_name.to_owned()))
    }

    /// Gives the image a name of ours that says what it is.
    async fn pin(&self, id: &str, was_pulled: bool, found: &ImageInspect) -> Result<String, ImageError> {
        let hex = id.rsplit(':').next().unwrap_or(id);
        for repository in [PULLED, PINNED] {
            let name = format!("{repository}:{hex}");
            if tags_of(found).any(|tag| *tag == name) {
                return Ok(name);
            }
        }
        let repository = if was_pulled { PULLED } else { PINNED };
        let options = TagImageOptionsBuilder::new().repo(repository).tag(hex).build();
        self.docker()?
            .tag_image(id, Some(options))
            .await
            .map_err(|error| explain(error, id))?;
        Ok(format!("{repository}:{hex}"))
    }

    /// Takes a name away, and the image with its last name, unless a container uses it.
    async fn untag(&self, name: &str) -> Result<(), ImageError> {
        let options = RemoveImageOptionsBuilder::new().force(false).build();
        match self.docker()?.remove_image(name, Some(options), None).await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) if is_used(&error) => Err(ImageError::InUse(name.to_owned())),
            Err(error) => Err(explain(error, name)),
        }
    }
}

fn is_used(error: &Error) -> bool {
    refusal(error).is_some_and(|(status, _)| status == 409)
}

fn stored(reference: String, digest: String, found: &ImageInspect) -> StoredImage {
    StoredImage {
        reference,
        digest,
        size_bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
    }
}

fn tags_of(found: &ImageInspect) -> impl Iterator<Item = &String> {
    found.repo_tags.iter().flatten()
}

#[async_trait]
impl ImageStore for EngineStore {
    fn name_for(&self, organization: &str, project: &str, service: &str, tag: &str) -> String {
        format!("{OWN}{}", reference::own_path(organization, project, service, tag))
    }

    async fn resolve(&self, reference: &str) -> Result<StoredImage, ImageError> {
        let missing = || ImageError::Missing(reference.to_owned());
        // What we built belongs to whom it was built for; a name that a user gives never leads there.
        let parsed = Reference::parse(reference).filter(|parsed| !is_own_name(&parsed.familiar_name()));
        let full_name = parsed.ok_or_else(missing)?.with_version();
        let (found, was_pulled) = self.find_or_pull(&full_name).await?;
        let digest = found.id.clone().ok_or_else(missing)?;
        let reference = self.pin(&digest, was_pulled, &found).await?;
        Ok(stored(reference, digest, &found))
    }

    async fn resolve_own(&self, name: &str) -> Result<Option<StoredImage>, ImageError> {
        let parsed = Reference::parse(name).filter(|parsed| is_own_name(&parsed.familiar_name()));
        let Some(parsed) = parsed else { return Ok(None) };
        let found = self.inspect(&parsed.with_version()).await?;
        Ok(found.and_then(|found| Some(stored(name.to_owned(), found.id.clone()?, &found))))
    }

    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Vec<LabelledImage>, ImageError> {
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let filters = HashMap::from([("label".to_owned(), wanted)]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let found = self.docker()?.list_images(Some(options)).await;
        let mut built = Vec::new();
        for one in found.map_err(|error| explain(error, "images"))? {
            let labels: BTreeMap<String, String> = one.labels.into_iter().collect();
            // What is pinned or pulled is somebody else's, whatever it says of itself.
            let names = one.repo_tags.iter().filter(|tag| is_own_name(tag));
            for name in names.filter(|tag| !tag.starts_with(PINNED) && !tag.starts_with(PULLED)) {
                built.push(LabelledImage {
                    image: StoredImage {
                        reference: name.clone(),
                        digest: one.id.clone(),
                        size_bytes: u64::try_from(one.size).unwrap_or(0),
                    },
                    labels: labels.clone(),
                });
            }
        }
        Ok(built)
    }

    async fn exists(&self, image: &StoredImage) -> Result<bool, ImageError> {
        Ok(self.inspect(&image.digest).await?.is_some())
    }

    async fn remove(&self, image: &StoredImage) -> Result<(), ImageError> {
        if !is_own_name(&image.reference) {
            return Ok(());
        }
        // The name may lead to a newer image by now, which stays.
        let found = self.inspect(&image.reference).await?;
        let Some(found) = found.filter(|found| found.id.as_deref() == Some(&image.digest)) else {
            return Ok(());
        };
        if image.reference.starts_with(PULLED) {
            for foreign in tags_of(&found).filter(|tag| !is_own_name(tag)) {
                self.untag(foreign).await?;
            }
        }
        self.untag(&image.reference).await
    }

    async fn exposed_port(&self, image: &StoredImage) -> Result<Option<u16>, ImageError> {
        let found = self.inspect(&image.digest).await?;
        let found = found.ok_or_else(|| ImageError::Missing(image.reference.clone()))?;
        let exposed = found.config.and_then(|config| config.exposed_ports).unwrap_or_default();
        Ok(super::only_tcp_port(exposed.iter().map(String::as_str)))
    }

    async fn version(&self) -> Result<String, ImageError> {
        let version = self
            .docker()?
            .version()
            .await
            .map_err(|error| explain(error, "version"))?;
        Ok(format!(
            "the store of Docker Engine {}",
            version.version.unwrap_or_default()
        ))
    }
}
