//! Which Deno an application wants, and which it gets.

use crate::{Refusal, bases, settings::Choice, survey::Survey, tool_versions, tree::shown};

/// There is one release: within a major, newer ones run what was written for older ones.
pub(super) fn check(survey: &mut Survey<'_>) -> Result<(), Refusal> {
    let Some((text, because)) = wish(survey)? else {
        survey.fact("deno version", bases::DENO_VERSION, "nothing asks for another");
        return Ok(());
    };
    let major = |text: &str| {
        let digits: String = text
            .trim_start_matches(['v', '^', '~', '=', '>'])
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse::<u64>().ok()
    };
    let (wanted, offered) = (major(&text), major(bases::DENO_VERSION));
    if wanted > offered {
        return Err(Refusal::Version {
            wanted: format!("Deno {}", shown(&text)),
            because,
            offered: bases::DENO_VERSION.to_owned(),
            advice: "Ask for an older one, or add a Dockerfile.".to_owned(),
        });
    }
    if wanted.is_some() && wanted < offered {
        survey.warn(&format!(
            "Deno {} is asked for by {because}. It gets no updates any more, so {} is used, which may not run everything that \
             was written for it.",
            shown(&text),
            bases::DENO_VERSION
        ));
    }
    let reason = format!("{because} asks for {}, and there is one base image", shown(&text));
    survey.fact("deno version", bases::DENO_VERSION, &reason);
    Ok(())
}

fn wish(survey: &Survey<'_>) -> Result<Option<(String, String)>, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::DenoVersion) {
        return Ok(Some((chosen.value, chosen.because)));
    }
    for file in [".deno-version", ".dvmrc"] {
        let text = survey.tree.text(file)?.unwrap_or_default();
        if let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) {
            return Ok(Some((line.to_owned(), file.to_owned())));
        }
    }
    tool_versions::wish(survey.tree, &["deno"])
}
