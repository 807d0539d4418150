//! Ruby: from `Gemfile` and its lock file to what the Dockerfile needs to know.

mod gemfile;
mod native;
mod serving;
mod version;
mod write;

use gemfile::Gems;
use native::Native;
use serving::{Framework, Shape};

use crate::{
    Refusal, caddy,
    command::Command,
    dockerfile::Variables,
    node::assets::{self, Assets},
    settings::Choice,
    survey::{Outcome, Survey},
    tree::Tree,
};

/// What an image need not hold.
const LEAVE_OUT: &[&str] = &[
    ".bundle",
    "vendor/bundle",
    "log/*",
    "tmp/*",
    "**/.rspec_status",
    "coverage",
];

/// Everything that the Dockerfile of a Ruby application depends on.
#[derive(Debug)]
struct Recipe {
    version: String,
    framework: Framework,
    shape: Shape,
    install: Option<Install>,
    build: Option<Command>,
    precompiles: bool,
    has_bootsnap: bool,
    variables: Variables,
    natives: Vec<Native>,
    /// Node.js and packages for the asset pipeline.
    assets: Option<Assets>,
    /// The application runs JavaScript itself.
    runs_node: Option<u64>,
}

/// How gems are installed.
#[derive(Debug)]
struct Install {
    command: Option<Command>,
    is_locked: bool,
    /// Files and folders that Bundler reads; `None`: everything.
    inputs: Option<(Vec<String>, Vec<String>)>,
    /// A version of Bundler that this Ruby would not fetch by itself.
    bundler: Option<String>,
    variables: Variables,
}

/// Whether the directory is a Ruby application's.
pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.has("Gemfile") || tree.has_file("config.ru")
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let gems = Gems::read(survey.tree)?;
    let version = version::choose(survey, &gems)?;
    let framework = Framework::detect(survey.tree, &gems);
    if let Some(name) = framework.name() {
        survey.fact("framework", name, framework.because());
    }
    let shape = serving::choose(survey, &gems, framework)?;
    let install = install(survey, &gems, &version)?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    let precompiles = build.is_none() && framework == Framework::Rails && precompiles(survey, &gems);
    let natives = native::of(&gems);
    let libraries = native::packages(&natives, |native| native.to_run);
    if !libraries.is_empty() {
        survey.fact("libraries", &libraries.join(", "), "gems with C in Gemfile.lock");
    }
    let assets = front_end(survey, &gems, build.is_some() || precompiles)?;
    let runs_javascript = gems.has("execjs") && !gems.has("mini_racer") && framework != Framework::Rails;
    let runs_node = runs_javascript.then_some(crate::bases::NODE_DEFAULT);
    if runs_node.is_some() {
        survey.fact("node", "when running", "execjs in Gemfile.lock runs JavaScript");
    }
    if matches!(shape, Shape::Process(_)) {
        survey.fact(
            "user",
            "1000",
            "nothing runs as root; db, log, storage and tmp are writable",
        );
    }
    if framework == Framework::Rails {
        survey.tell_migrations("bundle exec rails db:migrate");
    }
    let recipe = Recipe {
        version,
        framework,
        has_bootsnap: gems.has("bootsnap") && framework == Framework::Rails,
        variables: survey.build_variables(),
        shape,
        install,
        build,
        precompiles,
        natives,
        assets,
        runs_node,
    };
    let (port, start) = match &recipe.shape {
        Shape::Process(start) => (start.literal_port(), start.text().to_owned()),
        Shape::Files { .. } => (None, caddy::START.to_owned()),
    };
    Ok(Outcome {
        provider: "ruby",
        framework: framework.name().map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(start),
    })
}

fn install(survey: &mut Survey<'_>, gems: &Gems, version: &str) -> Result<Option<Install>, Refusal> {
    let command = survey.chosen_command(Choice::Install, "install command")?;
    if command.is_none() && (!gems.has_gemfile || (gems.is_empty() && !gems.needs_source)) {
        return Ok(None);
    }
    if gems.has_gemfile {
        let because = if gems.is_locked { "Gemfile.lock" } else { "Gemfile" };
        survey.fact(
            "dependencies",
            "Bundler, without the groups development and test",
            because,
        );
    }
    if !gems.is_locked {
        survey.warn("There is no Gemfile.lock, so each build may get other versions of the gems. Commit one.");
    }
    if gems.lacks_linux {
        survey.warn(
            "Gemfile.lock names no platform of Linux, so Bundler may refuse it. Run `bundle lock --add-platform \
             x86_64-linux` and commit the file.",
        );
    }
    let bundler = gems.bundler.clone();
    if let Some(bundler) = &bundler {
        survey.fact("bundler", bundler, "BUNDLED WITH in Gemfile.lock");
    }
    // Since Ruby 3.1, Bundler fetches the version that the lock file names, and goes on where it cannot.
    let is_old = version.starts_with("2.") || version.starts_with("3.0");
    let tree = survey.tree;
    let inputs = (!gems.needs_source && command.is_none()).then(|| {
        let files = ["Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions"];
        let files = files
            .iter()
            .filter(|file| tree.has_file(file))
            .map(|file| (*file).to_owned());
        let folders = gems.local.iter().map(String::as_str).chain(["vendor/cache", ".bundle"]);
        let folders = folders.filter(|folder| tree.has_folder(folder)).map(str::to_owned);
        (files.collect(), folders.collect())
    });
    if tree.has_folder("vendor/cache") {
        survey.fact("vendor/cache", "gems are taken from there", "it is among the files");
    }
    let is_custom = command.is_some();
    let variables = survey.variables(|name| {
        let is_setting = ["BUNDLE_", "GEM_", "RUBYGEMS_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        is_custom || is_setting
    });
    Ok(Some(Install {
        command,
        is_locked: gems.is_locked,
        inputs,
        bundler: bundler.filter(|_| is_old),
        variables,
    }))
}

/// Whether Rails has assets to compile.
fn precompiles(survey: &mut Survey<'_>, gems: &Gems) -> bool {
    let pipelines = [
        "propshaft",
        "sprockets",
        "sprockets-rails",
        "webpacker",
        "shakapacker",
        "vite_rails",
    ];
    let Some(name) = gems.has_any(&pipelines) else {
        return false;
    };
    survey.fact("assets", "compiled in the build", &format!("{name} in Gemfile.lock"));
    true
}

/// Node.js in the build, if the asset pipeline calls it.
fn front_end(survey: &mut Survey<'_>, gems: &Gems, is_built: bool) -> Result<Option<Assets>, Refusal> {
    let callers = [
        "jsbundling-rails",
        "cssbundling-rails",
        "webpacker",
        "shakapacker",
        "vite_rails",
        "vite_ruby",
        "execjs",
    ];
    let has_package = survey.tree.has_file("package.json");
    let caller = gems.has_any(&callers).filter(|name| has_package || *name == "execjs");
    match caller {
        Some(name) if is_built => {
            survey.fact("node", "while building", &format!("{name} in Gemfile.lock calls it"));
            assets::tools(survey).map(Some)
        }
        _ => {
            if has_package {
                survey.fact(
                    "package.json",
                    "seen and not used",
                    "no gem of the asset pipeline calls Node.js",
                );
            }
            Ok(None)
        }
    }
}
