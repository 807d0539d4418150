//! What an application says about a language's version, and which line of base images it gets.

use crate::{
    Refusal,
    settings::Choice,
    survey::Survey,
    tool_versions,
    tree::{Tree, shown},
    versions::{Match, Range, Version},
};

/// A version that is asked for, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) text: String,
    pub(crate) because: String,
}

impl Wish {
    pub(crate) fn new(text: &str, because: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self {
            text: text.to_owned(),
            because: because.to_owned(),
        })
    }
}

/// The lines of a language for which there are base images.
pub(crate) struct Offer {
    pub(crate) language: &'static str,
    /// The name of the fact.
    pub(crate) fact: &'static str,
    /// Newest first.
    pub(crate) lines: &'static [u64],
    /// What is used where nothing asks for another, or where what is asked for allows it.
    pub(crate) default: u64,
    /// Lines that get no security fixes any more.
    pub(crate) ended: &'static [u64],
    pub(crate) bounds: fn(u64) -> (Version, Version),
}

impl Offer {
    pub(crate) fn shown(&self, line: u64) -> String {
        let ((major, minor, _), (next, _, _)) = (self.bounds)(line);
        if next == major {
            format!("{major}.{minor}")
        } else {
            major.to_string()
        }
    }

    /// The line for a wish. What cannot be had is told as a warning.
    pub(crate) fn choose(&self, survey: &mut Survey<'_>, wish: Option<&Wish>) -> u64 {
        let line = self.line(survey, wish);
        let because = wish.map_or_else(
            || "nothing asks for another".to_owned(),
            |wish| format!("{} asks for {}", wish.because, wish.text),
        );
        survey.fact(self.fact, &self.shown(line), &because);
        if self.ended.contains(&line) {
            survey.warn(&format!(
                "{} {} gets no security fixes any more. Move to {} {}.",
                self.language,
                self.shown(line),
                self.language,
                self.shown(self.default)
            ));
        }
        line
    }

    fn line(&self, survey: &mut Survey<'_>, wish: Option<&Wish>) -> u64 {
        let Some(wish) = wish else { return self.default };
        // A closed network has the default alone.
        let lines = if survey.settings.closed_network {
            std::slice::from_ref(&self.default)
        } else {
            self.lines
        };
        if ["latest", "stable"].contains(&wish.text.as_str()) {
            return lines.first().copied().unwrap_or(self.default);
        }
        let range = Range::pessimistic(&wish.text);
        let within_default = range
            .as_ref()
            .and_then(|range| range.choose(&[self.default], self.bounds))
            .is_some_and(|found| matches!(found, Match::Within(_)));
        if within_default {
            return self.default;
        }
        match range.and_then(|range| range.choose(lines, self.bounds)) {
            Some(Match::Within(line)) => line,
            Some(Match::Nearest(line)) => {
                survey.warn(&format!(
                    "{} {} is asked for by {}. There is no base image for it, so {} {} is used.",
                    self.language,
                    shown(&wish.text),
                    wish.because,
                    self.language,
                    self.shown(line)
                ));
                line
            }
            None => {
                survey.warn(&format!(
                    "{:?} of {} is no version of {} that is understood, so {} is used.",
                    shown(&wish.text),
                    wish.because,
                    self.language,
                    self.shown(self.default)
                ));
                self.default
            }
        }
    }
}

/// What the user chose.
pub(crate) fn of_user(survey: &Survey<'_>, choice: Choice) -> Option<Wish> {
    let chosen = survey.chosen(choice)?;
    Wish::new(&chosen.value, &chosen.because)
}

/// The first line of a file that says nothing but a version, without a prefix such as `ruby-`.
pub(crate) fn of_file(tree: &Tree, file: &str, prefix: &str) -> Result<Option<Wish>, Refusal> {
    let text = tree.text(file)?.unwrap_or_default();
    let line = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .find(|line| !line.is_empty());
    Ok(line.and_then(|line| Wish::new(line.strip_prefix(prefix).unwrap_or(line), file)))
}

/// What the files of tool managers say about a tool.
pub(crate) fn of_tools(tree: &Tree, tool: &str) -> Result<Option<Wish>, Refusal> {
    let found = tool_versions::wish(tree, &[tool])?;
    Ok(found.and_then(|(text, because)| Wish::new(&text, &because)))
}

/// Lines that are written as a major times one hundred and a minor.
pub(crate) fn dotted_line(line: u64) -> (Version, Version) {
    ((line / 100, line % 100, 0), (line / 100, line % 100 + 1, 0))
}
