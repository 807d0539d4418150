//! `mix.exs` and `mix.lock`. Both are programs of Elixir's, which are not run: the usual forms are recognized, and
//! whatever is written otherwise counts as not said.

use std::collections::BTreeSet;

use crate::{Refusal, tree::Tree, wish::Wish};

/// More lines, or longer ones, are not looked at.
const MOST_LINES: usize = 20_000;
const LONGEST_LINE: usize = 5_000;

#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) app: Option<String>,
    pub(super) releases: Vec<String>,
    pub(super) elixir: Option<Wish>,
    /// There are packages that lie in the application, or code that `mix.exs` reads.
    pub(super) needs_source: bool,
    pub(super) is_locked: bool,
    names: BTreeSet<String>,
    aliases: String,
}

impl Project {
    pub(super) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let text = tree.text("mix.exs")?.unwrap_or_default();
        let code: String = text
            .lines()
            .take(MOST_LINES)
            .filter(|line| line.len() <= LONGEST_LINE)
            .map(without_comment)
            .fold(String::new(), |mut all, line| {
                all.push_str(line);
                all.push('\n');
                all
            });
        let mut found = Self {
            app: after(&code, "app: :").map(word),
            elixir: after(&code, "elixir: \"")
                .and_then(|rest| rest.split('"').next())
                .and_then(|version| Wish::new(version, "elixir in mix.exs")),
            needs_source: code.contains("apps_path:")
                || code.contains(", path: \"")
                || code.contains("in_umbrella")
                || code.contains("Code.require_file")
                || code.contains("File.read"),
            ..Self::default()
        };
        found.app = found.app.filter(|name| is_name(name));
        found.releases = releases(&code);
        for part in code.split("{:").skip(1).take(1_000) {
            let name = word(part);
            if part[name.len()..].trim_start().starts_with(',') && is_name(&name) {
                found.names.insert(name);
            }
        }
        if let Some(lock) = tree.lock_text("mix.lock")? {
            found.is_locked = true;
            for line in lock.lines().take(MOST_LINES) {
                let name = line
                    .trim_start()
                    .strip_prefix('"')
                    .and_then(|rest| rest.split('"').next());
                found.names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
            }
        }
        found.aliases = code;
        Ok(found)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn has_packages(&self) -> bool {
        !self.names.is_empty()
    }

    pub(super) fn has_alias(&self, name: &str) -> bool {
        self.aliases.contains(&format!("\"{name}\":"))
    }

    /// The release to make, and whether it has to be named.
    pub(super) fn release(&self) -> Option<(String, bool)> {
        match self.releases.as_slice() {
            [] => self.app.clone().map(|app| (app, false)),
            [only] => Some((only.clone(), false)),
            several => {
                let own = several.iter().find(|name| Some(*name) == self.app.as_ref());
                own.or_else(|| several.first()).map(|name| (name.clone(), true))
            }
        }
    }
}

/// The names in `releases: [shop: [...], worker: [...]]`, where brackets are counted and nothing else is understood.
fn releases(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(rest) = after(code, "releases: [") else {
        return found;
    };
    let mut depth = 1_usize;
    let mut begins = true;
    for (at, character) in rest.char_indices().take(20_000) {
        match character {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 1 => begins = true,
            _ if depth == 1 && begins && !character.is_whitespace() => {
                begins = false;
                let name = word(&rest[at..]);
                if rest[at + name.len()..].starts_with(':') && is_name(&name) {
                    found.push(name);
                }
            }
            _ => {}
        }
        if depth == 0 || found.len() > 20 {
            break;
        }
    }
    found
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.find(mark).map(|at| &text[at + mark.len()..])
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_ascii_alphanumeric() || *character == '_')
        .take(100)
        .collect()
}

/// Whether a text is an atom that can stand in a command.
fn is_name(text: &str) -> bool {
    text.len() < 100
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_')
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') { "" } else { line }
}
