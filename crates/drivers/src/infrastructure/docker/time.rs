//! The engine's times: RFC 3339 with up to nine digits after the second.

const NANOSECONDS: i64 = 1_000_000_000;

/// Nanoseconds since 1970; `None` for what is no such time, or lies outside of what 64 bits hold.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, offset_seconds) = split_offset(rest)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !fits || fraction.len() > 9 {
        return None;
    }
    let fraction = number(&format!("{fraction:0<9}"))?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds;
    seconds.checked_mul(NANOSECONDS)?.checked_add(fraction)
}

/// Milliseconds since 1970; `None` also for the zero time by which the engine says *never*.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    nanoseconds(text)
        .map(|at| at.div_euclid(1_000_000))
        .filter(|at| *at > 0)
}

fn number(text: &str) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

/// The time of day, and the seconds by which it is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    Some((
        &text[..at],
        if text[at..].starts_with('-') { -seconds } else { seconds },
    ))
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let leap_days = march_year.div_euclid(4) - march_year.div_euclid(100) + march_year.div_euclid(400);
    march_year * 365 + leap_days + (months_since_march * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("2000-02-29T12:00:00Z", 951_825_600 * NANOSECONDS),
            ("2024-02-29T23:59:59.5Z", 1_709_251_199 * NANOSECONDS + 500_000_000),
            (
                "2024-03-01T01:00:00.123456789+01:00",
                1_709_251_200 * NANOSECONDS + 123_456_789,
            ),
            ("2023-12-31T20:00:00-04:00", 1_704_067_200 * NANOSECONDS),
            ("2100-03-01T00:00:00Z", 4_107_542_400 * NANOSECONDS),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "now",
            "2024-01-01",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.1234567890Z",
            "2024-01-01T00:00Z",
            "-024-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "é024-01-01T00:00:00é",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
        assert_eq!(milliseconds("0001-01-01T00:00:00Z"), None);
    }
}
