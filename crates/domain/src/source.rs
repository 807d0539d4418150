//! Where a service's files come from.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    UploadId,
    names::{BadName, Branch, Commit, ImageReference, InsidePath},
};

/// A Git address without credentials: `https://…`, `ssh://git@host/…`, `git@host:path`, and `file:///…` (which the
/// engine refuses unless the operator allows it). Everything else that Git understands (`ext::`, options, local
/// paths) is no address here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl(String);

/// How a Git address is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitTransport {
    /// HTTP or HTTPS.
    Http,
    /// SSH with a deploy key.
    Ssh,
    /// A directory of this machine; for tests.
    File,
}

impl GitUrl {
    /// Parses an address.
    ///
    /// # Errors
    /// When it is none of the accepted forms, or carries a password.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let rule = |rule: &str| BadName { rule: rule.to_owned() };
        let fits = |b: u8| b.is_ascii_graphic() && !b"\"'<>\\^`{|}$;&*()!".contains(&b);
        if text.is_empty() || text.len() > 2048 || text.starts_with('-') || !text.bytes().all(fits) {
            return Err(rule(
                "a Git address has at most 2048 visible ASCII characters, without quotes or shell signs",
            ));
        }
        let host_is_fine = |host: &str| {
            !host.is_empty()
                && !host.starts_with('-')
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
        };
        let known = "a Git address is `https://host/path`, `ssh://git@host/path`, `git@host:path` or `file:///path`";
        if let Some(path) = text.strip_prefix("file://") {
            let good = path.starts_with('/') && !path.split('/').any(|part| part == "..");
            return if good {
                Ok(Self(text.to_owned()))
            } else {
                Err(rule(known))
            };
        }
        for scheme in ["https://", "http://", "ssh://"] {
            let Some(rest) = text.strip_prefix(scheme) else {
                continue;
            };
            let (authority, path) = rest.split_once('/').ok_or_else(|| rule(known))?;
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            if !host_is_fine(host) || path.is_empty() {
                return Err(rule(known));
            }
            match user {
                None => {}
                Some(user) if scheme == "ssh://" && !user.contains(':') && !user.starts_with('-') => {}
                Some(_) => {
                    return Err(rule(
                        "a Git address carries no user or password: connect the provider instead",
                    ));
                }
            }
            return Ok(Self(text.to_owned()));
        }
        // The short form of SSH: user@host:path.
        let (authority, path) = text.split_once(':').ok_or_else(|| rule(known))?;
        let (user, host) = authority.split_once('@').ok_or_else(|| rule(known))?;
        let user_is_fine = !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !user_is_fine || !host_is_fine(host) || host.contains(':') || path.is_empty() || path.starts_with([':', '-'])
        {
            return Err(rule(known));
        }
        Ok(Self(text.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> GitTransport {
        if self.0.starts_with("file://") {
            GitTransport::File
        } else if self.0.starts_with("http") && self.0.contains("://") {
            GitTransport::Http
        } else {
            GitTransport::Ssh
        }
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl Serialize for GitUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for GitUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for GitUrl {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        <String as utoipa::PartialSchema>::schema()
    }
}
#[cfg(feature = "schema")]
impl utoipa::ToSchema for GitUrl {}

/// Where a service comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Source {
    /// A Git repository.
    Git {
        /// Its address.
        url: GitUrl,
        /// Branch or tag; the repository's own default when absent.
        #[serde(default)]
        branch: Option<Branch>,
        /// Directory of the application inside the repository; empty means its top.
        #[serde(default = "top")]
        root_directory: InsidePath,
    },
    /// Archives that the user uploads, one per deployment.
    Upload {
        /// Directory of the application inside the archive; empty means its top.
        #[serde(default = "top")]
        root_directory: InsidePath,
    },
    /// An image that is deployed without a build.
    Image {
        /// Its reference.
        reference: ImageReference,
    },
}

fn top() -> InsidePath {
    InsidePath::parse("").expect("the empty path is inside")
}

/// Which version of a source one deployment takes, decided when it is asked for and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Revision {
    /// The newest commit of the source's branch, or this exact one.
    Git {
        /// The exact commit, when one was asked for.
        commit: Option<Commit>,
    },
    /// This uploaded archive.
    Upload {
        /// The upload.
        upload: UploadId,
    },
    /// The image of the source's reference.
    Image,
    /// The image that an earlier deployment made: redeploy and rollback.
    Existing {
        /// The image, as [`crate::ports::image::StoredImage`] names it.
        image: crate::ports::image::StoredImage,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_addresses_of_the_accepted_forms_are_read() {
        for (text, transport) in [
            ("https://example.org/team/app.git", GitTransport::Http),
            ("https://example.org:8443/a/b", GitTransport::Http),
            ("ssh://git@example.org:22/team/app.git", GitTransport::Ssh),
            ("git@example.org:team/app.git", GitTransport::Ssh),
            ("file:///srv/git/app.git", GitTransport::File),
        ] {
            assert_eq!(GitUrl::parse(text).map(|url| url.transport()), Ok(transport), "{text}");
        }
    }

    #[test]
    fn hostile_git_addresses_are_refused() {
        for text in [
            "ext::sh -c id",
            "ext::sh",
            "--upload-pack=id",
            "-oProxyCommand=id:x",
            "git@-oProxyCommand=id:x",
            "ssh://-oProxyCommand=id/x",
            "https://user:password@example.org/a",
            "https://token@example.org/a",
            "file://../x",
            "file:///a/../b",
            "/etc/passwd",
            "./x",
            "https://",
            "https:///x",
            "https://a/$(id)",
            "a\nb",
            "",
            "git@host:",
            "fd::17",
        ] {
            assert!(GitUrl::parse(text).is_err(), "{text}");
        }
    }
}
