//! A shell script that starts everything: what is left when no language is recognized.

use crate::{
    Refusal, bases,
    command::{relative_path, words},
    dockerfile::Dockerfile,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{is_plain_path, shown},
};

const SCRIPT: &str = "start.sh";

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

pub(crate) fn is_there(survey: &Survey<'_>) -> bool {
    survey.tree.has_file(SCRIPT) || survey.chosen(Choice::ShellScript).is_some() || started_script(survey).is_some()
}

/// The application's own script that the start command runs, and what decided that.
fn started_script(survey: &Survey<'_>) -> Option<(String, String)> {
    let (command, because) = match survey.chosen(Choice::Start) {
        Some(chosen) => (chosen.value, chosen.because),
        None => {
            let (name, command) = survey.procfile.start.clone()?;
            (command.text().to_owned(), format!("{name} in the Procfile"))
        }
    };
    let script = words(&command)
        .map(|word| word.strip_prefix("./").unwrap_or(word))
        .find(|word| word.ends_with(".sh") && is_plain_path(word) && survey.tree.has_file(word))?;
    Some((script.to_owned(), because))
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let tree = survey.tree;
    let (script, because) = match survey.chosen(Choice::ShellScript) {
        Some(chosen) => (relative_path(&chosen.value, &chosen.because)?, chosen.because),
        None => started_script(survey).unwrap_or_else(|| (SCRIPT.to_owned(), format!("{SCRIPT} is there"))),
    };
    let Some(text) = tree.text(&script)? else {
        return Err(Refusal::Setting {
            name: because,
            why: format!(
                "there is no file {}. Name one below the application's directory",
                shown(&script)
            ),
        });
    };
    survey.fact("script", &script, &because);
    let (shell, package) = shell(&script, &text)?;
    let first = text.lines().next().unwrap_or_default();
    let reason = if first.starts_with("#!") {
        format!("the first line of {script} is {first}")
    } else {
        format!("{script} does not name a shell in its first line")
    };
    survey.fact("shell", shell, &reason);
    let mut packages = vec!["ca-certificates"];
    packages.extend(package);
    let calls = |tool: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.into_iter().any(|line| {
            words(line).any(|word| {
                word.trim_start_matches(['$', '(', '`'])
                    .trim_end_matches([';', ')', '`'])
                    == tool
            })
        })
    };
    let called: Vec<&(&str, &'static str)> = TOOLS.iter().filter(|(tool, _)| calls(tool)).collect();
    if !called.is_empty() {
        let tools: Vec<&str> = called.iter().map(|(tool, _)| *tool).collect();
        survey.fact("packages", &tools.join(", "), &format!("{script} calls them"));
    }
    packages.extend(called.iter().map(|(_, package)| *package));

    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    let start_override = survey.start_override()?;
    let (start_command, port) = match &start_override {
        Some(command) => (command.text().to_owned(), command.literal_port()),
        None => (format!("{shell} {script}"), None),
    };
    let install_variables = survey.variables(|_| install.is_some());
    let build_variables = survey.build_variables();

    let mut file = Dockerfile::default();
    file.comment("A shell script.");
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
        None => file.start_words(&[shell, &script]),
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
