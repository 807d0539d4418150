//! What a `.dockerignore` leaves out. The planner looks through it, so that a plan never copies a file that the build
//! context will not hold.

/// More patterns than this, or longer ones, are not looked at: no real file has them.
const MOST_PATTERNS: usize = 1_000;
const LONGEST_PATTERN: usize = 1_000;

/// The patterns of one `.dockerignore`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    components: Vec<String>,
    brings_back: bool,
}

impl Ignore {
    pub(crate) fn parse(text: &str) -> Self {
        let patterns = text
            .lines()
            .filter(|line| !line.starts_with('#') && line.len() <= LONGEST_PATTERN)
            .filter_map(|line| {
                let line = line.trim();
                let (brings_back, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
                let components: Vec<String> = line
                    .split('/')
                    .filter(|part| !part.is_empty() && *part != ".")
                    .map(str::to_owned)
                    .collect();
                (!components.is_empty()).then_some(Pattern {
                    components,
                    brings_back,
                })
            })
            .take(MOST_PATTERNS)
            .collect();
        Self { patterns }
    }

    /// Whether the build context lacks the path. The last pattern that matches the path or a folder above it decides.
    pub(crate) fn leaves_out(&self, path: &str) -> bool {
        let components: Vec<&str> = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        if components.is_empty() {
            return false;
        }
        let decides = self
            .patterns
            .iter()
            .rev()
            .find(|pattern| (1..=components.len()).any(|end| matches(&pattern.components, &components[..end])));
        decides.is_some_and(|pattern| !pattern.brings_back)
    }

    /// Whether the path itself is meant, and not only a folder above it: lists of folders are written like this too.
    pub(crate) fn names(&self, path: &str) -> bool {
        let components: Vec<&str> = path.split('/').collect();
        let mut patterns = self.patterns.iter().rev();
        let decides = patterns.find(|pattern| matches(&pattern.components, &components));
        decides.is_some_and(|pattern| !pattern.brings_back)
    }
}

/// Whether the pattern's components match all of the path's; `**` stands for any number of them. One row of a table
/// per pattern component, so that no pattern takes more than their product.
fn matches(pattern: &[String], path: &[&str]) -> bool {
    let mut row = vec![false; path.len() + 1];
    row[0] = true;
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        if part == "**" {
            let mut reached = false;
            for (position, &before) in row.iter().enumerate() {
                reached |= before;
                next[position] = reached;
            }
        } else {
            for position in 0..path.len() {
                next[position + 1] = row[position] && component_matches(part, path[position]);
            }
        }
        row = next;
    }
    row[path.len()]
}

/// `*`, `?`, `[a-z]`, `[^a-z]` and backslash escapes inside one component.
fn component_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, position));
            at += 1;
        } else if let Some(after) = one_matches(&pattern, at, name[position]) {
            at = after;
            position += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            position = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at.min(pattern.len())..].iter().all(|&left| left == '*')
}

/// If the pattern's element at `at` matches the character, where the next element begins.
fn one_matches(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (pattern.get(at + 1) == Some(&character)).then_some(at + 2),
        '[' => {
            let close = at + 2 + pattern.get(at + 2..)?.iter().position(|&end| end == ']')?;
            let negated = pattern.get(at + 1) == Some(&'^');
            let set = pattern.get(at + 1 + usize::from(negated)..close)?;
            let mut inside = false;
            let mut index = 0;
            while index < set.len() {
                if set.get(index + 1) == Some(&'-') && index + 2 < set.len() {
                    inside |= (set[index]..=set[index + 2]).contains(&character);
                    index += 3;
                } else {
                    inside |= set[index] == character;
                    index += 1;
                }
            }
            (inside != negated).then_some(close + 1)
        }
        &literal => (literal == character).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_leaves_out_what_lies_below_it() {
        let ignore = Ignore::parse("# comment\nnode_modules\n*.log\n/docs/\n**/tmp\nsecret-[0-9]\n");
        for path in [
            "node_modules",
            "node_modules/a/b.js",
            "a.log",
            "docs/x.md",
            "a/b/tmp/c",
            "tmp",
            "secret-7",
        ] {
            assert!(ignore.leaves_out(path), "{path}");
        }
        for path in ["src/node_modules", "b/a.log", "docs2/x", "secret-x", "a/tmpx"] {
            assert!(!ignore.leaves_out(path), "{path}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let ignore = Ignore::parse("*\n!package.json\n!src\nsrc/private\n");
        assert!(!ignore.leaves_out("package.json"));
        assert!(!ignore.leaves_out("src/index.js"));
        assert!(ignore.leaves_out("src/private/key"));
        assert!(ignore.leaves_out("index.js"));
    }

    #[test]
    fn a_hostile_pattern_ends_in_time() {
        let ignore = Ignore::parse(&format!("{}b\n{}\n[\n[a-\n\\\n", "a*".repeat(400), "**/".repeat(300)));
        assert!(!ignore.leaves_out(&"a".repeat(250)) || ignore.leaves_out("x"));
        assert!(!Ignore::parse("[\n[a-\n\\").leaves_out("a"));
    }
}
