//! `Gemfile` and `Gemfile.lock`. A Gemfile is a program of Ruby's, which is not run: lines of the usual forms are
//! recognized, and whatever is written otherwise counts as not said.

use std::collections::BTreeSet;

use crate::{
    Refusal,
    tree::{Tree, is_plain_path},
    wish::Wish,
};

/// More lines, or longer ones, are not looked at.
const MOST_LINES: usize = 20_000;
const LONGEST_LINE: usize = 2_000;

/// What both files say.
#[derive(Debug, Default)]
pub(super) struct Gems {
    pub(super) has_gemfile: bool,
    pub(super) is_locked: bool,
    /// All gems by name: of the lock file, else of the Gemfile.
    names: BTreeSet<String>,
    /// Folders of gems that lie in the application.
    pub(super) local: Vec<String>,
    /// The Gemfile or the lock file cannot be read without other files.
    pub(super) needs_source: bool,
    /// What the Gemfile requires of Ruby. Bundler insists on it.
    pub(super) ruby: Option<Wish>,
    /// The Ruby that made the lock file.
    pub(super) locked_ruby: Option<Wish>,
    pub(super) bundler: Option<String>,
    /// A gem is fetched by git.
    pub(super) from_git: bool,
    /// The lock file has nothing for Linux.
    pub(super) lacks_linux: bool,
}

impl Gems {
    pub(super) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let mut found = Self::default();
        let Some(text) = tree.text("Gemfile")? else {
            return Ok(found);
        };
        found.has_gemfile = true;
        let mut declared = BTreeSet::new();
        for line in lines(&text) {
            let line = without_comment(line).trim();
            let (word, rest) = line.split_once([' ', '(']).unwrap_or((line, ""));
            match word {
                "ruby" => found.ruby = ruby(tree, rest)?,
                "gem" => {
                    declared.extend(quoted(rest).next().map(str::to_owned));
                    found.local(rest);
                    found.from_git |= ["git:", ":git", "github:", ":github"]
                        .iter()
                        .any(|mark| rest.contains(mark));
                }
                "path" => found.local(&format!("path: {rest}")),
                "gemspec" | "eval_gemfile" | "instance_eval" => found.needs_source = true,
                _ => {}
            }
        }
        if let Some(text) = tree.lock_text("Gemfile.lock")? {
            found.is_locked = true;
            found.read_lock(&text);
        }
        if found.names.is_empty() {
            found.names = declared;
        }
        Ok(found)
    }

    /// `path: "libs/local"` of a line.
    fn local(&mut self, line: &str) {
        let Some(at) = ["path:", ":path"].iter().find_map(|mark| line.find(mark)) else {
            return;
        };
        match quoted(&line[at..]).next().map(|path| path.trim_start_matches("./")) {
            Some(path) if is_plain_path(path) => self.local.push(path.to_owned()),
            _ => self.needs_source = true,
        }
    }

    fn read_lock(&mut self, text: &str) {
        let mut section = "";
        let mut platforms = Vec::new();
        for line in lines(text) {
            if !line.starts_with(' ') {
                section = line.trim();
                continue;
            }
            let value = line.trim();
            match section {
                "GEM" | "GIT" | "PATH" if line.starts_with("    ") && !line.starts_with("      ") => {
                    self.from_git |= section == "GIT";
                    let name = value.split([' ', '(']).next().unwrap_or_default();
                    self.names.insert(name.to_owned());
                }
                // The application itself is a gem.
                "PATH" if value == "remote: ." => self.needs_source = true,
                "PLATFORMS" if !value.is_empty() => platforms.push(value),
                "RUBY VERSION" => {
                    let version = value.strip_prefix("ruby ").unwrap_or(value);
                    let version = version.split('p').next().unwrap_or_default();
                    self.locked_ruby = Wish::new(version, "RUBY VERSION in Gemfile.lock");
                }
                "BUNDLED WITH" => {
                    let is_version = value.len() <= 20
                        && value.split('.').count() >= 2
                        && value.split('.').all(|part| {
                            !part.is_empty() && part.chars().all(|character| character.is_ascii_alphanumeric())
                        })
                        && value.starts_with(|first: char| first.is_ascii_digit());
                    self.bundler = is_version.then(|| value.to_owned());
                }
                _ => {}
            }
        }
        self.lacks_linux = !platforms.is_empty()
            && !platforms
                .iter()
                .any(|platform| *platform == "ruby" || platform.contains("linux"));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn has_any(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// What follows `ruby` in a Gemfile: `"3.3.1"`, `"~> 3.3"`, `">= 3.2", "< 3.5"` or `file: ".ruby-version"`.
fn ruby(tree: &Tree, rest: &str) -> Result<Option<Wish>, Refusal> {
    if rest.contains("file:") || rest.contains("File.read") {
        let file = quoted(rest).next().filter(|file| is_plain_path(file));
        let Some(file) = file else { return Ok(None) };
        let wish = match file {
            ".tool-versions" => crate::wish::of_tools(tree, "ruby")?,
            file => crate::wish::of_file(tree, file, "ruby-")?,
        };
        return Ok(wish.map(|wish| Wish {
            because: format!("Gemfile, by {file},"),
            ..wish
        }));
    }
    // What follows `engine:` is about another Ruby.
    let rest = rest.split("engine").next().unwrap_or_default();
    let parts: Vec<&str> = quoted(rest).take(5).collect();
    Ok(Wish::new(&parts.join(", "), "ruby in the Gemfile"))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take(MOST_LINES).filter(|line| line.len() <= LONGEST_LINE)
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), character) if open == character => quote = None,
            _ => {}
        }
    }
    line
}

/// The texts in quotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\''])?;
        let quote = rest[start..].chars().next()?;
        let inner = &rest[start + 1..];
        let end = inner.find(quote)?;
        rest = &inner[end + 1..];
        Some(&inner[..end])
    })
}
