//! The Dockerfile of a Python application.
//!
//! Where nothing has to be compiled there is one stage: dependencies first, so that a change of the source only copies
//! the source. Tools (uv, Poetry, Pipenv) are made in a stage of their own and only mounted.

use crate::{
    bases, debian,
    dockerfile::{self, Caches, Dockerfile},
    python::{
        Recipe,
        dependencies::{Installer, VENDORED},
    },
};

const ENVIRONMENT: &[(&str, &str)] = &[
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_ROOT_USER_ACTION", "ignore"),
    // The proxy in front says what the visitor's scheme and address are.
    ("FORWARDED_ALLOW_IPS", "\"*\""),
];
const VENV: (&str, &str) = ("PATH", "/opt/venv/bin:$PATH");

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
    writer.file.comment("A Python application.");
    writer.tool_stage();
    if recipe.compiled.is_empty() {
        writer.file.from(&bases::python(recipe.minor), None);
        writer.file.install_packages(&recipe.system);
        writer.file.workdir("/app");
        writer.file.account();
        writer.environment(writer.has_venv());
        writer.install();
    } else {
        writer.compiling_stage();
        writer.file.from(&bases::python(recipe.minor), None);
        writer.file.install_packages(&recipe.system);
        writer.file.workdir("/app");
        writer.file.account();
        writer.environment(true);
        writer.file.copy_from("install", "/opt/venv", "/opt/venv");
    }
    if !writer.needs_source() || !recipe.compiled.is_empty() {
        writer.file.copy_everything_owned();
    }
    writer.after_source();
    writer.build();
    if recipe.runs_uv {
        writer.file.copy_from("tool", "/opt/tool/bin/uv", "/usr/local/bin/uv");
        // All is installed, and not the application's to change.
        writer.file.env(&[("UV_NO_SYNC", "1")]);
    }
    writer.file.run_as_its_owner();
    writer.file.start(&recipe.serving.start.as_process());
    writer.file
}

impl Writer<'_> {
    /// uv wants an environment of the application's own; so does copying what was compiled.
    fn has_venv(&self) -> bool {
        matches!(self.recipe.installer, Installer::Uv { .. }) || !self.recipe.compiled.is_empty()
    }

    fn environment(&mut self, has_venv: bool) {
        let mut environment = ENVIRONMENT.to_vec();
        if has_venv {
            environment.push(VENV);
            environment.push(("VIRTUAL_ENV", "/opt/venv"));
        }
        let minor = format!("3.{}", self.recipe.minor);
        if matches!(self.recipe.installer, Installer::Uv { .. }) {
            environment.extend([
                ("UV_PROJECT_ENVIRONMENT", "/opt/venv"),
                ("UV_PYTHON", minor.as_str()),
                ("UV_PYTHON_DOWNLOADS", "never"),
                ("UV_LINK_MODE", "copy"),
            ]);
        }
        self.file.env(&environment);
    }

    fn pip(&self) -> &'static str {
        if self.caches.are_on() {
            "pip install"
        } else {
            "pip install --no-cache-dir"
        }
    }

    fn pip_cache(&self) -> Vec<String> {
        self.caches.mount("pip", "/root/.cache/pip", false)
    }

    /// The installing program, from the Python package index, apart from the application.
    fn tool_stage(&mut self) {
        if self.recipe.install.is_some() {
            return;
        }
        let pip = self.pip();
        let command = match self.recipe.installer {
            Installer::Uv { .. } => format!("{pip} --target /opt/tool uv"),
            Installer::Poetry { .. } => {
                format!("python -m venv /opt/tool && /opt/tool/bin/{pip} poetry poetry-plugin-export")
            }
            Installer::Pipenv { .. } => format!("python -m venv /opt/tool && /opt/tool/bin/{pip} pipenv"),
            Installer::Pdm { .. } => format!("python -m venv /opt/tool && /opt/tool/bin/{pip} pdm"),
            _ => return,
        };
        self.file.from(&bases::python(self.recipe.minor), Some("tool"));
        self.file.env(&[
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
        ]);
        let mounts = self.pip_cache();
        self.file.run(&mounts, &command);
    }

    fn compiling_stage(&mut self) {
        self.file
            .from(&bases::python_with_compilers(self.recipe.minor), Some("install"));
        let headers: Vec<&str> = self
            .recipe
            .compiled
            .iter()
            .flat_map(|package| package.to_build)
            .copied()
            .collect();
        // The usual headers are in the image; these may not be.
        let usual = ["libpq-dev", "default-libmysqlclient-dev", "pkg-config"];
        let unusual: Vec<&str> = headers.into_iter().filter(|package| !usual.contains(package)).collect();
        if !unusual.is_empty() {
            self.file.run(&[], &debian::install(&unusual));
        }
        self.file.workdir("/app");
        self.environment(true);
        if !matches!(self.recipe.installer, Installer::Uv { .. }) {
            self.file.run(&[], "python -m venv /opt/venv");
        }
        self.install();
        self.package_into_venv();
    }

    /// Whether everything has to be copied before anything is installed.
    fn needs_source(&self) -> bool {
        self.recipe.install.is_some()
            || match &self.recipe.installer {
                Installer::Requirements { inputs, .. } => inputs.is_none(),
                Installer::SetupScript => true,
                Installer::Project {
                    dependencies,
                    is_package,
                } => *is_package && dependencies.is_empty(),
                Installer::Uv { needs_source, .. } => *needs_source,
                _ => false,
            }
    }

    /// Installs the dependencies, from as few files as possible.
    fn install(&mut self) {
        if self.needs_source() {
            // What compiles is a stage of its own, from which the packages alone are taken.
            if self.recipe.compiled.is_empty() {
                self.file.copy_everything_owned();
            } else {
                self.file.copy_everything();
            }
        }
        let added = self.recipe.serving.added.clone();
        let variables = self.recipe.install_variables.clone();
        if let Some(command) = &self.recipe.install {
            let mounts = self.pip_cache();
            self.file.run_script(&mounts, &variables, command.text());
            self.add(&added);
            return;
        }
        let pip = self.pip();
        let tool = "--mount=type=bind,from=tool,source=/opt/tool,target=/opt/tool".to_owned();
        match &self.recipe.installer {
            Installer::Nothing => self.add(&added),
            Installer::Requirements { file, inputs } => {
                self.file.copy(inputs.as_deref().unwrap_or_default());
                let mounts = self.pip_cache();
                self.vendored();
                let command = self.pip_with_list(file, &added);
                self.file.run_seeing(&mounts, &variables, &command);
            }
            Installer::Project { dependencies, .. } | Installer::Conda { dependencies } => {
                let mounts = self.pip_cache();
                let mut words: Vec<&str> = pip.split(' ').collect();
                words.push("--");
                words.extend(dependencies.iter().map(String::as_str));
                words.extend(&added);
                if !dependencies.is_empty() || !added.is_empty() {
                    if variables.is_empty() {
                        self.file.run_words(&mounts, &words);
                    } else {
                        // The shell sets the variables and becomes pip; the words stay words.
                        self.file.run_script_with_words(&mounts, &variables, &words);
                    }
                }
            }
            Installer::SetupScript => {
                let mounts = self.pip_cache();
                let mut command = format!("{pip} .");
                added.iter().for_each(|name| command.push_str(&format!(" {name}")));
                self.file.run_seeing(&mounts, &variables, &command);
            }
            Installer::Uv {
                is_locked,
                needs_source,
                ..
            } => {
                if !needs_source {
                    self.lock_files("pyproject.toml", is_locked.then_some("uv.lock"));
                }
                let mut mounts = vec![tool];
                mounts.extend(self.uv_cache());
                let frozen = if *is_locked { " --frozen" } else { "" };
                let command = format!("/opt/tool/bin/uv sync{frozen} --no-dev --no-install-project");
                self.file.run_seeing(&mounts, &variables, &command);
                if !added.is_empty() {
                    let command = format!("/opt/tool/bin/uv pip install --python /opt/venv {}", added.join(" "));
                    self.file.run_seeing(&mounts, &variables, &command);
                }
            }
            Installer::Poetry { is_locked, .. } => {
                // Poetry itself asks one package index only; pip asks the one that is configured. What Poetry exports
                // has hashes, and pip then wants one for everything: servers are added afterwards.
                let lock = if *is_locked {
                    ""
                } else {
                    "/opt/tool/bin/poetry lock --no-interaction && "
                };
                // It also leaves out some packages that are wanted by an extra only, on which pip would then fail: what
                // is listed is installed and checked first, and what is still missing afterwards.
                let export = "/opt/tool/bin/poetry export --only main --no-interaction";
                let command = format!(
                    "{lock}{export} -o /tmp/requirements.txt && {pip} --no-deps -r /tmp/requirements.txt && \
                     {export} --without-hashes -o /tmp/requirements.txt && {pip} -r /tmp/requirements.txt"
                );
                self.lock_files("pyproject.toml", is_locked.then_some("poetry.lock"));
                let mut mounts = vec![tool];
                mounts.extend(self.pip_cache());
                self.file.run_seeing(&mounts, &variables, &command);
                self.add(&added);
            }
            Installer::Pdm { .. } => {
                self.lock_files("pyproject.toml", Some("pdm.lock"));
                let mut mounts = vec![tool];
                mounts.extend(self.pip_cache());
                let command = format!(
                    "/opt/tool/bin/pdm export --prod -o /tmp/requirements.txt && {pip} -r /tmp/requirements.txt"
                );
                self.file.run_seeing(&mounts, &variables, &command);
                self.add(&added);
            }
            Installer::Pipenv { is_locked } => {
                self.lock_files("Pipfile", is_locked.then_some("Pipfile.lock"));
                let mut mounts = vec![tool];
                mounts.extend(self.pip_cache());
                let lock = if *is_locked {
                    ""
                } else {
                    "/opt/tool/bin/pipenv lock && "
                };
                self.vendored();
                let install = self.pip_with_list("/tmp/requirements.txt", &added);
                let command = format!("{lock}/opt/tool/bin/pipenv requirements >/tmp/requirements.txt && {install}");
                self.file.run_seeing(&mounts, &variables, &command);
            }
        }
    }

    /// pip's command for a list. What lies in the repository is taken without any index, if all is there.
    fn pip_with_list(&self, list: &str, added: &[&str]) -> String {
        let pip = self.pip();
        let list: String = added
            .iter()
            .fold(list.to_owned(), |list, name| format!("{list} {name}"));
        if !self.recipe.is_vendored {
            return format!("{pip} -r {list}");
        }
        format!("{{ {pip} --no-index --find-links {VENDORED} -r {list} || {pip} --find-links {VENDORED} -r {list}; }}")
    }

    /// The packages that lie in the repository, where not all of it is there yet.
    fn vendored(&mut self) {
        if self.recipe.is_vendored && !self.needs_source() {
            self.file.copy_folder(VENDORED);
        }
    }

    fn lock_files(&mut self, list: &str, lock: Option<&str>) {
        let files: Vec<String> = [Some(list), lock].into_iter().flatten().map(str::to_owned).collect();
        self.file.copy(&files);
    }

    fn uv_cache(&self) -> Vec<String> {
        self.caches.mount("uv", "/root/.cache/uv", false)
    }

    /// Servers that the application does not bring along.
    fn add(&mut self, names: &[&str]) {
        if !names.is_empty() {
            let mounts = self.pip_cache();
            let command = format!("{} {}", self.pip(), names.join(" "));
            self.file.run(&mounts, &command);
        }
    }

    /// The project itself, where it is a package. A compiled environment has got it in its own stage.
    fn after_source(&mut self) {
        if self.recipe.compiled.is_empty() {
            self.install_project();
        }
        if !self.recipe.corpora.is_empty() {
            let names = self.recipe.corpora.join(" ");
            self.file.run(
                &[],
                &format!("python -m nltk.downloader -d /usr/local/share/nltk_data {names}"),
            );
        }
    }

    /// In the compiling stage, a package has to be in the environment before that is copied.
    fn package_into_venv(&mut self) {
        let is_package = match &self.recipe.installer {
            Installer::Project { is_package, .. }
            | Installer::Uv { is_package, .. }
            | Installer::Poetry { is_package, .. }
            | Installer::Pdm { is_package } => *is_package,
            _ => false,
        };
        if is_package {
            if !self.needs_source() {
                self.file.copy_everything();
            }
            self.install_project();
        }
    }

    fn install_project(&mut self) {
        if self.recipe.install.is_some() {
            return;
        }
        let variables = self.recipe.install_variables.clone();
        let tool = "--mount=type=bind,from=tool,source=/opt/tool,target=/opt/tool".to_owned();
        match &self.recipe.installer {
            Installer::Project {
                is_package: true,
                dependencies,
            } => {
                // A dynamic list of dependencies is known only now.
                let no_dependencies = if dependencies.is_empty() { "" } else { " --no-deps" };
                let mounts = self.pip_cache();
                let command = format!("{}{no_dependencies} .", self.pip());
                self.file.run_seeing(&mounts, &variables, &command);
            }
            Installer::Uv {
                is_locked,
                is_package: true,
                ..
            } => {
                let mut mounts = vec![tool];
                mounts.extend(self.uv_cache());
                let locked = if *is_locked { " --locked" } else { "" };
                let command = format!("/opt/tool/bin/uv sync{locked} --no-dev --inexact");
                self.file.run_seeing(&mounts, &variables, &command);
            }
            Installer::Poetry { is_package: true, .. } | Installer::Pdm { is_package: true } => {
                let mounts = self.pip_cache();
                let command = format!("{} --no-deps .", self.pip());
                self.file.run_seeing(&mounts, &variables, &command);
            }
            _ => {}
        }
    }

    fn build(&mut self) {
        let variables = self.recipe.build_variables.clone();
        if self.recipe.build.is_some() || self.recipe.serving.collects_static_files.is_some() {
            self.file.variables_digest(&variables);
        }
        if let Some(command) = &self.recipe.build {
            self.file
                .run_script(&[], &variables, &dockerfile::script_owning(command.text()));
        }
        if let Some(manage) = &self.recipe.serving.collects_static_files {
            let command = dockerfile::owning(&format!("python {manage} collectstatic --noinput"));
            self.file.run_seeing(&[], &variables, &command);
        }
    }
}
