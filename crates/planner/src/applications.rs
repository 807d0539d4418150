//! Which applications a repository holds.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Plan, Refusal, Settings, node, plan_alone,
    tree::{Tree, join, shown},
};

/// An application of a repository, and how it is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its folder below the repository's; empty for the repository itself.
    pub path: String,
    /// The language, such as `node`; `dockerfile` where its own Dockerfile says all.
    pub provider: String,
    /// The framework, in the way that its makers write it.
    pub framework: Option<String>,
    /// What would be started.
    pub start_command: Option<String>,
    /// What the root directory has to be: its folder, or the one above that holds what it needs of other packages.
    #[serde(default)]
    pub root_directory: String,
    /// The variables that choose it there.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// As many folders are looked at, nearest first: a repository of thousands has its applications near the top.
const MOST_FOLDERS: usize = 400;
/// As many applications are found.
const MOST_APPLICATIONS: usize = 50;
/// As deep applications lie, as in `services/shop/api`.
const DEEPEST: usize = 3;

/// Files one of which every application has.
const SIGNS: &[&str] = &[
    "CMakeLists.txt",
    "Dockerfile",
    "Procfile",
    "Staticfile",
    "Cargo.toml",
    "Gemfile",
    "Pipfile",
    "build.gradle",
    "build.gradle.kts",
    "click-deploy.toml",
    "composer.json",
    "deno.json",
    "deno.jsonc",
    "go.mod",
    "index.html",
    "index.php",
    "main.go",
    "main.py",
    "manage.py",
    "meson.build",
    "mix.exs",
    "package.json",
    "pom.xml",
    "pyproject.toml",
    "requirements.txt",
    "start.sh",
];

/// The applications that are found in a repository, those near its top first: folders that can be planned and say what is
/// started. A library, a package that only others use, and the pages of an application above them are none.
///
/// ```
/// # let repository = tempfile::tempdir()?;
/// # for (path, text) in [("web/index.html", ""), ("api/main.py", "print()"), ("library/setup.py", "")] {
/// #     std::fs::create_dir_all(repository.path().join(path).parent().expect("a folder"))?;
/// #     std::fs::write(repository.path().join(path), text)?;
/// # }
/// let found = planner::applications(repository.path())?;
/// let shown: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.provider.as_str())).collect();
/// assert_eq!(shown, [("api", "python"), ("web", "static")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the folder cannot be read.
pub fn applications(root: &Path) -> Result<Vec<Application>, Refusal> {
    let tree = Tree::open(root)?;
    let mut found: Vec<Application> = Vec::new();
    // Packages of a workspace, which are deployed by the folder that it begins at.
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    for folder in folders_with_signs(&tree) {
        let is_below_another = found.iter().any(|one| is_below(&folder, &one.path));
        let application = if tree.has_file(&join(&folder, "Dockerfile")) {
            Some(Application {
                path: folder.clone(),
                provider: "dockerfile".to_owned(),
                framework: None,
                start_command: None,
                root_directory: folder.clone(),
                variables: BTreeMap::new(),
            })
        } else if let Some(above) = packages.get(&folder) {
            let package = folder.strip_prefix(above).unwrap_or(&folder).trim_start_matches('/');
            let variables = BTreeMap::from([(node::PACKAGE_VARIABLE.to_owned(), package.to_owned())]);
            let settings = Settings {
                variables: variables.clone(),
                ..Settings::default()
            };
            let plan = plan_alone(&root.join(above), &settings).ok();
            plan.map(|plan| Application {
                root_directory: above.clone(),
                variables,
                ..deployed_as_it_is(folder.clone(), plan)
            })
        } else {
            if tree.has_file(&join(&folder, "package.json")) {
                let below = node::packages(&tree.below(&folder)).into_iter();
                packages.extend(below.map(|package| (join(&folder, &package), folder.clone())));
            }
            let planned = plan_alone(&root.join(&folder), &Settings::default()).ok();
            // Pages below an application are its own, and a package that alone can be meant has a line of its own.
            planned
                .filter(|plan| plan.start_command.is_some() && !(is_below_another && plan.provider == "static"))
                .filter(|plan| {
                    plan.facts
                        .iter()
                        .all(|fact| fact.name != "package" || plan.provider != "node")
                })
                .map(|plan| deployed_as_it_is(folder.clone(), plan))
        };
        found.extend(application);
        if found.len() == MOST_APPLICATIONS {
            break;
        }
    }
    Ok(found)
}

fn deployed_as_it_is(folder: String, plan: Plan) -> Application {
    Application {
        root_directory: folder.clone(),
        path: folder,
        provider: plan.provider,
        framework: plan.framework,
        start_command: plan.start_command.map(|command| shown(&command)),
        variables: BTreeMap::new(),
    }
}

/// The folders that may be applications, by the names of their files, nearest first.
fn folders_with_signs(tree: &Tree) -> impl Iterator<Item = String> {
    let is_project = |name: &str| [".csproj", ".fsproj", ".vbproj"].iter().any(|end| name.ends_with(end));
    let folders = tree.walk("").into_iter();
    folders
        .filter(|folder| folder.matches('/').count() < DEEPEST)
        .take(MOST_FOLDERS)
        .filter(move |folder| {
            let entries = tree.entries(folder);
            let mut files = entries.iter().filter(|entry| !entry.is_folder);
            files.any(|file| SIGNS.contains(&file.name.as_str()) || is_project(&file.name))
        })
}

/// What to do where a folder is no application and others below it are, or may be.
pub(crate) fn advice(root: &Path) -> Option<String> {
    let below = applications(root).ok()?;
    if below.is_empty() {
        let tree = Tree::open(root).ok()?;
        let folders = folders_with_signs(&tree).filter(|folder| !folder.is_empty()).take(10);
        let folders: Vec<String> = folders.map(|folder| shown(&folder)).collect();
        return (!folders.is_empty()).then(|| {
            let folders = folders.join(", ");
            format!("There may be an application in {folders}: set the root directory to it.")
        });
    }
    let names = below.iter().take(10).map(|one| {
        let what = one.framework.as_deref().unwrap_or(&one.provider);
        let chosen = one.variables.iter().map(|(name, value)| {
            let folder = shown(&one.root_directory);
            format!(", by {name}={} in {folder}", shown(value))
        });
        format!("{} ({}{})", shown(&one.path), shown(what), chosen.collect::<String>())
    });
    let names: Vec<String> = names.collect();
    match below.len() {
        1 => Some(format!(
            "There is an application in {}: set the root directory to it.",
            names[0]
        )),
        count => Some(format!(
            "There are {count} applications: {}. Set the root directory to one of them.",
            names.join(", ")
        )),
    }
}

/// Whether a folder lies below another one.
fn is_below(folder: &str, other: &str) -> bool {
    folder != other && (other.is_empty() || folder.strip_prefix(other).is_some_and(|rest| rest.starts_with('/')))
}
