//! An application's files in, a build plan out.
//!
//! [`plan`] reads the files below one directory and answers with a [`Plan`]: what was found and where it says so, and a
//! Dockerfile over the official images of the language that a person would be glad to own. It starts no process, needs no
//! network, and takes milliseconds.
//!
//! ```
//! use planner::{Settings, plan};
//!
//! # let application = tempfile::tempdir()?;
//! # std::fs::write(application.path().join("package.json"), r#"{"scripts": {"start": "node server.js"}, "engines": {"node": "22"}}"#)?;
//! # std::fs::write(application.path().join("server.js"), "")?;
//! let plan = plan(application.path(), &Settings::default())?;
//!
//! assert_eq!(plan.provider, "node");
//! assert_eq!(plan.base_images, ["node:22-slim"]);
//! let version = plan.facts.iter().find(|fact| fact.name == "node version").expect("it is told");
//! assert_eq!(version.because, "engines.node in package.json:1 asks for 22");
//! assert_eq!(version.evidence.as_ref().and_then(|evidence| evidence.line), Some(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it knows: Node.js, Python, Go, PHP, Ruby, Java and Kotlin, Rust, Elixir, .NET, Deno, C and C++, shell scripts and static sites; what
//! each means is in `docs/user/builds.md`. [`applications`] finds what can be planned in a repository that holds several.
//!
//! # Who decides
//!
//! [`Settings`], then their variables (`CLICK_DEPLOY_…`, and Railpack's names), then the application's own
//! `click-deploy.toml` ([`ApplicationFile`]) and the common fields of `railpack.json`, then its `Procfile`, then what its files say.
//! What cannot be planned is a [`Refusal`], whose text says what was looked for, what was found and what to do.
//!
//! # How the Dockerfile is built
//!
//! It needs nothing newer than the builder of Docker Engine 20.10, with BuildKit. Each name of [`Settings::variables`] is passed to
//! the build as a secret of the same id, and a keyed digest of their values as the build argument
//! [`VARIABLES_DIGEST_ARGUMENT`], so that a changed value runs again what saw it. Values never stand in the plan. What runs is
//! not root.
//!
//! # Strangers' files
//!
//! Reading never leaves the directory, follows no link out of it, and has limits of size and number. Text out of files reaches the
//! Dockerfile only as JSON (see `dockerfile.rs`). Each kind of file has a fuzz target in `fuzz/`.

mod applications;
mod base_images;
mod bases;
mod caddy;
mod command;
mod cpp;
mod debian;
mod deno;
mod dockerfile;
mod dotnet;
mod elixir;
mod evidence;
mod go;
mod ignore;
mod java;
mod json;
mod nginx;
mod node;
mod overrides;
mod php;
mod plan;
mod procfile;
mod python;
mod refusal;
mod ruby;
mod rust;
mod settings;
mod shell;
mod started;
mod static_site;
mod staticfile;
mod survey;
mod tool_versions;
mod tree;
mod versions;
mod wish;

pub use applications::{Application, applications};
pub use base_images::base_images_of_dockerfile;
pub use dockerfile::VARIABLES_DIGEST_ARGUMENT;
pub use overrides::ApplicationFile;
pub use plan::{Evidence, Fact, Plan};
pub use refusal::Refusal;
pub use settings::Settings;

use overrides::Overrides;
use settings::Choice;
use survey::Survey;
use tree::{Tree, shown};

/// Plans the application in a directory. A `Dockerfile` in it is not looked at: whoever has one needs no plan.
///
/// The same files and settings have the same plan, to the byte.
///
/// # Errors
/// A [`Refusal`]: what was looked for, what was found, and what to do. Its text is meant for whoever owns the application.
pub fn plan(root: &std::path::Path, settings: &Settings) -> Result<Plan, Refusal> {
    plan_alone(root, settings).map_err(|refusal| match refusal {
        Refusal::Unknown { seen, advice } if advice == ADD_A_FILE => Refusal::Unknown {
            advice: applications::advice(root).unwrap_or(advice),
            seen,
        },
        other => other,
    })
}

/// The same, without a look at what lies below a folder that is no application.
fn plan_alone(root: &std::path::Path, settings: &Settings) -> Result<Plan, Refusal> {
    let tree = Tree::open(root)?;
    let overrides = Overrides::read(&tree, settings)?;
    let mut survey = Survey::begin(&tree, settings, overrides)?;
    let provider = choose_provider(&mut survey)?;
    let outcome = match provider {
        Provider::Php => php::plan(&mut survey)?,
        Provider::Go => go::plan(&mut survey)?,
        Provider::Java => java::plan(&mut survey)?,
        Provider::Rust => rust::plan(&mut survey)?,
        Provider::Ruby => ruby::plan(&mut survey)?,
        Provider::Elixir => elixir::plan(&mut survey)?,
        Provider::Python => python::plan(&mut survey)?,
        Provider::Deno => deno::plan(&mut survey)?,
        Provider::Dotnet => dotnet::plan(&mut survey)?,
        Provider::Node => node::plan(&mut survey)?,
        Provider::Cpp => cpp::plan(&mut survey)?,
        Provider::Static => static_site::plan(&mut survey)?,
        Provider::Shell => shell::plan(&mut survey)?,
    };
    if provider != Provider::Static && tree.has(staticfile::AUTHENTICATION) {
        survey.warn("Staticfile.auth counts for plain sites only: no password is asked for here.");
    }
    Ok(survey.finish(outcome))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Php,
    Go,
    Java,
    Rust,
    Ruby,
    Elixir,
    Python,
    Deno,
    Dotnet,
    Node,
    Cpp,
    Static,
    Shell,
}

impl Provider {
    const ALL: &[(Self, &str)] = &[
        (Self::Php, "php"),
        (Self::Go, "go"),
        (Self::Java, "java"),
        (Self::Rust, "rust"),
        (Self::Ruby, "ruby"),
        (Self::Elixir, "elixir"),
        (Self::Python, "python"),
        (Self::Deno, "deno"),
        (Self::Dotnet, "dotnet"),
        (Self::Node, "node"),
        (Self::Cpp, "cpp"),
        (Self::Static, "static"),
        (Self::Shell, "shell"),
    ];

    /// As users name it.
    fn name(self) -> &'static str {
        let own = Self::ALL.iter().find(|(provider, _)| *provider == self);
        own.map_or("", |(_, name)| name)
    }
}

/// What the user says, then what the start command needs where the files say something else, then the files.
fn choose_provider(survey: &mut Survey<'_>) -> Result<Provider, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::Provider) {
        let named = Provider::ALL.iter().find(|(_, name)| *name == chosen.value);
        return named.map(|(provider, _)| *provider).ok_or_else(|| {
            let names: Vec<&str> = Provider::ALL.iter().map(|(_, name)| *name).collect();
            Refusal::Setting {
                name: chosen.because,
                why: format!("{:?} is none of {}", shown(&chosen.value), names.join(", ")),
            }
        });
    }
    let tree = survey.tree;
    let found = provider_of_files(survey)?;
    let is_site = tree.has("Staticfile") || survey.chosen(Choice::Output).is_some();
    // Without it a server of Python could be started where there is Ruby only.
    if let Some(started) = started::find(survey)
        && found != Some(started.provider)
        && (has_list_of(started.provider, tree)? || (found.is_none_or(|found| found == Provider::Static) && !is_site))
    {
        survey.fact("language", started.provider.name(), &started.because);
        return Ok(started.provider);
    }
    match found {
        Some(provider) => Ok(provider),
        None if shell::is_there(survey) => Ok(Provider::Shell),
        None if java::archive(tree).is_some() => Ok(Provider::Java),
        None => Err(unknown(tree)),
    }
}

/// Whether the files list what an application of that language depends on.
fn has_list_of(provider: Provider, tree: &Tree) -> Result<bool, Refusal> {
    Ok(match provider {
        Provider::Php => tree.has("composer.json"),
        Provider::Ruby => tree.has("Gemfile"),
        Provider::Python => python::is_there(tree)?,
        Provider::Deno => deno::is_there(tree),
        Provider::Node => tree.has("package.json"),
        _ => false,
    })
}

/// The first language whose files are there: a Python application with a `package.json` for its stylesheets is a
/// Python application.
fn provider_of_files(survey: &Survey<'_>) -> Result<Option<Provider>, Refusal> {
    let tree = survey.tree;
    Ok(Some(if php::is_there(tree) {
        Provider::Php
    } else if go::is_there(tree) {
        Provider::Go
    } else if java::is_there(tree) {
        Provider::Java
    } else if rust::is_there(tree) {
        Provider::Rust
    } else if ruby::is_there(tree) {
        Provider::Ruby
    } else if elixir::is_there(tree) {
        Provider::Elixir
    } else if python::is_there(tree)? {
        Provider::Python
    } else if deno::is_there(tree) {
        Provider::Deno
    } else if dotnet::is_there(tree) {
        Provider::Dotnet
    } else if tree.has("package.json") {
        Provider::Node
    } else if cpp::is_there(tree) {
        Provider::Cpp
    } else if python::is_a_lone_script(tree) {
        Provider::Python
    } else if node::is_a_lone_script(tree) {
        Provider::Node
    } else if go::is_a_lone_program(tree) {
        Provider::Go
    } else if php::is_a_lone_script(tree) {
        Provider::Php
    } else if static_site::is_there(tree) || survey.chosen(Choice::Output).is_some() {
        Provider::Static
    } else {
        return Ok(None);
    }))
}

/// Files that show a language for which there is no provider yet.
const OTHER_LANGUAGES: &[(&str, &str)] = &[
    ("gleam.toml", "Gleam"),
    ("Package.swift", "Swift"),
    ("build.sbt", "Scala"),
    ("project.clj", "Clojure"),
    ("deps.edn", "Clojure"),
    ("shard.yml", "Crystal"),
    ("pubspec.yaml", "Dart"),
    ("stack.yaml", "Haskell"),
    ("package.yaml", "Haskell"),
    ("cabal.project", "Haskell"),
    ("build.zig", "Zig"),
    ("dune-project", "OCaml"),
    ("DESCRIPTION", "R"),
    ("Project.toml", "Julia"),
    ("nginx.conf", "nginx"),
];

/// What to do where nothing points to anything else.
const ADD_A_FILE: &str = "Add one of these files, or a Dockerfile.";

fn unknown(tree: &Tree) -> Refusal {
    let entries = tree.entries("");
    let mut names: Vec<String> = entries
        .iter()
        .take(15)
        .map(|entry| format!("{}{}", shown(&entry.name), if entry.is_folder { "/" } else { "" }))
        .collect();
    if entries.len() > names.len() {
        names.push(format!("and {} more", entries.len() - names.len()));
    }
    let seen = if names.is_empty() {
        "nothing: the directory is empty".to_owned()
    } else {
        names.join(", ")
    };
    let other = OTHER_LANGUAGES
        .iter()
        .find(|(file, _)| tree.has(file))
        .map(|(file, language)| (*file, *language));
    let advice = match other {
        Some((file, language)) => format!(
            "{} means {language}, which is not planned yet: add a Dockerfile.",
            shown(file)
        ),
        None => ADD_A_FILE.to_owned(),
    };
    Refusal::Unknown { seen, advice }
}
