//! Installing dependencies: what of them, from which files, and what the running application gets.

use crate::{
    Refusal,
    command::words,
    dockerfile::Variables,
    node::{
        framework::{Kept, Shape, configuration},
        manager::{self, Manager},
        package::Package,
        start,
    },
    settings::Choice,
    survey::Survey,
    tree::Tree,
};

#[derive(Debug)]
pub(super) struct Install {
    pub(super) command: String,
    pub(super) is_ours: bool,
    pub(super) inputs: Inputs,
    pub(super) variables: Variables,
}

/// What has to be in place before dependencies are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inputs {
    Only {
        files: Vec<String>,
        folders: Vec<&'static str>,
    },
    Everything,
}

/// Which dependencies the running application gets, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dependencies {
    /// Nothing but those was installed.
    Installed,
    /// The development dependencies, if there are any, are taken away in a stage beside the build.
    Pruned,
    /// One stage does everything: the build writes into the dependencies, or there are several packages.
    WithTheBuild,
}

/// Scripts that npm and its kin run on their own while they install.
pub(super) const LIFECYCLE: [&str; 5] = ["preinstall", "install", "postinstall", "prepare", "prepublish"];

pub(super) fn dependencies(
    survey: &mut Survey<'_>,
    package: &Package,
    manager: &Manager,
    shape: &Shape,
    is_built: bool,
    has_workspaces: bool,
) -> Dependencies {
    let Shape::Process { start, kept, .. } = shape else {
        return Dependencies::WithTheBuild;
    };
    if *kept != Kept::Everything {
        return Dependencies::WithTheBuild;
    }
    if has_workspaces || survey.chosen(Choice::Install).is_some() {
        return Dependencies::WithTheBuild;
    }
    if ["prisma", "@prisma/client"].iter().any(|name| package.uses(name)) {
        survey.fact(
            "development dependencies",
            "kept",
            "Prisma generates its client into node_modules",
        );
        return Dependencies::WithTheBuild;
    }
    if let Some(because) = needed_by_next(survey.tree, package, None) {
        survey.fact("development dependencies", "kept", &because);
        return Dependencies::WithTheBuild;
    }
    if package.names("devDependencies").is_empty() {
        // Installed once, whether for the build or for running.
        return if is_built {
            Dependencies::Pruned
        } else {
            Dependencies::Installed
        };
    }
    let release = survey.release.clone();
    for (what, command) in [("start", Some(start)), ("release", release.as_ref())] {
        if let Some(name) = command.and_then(|command| start::development_dependency(package, command)) {
            survey.fact(
                "development dependencies",
                "kept",
                &format!("the {what} command uses {name}"),
            );
            return Dependencies::WithTheBuild;
        }
    }
    let has_scripts = LIFECYCLE.iter().any(|name| package.script(name).is_some());
    if !is_built && !has_scripts {
        return Dependencies::Installed;
    }
    if manager.kind == manager::Kind::Bun
        && let Some(script) = changing_script(package)
    {
        let because = format!("an install script may have changed them: {script}");
        survey.fact("development dependencies", "kept", &because);
        return Dependencies::WithTheBuild;
    }
    if manager.prune().is_none() {
        survey.fact(
            "development dependencies",
            "kept",
            &format!("{} cannot remove them", manager.described()),
        );
        return Dependencies::WithTheBuild;
    }
    survey.fact(
        "development dependencies",
        "removed after the build",
        "devDependencies in package.json",
    );
    Dependencies::Pruned
}

/// Why Next.js, which reads its configuration whenever it starts, needs development dependencies for that: its own, or those of
/// the package above.
pub(super) fn needed_by_next(tree: &Tree, package: &Package, above: Option<&Package>) -> Option<String> {
    if !package.uses("next") {
        return None;
    }
    if tree.has_file("next.config.ts") && !package.runs_with("typescript") {
        // Without it, Next.js installs it whenever it starts, and ends.
        return Some("Next.js reads next.config.ts with TypeScript when it starts".to_owned());
    }
    let text = configuration(tree, "next.config");
    let is_loaded = |name: &&str| {
        ["'", "\"", "`"].iter().any(|quote| {
            [quote, "/"]
                .iter()
                .any(|end| text.contains(&format!("{quote}{name}{end}")))
        })
    };
    let packages = || [package].into_iter().chain(above);
    let mut names = packages().flat_map(|package| package.names("devDependencies"));
    let name = names.find(|name| is_loaded(name) && !packages().any(|package| package.runs_with(name)))?;
    Some(format!("Next.js loads {name} when it starts, by next.config"))
}

/// What is installed, from what, and seeing which variables; `None` if there is nothing.
pub(super) fn choose(
    survey: &mut Survey<'_>,
    package: &Package,
    manager: &Manager,
    dependencies: Dependencies,
    has_workspaces: bool,
) -> Result<Option<Install>, Refusal> {
    if let Some(command) = survey.chosen_command(Choice::Install, "install command")? {
        let variables = survey.variables(|_| true);
        let install = Install {
            command: command.text().to_owned(),
            is_ours: false,
            inputs: Inputs::Everything,
            variables,
        };
        return Ok(Some(install));
    }
    let has_scripts = LIFECYCLE.iter().any(|name| package.script(name).is_some());
    if !package.has_dependencies() && !has_workspaces && !has_scripts {
        return Ok(None);
    }
    let command = manager.install(dependencies == Dependencies::Installed);
    survey.fact("install command", &command, manager.lock.unwrap_or("package.json"));
    let inputs = inputs(survey, package, manager, has_workspaces);
    if inputs == Inputs::Everything {
        survey.fact(
            "before installing",
            "all files are copied",
            "workspaces, local packages or install scripts need them",
        );
    }
    let variables = variables(survey);
    Ok(Some(Install {
        command,
        is_ours: true,
        inputs,
        variables,
    }))
}

/// The variables that an installation sees: those that its configuration names, and those of the managers.
pub(super) fn variables(survey: &mut Survey<'_>) -> Variables {
    let configuration: String = Manager::CONFIGURATION
        .iter()
        .map(|file| survey.tree.head(file))
        .collect();
    survey.variables(|name| {
        let named = [
            format!("${{{name}}}"),
            format!("${{{name}-"),
            format!("${{{name}?"),
            format!("${name}"),
        ];
        let is_setting = ["npm_config_", "NPM_CONFIG_", "YARN_", "BUN_CONFIG_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        is_setting
            || name == "NPM_TOKEN"
            || name == "NODE_AUTH_TOKEN"
            || named.iter().any(|text| configuration.contains(text))
    })
}

/// What an installation reads: little, so that a change of the source leaves it cached; everything where that is unsure.
pub(super) fn inputs(survey: &Survey<'_>, package: &Package, manager: &Manager, has_workspaces: bool) -> Inputs {
    let tree = survey.tree;
    let is_local = |version: &str| {
        ["file:", "link:", "portal:", "workspace:"]
            .iter()
            .any(|kind| version.starts_with(kind))
    };
    let kinds = ["dependencies", "devDependencies", "optionalDependencies"];
    let has_local = kinds.iter().any(|kind| {
        package
            .names(kind)
            .into_iter()
            .any(|name| package.text(&[kind, name]).is_some_and(is_local))
    });
    if has_workspaces || has_local {
        return Inputs::Everything;
    }
    let mut folders = manager.folders(tree);
    if !scripts_are_harmless(package) {
        return Inputs::Everything;
    }
    let mut files = vec!["package.json".to_owned()];
    files.extend(manager.files(tree));
    if package.uses("prisma") || package.uses("@prisma/client") {
        if tree.has_folder("prisma") {
            folders.push("prisma");
        }
        let configuration = ["prisma.config.ts", "prisma.config.js"]
            .into_iter()
            .filter(|file| tree.has_file(file));
        files.extend(configuration.map(str::to_owned));
    }
    Inputs::Only { files, folders }
}

/// A script of the package's own that may change what was installed.
pub(super) fn changing_script(package: &Package) -> Option<&str> {
    const HARMLESS: &[&str] = &[
        "husky",
        "lefthook",
        "is-ci",
        "simple-git-hooks",
        "only-allow",
        "nuxt",
        "nuxi",
        "svelte-kit",
    ];
    let scripts = ["preinstall", "install", "postinstall"].into_iter();
    scripts.filter_map(|name| package.script(name)).find(|script| {
        let program = words(script).find(|word| *word != "npx").unwrap_or_default();
        !HARMLESS.contains(&program)
    })
}

/// Whether what runs while installing needs no file of the source.
pub(super) fn scripts_are_harmless(package: &Package) -> bool {
    let mut scripts = LIFECYCLE.iter().filter_map(|name| package.script(name));
    scripts.all(|script| {
        let program = words(script).find(|word| *word != "npx").unwrap_or_default();
        match program {
            "husky" | "lefthook" | "is-ci" | "simple-git-hooks" | "only-allow" | "patch-package" => true,
            "prisma" => !script.contains("--schema"),
            _ => false,
        }
    })
}
