//! The documents of a registry: manifests, lists of them, and images' configurations.

use std::collections::BTreeMap;

use domain::ports::image::ImageError;
use reqwest::Response;
use serde::Deserialize;

use super::registry::unreachable;

/// The kinds of manifests that we read.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// The most bytes that are read of each kind of answer.
pub(super) const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
pub(super) const CONFIGURATION_LIMIT: usize = 8 * 1024 * 1024;
pub(super) const ERROR_LIMIT: usize = 64 * 1024;

/// A manifest, or a list of manifests.
#[derive(Debug)]
pub(super) struct Document {
    /// Its own digest.
    pub(super) digest: String,
    content: Content,
}

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    config: Option<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    size: u64,
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

impl Document {
    /// Reads a manifest; `digest` is what the registry says that it is.
    pub(super) fn read(body: &[u8], digest: Option<String>) -> Option<Self> {
        let content: Content = serde_json::from_slice(body).ok()?;
        let all = content.manifests.iter().chain(&content.layers).chain(&content.config);
        if !all.into_iter().all(|descriptor| is_digest(&descriptor.digest)) {
            return None;
        }
        let digest = digest.unwrap_or_else(|| {
            let sum = ring::digest::digest(&ring::digest::SHA256, body);
            format!("sha256:{}", hex::encode(sum))
        });
        Some(Self { digest, content })
    }

    /// The digest of the listed manifest that runs on this machine.
    pub(super) fn for_this_machine(&self) -> Option<String> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let fits = |descriptor: &&Descriptor| {
            let platform = descriptor.platform.as_ref();
            platform.is_some_and(|platform| platform.os == "linux" && platform.architecture == architecture)
        };
        let listed = &self.content.manifests;
        let found = listed.iter().find(fits).or_else(|| listed.first())?;
        Some(found.digest.clone())
    }

    /// The digest of the image's configuration.
    pub(super) fn configuration(&self) -> Option<&str> {
        self.content
            .config
            .as_ref()
            .map(|descriptor| descriptor.digest.as_str())
    }

    /// What its layers take in the registry.
    pub(super) fn size_bytes(&self) -> u64 {
        let sizes = self.content.layers.iter().map(|layer| layer.size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// Whether a text is a digest, so that it can stand in a path.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

/// The only TCP port that a configuration exposes.
pub(super) fn exposed_port(configuration: &[u8]) -> Option<u16> {
    #[derive(Deserialize)]
    struct Image {
        config: Option<Settings>,
    }
    #[derive(Deserialize)]
    struct Settings {
        #[serde(rename = "ExposedPorts")]
        exposed: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    }
    let image: Image = serde_json::from_slice(configuration).ok()?;
    let exposed = image.config?.exposed?;
    super::only_tcp_port(exposed.keys().map(String::as_str))
}

/// Reads an answer that may not be longer than it ought to be.
pub(super) async fn read_limited(mut answer: Response, limit: usize) -> Result<Vec<u8>, ImageError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(ImageError::Other(format!("it answered with more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_this_machine_is_chosen_from_a_list() {
        let digests: Vec<String> = ["a", "b", "c"]
            .iter()
            .map(|d| format!("sha256:{}", d.repeat(64)))
            .collect();
        let entry = |digest: &String, architecture: &str| {
            format!(r#"{{"digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#)
        };
        let list = format!(
            r#"{{"manifests":[{},{},{}]}}"#,
            entry(&digests[0], "unknown"),
            entry(&digests[1], "amd64"),
            entry(&digests[2], "arm64")
        );
        let document = Document::read(list.as_bytes(), None).unwrap();
        let expected = if std::env::consts::ARCH == "aarch64" {
            &digests[2]
        } else {
            &digests[1]
        };
        assert_eq!(document.for_this_machine().as_ref(), Some(expected));
        assert!(is_digest(&document.digest));
    }

    #[test]
    fn a_manifest_whose_digests_are_paths_is_none() {
        for digest in ["../../x", "sha256:x", ""] {
            let body = format!(r#"{{"config":{{"digest":"{digest}"}}}}"#);
            assert!(Document::read(body.as_bytes(), None).is_none(), "{digest}");
        }
    }

    #[test]
    fn the_exposed_port_is_read_from_the_configuration() {
        assert_eq!(
            exposed_port(br#"{"config":{"ExposedPorts":{"8080/tcp":{}}}}"#),
            Some(8080)
        );
        assert_eq!(exposed_port(br#"{"config":{"ExposedPorts":null}}"#), None);
        assert_eq!(exposed_port(b"[]"), None);
    }
}
