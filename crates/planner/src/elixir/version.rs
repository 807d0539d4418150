//! Which Elixir and Erlang an application wants, and which image it gets.

use crate::{
    Refusal, bases,
    elixir::project::Project,
    settings::Choice,
    survey::Survey,
    wish::{self, Offer, Wish},
};

const OFFER: Offer = Offer {
    language: "Elixir",
    fact: "elixir version",
    lines: bases::ELIXIR_LINES,
    default: bases::ELIXIR_DEFAULT,
    ended: &[114],
    bounds: wish::dotted_line,
};

/// The image that builds.
pub(super) fn choose(survey: &mut Survey<'_>, project: &Project) -> Result<String, Refusal> {
    let wish = match wish::of_user(survey, Choice::ElixirVersion) {
        Some(wish) => Some(wish),
        None => of_files(survey, project, "elixir")?,
    };
    let line = OFFER.choose(survey, wish.as_ref());
    let erlang = match wish::of_user(survey, Choice::ErlangVersion) {
        Some(wish) => Some(wish),
        // asdf writes `elixir 1.18.4-otp-27`.
        None => match wish
            .as_ref()
            .and_then(|wish| wish.text.split_once("-otp-").map(|(_, otp)| (otp, wish)))
        {
            Some((otp, wish)) => Wish::new(otp, &wish.because),
            None => of_files(survey, project, "erlang")?,
        },
    };
    let there = bases::erlang_of(line);
    let usual = there.first().copied().unwrap_or_default();
    let asked = erlang
        .as_ref()
        .and_then(|wish| wish.text.split('.').next()?.parse::<u64>().ok());
    let release = asked.filter(|asked| there.contains(asked)).unwrap_or(usual);
    let because = erlang.as_ref().map_or_else(
        || "the usual one for this Elixir".to_owned(),
        |wish| format!("{} asks for {}", wish.because, wish.text),
    );
    survey.fact("erlang version", &release.to_string(), &because);
    if asked.is_some_and(|asked| asked != release) {
        survey.warn(&format!(
            "There is no image with this Elixir and the Erlang that is asked for, so Erlang {release} is used."
        ));
    }
    Ok(bases::elixir(&OFFER.shown(line), release))
}

fn of_files(survey: &Survey<'_>, project: &Project, tool: &str) -> Result<Option<Wish>, Refusal> {
    let tree = survey.tree;
    if let Some(wish) = wish::of_tools(tree, tool)? {
        return Ok(Some(wish));
    }
    for file in ["elixir_buildpack.config", "phoenix_static_buildpack.config"] {
        let text = tree.text(file)?.unwrap_or_default();
        let mark = format!("{tool}_version=");
        let version = text.lines().find_map(|line| line.trim().strip_prefix(mark.as_str()));
        let version = version.map(|version| version.trim_matches(['"', '\'', ' ']));
        if let Some(wish) = version.and_then(|version| Wish::new(version, file)) {
            return Ok(Some(wish));
        }
    }
    let single = format!(".{tool}-version");
    if let Some(wish) = wish::of_file(tree, &single, "")? {
        return Ok(Some(wish));
    }
    Ok(project.elixir.clone().filter(|_| tool == "elixir"))
}
