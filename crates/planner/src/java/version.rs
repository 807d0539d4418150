//! Which JDK an application wants, and which it gets.

use crate::{Refusal, bases, settings::Choice, survey::Survey, tool_versions, tree::shown};

/// A wish and where it stands.
pub(super) type Wish = (String, String);

/// A major of Java. `of_build` is what the build file asks for, `newest` what its own tool can run on.
pub(super) fn choose(
    survey: &mut Survey<'_>,
    of_build: Option<Wish>,
    newest: Option<(u64, String)>,
) -> Result<u64, Refusal> {
    let Some((text, because)) = of_files(survey)?.or(of_build) else {
        return Ok(by_default(survey, newest));
    };
    let Some(wanted) = major(&text) else {
        survey.warn(&format!(
            "{:?} of {because} is no version of Java that is understood, so {} is used.",
            shown(&text),
            bases::JAVA_DEFAULT
        ));
        return Ok(by_default(survey, newest));
    };
    let majors = match survey.settings.closed_network {
        true => bases::JAVA_CLOSED,
        false => bases::JAVA_MAJORS,
    };
    let Some(chosen) = majors.iter().copied().rev().find(|major| *major >= wanted) else {
        return Err(Refusal::Version {
            wanted: format!("Java {wanted}"),
            because,
            offered: bases::JAVA_MAJORS.first().copied().unwrap_or_default().to_string(),
            advice: "Ask for an older one, or add a Dockerfile.".to_owned(),
        });
    };
    if chosen != wanted && bases::JAVA_MAJORS.contains(&wanted) {
        survey.warn(&format!(
            "Java {wanted} is asked for by {because}. Its base image cannot be had here, so Java {chosen} is used."
        ));
    } else if chosen != wanted && wanted >= 8 {
        survey.warn(&format!(
            "Java {wanted} is asked for by {because}. It gets no updates any more, and there is no base image for it: Java \
             {chosen}, the next one with long-term support, is used."
        ));
    }
    survey.fact(
        "java version",
        &chosen.to_string(),
        &format!("{because} asks for {}", shown(&text)),
    );
    Ok(chosen)
}

fn by_default(survey: &mut Survey<'_>, newest: Option<(u64, String)>) -> u64 {
    match newest.filter(|(newest, _)| *newest < bases::JAVA_DEFAULT) {
        Some((newest, because)) => {
            let fitting = bases::JAVA_MAJORS.iter().copied().find(|major| *major <= newest);
            let chosen = fitting.unwrap_or(bases::JAVA_DEFAULT);
            survey.fact("java version", &chosen.to_string(), &because);
            chosen
        }
        None => {
            survey.fact(
                "java version",
                &bases::JAVA_DEFAULT.to_string(),
                "nothing asks for another",
            );
            bases::JAVA_DEFAULT
        }
    }
}

/// `21`, `1.8`, `21.0.2-tem`, `temurin-21.0.2+13`, `VERSION_17`: the first number, or the one after `1.`.
pub(super) fn major(text: &str) -> Option<u64> {
    let at = text.find(|character: char| character.is_ascii_digit())?;
    // `openjdk64-17.0.2` names a word size first.
    let text = text.strip_prefix("openjdk64-").unwrap_or(&text[at..]);
    let mut numbers = text.split(|character: char| !character.is_ascii_digit());
    let first: u64 = numbers.next().filter(|digits| digits.len() <= 4)?.parse().ok()?;
    if first == 1 && text.starts_with("1.") {
        return numbers.next().filter(|digits| digits.len() <= 4)?.parse().ok();
    }
    (first > 0).then_some(first)
}

/// What files say that are there for nothing else.
fn of_files(survey: &Survey<'_>) -> Result<Option<Wish>, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::JavaVersion) {
        return Ok(Some((chosen.value, chosen.because)));
    }
    let first_line = |text: &str| {
        let mut lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        lines.find(|line| !line.is_empty()).map(str::to_owned)
    };
    let after = |text: &str, name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(['=', ' '])?;
            (key.trim() == name).then(|| value.trim_start_matches('=').trim().to_owned())
        })
    };
    let text = |file: &str| survey.tree.text(file).map(Option::unwrap_or_default);
    let places = [
        (first_line(&text(".java-version")?), ".java-version"),
        (after(&text(".sdkmanrc")?, "java"), ".sdkmanrc"),
        (
            after(&text("system.properties")?, "java.runtime.version"),
            "system.properties",
        ),
    ];
    for (found, file) in places {
        if let Some(found) = found {
            return Ok(Some((found, file.to_owned())));
        }
    }
    tool_versions::wish(survey.tree, &["java"])
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn a_major_is_found_in_every_notation() {
        for (text, expected) in [
            ("21", Some(21)),
            ("1.8", Some(8)),
            ("21.0.2-tem", Some(21)),
            ("temurin-17.0.9+9", Some(17)),
            ("openjdk64-11.0.2", Some(11)),
            ("JavaVersion.VERSION_1_8", Some(1)),
            ("zulu-8.86", Some(8)),
            ("latest", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }
}
