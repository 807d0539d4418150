//! Elixir: from `mix.exs` to what the Dockerfile needs to know.

mod project;
mod version;
mod write;

use project::Project;

use crate::{
    Refusal,
    command::Command,
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::Tree,
};

/// What an image need not hold.
const LEAVE_OUT: &[&str] = &[
    "_build",
    "cover",
    ".elixir_ls",
    "**/erl_crash.dump",
    "priv/static/assets",
];

/// Everything that the Dockerfile of an Elixir application depends on.
#[derive(Debug)]
struct Recipe {
    image: String,
    install: Option<Command>,
    install_variables: Variables,
    has_packages: bool,
    is_locked: bool,
    needs_source: bool,
    brings_deps: bool,
    /// Files of the configuration that are read while compiling; empty: the whole folder.
    configuration: Vec<&'static str>,
    has_configuration: bool,
    build: Option<Command>,
    /// Tasks before the release is made.
    tasks: Vec<&'static str>,
    /// The folder with the front end's `package.json`.
    has_npm: bool,
    variables: Variables,
    /// The release and whether it has to be named; `None`: Mix itself starts the application.
    release: Option<(String, bool)>,
    is_phoenix: bool,
    start: Command,
}

/// Whether the directory is an Elixir application's.
pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.has("mix.exs")
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let project = Project::read(survey.tree)?;
    let image = version::choose(survey, &project)?;
    let is_phoenix = project.has("phoenix");
    if is_phoenix {
        survey.fact("framework", "Phoenix", "mix.exs or mix.lock");
    }
    let start = survey.start_override()?;
    // Mix is not part of a release.
    let calls_mix = |command: &Command| ["mix", "iex", "elixir"].iter().any(|program| command.names(program));
    let by_mix = start.as_ref().is_some_and(calls_mix);
    if !by_mix && survey.release.as_ref().is_some_and(calls_mix) {
        survey.warn(
            "The release command calls Mix, which the image of a release does not have: call the release, as in `bin/app eval \
             App.Release.migrate`, or start with Mix as well.",
        );
    }
    let release = match (by_mix, project.release()) {
        (true, _) => None,
        (false, Some(release)) => Some(release),
        (false, None) => return Err(no_release()),
    };
    let start = match (start, &release) {
        (Some(start), _) => start,
        (None, Some((name, _))) => {
            let text = format!("bin/{name} start");
            survey.fact("start command", &text, "the release that `mix release` makes");
            Command::parse(&text, "mix.exs")?
        }
        (None, None) => return Err(no_release()),
    };
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    if project.has_packages() {
        let because = if project.is_locked { "mix.lock" } else { "mix.exs" };
        survey.fact("dependencies", "Hex, for production only", because);
        if !project.is_locked {
            survey.warn("There is no mix.lock, so each build may get other versions of the dependencies. Commit one.");
        }
    }
    let tasks = tasks(survey, &project, is_phoenix, build.is_some());
    tell(survey, &project, is_phoenix, release.as_ref());
    let tree = survey.tree;
    let configuration: Vec<&'static str> = if imports_more(tree) {
        Vec::new()
    } else {
        let files = ["config/config.exs", "config/prod.exs"];
        files.into_iter().filter(|file| tree.has_file(file)).collect()
    };
    let is_custom = install.is_some();
    let recipe = Recipe {
        image,
        install_variables: survey.variables(|name| is_custom || name.starts_with("HEX_") || name.starts_with("MIX_")),
        install,
        has_packages: project.has_packages(),
        is_locked: project.is_locked,
        needs_source: project.needs_source,
        brings_deps: tree.has_folder("deps"),
        has_configuration: tree.has_folder("config"),
        configuration,
        build,
        tasks,
        has_npm: tree.has_file("assets/package.json"),
        variables: survey.build_variables(),
        release,
        is_phoenix,
        start,
    };
    Ok(Outcome {
        provider: "elixir",
        framework: is_phoenix.then(|| "Phoenix".to_owned()),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port: recipe.start.literal_port(),
        start_command: Some(recipe.start.text().to_owned()),
    })
}

/// Whether the configuration consists of more than the two usual files.
fn imports_more(tree: &Tree) -> bool {
    let imports = |file: &str| tree.head(file).matches("import_config").count();
    imports("config/config.exs") > 1 || imports("config/prod.exs") > 0
}

/// What is done before a release is made.
fn tasks(survey: &mut Survey<'_>, project: &Project, is_phoenix: bool, is_custom: bool) -> Vec<&'static str> {
    if is_custom {
        return Vec::new();
    }
    let mut tasks = Vec::new();
    if project.has_alias("assets.deploy") {
        if project.has_alias("assets.setup") {
            tasks.push("assets.setup");
        }
        tasks.push("assets.deploy");
        survey.fact("assets", "mix assets.deploy", "aliases in mix.exs");
    } else if is_phoenix && survey.tree.has_folder("priv/static") {
        tasks.push("phx.digest");
        survey.fact("assets", "mix phx.digest", "priv/static, and no alias assets.deploy");
    }
    tasks
}

/// What users should know.
fn tell(survey: &mut Survey<'_>, project: &Project, is_phoenix: bool, release: Option<&(String, bool)>) {
    survey.fact("user", "1000", "nothing runs as root");
    if let Some((name, true)) = release {
        let names = project.releases.join(", ");
        survey.warn(&format!(
            "mix.exs has several releases ({names}); {name} is made. Set the build command to `mix release NAME` and the start \
             command for another."
        ));
    }
    if project.has("ecto_sql") {
        survey.tell_migrations("bin/migrate` of phx.gen.release, or `bin/NAME eval …");
    }
    if is_phoenix {
        let missing = ["SECRET_KEY_BASE", "PHX_HOST"]
            .into_iter()
            .filter(|name| !survey.settings.variables.contains_key(*name));
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            survey.warn(&format!(
                "Phoenix reads {} when it starts; set what config/runtime.exs asks for (`mix phx.gen.secret` makes a key).",
                missing.join(" and ")
            ));
        }
    }
}

fn no_release() -> Refusal {
    Refusal::NoStart {
        provider: "Elixir",
        looked_for: "app: and releases: in mix.exs, and web in the Procfile".to_owned(),
        found: "an umbrella without a release, or a mix.exs that says neither in the usual form".to_owned(),
        advice:
            "Name a release in mix.exs (releases: [shop: [applications: [...]]]), or set the start command, such as \
                 `mix run --no-halt`."
                .to_owned(),
    }
}
