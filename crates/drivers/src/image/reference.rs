//! Names of images: taking them apart, and making our own.

/// Where names without a host lead.
pub(crate) const DEFAULT_HOST: &str = "docker.io";

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry, with its port.
    pub(crate) host: String,
    /// The repository within it.
    pub(crate) repository: String,
    /// The tag, when there is one.
    pub(crate) tag: Option<String>,
    /// The manifest's digest, when there is one.
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// Takes a name apart; `None` for what is none by [`domain::names::ImageReference`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        domain::names::ImageReference::parse(text).ok()?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (host, repository) = match name.split_once('/') {
            Some((host, repository)) if is_host(host) => (host, repository),
            _ => (DEFAULT_HOST, name),
        };
        let repository = match repository.contains('/') || host != DEFAULT_HOST {
            true => repository.to_owned(),
            false => format!("library/{repository}"),
        };
        Some(Self {
            host: host.to_owned(),
            repository,
            tag,
            digest,
        })
    }

    /// The full name without tag and digest.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The name without tag and digest as the engine writes it: without the default host.
    pub(crate) fn familiar_name(&self) -> String {
        match self.host == DEFAULT_HOST {
            true => self.repository.clone(),
            false => self.name(),
        }
    }

    /// The full name with what it asks for: the digest, the tag, or `latest`. Written in full it is never taken for
    /// the beginning of an image's id.
    pub(crate) fn with_version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.name()),
            (None, Some(tag)) => format!("{}:{tag}", self.name()),
            (None, None) => format!("{}:latest", self.name()),
        }
    }

    /// What a registry is asked for.
    pub(crate) fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }
}

/// One part of a repository's name, made of any text: lower-case letters and digits, with single signs in between.
pub(crate) fn part(text: &str) -> String {
    let mut part = String::new();
    for character in text.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            part.push(character);
        } else if part.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            part.push(if character == '_' { '_' } else { '-' });
        }
    }
    let part = part.trim_end_matches(['-', '_']);
    if part.is_empty() {
        "x".to_owned()
    } else {
        part.to_owned()
    }
}

/// `organization/project/service:tag`, fit for every registry.
pub(crate) fn own_path(organization: &str, project: &str, service: &str, tag: &str) -> String {
    let mut tag = part(tag);
    tag.truncate(128);
    format!("{}/{}/{}:{tag}", part(organization), part(project), part(service))
}

/// Whether a path is of the form of [`own_path`] as it is used: two short identities, and a name. What somebody's
/// deployment made is not to be had by naming it.
pub(crate) fn is_own_path(path: &str) -> bool {
    let is_identity = |part: &str| part.len() == 12 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), [organization, project, _] if is_identity(organization) && is_identity(project))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_the_engine_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("team/app:1", "docker.io/team/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5500/a/b:dep-1", "127.0.0.1:5500/a/b:dep-1"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
            (
                &format!("nginx:1@{digest}"),
                &format!("docker.io/library/nginx@{digest}"),
            ),
            // What the engine would take for an id is a name here.
            (&digest, &format!("docker.io/library/{digest}")),
        ] {
            let found = Reference::parse(text).map(|reference| reference.with_version());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
        for text in ["", "A", "a b", "-x", "a/../b", "a?b", "a#b"] {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }

    #[test]
    fn our_names_are_names_whatever_they_are_made_of() {
        let name = own_path("Org_01", "prj--x", "-Ünïcode Service-", "dep_1-abc");
        assert_eq!(name, "org_01/prj-x/n-code-service:dep_1-abc");
        assert!(Reference::parse(&own_path("", "../..", "$(id)", "")).is_some());
    }
}
