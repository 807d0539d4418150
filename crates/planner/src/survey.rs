//! What every provider works with: the files, the user's decisions, and what has been found out so far.

use crate::{
    Fact, Plan, Refusal, Settings, base_images_of_dockerfile,
    command::{Command, is_variable_name, relative_path, words},
    debian,
    dockerfile::{Caches, Dockerfile, Variables},
    evidence,
    overrides::{OWN, Overrides},
    procfile::Procfile,
    settings::{Choice, Chosen},
    tree::{Tree, is_plain_path, shown},
};

/// More facts than this nobody reads; hostile files could make thousands.
const MOST_REMARKS: usize = 100;

/// More packages than this nobody asks for; each stands in the Dockerfile.
const MOST_PACKAGES: usize = 100;

/// The names of all variables stand on one line, which old builders limit to 64 KiB.
const LONGEST_NAMES: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct Survey<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) settings: &'a Settings,
    pub(crate) procfile: Procfile,
    overrides: Overrides,
    /// What runs in the new image before the application is started from it.
    pub(crate) release: Option<Command>,
    /// Debian's packages that the user, or the application's own file, asks for.
    packages: Packages,
    /// Lines of a generated `.dockerignore` that stand before all others.
    pub(crate) leave_out: Vec<String>,
    facts: Vec<Fact>,
    warnings: Vec<String>,
}

/// Debian's packages, as apt takes them.
#[derive(Debug, Default)]
struct Packages {
    /// In the stages that build.
    build: Vec<String>,
    /// In the image that runs.
    run: Vec<String>,
}

/// What a provider found out about building and starting.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) provider: &'static str,
    pub(crate) framework: Option<String>,
    pub(crate) dockerfile: Dockerfile,
    /// What a generated `.dockerignore` adds to what is never wanted.
    pub(crate) leave_out: &'static [&'static str],
    pub(crate) port: Option<u16>,
    pub(crate) start_command: Option<String>,
}

impl<'a> Survey<'a> {
    pub(crate) fn begin(tree: &'a Tree, settings: &'a Settings, overrides: Overrides) -> Result<Self, Refusal> {
        let key = &settings.cache_key;
        let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        if key.len() > 128 || !key.chars().all(plain) {
            return Err(Refusal::Setting {
                name: "the cache key".to_owned(),
                why: "it is up to 128 letters, digits, dots, dashes and underscores".to_owned(),
            });
        }
        let names: usize = settings
            .variables
            .keys()
            .filter(|name| is_variable_name(name))
            .map(|name| name.len() + 1)
            .sum();
        if names > LONGEST_NAMES {
            return Err(Refusal::Setting {
                name: "the variables".to_owned(),
                why: format!(
                    "their names have {names} bytes together, and at most {LONGEST_NAMES} fit into a build step"
                ),
            });
        }
        let mut survey = Survey {
            tree,
            settings,
            procfile: Procfile::read(tree)?,
            overrides,
            release: None,
            packages: Packages::default(),
            leave_out: Vec::new(),
            facts: Vec::new(),
            warnings: Vec::new(),
        };
        if !survey.procfile.others.is_empty() {
            let others = survey.procfile.others.join(", ");
            survey.warn(&format!(
                "The Procfile's other processes ({others}) are not started. Make a service of each, with its command as \
                 the start command."
            ));
        }
        survey.find_release()?;
        survey.packages = Packages {
            build: survey.find_packages(Choice::BuildPackages, "packages of the build")?,
            run: survey.find_packages(Choice::RunPackages, "packages of the image")?,
        };
        for warning in std::mem::take(&mut survey.overrides.warnings) {
            survey.warn(&warning);
        }
        let unknown = settings.unknown_choices();
        if !unknown.is_empty() {
            survey.warn(&format!(
                "This planner does not know these variables: {}.",
                unknown.join(", ")
            ));
        }
        for other in ["railpack.toml", "nixpacks.toml", "nixpacks.json"] {
            if tree.has(other) {
                survey.warn(&format!(
                    "{other} is not read by this planner. Its settings can be given as the service's, or in {OWN}."
                ));
            }
        }
        Ok(survey)
    }

    pub(crate) fn fact(&mut self, name: &str, value: &str, because: &str) {
        if self.facts.len() < MOST_REMARKS {
            let (because, evidence) = evidence::of(self.tree, because);
            self.facts.push(Fact {
                name: name.to_owned(),
                value: shown(value),
                because: shown(&because),
                evidence,
            });
        }
    }

    pub(crate) fn warn(&mut self, text: &str) {
        if self.warnings.len() < MOST_REMARKS {
            self.warnings.push(
                text.chars()
                    .filter(|character| !character.is_control())
                    .take(1_000)
                    .collect(),
            );
        }
    }

    /// What the user decided: for the service, else in the application's own files.
    pub(crate) fn chosen(&self, choice: Choice) -> Option<Chosen> {
        self.settings.chosen(choice).or_else(|| self.overrides.chosen(choice))
    }

    /// A command that the user chose, which is also told.
    pub(crate) fn chosen_command(&mut self, choice: Choice, name: &str) -> Result<Option<Command>, Refusal> {
        let Some(chosen) = self.chosen(choice) else {
            return Ok(None);
        };
        let command = Command::parse(&chosen.value, &chosen.because)?;
        self.fact(name, command.text(), &chosen.because);
        Ok(Some(command))
    }

    /// The start command that wins over what a provider would find: the user's, then that of the application's own file,
    /// then the Procfile's.
    pub(crate) fn start_override(&mut self) -> Result<Option<Command>, Refusal> {
        if let Some(command) = self.chosen_command(Choice::Start, "start command")? {
            return Ok(Some(command));
        }
        let Some((name, command)) = self.procfile.start.clone() else {
            return Ok(None);
        };
        self.fact("start command", command.text(), &format!("{name} in the Procfile"));
        if name != "web" {
            self.warn(&format!(
                "The Procfile has no `web`: `{name}`, its only process, is started. It is live once it listens on PORT."
            ));
        }
        Ok(Some(command))
    }

    /// What runs before the application is started: the user's wish, then that of the application's own file, then the
    /// Procfile's.
    fn find_release(&mut self) -> Result<(), Refusal> {
        self.release = match self.chosen_command(Choice::Release, "release command")? {
            Some(command) => Some(command),
            None => {
                let command = self.procfile.release.clone();
                if let Some(command) = &command {
                    self.fact("release command", command.text(), "release in the Procfile");
                }
                command
            }
        };
        Ok(())
    }

    /// Tells how migrations of a database are run, where nothing runs before each release yet.
    pub(crate) fn tell_migrations(&mut self, command: &str) {
        if self.release.is_none() {
            let because =
                format!("they change data: make `{command}` the release command to run them with each deployment");
            self.fact("migrations", "not run", &because);
        }
    }

    /// Debian's packages that the user, or the application's own file, asks for.
    fn find_packages(&mut self, choice: Choice, fact: &str) -> Result<Vec<String>, Refusal> {
        let Some(chosen) = self.chosen(choice) else {
            return Ok(Vec::new());
        };
        let words = chosen
            .value
            .split([' ', ',', '\n', '\t'])
            .filter(|word| !word.is_empty());
        let packages: Vec<String> = words.map(str::to_owned).collect();
        if packages.len() > MOST_PACKAGES {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!("it names {} packages, and {MOST_PACKAGES} are the most", packages.len()),
            });
        }
        if let Some(bad) = packages.iter().find(|package| !debian::is_package(package)) {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!(
                    "{:?} is no name of a Debian package, such as `ffmpeg` or `curl=8.14.1-2`",
                    shown(bad)
                ),
            });
        }
        self.fact(fact, &packages.join(" "), &chosen.because);
        Ok(packages)
    }

    /// Whether the image that runs gets packages of Debian.
    pub(crate) fn has_run_packages(&self) -> bool {
        !self.packages.run.is_empty()
    }

    /// The file of the application's folder that a start command expects and that is not there: the build puts its program
    /// there.
    pub(crate) fn expected_program(&mut self, start: Option<&Command>) -> Option<String> {
        let first = words(start?.text()).find(|word| !word.contains('=') && *word != "exec")?;
        let path = first
            .strip_prefix("/app/")
            .or_else(|| first.strip_prefix("./"))
            .unwrap_or(first);
        if !first.contains('/') || !is_plain_path(path) || self.tree.has(path) {
            return None;
        }
        let path = path.to_owned();
        self.fact("program", &path, "the start command expects it there");
        Some(path)
    }

    /// The folder to serve, if the user chose one.
    pub(crate) fn output_override(&mut self) -> Result<Option<String>, Refusal> {
        let Some(chosen) = self.chosen(Choice::Output) else {
            return Ok(None);
        };
        let path = relative_path(&chosen.value, &chosen.because)?;
        self.fact(
            "output directory",
            if path.is_empty() { "." } else { &path },
            &chosen.because,
        );
        Ok(Some(path))
    }

    /// The variables that a command may see.
    pub(crate) fn variables(&mut self, wanted: impl Fn(&str) -> bool) -> Variables {
        let names = self.settings.variables.keys();
        let names = names.filter(|name| !Settings::is_choice(name) && is_variable_name(name) && *name != "PATH");
        Variables::new(names.filter(|name| wanted(name)).cloned().collect())
    }

    /// The variables of the build command: all of them.
    pub(crate) fn build_variables(&mut self) -> Variables {
        let names = self.settings.variables.keys();
        let unusable: Vec<String> = names
            .filter(|name| !is_variable_name(name) || *name == "PATH")
            .map(|name| shown(name))
            .collect();
        if !unusable.is_empty() {
            self.warn(&format!(
                "Not passed to the build, as no shell could take them: {}.",
                unusable.join(", ")
            ));
        }
        self.variables(|_| true)
    }

    pub(crate) fn caches(&self) -> Caches {
        if self.settings.caches_are_off() {
            return Caches::new("");
        }
        Caches::new(&self.settings.cache_key)
    }

    pub(crate) fn finish(mut self, mut outcome: Outcome) -> Plan {
        let packages = std::mem::take(&mut self.packages);
        if !outcome.dockerfile.with_packages(&packages.build, &packages.run) {
            self.warn("The image that runs is not Debian's: the packages of the image are left out.");
        }
        let dockerfile = outcome.dockerfile.finish();
        let dockerignore = (!self.tree.has_dockerignore()).then(|| {
            let always = [".git", ".hg", ".svn", "**/.DS_Store", "**/node_modules"];
            let own = self.leave_out.iter().map(String::as_str);
            own.chain(always.iter().chain(outcome.leave_out).copied())
                .map(|pattern| format!("{pattern}\n"))
                .collect()
        });
        Plan {
            provider: outcome.provider.to_owned(),
            framework: outcome.framework,
            base_images: base_images_of_dockerfile(&dockerfile, &std::collections::BTreeMap::new(), None),
            dockerfile,
            dockerignore,
            facts: self.facts,
            port: outcome.port,
            start_command: outcome.start_command,
            release_command: self.release.map(|command| command.text().to_owned()),
            warnings: self.warnings,
        }
    }
}
