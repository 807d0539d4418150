//! Commands that come from users and files. They reach the Dockerfile only as JSON strings.

use crate::{Refusal, tree::shown};

/// The parser of old builders takes lines of up to 64 KiB, and JSON may make a command more than three times as long.
const LONGEST: usize = 8 * 1024;
/// Words after which a shell's `exec` cannot stand.
const BUILTINS: &[&str] = &[
    "!", ".", ":", "[", "alias", "bg", "break", "cd", "command", "continue", "echo", "eval", "exec", "exit", "export",
    "false", "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "source", "test", "trap", "true",
    "type", "ulimit", "umask", "unset", "wait",
];
/// Words that begin something longer than one command.
const KEYWORDS: &[&str] = &["if", "for", "while", "until", "case", "{", "function"];

/// A command for `sh -c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command(String);

impl Command {
    /// `source` says where the text is from, for the person who reads the refusal.
    pub(crate) fn parse(text: &str, source: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str| Refusal::Setting {
            name: source.to_owned(),
            why: why.to_owned(),
        };
        let text = text.replace("\r\n", "\n");
        let text = text.trim();
        if text.is_empty() {
            return Err(refuse("the command is empty"));
        }
        if text.len() > LONGEST {
            return Err(refuse(
                "the command is longer than 8 KiB. Put it into a script file and call that",
            ));
        }
        if text
            .chars()
            .any(|character| character.is_control() && !matches!(character, '\n' | '\t'))
        {
            return Err(refuse(
                "the command holds a control character, which no shell command needs. Remove it",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether a word of the command, or the last part of a path in it, is this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        words(&self.0).any(|word| word == name || word.rsplit('/').next() == Some(name))
    }

    /// Without a leading `uv run`, `poetry run` or `pipenv run`: what they would find is on the path already.
    pub(crate) fn without_runner(&self) -> Self {
        let stripped = ["uv run ", "poetry run ", "pipenv run "]
            .iter()
            .find_map(|runner| self.0.strip_prefix(runner))
            .map(str::trim_start)
            .filter(|rest| !rest.is_empty() && !rest.starts_with('-'));
        stripped.map_or_else(|| self.clone(), |rest| Self(rest.to_owned()))
    }

    /// The command with `exec` before its last part, so that the application itself, and not a shell, is the
    /// process that hears the signal to stop. Anything that is more than a chain of simple commands stays as it is.
    pub(crate) fn as_process(&self) -> String {
        let Some(last) = start_of_last_simple_command(&self.0) else {
            return self.0.clone();
        };
        let (before, rest) = self.0.split_at(last);
        let Some(first) = words(rest).next() else {
            return self.0.clone();
        };
        if BUILTINS.contains(&first) || first.starts_with(['(', '`']) {
            return self.0.clone();
        }
        let env = if is_assignment(first) { "env " } else { "" };
        format!("{before}exec {env}{rest}")
    }

    /// The port that the command names as a number, if it does not use `PORT`.
    pub(crate) fn literal_port(&self) -> Option<u16> {
        if self.0.contains("$PORT") || self.0.contains("${PORT") {
            return None;
        }
        let mut before = "";
        let mut found = None;
        for word in words(&self.0) {
            let value = match before {
                "-p" | "--port" | "-l" | "--listen" | "-b" | "--bind" | "--server.port" => Some(word),
                _ => word
                    .strip_prefix("--port=")
                    .or_else(|| word.strip_prefix("--bind="))
                    .or_else(|| word.strip_prefix("--server.port="))
                    .or_else(|| word.strip_prefix("PORT="))
                    .or_else(|| word.strip_prefix("0.0.0.0:").filter(|_| before == "runserver")),
            };
            if let Some(value) = value {
                found = value
                    .rsplit(':')
                    .next()
                    .and_then(|port| port.parse().ok())
                    .filter(|port| *port > 0)
                    .or(found);
            }
            before = word;
        }
        found
    }
}

/// Words between blanks, without quotes around them: for recognizing, not for running.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| !word.is_empty())
}

/// Whether a word sets a variable for the command after it.
pub(crate) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_variable_name(name))
}

/// Whether a text is a shell variable's name.
pub(crate) fn is_variable_name(text: &str) -> bool {
    text.len() <= 255
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Where the last of several commands joined by `&&`, `;` or line ends begins; `None` if the text has pipes,
/// alternatives, groups, loops, comments or anything else that `exec` could change the meaning of.
fn start_of_last_simple_command(text: &str) -> Option<usize> {
    let mut starts = vec![0];
    let mut quote = None;
    let mut depth = 0_usize;
    let mut before = ' ';
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let follows = characters.peek().map(|&(_, next)| next);
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                characters.next();
            }
            (Some(_), '`') | (None, '`') => return None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(') if before == '$' || depth > 0 => depth += 1,
            (None, ')') if depth > 0 => depth -= 1,
            (None, '(' | ')') => return None,
            (None, _) if depth > 0 => {}
            (None, '&') if follows == Some('&') => {
                characters.next();
                starts.push(at + 2);
            }
            // `2>&1` and `&>` redirect; a lone `&` runs beside.
            (None, '&') if before == '>' || follows == Some('>') => {}
            (None, '&' | '|') => return None,
            (None, '<') if follows == Some('<') => return None,
            (None, ';' | '\n') => starts.push(at + 1),
            (None, '#') if before.is_whitespace() => return None,
            _ => {}
        }
        before = character;
    }
    if quote.is_some() || depth > 0 {
        return None;
    }
    let begins_longer = |start: &usize| {
        words(&text[*start..])
            .next()
            .is_some_and(|word| KEYWORDS.contains(&word))
    };
    if starts.iter().any(begins_longer) {
        return None;
    }
    let last = starts
        .into_iter()
        .rev()
        .find(|start| !text[*start..].trim().is_empty())?;
    Some(last + (text[last..].len() - text[last..].trim_start().len()))
}

/// A path below the application's directory, from a user: `./dist/` is `dist`, and `.` is the directory itself.
pub(crate) fn relative_path(text: &str, source: &str) -> Result<String, Refusal> {
    let path: Vec<&str> = text
        .trim()
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let path = path.join("/");
    if text.trim().starts_with('/') || !(path.is_empty() || crate::tree::is_plain_path(&path)) {
        return Err(Refusal::Setting {
            name: source.to_owned(),
            why: format!(
                "{:?} is no path below the application's directory. Write one such as dist or build/client, of letters, \
                 digits, dots, dashes and underscores",
                shown(text)
            ),
        });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(text: &str) -> String {
        Command::parse(text, "test").unwrap().as_process()
    }

    #[test]
    fn the_application_becomes_the_process_that_hears_signals() {
        assert_eq!(process("node server.js"), "exec node server.js");
        assert_eq!(
            process("NODE_ENV=production node a.js"),
            "exec env NODE_ENV=production node a.js"
        );
        assert_eq!(
            process("prisma migrate deploy && node a.js"),
            "prisma migrate deploy && exec node a.js"
        );
        assert_eq!(process("cd web; node a.js 2>&1"), "cd web; exec node a.js 2>&1");
        assert_eq!(
            process("gunicorn -w $(nproc) 'a:create()'"),
            "exec gunicorn -w $(nproc) 'a:create()'"
        );
    }

    #[test]
    fn what_is_more_than_simple_commands_stays_as_it_is() {
        for text in [
            "a | b",
            "a || b",
            "a & b",
            "if a; then b; fi",
            "for x in 1; do a; done",
            "(a; b)",
            "cat <<EOF\nx\nEOF",
            "a # b",
            "exec a",
            "a 'b",
            "cd x",
            "a `b`",
        ] {
            assert_eq!(process(text), text);
        }
    }

    #[test]
    fn a_port_is_read_where_the_command_names_one() {
        let port = |text| Command::parse(text, "test").unwrap().literal_port();
        assert_eq!(port("next start -p 8080"), Some(8080));
        assert_eq!(port("uvicorn a:b --port=9000"), Some(9000));
        assert_eq!(port("gunicorn --bind 0.0.0.0:7000 a:b"), Some(7000));
        assert_eq!(port("python manage.py runserver 0.0.0.0:8000"), Some(8000));
        assert_eq!(port("gunicorn --bind :$PORT a:b"), None);
        assert_eq!(port("node server.js"), None);
        assert_eq!(port("serve -l 99999999"), None);
    }

    #[test]
    fn control_characters_and_endless_commands_are_refused() {
        assert!(Command::parse("a\0b", "test").is_err());
        assert!(Command::parse("a\u{1b}[0m", "test").is_err());
        assert!(Command::parse(&"a".repeat(9 * 1024), "test").is_err());
        assert_eq!(Command::parse("a\r\nb", "test").unwrap().text(), "a\nb");
    }

    #[test]
    fn a_path_does_not_leave_the_directory() {
        assert_eq!(relative_path("./dist/", "x").unwrap(), "dist");
        assert_eq!(relative_path(".", "x").unwrap(), "");
        for bad in ["../x", "/etc", "a/../../b", "a b", "$(x)", "a\nRUN x", "-rf", "a;b"] {
            assert!(relative_path(bad, "x").is_err(), "{bad}");
        }
    }
}
