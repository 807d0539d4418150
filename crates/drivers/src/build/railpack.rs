//! The Railpack program: it reads an application's files and writes the plan that its frontend image builds.
//!
//! It runs with plain arguments, in an environment of our own, in its own process group, within a deadline, and with
//! limits on what it writes. Three facts of Railpack shape the rest. Its plan holds the names of variables and hardly
//! ever their values, and few of those change what it plans: so no other value is handed to it at all, and those go by the
//! environment rather than the arguments, which every user of a machine can read. It reads files at paths that variables
//! name, also outside of the application: so a path that leads upwards is refused. And it runs
//! whatever program lies at a fixed path under `/tmp` (mise), unchecked: so that path must belong to us or to root,
//! or planning is refused. A private `/tmp` would be better still and is for whoever starts us (systemd's `PrivateTmp`,
//! or our container).

mod info;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{SecretText, logs::clean_line};
use rustix::process::geteuid;
use tokio::io::AsyncReadExt;

use super::mask::Mask;
use crate::source::program::{Finished, Program, ProgramError, ProgramLimits, ignore};

pub use info::{Facts, Package};

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

/// Variables of other names whose values it reads. None of them means anything to a program as such: they are set in
/// the environment of ours.
const OTHERS_READ: [&str; 6] = [
    "CACHE_DRIVER",
    "CGO_ENABLED",
    "DB_CONNECTION",
    "MISE_VERBOSE",
    "QUEUE_CONNECTION",
    "SESSION_DRIVER",
];

/// What ends the names of those variables of Railpack's that hold commands, and no paths.
const COMMAND_SUFFIX: &str = "_CMD";

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
}

/// A plan and what is known about it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// `railpack-plan.json`, for [`domain::ports::builder::Recipe::Railpack`].
    pub plan: String,
    /// What was found out.
    pub facts: Facts,
    /// What the container runs, as a person may read it.
    pub start_command: Option<String>,
}

impl Railpack {
    /// The program at a path.
    #[must_use]
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            mise_folder: PathBuf::from(MISE_FOLDER),
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

    /// Plans the application in `directory`. The build will get `variables`; `choices` are variables of Railpack's that
    /// count for planning alone, and before those: a build that got them would run every step again when one changes.
    /// `scratch` is an empty folder of our own, outside of the application.
    ///
    /// # Errors
    /// See [`RailpackError`].
    pub async fn prepare(
        &self,
        directory: &Path,
        variables: &BTreeMap<String, SecretText>,
        choices: &BTreeMap<String, SecretText>,
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
        let chosen = variables.keys().chain(choices.keys()).collect::<BTreeSet<_>>();
        for name in chosen {
            let Some(value) = choices.get(name).or_else(|| variables.get(name)) else {
                continue;
            };
            if !is_name(name) {
                return Err(RailpackError::Name(clean_line(name)));
            }
            // Railpack leaves empty ones out.
            if value.expose().is_empty() {
                continue;
            }
            let is_own = name.starts_with(OWN_PREFIX);
            if is_own && !name.ends_with(COMMAND_SUFFIX) && leads_upwards(value.expose()) {
                let refusal = format!("`{name}` leads out of the application with `..`: name a place inside of it");
                return Err(RailpackError::Unplannable(vec![refusal]));
            }
            command = if is_own || OTHERS_READ.contains(&name.as_str()) {
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
                let mut facts = info::read(&info).await.unwrap_or_default();
                let Some(plan) = read(&plan).await else {
                    return Err(RailpackError::Broken("it wrote no plan".to_owned()));
                };
                if !facts.success && !facts.notes.is_empty() {
                    return Err(RailpackError::Unplannable(facts.reasons(&mask)));
                }
                facts.warnings = facts.warnings(&mask);
                let (plan, start_command) = for_build(&plan, variables, choices)?;
                let start_command = start_command.map(|command| clean_line(&mask.hide(&command)));
                Ok(Prepared {
                    plan,
                    facts,
                    start_command,
                })
            }
            Some(1) => {
                let mut reasons = info::read(&info)
                    .await
                    .map(|facts| facts.reasons(&mask))
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
        Program::new(&self.program)
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("NO_COLOR", "1")
            .current_dir(home)
            .deadline(DEADLINE)
            .limits(ProgramLimits {
                kept_bytes: KEPT_BYTES,
                ..ProgramLimits::default()
            })
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

/// Whether a value names a place above: one of its words is a path with `..` in it.
fn leads_upwards(value: &str) -> bool {
    let mut parts = value.split(|character: char| character == '/' || character == '\\' || character.is_whitespace());
    parts.any(|part| part == "..")
}

/// The plan as it is built, and its start command: without the names of `choices`, and refused when it wants a variable
/// that the build does not get, which fails the build with less of a reason.
fn for_build(
    plan: &str,
    variables: &BTreeMap<String, SecretText>,
    choices: &BTreeMap<String, SecretText>,
) -> Result<(String, Option<String>), RailpackError> {
    let mut plan: serde_json::Value =
        serde_json::from_str(plan).map_err(|error| RailpackError::Broken(format!("its plan is not JSON: {error}")))?;
    if let Some(names) = plan.get_mut("secrets").and_then(|names| names.as_array_mut()) {
        names.retain(|name| {
            let name = name.as_str().unwrap_or_default();
            variables.contains_key(name) || !choices.contains_key(name)
        });
        let wanted = names.iter().filter_map(|name| name.as_str());
        let missing: Vec<_> = wanted.filter(|name| !variables.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(RailpackError::Unplannable(vec![format!(
                "its configuration wants variables that the service does not have: {}. Set them, or take them out",
                clean_line(&missing.join(", "))
            )]));
        }
    }
    let start = plan["deploy"]["startCommand"].as_str().map(ToOwned::to_owned);
    Ok((plan.to_string(), start))
}

/// A file of Railpack's, if it is of a sensible size.
async fn read(place: &Path) -> Option<String> {
    let file = tokio::fs::File::open(place).await.ok()?;
    let mut text = String::new();
    let read = file.take(PLAN_BYTES + 1).read_to_string(&mut text).await.ok()?;
    (read > 0 && text.len() as u64 <= PLAN_BYTES).then_some(text)
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

    fn map(variables: &[(&str, &str)]) -> BTreeMap<String, SecretText> {
        let pairs = variables.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), SecretText::new(*value)))
            .collect()
    }

    async fn prepare(script: &str, variables: &[(&str, &str)]) -> Result<Prepared, RailpackError> {
        let (root, railpack) = stand_in(script);
        let scratch = root.path().join("scratch");
        railpack
            .prepare(Path::new("/app"), &map(variables), &BTreeMap::new(), &scratch)
            .await
    }

    /// A script that plans, and leaves what it was called with in the plan.
    const TELLS: &str = r#"
        printf '{"arguments":"%s","environment":"%s"}' "$(printf '%s\\n' "$@")" "$(env | grep -v ' ' | tr '\n' ' ')" > railpack-plan.json
        echo '{"success":true,"railpackVersion":"1"}' > railpack-info.json"#;

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
    async fn only_values_that_railpack_reads_are_handed_over_and_never_as_arguments() {
        let variables = [
            ("TOKEN", "s3cret-token"),
            ("RAILPACK_NODE_VERSION", "22"),
            ("CGO_ENABLED", "1"),
            ("EMPTY", ""),
        ];
        let prepared = prepare(TELLS, &variables).await.unwrap();
        let told: serde_json::Value = serde_json::from_str(&prepared.plan).unwrap();
        let arguments: Vec<_> = told["arguments"].as_str().unwrap().lines().collect();
        assert_eq!(arguments[..2], ["prepare", "/app"]);
        for named in ["TOKEN=set", "RAILPACK_NODE_VERSION", "CGO_ENABLED"] {
            assert!(
                arguments.windows(2).any(|pair| pair == ["--env", named]),
                "{arguments:?}"
            );
        }
        let environment: Vec<_> = told["environment"].as_str().unwrap().split(' ').collect();
        assert!(environment.contains(&"RAILPACK_NODE_VERSION=22") && environment.contains(&"CGO_ENABLED=1"));
        assert!(!prepared.plan.contains("s3cret") && !prepared.plan.contains("EMPTY"));
        assert_eq!(prepared.facts.railpack_version, "1");
        for name in ["A B", "--x"] {
            let refused = prepare(TELLS, &[(name, "x")]).await;
            assert!(matches!(refused, Err(RailpackError::Name(_))), "{name}");
        }
    }

    #[tokio::test]
    async fn a_place_outside_of_the_application_is_refused() {
        for outside in ["../other/railpack.json", "a/../../b", "ok ..", "..\\x"] {
            match prepare(TELLS, &[("RAILPACK_CONFIG_FILE", outside)]).await.unwrap_err() {
                RailpackError::Unplannable(reasons) => assert!(reasons[0].contains("`RAILPACK_CONFIG_FILE`")),
                other => panic!("{other:?}"),
            }
        }
        for fine in [
            ("RAILPACK_CONFIG_FILE", "deploy/rail..pack.json"),
            ("RAILPACK_START_CMD", "cd .. && ./run"),
            ("OTHER", "../x"),
        ] {
            assert!(prepare(TELLS, &[fine]).await.is_ok(), "{fine:?}");
        }
    }

    #[tokio::test]
    async fn choices_count_for_planning_and_are_not_part_of_the_build() {
        let script = r#"
            echo '{"success":true}' > railpack-info.json
            printf '{"steps":[1.5],"secrets":["A","RAILPACK_BUILD_CMD","RAILPACK_START_CMD"],"deploy":{"startCommand":"%s"}}' \
                "$RAILPACK_START_CMD" > railpack-plan.json"#;
        let (root, railpack) = stand_in(script);
        let variables = map(&[("A", "1"), ("RAILPACK_START_CMD", "theirs")]);
        let choices = map(&[("RAILPACK_START_CMD", "chosen"), ("RAILPACK_BUILD_CMD", "make")]);
        let scratch = root.path().join("scratch");
        let prepared = railpack.prepare(Path::new("/app"), &variables, &choices, &scratch);
        let prepared = prepared.await.unwrap();
        assert_eq!(prepared.start_command.as_deref(), Some("chosen"));
        let plan: serde_json::Value = serde_json::from_str(&prepared.plan).unwrap();
        assert_eq!(plan["secrets"], serde_json::json!(["A", "RAILPACK_START_CMD"]));
        assert_eq!(plan["steps"], serde_json::json!([1.5]));
        match prepare(script, &[("RAILPACK_START_CMD", "x"), ("RAILPACK_BUILD_CMD", "x")]).await {
            Err(RailpackError::Unplannable(reasons)) => assert!(reasons[0].contains(": A."), "{reasons:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn remarks_that_matter_become_warnings_in_one_line_each() {
        let script = r#"echo '{}' > railpack-plan.json
            printf '%s' '{"success":true,"logs":[{"Level":"info","Msg":"Detected Node"},{"Level":"warn","Msg":"two\n\n  lines of s3cret-token"},
                {"Level":"suggestion","Msg":"Pin it","DocsPath":"/pin"}]}' > railpack-info.json"#;
        let prepared = prepare(script, &[("TOKEN", "s3cret-token")]).await.unwrap();
        assert_eq!(
            prepared.facts.warnings,
            ["two lines of ***", "Pin it (https://railpack.com/pin)"]
        );
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
        let run = railpack.prepare(Path::new("/app"), &variables, &variables, &scratch);
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
    async fn the_real_program_plans_small_applications() {
        let path = std::env::var("PATH").unwrap_or_default();
        let Some(railpack) = Railpack::find(&path) else {
            contract::bed::skipped("railpack");
            return;
        };
        eprintln!("{}", railpack.version().await.unwrap());
        let root = tempfile::tempdir().unwrap();
        let scratch = root.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let application = |name: &str, file: &str, text: &str| {
            let directory = root.path().join(name);
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join(file), text).unwrap();
            directory
        };
        let page = application("page", "index.html", "<h1>hello</h1>");
        let variables = map(&[("TOKEN", "s3cret-token"), ("RAILPACK_PRUNE_DEPS", "1")]);
        let choices = map(&[("RAILPACK_START_CMD", "serve-it")]);
        let planned = match railpack.prepare(&page, &variables, &choices, &scratch).await {
            Ok(planned) => planned,
            // A closed network.
            Err(RailpackError::Transient(message)) => {
                eprintln!("{message}");
                contract::bed::skipped("railpack");
                return;
            }
            Err(other) => panic!("{other:?}"),
        };
        let plan: serde_json::Value = serde_json::from_str(&planned.plan).unwrap();
        assert!(!plan["steps"].as_array().unwrap().is_empty());
        assert_eq!(plan["secrets"], serde_json::json!(["RAILPACK_PRUNE_DEPS", "TOKEN"]));
        assert!(!planned.plan.contains("s3cret"));
        assert_eq!(planned.start_command.as_deref(), Some("serve-it"));
        assert_eq!(planned.facts.detected_providers, ["staticfile"]);

        let nothing = application("nothing", "notes.txt", "nothing");
        match railpack
            .prepare(&nothing, &variables, &choices, &scratch)
            .await
            .unwrap_err()
        {
            RailpackError::Unplannable(reasons) => assert!(reasons[0].contains("Python") && !reasons[0].contains("  ")),
            other => panic!("{other:?}"),
        }
        let wanting = application("wanting", "railpack.json", r#"{"secrets":["NOT_THERE"]}"#);
        std::fs::write(wanting.join("index.html"), "<h1>hello</h1>").unwrap();
        match railpack
            .prepare(&wanting, &variables, &choices, &scratch)
            .await
            .unwrap_err()
        {
            RailpackError::Unplannable(reasons) => assert!(reasons[0].contains("NOT_THERE"), "{reasons:?}"),
            other => panic!("{other:?}"),
        }
    }
}
