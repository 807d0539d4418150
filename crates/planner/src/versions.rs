//! Version wishes, as npm and Python write them, against the few lines (majors or minors) that have a base image.

/// A version of up to three numbers.
pub(crate) type Version = (u64, u64, u64);

const END: Version = (u64::MAX, 0, 0);

/// From the first version that is meant to the first that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    low: Version,
    high: Version,
}

impl Interval {
    const ALL: Self = Self {
        low: (0, 0, 0),
        high: END,
    };

    fn and(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        }
    }
}

/// The versions that a wish allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    any_of: Vec<Interval>,
    but_not: Vec<Interval>,
}

/// What was chosen for a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The newest line with a version that the wish allows.
    Within(u64),
    /// Nothing fits; this is the nearest.
    Nearest(u64),
}

/// Up to three numbers, and how many were given: `1.2.x` is two.
fn partial(text: &str) -> Option<(Version, usize)> {
    let text = text.trim().trim_start_matches(['v', 'V', '=']).trim();
    let text = text.split(['-', '+']).next()?;
    let mut numbers = [0_u64; 3];
    let mut given = 0;
    for part in text.split('.').take(3) {
        if matches!(part, "x" | "X" | "*" | "") {
            break;
        }
        // `3.13rc1`, `3.12.0a2`: the digits in front are what counts.
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        numbers[given] = digits.parse().ok()?;
        given += 1;
    }
    let any = matches!(text, "*" | "x" | "X" | "");
    (given > 0 || any).then_some(((numbers[0], numbers[1], numbers[2]), given))
}

/// The version after all those that begin with the given numbers.
fn after((major, minor, patch): Version, given: usize) -> Version {
    match given {
        0 => END,
        1 => (major + 1, 0, 0),
        2 => (major, minor + 1, 0),
        _ => (major, minor, patch + 1),
    }
}

fn caret((major, minor, patch): Version, given: usize) -> Version {
    match (major, minor) {
        (0, 0) if given == 3 => (0, 0, patch + 1),
        (0, minor) if given >= 2 => (0, minor + 1, 0),
        _ => (major + 1, 0, 0),
    }
}

/// One comparison, in npm's or Python's notation.
fn comparison(operator: &str, text: &str, python: bool) -> Option<Interval> {
    let (version, given) = partial(text)?;
    let wild = text.contains(['*', 'x', 'X']);
    Some(match operator {
        _ if given == 0 => Interval::ALL,
        ">=" => Interval {
            low: version,
            high: END,
        },
        ">" if python => Interval {
            low: (version.0, version.1, version.2 + 1),
            high: END,
        },
        ">" => Interval {
            low: after(version, given),
            high: END,
        },
        "<" => Interval {
            low: (0, 0, 0),
            high: version,
        },
        "<=" if python => Interval {
            low: (0, 0, 0),
            high: after(version, 3),
        },
        "<=" => Interval {
            low: (0, 0, 0),
            high: after(version, given),
        },
        "^" => Interval {
            low: version,
            high: caret(version, given),
        },
        "~=" => Interval {
            low: version,
            high: if given >= 3 {
                after(version, 2)
            } else {
                (version.0 + 1, 0, 0)
            },
        },
        "~" | "~>" => Interval {
            low: version,
            high: after(version, given.min(2)),
        },
        // A bare `==3.12` is meant as the line, whatever the letter of the rule: nothing else could be chosen for it.
        "" | "=" | "==" | "===" => Interval {
            low: version,
            high: after(version, if wild { given } else { given.min(3) }),
        },
        _ => return None,
    })
}

/// Splits an operator from what follows it.
fn operator(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !"<>=~^!".contains(character))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

impl Range {
    /// A range of npm's: `>=18 <23`, `^20 || 22.x`, `18 - 22`.
    pub(crate) fn npm(text: &str) -> Option<Self> {
        let mut any_of = Vec::new();
        for alternative in text.split("||").take(20) {
            if let Some((low, high)) = alternative.split_once(" - ") {
                any_of.push(comparison(">=", low, false)?.and(comparison("<=", high, false)?));
                continue;
            }
            // An operator may be apart from its version: `>= 18`.
            let mut joined = String::new();
            for character in alternative.replace(',', " ").chars() {
                let after_operator = joined.ends_with(['<', '>', '=', '~', '^']);
                if !(character.is_whitespace() && after_operator) {
                    joined.push(character);
                }
            }
            let mut interval = Interval::ALL;
            for part in joined.split_whitespace().take(20) {
                let (operator, version) = operator(part);
                interval = interval.and(comparison(operator, version, false)?);
            }
            any_of.push(interval);
        }
        Some(Self {
            any_of,
            but_not: Vec::new(),
        })
    }

    /// A specifier of Python's or Poetry's: `>=3.11,<3.14`, `~=3.11`, `^3.11 || ^3.13`.
    pub(crate) fn python(text: &str) -> Option<Self> {
        let mut range = Self {
            any_of: Vec::new(),
            but_not: Vec::new(),
        };
        for alternative in text.split("||").take(20) {
            let mut interval = Interval::ALL;
            for part in alternative
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .take(20)
            {
                match operator(part) {
                    ("!=", version) => range.but_not.push(comparison("==", version, true)?),
                    (operator, version) => interval = interval.and(comparison(operator, version, true)?),
                }
            }
            range.any_of.push(interval);
        }
        Some(range)
    }

    /// A range as Composer, Bundler and Mix write it, where `~1.2` and `~> 1.2` allow 1.9, and alternatives are
    /// separated by `|`, `||` or `or`.
    pub(crate) fn pessimistic(text: &str) -> Option<Self> {
        if text.len() > 1_000 {
            return None;
        }
        let text = text.replace("||", "|").replace('|', "||");
        let text = text.replace(" or ", " || ").replace(" and ", " ");
        let text = text.replace("~>", "~").replace("~=", "~").replace('~', "~=");
        // A stability flag of Composer's says nothing about the version.
        let text = text.split('@').next().unwrap_or_default().replace(", ", " ");
        let without_holes: Vec<&str> = text.split_whitespace().filter(|part| !part.starts_with("!=")).collect();
        Self::npm(&without_holes.join(" "))
    }

    fn touches(&self, line: Interval) -> bool {
        let excluded = self
            .but_not
            .iter()
            .any(|hole| hole.low <= line.low && hole.high >= line.high);
        !excluded
            && self.any_of.iter().any(|interval| {
                let both = interval.and(line);
                both.low < both.high
            })
    }

    /// The first of `preferred` that fits, else as [`Range::choose`].
    pub(crate) fn choose_preferring(
        &self,
        preferred: &[u64],
        lines: &[u64],
        bounds: fn(u64) -> (Version, Version),
    ) -> Option<Match> {
        let fits = |line: &u64| {
            let (low, high) = bounds(*line);
            self.touches(Interval { low, high })
        };
        let first = preferred.iter().copied().find(fits).map(Match::Within);
        first.or_else(|| self.choose(lines, bounds))
    }

    /// Whether this only says from which version on, which is no choice of one: a version that is named elsewhere, and whose
    /// own line this allows, is what the application is developed with.
    pub(crate) fn leaves_open(&self, named: &Self, lines: &[u64], bounds: fn(u64) -> (Version, Version)) -> bool {
        let is_open = self.any_of.iter().any(|interval| interval.high == END);
        let Some(Match::Within(line)) = named.choose(lines, bounds) else {
            return false;
        };
        is_open && matches!(self.choose(&[line], bounds), Some(Match::Within(_)))
    }

    /// The newest line that fits, or the nearest. `lines` are newest first; `bounds` gives a line's first version and
    /// the first after it.
    pub(crate) fn choose(&self, lines: &[u64], bounds: fn(u64) -> (Version, Version)) -> Option<Match> {
        let interval = |line| {
            let (low, high) = bounds(line);
            Interval { low, high }
        };
        if let Some(line) = lines.iter().copied().find(|line| self.touches(interval(*line))) {
            return Some(Match::Within(line));
        }
        let wanted = self
            .any_of
            .iter()
            .filter(|part| part.low < part.high)
            .map(|part| part.low)
            .max()?;
        let newer = lines.iter().copied().rev().find(|line| interval(*line).low >= wanted);
        newer.or_else(|| lines.first().copied()).map(Match::Nearest)
    }
}

/// Node.js's lines are majors.
pub(crate) fn node_line(major: u64) -> (Version, Version) {
    ((major, 0, 0), (major + 1, 0, 0))
}

/// Python's lines are minors of 3.
pub(crate) fn python_line(minor: u64) -> (Version, Version) {
    ((3, minor, 0), (3, minor + 1, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::{NODE_MAJORS, NODE_SUPPORTED, PYTHON_CLOSED};

    fn node(text: &str) -> Match {
        let range = Range::npm(text).unwrap();
        range.choose_preferring(NODE_SUPPORTED, NODE_MAJORS, node_line).unwrap()
    }
    fn python(text: &str) -> Match {
        Range::python(text).unwrap().choose(PYTHON_CLOSED, python_line).unwrap()
    }

    #[test]
    fn of_several_nodes_that_fit_one_with_support_is_chosen() {
        for (wish, major) in [
            (">=18", 24),
            (">=25", 26),
            ("26", 26),
            ("23.5.0", 23),
            ("18 || 20", 20),
            ("18.x", 18),
            ("<=21", 21),
            (">= 18.0.0", 24),
            ("22", 22),
            ("v22.11.0", 22),
            ("^20.9.0", 20),
            ("20.x || 22.x", 22),
            (">=18 <23", 22),
            ("18 - 22", 22),
            ("~20.1", 20),
            ("*", 24),
            ("<=20", 20),
            ("<20", 19),
            ("<22", 21),
            ("20 || >=22", 24),
            ("^18.0.0 || ^20.0.0 || >=22.0.0", 24),
        ] {
            assert_eq!(node(wish), Match::Within(major), "{wish}");
        }
    }

    #[test]
    fn a_wish_that_cannot_be_met_gets_the_nearest() {
        assert_eq!(node("^16"), Match::Nearest(18));
        assert_eq!(node(">=27"), Match::Nearest(26));
        assert_eq!(python("==3.12.*"), Match::Nearest(13));
        assert_eq!(python("3.9"), Match::Nearest(11));
        assert_eq!(python(">=3.14"), Match::Nearest(13));
    }

    #[test]
    fn python_specifiers_are_understood() {
        for (wish, minor) in [
            (">=3.9", 13),
            (">=3.9,<3.13", 11),
            ("~=3.11", 13),
            ("~=3.11.2", 11),
            ("^3.11", 13),
            ("3.11.4", 11),
            (">=3.10, !=3.13.*", 11),
            ("==3.11.*", 11),
            ("<3.12", 11),
            ("3.13rc1", 13),
        ] {
            assert_eq!(python(wish), Match::Within(minor), "{wish}");
        }
    }

    #[test]
    fn ranges_of_composer_bundler_and_mix_are_understood() {
        const LINES: &[u64] = &[400, 304, 303, 302];
        let line = |text: &str| {
            Range::pessimistic(text)
                .unwrap()
                .choose(LINES, crate::wish::dotted_line)
        };
        for (wish, expected) in [
            ("~> 3.2", 304),
            ("~> 3.3.1", 303),
            (">= 3.2, < 3.4", 303),
            ("~3.2.0", 302),
            ("3.2|3.3", 303),
            ("^3.2 || ^4.0", 400),
            (">= 3.2.0 and < 3.4.0", 303),
            ("~> 3.2 or ~> 4.0", 400),
            ("3.3.*", 303),
            (">=3.2 !=3.4.0", 400),
            ("3.3.1@stable", 303),
        ] {
            assert_eq!(line(wish), Some(Match::Within(expected)), "{wish}");
        }
        assert_eq!(line("2.7.1"), Some(Match::Nearest(302)));
        assert!(Range::pessimistic(&"|".repeat(5_000)).is_none());
        assert!(Range::pessimistic("three").is_none());
    }

    #[test]
    fn nonsense_is_no_range() {
        for text in ["latest please", "$(x)", ">=99999999999999999999", "lts/*"] {
            assert!(Range::npm(text).is_none(), "{text}");
            assert!(Range::python(text).is_none(), "{text}");
        }
    }
}
