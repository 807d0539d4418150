//! Which paths BuildKit needs when it names some: those, and what symbolic links among them lead to inside the context.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::pattern::{Patterns, clean};

/// More links than this in a context and the whole of it is sent.
const LINK_LIMIT: usize = 1_000;

/// The patterns for wanted paths; `None` when everything is wanted.
pub(super) fn follow(root: &Path, wanted: &[String]) -> Option<Vec<String>> {
    let mut resolver = Resolver {
        root,
        resolved: BTreeSet::new(),
        steps: 0,
    };
    for path in wanted {
        resolver.resolve(path)?;
    }
    if resolver.resolved.contains(".") {
        return None;
    }
    Some(resolver.resolved.into_iter().collect())
}

struct Resolver<'a> {
    root: &'a Path,
    resolved: BTreeSet<String>,
    steps: usize,
}

impl Resolver<'_> {
    /// Takes a path in, and all that links on its way lead to. `None` when it gives up.
    fn resolve(&mut self, path: &str) -> Option<()> {
        self.steps += 1;
        if self.steps > LINK_LIMIT {
            return None;
        }
        let path = inside(path);
        let mut current = String::new();
        let mut rest = path.as_str();
        loop {
            let (part, remainder) = rest.split_once('/').unwrap_or((rest, ""));
            if !current.is_empty() {
                current.push('/');
            }
            current.push_str(part);
            let targets = self.targets(&current, part)?;
            if targets.is_empty() && !remainder.is_empty() {
                rest = remainder;
                continue;
            }
            if !self.resolved.insert(current) {
                return Some(());
            }
            for target in targets {
                self.resolve(&format!("{target}/{remainder}"))?;
            }
            return Some(());
        }
    }

    /// Where a path leads that is a link, or the links that a pattern stands for.
    fn targets(&self, path: &str, name: &str) -> Option<Vec<String>> {
        if !name.contains(['*', '?', '[', '\\']) {
            return Some(self.target(path).into_iter().collect());
        }
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let pattern = Patterns::new([name]).ok()?;
        let Ok(entries) = std::fs::read_dir(self.place(directory)) else {
            return Some(Vec::new());
        };
        let mut targets = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if let Some(name) = name.to_str().filter(|name| pattern.matches(name, &[]).0) {
                let path = if directory.is_empty() {
                    name.to_owned()
                } else {
                    format!("{directory}/{name}")
                };
                targets.extend(self.target(&path));
            }
        }
        Some(targets)
    }

    fn target(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.place(path)).ok()?;
        let target = target.to_str()?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        Some(if target.starts_with('/') {
            inside(target)
        } else {
            inside(&format!("{directory}/{target}"))
        })
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// A path as if the context were all there is: nothing leads above it.
fn inside(path: &str) -> String {
    let cleaned = clean(&format!("/{path}"));
    match &cleaned[1..] {
        "" => ".".to_owned(),
        relative => relative.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn followed(wanted: &[&str]) -> Option<Vec<String>> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("real/deep")).unwrap();
        std::fs::write(root.path().join("real/deep/file"), "x").unwrap();
        symlink("real", root.path().join("link")).unwrap();
        symlink("deep/file", root.path().join("real/short")).unwrap();
        symlink("../../../../etc/passwd", root.path().join("out")).unwrap();
        symlink("/real", root.path().join("absolute")).unwrap();
        symlink("two", root.path().join("one")).unwrap();
        symlink("one", root.path().join("two")).unwrap();
        symlink(".", root.path().join("self")).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|path| (*path).to_owned()).collect();
        follow(root.path(), &wanted)
    }

    #[test]
    fn links_bring_along_what_they_lead_to() {
        assert_eq!(followed(&["real/deep"]).unwrap(), ["real/deep"]);
        assert_eq!(followed(&["/link/deep/file"]).unwrap(), ["link", "real/deep/file"]);
        assert_eq!(
            followed(&["link/short"]).unwrap(),
            ["link", "real/deep/file", "real/short"]
        );
        assert_eq!(followed(&["absolute/deep"]).unwrap(), ["absolute", "real/deep"]);
        assert_eq!(followed(&["li*"]).unwrap(), ["li*", "real"]);
        assert_eq!(followed(&["none/such"]).unwrap(), ["none/such"]);
    }

    #[test]
    fn a_link_leads_nowhere_above_the_context_and_a_circle_ends() {
        assert_eq!(followed(&["out"]).unwrap(), ["etc/passwd", "out"]);
        assert_eq!(followed(&["one"]).unwrap(), ["one", "two"]);
        assert_eq!(followed(&["../../x"]).unwrap(), ["x"]);
        assert_eq!(followed(&["self"]), None);
        assert_eq!(followed(&["."]), None);
    }
}
