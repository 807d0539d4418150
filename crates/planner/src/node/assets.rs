//! The front end of an application that is written in another language: a `package.json` with a build script.

use crate::{
    Refusal, bases,
    dockerfile::{Caches, Dockerfile, Variables},
    node::{
        install::{self, Inputs},
        manager::Manager,
        native,
        package::Package,
        version, workspace,
    },
    survey::Survey,
};

/// The stage that builds the front end.
pub(crate) const STAGE: &str = "assets";

#[derive(Debug)]
pub(crate) struct Assets {
    pub(crate) major: u64,
    manager: Manager,
    compiles: bool,
    install: Option<String>,
    inputs: Inputs,
    build: String,
    variables: Variables,
}

/// The front end at the root, if there is one to build. `build` is the user's command for it.
pub(crate) fn find(survey: &mut Survey<'_>, build: Option<&str>) -> Result<Option<Assets>, Refusal> {
    let Some(package) = Package::read(survey.tree, "package.json")? else {
        return Ok(None);
    };
    let script = ["build", "production", "prod"]
        .into_iter()
        .find(|name| package.script(name).is_some());
    if script.is_none() && build.is_none() {
        survey.fact("package.json", "seen and not used", "it has no build script");
        return Ok(None);
    }
    let mut assets = prepare(survey, &package)?;
    if let Some(build) = build {
        assets.build = build.to_owned();
    } else if let Some(name) = script {
        assets.build = assets.manager.run_script(name);
        let (value, because) = (assets.build.clone(), format!("scripts.{name} in package.json"));
        survey.fact("front end", &value, &because);
    }
    Ok(Some(assets))
}

/// Node.js and the packages, for a build that another language's tools begin.
pub(crate) fn tools(survey: &mut Survey<'_>) -> Result<Assets, Refusal> {
    let package = Package::read(survey.tree, "package.json")?.unwrap_or_default();
    prepare(survey, &package)
}

fn prepare(survey: &mut Survey<'_>, package: &Package) -> Result<Assets, Refusal> {
    let major = version::choose(survey, package)?;
    let manager = Manager::detect(survey.tree, package);
    survey.fact("front end's package manager", &manager.described(), &manager.because);
    let has_workspaces = workspace::is_there(survey.tree, package);
    let inputs = install::inputs(survey, package, &manager, has_workspaces);
    let install = (package.has_dependencies() || has_workspaces).then(|| manager.install(false));
    let compiles = native::compiled(package).is_some() || native::from_git(package).is_some();
    Ok(Assets {
        major,
        compiles,
        install,
        inputs,
        build: String::new(),
        variables: survey.build_variables(),
        manager,
    })
}

impl Assets {
    /// A stage of its own, whose result is below `/out`. `before` adds what the build needs of other stages.
    pub(crate) fn stage(&self, file: &mut Dockerfile, caches: &Caches, before: impl FnOnce(&mut Dockerfile)) {
        let image = if self.compiles {
            bases::node_with_compilers
        } else {
            bases::node
        };
        file.from(&image(self.major), Some(STAGE));
        file.workdir("/app");
        self.install(file, caches);
        if self.inputs != Inputs::Everything {
            file.copy_everything();
        }
        before(file);
        file.variables_digest(&self.variables);
        file.run_script(&[], &self.variables, &self.build);
        file.comment("What was written, without the dependencies.");
        file.run(
            &[],
            "mkdir /out && find . -mindepth 1 -maxdepth 1 ! -name node_modules ! -name vendor -exec cp -a -t /out {} +",
        );
    }

    /// Installs the packages in the current stage.
    pub(crate) fn install(&self, file: &mut Dockerfile, caches: &Caches) {
        let mut environment = vec![("PATH", "/app/node_modules/.bin:$PATH")];
        environment.extend(self.manager.environment());
        file.env(&environment);
        if let Some(command) = self.manager.obtain() {
            file.run(&caches.mount("npm", "/root/.npm", false), &command);
        }
        match &self.inputs {
            Inputs::Everything => file.copy_everything(),
            Inputs::Only { files, folders } => {
                file.copy(files);
                folders.iter().for_each(|folder| file.copy_folder(folder));
            }
        }
        if let Some(command) = &self.install {
            file.run(&self.manager.caches(caches), command);
        }
    }
}

/// Node.js and npm in a stage of another language: two paths of the official image.
pub(crate) fn copy_node(file: &mut Dockerfile, major: u64) {
    let image = bases::node(major);
    file.copy_from(&image, "/usr/local/bin/node", "/usr/local/bin/node");
    file.copy_from(&image, "/usr/local/lib/node_modules", "/usr/local/lib/node_modules");
    file.run(
        &[],
        "ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js \
         /usr/local/bin/npx",
    );
}
