//! Patterns of `.dockerignore` and of BuildKit's include lists, with the meaning that Docker gives them: `*` and `?`
//! stop at a slash, `**` does not, `!` takes back, and what holds for a directory holds for all in it.

use regex::Regex;

/// A pattern that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no pattern")]
pub(crate) struct BadPattern(String);

/// A list of patterns, in their order.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
    takes_back: bool,
}

#[derive(Debug)]
struct Pattern {
    takes_back: bool,
    text: String,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Exact,
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

/// For each pattern, whether it holds for a directory; what is in the directory starts from there.
pub(crate) type Held = Vec<bool>;

impl Patterns {
    /// Reads patterns, one a text. Blank ones are left out.
    pub(crate) fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, BadPattern> {
        let mut patterns = Vec::new();
        for text in texts {
            let text = text.as_ref();
            let trimmed = text.trim();
            if trimmed.is_empty() {
                continue;
            }
            let cleaned = clean(trimmed);
            let (takes_back, cleaned) = match cleaned.strip_prefix('!') {
                Some(rest) => (true, rest.to_owned()),
                None => (false, cleaned),
            };
            if cleaned.is_empty() {
                return Err(BadPattern(text.to_owned()));
            }
            let matcher = compile(&cleaned).ok_or_else(|| BadPattern(text.to_owned()))?;
            patterns.push(Pattern {
                takes_back,
                text: cleaned,
                matcher,
            });
        }
        let takes_back = patterns.iter().any(|pattern| pattern.takes_back);
        Ok(Self { patterns, takes_back })
    }

    /// Whether the list matches a path, and what its children are told. `parent` is what its directory got; empty at
    /// the top.
    pub(crate) fn matches(&self, path: &str, parent: &[bool]) -> (bool, Held) {
        let mut matched = false;
        let mut held = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut holds = parent.get(index).copied().unwrap_or(false);
            if !holds {
                // Another pattern of the same direction changes nothing any more.
                if pattern.takes_back != matched {
                    continue;
                }
                holds = pattern.matches(path);
            }
            held[index] = holds;
            if holds {
                matched = !pattern.takes_back;
            }
        }
        (matched, held)
    }

    /// Whether something in an excluded directory may be taken back by a later pattern.
    pub(crate) fn may_take_back_in(&self, directory: &str) -> bool {
        self.takes_back
            && self
                .patterns
                .iter()
                .filter(|pattern| pattern.takes_back)
                .any(|pattern| pattern.may_match_in(directory))
    }

    /// Whether something in a directory that does not match may match.
    pub(crate) fn may_match_in(&self, directory: &str) -> bool {
        self.patterns
            .iter()
            .filter(|pattern| !pattern.takes_back)
            .any(|pattern| pattern.may_match_in(directory))
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix(prefix) => path.starts_with(prefix),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix('/').is_some_and(|rest| path == rest)
            }
            Matcher::Regex(regex) => regex.is_match(path),
        }
    }

    fn may_match_in(&self, directory: &str) -> bool {
        let fixed = self
            .text
            .strip_suffix("/**")
            .or_else(|| self.text.strip_suffix("/*"))
            .unwrap_or(&self.text);
        if fixed.contains(['*', '[', ']', '?', '^', '\\']) {
            return true;
        }
        format!("{fixed}/").starts_with(&format!("{directory}/"))
    }
}

/// Reads a `.dockerignore`: comments, blanks and a leading slash mean nothing.
pub(crate) fn ignore_lines(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut patterns = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = line.trim();
        let (mark, line) = match line.strip_prefix('!') {
            Some(rest) => ("!", rest.trim()),
            None => ("", line),
        };
        if line.is_empty() && mark.is_empty() {
            continue;
        }
        let cleaned = if line.is_empty() { String::new() } else { clean(line) };
        let relative = match cleaned.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => rest,
            _ => &cleaned,
        };
        patterns.push(format!("{mark}{relative}"));
    }
    patterns
}

/// The shortest path of the same meaning: no `.`, no doubled or trailing slash, `..` resolved where possible.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// What decides a match; `None` for a text that is no pattern.
fn compile(text: &str) -> Option<Matcher> {
    if !text.contains(['*', '?', '[', ']', '\\']) {
        return Some(Matcher::Exact);
    }
    // The two usual forms need no regular expression.
    let plain = |rest: &str| !rest.contains(['*', '?', '[', ']', '\\']);
    if let Some(rest) = text.strip_prefix("**").filter(|rest| plain(rest)) {
        return Some(Matcher::Suffix(rest.to_owned()));
    }
    if let Some(rest) = text.strip_suffix("**").filter(|rest| plain(rest)) {
        return Some(Matcher::Prefix(rest.to_owned()));
    }
    let mut expression = String::from("(?s)^");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                expression.push_str(if characters.peek().is_none() { ".*" } else { "(?:.*/)?" });
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => class(&mut characters, &mut expression)?,
            '\\' => expression.push_str(&literal(characters.next()?)),
            other => expression.push_str(&literal(other)),
        }
    }
    expression.push('$');
    regex::RegexBuilder::new(&expression)
        .size_limit(1 << 20)
        .build()
        .ok()
        .map(Matcher::Regex)
}

fn literal(character: char) -> String {
    format!("\\x{{{:x}}}", u32::from(character))
}

/// One `[…]`: characters and ranges, negated by `^`, escaped by a backslash.
fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, expression: &mut String) -> Option<()> {
    expression.push('[');
    if characters.next_if_eq(&'^').is_some() {
        expression.push('^');
    }
    let mut ranges = 0_usize;
    loop {
        if ranges > 0 && characters.next_if_eq(&']').is_some() {
            expression.push(']');
            return Some(());
        }
        let low = member(characters)?;
        expression.push_str(&literal(low));
        if characters.next_if_eq(&'-').is_some() {
            let high = member(characters)?;
            if high < low {
                return None;
            }
            expression.push('-');
            expression.push_str(&literal(high));
        }
        ranges += 1;
    }
}

fn member(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a walk does: from the top down, each directory handing on what it was told.
    fn matches(patterns: &[&str], path: &str) -> bool {
        let patterns = Patterns::new(patterns).unwrap();
        let mut held = Held::new();
        let mut matched = false;
        let mut so_far = String::new();
        for part in path.split('/') {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            (matched, held) = patterns.matches(&so_far, &held);
        }
        matched
    }

    #[test]
    fn single_patterns_mean_what_docker_says() {
        for (pattern, path, expected) in [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("a/", "a/b", true),
            ("./a", "a", true),
            ("*", "a/b", true),
            ("*.log", "x.log", true),
            ("*.log", "d/x.log", false),
            ("**/*.log", "x.log", true),
            ("**/*.log", "d/e/x.log", true),
            ("**/node_modules", "node_modules/a", true),
            ("**/node_modules", "a/node_modules/b", true),
            ("**/node_modules", "my_node_modules", false),
            ("**node", "my_node", true),
            ("**", "a/b", true),
            ("a/**", "a/b", true),
            ("a/**", "a", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/*/z", "a/b/c/z", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c].txt", "b.txt", true),
            ("[^a-c].txt", "b.txt", false),
            ("[^a-c].txt", "z.txt", true),
            ("[&&x].txt", "&.txt", true),
            ("a.b", "axb", false),
            ("a+(b)|{c}$^", "a+(b)|{c}$^", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("ä*", "äpfel", true),
            ("日?", "日本", true),
            ("x/../y", "y/z", true),
        ] {
            assert_eq!(matches(&[pattern], path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn an_exclamation_mark_takes_back_and_order_decides() {
        assert!(matches(&["*", "!keep"], "a"));
        assert!(!matches(&["*", "!keep"], "keep"));
        assert!(!matches(&["*", "!keep"], "keep/inside"));
        assert!(matches(&["!keep", "*"], "keep"));
        assert!(!matches(&["d", "!d/e"], "d/e/f"));
        assert!(matches(&["d", "!d/e", "d/e/f"], "d/e/f"));
        assert!(!matches(&["**/*.md", "!README.md"], "README.md"));
        assert!(matches(&["**/*.md", "!README.md"], "docs/README.md"));
        assert!(!matches(
            &["node_modules", "!node_modules/*/package.json"],
            "node_modules/a/package.json"
        ));
    }

    #[test]
    fn a_malformed_pattern_is_refused() {
        for wrong in ["[", "[]", "[a", "[a-]", "[b-a]", "a[", "a\\", "!", "[-a]"] {
            assert!(Patterns::new([wrong]).is_err(), "{wrong}");
        }
        assert!(Patterns::new(["", "  "]).unwrap().patterns.is_empty());
    }

    #[test]
    fn an_excluded_directory_is_entered_only_where_something_may_be_taken_back() {
        let patterns = Patterns::new(["node_modules", "!node_modules/keep/x"]).unwrap();
        assert!(patterns.may_take_back_in("node_modules"));
        assert!(patterns.may_take_back_in("node_modules/keep"));
        assert!(!patterns.may_take_back_in("node_modules/other"));
        assert!(!Patterns::new(["a"]).unwrap().may_take_back_in("a"));
        assert!(Patterns::new(["a", "!**/b"]).unwrap().may_take_back_in("a"));
    }

    #[test]
    fn an_ignore_file_is_read_as_docker_reads_it() {
        assert_eq!(
            ignore_lines("\u{feff}# comment\n\n /a/b/ \n! /c\n#x\n  # no comment\r\n*.log\n/\n"),
            ["a/b", "!c", "# no comment", "*.log", "/"]
        );
    }

    #[test]
    fn a_hostile_pattern_costs_little() {
        let hostile = "*a".repeat(40);
        let started = std::time::Instant::now();
        assert!(!matches(&[&hostile], &"a".repeat(4_000).replace("aaaa", "aaab")));
        assert!(started.elapsed().as_secs() < 5);
    }
}
