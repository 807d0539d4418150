//! What builds one package of several: Turborepo or Nx, which know the order, or the build scripts in the order of needs.

use super::Member;
use crate::{
    Refusal,
    command::Command,
    json,
    node::{framework::Kind, manager::Manager, package::Package},
    settings::Choice,
    survey::Survey,
    tree::Tree,
};

pub(super) type Build = (Option<Command>, Vec<(&'static str, &'static str)>);

/// What builds the package and, before it, what it needs of the others.
pub(super) fn choose(
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
