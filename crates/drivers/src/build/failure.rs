//! What BuildKit says of a failure, told as one that a person can act on.

use domain::{logs::clean_line, ports::builder::BuildError};
use tonic::{Code, Status};

use super::{
    BuildLimits,
    mask::Mask,
    progress::{FailedStep, shorten},
};

/// The longest message that is handed on.
const MESSAGE_BYTES: usize = 2 * 1024;

/// What is known of a build when it fails.
pub(super) struct Circumstances<'a> {
    /// The step that failed.
    pub(super) step: Option<FailedStep>,
    /// Whether the image was on its way to its registry.
    pub(super) pushing: bool,
    /// The frontend that the Dockerfile asked for and did not get.
    pub(super) syntax: Option<&'a str>,
    /// Keeps secrets out.
    pub(super) mask: &'a Mask,
    /// What steps may use.
    pub(super) limits: BuildLimits,
}

/// The builder is not there, or no longer.
pub(super) fn unreachable(cause: impl Into<domain::ports::Cause>) -> BuildError {
    BuildError::Unreachable(cause.into())
}

/// Tells what a failed solve means.
pub(super) fn explain(status: &Status, circumstances: Circumstances<'_>) -> BuildError {
    if is_lost(status) {
        return unreachable(status.clone());
    }
    let message = readable(status.message(), circumstances.mask);
    if let Some(step) = &circumstances.step {
        let said = readable(&step.error, circumstances.mask);
        if let Some(code) = exit_code(&said).or_else(|| exit_code(&message)) {
            return BuildError::Failed {
                step: step.name.clone(),
                message: exited(code, circumstances.limits),
                exit_code: Some(code),
                tail: step.tail.clone(),
            };
        }
        if let Some(image) = wanted_image(&step.name) {
            return BuildError::BaseImage { image, message: said };
        }
    }
    if circumstances.pushing || message.contains("failed to push") {
        return BuildError::Push(message);
    }
    if let Some(image) = image_in(&message) {
        return BuildError::BaseImage { image, message };
    }
    match circumstances.step {
        Some(step) if !is_invalid(&message) => BuildError::Failed {
            message: shown(&readable(&step.error, circumstances.mask)),
            step: step.name,
            exit_code: None,
            tail: step.tail,
        },
        _ => BuildError::Invalid(match circumstances.syntax {
            Some(syntax) => format!(
                "{} (the Dockerfile asks for `{syntax}`; the builder's own frontend read it, which may be older)",
                shown(&message)
            ),
            None => shown(&message),
        }),
    }
}

/// Whether the connection failed, and not the build.
fn is_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
        || matches!(status.code(), Code::Unavailable | Code::Cancelled)
        || status.message().contains("no active session")
        // The builder lost us while we sent it files: we were frozen, or too slow.
        || (status.message().contains("code = Unavailable desc = ") && exit_code(status.message()).is_none())
        || status.message().contains("error reading from server: EOF")
}

/// Without secrets, on one line, without the words that BuildKit puts before every message.
fn readable(message: &str, mask: &Mask) -> String {
    let hidden = mask.hide(message);
    let line = hidden
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let mut text = clean_line(&line);
    for prefix in [
        "rpc error: code = Unknown desc = ",
        "failed to solve: ",
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve with frontend gateway.v0: ",
        "failed to build LLB: ",
    ] {
        while let Some(rest) = text.strip_prefix(prefix) {
            text = rest.to_owned();
        }
    }
    shorten(&mut text, MESSAGE_BYTES);
    text
}

/// Known messages in words of their own.
fn shown(message: &str) -> String {
    if let Some(path) = missing_path(message) {
        return format!("`{path}` is not among the application's files, or is excluded by .dockerignore");
    }
    message.to_owned()
}

/// The path that a `COPY` did not find.
fn missing_path(message: &str) -> Option<String> {
    // Newer: `failed to compute cache key: "/x" not found: not found`, `failed to calculate checksum of ref …: "/x": not
    // found`.
    if (message.contains("cache key") || message.contains("calculate checksum"))
        && message.contains("not found")
        && let Some((_, rest)) = message.split_once('"')
        && let Some((path, _)) = rest.split_once('"')
    {
        return Some(path.to_owned());
    }
    // Older: `lstat /…/buildkit-mount123/x: no such file or directory`.
    let (before, _) = message.split_once(": no such file or directory")?;
    let (_, path) = before.rsplit_once("buildkit-mount")?;
    Some(
        path.trim_start_matches(|character: char| character.is_ascii_digit())
            .to_owned(),
    )
}

/// The number after the last `exit code: `, unless those words are part of the command itself.
fn exit_code(message: &str) -> Option<i32> {
    let (_, after) = message.rsplit_once("exit code: ")?;
    let (digits, rest) = after.split_at(after.bytes().take_while(u8::is_ascii_digit).count());
    digits.parse().ok().filter(|_| rest.is_empty() || rest.starts_with(':'))
}

fn exited(code: i32, limits: BuildLimits) -> String {
    match code {
        137 if limits.memory_mb > 0 => format!(
            "its process was killed (exit code 137), probably because it needed more memory than the {} MB that builds \
             may use",
            limits.memory_mb
        ),
        137 => "its process was killed (exit code 137), probably for want of memory".to_owned(),
        _ => format!("its process ended with exit code {code}"),
    }
}

/// The image that a step is about.
fn wanted_image(step: &str) -> Option<String> {
    for prefix in ["[internal] load metadata for ", "resolve image config for "] {
        if let Some(image) = step.strip_prefix(prefix) {
            let image = image.split_whitespace().next_back().unwrap_or(image);
            return Some(short(image.trim_start_matches("docker-image://")));
        }
    }
    let (_, from) = step.strip_prefix('[')?.split_once("] FROM ")?;
    Some(short(from.split_whitespace().next()?))
}

/// The image in a message that has no step.
fn image_in(message: &str) -> Option<String> {
    for (prefix, end) in [
        ("failed to resolve source metadata for ", ": "),
        ("failed to load metadata for ", ": "),
        ("failed to do request: Head ", " "),
    ] {
        if let Some((_, rest)) = message.split_once(prefix) {
            return rest.split_once(end).map(|(image, _)| short(image.trim_matches('"')));
        }
    }
    if message.contains("pull access denied") || message.contains("repository does not exist") {
        let image = message
            .split(": ")
            .find(|part| part.contains('/') && !part.contains(' '))?;
        return Some(short(image));
    }
    None
}

/// An image as people write it.
fn short(image: &str) -> String {
    let image = image.split('@').next().unwrap_or(image);
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    image.strip_prefix("library/").unwrap_or(image).to_owned()
}

/// Whether the recipe itself is wrong.
fn is_invalid(message: &str) -> bool {
    [
        "failed to create LLB definition",
        "dockerfile parse error",
        "failed to read dockerfile",
        "target stage",
        "invalid excludepatterns",
        "is no pattern",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BuildLimits = BuildLimits {
        cpu_millis: 0,
        memory_mb: 512,
    };

    fn told(message: &str, step: Option<(&str, &str)>, pushing: bool) -> BuildError {
        let mask = Mask::new(&[domain::SecretText::new("sesame-open")]);
        let circumstances = Circumstances {
            step: step.map(|(name, error)| FailedStep {
                name: name.to_owned(),
                error: error.to_owned(),
                tail: vec!["last".to_owned()],
            }),
            pushing,
            syntax: None,
            mask: &mask,
            limits: LIMITS,
        };
        explain(&Status::unknown(message), circumstances)
    }

    #[test]
    fn a_process_that_failed_is_told_by_its_exit_code() {
        for (error, code) in [
            ("executor failed running [/bin/sh -c make sesame-open]: exit code: 2", 2),
            (
                "process \"/bin/sh -c make\" did not complete successfully: exit code: 2",
                2,
            ),
            (
                "process \"/bin/sh -c echo exit code: 9\" did not complete successfully: exit code: 137",
                137,
            ),
        ] {
            let solve = format!("failed to solve with frontend dockerfile.v0: failed to build LLB: {error}");
            match told(&solve, Some(("[2/2] RUN make", error)), false) {
                BuildError::Failed {
                    step,
                    message,
                    exit_code,
                    tail,
                } => {
                    assert_eq!(
                        (step.as_str(), exit_code, tail.len()),
                        ("[2/2] RUN make", Some(code), 1)
                    );
                    assert_eq!(message.contains("512 MB"), code == 137, "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
        let error = "process \"/bin/sh -c echo exit code: 9\" did not start";
        assert!(matches!(
            told(error, Some(("RUN", error)), false),
            BuildError::Failed { exit_code: None, .. }
        ));
    }

    #[test]
    fn a_base_image_is_named_as_people_write_it() {
        for (step, image) in [
            ("[internal] load metadata for docker.io/library/node:24", "node:24"),
            ("[internal] load metadata for ghcr.io/a/b:1", "ghcr.io/a/b:1"),
            ("[stage 1/3] FROM docker.io/library/node:24@sha256:00", "node:24"),
            ("resolve image config for docker-image://x/y:1", "x/y:1"),
        ] {
            let error = "failed to do request: Head \"https://r/v2/x\": dial tcp: lookup r: no such host";
            match told(error, Some((step, error)), false) {
                BuildError::BaseImage { image: named, .. } => assert_eq!(named, image),
                other => panic!("{step}: {other:?}"),
            }
        }
        for message in [
            "failed to solve: a/b:1: failed to resolve source metadata for docker.io/a/b:1: pull access denied, repository \
             does not exist or may require authorization",
            "failed to solve: docker.io/a/b:1: pull access denied, repository does not exist",
        ] {
            match told(message, None, false) {
                BuildError::BaseImage { image, .. } => assert_eq!(image, "a/b:1"),
                other => panic!("{message}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_rest_is_told_apart() {
        assert!(matches!(
            told("failed to solve: dockerfile parse error on line 1: unknown instruction: X sesame-open", None, false),
            BuildError::Invalid(message) if message.starts_with("dockerfile parse error") && message.ends_with("X ***")
        ));
        let push = "failed to push r/a:1: unexpected status: 401 Unauthorized";
        assert!(matches!(
            told(push, Some(("exporting to image", push)), true),
            BuildError::Push(_)
        ));
        let lost =
            "failed to solve: failed to read dockerfile: rpc error: code = Unavailable desc = transport is closing";
        for ended in [
            Status::unavailable("error reading from server: EOF"),
            Status::unknown(lost),
        ] {
            let mask = Mask::default();
            let circumstances = Circumstances {
                step: None,
                pushing: false,
                syntax: None,
                mask: &mask,
                limits: LIMITS,
            };
            assert!(matches!(explain(&ended, circumstances), BuildError::Unreachable(_)));
        }
        for error in [
            "failed to compute cache key: failed to walk /var/lib/docker/tmp/buildkit-mount105/a/b: lstat \
             /var/lib/docker/tmp/buildkit-mount105/a/b: no such file or directory",
            "failed to compute cache key: \"/a/b\" not found: not found",
            "failed to calculate checksum of ref x::y: \"/a/b\": not found",
        ] {
            match told(error, Some(("[2/2] COPY a/b /", error)), false) {
                BuildError::Failed { message, .. } => assert!(message.starts_with("`/a/b` is not among"), "{message}"),
                other => panic!("{error}: {other:?}"),
            }
        }
    }
}
