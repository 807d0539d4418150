//! What the start command starts: it says in which language an application is written where the files alone do not, and
//! which of several languages is the one that runs.

use crate::{
    command::{is_assignment, words},
    provider::Provider,
    settings::Choice,
    survey::Survey,
    tree::is_plain_path,
};

/// The language that a start command calls for.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) provider: Provider,
    /// What in the command says so, and where that stands.
    pub(crate) because: String,
}

/// A program of the application's own that a start command runs.
#[derive(Debug)]
pub(crate) struct OwnProgram {
    pub(crate) path: String,
    pub(crate) because: String,
}

/// Words that stand before the program that they run.
const BEFORE_PROGRAMS: &[&str] = &["exec", "env", "nohup", "time", "tini", "dumb-init", "--"];

/// Programs of Python's world that are not Python itself.
const OF_PYTHON: &[&str] = &[
    "celery",
    "daphne",
    "fastapi",
    "flask",
    "gunicorn",
    "hypercorn",
    "streamlit",
    "uvicorn",
    "waitress-serve",
];

/// The language whose program a start command calls. A program of the application's own has the language of its first line.
pub(crate) fn find(survey: &Survey<'_>) -> Option<Started> {
    let (command, source) = start_command(survey)?;
    let named = programs(&command).find_map(|program| {
        let provider = language(program.rsplit('/').next().unwrap_or(program))?;
        Some((provider, format!("`{program}` is called by {source}")))
    });
    let own = || {
        let path = programs(&command).find_map(|program| own_path(survey, program))?;
        let text = survey.tree.head(&path);
        let first = text.lines().next()?.strip_prefix("#!")?;
        let provider = words(first).find_map(|word| language(word.rsplit('/').next().unwrap_or(word)))?;
        Some((provider, format!("the first line of {path}, which {source} runs")))
    };
    let (provider, because) = named.or_else(own)?;
    Some(Started { provider, because })
}

/// The application's own program or script that the start command runs, and what decided that.
pub(crate) fn own_program(survey: &Survey<'_>) -> Option<OwnProgram> {
    let (command, because) = start_command(survey)?;
    let script = words(&command)
        .map(|word| word.strip_prefix("./").unwrap_or(word))
        .find(|word| word.ends_with(".sh") && is_plain_path(word) && survey.tree.has_file(word))
        .map(str::to_owned);
    let path = script.or_else(|| programs(&command).find_map(|program| own_path(survey, program)))?;
    Some(OwnProgram { path, because })
}

/// The start command and where it stands: the user's, else the Procfile's.
fn start_command(survey: &Survey<'_>) -> Option<(String, String)> {
    if let Some(chosen) = survey.chosen(Choice::Start) {
        return Some((chosen.value, chosen.because));
    }
    let (name, command) = survey.procfile.start.as_ref()?;
    Some((command.text().to_owned(), format!("{name} in the Procfile")))
}

/// The programs that a command calls, as far as they can be told without a shell.
fn programs(command: &str) -> impl Iterator<Item = &str> {
    command.split(['&', ';', '|', '\n']).filter_map(|part| {
        words(part.trim_start_matches(['(', ' '])).find(|word| !is_assignment(word) && !BEFORE_PROGRAMS.contains(word))
    })
}

fn language(program: &str) -> Option<Provider> {
    let version = program.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let is_version = version.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    match program {
        "node" | "nodejs" => Some(Provider::Node),
        "ruby" | "bundle" | "rackup" | "puma" => Some(Provider::Ruby),
        "php" | "heroku-php-apache2" | "heroku-php-nginx" => Some(Provider::Php),
        "deno" => Some(Provider::Deno),
        _ if program.starts_with("python") && is_version => Some(Provider::Python),
        _ => OF_PYTHON.contains(&program).then_some(Provider::Python),
    }
}

/// The file of the application that a word runs: a shell looks in the current folder only for what has a slash.
fn own_path(survey: &Survey<'_>, program: &str) -> Option<String> {
    let path = program
        .strip_prefix("/app/")
        .or_else(|| program.strip_prefix("./"))
        .unwrap_or(program);
    (program.contains('/') && is_plain_path(path) && survey.tree.has_file(path)).then(|| path.to_owned())
}
