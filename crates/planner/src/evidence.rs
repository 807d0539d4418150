//! On which line of a file something is said: the evidence of a fact. A line that is not found is not told; a wrong one never.

use crate::{Evidence, tree::Tree};

/// The same reason, with the line after the name of the file, and the place: `engines.node in package.json` becomes
/// `engines.node in package.json:5`. What has its line already keeps it, and what names no file has no place.
pub(crate) fn of(tree: &Tree, because: &str) -> (String, Option<Evidence>) {
    let place = |file: &str, line: Option<u32>| {
        Some(Evidence {
            file: file.to_owned(),
            line,
        })
    };
    let Some((before, after)) = because.split_once(" in ") else {
        let file = because.split(' ').next().unwrap_or_default();
        let (file, line) = with_own_line(file);
        let is_there = tree.has_file(file);
        return (because.to_owned(), place(file, line).filter(|_| is_there));
    };
    let article = if after.starts_with("the ") { "the " } else { "" };
    let after_article = &after[article.len()..];
    let end = after_article
        .find(|letter: char| letter.is_whitespace() || ",:;".contains(letter))
        .unwrap_or(after_article.len());
    let (file, rest) = after_article.split_at(end);
    if !tree.has_file(file) {
        return (because.to_owned(), None);
    }
    if let Some(rest) = rest.strip_prefix(':') {
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next();
        return (
            because.to_owned(),
            place(file, digits.and_then(|digits| digits.parse().ok())),
        );
    }
    let text = tree.text(file).ok().flatten().unwrap_or_default();
    let name = file.rsplit('/').next().unwrap_or(file);
    // The path is the last word before, unless it is one of several.
    let word = before.rsplit(' ').next().unwrap_or(before);
    let line = match name {
        "Procfile" | "Staticfile" => line_that_begins(&text, &format!("{word}:")),
        "Gemfile.lock" => line_that_is(&text, before),
        "mix.exs" => only_line_with(&text, &format!("{word}:")),
        "Pipfile" => toml_line(&text, word),
        _ if name.ends_with(".json") || name.ends_with(".jsonc") => json_line(&text, word),
        _ if name.ends_with(".toml") => toml_line(&text, word),
        _ if name.ends_with(".xml") || name.ends_with("proj") => only_line_with(&text, &format!("<{word}>")),
        _ => None,
    };
    let line = line.and_then(|line| u32::try_from(line).ok());
    let because = match line {
        Some(line) => format!("{before} in {article}{file}:{line}{rest}"),
        None => because.to_owned(),
    };
    (because, place(file, line))
}

/// `go.mod:3` as the file and the line.
fn with_own_line(word: &str) -> (&str, Option<u32>) {
    let word = word.trim_end_matches([',', ':', ';']);
    match word.rsplit_once(':') {
        Some((file, line)) => (file, line.parse().ok()),
        None => (word, None),
    }
}

fn number_of(text: &str, wanted: impl Fn(&str) -> bool) -> Option<usize> {
    text.lines().position(wanted).map(|line| line + 1)
}

fn line_that_begins(text: &str, start: &str) -> Option<usize> {
    number_of(text, |line| line.trim_start().starts_with(start))
}

fn line_that_is(text: &str, words: &str) -> Option<usize> {
    number_of(text, |line| line.trim() == words)
}

/// The line with these words, if there is just one.
fn only_line_with(text: &str, words: &str) -> Option<usize> {
    let found = number_of(text, |line| line.contains(words))?;
    let is_only = text.lines().skip(found).all(|line| !line.contains(words));
    is_only.then_some(found)
}

/// The line on which a path of a TOML file is set, as `requires.python_version` in its table or `requires-python` in any.
fn toml_line(text: &str, path: &str) -> Option<usize> {
    let mut table = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']', ' ']).replace('"', "");
            continue;
        }
        let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let key = key.trim().trim_matches(['"', '\'']);
        let whole = if table.is_empty() {
            key.to_owned()
        } else {
            format!("{table}.{key}")
        };
        if whole == path || (!path.contains('.') && key == path) {
            return Some(number + 1);
        }
    }
    None
}

/// The line of the key at a path of objects, such as `engines.node`. It reads what is no JSON as far as it goes.
fn json_line(text: &str, path: &str) -> Option<usize> {
    /// An object with its key of now, or an array.
    struct Level {
        key: Option<String>,
        wants_key: bool,
        is_object: bool,
    }
    let (mut levels, mut line): (Vec<Level>, usize) = (Vec::new(), 1);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => line += 1,
            '{' | '[' => levels.push(Level {
                key: None,
                wants_key: letter == '{',
                is_object: letter == '{',
            }),
            '}' | ']' => drop(levels.pop()),
            ',' => {
                if let Some(level) = levels.last_mut() {
                    level.wants_key = level.is_object;
                }
            }
            '/' if letters.peek() == Some(&'/') => {
                for skipped in letters.by_ref() {
                    if skipped == '\n' {
                        line += 1;
                        break;
                    }
                }
            }
            '"' => {
                let mut word = String::new();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' => word.extend(letters.next()),
                        '\n' => line += 1,
                        letter => word.push(letter),
                    }
                }
                let Some(level) = levels.last_mut().filter(|level| level.wants_key) else {
                    continue;
                };
                (level.key, level.wants_key) = (Some(word), false);
                let keys: Option<Vec<&str>> = levels.iter().map(|level| level.key.as_deref()).collect();
                if keys.is_some_and(|keys| keys.join(".") == path) {
                    return Some(line);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_json_is_found_where_it_is_set_and_not_where_it_is_said() {
        let text = "{\n \"name\": \"engines.node\", // engines\n \"list\": [{\"engines\": {\"node\": 1}}],\n \"engines\":\n {\"npm\": \"}{\",\n \"n\\u006fde\": \"\\\"\",\n  \"node\": \"22\"}\n}";
        assert_eq!(json_line(text, "engines.node"), Some(7));
        assert_eq!(json_line(text, "engines"), Some(4));
        assert_eq!(json_line(text, "engines.yarn"), None);
        assert_eq!(json_line("]]}} \"a\" {\"a\":", "a"), Some(1));
        assert_eq!(json_line("{\"a", "a"), Some(1));
    }

    #[test]
    fn a_path_of_toml_is_found_in_its_table() {
        let text = "python = \"1\"\n[tool.poetry.dependencies]\npython = \"^3.12\"\n[project]\n# requires-python = \"x\"\n\"requires-python\" = \">=3.12\"\n";
        assert_eq!(toml_line(text, "tool.poetry.dependencies.python"), Some(3));
        assert_eq!(toml_line(text, "requires-python"), Some(6));
        assert_eq!(toml_line(text, "project.requires-python"), Some(6));
        assert_eq!(toml_line(text, "tool.pdm.python"), None);
    }

    #[test]
    fn one_line_of_several_is_none() {
        let text = "<a>1</a>\n<b>2</b>\n<a>3</a>\n";
        assert_eq!(only_line_with(text, "<b>"), Some(2));
        assert_eq!(only_line_with(text, "<a>"), None);
    }
}
