//! The Dockerfile of one package of several.
//!
//! What depends on the lock file and each `package.json` stays cached. What runs is installed by itself, beside what the build
//! needs, and the result of the build is put onto it.

use super::plan::Recipe;
use crate::{
    bases, caddy,
    command::Command,
    dockerfile::{Caches, Dockerfile},
    node::{
        framework::{Kept, Shape},
        manager::Tool,
    },
};

/// The stage that has what an installation reads.
const MANIFESTS: &str = "manifests";

struct Writer<'a> {
    recipe: &'a Recipe,
    caches: &'a Caches,
    file: Dockerfile,
}

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut writer = Writer {
        recipe,
        caches,
        file: Dockerfile::default(),
    };
    writer
        .file
        .comment(&format!("A package of several: {}.", recipe.folder));
    match &recipe.shape {
        Shape::Files { folder, missing } => {
            writer.manifests();
            writer.built();
            caddy::serve_built(&mut writer.file, folder, *missing);
        }
        Shape::Process { start, kept, .. } => writer.process(start, *kept),
        // Never passed on by what made the recipe; an image that does nothing is the honest result.
        Shape::Unknown => writer.file.from(&bases::node(recipe.major), None),
    }
    writer.file
}

impl Writer<'_> {
    fn process(&mut self, start: &Command, kept: Kept) {
        let folder = &self.recipe.folder;
        self.manifests();
        if let Some(command) = &self.recipe.install_for_running {
            self.file.comment("What runs.");
            self.file.from(MANIFESTS, Some("dependencies"));
            self.install(command, true);
        }
        self.built();
        match kept {
            Kept::Folder(output) => {
                self.running_stage();
                let output = format!("{folder}/{output}");
                self.file
                    .copy_from_owned("build", &format!("/app/{output}"), &format!("./{output}"));
            }
            Kept::NextStandalone => {
                self.file
                    .comment("Next.js puts the server below the folder that it takes for the repository's.");
                let standalone = format!("{folder}/.next/standalone");
                self.file.run(
                    &[],
                    &format!(
                        "mkdir -p /out/{folder} {folder}/public && \
                         if [ -f {standalone}/{folder}/server.js ]; then cp -a {standalone}/. /out; \
                         else cp -a {standalone}/. /out/{folder}; fi && \
                         cp -a {folder}/.next/static /out/{folder}/.next/ && cp -a {folder}/public /out/{folder}/"
                    ),
                );
                self.running_stage();
                self.file.copy_from_owned("build", "/out/", "./");
            }
            Kept::Everything => {
                let is_separate = self.recipe.install_for_running.is_some();
                self.collect(is_separate);
                self.running_stage();
                if is_separate {
                    self.file.copy_from_owned("dependencies", "/app/", "./");
                }
                self.file.copy_from_owned("build", "/out/", "./");
            }
        }
        self.recipe.browser.link(&mut self.file, &format!("/app/{folder}"));
        if !self.recipe.runs_in.is_empty() {
            self.file.workdir(&format!("/app/{}", self.recipe.runs_in));
        }
        self.file.run_as_its_owner();
        self.file.start(&start.as_process());
    }

    /// What every stage that installs stands on.
    fn manifests(&mut self) {
        let image = if self.recipe.compiles {
            bases::node_with_compilers
        } else {
            bases::node
        };
        self.file.from(&image(self.recipe.major), Some(MANIFESTS));
        self.file.workdir("/app");
        let path = self.path();
        let mut environment = vec![("PATH", path.as_str())];
        environment.extend(self.recipe.manager.environment());
        environment.extend(self.recipe.browser.while_installing());
        if self.recipe.compiles {
            // Headers of Node.js are in the image; node-gyp would download them otherwise.
            environment.push(("npm_config_nodedir", "/usr/local"));
        }
        self.file.env(&environment);
        self.manager();
        // What only serves is of no use to a build.
        self.tools(|tool| tool == Tool::Bun);
        match &self.recipe.inputs {
            Some((files, folders)) => {
                self.file.copy(files);
                folders.iter().for_each(|folder| self.file.copy_folder(folder));
            }
            None => self.file.copy_everything(),
        }
    }

    fn path(&self) -> String {
        format!(
            "/app/{}/node_modules/.bin:/app/node_modules/.bin:$PATH",
            self.recipe.folder
        )
    }

    fn built(&mut self) {
        let recipe = self.recipe;
        self.file.comment("What it is built with, and the build.");
        self.file.from(MANIFESTS, Some("build"));
        if recipe.inputs.is_some() && recipe.sources_first {
            self.file.copy_everything();
        }
        self.install(&recipe.install.0, recipe.install.1);
        if !recipe.sources_first {
            self.file.copy_everything();
        }
        let Some(command) = &recipe.build else { return };
        self.file.env(&recipe.build_environment);
        self.file.variables_digest(&recipe.build_variables);
        let caches = recipe.build_caches.iter();
        let mounts: Vec<String> = caches
            .flat_map(|(name, folder)| self.caches.mount(name, &format!("/app/{folder}"), false))
            .collect();
        self.file.run_script(&mounts, &recipe.build_variables, command.text());
    }

    fn install(&mut self, command: &str, is_ours: bool) {
        let mounts = self.recipe.manager.caches(self.caches);
        let variables = &self.recipe.install_variables;
        if is_ours {
            self.file.run_seeing(&mounts, variables, command);
        } else {
            self.file.run_script(&mounts, variables, command);
        }
    }

    /// Puts what the build left into `/out`: with or without what was installed, and without packages that do not run.
    fn collect(&mut self, without_dependencies: bool) {
        self.file.comment("What was built, of the packages that run.");
        let mut excluded: Vec<String> = self
            .recipe
            .left_out
            .iter()
            .map(|folder| format!("./{folder}"))
            .collect();
        if without_dependencies {
            excluded.push("node_modules".to_owned());
        }
        excluded.extend(["*/.next/cache", ".turbo", ".nx"].map(str::to_owned));
        let excluded: Vec<String> = excluded
            .iter()
            .map(|pattern| format!("--exclude='{pattern}'"))
            .collect();
        let script = format!(
            "mkdir /out && tar -cf /out.tar {} . && tar -xf /out.tar -C /out && rm /out.tar",
            excluded.join(" ")
        );
        self.file.run(&[], &script);
    }

    /// The stage that runs, up to what is copied into it.
    fn running_stage(&mut self) {
        self.file.from(&bases::node(self.recipe.major), None);
        self.file.install_packages(&self.recipe.libraries);
        self.file.workdir("/app");
        self.file.account();
        if self.recipe.runs_manager {
            self.manager();
        }
        self.tools(|_| true);
        let path = self.path();
        let mut environment = vec![("PATH", path.as_str())];
        if self.recipe.runs_manager {
            environment.extend(self.recipe.manager.environment());
        }
        environment.extend([("NODE_ENV", "production"), ("HOST", "0.0.0.0"), ("HOSTNAME", "0.0.0.0")]);
        environment.extend(self.recipe.browser.while_running());
        self.file.env(&environment);
    }

    fn manager(&mut self) {
        if let Some(command) = self.recipe.manager.obtain() {
            self.file.run(&self.caches.mount("npm", "/root/.npm", false), &command);
        }
    }

    fn tools(&mut self, wanted: impl Fn(Tool) -> bool) {
        for tool in self.recipe.tools.iter().filter(|tool| wanted(**tool)) {
            self.file
                .run(&self.caches.mount("npm", "/root/.npm", false), &tool.obtain());
        }
    }
}
