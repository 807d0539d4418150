//! A shell script, or a ready-made program, that starts everything: what is left when no language is recognized.

use crate::{
    Refusal, bases,
    command::{relative_path, words},
    dockerfile::Dockerfile,
    settings::Choice,
    started,
    survey::{Outcome, Survey},
    tree::{is_plain_path, shown},
};

const SCRIPT: &str = "start.sh";

/// The package with what tells whom to trust over TLS.
const CERTIFICATES: &str = "ca-certificates";

/// How a compiled program of Linux begins.
const COMPILED: &str = "\u{7f}ELF";

/// Commands that scripts call, and the packages that bring them. The system has the usual small tools already.
const TOOLS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("wget", "wget"),
    ("jq", "jq"),
    ("git", "git"),
    ("nc", "netcat-openbsd"),
    ("socat", "socat"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("unzip", "unzip"),
    ("psql", "postgresql-client"),
    ("redis-cli", "redis-tools"),
    ("sqlite3", "sqlite3"),
    ("envsubst", "gettext-base"),
];

/// Those of them that speak to nobody over TLS.
const WITHOUT_TLS: &[&str] = &["jq", "nc", "unzip", "sqlite3", "envsubst"];

pub(crate) fn is_there(survey: &Survey<'_>) -> bool {
    survey.tree.has_file(SCRIPT)
        || survey.chosen(Choice::ShellScript).is_some()
        || started::own_program(survey).is_some()
}

/// What is started, and what it needs.
struct Started {
    words: Vec<String>,
    packages: Vec<&'static str>,
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let Started { words, packages } = started(survey)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    let start_override = survey.start_override()?;
    let (start_command, port) = match &start_override {
        Some(command) => (command.text().to_owned(), command.literal_port()),
        None => (words.join(" "), None),
    };
    let install_variables = survey.variables(|_| install.is_some());
    let build_variables = survey.build_variables();

    let mut file = Dockerfile::default();
    file.comment(match words.as_slice() {
        [_] => "A ready-made program.",
        _ => "A shell script.",
    });
    file.from(bases::DEBIAN, None);
    file.install_packages(&packages);
    file.workdir("/app");
    file.copy_everything_owned();
    if let Some(command) = &install {
        file.run_script(&[], &install_variables, command.text());
    }
    if let Some(command) = &build {
        file.variables_digest(&build_variables);
        file.run_script(&[], &build_variables, command.text());
    }
    // The folder itself, and what commands as root have left in it.
    file.own(install.is_some() || build.is_some());
    file.env(&[("HOME", "/app")]);
    file.run_as_its_owner();
    match &start_override {
        Some(command) => file.start(&command.as_process()),
        None => file.start_words(&words),
    }
    Ok(Outcome {
        provider: "shell",
        framework: None,
        dockerfile: file,
        leave_out: &[],
        port,
        start_command: Some(start_command),
    })
}

/// Looks into the script or program that is named, that the start command runs, or that has the usual name.
fn started(survey: &mut Survey<'_>) -> Result<Started, Refusal> {
    let tree = survey.tree;
    let (path, because) = match survey.chosen(Choice::ShellScript) {
        Some(chosen) => (relative_path(&chosen.value, &chosen.because)?, chosen.because),
        None => match started::own_program(survey) {
            Some(program) => (program.path, program.because),
            None => (SCRIPT.to_owned(), format!("{SCRIPT} is there")),
        },
    };
    if !tree.has_file(&path) {
        return Err(Refusal::Setting {
            name: because,
            why: format!(
                "there is no file {}. Name one below the application's directory",
                shown(&path)
            ),
        });
    }
    let text = tree.head(&path);
    if text.starts_with(COMPILED) {
        survey.fact("program", &path, &because);
        return Ok(Started {
            words: vec![format!("./{path}")],
            packages: vec![CERTIFICATES],
        });
    }
    let mut packages = Vec::new();
    survey.fact("script", &path, &because);
    let (shell, package) = shell(&path, &text)?;
    let first = text.lines().next().unwrap_or_default();
    let reason = if first.starts_with("#!") {
        format!("the first line of {path} is {first}")
    } else {
        format!("{path} does not name a shell in its first line")
    };
    survey.fact("shell", shell, &reason);
    let is_own = |word: &str| {
        let path = word.strip_prefix("./").unwrap_or(word);
        is_plain_path(path) && tree.has_file(path)
    };
    // Without any, nothing has to be fetched to build the image.
    let runs_programs = text.lines().any(|line| words(line).any(is_own));
    let asks_others = TOOLS
        .iter()
        .any(|(tool, _)| !WITHOUT_TLS.contains(tool) && calls(&text, tool));
    let builds = [Choice::Install, Choice::Build]
        .iter()
        .any(|choice| survey.chosen(*choice).is_some());
    if runs_programs || asks_others || builds {
        packages.push(CERTIFICATES);
    }
    packages.extend(package);
    let called: Vec<&(&str, &'static str)> = TOOLS.iter().filter(|(tool, _)| calls(&text, tool)).collect();
    if !called.is_empty() {
        let tools: Vec<&str> = called.iter().map(|(tool, _)| *tool).collect();
        survey.fact("packages", &tools.join(", "), &format!("{path} calls them"));
    }
    packages.extend(called.iter().map(|(_, package)| *package));
    let words = vec![shell.to_owned(), path];
    Ok(Started { words, packages })
}

/// Whether a script has a command among its words.
fn calls(script: &str, tool: &str) -> bool {
    let mut lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| {
        words(line).any(|word| {
            word.trim_start_matches(['$', '(', '`'])
                .trim_end_matches([';', ')', '`'])
                == tool
        })
    })
}

/// The shell that a script asks for, and the package that has it.
fn shell(script: &str, text: &str) -> Result<(&'static str, Option<&'static str>), Refusal> {
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("#!")) else {
        return Ok(("sh", None));
    };
    let mut parts = line
        .split_whitespace()
        .map(|word| word.rsplit('/').next().unwrap_or_default());
    let mut program = parts.next().unwrap_or_default();
    if program == "env" {
        program = parts.find(|word| !word.starts_with('-')).unwrap_or_default();
    }
    match program {
        "sh" | "dash" => Ok(("sh", None)),
        "bash" => Ok(("bash", None)),
        "zsh" => Ok(("zsh", Some("zsh"))),
        "ksh" => Ok(("ksh", Some("ksh"))),
        "fish" => Ok(("fish", Some("fish"))),
        other => Err(Refusal::Setting {
            name: format!("the first line of {}", shown(script)),
            why: format!(
                "{:?} is none of sh, bash, zsh, ksh and fish. Begin the script with #!/bin/sh, or add a Dockerfile",
                shown(other)
            ),
        }),
    }
}
