//! What a user may write, parsed at the door: each type has one constructor, and its error says what the rule is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that breaks the rule of its type.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{rule}")]
pub struct BadName {
    /// The rule, as a sentence about the value.
    pub rule: String,
}

fn bad(rule: impl Into<String>) -> BadName {
    BadName { rule: rule.into() }
}

/// Declares a parsed text: `Display`, `FromStr`, JSON in and out, and nothing else that could make one.
macro_rules! parsed_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// The rule that it breaks.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> Result<(), BadName> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::parse(text)
            }
        }
        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                <String as utoipa::PartialSchema>::schema()
            }
        }
        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn slug(text: &str, limit: usize) -> Result<(), BadName> {
    if text.is_empty() || text.len() > limit {
        return Err(bad(format!(
            "a name is 1 to {limit} characters long, not {}",
            text.chars().count()
        )));
    }
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.bytes().all(fits) || !text.as_bytes()[0].is_ascii_lowercase() || text.ends_with('-') {
        return Err(bad(
            "a name has lower-case letters, digits and dashes, begins with a letter and does not end with a dash",
        ));
    }
    Ok(())
}

fn ref_name(text: &str) -> Result<(), BadName> {
    // The rules of git-check-ref-format(1), and no leading dash.
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let part_is_bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if text.is_empty() || text.len() > 255 || text.starts_with('-') || text.ends_with('.') || text == "@" {
        return Err(bad(
            "a branch is 1 to 255 characters long and neither begins with a dash nor ends with a dot",
        ));
    }
    if text.contains(forbidden) || text.contains("..") || text.contains("@{") || text.split('/').any(part_is_bad) {
        return Err(bad(
            "a branch is a name that Git accepts: no spaces, `..`, `~ ^ : ? * [ \\`, empty parts or `.lock`",
        ));
    }
    Ok(())
}

fn inside_path(text: &str) -> Result<(), BadName> {
    if text.len() > 1024 || text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(bad(
            "a path has at most 1024 characters, and no backslashes or control characters",
        ));
    }
    if text.starts_with('/') || text.starts_with('-') || text.split('/').any(|part| part == ".." || part == ".git") {
        return Err(bad(
            "a path is relative, stays inside the repository (no `..`, no `.git`) and has no leading dash",
        ));
    }
    Ok(())
}

/// An image reference: `[host[:port]/]path[:tag][@sha256:…]`, as the OCI distribution specification 1.1 names it.
fn image_reference(text: &str) -> Result<(), BadName> {
    let rule = || bad("an image is `[registry/]name[:tag]` or `…@sha256:<64 hexadecimal digits>`, in lower case");
    if text.is_empty() || text.len() > 512 {
        return Err(rule());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").ok_or_else(rule)?;
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(rule());
        }
    }
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let starts = tag
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if tag.len() > 128 || !starts || !tag.bytes().all(fits) {
            return Err(rule());
        }
    }
    for (index, part) in path.split('/').enumerate() {
        let is_host =
            index == 0 && path.contains('/') && (part.contains('.') || part.contains(':') || part == "localhost");
        let fits =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b) || (is_host && b == b':');
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !part.bytes().all(fits) || !edge(part.bytes().next()) || !edge(part.bytes().last()) {
            return Err(rule());
        }
    }
    Ok(())
}

fn path_of_url(text: &str) -> Result<(), BadName> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b);
    if !text.starts_with('/') || text.len() > 1024 || !text.bytes().all(fits) {
        return Err(bad(
            "a health check path begins with `/` and has at most 1024 visible ASCII characters",
        ));
    }
    Ok(())
}

parsed_text! {
    /// A project's or service's name: lower case, digits, dashes, 1 to 40 characters, so that it fits a host name.
    Slug, |text| slug(text, 40)
}
parsed_text! {
    /// A branch or tag.
    Branch, ref_name
}
parsed_text! {
    /// A full commit: 40 hexadecimal digits (SHA-1) or 64 (SHA-256), in lower case.
    Commit, |text| {
        let fits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let long = text.len() == 40 || text.len() == 64;
        if long && text.bytes().all(fits) { Ok(()) } else { Err(bad("a commit is 40 or 64 hexadecimal digits in lower case")) }
    }
}
parsed_text! {
    /// A path inside a repository; empty means its top.
    InsidePath, inside_path
}
parsed_text! {
    /// An image reference.
    ImageReference, image_reference
}
parsed_text! {
    /// The path that a health check asks for.
    HealthPath, path_of_url
}
parsed_text! {
    /// The name of an environment variable: letters, digits, underscores, not beginning with a digit.
    VariableKey, |text| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let starts = text.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !starts || text.len() > 256 || !text.bytes().all(fits) {
            return Err(bad("a variable's name has letters, digits and underscores, and does not begin with a digit"));
        }
        Ok(())
    }
}
parsed_text! {
    /// A build stage of a Dockerfile.
    BuildTarget, |text| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if text.is_empty() || text.len() > 128 || text.starts_with('-') || !text.bytes().all(fits) {
            return Err(bad("a build target has letters, digits, `_`, `.`, `-`, and does not begin with a dash"));
        }
        Ok(())
    }
}
parsed_text! {
    /// A command that runs inside a container, by its shell; never on the host.
    ShellCommand, |text| {
        if text.trim().is_empty() || text.len() > 8192 || text.contains(['\0', '\n', '\r']) {
            return Err(bad("a command is one line of at most 8192 characters"));
        }
        Ok(())
    }
}
parsed_text! {
    /// A host name: dot-separated labels of RFC 1123, in lower case.
    HostName, |text| {
        let label = |part: &str| !part.is_empty() && part.len() <= 63 && !part.starts_with('-') && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.len() > 253 || !text.split('.').all(label) {
            return Err(bad("a host name has labels of lower-case letters, digits and dashes, separated by dots"));
        }
        Ok(())
    }
}

impl Slug {
    /// The nearest name to any text: what does not fit becomes a dash; `app` when nothing is left.
    #[must_use]
    pub fn near(text: &str) -> Self {
        let mut near = String::new();
        for character in text.chars().flat_map(char::to_lowercase) {
            if character.is_ascii_lowercase() || (character.is_ascii_digit() && !near.is_empty()) {
                near.push(character);
            } else if !near.is_empty() && !near.ends_with('-') {
                near.push('-');
            }
            if near.len() == 40 {
                break;
            }
        }
        let near = near.trim_end_matches('-');
        Self(if near.is_empty() {
            "app".to_owned()
        } else {
            near.to_owned()
        })
    }
}

/// How many instances of a service run: 1 to 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replicas(u16);

impl Replicas {
    /// One.
    pub const ONE: Self = Self(1);

    /// Parses the number.
    ///
    /// # Errors
    /// When it is not in 1 to 20.
    pub fn parse(number: u16) -> Result<Self, BadName> {
        if (1..=20).contains(&number) {
            Ok(Self(number))
        } else {
            Err(bad("replicas are 1 to 20"))
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Replicas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(u16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Replicas {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        <u16 as utoipa::PartialSchema>::schema()
    }
}
#[cfg(feature = "schema")]
impl utoipa::ToSchema for Replicas {}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 9] = [
        "-rf",
        "--upload-pack=touch /tmp/x",
        "$(id)",
        "`id`",
        "a;id",
        "a\nb",
        "../etc",
        "a b",
        "'\"\\",
    ];

    #[test]
    fn hostile_texts_are_no_names() {
        for text in HOSTILE {
            assert!(Slug::parse(text).is_err(), "slug {text}");
            assert!(Commit::parse(text).is_err(), "commit {text}");
            assert!(ImageReference::parse(text).is_err(), "image {text}");
            assert!(VariableKey::parse(text).is_err(), "key {text}");
            assert!(BuildTarget::parse(text).is_err(), "target {text}");
            assert!(HostName::parse(text).is_err(), "host {text}");
            assert!(HealthPath::parse(text).is_err(), "path {text}");
        }
        for text in [
            "-x",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a\nb",
            "x.lock",
            "a//b",
            "",
            "@",
            "a@{1}",
            "a\\b",
        ] {
            assert!(Branch::parse(text).is_err(), "branch {text}");
        }
        for text in ["/etc", "..", "a/../b", "-x", "a\nb", ".git/hooks", "a\\b"] {
            assert!(InsidePath::parse(text).is_err(), "inside {text}");
        }
    }

    #[test]
    fn ordinary_texts_are_names() {
        for text in ["main", "feature/x-1", "v1.2.3", "user/fix_#2"] {
            assert!(Branch::parse(text).is_ok(), "{text}");
        }
        let digest = format!("nginx@sha256:{}", "a".repeat(64));
        for text in [
            "nginx",
            "nginx:1.27",
            "127.0.0.1:5500/team/app:dep-1",
            "ghcr.io/a/b",
            "localhost:5000/x",
            &digest,
        ] {
            assert!(ImageReference::parse(text).is_ok(), "{text}");
        }
        for text in ["", "apps/web", "Dockerfile.prod", "a-b/c.d"] {
            assert!(InsidePath::parse(text).is_ok(), "{text}");
        }
        assert_eq!(Slug::near("My App!! (2)").as_str(), "my-app-2");
        assert_eq!(Slug::near("日本").as_str(), "app");
        assert_eq!(Slug::near("9lives").as_str(), "lives");
    }
}
