//! Python: from whatever lists the dependencies to what the Dockerfile needs to know.

mod conda;
pub(crate) mod dependencies;
mod django;
mod framework;
mod lock;
mod pins;
mod source;
mod system;
mod version;
mod write;

use toml::{Table, Value};

use dependencies::{Installer, Names, VENDORED};
use framework::Serving;
use system::Compiled;

use crate::{
    Refusal,
    command::Command,
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, is_plain_path, shown},
};

/// What an image need not hold.
const LEAVE_OUT: &[&str] = &[
    "**/__pycache__",
    "**/*.pyc",
    "**/.venv",
    "**/.pytest_cache",
    "**/.mypy_cache",
    "**/.ruff_cache",
];

/// Everything that the Dockerfile of a Python application depends on.
#[derive(Debug)]
struct Recipe {
    minor: u64,
    installer: Installer,
    /// Replaces the installer's command.
    install: Option<Command>,
    install_variables: Variables,
    build: Option<Command>,
    build_variables: Variables,
    compiled: Vec<Compiled>,
    /// Packages of the system that the application needs when it runs.
    system: Vec<&'static str>,
    serving: Serving,
    /// Packages lie in the repository.
    is_vendored: bool,
    /// What the natural language toolkit downloads for itself.
    corpora: Vec<String>,
    /// What runs calls uv, which is not in the base image.
    runs_uv: bool,
}

/// Whether the directory is a Python application's.
pub(crate) fn is_there(tree: &Tree) -> Result<bool, Refusal> {
    let has_lists = dependencies::requirements_file(tree).is_some()
        || ["Pipfile", "uv.lock", "poetry.lock", "pdm.lock", "setup.py"]
            .iter()
            .any(|file| tree.has(file))
        || django::is_there(tree);
    if has_lists || !tree.has("pyproject.toml") {
        return Ok(has_lists);
    }
    // Many a repository has one for a linter only.
    let project = table(tree, "pyproject.toml")?;
    let is_project = project.contains_key("project")
        || project.contains_key("build-system")
        || project.get("tool").and_then(|tool| tool.get("poetry")).is_some();
    Ok(is_project || !tree.has("package.json"))
}

/// Whether a directory without any list of dependencies of Python's own holds a program all the same.
pub(crate) fn is_a_lone_script(tree: &Tree) -> bool {
    conda::file(tree).is_some()
        || tree
            .first_file(&["main.py", "app.py", "server.py", "run.py", "wsgi.py", "bot.py"])
            .is_some()
}

fn table(tree: &Tree, path: &str) -> Result<Table, Refusal> {
    let text = tree.text(path)?.unwrap_or_default();
    toml::from_str(&text).map_err(|error| Refusal::Malformed {
        path: path.to_owned(),
        why: shown(error.message()),
    })
}

fn text_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a str> {
    let (first, rest) = path.split_first()?;
    let value: &Value = rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))?;
    value.as_str().map(str::trim).filter(|text| !text.is_empty())
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let project = table(survey.tree, "pyproject.toml")?;
    let pipfile = table(survey.tree, "Pipfile")?;
    let (installer, names) = dependencies::read(survey.tree, &project, &pipfile)?;
    let lock = match &installer {
        Installer::Uv { is_locked: true, .. } => Some("uv.lock"),
        Installer::Poetry { is_locked: true, .. } => Some("poetry.lock"),
        _ => None,
    };
    let minor = version::choose(survey, &project, &pipfile, lock, &names)?;
    tell_installer(survey, &installer);
    if survey.tree.has("package.json") {
        survey.fact(
            "package.json",
            "seen and not used",
            "a Python application may have one for its assets; set a build command to use it",
        );
    }

    survey.release = survey.release.take().map(|command| command.without_runner());
    let program = program(&project, &installer);
    let serving = framework::choose(survey, &names, program.as_deref())?;
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    let builds = build.is_some() || serving.collects_static_files.is_some();
    let build_variables = if builds {
        survey.build_variables()
    } else {
        Variables::default()
    };
    let install_variables = install_variables(survey, &installer, install.is_some());
    let compiled = system::compiled(&names);
    for package in &compiled {
        let libraries = package.to_run.join(", ");
        let value = if libraries.is_empty() {
            "while installing".to_owned()
        } else {
            format!("while installing; {libraries} when running")
        };
        survey.fact("compilers", &value, &format!("{} is compiled", package.name));
    }
    let called = system::called(&names);
    for (name, packages) in &called {
        survey.fact("system packages", &packages.join(", "), &format!("{name} needs them"));
    }
    let of_tkinter = system::of_tkinter(survey.tree);
    if let Some((source, package)) = &of_tkinter {
        survey.fact("system packages", package, &format!("{source} imports tkinter"));
    }
    let of_tkinter = of_tkinter.as_ref().map(|(_, package)| package);
    let libraries = compiled.iter().flat_map(|package| package.to_run).chain(of_tkinter);
    let mut system: Vec<&str> = Vec::new();
    for package in libraries.chain(called.iter().flat_map(|(_, packages)| *packages)) {
        if !system.contains(package) {
            system.push(package);
        }
    }
    if survey.chosen(Choice::Output).is_some() {
        survey.warn("The output directory is not used: this application is a Python program.");
    }
    let is_vendored = matches!(installer, Installer::Requirements { .. } | Installer::Pipenv { .. })
        && !dependencies::vendored(survey.tree).is_empty();
    if is_vendored {
        let because = "it is among the files; what is missing there comes from the index";
        survey.fact("packages", &format!("taken from {VENDORED}"), because);
    }
    let corpora = corpora(survey)?;
    tell_others(survey, &names);
    let recipe = Recipe {
        minor,
        is_vendored,
        corpora,
        install,
        install_variables,
        build,
        build_variables,
        compiled,
        system,
        runs_uv: matches!(installer, Installer::Uv { .. })
            && [&serving.start]
                .into_iter()
                .chain(&survey.release)
                .any(|command| command.names("uv")),
        installer,
        serving,
    };
    let dockerfile = write::write(&recipe, &survey.caches());
    Ok(Outcome {
        provider: "python",
        framework: recipe.serving.framework.map(str::to_owned),
        dockerfile,
        leave_out: LEAVE_OUT,
        port: recipe.serving.port,
        start_command: Some(recipe.serving.start.text().to_owned()),
    })
}

/// The program that a package installs; of several, the one that is called like the package.
fn program(project: &Table, installer: &Installer) -> Option<String> {
    let is_package = match installer {
        Installer::Project { is_package, .. }
        | Installer::Uv { is_package, .. }
        | Installer::Poetry { is_package, .. }
        | Installer::Pdm { is_package } => *is_package,
        _ => false,
    };
    let of_standard = project.get("project").and_then(|metadata| metadata.get("scripts"));
    let of_poetry = || project.get("tool")?.get("poetry")?.get("scripts");
    let scripts = of_standard
        .or_else(of_poetry)
        .and_then(Value::as_table)
        .filter(|_| is_package)?;
    let own = text_at(project, &["project", "name"]).or_else(|| text_at(project, &["tool", "poetry", "name"]));
    let name = match scripts.len() {
        1 => scripts.keys().next()?.as_str(),
        _ => scripts.keys().map(String::as_str).find(|name| Some(*name) == own)?,
    };
    let is_plain = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "._-".contains(character));
    (is_plain && !name.starts_with('-')).then(|| name.to_owned())
}

fn tell_installer(survey: &mut Survey<'_>, installer: &Installer) {
    let (name, because) = match installer {
        Installer::Nothing => ("none", "nothing lists dependencies"),
        Installer::Requirements { file, .. } => ("pip", file.as_str()),
        Installer::Project { .. } => ("pip", "project.dependencies in pyproject.toml"),
        Installer::SetupScript => ("pip", "setup.py, setup.cfg or build-system in pyproject.toml"),
        Installer::Uv { is_locked: true, .. } => ("uv", "uv.lock"),
        Installer::Uv { .. } => ("uv", "tool.uv in pyproject.toml"),
        Installer::Poetry { is_locked: true, .. } => ("Poetry", "poetry.lock"),
        Installer::Poetry { .. } => ("Poetry", "tool.poetry in pyproject.toml"),
        Installer::Pipenv { .. } => ("Pipenv", "Pipfile"),
        Installer::Pdm { .. } => ("PDM", "pdm.lock"),
        Installer::Conda { .. } => ("pip", conda::file(survey.tree).unwrap_or_default()),
    };
    survey.fact("package manager", name, because);
    let unused = ["uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock"];
    let is_used = |lock: &str| match installer {
        Installer::Uv { .. } => lock == "uv.lock",
        Installer::Poetry { .. } => lock == "poetry.lock",
        Installer::Pipenv { .. } => lock == "Pipfile.lock",
        Installer::Pdm { .. } => lock == "pdm.lock",
        _ => false,
    };
    let unused: Vec<&str> = unused
        .into_iter()
        .filter(|lock| survey.tree.has(lock) && !is_used(lock))
        .collect();
    if !unused.is_empty() {
        survey.warn(&format!(
            "Not used, as {because} lists what is installed: {}.",
            unused.join(", ")
        ));
    }
    if let Installer::Conda { .. } = installer {
        survey.warn(&format!(
            "Conda is not used: what {because} lists is installed from Python's index, where the names are mostly the same. List \
             it in a requirements.txt, or add a Dockerfile if it needs more than packages of Python."
        ));
    }
    if matches!(
        installer,
        Installer::Uv { is_locked: false, .. }
            | Installer::Poetry { is_locked: false, .. }
            | Installer::Pipenv { is_locked: false }
    ) {
        survey.warn("There is no lock file, so each build may get other versions of the dependencies. Commit one.");
    }
}

/// The corpora that `nltk.txt` names, as Heroku and Cloud Foundry read it.
fn corpora(survey: &mut Survey<'_>) -> Result<Vec<String>, Refusal> {
    let text = survey.tree.text("nltk.txt")?.unwrap_or_default();
    let names = text.split_whitespace().take(50).map(str::to_owned);
    let names: Vec<String> = names
        .filter(|name| is_plain_path(name) && !name.contains('/'))
        .collect();
    if !names.is_empty() {
        survey.fact("corpora", &names.join(", "), "nltk.txt");
    }
    Ok(names)
}

/// What the application has and is not done for it.
fn tell_others(survey: &mut Survey<'_>, names: &Names) {
    let is_worker = survey.procfile.start.iter().any(|(_, command)| command.names("celery"));
    if names.has("celery") && !is_worker {
        let because = "celery is among the dependencies: make a service of its own with `celery -A PROJECT worker` as the start command";
        survey.fact("workers", "not started", because);
    }
    for hook in ["bin/pre_compile", "bin/post_compile"] {
        if survey.tree.has_file(hook) && survey.chosen(Choice::Build).is_none() {
            survey.warn(&format!(
                "{hook} is not run by itself: make `bash {hook}` the build command if it is needed."
            ));
        }
    }
}

/// The variables that installers read, and those that the files name.
fn install_variables(survey: &mut Survey<'_>, installer: &Installer, is_custom: bool) -> Variables {
    let tree = survey.tree;
    let mut text = format!("{}{}", tree.head("Pipfile"), tree.head("pyproject.toml"));
    if let Installer::Requirements { file, inputs } = installer {
        let files = inputs.clone().unwrap_or_else(|| vec![file.clone()]);
        files.iter().for_each(|file| text.push_str(&tree.head(file)));
    }
    let prefixes = ["PIP_", "UV_", "POETRY_", "PIPENV_", "PDM_"];
    survey.variables(|name| {
        is_custom || prefixes.iter().any(|prefix| name.starts_with(prefix)) || text.contains(&format!("${{{name}}}"))
    })
}
