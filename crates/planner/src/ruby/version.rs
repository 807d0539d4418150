//! Which Ruby an application wants, and which image it gets.

use crate::{
    Refusal, bases,
    ruby::gemfile::Gems,
    settings::Choice,
    survey::Survey,
    wish::{self, Offer, Wish},
};

const OFFER: Offer = Offer {
    language: "Ruby",
    fact: "ruby version",
    lines: bases::RUBY_LINES,
    default: bases::RUBY_DEFAULT,
    ended: &[302, 301, 300, 207],
    bounds: wish::dotted_line,
};

/// The version that stands in the image's tag.
pub(super) fn choose(survey: &mut Survey<'_>, gems: &Gems) -> Result<String, Refusal> {
    let chosen = wish::of_user(survey, Choice::RubyVersion);
    // Bundler refuses any other Ruby than exactly this one, and each has an image.
    if let Some(exact) = exact(gems.ruby.as_ref()).filter(|_| chosen.is_none()) {
        let because = gems.ruby.as_ref().map_or("", |wish| wish.because.as_str());
        survey.fact("ruby version", &exact, &format!("{because} asks for exactly this one"));
        let line = line_of(&exact);
        if line.is_none_or(|line| line < 303) {
            survey.warn(&format!(
                "Ruby {exact} gets no security fixes any more. Move to Ruby {}.",
                OFFER.shown(OFFER.default)
            ));
        }
        return Ok(exact);
    }
    let wish = match chosen {
        Some(wish) => Some(wish),
        None => of_files(survey, gems)?,
    };
    let line = OFFER.choose(survey, wish.as_ref());
    Ok(OFFER.shown(line))
}

fn of_files(survey: &Survey<'_>, gems: &Gems) -> Result<Option<Wish>, Refusal> {
    if let Some(wish) = wish::of_file(survey.tree, ".ruby-version", "ruby-")? {
        return Ok(Some(wish));
    }
    if let Some(wish) = wish::of_tools(survey.tree, "ruby")? {
        return Ok(Some(wish));
    }
    Ok(gems.locked_ruby.clone().or_else(|| gems.ruby.clone()))
}

/// A wish of three numbers and nothing else.
fn exact(wish: Option<&Wish>) -> Option<String> {
    let text = wish?.text.trim_start_matches("= ").split('-').next()?;
    let parts: Vec<&str> = text.split('.').collect();
    let is_number =
        |part: &&str| !part.is_empty() && part.len() <= 3 && part.chars().all(|digit| digit.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(is_number)).then(|| text.to_owned())
}

fn line_of(version: &str) -> Option<u64> {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    Some(parts.next()?? * 100 + parts.next()??)
}
