//! Environment variables, and the `.env` format in which they come and go.

use serde::{Deserialize, Serialize};

use crate::names::VariableKey;

/// Who may read a variable's value again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum VariableKind {
    /// Shown to whoever may see the service.
    #[default]
    Static,
    /// Write-only: it reaches the application and nobody else.
    Secret,
}

/// The most bytes of one value.
pub const VALUE_LIMIT_BYTES: usize = 64 * 1024;

/// Why a `.env` text is refused.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("line {line}: {rule}")]
pub struct BadDotenv {
    /// The line, from 1.
    pub line: usize,
    /// What is expected there.
    pub rule: String,
}

/// Reads `.env` text: `KEY=value`, `export KEY=value`, comments (`#`), `'single'` quotes (every byte as it stands,
/// newlines included), `"double"` quotes (`\n \r \t \\ \" \$` are escapes, other backslashes stay, newlines are kept),
/// and bare values (trimmed, cut at ` #`). `$` is never expanded: a value is what is written.
///
/// # Errors
/// The line and the rule that it breaks.
pub fn parse_dotenv(text: &str) -> Result<Vec<(VariableKey, String)>, BadDotenv> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (first, _) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after_line(rest);
            line += 1;
            continue;
        }
        let refuse = |rule: &str| BadDotenv {
            line,
            rule: rule.to_owned(),
        };
        let equals = first
            .find('=')
            .ok_or_else(|| refuse("a line is `KEY=value`, or a comment after `#`"))?;
        let key = first[..equals].trim();
        let key = key.strip_prefix("export ").map_or(key, str::trim);
        let key = VariableKey::parse(key).map_err(|bad| BadDotenv { line, rule: bad.rule })?;
        let value = rest[equals + 1..].trim_start_matches([' ', '\t']);
        let (value, left) = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(&value[1..], quote).ok_or_else(|| {
                refuse("a quoted value ends with the quote that began it, and nothing follows but a comment")
            })?,
            _ => {
                let (bare, _) = value.split_once('\n').unwrap_or((value, ""));
                let end = bare.find(" #").or_else(|| bare.find("\t#")).unwrap_or(bare.len());
                let bare_value = if bare.starts_with('#') { "" } else { bare[..end].trim() };
                (bare_value.to_owned(), after_line(value))
            }
        };
        line += rest[..rest.len() - left.len()].matches('\n').count();
        rest = left;
        found.push((key, value));
    }
    Ok(found)
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// The value up to the closing quote, and what follows its line; `None` when there is none, or other text follows.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            let rest = &text[at + 1..];
            let (tail, _) = rest.split_once('\n').unwrap_or((rest, ""));
            let tail = tail.trim();
            return (tail.is_empty() || tail.starts_with('#')).then(|| (value, after_line(rest)));
        }
        if character == '\\' && quote == '"' {
            match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('\\' | '"' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            }
        } else {
            value.push(character);
        }
    }
    None
}

/// Writes variables so that [`parse_dotenv`] reads back every byte.
#[must_use]
pub fn write_dotenv<'a>(variables: impl IntoIterator<Item = (&'a VariableKey, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in variables {
        text.push_str(key.as_str());
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '$' => text.push_str("\\$"),
                other => text.push(other),
            }
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse_dotenv(text)
            .unwrap()
            .into_iter()
            .map(|(k, v)| (k.to_string(), v))
            .collect()
    }

    #[test]
    fn every_byte_comes_back() {
        let values = [
            "",
            " ",
            "plain",
            "two words",
            "a#b",
            "a #b",
            "# not a comment",
            "it's",
            "say \"hi\"",
            "$HOME ${X} $(id)",
            "back\\slash \\n",
            "line1\nline2\n",
            "\r\n\t",
            "{\"json\": [1, \"two\"]}",
            "grün ✓ 日本",
            "'",
            "\\",
            "\\\\\"",
            "=",
        ];
        let keys: Vec<VariableKey> = (0..values.len())
            .map(|n| VariableKey::parse(&format!("KEY_{n}")).unwrap())
            .collect();
        let text = write_dotenv(keys.iter().zip(values.iter().copied()));
        let back = parse_dotenv(&text).unwrap();
        for ((key, value), (expected_key, expected)) in back.iter().zip(keys.iter().zip(values)) {
            assert_eq!((key, value.as_str()), (expected_key, expected));
        }
        assert_eq!(back.len(), values.len());
    }

    #[test]
    fn the_common_forms_are_read() {
        let text = "# head\nA=1\nexport B = two words  # why\n\nC='raw $X \\n\nsecond'\nD=\"a\\nb\" # tail\nE=\nF=a#b\r\nG=#x\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "raw $X \\n\nsecond"),
            ("D", "a\nb"),
            ("E", ""),
            ("F", "a#b"),
            ("G", ""),
        ];
        assert_eq!(read(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_broken_is_named_by_its_line() {
        assert_eq!(parse_dotenv("A=1\nnonsense\n").unwrap_err().line, 2);
        assert_eq!(parse_dotenv("A='x\ny'\n1B=2").unwrap_err().line, 3);
        assert_eq!(parse_dotenv("A=\"open\nB=1").unwrap_err().line, 1);
        assert_eq!(parse_dotenv("A='x' y").unwrap_err().line, 1);
    }
}
