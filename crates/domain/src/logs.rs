//! Log lines and the places where they are numbered.

use serde::{Deserialize, Serialize};

/// Which sequence a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LogKind {
    /// Written while a deployment was made: fetching, planning, building, releasing.
    Build,
    /// Written by the running service.
    Runtime,
}

impl LogKind {
    /// The name in the database and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Runtime => "runtime",
        }
    }
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LogLevel {
    /// Details.
    Debug,
    /// Ordinary output.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The name in the database and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => return None,
        })
    }
}

/// The longest line that is kept, in bytes; the rest of a longer one is cut and the cut is marked.
pub const LINE_LIMIT_BYTES: usize = 16 * 1024;

/// A line without what a terminal would act on: escape sequences and control characters go (tabs stay), a line beyond
/// [`LINE_LIMIT_BYTES`] is cut at a character and marked.
#[must_use]
pub fn clean_line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(LINE_LIMIT_BYTES));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => clean.push('\t'),
            other if other.is_control() => {}
            other => clean.push(other),
        }
        if clean.len() >= LINE_LIMIT_BYTES {
            clean.push_str(" … (cut)");
            break;
        }
    }
    clean
}

/// Skips one escape sequence of ECMA-48: `ESC [ … final`, `ESC ] … BEL` (or `ESC \`), or one following character.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.next() {
        Some('[') => {
            for character in characters.by_ref() {
                if ('@'..='~').contains(&character) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some(character) = characters.next() {
                if character == '\u{7}' {
                    break;
                }
                if character == '\u{1b}' {
                    characters.next_if_eq(&'\\');
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_controls_do_not_reach_a_terminal() {
        assert_eq!(
            clean_line("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}and\r\u{8} tab\t."),
            "red and tab\t."
        );
        assert_eq!(clean_line("\u{1b}"), "");
        assert_eq!(clean_line("\u{1b}[31"), "");
        assert_eq!(clean_line("grün ✓ 日本"), "grün ✓ 日本");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let cut = clean_line(&"é".repeat(LINE_LIMIT_BYTES));
        assert!(cut.len() < LINE_LIMIT_BYTES + 20 && cut.ends_with("(cut)"));
    }
}
