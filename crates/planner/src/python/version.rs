//! Which Python an application wants, and which it gets.

use toml::Table;

use crate::{
    Refusal, bases,
    python::{
        conda::Environment,
        dependencies::{self, Names, VENDORED},
        lock, pins,
    },
    settings::Choice,
    survey::Survey,
    tool_versions,
    tree::shown,
    versions::{Match, Range, python_line},
};

/// A minor of Python 3.
pub(crate) fn choose(
    survey: &mut Survey<'_>,
    project: &Table,
    pipfile: &Table,
    lock: Option<&str>,
    names: &Names,
) -> Result<u64, Refusal> {
    let lines = match survey.settings.closed_network {
        true => bases::PYTHON_CLOSED,
        false => bases::PYTHON_MINORS,
    };
    let Some((wish, because)) = wish(survey, project, pipfile)? else {
        if let Some((minor, because)) = of_packages(survey, lock, names, bases::PYTHON_CLOSED, bases::PYTHON_DEFAULT) {
            survey.fact("python version", &format!("3.{minor}"), &because);
            return Ok(minor);
        }
        let version = format!("3.{}", bases::PYTHON_DEFAULT);
        survey.fact("python version", &version, "nothing asks for another");
        return Ok(bases::PYTHON_DEFAULT);
    };
    let range = range(&wish);
    let chosen = range
        .as_ref()
        .and_then(|range| range.choose_preferring(&[bases::PYTHON_DEFAULT], lines, python_line));
    let minor = match chosen {
        Some(Match::Within(minor)) => {
            let is_allowed = |minor: &u64| {
                let alone = range.as_ref().and_then(|range| range.choose(&[*minor], python_line));
                matches!(alone, Some(Match::Within(_)))
            };
            let allowed: Vec<u64> = lines.iter().copied().filter(is_allowed).collect();
            if let Some((minor, reason)) = of_packages(survey, lock, names, &allowed, minor) {
                survey.fact(
                    "python version",
                    &format!("3.{minor}"),
                    &format!("{because} asks for {wish}, {reason}"),
                );
                return Ok(minor);
            }
            minor
        }
        Some(Match::Nearest(minor)) => {
            survey.warn(&format!(
                "Python {} is asked for by {because}. There is no base image for it, so Python 3.{minor} is used.",
                shown(&wish)
            ));
            minor
        }
        None => {
            survey.warn(&format!(
                "{:?} of {because} is no version of Python that is understood, so 3.{} is used.",
                shown(&wish),
                bases::PYTHON_DEFAULT
            ));
            bases::PYTHON_DEFAULT
        }
    };
    survey.fact(
        "python version",
        &format!("3.{minor}"),
        &format!("{because} asks for {wish}"),
    );
    if let Some((_, since)) = bases::PYTHON_ENDED.iter().find(|(ended, _)| *ended == minor) {
        survey.warn(&format!(
            "Python 3.{minor} has had no security fixes since {since}. Ask for 3.{} or newer.",
            bases::PYTHON_DEFAULT
        ));
    }
    Ok(minor)
}

/// Another of the allowed versions, if the packages are there ready-made for that one rather.
fn of_packages(
    survey: &Survey<'_>,
    lock: Option<&str>,
    names: &Names,
    allowed: &[u64],
    newest: u64,
) -> Option<(u64, String)> {
    of_lock(survey, lock, allowed, newest).or_else(|| {
        let closed = survey.settings.closed_network;
        let older = bases::PYTHON_MINORS
            .iter()
            .filter(|minor| !closed && **minor < 11)
            .copied();
        // Where nothing asks for a version, also those that get no fixes any more, rather than none.
        let older = older.filter(|_| allowed == bases::PYTHON_CLOSED);
        let allowed: Vec<u64> = allowed.iter().copied().chain(older).collect();
        let (minor, what) = pins::newest(names, &allowed).filter(|_| lock.is_none())?;
        let reason = format!("{what} is ready-made up to there, not for 3.{newest}");
        (minor < newest).then_some((minor, reason))
    })
}

/// The same by the names of the wheels that a lock file lists, or that lie in the repository.
fn of_lock(survey: &Survey<'_>, lock: Option<&str>, allowed: &[u64], newest: u64) -> Option<(u64, String)> {
    let vendored = dependencies::vendored(survey.tree);
    let (file, text) = match lock.filter(|_| allowed.len() > 1) {
        Some(file) => (file, survey.tree.text(file).ok()??),
        None if allowed.len() > 1 => (VENDORED, lock::as_lock(&vendored)),
        None => return None,
    };
    let minor = lock::most_wheels(&text, allowed)?;
    (minor != newest).then(|| {
        (
            minor,
            format!("{file} holds packages that are ready-made for 3.{minor}, not for 3.{newest}"),
        )
    })
}

fn wish(survey: &Survey<'_>, project: &Table, pipfile: &Table) -> Result<Option<(String, String)>, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::PythonVersion) {
        return Ok(Some((chosen.value, chosen.because)));
    }
    for file in [".python-version", "runtime.txt"] {
        let text = survey.tree.text(file)?.unwrap_or_default();
        let line = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .find(|l| !l.is_empty());
        if let Some(line) = line {
            let version = line
                .strip_prefix("python-")
                .or_else(|| line.strip_prefix("cpython-"))
                .unwrap_or(line);
            return Ok(Some((version.to_owned(), file.to_owned())));
        }
    }
    let in_table = |table: &Table, path: &[&str]| super::text_at(table, path).map(str::to_owned);
    let places = [
        (
            pipfile,
            vec!["requires", "python_full_version"],
            "requires.python_full_version in Pipfile",
        ),
        (
            pipfile,
            vec!["requires", "python_version"],
            "requires.python_version in Pipfile",
        ),
        (
            project,
            vec!["project", "requires-python"],
            "requires-python in pyproject.toml",
        ),
        (
            project,
            vec!["tool", "poetry", "dependencies", "python"],
            "tool.poetry.dependencies.python in pyproject.toml",
        ),
    ];
    let found = places
        .iter()
        .find_map(|(table, path, because)| Some((in_table(table, path)?, (*because).to_owned())));
    let pin = tool_versions::wish(survey.tree, &["python"])?;
    let of_conda = || {
        let environment = Environment::read(survey.tree).ok()??;
        Some((environment.python?, environment.file))
    };
    let found = found.or_else(of_conda);
    let Some((asked, _)) = &found else {
        return Ok(pin);
    };
    let leaves_open = |wish: &str| {
        let ranges = range(asked).zip(range(wish));
        ranges.is_some_and(|(asked, named)| asked.leaves_open(&named, bases::PYTHON_MINORS, python_line))
    };
    Ok(pin.filter(|(wish, _)| leaves_open(wish)).or(found))
}

/// Python's ranges, and the name of tool managers for whatever is newest.
fn range(wish: &str) -> Option<Range> {
    match wish {
        "latest" => Range::python(">=3"),
        _ => Range::python(wish),
    }
}
