//! Rust: from `Cargo.toml` to what the Dockerfile needs to know.

mod choice;
mod manifest;
mod native;
mod source;
mod version;
mod write;

use toml::{Table, Value};

use manifest::{Package, Program};

use crate::{
    Refusal,
    command::Command,
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, is_plain_path},
};

/// What is made by building, and no input of it.
const LEAVE_OUT: &[&str] = &["target"];
/// Files that make `rustup` fetch another toolchain than the image's.
const TOOLCHAIN_FILES: [&str; 2] = ["rust-toolchain.toml", "rust-toolchain"];

/// Everything that the Dockerfile of a Rust application depends on.
#[derive(Debug)]
struct Recipe {
    image: String,
    to_build: Vec<&'static str>,
    to_run: Vec<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
    has_toolchain_file: bool,
    install: Option<Command>,
    install_variables: Variables,
    build: Build,
    build_variables: Variables,
    start_environment: Vec<(&'static str, &'static str)>,
    start: Start,
}

#[derive(Debug)]
enum Build {
    Program {
        package: Option<String>,
        name: String,
        features: Vec<String>,
        is_locked: bool,
        /// Where Cargo puts it: below the folder of targets.
        folder: String,
        target: Option<String>,
        /// Below the application's folder.
        output: String,
    },
    Custom(Command),
}

#[derive(Debug)]
enum Start {
    /// The program itself, which needs no shell.
    Program(String),
    /// A shell that sets what the framework wants and becomes the program.
    Script(String),
    Command(Command),
}

pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.has("Cargo.toml")
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let tree = survey.tree;
    let manifest = manifest::read(tree, "Cargo.toml")?.unwrap_or_default();
    let lock = manifest::read(tree, "Cargo.lock").ok().flatten();
    let image = version::choose(survey, &manifest)?;
    let custom_build = survey.chosen_command(Choice::Build, "build command")?;
    if custom_build.is_none() {
        refuse_what_is_no_program(tree, &manifest)?;
    }
    let is_locked = tree.has_file("Cargo.lock");
    if !is_locked {
        survey.warn("There is no Cargo.lock, so every build may take other versions. Commit the one that Cargo wrote.");
    }
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let start_override = survey.start_override()?;
    if let Some(start) = start_override.as_ref().filter(|start| start.names("cargo")) {
        return Err(Refusal::Setting {
            name: "the start command".to_owned(),
            why: format!(
                "{:?} calls Cargo, which is not in the image of the finished program. Leave it out, or name the program \
                 itself, such as ./target/release/server",
                start.text()
            ),
        });
    }
    let packages = manifest::packages(tree, &manifest)?;
    // A program need not be found where the user says how to build and start.
    let found = match choice::choose(survey, &packages, start_override.as_ref()) {
        Ok(found) => Some(found),
        Err(_) if custom_build.is_some() && start_override.is_some() => None,
        Err(refusal) => return Err(refusal),
    };
    let dependencies = dependencies(tree, found.as_ref(), &manifest);
    let framework = framework(&dependencies);
    if let Some(framework) = framework {
        survey.fact("framework", framework, "the dependencies in Cargo.toml");
    }
    let settings = native::cargo_settings(tree);
    let native = native(survey, lock.as_ref(), &settings);
    let build = match (custom_build, &found) {
        (Some(command), _) => Build::Custom(command),
        (None, Some((package, program))) => {
            built(survey, &packages, package, program, start_override.as_ref(), &settings)?
        }
        (None, None) => return Err(choice::nothing()),
    };
    let program = match (&build, &found) {
        (Build::Program { output, .. }, _) => format!("/app/{output}"),
        (Build::Custom(_), Some((_, program))) => format!("/app/target/release/{}", program.name),
        (Build::Custom(_), None) => String::new(),
    };
    let start = match start_override {
        Some(command) => Start::Command(command),
        None => started(framework, &program),
    };
    let port = port(survey, found.as_ref(), framework, &start);
    if survey.chosen(Choice::Output).is_some() {
        survey.warn("The output directory is not used: this application is a Rust program.");
    }
    let start_command = match &start {
        Start::Program(path) | Start::Script(path) => path.clone(),
        Start::Command(command) => command.text().to_owned(),
    };
    let recipe = Recipe {
        image,
        to_build: native.to_build,
        to_run: native.to_run,
        environment: environment(tree, &settings),
        has_toolchain_file: TOOLCHAIN_FILES.iter().any(|file| tree.has(file)),
        install_variables: survey.variables(|name| install.is_some() || name.starts_with("CARGO_")),
        install,
        build,
        build_variables: survey.build_variables(),
        start_environment: start_environment(tree, framework),
        start,
    };
    Ok(Outcome {
        provider: "rust",
        framework: framework.map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(start_command),
    })
}

/// Applications that run in a browser, and members of a workspace that is not here.
fn refuse_what_is_no_program(tree: &Tree, manifest: &Table) -> Result<(), Refusal> {
    let browser = |framework, why: &str, tool: &str| {
        Err(Refusal::Framework {
            framework,
            why: why.to_owned(),
            advice: format!(
                "Add a Dockerfile that installs {tool} and serves what it leaves, or build elsewhere and deploy the files as \
                 a static site"
            ),
        })
    };
    let leptos = ["package", "workspace"].iter().any(|place| {
        let metadata = manifest.get(*place).and_then(|table| table.get("metadata"));
        metadata.is_some_and(|metadata| metadata.get("leptos").is_some())
    });
    let is_wasm = |file: &str| tree.has_file("index.html") && tree.head(file).contains("data-trunk");
    if tree.has_file("Trunk.toml") || is_wasm("index.html") {
        return browser(
            "Trunk",
            "the application is compiled to WebAssembly for a browser",
            "trunk",
        );
    }
    if leptos {
        return browser(
            "Leptos",
            "a server and its WebAssembly are built together by cargo-leptos",
            "cargo-leptos",
        );
    }
    if tree.has_file("Dioxus.toml") {
        return browser(
            "Dioxus",
            "the application is built by Dioxus' own program",
            "dioxus-cli",
        );
    }
    if !manifest.contains_key("workspace") && inherits(manifest) {
        return Err(Refusal::Framework {
            framework: "Cargo",
            why: "Cargo.toml takes settings from a workspace (workspace = true), and the workspace is not in this directory"
                .to_owned(),
            advice: "Set the root directory to the workspace's, and name this package in the variable \
                     CLICK_DEPLOY_CARGO_PACKAGE"
                .to_owned(),
        });
    }
    Ok(())
}

/// Whether something in a manifest is that of a workspace.
fn inherits(manifest: &Table) -> bool {
    ["package", "dependencies", "build-dependencies", "lints"]
        .iter()
        .any(|part| {
            let part = manifest.get(*part).and_then(Value::as_table);
            part.is_some_and(|part| {
                part.get("workspace").and_then(Value::as_bool) == Some(true)
                    || part
                        .values()
                        .any(|value| value.get("workspace").and_then(Value::as_bool) == Some(true))
            })
        })
}

/// The names of what the program's package depends on.
fn dependencies(tree: &Tree, found: Option<&(Package, Program)>, root: &Table) -> Vec<String> {
    let own = found.and_then(|(package, _)| {
        let path = crate::tree::join(&package.folder, "Cargo.toml");
        manifest::read(tree, &path).ok().flatten()
    });
    let manifest = own.as_ref().unwrap_or(root);
    let table = manifest.get("dependencies").and_then(Value::as_table);
    table.into_iter().flat_map(Table::keys).cloned().collect()
}

fn framework(dependencies: &[String]) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        ("loco-rs", "Loco"),
        ("rocket", "Rocket"),
        ("axum", "axum"),
        ("actix-web", "Actix Web"),
        ("poem", "Poem"),
        ("salvo", "Salvo"),
        ("warp", "warp"),
        ("tide", "Tide"),
        ("tonic", "tonic"),
        ("hyper", "hyper"),
    ];
    let has = |name: &str| dependencies.iter().any(|dependency| dependency == name);
    KNOWN.iter().find(|(name, _)| has(name)).map(|(_, shown)| *shown)
}

fn native(survey: &mut Survey<'_>, lock: Option<&Table>, settings: &native::CargoSettings) -> native::Native {
    let mut native = lock.map(native::of_lock).unwrap_or_default();
    if !native.because.is_empty() {
        let all: Vec<&str> = native.to_build.iter().chain(&native.to_run).copied().collect();
        let because = format!("{} in Cargo.lock", native.because.join(", "));
        survey.fact("system packages", &all.join(", "), &because);
    }
    if !settings.linkers.is_empty() {
        survey.fact("linker", &settings.linkers.join(", "), ".cargo/config.toml");
    }
    native.to_build.extend(&settings.linkers);
    native
}

/// How Cargo is called, and where the program goes: where the start command expects it, else `bin/` and its name.
fn built(
    survey: &mut Survey<'_>,
    packages: &[Package],
    package: &Package,
    program: &Program,
    start: Option<&Command>,
    settings: &native::CargoSettings,
) -> Result<Build, Refusal> {
    let expected = survey.expected_program(start);
    let target = settings
        .target
        .clone()
        .filter(|target| is_plain_path(target) && !target.contains('/'));
    if let Some(target) = &target {
        if target.starts_with("wasm32") || !target.contains("linux") {
            return Err(Refusal::Setting {
                name: "build.target in .cargo/config.toml".to_owned(),
                why: format!("{target} does not run in a container. Remove it, or set the build and start commands"),
            });
        }
        survey.fact("target", target, "build.target in .cargo/config.toml");
    }
    let folder = target
        .as_ref()
        .map_or("release".to_owned(), |target| format!("{target}/release"));
    Ok(Build::Program {
        package: (packages.len() > 1).then(|| package.name.clone()),
        name: program.name.clone(),
        features: program.features.clone(),
        is_locked: survey.tree.has_file("Cargo.lock"),
        folder,
        target,
        output: expected.unwrap_or_else(|| format!("bin/{}", program.name)),
    })
}

/// Settings of the build that follow from files.
fn environment(tree: &Tree, settings: &native::CargoSettings) -> Vec<(&'static str, &'static str)> {
    let mut environment = Vec::new();
    if tree.has(".sqlx") || tree.has("sqlx-data.json") {
        environment.push(("SQLX_OFFLINE", "true"));
    }
    if settings.wraps_compiler {
        environment.push(("CARGO_BUILD_RUSTC_WRAPPER", "\"\""));
    }
    environment
}

fn start_environment(tree: &Tree, framework: Option<&str>) -> Vec<(&'static str, &'static str)> {
    match framework {
        Some("Rocket") => vec![("ROCKET_ADDRESS", "0.0.0.0")],
        Some("Loco") if tree.has("config/production.yaml") => vec![("LOCO_ENV", "production")],
        _ => Vec::new(),
    }
}

/// Frameworks that do not look at `PORT` themselves are told.
fn started(framework: Option<&str>, program: &str) -> Start {
    match framework {
        Some("Rocket") => Start::Script(format!(
            "export ROCKET_PORT=\"${{ROCKET_PORT:-${{PORT:-8000}}}}\"; exec {program}"
        )),
        Some("Loco") => Start::Script(format!(
            "exec {program} start --binding 0.0.0.0 --port \"${{PORT:-5150}}\""
        )),
        _ => Start::Program(program.to_owned()),
    }
}

fn port(
    survey: &mut Survey<'_>,
    found: Option<&(Package, Program)>,
    framework: Option<&str>,
    start: &Start,
) -> Option<u16> {
    match start {
        Start::Script(_) => {
            let framework = framework.unwrap_or_default();
            survey.fact("port", "PORT", &format!("the start command tells {framework}"));
            return None;
        }
        Start::Command(command) => {
            if let Some(port) = command.literal_port() {
                survey.fact("port", &port.to_string(), "the start command");
                return Some(port);
            }
            if command.text().contains("PORT") {
                return None;
            }
        }
        Start::Program(_) => {}
    }
    let (package, program) = found?;
    let listening = source::listening(survey.tree, &package.folder, &program.source)?;
    survey.fact(
        "port",
        &listening.port.to_string(),
        "it is named in the source, and PORT is not looked at",
    );
    if listening.is_loopback {
        survey.warn(&format!(
            "The source names 127.0.0.1 or localhost with port {}. If that is where the program listens, it cannot be \
             reached from outside of its container: listen at 0.0.0.0.",
            listening.port
        ));
    }
    Some(listening.port)
}
