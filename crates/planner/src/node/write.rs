//! The Dockerfile of a Node.js application.
//!
//! A change of one line of source copies the source, builds, and copies the result; whatever depends on lock files
//! only stays cached.

use crate::{
    bases, caddy,
    command::Command,
    dockerfile::{self, Caches, Dockerfile},
    node::{
        Recipe,
        framework::{Kept, Shape},
        install::{Dependencies, Inputs, Install},
        manager::Tool,
    },
};

const PATH: (&str, &str) = ("PATH", "/app/node_modules/.bin:$PATH");

struct Writer<'a> {
    recipe: &'a Recipe,
    caches: &'a Caches,
    file: Dockerfile,
    /// Whether the stage that is being written is the one that runs: what is in it belongs to its user.
    runs: bool,
}

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut writer = Writer {
        recipe,
        caches,
        file: Dockerfile::default(),
        runs: false,
    };
    writer.file.comment("A Node.js application.");
    match &recipe.shape {
        Shape::Files { folder, missing } => {
            writer.built();
            caddy::serve_built(&mut writer.file, folder, *missing);
        }
        Shape::Process { start, kept, .. } => writer.process(start, *kept),
        // `shape` in the parent module never passes this on; an image that does nothing is the honest result.
        Shape::Unknown => writer.file.from(&bases::node(recipe.major), None),
    }
    writer.file
}

impl Writer<'_> {
    fn process(&mut self, start: &Command, kept: Kept) {
        let is_built = self.recipe.build.is_some();
        match (kept, self.recipe.dependencies) {
            (Kept::Folder(folder), _) => {
                self.built();
                self.running_stage();
                self.file
                    .copy_from_owned("build", &format!("/app/{folder}"), &format!("./{folder}"));
            }
            (Kept::NextStandalone, _) => {
                self.built();
                self.file.run(
                    &[],
                    "mkdir -p public && cp -a .next/static .next/standalone/.next/ && cp -a public .next/standalone/",
                );
                self.running_stage();
                self.file.copy_from_owned("build", "/app/.next/standalone/", "./");
            }
            (Kept::Everything, Dependencies::Installed) if !self.recipe.compiles => {
                self.base(
                    &bases::node(self.recipe.major),
                    None,
                    self.recipe.manager.obtain().is_some(),
                );
                self.install();
                self.runtime_environment(false);
                self.source();
            }
            (Kept::Everything, Dependencies::Installed) => {
                self.base(&self.building_image(), Some("install"), true);
                self.install();
                self.running_stage();
                self.file
                    .copy_from_owned("install", "/app/node_modules", "./node_modules");
                self.file.copy_everything_owned();
            }
            (Kept::Everything, Dependencies::WithTheBuild) if !self.recipe.compiles => {
                self.base(&bases::node(self.recipe.major), None, true);
                self.install();
                self.source();
                self.build();
                self.runtime_environment(false);
            }
            (Kept::Everything, Dependencies::WithTheBuild) => {
                self.base(&self.building_image(), Some("build"), true);
                self.install();
                self.source();
                self.build();
                self.running_stage();
                self.file.copy_from_owned("build", "/app", "./");
            }
            (Kept::Everything, Dependencies::Pruned) => {
                self.base(&self.building_image(), Some("install"), true);
                self.install();
                if self.recipe.prunes {
                    self.file.from("install", Some("dependencies"));
                    self.prune();
                }
                self.file.from("install", Some("build"));
                self.source();
                if is_built {
                    self.build();
                }
                self.file.comment("What was written, without the dependencies.");
                self.file.run(
                    &[],
                    "mkdir /out && find . -mindepth 1 -maxdepth 1 ! -name node_modules -exec cp -a -t /out {} +",
                );
                self.running_stage();
                if self.recipe.install.is_some() {
                    let stage = if self.recipe.prunes { "dependencies" } else { "install" };
                    self.file.copy_from_owned(stage, "/app/node_modules", "./node_modules");
                }
                self.file.copy_from_owned("build", "/out/", "./");
            }
        }
        self.recipe.browser.link(&mut self.file, "/app");
        self.file.run_as_its_owner();
        self.file.start(&start.as_process());
    }

    fn building_image(&self) -> String {
        let image = if self.recipe.compiles {
            bases::node_with_compilers
        } else {
            bases::node
        };
        image(self.recipe.major)
    }

    /// The beginning of a stage in which things are installed.
    fn base(&mut self, image: &str, stage: Option<&str>, with_manager: bool) {
        self.file.from(image, stage);
        self.runs = stage.is_none();
        if self.runs {
            self.file.install_packages(&self.recipe.libraries);
        }
        self.file.workdir("/app");
        if self.runs {
            self.file.account();
        }
        let mut environment = vec![PATH];
        environment.extend(self.recipe.manager.environment());
        environment.extend(self.recipe.browser.while_installing());
        if self.recipe.compiles {
            // Headers of Node.js are in the image; node-gyp would download them otherwise.
            environment.push(("npm_config_nodedir", "/usr/local"));
        }
        self.file.env(&environment);
        if with_manager && (self.recipe.install.is_some() || self.recipe.build.is_some() || self.recipe.runs_manager) {
            self.manager();
        }
        // What only serves is of no use to a build.
        self.tools(|tool| stage.is_none() || tool == Tool::Bun);
    }

    fn tools(&mut self, wanted: impl Fn(Tool) -> bool) {
        for tool in self.recipe.tools.iter().filter(|tool| wanted(**tool)) {
            self.file
                .run(&self.caches.mount("npm", "/root/.npm", false), &tool.obtain());
        }
    }

    fn manager(&mut self) {
        if let Some(command) = self.recipe.manager.obtain() {
            self.file.run(&self.caches.mount("npm", "/root/.npm", false), &command);
        }
    }

    fn install(&mut self) {
        let Some(Install {
            command,
            is_ours,
            inputs,
            variables,
        }) = &self.recipe.install
        else {
            return;
        };
        match inputs {
            Inputs::Everything => self.copy_everything(),
            Inputs::Only { files, folders } => {
                self.file.copy(files);
                for folder in folders {
                    self.file.copy_folder(folder);
                }
            }
        }
        let mounts = self.recipe.manager.caches(self.caches);
        // Later stages copy the folder, which is not made where there is nothing to put into it.
        const FOLDER: &str = "mkdir -p node_modules";
        let command = if *is_ours {
            dockerfile::and_then(command, FOLDER)
        } else {
            dockerfile::script_and_then(command, FOLDER)
        };
        let command = if self.runs {
            dockerfile::owning(&command)
        } else {
            command
        };
        if *is_ours && variables.is_empty() {
            self.file.run(&mounts, &command);
        } else {
            self.file.run_script(&mounts, variables, &command);
        }
    }

    fn prune(&mut self) {
        let Some(command) = self.recipe.manager.prune() else {
            return;
        };
        let mounts = self.recipe.manager.caches(self.caches);
        let command = format!("{command} && mkdir -p node_modules");
        match &self.recipe.install {
            Some(install) if !install.variables.is_empty() => {
                self.file.run_script(&mounts, &install.variables, &command)
            }
            _ => self.file.run(&mounts, &command),
        }
    }

    /// The source, unless it had to be there before.
    fn source(&mut self) {
        if self
            .recipe
            .install
            .as_ref()
            .is_none_or(|install| install.inputs != Inputs::Everything)
        {
            self.copy_everything();
        }
    }

    fn copy_everything(&mut self) {
        if self.runs {
            self.file.copy_everything_owned();
        } else {
            self.file.copy_everything();
        }
    }

    fn build(&mut self) {
        let Some(command) = &self.recipe.build else { return };
        self.file.env(self.recipe.build_environment);
        self.file.variables_digest(&self.recipe.build_variables);
        let mounts: Vec<String> = self
            .recipe
            .build_caches
            .iter()
            .flat_map(|(name, folder)| self.caches.mount(name, &format!("/app/{folder}"), false))
            .collect();
        let command = if self.runs {
            dockerfile::script_owning(command.text())
        } else {
            command.text().to_owned()
        };
        self.file.run_script(&mounts, &self.recipe.build_variables, &command);
    }

    /// One stage that installs and builds.
    fn built(&mut self) {
        self.base(&self.building_image(), Some("build"), true);
        self.install();
        self.source();
        self.build();
    }

    /// The stage that runs, up to what is copied into it.
    fn running_stage(&mut self) {
        self.file.from(&bases::node(self.recipe.major), None);
        self.file.install_packages(&self.recipe.libraries);
        self.file.workdir("/app");
        self.runs = true;
        self.file.account();
        if self.recipe.runs_manager {
            self.manager();
        }
        self.tools(|_| true);
        self.runtime_environment(true);
    }

    /// A stage that also installs has the first part already.
    fn runtime_environment(&mut self, is_new_stage: bool) {
        let mut environment = Vec::new();
        if is_new_stage {
            environment.push(PATH);
            if self.recipe.runs_manager {
                environment.extend(self.recipe.manager.environment());
            }
        }
        environment.extend([("NODE_ENV", "production"), ("HOST", "0.0.0.0"), ("HOSTNAME", "0.0.0.0")]);
        environment.extend(self.recipe.browser.while_running());
        self.file.env(&environment);
    }
}
