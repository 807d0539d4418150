//! The Railpack program: it reads an application's files and writes the plan that its frontend image builds.
//!
//! It runs with plain arguments, in an environment of our own, in its own process group, within a deadline, and with
//! limits on what it writes. Two facts of Railpack shape the rest. Its plan holds the names of variables and never
//! their values, and only those that begin with `RAILPACK_` change what it plans: so no other value is handed to it at
//! all, and those go by the environment rather than the arguments, which every user of a machine can read. And it runs
//! whatever program lies at a fixed path under `/tmp` (mise), unchecked: so that path must belong to us or to root,
//! or planning is refused. A private `/tmp` would be better still and is for whoever starts us (systemd's `PrivateTmp`,
//! or our container).

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{SecretText, logs::clean_line};
use rustix::process::geteuid;
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use super::mask::Mask;
use crate::source::program::{Finished, Program, ProgramError, ProgramLimits, ignore};

/// How long planning may take; a first run fetches tools.
const DEADLINE: Duration = Duration::from_secs(120);

/// The longest plan that is read.
const PLAN_BYTES: u64 = 4 * 1024 * 1024;

/// How much of the end of what the program prints is kept.
const KEPT_BYTES: usize = 64 * 1024;

/// Where Railpack expects mise.
const MISE_FOLDER: &str = "/tmp/railpack";

/// Exit code of a failure that may pass.
const TRANSIENT: i32 = 75;

/// What begins the names of the variables that Railpack reads.
const OWN_PREFIX: &str = "RAILPACK_";

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum RailpackError {
    /// The program cannot be run.
    #[error("Railpack cannot be run: {0}")]
    Broken(String),
    /// The application cannot be planned. Trying again does not help.
    #[error("Railpack cannot plan this application: {}", .0.join(" "))]
    Unplannable(Vec<String>),
    /// Something that Railpack needs was not to be had. Trying again can help.
    #[error("Railpack could not fetch what it needs: {0}")]
    Transient(String),
    /// It took too long.
    #[error("Railpack did not finish within {} seconds", DEADLINE.as_secs())]
    TooLong,
    /// A name that cannot be an environment variable's.
    #[error("`{0}` cannot be the name of a variable")]
    Name(String),
}

/// The program.
#[derive(Debug, Clone)]
pub struct Railpack {
    program: PathBuf,
    mise_folder: PathBuf,
    environment: BTreeMap<String, String>,
}

/// A plan and what is known about it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// `railpack-plan.json`, for [`domain::ports::builder::Recipe::Railpack`].
    pub plan: String,
    /// What was found out.
    pub facts: Facts,
}

/// What Railpack found out about an application.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Railpack's version.
    pub railpack_version: String,
    /// `node`, `python`, ….
    pub detected_providers: Vec<String>,
    /// The versions that it chose, by package.
    pub resolved_packages: BTreeMap<String, Package>,
    /// Such as `nodePackageManager`.
    pub metadata: BTreeMap<String, String>,
    /// What it had to say.
    #[serde(rename = "logs")]
    pub notes: Vec<Note>,
    success: bool,
}

/// A package that Railpack chose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Package {
    /// What was asked for.
    pub requested_version: String,
    /// What it became.
    pub resolved_version: String,
    /// Who asked.
    pub source: String,
}

/// A remark of Railpack.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Note {
    /// `info`, `warn`, `error`, ….
    #[serde(rename = "Level")]
    pub level: String,
    /// The remark.
    #[serde(rename = "Msg")]
    pub text: String,
}

impl Railpack {
    /// The program at a path.
    #[must_use]
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            mise_folder: PathBuf::from(MISE_FOLDER),
            environment: BTreeMap::new(),
        }
    }

    /// The first program called `railpack` in the folders of a search path.
    #[must_use]
    pub fn find(search_path: &str) -> Option<Self> {
        search_path
            .split(':')
            .filter(|folder| folder.starts_with('/'))
            .map(|folder| Path::new(folder).join("railpack"))
            .find(|program| {
                program
                    .metadata()
                    .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
            })
            .map(Self::at)
    }

    /// What the program gets beside the bare minimum: proxies, certificates.
    #[must_use]
    pub fn with_environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.environment = environment;
        self
    }

    /// Its version, in its own words.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn version(&self) -> Result<String, RailpackError> {
        let ended = run(self.command(Path::new("/")).arg("--version")).await?;
        let said = clean_line(said(&ended).trim());
        match ended.status.code() {
            Some(0) => Ok(said),
            _ => Err(RailpackError::Broken(said)),
        }
    }

    /// Plans the application in `directory`. `scratch` is an empty folder of our own, outside of it.
    ///
    /// # Errors
    /// See [`RailpackError`].
    pub async fn prepare(
        &self,
        directory: &Path,
        variables: &BTreeMap<String, SecretText>,
        scratch: &Path,
    ) -> Result<Prepared, RailpackError> {
        mise_is_ours(&self.mise_folder)?;
        let (plan, info) = (scratch.join("railpack-plan.json"), scratch.join("railpack-info.json"));
        let mut command = self
            .command(scratch)
            .arg("prepare")
            .arg(directory)
            .args(["--hide-pretty-plan", "--error-missing-start", "--plan-out"])
            .arg(&plan)
            .arg("--info-out")
            .arg(&info);
        for (name, value) in variables {
            if !is_name(name) {
                return Err(RailpackError::Name(clean_line(name)));
            }
            // Railpack leaves empty ones out.
            if value.expose().is_empty() {
                continue;
            }
            command = if name.starts_with(OWN_PREFIX) {
                // A name alone is looked up in the environment.
                command.arg("--env").arg(name).env(name, value.expose())
            } else {
                command.arg("--env").arg(format!("{name}=set"))
            };
        }
        let ended = run(command).await?;
        let mask = Mask::new(variables.values());
        let said = || clean_line(&mask.hide(last_line(&said(&ended))));
        match ended.status.code() {
            Some(0) => {
                let facts = facts(&info).await.unwrap_or_default();
                match read(&plan).await {
                    Some(plan) if facts.success || facts.notes.is_empty() => Ok(Prepared { plan, facts }),
                    Some(_) => Err(RailpackError::Unplannable(reasons(&facts, &mask))),
                    None => Err(RailpackError::Broken("it wrote no plan".to_owned())),
                }
            }
            Some(1) => {
                let mut reasons = facts(&info)
                    .await
                    .map(|facts| reasons(&facts, &mask))
                    .unwrap_or_default();
                if reasons.is_empty() {
                    reasons.push(said());
                }
                Err(RailpackError::Unplannable(reasons))
            }
            Some(TRANSIENT) => Err(RailpackError::Transient(said())),
            _ => Err(RailpackError::Broken(said())),
        }
    }

    fn command(&self, home: &Path) -> Program {
        let mut command = Program::new(&self.program)
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("NO_COLOR", "1")
            .current_dir(home)
            .deadline(DEADLINE)
            .limits(ProgramLimits {
                kept_bytes: KEPT_BYTES,
                ..ProgramLimits::default()
            });
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        command
    }
}

async fn run(program: Program) -> Result<Finished, RailpackError> {
    program.run(ignore).await.map_err(|error| match error {
        ProgramError::TooSlow { .. } => RailpackError::TooLong,
        other => RailpackError::Broken(report(&other)),
    })
}

/// An error with its cause.
fn report(error: &ProgramError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What it printed, its errors last.
fn said(ended: &Finished) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!("{}\n{}", text(&ended.stdout), text(&ended.stderr))
}

/// Whether what Railpack runs unchecked can have been put there by nobody else.
fn mise_is_ours(folder: &Path) -> Result<(), RailpackError> {
    let programs_folder = folder.join("mise");
    let ours = |path: &Path| match path.symlink_metadata() {
        Ok(metadata) => {
            let owner = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
            owner && !metadata.is_symlink() && metadata.mode() & 0o022 == 0
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let programs = std::fs::read_dir(&programs_folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("mise"))
        .map(|entry| entry.path());
    let mut places = [folder.to_owned(), programs_folder.clone()].into_iter().chain(programs);
    match places.find(|place| !ours(place)) {
        Some(place) => Err(RailpackError::Broken(format!(
            "{} can be changed by others, and Railpack runs what lies there",
            place.display()
        ))),
        None => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|character: char| character.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

async fn facts(info: &Path) -> Option<Facts> {
    serde_json::from_str(&read(info).await?).ok()
}

async fn read(place: &Path) -> Option<String> {
    let file = tokio::fs::File::open(place).await.ok()?;
    let mut text = String::new();
    let read = file.take(PLAN_BYTES + 1).read_to_string(&mut text).await.ok()?;
    (read > 0 && text.len() as u64 <= PLAN_BYTES).then_some(text)
}

fn reasons(facts: &Facts, mask: &Mask) -> Vec<String> {
    facts
        .notes
        .iter()
        .filter(|note| note.level.eq_ignore_ascii_case("error"))
        .map(|note| clean_line(&mask.hide(&note.text.replace('\n', " "))))
        .take(20)
        .collect()
}

fn last_line(output: &str) -> &str {
    output.trim_end().lines().next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program that behaves as Railpack does, for what does not need the real one.
    fn stand_in(script: &str) -> (tempfile::TempDir, Railpack) {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("railpack");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(root.path().join("scratch")).unwrap();
        let mut railpack = Railpack::find(&format!("relative:/none:{}", root.path().display())).unwrap();
        // What lies in the machine's own folder is not this test's business.
        railpack.mise_folder = root.path().join("mise");
        (root, railpack)
    }

    async fn prepare(script: &str, variables: &[(&str, &str)]) -> Result<Prepared, RailpackError> {
        let (root, railpack) = stand_in(script);
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretText::new(*value)))
            .collect();
        railpack
            .prepare(Path::new("/app"), &variables, &root.path().join("scratch"))
            .await
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("railpack");
        assert!(mise_is_ours(&folder).is_ok());
        std::fs::create_dir_all(folder.join("mise")).unwrap();
        std::fs::write(folder.join("mise/mise-1"), "").unwrap();
        let set = |path: &str, mode| {
            std::fs::set_permissions(folder.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, closed) in [("", 0o755), ("mise", 0o755), ("mise/mise-1", 0o755)] {
            set(path, closed);
        }
        assert!(mise_is_ours(&folder).is_ok());
        for (path, closed) in [("", 0o755), ("mise", 0o755), ("mise/mise-1", 0o755)] {
            set(path, 0o777);
            assert!(mise_is_ours(&folder).is_err(), "{path}");
            set(path, closed);
        }
    }

    #[tokio::test]
    async fn values_of_variables_are_not_among_the_arguments() {
        let script = r#"printf '%s\n' "$@" > railpack-plan.json; env >> railpack-plan.json; echo '{"success":true,"railpackVersion":"1"}' > railpack-info.json"#;
        let variables = [
            ("TOKEN", "s3cret-token"),
            ("RAILPACK_NODE_VERSION", "22"),
            ("EMPTY", ""),
        ];
        let prepared = prepare(script, &variables).await.unwrap();
        let (arguments, environment) = prepared.plan.split_once("PATH=").unwrap();
        assert!(arguments.starts_with("prepare\n/app\n"));
        assert!(arguments.contains("--env\nTOKEN=set\n") && arguments.contains("--env\nRAILPACK_NODE_VERSION\n"));
        assert!(!prepared.plan.contains("s3cret") && !prepared.plan.contains("EMPTY"));
        assert!(arguments.contains("RAILPACK_NODE_VERSION=22") || environment.contains("RAILPACK_NODE_VERSION=22"));
        assert_eq!(prepared.facts.railpack_version, "1");
        assert!(matches!(
            prepare(script, &[("A B", "x")]).await,
            Err(RailpackError::Name(_))
        ));
        assert!(matches!(
            prepare(script, &[("--x", "x")]).await,
            Err(RailpackError::Name(_))
        ));
    }

    #[tokio::test]
    async fn exit_codes_mean_what_railpack_says() {
        let script = r#"echo '{"success":false,"logs":[{"Level":"error","Msg":"no start command"}]}' > railpack-info.json; exit 1"#;
        match prepare(script, &[]).await.unwrap_err() {
            RailpackError::Unplannable(reasons) => assert_eq!(reasons, ["no start command"]),
            other => panic!("{other:?}"),
        }
        match prepare("echo first; echo no network >&2; exit 75", &[])
            .await
            .unwrap_err()
        {
            RailpackError::Transient(message) => assert_eq!(message, "no network"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(prepare("exit 0", &[]).await, Err(RailpackError::Broken(_))));
        assert!(matches!(
            prepare("kill -9 $$", &[]).await,
            Err(RailpackError::Broken(_))
        ));
        assert!(matches!(
            Railpack::at("/no/such/program").version().await,
            Err(RailpackError::Broken(_))
        ));
    }

    #[tokio::test]
    async fn dropping_it_ends_all_that_it_started() {
        let (root, railpack) = stand_in("sleep 299.25 & echo $! > child; wait");
        let scratch = root.path().join("scratch");
        let variables = BTreeMap::new();
        let run = railpack.prepare(Path::new("/app"), &variables, &scratch);
        let seen = tokio::time::timeout(Duration::from_secs(2), run).await;
        assert!(seen.is_err());
        let child = std::fs::read_to_string(scratch.join("child")).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z"), "{state}");
    }

    #[tokio::test]
    async fn a_flood_of_output_does_no_harm() {
        match prepare("yes | head -c 3000000; exit 75", &[]).await.unwrap_err() {
            RailpackError::Transient(message) => assert!(message.len() < 10),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_real_program_plans_a_small_application() {
        let path = std::env::var("PATH").unwrap_or_default();
        let Some(railpack) = Railpack::find(&path) else {
            let required = std::env::var("CLICK_DEPLOY_REQUIRE").unwrap_or_default();
            assert!(!required.contains("railpack"), "railpack is required and absent");
            contract::bed::skipped("railpack");
            return;
        };
        eprintln!("{}", railpack.version().await.unwrap());
        let root = tempfile::tempdir().unwrap();
        let (application, scratch) = (root.path().join("app"), root.path().join("scratch"));
        std::fs::create_dir_all(&application).unwrap();
        std::fs::create_dir_all(&scratch).unwrap();
        std::fs::write(application.join("index.html"), "<h1>hello</h1>").unwrap();
        match railpack.prepare(&application, &BTreeMap::new(), &scratch).await {
            Ok(prepared) => assert!(prepared.plan.contains("steps")),
            // A closed network.
            Err(RailpackError::Transient(message)) => contract::bed::skipped(&format!("railpack ({message})")),
            Err(other) => panic!("{other:?}"),
        }
    }
}
