//! What a Python application depends on, and with what that is installed.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::{
    Refusal,
    python::conda::Environment,
    tree::{Tree, is_plain_path, join},
};

/// How dependencies are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Installer {
    Nothing,
    /// A requirements file, and the files that it needs; `None` if it needs the source.
    Requirements {
        file: String,
        inputs: Option<Vec<String>>,
    },
    /// The list in pyproject.toml, and whether the project itself is a package.
    Project {
        dependencies: Vec<String>,
        is_package: bool,
    },
    SetupScript,
    Uv {
        is_locked: bool,
        is_package: bool,
        needs_source: bool,
    },
    Poetry {
        is_locked: bool,
        is_package: bool,
    },
    Pipenv {
        is_locked: bool,
    },
    /// As `pdm.lock` says.
    Pdm {
        is_package: bool,
    },
    /// The list in `environment.yml`, out of Python's own index.
    Conda {
        dependencies: Vec<String>,
    },
}

/// The names of all dependencies, normalized, and those that come with an extra.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: BTreeSet<String>,
    /// The release of each that is asked for exactly.
    pins: BTreeMap<String, String>,
    from_repository: bool,
}

/// Packages that lie in the repository, to be installed without any index, as users of Cloud Foundry do it.
pub(crate) fn vendored(tree: &Tree) -> Vec<String> {
    let entries = tree.entries(VENDORED).into_iter().take(MOST);
    let is_package = |name: &str| [".whl", ".tar.gz", ".zip"].iter().any(|end| name.ends_with(end));
    entries
        .map(|entry| entry.name)
        .filter(|name| is_package(name))
        .collect()
}

/// The folder of such packages.
pub(crate) const VENDORED: &str = "vendor";

/// More requirements than this are not looked at.
const MOST: usize = 5_000;
/// A list in pyproject.toml becomes one line of the Dockerfile, which old builders limit to 64 KiB.
const LONGEST_LIST: usize = 12 * 1024;
/// More members of a workspace than this are not looked at.
const MOST_MEMBERS: usize = 100;
/// A requirements file that includes others does so to this depth.
const DEEPEST: usize = 5;

impl Names {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(crate) fn has_any(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    /// The release of a dependency that is asked for exactly.
    pub(crate) fn pin(&self, name: &str) -> Option<&str> {
        self.pins.get(name).map(String::as_str)
    }

    /// Whether one is fetched as source, by a program such as Git.
    pub(crate) fn has_sources(&self) -> bool {
        self.from_repository
    }

    fn add(&mut self, requirement: &str) {
        self.from_repository |= is_from_repository(requirement);
        let end = requirement.find(|character: char| !(character.is_ascii_alphanumeric() || "._-".contains(character)));
        let (name, rest) = requirement.split_at(end.unwrap_or(requirement.len()));
        if name.is_empty() || self.names.len() >= MOST {
            return;
        }
        let name = name.to_lowercase().replace(['_', '.'], "-");
        // fastapi[standard] brings uvicorn along.
        let extra = rest
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
            .unwrap_or_default();
        if name == "fastapi" && (extra.contains("standard") || extra.contains("all")) {
            self.names.insert("uvicorn".to_owned());
        }
        if name == "python-fasthtml" {
            self.names.insert("uvicorn".to_owned());
        }
        let asked = rest.rsplit(']').next().unwrap_or_default().trim_start();
        if let Some(release) = asked.strip_prefix("==") {
            let is_of_release = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '.';
            let release: String = release
                .trim_start()
                .chars()
                .take_while(is_of_release)
                .take(40)
                .collect();
            self.pins.insert(name.clone(), release);
        }
        self.names.insert(name);
    }
}

fn is_from_repository(requirement: &str) -> bool {
    ["git+", "hg+", "svn+"]
        .iter()
        .any(|scheme| requirement.contains(scheme))
}

/// Requirements files by the names that people give them, the usual one first.
const REQUIREMENTS: &[&str] = &[
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "requirements-prod.txt",
    "requirements.prod.txt",
    "reqs.txt",
];

pub(crate) fn requirements_file(tree: &Tree) -> Option<&'static str> {
    REQUIREMENTS.iter().copied().find(|file| tree.has(file))
}

fn table<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(key))?
        .as_table()
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(MOST)
}

/// The installer and the names, out of all that is there.
pub(crate) fn read(tree: &Tree, project: &Table, pipfile: &Table) -> Result<(Installer, Names), Refusal> {
    let mut names = Names::default();
    let tool = |name: &str| table(project, &["tool", name]).is_some();
    let metadata = table(project, &["project"]);
    let dependencies: Vec<String> = list(metadata.and_then(|metadata| metadata.get("dependencies")))
        .map(str::to_owned)
        .collect();
    if dependencies.iter().map(String::len).sum::<usize>() > LONGEST_LIST {
        return Err(Refusal::Malformed {
            path: "pyproject.toml".to_owned(),
            why: format!("project.dependencies has more than {LONGEST_LIST} bytes. Put them into a requirements.txt"),
        });
    }
    dependencies.iter().for_each(|requirement| names.add(requirement));
    for path in [
        ["tool", "poetry", "dependencies"].as_slice(),
        &["tool", "poetry", "group", "main", "dependencies"],
    ] {
        table(project, path)
            .into_iter()
            .flat_map(Table::keys)
            .for_each(|name| names.add(name));
    }
    table(pipfile, &["packages"])
        .into_iter()
        .flat_map(Table::keys)
        .for_each(|name| names.add(name));

    for folder in members(tree, project) {
        let text = tree.text(&join(&folder, "pyproject.toml"))?.unwrap_or_default();
        let member: Table = text.parse().unwrap_or_default();
        list(table(&member, &["project"]).and_then(|metadata| metadata.get("dependencies")))
            .for_each(|requirement| names.add(requirement));
    }

    let has_git = |value: &Value| value.get("git").is_some();
    for sources in [
        ["tool", "uv", "sources"].as_slice(),
        &["tool", "poetry", "dependencies"],
    ] {
        names.from_repository |=
            table(project, sources).is_some_and(|sources| sources.iter().any(|(_, value)| has_git(value)));
    }
    names.from_repository |=
        table(pipfile, &["packages"]).is_some_and(|packages| packages.iter().any(|(_, value)| has_git(value)));
    let has_backend = project.contains_key("build-system");
    let installer = if let Some(file) = requirements_file(tree) {
        let mut found = Found {
            names: &mut names,
            inputs: Vec::new(),
            needs_source: false,
        };
        requirements(tree, file, &mut found, 0)?;
        let inputs = (!found.needs_source).then_some(found.inputs);
        Installer::Requirements {
            file: file.to_owned(),
            inputs,
        }
    } else if tree.has("uv.lock") || (tool("uv") && metadata.is_some()) {
        let package = table(project, &["tool", "uv"])
            .and_then(|uv| uv.get("package"))
            .and_then(Value::as_bool);
        let is_local = |source: &Value| source.get("path").is_some() || source.get("workspace").is_some();
        let sources = table(project, &["tool", "uv", "sources"]);
        let needs_source = table(project, &["tool", "uv", "workspace"]).is_some()
            || sources.is_some_and(|sources| sources.iter().any(|(_, source)| is_local(source)));
        Installer::Uv {
            is_locked: tree.has("uv.lock"),
            is_package: package.unwrap_or(has_backend),
            needs_source,
        }
    } else if tree.has("poetry.lock") || tool("poetry") {
        let mode = table(project, &["tool", "poetry"])
            .and_then(|poetry| poetry.get("package-mode"))
            .and_then(Value::as_bool);
        Installer::Poetry {
            is_locked: tree.has("poetry.lock"),
            is_package: mode.unwrap_or(has_backend && has_modules(tree, project)) && has_backend,
        }
    } else if tree.has("pdm.lock") && metadata.is_some() {
        let distribution = table(project, &["tool", "pdm"]).and_then(|pdm| pdm.get("distribution"));
        let is_distribution = distribution.and_then(Value::as_bool);
        Installer::Pdm {
            is_package: is_distribution.unwrap_or(has_backend) && has_backend,
        }
    } else if tree.has("Pipfile") {
        Installer::Pipenv {
            is_locked: tree.has("Pipfile.lock"),
        }
    } else if metadata.is_some() {
        // Without a build system a folder of scripts is meant; packaging one would fail on its layout.
        let is_dynamic = list(metadata.and_then(|metadata| metadata.get("dynamic"))).any(|name| name == "dependencies");
        Installer::Project {
            dependencies,
            is_package: has_backend || is_dynamic || tree.has_folder("src") && tree.has("setup.py"),
        }
    } else if tree.has("setup.py") || tree.has("setup.cfg") || has_backend {
        Installer::SetupScript
    } else if let Some(environment) = Environment::read(tree)? {
        environment.dependencies.iter().for_each(|name| names.add(name));
        Installer::Conda {
            dependencies: environment.dependencies,
        }
    } else {
        Installer::Nothing
    };
    Ok((installer, names))
}

/// The folders of a workspace of uv: what they depend on is installed with the application.
fn members(tree: &Tree, project: &Table) -> Vec<String> {
    let workspace = table(project, &["tool", "uv", "workspace"]);
    let patterns = list(workspace.and_then(|workspace| workspace.get("members")));
    let folders = patterns.flat_map(|pattern| match pattern.strip_suffix("/*") {
        Some(above) if is_plain_path(above) => {
            let below = tree.code_folders(above).into_iter();
            below.map(|name| join(above, &name)).collect()
        }
        _ => vec![pattern.to_owned()],
    });
    folders
        .filter(|folder| is_plain_path(folder))
        .take(MOST_MEMBERS)
        .collect()
}

/// Whether Poetry would find something to package: many a project of scripts has its build system by default only.
fn has_modules(tree: &Tree, project: &Table) -> bool {
    let poetry = table(project, &["tool", "poetry"]);
    if poetry.is_some_and(|poetry| poetry.contains_key("packages") || poetry.contains_key("include")) {
        return true;
    }
    let name = poetry
        .and_then(|poetry| poetry.get("name"))
        .or_else(|| project.get("project")?.get("name"))
        .and_then(Value::as_str);
    let Some(name) = name
        .map(|name| name.to_lowercase().replace(['-', '.'], "_"))
        .filter(|name| is_plain_path(name))
    else {
        return false;
    };
    ["", "src/"]
        .iter()
        .any(|above| tree.has_folder(&format!("{above}{name}")) || tree.has_file(&format!("{above}{name}.py")))
}

struct Found<'a> {
    names: &'a mut Names,
    inputs: Vec<String>,
    needs_source: bool,
}

/// Reads one requirements file and those that it includes.
fn requirements(tree: &Tree, path: &str, found: &mut Found<'_>, depth: usize) -> Result<(), Refusal> {
    if depth > DEEPEST || found.inputs.len() > 50 || !is_plain_path(path) {
        found.needs_source = true;
        return Ok(());
    }
    if found.inputs.iter().any(|seen| seen == path) {
        return Ok(());
    }
    let Some(text) = tree.text(path)? else {
        // pip says it better.
        found.needs_source = true;
        return Ok(());
    };
    found.inputs.push(path.to_owned());
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .take(MOST)
    {
        let included = ["--requirement", "--constraint", "-r", "-c"]
            .iter()
            .find_map(|flag| line.strip_prefix(flag));
        if let Some(file) = included {
            let file = file
                .trim_start_matches('=')
                .split(" #")
                .next()
                .unwrap_or_default()
                .trim();
            match normal(folder, file) {
                Some(file) => requirements(tree, &file, found, depth + 1)?,
                None => found.needs_source = true,
            }
        } else if line.starts_with("-e") || line.starts_with("--editable") || line.starts_with(['.', '/']) {
            found.names.from_repository |= is_from_repository(line);
            found.needs_source = true;
        } else if let Some((_, file)) = line.split_once("file:") {
            found.needs_source |= !file.is_empty();
        } else if !line.starts_with('-') {
            found.names.add(line);
        }
    }
    Ok(())
}

/// A path in a requirements file, from the application's directory; `None` if it leaves that.
fn normal(folder: &str, file: &str) -> Option<String> {
    let path = join(folder, file);
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!file.starts_with('/') && !parts.is_empty()).then(|| parts.join("/"))
}
