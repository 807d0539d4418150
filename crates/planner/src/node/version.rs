//! Which Node.js an application wants, and which it gets.

use crate::{
    Refusal, bases,
    node::package::Package,
    settings::Choice,
    survey::Survey,
    tool_versions,
    tree::{Tree, shown},
    versions::{Match, Range, node_line},
};

pub(crate) fn choose(survey: &mut Survey<'_>, package: &Package) -> Result<u64, Refusal> {
    let Some((wish, because)) = wish(survey, package)? else {
        survey.fact(
            "node version",
            &bases::NODE_DEFAULT.to_string(),
            "nothing asks for another; it has long-term support",
        );
        return Ok(bases::NODE_DEFAULT);
    };
    let chosen =
        range(&wish).and_then(|range| range.choose_preferring(bases::NODE_SUPPORTED, bases::NODE_MAJORS, node_line));
    let major = match chosen {
        Some(Match::Within(major)) => major,
        Some(Match::Nearest(major)) => {
            survey.warn(&format!(
                "Node.js {} is asked for by {because}. There is no base image for it, so Node.js {major} is used.",
                shown(&wish)
            ));
            major
        }
        None => {
            survey.warn(&format!(
                "{:?} of {because} is no version of Node.js that is understood, so {} is used.",
                shown(&wish),
                bases::NODE_DEFAULT
            ));
            bases::NODE_DEFAULT
        }
    };
    survey.fact(
        "node version",
        &major.to_string(),
        &format!("{because} asks for {wish}"),
    );
    if let Some((_, since)) = bases::NODE_ENDED.iter().find(|(ended, _)| *ended == major) {
        survey.warn(&format!(
            "Node.js {major} has had no security fixes since {since}. Ask for {} or newer.",
            bases::NODE_DEFAULT
        ));
    }
    Ok(major)
}

fn wish(survey: &Survey<'_>, package: &Package) -> Result<Option<(String, String)>, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::NodeVersion) {
        return Ok(Some((chosen.value, chosen.because)));
    }
    let pin = pin(survey.tree, package)?;
    let Some(engine) = package.text(&["engines", "node"]) else {
        return Ok(pin);
    };
    let leaves_open = |wish: &str| {
        let ranges = range(engine).zip(range(wish));
        ranges.is_some_and(|(engine, named)| engine.leaves_open(&named, bases::NODE_MAJORS, node_line))
    };
    Ok(pin
        .filter(|(wish, _)| leaves_open(wish))
        .or_else(|| Some((engine.to_owned(), "engines.node in package.json".to_owned()))))
}

/// What the application is developed with, where a file names it.
fn pin(tree: &Tree, package: &Package) -> Result<Option<(String, String)>, Refusal> {
    for file in [".nvmrc", ".node-version"] {
        let text = tree.text(file)?.unwrap_or_default();
        let line = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .find(|l| !l.is_empty());
        if let Some(line) = line {
            return Ok(Some((line.to_owned(), file.to_owned())));
        }
    }
    if let Some(version) = package.text(&["volta", "node"]) {
        return Ok(Some((version.to_owned(), "volta.node in package.json".to_owned())));
    }
    tool_versions::wish(tree, &["nodejs", "node"])
}

/// npm's ranges, and the names that nvm knows.
fn range(wish: &str) -> Option<Range> {
    match wish.trim_start_matches("lts/").to_ascii_lowercase().as_str() {
        "lts" | "stable" => Range::npm(&bases::NODE_DEFAULT.to_string()),
        "*" | "node" | "latest" | "current" => Range::npm("*"),
        "hydrogen" => Range::npm("18"),
        "iron" => Range::npm("20"),
        "jod" => Range::npm("22"),
        "krypton" => Range::npm("24"),
        _ => Range::npm(wish),
    }
}
