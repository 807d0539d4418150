//! Brings an image from its registry into the engine's store.

use std::{pin::pin, time::Duration};

use bollard::{
    auth::DockerCredentials,
    errors::Error,
    query_parameters::{
        CreateImageOptionsBuilder, ListImagesOptions, PruneImagesOptionsBuilder, PushImageOptionsBuilder,
        RemoveImageOptions,
    },
};
use domain::{
    labels,
    ports::{image::ImageError, infrastructure::InfrastructureError},
};
use futures_util::StreamExt;

use super::{
    DockerEngine,
    client::{self, Client, filters, refusal},
};
use crate::image::reference::{Reference, is_own_path};

/// How long a pull may take in all.
const DEADLINE: Duration = Duration::from_secs(600);

/// What some engines list as the tag of an image that has none.
const NO_TAG: &str = "<none>:<none>";

impl Client {
    /// What the registry of an image knows us by.
    fn credentials(&self, reference: &Reference) -> Option<DockerCredentials> {
        let access = self.registries().iter().find(|access| access.host == reference.host)?;
        Some(DockerCredentials {
            username: Some(access.username.clone()?),
            password: Some(access.password.as_ref()?.expose().to_owned()),
            serveraddress: Some(access.host.clone()),
            ..DockerCredentials::default()
        })
    }

    /// Pushes a tag of the engine's store to its registry.
    pub(crate) async fn push(&self, reference: &str) -> Result<(), ImageError> {
        let parsed = Reference::parse(reference).ok_or_else(|| ImageError::Missing(reference.to_owned()))?;
        let docker = self.docker().map_err(|error| explain(error, reference))?;
        let options = PushImageOptionsBuilder::new().tag(parsed.version()).build();
        let mut progress = pin!(docker.push_image(&parsed.name(), Some(options), self.credentials(&parsed)));
        let everything = async {
            while let Some(step) = progress.next().await {
                let step = step.map_err(|error| explain(error, reference))?;
                if let Some(error) = step.error_detail {
                    return Err(explain_words(0, &error.message.unwrap_or_default(), reference));
                }
            }
            Ok(())
        };
        tokio::time::timeout(DEADLINE, everything).await.unwrap_or_else(|_| {
            let seconds = DEADLINE.as_secs();
            Err(ImageError::Unreachable(
                format!("the push was not over after {seconds} s").into(),
            ))
        })
    }

    /// Pulls an image; its progress is nobody's business here.
    pub(crate) async fn pull(&self, reference: &str) -> Result<(), ImageError> {
        let parsed = Reference::parse(reference).ok_or_else(|| ImageError::Missing(reference.to_owned()))?;
        let credentials = self.credentials(&parsed);
        // A name without a tag would bring every tag of the repository.
        let options = CreateImageOptionsBuilder::new()
            .from_image(&parsed.with_version())
            .build();
        let docker = self.docker().map_err(|error| explain(error, reference))?;
        let mut progress = pin!(docker.create_image(Some(options), None, credentials));
        let everything = async {
            while let Some(step) = progress.next().await {
                step.map_err(|error| explain(error, reference))?;
            }
            Ok(())
        };
        tokio::time::timeout(DEADLINE, everything).await.unwrap_or_else(|_| {
            let seconds = DEADLINE.as_secs();
            Err(ImageError::Unreachable(
                format!("the image was not there after {seconds} s").into(),
            ))
        })
    }
}

impl DockerEngine {
    /// The way to push what the embedded builder made.
    pub(crate) async fn push(&self, reference: &str) -> Result<(), ImageError> {
        self.client.push(reference).await
    }

    /// Removes the images that we built and that no container uses, when a registry has them too.
    pub(super) async fn prune_pulled_images(&self) -> Result<(), InfrastructureError> {
        if self.client.registries().is_empty() {
            return Ok(());
        }
        let label = format!("{}={}", labels::INSTALLATION, self.installation);
        // Not only the dangling ones: all that are unused.
        let filters = filters([("dangling", vec!["false".to_owned()]), ("label", vec![label])]);
        let options = PruneImagesOptionsBuilder::new().filters(&filters).build();
        let what = "unused images";
        let docker = self.client.docker().map_err(|error| client::explain(error, what))?;
        docker
            .prune_images(Some(options))
            .await
            .map_err(|error| client::explain(error, what))?;
        // Railpack's frontend gives its images no label. What lies here by its digest alone was pulled, so that its
        // registry has it; and our names for what we build are like no others.
        for image in docker
            .list_images(None::<ListImagesOptions>)
            .await
            .map_err(|error| client::explain(error, what))?
        {
            let tagged = image.repo_tags.iter().any(|tag| tag != NO_TAG);
            if tagged || image.labels.contains_key(labels::INSTALLATION) {
                continue;
            }
            for name in image.repo_digests.iter().filter(|name| self.was_built_here(name)) {
                // An image that a container uses is refused, and one that is gone is as good.
                let _ = docker.remove_image(name, None::<RemoveImageOptions>, None).await;
            }
        }
        Ok(())
    }

    /// Whether a name is one that a build of ours has in a registry of ours.
    fn was_built_here(&self, name: &str) -> bool {
        let own = |at: &Reference| {
            let access = self.client.registries().iter().find(|access| access.host == at.host)?;
            match &access.namespace {
                Some(namespace) => at.repository.strip_prefix(namespace.as_str())?.strip_prefix('/'),
                None => Some(at.repository.as_str()),
            }
            .map(is_own_path)
        };
        Reference::parse(name).is_some_and(|at| own(&at) == Some(true))
    }
}

/// What the caller can do about an error of the engine's about an image.
pub(crate) fn explain(error: Error, reference: &str) -> ImageError {
    let (status, words) = match (&error, refusal(&error)) {
        (Error::DockerStreamError { error: words }, _) => (0, words.clone()),
        (_, Some((status, words))) => (status, words.to_owned()),
        _ => return ImageError::Unreachable(Box::new(error)),
    };
    explain_words(status, &words, reference)
}

fn explain_words(status: u16, words: &str, reference: &str) -> ImageError {
    let lower = words.to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    // Registries hide what one may not see: `denied` alone does not tell the two apart, this does.
    if says(&["does not exist", "manifest unknown", "name unknown", "no such image"]) {
        return ImageError::Missing(reference.to_owned());
    }
    if says(&[
        "unauthorized",
        "denied",
        "authentication required",
        "no basic auth",
        "forbidden",
    ]) {
        return ImageError::Denied(reference.to_owned());
    }
    let is_away = [
        "dial tcp",
        "timeout",
        "no such host",
        "connection refused",
        "connection reset",
        "tls handshake",
        "unreachable",
        "unexpected eof",
        "server misbehaving",
        "deadline exceeded",
        "request canceled",
        "too many requests",
        "toomanyrequests",
        "service unavailable",
        "bad gateway",
    ];
    if says(&is_away) || status == 503 {
        return ImageError::Unreachable(words.to_owned().into());
    }
    if status == 404 || says(&["not found"]) {
        return ImageError::Missing(reference.to_owned());
    }
    ImageError::Other(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_told_apart_by_what_helps() {
        for (words, expected) in [
            (
                "manifest for x:y not found: manifest unknown: manifest unknown",
                "missing",
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                "missing",
            ),
            (
                "Get \"https://x/v2/\": dial tcp: lookup x on 127.0.0.53:53: no such host",
                "unreachable",
            ),
            ("Get \"https://x/v2/\": net/http: TLS handshake timeout", "unreachable"),
            ("toomanyrequests: You have reached your pull rate limit.", "unreachable"),
            ("unauthorized: authentication required", "denied"),
            (
                "no matching manifest for linux/amd64 in the manifest list entries",
                "other",
            ),
        ] {
            let found = match explain_words(0, words, "x:y") {
                ImageError::Missing(_) => "missing",
                ImageError::Denied(_) => "denied",
                ImageError::Unreachable(_) => "unreachable",
                ImageError::InUse(_) | ImageError::Other(_) => "other",
            };
            assert_eq!(found, expected, "{words}");
        }
    }
}
