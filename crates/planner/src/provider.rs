//! Which language an application is written in: what the user says, what the start command calls, what the files show.

use crate::{
    Refusal, cpp, deno, dotnet, elixir, go, java, node, php, python, ruby, rust,
    settings::Choice,
    shell, started, static_site,
    survey::Survey,
    tree::{Tree, shown},
};

/// A language that is planned. The order of [`of_files`] decides where several are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
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
    pub(crate) fn name(self) -> &'static str {
        let own = Self::ALL.iter().find(|(provider, _)| *provider == self);
        own.map_or("", |(_, name)| name)
    }
}

/// What the user says, then what the start command needs where the files say something else, then the files.
pub(crate) fn choose(survey: &mut Survey<'_>) -> Result<Provider, Refusal> {
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
    let found = of_files(survey)?;
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
fn of_files(survey: &Survey<'_>) -> Result<Option<Provider>, Refusal> {
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
pub(crate) const ADD_A_FILE: &str = "Add one of these files, or a Dockerfile.";

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
