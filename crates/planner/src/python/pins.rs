//! Up to which Python the releases that an application pins are ready-made: an old release with a new Python means
//! compiling, for which the tools are seldom there.

use crate::python::dependencies::Names;

/// The first release of a package with a wheel of Linux on x86-64 for a minor of Python 3, oldest first; from the index's own
/// lists of files. A release before all of them has
/// wheels for the first minor's predecessor.
const WHEELS: &[(&str, &[(Release, u64)])] = &[
    ("aiohttp", &[((3, 8, 2), 11), ((3, 9, 0), 12), ((3, 10, 5), 13)]),
    ("asyncpg", &[((0, 27, 0), 11), ((0, 29, 0), 12), ((0, 30, 0), 13)]),
    ("cffi", &[((1, 15, 1), 11), ((1, 16, 0), 12), ((1, 17, 0), 13)]),
    ("gevent", &[((22, 10, 1), 11), ((23, 7, 0), 12), ((24, 10, 1), 13)]),
    ("greenlet", &[((1, 1, 3), 11), ((3, 0, 0), 12), ((3, 1, 0), 13)]),
    ("grpcio", &[((1, 49, 0), 11), ((1, 59, 0), 12), ((1, 66, 2), 13)]),
    ("lxml", &[((4, 9, 1), 11), ((4, 9, 3), 12), ((5, 3, 0), 13)]),
    ("matplotlib", &[((3, 6, 0), 11), ((3, 7, 3), 12), ((3, 9, 2), 13)]),
    ("numpy", &[((1, 23, 2), 11), ((1, 26, 0), 12), ((2, 1, 0), 13)]),
    ("pandas", &[((1, 5, 0), 11), ((2, 1, 1), 12), ((2, 2, 3), 13)]),
    ("pillow", &[((9, 2, 0), 11), ((10, 0, 0), 12), ((10, 4, 0), 13)]),
    ("psycopg2-binary", &[((2, 9, 5), 11), ((2, 9, 9), 12), ((2, 9, 10), 13)]),
    ("pydantic-core", &[((0, 7, 0), 11), ((2, 1, 2), 12), ((2, 20, 0), 13)]),
    ("pyyaml", &[((6, 0, 0), 11), ((6, 0, 1), 12), ((6, 0, 2), 13)]),
    ("scikit-learn", &[((1, 1, 3), 11), ((1, 3, 1), 12), ((1, 5, 2), 13)]),
    ("scipy", &[((1, 9, 2), 11), ((1, 11, 2), 12), ((1, 14, 1), 13)]),
    ("tensorflow", &[((2, 12, 0), 11), ((2, 16, 1), 12), ((2, 20, 0), 13)]),
    ("torch", &[((1, 13, 0), 11), ((2, 2, 0), 12), ((2, 5, 0), 13)]),
];

type Release = (u64, u64, u64);

/// The newest of the allowed minors for which all that is pinned is ready-made, and what is not for a newer one.
pub(super) fn newest(names: &Names, allowed: &[u64]) -> Option<(u64, String)> {
    let limits = WHEELS.iter().filter_map(|(name, releases)| {
        let pinned = names.pin(name)?;
        let release = release(pinned)?;
        let newest = releases.last().map_or(0, |(_, minor)| *minor);
        let before = releases.first().map_or(0, |(_, minor)| minor - 1);
        let of = releases.iter().rev().find(|(first, _)| release >= *first);
        let minor = of.map_or(before, |(_, minor)| *minor);
        (minor < newest).then(|| (minor, format!("{name} {pinned}")))
    });
    let (limit, what) = limits.min()?;
    let minor = allowed.iter().copied().filter(|minor| *minor <= limit).max()?;
    Some((minor, what))
}

fn release(text: &str) -> Option<Release> {
    let mut parts = text.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).take(6).collect();
        digits.parse::<u64>().ok()
    });
    Some((
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
        parts.next().flatten().unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(release("1.26.0"), Some((1, 26, 0)));
        assert_eq!(release("2"), Some((2, 0, 0)));
        assert_eq!(release("24.10.1.post1"), Some((24, 10, 1)));
        assert_eq!(release("x"), None);
    }
}
