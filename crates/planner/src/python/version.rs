//! Which Python an application wants, and which it gets.

use toml::Table;

use crate::{
    Refusal, bases,
    settings::Choice,
    survey::Survey,
    tree::shown,
    versions::{Match, Range, python_line},
};

/// A minor of Python 3.
pub(crate) fn choose(survey: &mut Survey<'_>, project: &Table, pipfile: &Table) -> Result<u64, Refusal> {
    let Some((wish, because)) = wish(survey, project, pipfile)? else {
        let version = format!("3.{}", bases::PYTHON_DEFAULT);
        survey.fact("python version", &version, "nothing asks for another");
        return Ok(bases::PYTHON_DEFAULT);
    };
    let chosen = Range::python(&wish).and_then(|range| range.choose(bases::PYTHON_MINORS, python_line));
    let minor = match chosen {
        Some(Match::Within(minor)) => minor,
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
    Ok(minor)
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
    if found.is_some() {
        return Ok(found);
    }
    let tools = survey.tree.text(".tool-versions")?.unwrap_or_default();
    let version = tools.lines().find_map(|line| line.trim().strip_prefix("python "));
    Ok(version.map(|version| (version.trim().to_owned(), ".tool-versions".to_owned())))
}
