//! Keeps secrets out of what a person reads.

use std::borrow::Cow;

use domain::SecretText;

/// What stands in a secret's place.
const STARS: &str = "***";

/// Shorter values are words of everyday language; hiding them would hide nothing and spoil every line.
const SHORTEST: usize = 4;

/// Values that are set everywhere and keep no secret.
const COMMONPLACE: [&str; 16] = [
    "true",
    "false",
    "null",
    "none",
    "production",
    "development",
    "staging",
    "test",
    "testing",
    "default",
    "enabled",
    "disabled",
    "localhost",
    "127.0.0.1",
    "0.0.0.0",
    "info",
];

/// Replaces secret values.
#[derive(Default)]
pub(super) struct Mask {
    /// Longest first, so that a value within another does not leave the other's ends.
    values: Vec<String>,
}

impl Mask {
    /// A mask for these values. A value of several lines is hidden line by line.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretText>) -> Self {
        let mut values: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| secret.expose().lines().chain([secret.expose()]))
            .map(str::trim)
            .filter(|value| telling(value))
            .map(str::to_owned)
            .collect();
        values.sort_unstable_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        values.dedup();
        Self { values }
    }

    /// The text without them.
    pub(super) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut shown = Cow::Borrowed(text);
        for value in &self.values {
            if shown.contains(value.as_str()) {
                shown = Cow::Owned(shown.replace(value.as_str(), STARS));
            }
        }
        shown
    }

    /// The length of the longest value in bytes.
    pub(super) fn longest(&self) -> usize {
        self.values.first().map_or(0, String::len)
    }
}

/// Whether a value says something that must not be read.
fn telling(value: &str) -> bool {
    let short_number = value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit());
    value.len() >= SHORTEST && !short_number && !COMMONPLACE.iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<SecretText> = secrets.iter().map(|secret| SecretText::new(*secret)).collect();
        Mask::new(&secrets).hide(text).into_owned()
    }

    #[test]
    fn a_value_is_hidden_wherever_it_stands() {
        assert_eq!(hidden(&["s3cret"], "a s3cret and s3crets3cret"), "a *** and ******");
        assert_eq!(hidden(&["abcd", "abcdefgh"], "abcdefgh abcd"), "*** ***");
        assert_eq!(
            hidden(&["-----BEGIN-----\nline-of-key\n"], "got line-of-key"),
            "got ***"
        );
    }

    #[test]
    fn everyday_values_stay_readable() {
        assert_eq!(
            hidden(&["production", "8080", "on", "", "\n"], "production on 8080"),
            "production on 8080"
        );
        assert_eq!(hidden(&["123456"], "pin 123456"), "pin ***");
    }
}
