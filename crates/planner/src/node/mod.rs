//! Node.js: from `package.json` to what the Dockerfile needs to know.

pub(crate) mod assets;
mod browser;
mod framework;
mod install;
mod manager;
mod native;
mod package;
mod site;
mod start;
mod version;
mod workspace;
mod write;

use browser::Browser;
use framework::{Kept, Shape};
use install::{Dependencies, Install};
use manager::{Kind, Manager, Tool};
use package::Package;
use workspace::{Workspace, choice, elsewhere};

use crate::{
    Refusal,
    caddy::{self, Missing},
    command::{Command, words},
    dockerfile::Variables,
    settings::Choice,
    static_site,
    survey::{Outcome, Survey},
    tree::{Tree, is_plain_path, shown},
};

/// What an image need not hold, or what is made anew.
const LEAVE_OUT: &[&str] = &[
    "**/.next",
    "**/.nuxt",
    "**/.output",
    "**/.svelte-kit",
    "**/npm-debug.log*",
];

/// Everything that the Dockerfile of a Node.js application depends on.
#[derive(Debug)]
struct Recipe {
    major: u64,
    manager: Manager,
    compiles: bool,
    /// Libraries that what was compiled loads when it runs.
    libraries: Vec<&'static str>,
    install: Option<Install>,
    browser: Browser,
    /// The build command, and whether its text is somebody else's.
    build: Option<Command>,
    build_variables: Variables,
    build_environment: &'static [(&'static str, &'static str)],
    shape: Shape,
    /// The final image needs the package manager.
    runs_manager: bool,
    /// What is there beside it.
    tools: Vec<Tool>,
    /// Cache folders of the build tools, below the application's folder.
    build_caches: Vec<(&'static str, &'static str)>,
    dependencies: Dependencies,
    /// There is something to take away.
    prunes: bool,
}

/// Whether a directory without `package.json` holds a program all the same.
pub(crate) fn is_a_lone_script(tree: &Tree) -> bool {
    tree.first_file(&["index.js", "server.js", "app.js", "index.mjs", "server.mjs"])
        .is_some()
        && !tree.has_file("index.html")
}

/// The folders of the packages of a workspace that can be deployed by themselves.
pub(crate) fn packages(tree: &Tree) -> Vec<String> {
    let package = Package::read(tree, "package.json").ok().flatten().unwrap_or_default();
    let workspace = Workspace::read(tree, &package).unwrap_or_default();
    let ranked = choice::ranked(tree, &workspace);
    let deployed = ranked.into_iter().filter(|(place, _)| *place < choice::EXAMPLE);
    deployed.map(|(_, member)| member.folder.clone()).collect()
}

/// The variable that chooses one of them.
pub(crate) const PACKAGE_VARIABLE: &str = "CLICK_DEPLOY_NODE_PACKAGE";

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let package = Package::read(survey.tree, "package.json")?.unwrap_or_default();
    let manager = Manager::detect(survey.tree, &package);
    let workspace = Workspace::read(survey.tree, &package)?;
    elsewhere::refuse(survey, &package, &workspace)?;
    if let Some(member) = choice::choose(survey, &package, &workspace, manager.kind == Kind::Bun)? {
        return workspace::plan::plan(survey, &package, &workspace, member, manager);
    }
    let major = version::choose(survey, &package)?;
    tell_manager(survey, &package, &manager);
    let has_workspaces = workspace::is_there(survey.tree, &package);
    if has_workspaces {
        survey.fact(
            "workspaces",
            "the whole repository is installed",
            "workspaces in package.json or pnpm-workspace.yaml",
        );
    }

    let start_override = survey.start_override()?;
    let output_override = survey.output_override()?;
    // What the user says is not spoiled by a framework that could not have run without it.
    let mut kind = match framework::detect(survey.tree, &package, has_workspaces) {
        Err(_) if start_override.is_some() || output_override.is_some() => framework::Kind::unknown(),
        other => other?,
    };
    if let Some(name) = kind.framework {
        survey.fact("framework", name, "dependencies in package.json");
    }
    if let Some(warning) = &kind.warning {
        survey.warn(warning);
    }
    let project = angular_project(survey, &package, &mut kind)?;
    let build = match project.filter(|_| survey.chosen(Choice::Build).is_none()) {
        Some(project) if ["", "ng build"].contains(&package.script("build").unwrap_or_default()) => {
            let text = format!("ng build {project}");
            survey.fact("build command", &text, "the chosen project in angular.json");
            Some(Command::parse(&text, "angular.json")?)
        }
        _ => build(survey, &package, &manager, kind.build)?,
    };
    let shape = match (start_override, output_override) {
        (Some(start), _) => Shape::Process {
            start,
            because: String::new(),
            kept: Kept::Everything,
        },
        (None, Some(folder)) => {
            let missing = match kind.shape {
                Shape::Files { missing, .. } => missing,
                _ => Missing::Page("index.html"),
            };
            Shape::Files { folder, missing }
        }
        (None, None) => shape(survey, &package, kind.shape, build.is_some(), &manager, has_workspaces)?,
    };
    let shape = match shape {
        Shape::Files { folder, .. } if static_site::fallback(survey.tree) == Some(false) => Shape::Files {
            folder,
            missing: Missing::NotFound,
        },
        other => other,
    };
    let shape = with_room_for_release(survey, shape);
    tell(survey, &shape);

    let compiles = native::tell_compiled(survey, &[&package]);
    let mut libraries = native::tell_loaded(survey, &[&package]);
    let browser = Browser::find(survey, &[&package]);
    libraries.extend(browser.packages());
    let dependencies = install::dependencies(survey, &package, &manager, &shape, build.is_some(), has_workspaces);
    let install = install::choose(survey, &package, &manager, dependencies, has_workspaces)?;
    let install_prunes = install.is_some() && !package.names("devDependencies").is_empty();
    let mut build_caches = vec![("build-cache", "node_modules/.cache")];
    if package.uses("next") {
        build_caches.push(("next", ".next/cache"));
    }
    let build_variables = if build.is_some() {
        survey.build_variables()
    } else {
        Variables::default()
    };
    let start = match &shape {
        Shape::Process { start, .. } => Some(start.clone()),
        _ => None,
    };
    let tools = tools(survey, &package, &manager, start.as_ref(), build.as_ref(), kind.tool);
    let recipe = Recipe {
        major,
        runs_manager: calls_manager(survey, &manager, start.as_ref()),
        manager,
        compiles,
        libraries,
        browser,
        install,
        build,
        build_variables,
        build_environment: kind.build_environment,
        tools,
        shape,
        build_caches,
        dependencies,
        prunes: install_prunes,
    };
    let dockerfile = write::write(&recipe, &survey.caches());
    let port = start.as_ref().and_then(|start| port(survey, survey.tree, start));
    let start_command = start.map_or_else(|| caddy::START.to_owned(), |start| start.text().to_owned());
    Ok(Outcome {
        provider: "node",
        framework: kind.framework.map(str::to_owned),
        dockerfile,
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(start_command),
    })
}

fn tell_manager(survey: &mut Survey<'_>, package: &Package, manager: &Manager) {
    survey.fact("package manager", &manager.described(), &manager.because);
    if let Some(text) = &manager.not_understood {
        survey.warn(&format!(
            "packageManager in package.json is {text:?}, which names no known manager and version."
        ));
    }
    if !manager.other_locks.is_empty() {
        survey.warn(&format!(
            "Not used, as {} installs: {}.",
            manager.kind.name(),
            manager.other_locks.join(", ")
        ));
    }
    if manager.lock.is_none() && package.has_dependencies() {
        survey.warn("There is no lock file, so each build may get other versions of the dependencies. Commit one.");
    }
}

/// The project of several in `angular.json` that the user chose.
fn angular_project(
    survey: &Survey<'_>,
    package: &Package,
    kind: &mut framework::Kind,
) -> Result<Option<String>, Refusal> {
    let chosen = survey.chosen(Choice::NodePackage).filter(|chosen| chosen.value != ".");
    let Some(chosen) = chosen.filter(|_| kind.framework == Some("Angular")) else {
        return Ok(None);
    };
    let shape = site::angular(survey.tree, package, Some(&chosen.value))?;
    if shape == Shape::Unknown || !is_plain_path(&chosen.value) {
        return Err(Refusal::Setting {
            name: chosen.because,
            why: format!("there is no project {:?} in angular.json", shown(&chosen.value)),
        });
    }
    kind.shape = shape;
    Ok(Some(chosen.value))
}

fn build(
    survey: &mut Survey<'_>,
    package: &Package,
    manager: &Manager,
    of_framework: Option<&'static str>,
) -> Result<Option<Command>, Refusal> {
    if let Some(command) = survey.chosen_command(Choice::Build, "build command")? {
        return Ok(Some(command));
    }
    let (text, because) = if package.script("build").is_some() {
        (manager.run_script("build"), "scripts.build in package.json")
    } else if let Some(text) = of_framework {
        (text.to_owned(), "the framework, as there is no build script")
    } else {
        return Ok(None);
    };
    survey.fact("build command", &text, because);
    Command::parse(&text, because).map(Some)
}

/// Whether what runs calls the package manager, where that is not there anyway.
fn calls_manager(survey: &Survey<'_>, manager: &Manager, start: Option<&Command>) -> bool {
    let names = [manager.kind.name(), "bunx", "pnpx"];
    let mut commands = start.into_iter().chain(&survey.release);
    manager.kind != Kind::Npm && commands.any(|command| names.iter().any(|name| command.names(name)))
}

/// Programs that the commands call and nothing installs.
fn tools(
    survey: &mut Survey<'_>,
    package: &Package,
    manager: &Manager,
    start: Option<&Command>,
    build: Option<&Command>,
    of_framework: Option<Tool>,
) -> Vec<Tool> {
    let of_framework = of_framework.filter(|_| start.is_some_and(|start| start.names("srvx")));
    let calls_bun = |command: &Command| command.names("bun") || command.names("bunx");
    let script = package.script("build").filter(|_| build.is_some());
    let in_script = script.is_some_and(|script| words(script).any(|word| matches!(word, "bun" | "bunx")));
    let is_there = manager.kind == Kind::Bun || package.uses("bun");
    let bun = (!is_there && (in_script || start.into_iter().chain(build).chain(&survey.release).any(calls_bun)))
        .then_some(Tool::Bun);
    let tools: Vec<Tool> = bun.into_iter().chain(of_framework).collect();
    for tool in &tools {
        let (name, because) = match tool {
            Tool::Bun => ("bun", "a command calls it"),
            Tool::Srvx => ("srvx", "it serves the application and is not among the dependencies"),
        };
        survey.fact("added program", name, because);
    }
    tools
}

/// The shape, if need be from the files that are there.
fn shape(
    survey: &Survey<'_>,
    package: &Package,
    shape: Shape,
    is_built: bool,
    manager: &Manager,
    has_workspaces: bool,
) -> Result<Shape, Refusal> {
    if shape != Shape::Unknown {
        return Ok(shape);
    }
    if let Some(start) = start::of_script(package, "start:prod")? {
        let because = "scripts.start:prod in package.json".to_owned();
        return Ok(Shape::Process {
            start,
            because,
            kept: Kept::Everything,
        });
    }
    let has_bun = manager.kind == Kind::Bun;
    if let Some((text, because)) = start::entry(survey.tree, package, is_built, has_bun) {
        let start = Command::parse(&text, &because)?;
        return Ok(Shape::Process {
            start,
            because,
            kept: Kept::Everything,
        });
    }
    let scripts = package.names("scripts");
    let advice = if has_workspaces {
        "Several packages are in this repository, and none says how it is started: name one in the variable \
         CLICK_DEPLOY_NODE_PACKAGE, or set the start command, for example `npm run start --workspace=NAME`."
    } else if is_built {
        "If the build writes files to be served, set the output directory (such as dist). If it makes a server, set the \
         start command, or add a start script."
    } else {
        "Add a start script to package.json, or set the start command."
    };
    let found = if scripts.is_empty() {
        "no scripts".to_owned()
    } else {
        format!("the scripts {}", scripts.join(", "))
    };
    Err(Refusal::NoStart {
        provider: "Node.js",
        looked_for: "a start script, main in package.json, index.js, server.js, app.js, and known frameworks"
            .to_owned(),
        found: crate::tree::shown(&found),
        advice: advice.to_owned(),
    })
}

/// A release command may call anything that is installed.
fn with_room_for_release(survey: &Survey<'_>, shape: Shape) -> Shape {
    match shape {
        Shape::Process {
            start,
            because,
            kept: Kept::Folder(_),
        } if survey.release.is_some() => Shape::Process {
            start,
            because,
            kept: Kept::Everything,
        },
        other => other,
    }
}

fn tell(survey: &mut Survey<'_>, shape: &Shape) {
    match shape {
        Shape::Process { start, because, .. } if !because.is_empty() => {
            survey.fact("start command", start.text(), because)
        }
        Shape::Files { folder, missing } => {
            let fallback = match missing {
                Missing::Page(page) => format!("Unknown addresses are answered with {page}"),
                Missing::NotFound => "Unknown addresses are answered with 404.html".to_owned(),
            };
            survey.fact("served folder", if folder.is_empty() { "." } else { folder }, &fallback);
        }
        _ => {}
    }
}

fn port(survey: &mut Survey<'_>, tree: &Tree, start: &Command) -> Option<u16> {
    if let Some(port) = start.literal_port() {
        survey.fact("port", &port.to_string(), "the start command names it");
        return Some(port);
    }
    if start.text().contains("PORT") {
        return None;
    }
    let (port, path) = start::port_in_source(tree, start)?;
    survey.fact(
        "port",
        &port.to_string(),
        &format!("{path} names it and does not look at PORT"),
    );
    Some(port)
}
