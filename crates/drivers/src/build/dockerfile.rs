//! A Dockerfile of the application: found inside the context only, and served without its `# syntax` line.

use std::path::{Component, Path};

use domain::ports::builder::BuildError;

/// The longest Dockerfile that is read.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// What a `# syntax` line names when it means Docker's own frontend, which every builder has built in.
const OWN_FRONTENDS: [&str; 4] = [
    "docker/dockerfile",
    "docker.io/docker/dockerfile",
    "docker/dockerfile-upstream",
    "docker.io/docker/dockerfile-upstream",
];

/// Reads a file of the context. A link is followed as long as it leads to a place inside.
pub(super) async fn read(context: &Path, path: &str) -> Result<Option<String>, BuildError> {
    let relative = Path::new(path);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if path.is_empty() || path.len() > 4096 || !plain || path.chars().any(char::is_control) {
        return Err(BuildError::Invalid(format!(
            "`{}` cannot be the path of a Dockerfile: it is relative to the application's directory and stays inside",
            domain::logs::clean_line(path)
        )));
    }
    let unreadable = |error: std::io::Error| BuildError::Invalid(format!("`{path}` cannot be read: {error}"));
    let root = tokio::fs::canonicalize(context).await.map_err(unreadable)?;
    let place = match tokio::fs::canonicalize(root.join(relative)).await {
        Ok(place) => place,
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !place.starts_with(&root) {
        return Err(BuildError::Invalid(format!(
            "`{path}` leads out of the application's directory"
        )));
    }
    let metadata = tokio::fs::metadata(&place).await.map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(BuildError::Invalid(format!("`{path}` is no file")));
    }
    if metadata.len() > LIMIT_BYTES {
        return Err(BuildError::Invalid(format!(
            "`{path}` is larger than a Dockerfile may be"
        )));
    }
    let bytes = tokio::fs::read(&place).await.map_err(unreadable)?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| BuildError::Invalid(format!("`{path}` is not UTF-8 text")))
}

fn missing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// A Dockerfile, and what its `# syntax` line named before it was taken out.
pub(super) struct Neutral {
    pub(super) text: String,
    pub(super) syntax: Option<String>,
}

/// Takes the `# syntax` line out, so that the builder's own frontend reads the file and no frontend image is pulled. A
/// frontend that is not Docker's is refused: it would be a program of its own, and another language.
pub(super) fn neutral(text: &str) -> Result<Neutral, BuildError> {
    let Some((number, syntax)) = syntax(text) else {
        return Ok(Neutral {
            text: text.to_owned(),
            syntax: None,
        });
    };
    let name = syntax.split('@').next().unwrap_or_default();
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    if !OWN_FRONTENDS.contains(&repository) {
        return Err(BuildError::Invalid(format!(
            "the Dockerfile asks for the frontend `{}`, and only Docker's own is allowed: remove its `# syntax` line",
            domain::logs::clean_line(&syntax)
        )));
    }
    // The line stays, so that line numbers in messages stay right.
    let text = text
        .split_inclusive('\n')
        .enumerate()
        .map(|(index, line)| match index == number {
            true if line.ends_with('\n') => "#\n",
            true => "#",
            false => line,
        })
        .collect();
    Ok(Neutral {
        text,
        syntax: Some(syntax),
    })
}

/// The line number and value of a `syntax` directive: among the comments at the top, as `# syntax=…` or `// syntax=…`
/// (newer frontends), or in a JSON document.
fn syntax(text: &str) -> Option<(usize, String)> {
    for (number, line) in text.split('\n').enumerate() {
        let line = line
            .strip_prefix('\u{feff}')
            .filter(|_| number == 0)
            .unwrap_or(line)
            .trim();
        if number == 0 && line.starts_with("#!") {
            continue;
        }
        let Some(comment) = line.strip_prefix('#').or_else(|| line.strip_prefix("//")) else {
            break;
        };
        // Anything but a directive ends the directives; being generous here only takes out one line more.
        if let Some((key, value)) = comment.split_once('=')
            && key.trim().eq_ignore_ascii_case("syntax")
        {
            return Some((number, value.split_whitespace().next().unwrap_or_default().to_owned()));
        }
    }
    let document: serde_json::Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    Some((0, document.get("syntax")?.as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_own_frontend_is_left_to_the_builder() {
        for line in [
            "# syntax=docker/dockerfile:1",
            "#syntax = docker/dockerfile:1.4-labs",
            "# SYNTAX=docker.io/docker/dockerfile@sha256:00",
            "// syntax=docker/dockerfile",
        ] {
            let neutral = neutral(&format!("{line}\nFROM scratch\n")).unwrap();
            assert_eq!(neutral.text, "#\nFROM scratch\n", "{line}");
            assert!(neutral.syntax.is_some());
        }
        let second = neutral("# escape=`\r\n# syntax=docker/dockerfile:1\r\nFROM scratch").unwrap();
        assert_eq!(second.text, "# escape=`\r\n#\nFROM scratch");
        let none = neutral("FROM scratch\n# syntax=evil/frontend\n").unwrap();
        assert!(none.syntax.is_none());
    }

    #[test]
    fn another_frontend_is_refused() {
        for text in [
            "# syntax=evil/frontend\n",
            "# syntax=docker/dockerfile.evil.example/x:1\n",
            "#!/bin/x\n# syntax=localhost:5000/docker/dockerfile\n",
            "{\"syntax\": \"evil/frontend\"}",
            "# syntax=\n",
        ] {
            assert!(matches!(neutral(text), Err(BuildError::Invalid(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn a_dockerfile_is_read_inside_the_context_only() {
        let root = tempfile::tempdir().unwrap();
        let context = root.path().join("app");
        std::fs::create_dir_all(context.join("docker")).unwrap();
        std::fs::write(root.path().join("secret"), "FROM secret").unwrap();
        std::fs::write(context.join("docker/-f.Dockerfile"), "FROM scratch").unwrap();
        std::os::unix::fs::symlink("../secret", context.join("out")).unwrap();
        std::os::unix::fs::symlink("docker/-f.Dockerfile", context.join("in")).unwrap();
        assert_eq!(read(&context, "in").await.unwrap().unwrap(), "FROM scratch");
        assert_eq!(
            read(&context, "./docker/-f.Dockerfile").await.unwrap().unwrap(),
            "FROM scratch"
        );
        assert_eq!(read(&context, "none").await.unwrap(), None);
        assert_eq!(read(&context, "in/none").await.unwrap(), None);
        for wrong in [
            "",
            "..",
            "../secret",
            "/etc/passwd",
            "out",
            "docker",
            "a\nb",
            "docker/../../secret",
        ] {
            assert!(
                matches!(read(&context, wrong).await, Err(BuildError::Invalid(_))),
                "{wrong}"
            );
        }
    }
}
