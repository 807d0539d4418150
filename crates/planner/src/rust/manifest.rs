//! What the `Cargo.toml` of a package or a workspace says: packages, and the programs in them.

use toml::{Table, Value};

use crate::{
    Refusal,
    rust::version::text_at,
    tree::{Tree, is_plain_path, join, shown},
};

/// More packages of a workspace, or programs of a package, than this are not looked at.
const MOST_PACKAGES: usize = 500;
const MOST_PROGRAMS: usize = 200;

/// A package of the workspace, or the only one.
#[derive(Clone, Debug)]
pub(super) struct Package {
    /// From the application's directory; empty for the directory itself.
    pub(super) folder: String,
    pub(super) name: String,
    pub(super) default_run: Option<String>,
    pub(super) programs: Vec<Program>,
    /// Cargo builds it when no package is named.
    pub(super) is_default: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    /// Its main file, from the application's directory.
    pub(super) source: String,
    pub(super) features: Vec<String>,
}

/// A manifest as a table; `None` if there is none.
pub(super) fn read(tree: &Tree, path: &str) -> Result<Option<Table>, Refusal> {
    let Some(text) = tree.text(path)? else { return Ok(None) };
    toml::from_str(&text).map(Some).map_err(|error| Refusal::Malformed {
        path: shown(path),
        why: shown(error.message()),
    })
}

/// All packages, the root's first.
pub(super) fn packages(tree: &Tree, root: &Table) -> Result<Vec<Package>, Refusal> {
    let mut packages = Vec::new();
    let workspace = root.get("workspace").and_then(Value::as_table);
    let defaults = workspace.and_then(|workspace| workspace.get("default-members"));
    let defaults = defaults.map(|defaults| folders(tree, Some(defaults)));
    let is_default = |folder: &str| defaults.as_ref().is_none_or(|all| all.iter().any(|one| one == folder));
    if root.contains_key("package") {
        packages.extend(package(tree, "", root, is_default("")));
    }
    let Some(workspace) = workspace else {
        return Ok(packages);
    };
    let left_out = folders(tree, workspace.get("exclude"));
    for folder in folders(tree, workspace.get("members")) {
        if left_out.contains(&folder) || folder.is_empty() {
            continue;
        }
        if let Some(manifest) = read(tree, &join(&folder, "Cargo.toml"))? {
            packages.extend(package(tree, &folder, &manifest, is_default(&folder)));
        }
    }
    Ok(packages)
}

/// The folders that patterns such as `crates/*` name, each once.
fn folders(tree: &Tree, patterns: Option<&Value>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let patterns = patterns.and_then(Value::as_array).into_iter().flatten();
    for pattern in patterns.filter_map(Value::as_str).take(MOST_PACKAGES) {
        let mut level = vec![String::new()];
        for part in pattern
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .take(8)
        {
            if !part.contains(['*', '?']) {
                level = level.iter().map(|folder| join(folder, part)).collect();
                continue;
            }
            level = level
                .iter()
                .flat_map(|folder| {
                    let names = tree.code_folders(folder).into_iter();
                    names.filter(|name| matches(part, name)).map(|name| join(folder, &name))
                })
                .take(MOST_PACKAGES)
                .collect();
        }
        for folder in level {
            let is_usable = folder.is_empty() || is_plain_path(&folder);
            if is_usable && found.len() < MOST_PACKAGES && !found.contains(&folder) {
                found.push(folder);
            }
        }
    }
    found
}

/// Whether a name fits a pattern with stars: its parts come in order.
fn matches(pattern: &str, name: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, between @ .., last] = parts.as_slice() else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether a name can stand in a command as it is.
fn is_name(name: &str) -> bool {
    is_plain_path(name) && !name.contains('/')
}

fn package(tree: &Tree, folder: &str, manifest: &Table, is_default: bool) -> Option<Package> {
    let name = text_at(manifest, &["package", "name"]).filter(|name| is_name(name))?;
    let table = manifest.get("package").and_then(Value::as_table)?;
    let mut programs: Vec<Program> = Vec::new();
    let named = manifest.get("bin").and_then(Value::as_array).into_iter().flatten();
    for bin in named.filter_map(Value::as_table).take(MOST_PROGRAMS) {
        let Some(bin_name) = bin.get("name").and_then(Value::as_str).filter(|name| is_name(name)) else {
            continue;
        };
        let places = match bin.get("path").and_then(Value::as_str) {
            Some(path) => vec![path.trim_start_matches("./").to_owned()],
            None => vec![
                format!("src/bin/{bin_name}.rs"),
                format!("src/bin/{bin_name}/main.rs"),
                "src/main.rs".to_owned(),
            ],
        };
        let places = places.iter().map(|path| join(folder, path));
        let features = bin
            .get("required-features")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        programs.push(Program {
            name: bin_name.to_owned(),
            source: places.into_iter().find(|path| tree.has_file(path)).unwrap_or_default(),
            features: features
                .filter_map(Value::as_str)
                .filter(|feature| is_plain_path(feature))
                .map(str::to_owned)
                .collect(),
        });
    }
    if table.get("autobins").and_then(Value::as_bool) != Some(false) {
        for (name, source) in discovered(tree, folder, name) {
            let is_new = programs
                .iter()
                .all(|program| program.name != name && program.source != source);
            if is_new && programs.len() < MOST_PROGRAMS {
                programs.push(Program {
                    name,
                    source,
                    features: Vec::new(),
                });
            }
        }
    }
    Some(Package {
        folder: folder.to_owned(),
        name: name.to_owned(),
        default_run: text_at(manifest, &["package", "default-run"]).map(str::to_owned),
        programs,
        is_default,
    })
}

/// The programs that Cargo finds by the places of their files.
fn discovered(tree: &Tree, folder: &str, package: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let main = join(folder, "src/main.rs");
    if tree.has_file(&main) {
        found.push((package.to_owned(), main));
    }
    let bins = join(folder, "src/bin");
    for entry in tree.entries(&bins) {
        let path = join(&bins, &entry.name);
        if entry.is_folder {
            let main = join(&path, "main.rs");
            if is_name(&entry.name) && tree.has_file(&main) {
                found.push((entry.name, main));
            }
        } else if let Some(name) = entry.name.strip_suffix(".rs").filter(|name| is_name(name)) {
            found.push((name.to_owned(), path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_of_members_are_understood() {
        for (pattern, name, fits) in [
            ("*", "api", true),
            ("app-*", "app-web", true),
            ("app-*", "web", false),
            ("*-service", "web-service", true),
            ("*-service", "web", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axc", false),
            ("a*b*c", "abb", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
