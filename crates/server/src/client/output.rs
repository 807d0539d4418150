//! What is printed, and how: cleaned of what a terminal would act on, coloured on terminals alone, and without a
//! panic when nobody reads it.

use std::io::{ErrorKind, IsTerminal, Write};

use domain::logs::clean_line;
use serde::Serialize;

use super::error::ClientError;

/// What a text means, shown as a colour where colours are wanted. The text says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tint {
    #[default]
    Plain,
    Strong,
    Faint,
    Good,
    Warm,
    Bad,
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Only JSON on standard output.
    pub(crate) json: bool,
    /// Nothing on standard error but errors.
    pub(crate) quiet: bool,
    /// Standard error is a terminal that can redraw lines.
    pub(crate) live: bool,
    colour_out: bool,
    colour_error: bool,
}

impl Output {
    /// Looks at the streams and the environment.
    pub(crate) fn detect(json: bool, quiet: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let error_terminal = std::io::stderr().is_terminal() && !dumb;
        Self {
            json,
            quiet,
            live: error_terminal && !quiet,
            colour_out: std::io::stdout().is_terminal() && !dumb && !no_colour,
            colour_error: error_terminal && !no_colour,
        }
    }

    /// Prints a line on standard output. The text must be clean: made by [`clean`] or [`Output::paint`].
    pub(crate) fn line(&self, text: &str) -> Result<(), ClientError> {
        self.text(&format!("{text}\n"))
    }

    /// Prints text on standard output as it is.
    pub(crate) fn text(&self, text: &str) -> Result<(), ClientError> {
        let mut stream = std::io::stdout().lock();
        stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush())
            .map_err(|cause| match cause.kind() {
                ErrorKind::BrokenPipe => ClientError::ClosedOutput,
                _ => ClientError::failed(format!("standard output cannot be written: {cause}"), ""),
            })
    }

    /// Prints a value as one line of JSON on standard output.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), ClientError> {
        let text = serde_json::to_string(value)
            .map_err(|cause| ClientError::failed(format!("the answer cannot be written as JSON: {cause}"), ""))?;
        self.line(&json_for_terminals(&text))
    }

    /// Tells the person at the keyboard something, on standard error; nothing with `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Prints on standard error, quiet or not. Nothing can be done about a failure to complain.
    pub(crate) fn complain(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Prints an error: what happened, which fields, what to do.
    pub(crate) fn error(&self, error: &ClientError) {
        if matches!(error, ClientError::ClosedOutput) {
            return;
        }
        self.complain(&format!(
            "{} {}",
            self.tint_error(Tint::Bad, "error:"),
            clean_lines(&error.to_string())
        ));
        if let ClientError::Refused(problem) = error {
            for field in &problem.errors {
                self.complain(&format!("  {}: {}", clean(&field.field), clean_lines(&field.message)));
            }
            if problem.status >= 500 && !problem.request_id.is_empty() {
                self.complain(&format!(
                    "  the server's log knows more under request {}",
                    clean(&problem.request_id)
                ));
            }
        }
        let advice = error.advice();
        if !advice.is_empty() {
            self.complain(&clean_lines(&advice));
        }
    }

    /// A text for standard output, cleaned and coloured.
    pub(crate) fn paint(&self, tint: Tint, text: &str) -> String {
        painted(self.colour_out, tint, &clean(text))
    }

    /// A text for standard error, cleaned and coloured.
    pub(crate) fn tint_error(&self, tint: Tint, text: &str) -> String {
        painted(self.colour_error, tint, &clean(text))
    }

    /// Prints a table on standard output.
    pub(crate) fn table(&self, heads: &[&str], rows: &[Vec<Cell>]) -> Result<(), ClientError> {
        self.text(&table(self.colour_out, heads, rows))
    }
}

fn painted(colour: bool, tint: Tint, clean_text: &str) -> String {
    let code = match tint {
        _ if !colour => return clean_text.to_owned(),
        Tint::Plain => return clean_text.to_owned(),
        Tint::Strong => "1",
        Tint::Faint => "2",
        Tint::Good => "32",
        Tint::Warm => "33",
        Tint::Bad => "31",
    };
    format!("\u{1b}[{code}m{clean_text}\u{1b}[0m")
}

/// A text of the server's, or of a file's, as one line that no terminal acts on.
pub(crate) fn clean(text: &str) -> String {
    clean_line(text)
}

/// The same for a text of several lines: they stay lines, the later ones indented.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(clean_line).collect::<Vec<_>>().join("\n  ")
}

/// JSON leaves DEL and the C1 controls (U+0080 to U+009F) as they are, and some terminals act on those. They can stand
/// inside strings only, where their escape means the same.
fn json_for_terminals(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            safe.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    tint: Tint,
}

impl Cell {
    /// A text of any origin, with a meaning.
    pub(crate) fn tinted(tint: Tint, text: impl AsRef<str>) -> Self {
        Self {
            text: clean(text.as_ref()).replace('\t', " "),
            tint,
        }
    }

    /// For standard output.
    pub(crate) fn shown(&self, output: Output) -> String {
        painted(output.colour_out, self.tint, &self.text)
    }

    /// The same, filled up with spaces.
    pub(crate) fn padded(&self, output: Output, wide: usize) -> String {
        format!(
            "{}{}",
            self.shown(output),
            " ".repeat(wide.saturating_sub(width(&self.text)))
        )
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::tinted(Tint::Plain, text)
    }
}

/// Columns aligned by what a terminal shows, two spaces apart, nothing behind the last one.
fn table(colour: bool, heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| width(head)).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate().take(widths.len()) {
            widths[at] = widths[at].max(width(&cell.text));
        }
    }
    let head: Vec<Cell> = heads.iter().map(|head| Cell::tinted(Tint::Faint, head)).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        for (at, cell) in row.iter().enumerate().take(last + 1) {
            text.push_str(&painted(colour, cell.tint, &cell.text));
            if at < last {
                let wide = widths.get(at).copied().unwrap_or(0);
                text.push_str(&" ".repeat(wide.saturating_sub(width(&cell.text)) + 2));
            }
        }
        text.push('\n');
    }
    text
}

/// How many columns a terminal gives to a text; near enough for tables (Unicode Standard Annex 11: wide and fullwidth
/// characters take two, combining marks none).
fn width(text: &str) -> usize {
    text.chars()
        .map(|character| match u32::from(character) {
            0x0300..=0x036f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1f64f
            | 0x1f680..=0x1f6ff
            | 0x1f900..=0x1f9ff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_by_what_a_terminal_shows() {
        let rows = vec![
            vec!["日本".into(), Cell::tinted(Tint::Good, "live")],
            vec!["api".into(), "failed".into()],
        ];
        assert_eq!(
            table(false, &["NAME", "STATUS"], &rows),
            "NAME  STATUS\n日本  live\napi   failed\n"
        );
        assert!(table(true, &["NAME", "STATUS"], &rows).contains("\u{1b}[32mlive\u{1b}[0m\n"));
    }

    #[test]
    fn nothing_of_the_servers_moves_the_cursor() {
        let cell = Cell::from("a\u{1b}[2Jb\nc\u{9b}31m");
        assert_eq!(cell.text, "abc31m");
        let json = serde_json::to_string("\u{1b}[2J\u{9b}x\u{7f}").unwrap();
        let safe = json_for_terminals(&json);
        assert!(!safe.chars().any(char::is_control));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "\u{1b}[2J\u{9b}x\u{7f}");
    }

    #[test]
    fn a_message_of_several_lines_stays_readable() {
        assert_eq!(clean_lines("one\r\ntwo\u{1b}[1A"), "one\n  two");
    }
}
