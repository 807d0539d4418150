//! One package of several: only what it needs of the repository is installed, built and kept.

use super::{BUILDING, Member, RUNNING, Workspace, build, filter::Selection, installation, is_below, write};
use crate::{
    Refusal, caddy,
    caddy::Missing,
    command::Command,
    dockerfile::Variables,
    node::{
        self,
        browser::Browser,
        framework::{self, Kept, Kind, Shape},
        install,
        manager::{self, Manager, Tool},
        native,
        package::Package,
        start, version,
    },
    settings::Choice,
    static_site,
    survey::{Outcome, Survey},
    tree::Tree,
};

/// Everything that the Dockerfile of one package of several depends on.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The package's folder.
    pub(super) folder: String,
    /// Where the start command runs: the package's folder, or the root where the command is the user's.
    pub(super) runs_in: String,
    pub(super) major: u64,
    pub(super) manager: Manager,
    pub(super) compiles: bool,
    pub(super) libraries: Vec<&'static str>,
    pub(super) browser: Browser,
    /// Files and folders that are there before anything is installed; `None`: all.
    pub(super) inputs: Option<(Vec<String>, Vec<&'static str>)>,
    /// All files are there before what the build needs is installed.
    pub(super) sources_first: bool,
    /// The command that installs what the build needs, and whether its text is somebody else's.
    pub(super) install: (String, bool),
    pub(super) install_variables: Variables,
    /// The command that installs what runs, in a stage of its own; `None`: what the build installed stays.
    pub(super) install_for_running: Option<String>,
    pub(super) build: Option<Command>,
    pub(super) build_variables: Variables,
    pub(super) build_environment: Vec<(&'static str, &'static str)>,
    pub(super) build_caches: Vec<(&'static str, String)>,
    pub(super) shape: Shape,
    pub(super) runs_manager: bool,
    pub(super) tools: Vec<Tool>,
    /// Folders of packages that are not needed when it runs.
    pub(super) left_out: Vec<String>,
}

pub(crate) fn plan(
    survey: &mut Survey<'_>,
    root: &Package,
    workspace: &Workspace,
    member: &Member,
    manager: Manager,
) -> Result<Outcome, Refusal> {
    let tree = survey.tree.below(&member.folder);
    let package = &member.package;
    let asks = package.text(&["engines", "node"]).is_some() && root.text(&["engines", "node"]).is_none();
    let major = version::choose(survey, if asks { package } else { root })?;
    node::tell_manager(survey, root, &manager);
    let needed = workspace.needed(member, BUILDING);
    let running = workspace.needed(member, RUNNING);
    tell_needed(survey, workspace, &needed);

    let start_override = survey.start_override()?;
    let output_override = survey.output_override()?;
    let is_told = start_override.is_some() || output_override.is_some();
    let kind = match framework::detect(&tree, package, false) {
        Err(_) if is_told => Kind::unknown(),
        other => other?,
    };
    let place = member.path("package.json");
    if let Some(name) = kind.framework {
        survey.fact("framework", name, &format!("dependencies in {place}"));
    }
    if let Some(warning) = &kind.warning {
        survey.warn(warning);
    }
    let (build, build_environment) = build::choose(survey, &tree, root, member, &needed, &manager, &kind)?;
    let runs_in = if start_override.is_some() { "" } else { &member.folder };
    let shape = match (start_override, output_override) {
        (Some(start), _) => Shape::Process {
            start,
            because: String::new(),
            kept: Kept::Everything,
        },
        (None, Some(folder)) => Shape::Files {
            folder,
            missing: match kind.shape {
                Shape::Files { missing, .. } => missing,
                _ => Missing::Page("index.html"),
            },
        },
        (None, None) => own_shape(&tree, member, kind.shape, build.is_some(), &manager)?,
    };
    let shape = match shape {
        Shape::Files { folder, .. } if static_site::fallback(&tree) == Some(false) => Shape::Files {
            folder,
            missing: Missing::NotFound,
        },
        other => other,
    };
    let shape = node::with_room_for_release(survey, shape);
    node::tell(survey, &shape);
    let start = match &shape {
        Shape::Process { start, .. } => Some(start.clone()),
        _ => None,
    };

    let built_of: Vec<&Package> = needed.iter().map(|one| &one.package).chain([root]).collect();
    let compiles = native::tell_compiled(survey, &built_of);
    let mut libraries = native::tell_loaded(survey, &built_of);
    let browser = Browser::find(survey, &built_of);
    libraries.extend(browser.packages());
    let own_install = survey.chosen_command(Choice::Install, "install command")?;
    let stays = installation::reason_to_keep(survey, &tree, member, &running, root, start.as_ref(), &manager);
    let is_process = matches!(
        &shape,
        Shape::Process {
            kept: Kept::Everything,
            ..
        }
    );
    let separate = is_process && own_install.is_none() && stays.is_none();
    if is_process {
        match &stays {
            Some(because) => survey.fact("development dependencies", "kept", because),
            None if separate => survey.fact(
                "development dependencies",
                "only while it is built",
                "what runs is installed by itself",
            ),
            None => {}
        }
    }
    let manifests = installation::manifests(root, workspace, &needed, &manager);
    let install_for_running = separate.then(|| installation::for_running(&manager, root, member, &manifests, &running));
    let (install, install_variables) = match own_install {
        Some(command) => ((command.text().to_owned(), false), survey.variables(|_| true)),
        None => {
            let selection = Selection {
                root,
                member,
                needed: &needed,
                includes_root: true,
            };
            let command = manager.install_selected(&selection, false);
            survey.fact("install command", &command, manager.lock.unwrap_or("package.json"));
            ((command, true), install::variables(survey))
        }
    };
    let inputs = install
        .1
        .then(|| installation::inputs(survey.tree, root, workspace, &needed, &manifests, &manager))
        .flatten();
    let runs_scripts = !built_of.iter().all(|package| install::scripts_are_harmless(package));
    if inputs.is_none() || runs_scripts {
        survey.fact(
            "before installing",
            "all files are copied",
            "local packages or install scripts need them",
        );
    }
    survey.leave_out = what_the_build_leaves_out(workspace, &needed);
    let build_variables = if build.is_some() {
        survey.build_variables()
    } else {
        Variables::default()
    };
    let tools = node::tools(survey, package, &manager, start.as_ref(), build.as_ref(), kind.tool);
    let mut build_caches = vec![("build-cache", "node_modules/.cache".to_owned())];
    if package.uses("next") {
        build_caches.push(("next", member.path(".next/cache")));
    }
    // Where development dependencies stay, so do those that are packages of the repository.
    let kept = if install_for_running.is_some() {
        &running
    } else {
        &needed
    };
    let is_kept = |folder: &str| {
        kept.iter()
            .any(|one| one.folder == folder || is_below(&one.folder, folder))
    };
    let recipe = Recipe {
        folder: member.folder.clone(),
        runs_in: runs_in.to_owned(),
        major,
        runs_manager: node::calls_manager(survey, &manager, start.as_ref()),
        manager,
        compiles,
        libraries,
        browser,
        sources_first: inputs.is_none() || runs_scripts,
        inputs,
        install,
        install_variables,
        install_for_running,
        build,
        build_variables,
        build_environment,
        build_caches,
        shape,
        tools,
        left_out: workspace
            .members
            .iter()
            .map(|one| one.folder.clone())
            .filter(|folder| !is_kept(folder))
            .collect(),
    };
    let dockerfile = write::write(&recipe, &survey.caches());
    let port = start.as_ref().and_then(|start| node::port(survey, &tree, start));
    let start_command = start.map_or_else(|| caddy::START.to_owned(), |start| start.text().to_owned());
    Ok(Outcome {
        provider: "node",
        framework: kind.framework.map(str::to_owned),
        dockerfile,
        leave_out: node::LEAVE_OUT,
        port,
        start_command: Some(start_command),
    })
}

fn tell_needed(survey: &mut Survey<'_>, workspace: &Workspace, needed: &[&Member]) {
    let mut others: Vec<&str> = needed.iter().rev().skip(1).map(|one| one.folder.as_str()).collect();
    others.sort_unstable();
    let value = if others.is_empty() {
        "no other package".to_owned()
    } else {
        others.join(", ")
    };
    let because = format!(
        "dependencies in its package.json, among {} packages",
        workspace.members.len()
    );
    survey.fact("needs", &value, &because);
}

/// The shape as the package's folder is seen from the root, if need be from the files that are there.
fn own_shape(tree: &Tree, member: &Member, shape: Shape, is_built: bool, manager: &Manager) -> Result<Shape, Refusal> {
    let place = |because: &str| because.replace("in package.json", &format!("in {}", member.path("package.json")));
    let process = |start: Command, because: &str| Shape::Process {
        start,
        because: place(because),
        kept: Kept::Everything,
    };
    match shape {
        Shape::Files { folder, missing } => {
            return Ok(Shape::Files {
                folder: if folder.is_empty() {
                    member.folder.clone()
                } else {
                    member.path(&folder)
                },
                missing,
            });
        }
        Shape::Process { start, because, kept } => {
            return Ok(Shape::Process {
                start,
                because: place(&because),
                kept,
            });
        }
        Shape::Unknown => {}
    }
    if let Some(start) = start::of_script(&member.package, "start:prod")? {
        return Ok(process(start, "scripts.start:prod in package.json"));
    }
    let has_bun = manager.kind == manager::Kind::Bun;
    if let Some((text, because)) = start::entry(tree, &member.package, is_built, has_bun) {
        return Ok(process(Command::parse(&text, &because)?, &because));
    }
    Err(Refusal::NoStart {
        provider: "Node.js",
        looked_for: format!(
            "a start script, main in package.json, index.js, server.js, app.js, and known frameworks, all in {}",
            member.folder
        ),
        found: "none of them".to_owned(),
        advice: "Add a start script to its package.json, or set the start command, which runs in the root directory."
            .to_owned(),
    })
}

/// Lines of a `.dockerignore`: of packages that are not needed, only package.json is there.
fn what_the_build_leaves_out(workspace: &Workspace, needed: &[&Member]) -> Vec<String> {
    let is_needed = |folder: &str| needed.iter().any(|one| one.folder == folder);
    let others: Vec<&Member> = workspace.members.iter().filter(|one| !is_needed(&one.folder)).collect();
    let mut lines: Vec<String> = others.iter().map(|one| format!("{}/*", one.folder)).collect();
    lines.extend(others.iter().map(|one| format!("!{}", one.path("package.json"))));
    let inside = needed
        .iter()
        .filter(|one| others.iter().any(|other| is_below(&one.folder, &other.folder)));
    lines.extend(inside.map(|one| format!("!{}", one.folder)));
    lines
}
