//! Which package of several is the application.

use super::{Member, Workspace};
use crate::{
    Refusal,
    command::words,
    node::{
        framework::{self, Kind, Shape},
        package::Package,
        start,
    },
    settings::Choice,
    survey::Survey,
    tree::{Tree, join, shown},
};

/// Folders in which applications lie, and those in which examples and tests do.
const OF_APPLICATIONS: &[&str] = &[
    "app", "apps", "server", "servers", "service", "services", "site", "sites",
];
const OF_EXAMPLES: &[&str] = &[
    "e2e",
    "example",
    "examples",
    "fixtures",
    "playground",
    "playgrounds",
    "templates",
    "test",
    "tests",
];

/// The place of what only shows or tests something.
pub(crate) const EXAMPLE: usize = 4;

/// How one of several is chosen, for a person.
const HOW: &str = "Name one in the variable CLICK_DEPLOY_NODE_PACKAGE, or as packages.node in click-deploy.toml";

/// The package that was chosen, or that alone can be meant; `None` where the root itself is the application.
pub(crate) fn choose<'a>(
    survey: &mut Survey<'_>,
    package: &Package,
    workspace: &'a Workspace,
    has_bun: bool,
) -> Result<Option<&'a Member>, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::NodePackage) {
        // Nx and Angular have projects that are no packages.
        let knows_projects = survey.tree.first_file(&["nx.json", "angular.json"]).is_some();
        let is_root = chosen.value == "." || package.text(&["name"]) == Some(&chosen.value);
        if is_root || (workspace.members.is_empty() && knows_projects) {
            survey.fact("package", &chosen.value, &chosen.because);
            return Ok(None);
        }
        let refused = |why: String| Refusal::Setting {
            name: chosen.because.clone(),
            why,
        };
        return match workspace.meant_by(&chosen.value).as_slice() {
            [member] => {
                survey.fact("package", &member.folder, &chosen.because);
                Ok(Some(member))
            }
            [] if workspace.members.is_empty() => Err(refused(
                "neither package.json nor pnpm-workspace.yaml names other packages. Where the package's folder is the \
                 root directory, set the root directory to the repository's"
                    .to_owned(),
            )),
            [] => Err(refused(format!(
                "there is no package {:?}. There are: {}",
                shown(&chosen.value),
                names(workspace.members.iter())
            ))),
            several => Err(refused(format!(
                "{:?} can be any of {}. Name the folder",
                shown(&chosen.value),
                several
                    .iter()
                    .map(|one| shown(&one.folder))
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        };
    }
    let is_told = survey.chosen(Choice::Start).is_some()
        || survey.chosen(Choice::Output).is_some()
        || survey.procfile.start.is_some();
    if is_told {
        return Ok(None);
    }
    if let Some(member) = delegate(package, workspace) {
        survey.fact("package", &member.folder, "scripts.start in package.json starts it");
        return Ok(Some(member));
    }
    if root_starts(survey.tree, package, has_bun) {
        return Ok(None);
    }
    let found = applications(survey.tree, workspace);
    match found.as_slice() {
        [] => Ok(None),
        [member] => {
            let because = match workspace.members.len() {
                1 => "the only package, as the root has nothing to start".to_owned(),
                count => format!("of {count} packages the only one that can be started or served"),
            };
            survey.fact("package", &member.folder, &because);
            Ok(Some(member))
        }
        several => Err(Refusal::Ambiguous {
            found: format!("{} packages of this repository", several.len()),
            candidates: names(several.iter().copied()),
            advice: format!("{HOW}: {} for example.", several[0].folder),
        }),
    }
}

/// The packages that can be started or served, where applications lie; else those elsewhere.
fn applications<'a>(tree: &Tree, workspace: &'a Workspace) -> Vec<&'a Member> {
    let mut found = ranked(tree, workspace);
    let nearest = found.iter().map(|(place, _)| *place).min();
    found.retain(|(place, _)| Some(*place) == nearest);
    found.into_iter().map(|(_, member)| member).collect()
}

/// What can be started or served, each with how little it looks like what is deployed.
pub(crate) fn ranked<'a>(tree: &Tree, workspace: &'a Workspace) -> Vec<(usize, &'a Member)> {
    let mut found = Vec::new();
    for member in &workspace.members {
        let first = member.folder.split('/').next().unwrap_or_default();
        let place = match first {
            first if OF_APPLICATIONS.contains(&first) => 0,
            first if OF_EXAMPLES.contains(&first) => EXAMPLE,
            _ => 1,
        };
        match application(&tree.below(&member.folder), &member.package) {
            Some(true) => found.push((place, member)),
            Some(false) => found.push((place + 2, member)),
            None => {}
        }
    }
    found
}

/// Whether a package is an application: surely, or only probably.
fn application(tree: &Tree, package: &Package) -> Option<bool> {
    if package.uses("electron") {
        return None;
    }
    let has_start = package.script("start").is_some();
    let kind = framework::detect(tree, package, false).ok()?;
    match kind.shape {
        Shape::Unknown if package.script("start:prod").is_some() => Some(true),
        Shape::Unknown => {
            let is_server = kind.framework.is_some() && start::entry(tree, package, false, false).is_some();
            is_server.then_some(false)
        }
        _ => (has_start || is_a_site_or_server(tree, package, &kind)).then_some(true),
    }
}

/// Whether what a framework is used for is an application, and not a package for applications of that framework.
fn is_a_site_or_server(tree: &Tree, package: &Package, kind: &Kind) -> bool {
    match (kind.framework, &kind.shape) {
        (Some("Next.js"), _) => {
            framework::has_next_pages(tree) || !framework::configuration(tree, "next.config").is_empty()
        }
        (Some("NestJS"), _) => tree.has_file("src/main.ts"),
        (Some("Expo"), _) => package.uses("react-native-web"),
        (Some("SvelteKit"), _) => tree.has_folder("src/routes") && package.script("package").is_none(),
        (Some("React Router" | "Remix"), _) => tree.has_folder("app"),
        (Some("Astro"), _) => tree.has_folder("src/pages"),
        (Some("Angular" | "Gatsby" | "Docusaurus" | "VitePress" | "Eleventy"), _) => true,
        (_, Shape::Files { .. }) => tree
            .first_file(&["index.html", "public/index.html", "src/index.html", "app/index.html"])
            .is_some(),
        _ => true,
    }
}

/// Whether the root is an application of its own: a start script, a program, or a framework that its own build calls.
fn root_starts(tree: &Tree, package: &Package, has_bun: bool) -> bool {
    if ["start", "start:prod"]
        .iter()
        .any(|name| package.script(name).is_some())
        || start::entry(tree, package, false, has_bun).is_some()
    {
        return true;
    }
    let build = package.script("build").unwrap_or_default();
    if builds_packages(build) || (package.uses("next") && !framework::has_next_pages(tree)) {
        return false;
    }
    framework::detect(tree, package, true).is_ok_and(|kind| match kind.shape {
        Shape::Unknown => false,
        _ => is_a_site_or_server(tree, package, &kind),
    })
}

/// Whether a build script of the root does nothing but call those of packages.
fn builds_packages(script: &str) -> bool {
    let is_sign = |word: &str| {
        matches!(
            word,
            "turbo"
                | "nx"
                | "lerna"
                | "moon"
                | "-r"
                | "--recursive"
                | "-F"
                | "--filter"
                | "-w"
                | "-ws"
                | "workspace"
                | "workspaces"
        ) || ["--filter=", "--workspace", "--prefix"]
            .iter()
            .any(|start| word.starts_with(start))
    };
    words(script).any(is_sign) || script.starts_with("cd ")
}

/// The package that the root's start script does nothing but start.
fn delegate<'a>(package: &Package, workspace: &'a Workspace) -> Option<&'a Member> {
    let script = package.script("start")?;
    let build = package.script("build");
    let has_companions = ["prestart", "prebuild", "postbuild"]
        .iter()
        .any(|name| package.script(name).is_some());
    if has_companions || build.is_some_and(|build| !builds_packages(build)) {
        return None;
    }
    let (named, rest) = match script.strip_prefix("cd ").and_then(|rest| rest.split_once("&&")) {
        Some((folder, rest)) => (Some(folder.trim()), rest),
        None => (None, script),
    };
    let mut words = words(rest);
    if !matches!(words.next()?, "npm" | "pnpm" | "yarn" | "bun" | "turbo") {
        return None;
    }
    let (mut named, mut starts) = (named, false);
    while let Some(word) = words.next() {
        let value = match word {
            "start" => {
                starts = true;
                continue;
            }
            "run" => continue,
            "-w" | "--workspace" | "-F" | "--filter" | "--prefix" | "workspace" | "-C" | "--dir" => words.next()?,
            _ => word.strip_prefix("--").and_then(|option| option.split_once('='))?.1,
        };
        if named.replace(value).is_some() {
            return None;
        }
    }
    match workspace.meant_by(named?.trim_start_matches("./")).as_slice() {
        [member] if starts && member.package.script("start").is_some() => Some(member),
        _ => None,
    }
}

fn names<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let names = members.take(20).map(|member| {
        if member.name == member.folder || member.folder.ends_with(&join("", &member.name)) {
            member.folder.clone()
        } else {
            format!("{} ({})", member.folder, member.name)
        }
    });
    names.collect::<Vec<_>>().join(", ")
}
