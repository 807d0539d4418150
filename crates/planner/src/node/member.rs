//! One package of several: only what it needs of the repository is installed, built and kept.

use crate::{
    Refusal, caddy,
    caddy::Missing,
    command::Command,
    dockerfile::Variables,
    json,
    node::{
        self,
        browser::Browser,
        filter::Selection,
        framework::{self, Kept, Kind, Shape},
        install,
        manager::{self, Manager, Tool},
        native,
        package::Package,
        start, version,
        workspace::{Member, Workspace},
        write_member,
    },
    settings::Choice,
    static_site,
    survey::{Outcome, Survey},
    tree::Tree,
};

/// Kinds of dependencies of a package that runs, and of one that is built.
const RUNNING: &[&str] = &["dependencies", "optionalDependencies", "peerDependencies"];
const BUILDING: &[&str] = &[
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "devDependencies",
];

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
    /// Files and folders that are there before installing; `None`: all.
    pub(super) inputs: Option<(Vec<String>, Vec<&'static str>)>,
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

pub(super) fn plan(
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
    let (build, build_environment) = build(survey, &tree, root, member, &needed, &manager, &kind)?;
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
    let stays = reason_to_keep(survey, &tree, member, &running, root, start.as_ref(), &manager);
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
    let manifests = manifests(root, workspace, &needed, &manager);
    let install_for_running = separate.then(|| for_running(&manager, root, member, &manifests, &running));
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
        .then(|| inputs(survey.tree, root, workspace, &needed, &manifests, &manager))
        .flatten();
    if inputs.is_none() {
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
    let is_running = |folder: &str| running.iter().any(|one| one.folder == folder);
    let recipe = Recipe {
        folder: member.folder.clone(),
        runs_in: runs_in.to_owned(),
        major,
        runs_manager: node::calls_manager(survey, &manager, start.as_ref()),
        manager,
        compiles,
        libraries,
        browser,
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
            .filter(|folder| !is_running(folder) && !running.iter().any(|one| is_below(&one.folder, folder)))
            .collect(),
    };
    let dockerfile = write_member::write(&recipe, &survey.caches());
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

fn is_below(folder: &str, other: &str) -> bool {
    folder.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
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

type Build = (Option<Command>, Vec<(&'static str, &'static str)>);

/// What builds the package and, before it, what it needs of the others.
fn build(
    survey: &mut Survey<'_>,
    tree: &Tree,
    root: &Package,
    member: &Member,
    needed: &[&Member],
    manager: &Manager,
    kind: &Kind,
) -> Result<Build, Refusal> {
    let mut environment = kind.build_environment.to_vec();
    if let Some(command) = survey.chosen_command(Choice::Build, "build command")? {
        return Ok((Some(command), environment));
    }
    let has_script = member.package.script("build").is_some();
    let folder = &member.folder;
    let (text, because) = if has_script && turbo_builds(survey.tree, root) {
        (format!("turbo run build --filter=./{folder}"), "turbo.json".to_owned())
    } else if nx_builds(survey.tree, tree, root, has_script || kind.build.is_some()) {
        // Its process in the background would outlive the step.
        environment.push(("NX_DAEMON", "false"));
        let name = nx_name(tree).unwrap_or_else(|| member.name.clone());
        (format!("nx run {name}:build"), "nx.json".to_owned())
    } else {
        let scripts = needed.iter().filter(|one| one.package.script("build").is_some());
        let mut steps: Vec<String> = scripts
            .map(|one| format!("(cd {} && {})", one.folder, manager.run_script("build")))
            .collect();
        if let Some(build) = kind.build.filter(|_| !has_script) {
            steps.push(format!("(cd {folder} && {build})"));
        }
        let because = if has_script {
            format!("scripts.build in {}", member.path("package.json"))
        } else {
            "the framework, or the build scripts of what it needs".to_owned()
        };
        (steps.join(" && "), because)
    };
    if text.is_empty() {
        return Ok((None, environment));
    }
    survey.fact("build command", &text, &because);
    Ok((Some(Command::parse(&text, &because)?), environment))
}

/// Whether Turborepo knows what a build is, and can say which package manager there is.
fn turbo_builds(tree: &Tree, root: &Package) -> bool {
    let file = ["turbo.json", "turbo.jsonc"]
        .into_iter()
        .find(|file| tree.has_file(file));
    let configuration = file
        .and_then(|file| json::parse(&tree.head(file)).ok())
        .unwrap_or_default();
    let tasks = configuration.get("tasks").or_else(|| configuration.get("pipeline"));
    root.uses("turbo")
        && root.text(&["packageManager"]).is_some()
        && tasks.is_some_and(|tasks| tasks.get("build").is_some())
}

/// Whether Nx has a target to build the package: its build script, one of its project.json, or one that a plugin infers.
fn nx_builds(repository: &Tree, tree: &Tree, root: &Package, is_built: bool) -> bool {
    if !root.uses("nx") || !repository.has_file("nx.json") {
        return false;
    }
    let configuration = json::parse(&repository.head("nx.json")).unwrap_or_default();
    let infers = configuration
        .get("plugins")
        .is_some_and(|plugins| plugins.as_array().is_some());
    let project = json::parse(&tree.head("project.json")).unwrap_or_default();
    let has_target = project
        .get("targets")
        .is_some_and(|targets| targets.get("build").is_some());
    has_target || (is_built && (infers || tree.head("package.json").contains("\"build\"")))
}

/// The name by which Nx calls the package, if its project.json gives it one.
fn nx_name(tree: &Tree) -> Option<String> {
    let project = json::parse(&tree.head("project.json")).ok()?;
    let name = project.get("name")?.as_str()?.to_owned();
    crate::tree::is_plain_path(&name).then_some(name)
}

/// Why what the build installed has to stay, if it has to.
fn reason_to_keep(
    survey: &Survey<'_>,
    tree: &Tree,
    member: &Member,
    running: &[&Member],
    root: &Package,
    start: Option<&Command>,
    manager: &Manager,
) -> Option<String> {
    let packages = || running.iter().map(|one| &one.package).chain([root]);
    if packages().any(|package| ["prisma", "@prisma/client"].iter().any(|name| package.uses(name))) {
        return Some("Prisma generates its client into node_modules".to_owned());
    }
    if let Some(because) = install::needed_by_next(tree, &member.package) {
        return Some(because);
    }
    for (what, command) in [("start", start), ("release", survey.release.as_ref())] {
        let named = command.and_then(|command| {
            [&member.package, root]
                .iter()
                .find_map(|package| start::development_dependency(package, command))
        });
        if let Some(name) = named {
            return Some(format!("the {what} command uses {name}"));
        }
    }
    if let Some(script) = packages().find_map(install::changing_script) {
        return Some(format!("an install script may have changed them: {script}"));
    }
    (!manager.can_leave_out()).then(|| format!("{} cannot leave them out", manager.described()))
}

/// Installs what runs, and nothing else. Scripts of the packages themselves may want what is left out, so they go.
fn for_running(
    manager: &Manager,
    root: &Package,
    member: &Member,
    manifests: &[&Member],
    running: &[&Member],
) -> String {
    let selection = Selection {
        root,
        member,
        needed: running,
        includes_root: !root.names("dependencies").is_empty(),
    };
    let install = manager.install_selected(&selection, true);
    let is_yarn = manager.kind == manager::Kind::YarnClassic;
    let has_scripts = |package: &Package| install::LIFECYCLE.iter().any(|name| package.script(name).is_some());
    let mut steps = Vec::new();
    if is_yarn {
        let only_built: Vec<&str> = manifests
            .iter()
            .map(|one| one.folder.as_str())
            .filter(|folder| running.iter().all(|one| one.folder != *folder))
            .collect();
        if !only_built.is_empty() {
            steps.push(format!("rm -r {}", only_built.join(" ")));
        }
    }
    let changed: Vec<&str> = running
        .iter()
        .map(|one| (one.folder.as_str(), &one.package))
        .chain([(".", root)])
        .filter(|(_, package)| has_scripts(package) || (is_yarn && !package.names("devDependencies").is_empty()))
        .map(|(folder, _)| folder)
        .collect();
    if !changed.is_empty() {
        let what = if is_yarn { "scripts devDependencies" } else { "scripts" };
        steps.push(format!(
            "for folder in {}; do npm pkg delete {what} --prefix $folder; done",
            changed.join(" ")
        ));
    }
    steps.push(install);
    steps.join(" && ")
}

/// The packages of which the installation reads package.json: all, as the lock file speaks of all. Yarn 1 installs all that it
/// sees, so it sees what is needed, by the root as well.
fn manifests<'a>(
    root: &Package,
    workspace: &'a Workspace,
    needed: &[&'a Member],
    manager: &Manager,
) -> Vec<&'a Member> {
    let of_root = workspace.members.iter().filter(|one| root.uses(&one.name));
    let of_root: Vec<&Member> = of_root.flat_map(|one| workspace.needed(one, BUILDING)).collect();
    let counts = |one: &&Member| {
        let is_it = |other: &&&Member| other.folder == one.folder;
        manager.kind != manager::Kind::YarnClassic || needed.iter().chain(&of_root).any(|other| is_it(&other))
    };
    workspace.members.iter().filter(counts).collect()
}

/// What is there before installing, if little is enough: every package.json that the lock file may speak of.
fn inputs(
    tree: &Tree,
    root: &Package,
    workspace: &Workspace,
    needed: &[&Member],
    manifests: &[&Member],
    manager: &Manager,
) -> Option<(Vec<String>, Vec<&'static str>)> {
    let packages = || needed.iter().map(|one| &one.package).chain([root]);
    let is_elsewhere = |package: &Package| {
        let names = BUILDING
            .iter()
            .flat_map(|kind| package.names(kind).into_iter().map(move |name| (kind, name)));
        let mut paths = names.filter_map(|(kind, name)| Some((name, package.text(&[kind, name])?)));
        paths.any(|(name, version)| {
            let is_path = ["file:", "link:", "portal:"]
                .iter()
                .any(|start| version.starts_with(start));
            is_path && workspace.members.iter().all(|one| one.name != name)
        })
    };
    if packages().any(|package| is_elsewhere(package) || !install::scripts_are_harmless(package)) {
        return None;
    }
    let mut files = vec!["package.json".to_owned()];
    files.extend(manager.files(tree));
    files.extend(manifests.iter().map(|one| one.path("package.json")));
    Some((files, manager.folders(tree)))
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
