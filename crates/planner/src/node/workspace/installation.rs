//! What of a repository is installed for one of its packages, from which files, and what stays when it runs.

use super::{BUILDING, Member, Workspace, filter::Selection};
use crate::{
    command::Command,
    node::{
        install,
        manager::{Kind, Manager},
        package::Package,
        start,
    },
    survey::Survey,
    tree::Tree,
};

/// Why what the build installed has to stay, if it has to.
pub(super) fn reason_to_keep(
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
    if let Some(because) = install::needed_by_next(tree, &member.package, Some(root)) {
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
pub(super) fn for_running(
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
    let is_yarn = manager.kind == Kind::YarnClassic;
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
pub(super) fn manifests<'a>(
    root: &Package,
    workspace: &'a Workspace,
    needed: &[&'a Member],
    manager: &Manager,
) -> Vec<&'a Member> {
    let of_root = workspace.members.iter().filter(|one| root.uses(&one.name));
    let of_root: Vec<&Member> = of_root.flat_map(|one| workspace.needed(one, BUILDING)).collect();
    let counts = |one: &&Member| {
        let is_it = |other: &&&Member| other.folder == one.folder;
        manager.kind != Kind::YarnClassic || needed.iter().chain(&of_root).any(|other| is_it(&other))
    };
    workspace.members.iter().filter(counts).collect()
}

/// What is there before installing, if little is enough: every package.json that the lock file may speak of.
pub(super) fn inputs(
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
    if packages().any(is_elsewhere) {
        return None;
    }
    let mut files = vec!["package.json".to_owned()];
    files.extend(manager.files(tree));
    files.extend(manifests.iter().map(|one| one.path("package.json")));
    Some((files, manager.folders(tree)))
}
