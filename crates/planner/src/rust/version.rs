//! Which Rust an application wants, and which it gets.

use toml::Table;

use crate::{Refusal, bases, settings::Choice, survey::Survey, tool_versions, tree::shown};

/// A wish, where it stands, and whether it names one release and not the oldest that would do.
struct Wish {
    text: String,
    because: String,
    is_pin: bool,
}

/// The image of the toolchain: the release that is pinned, if it has one, else the newest, which compiles what every older
/// stable release compiles.
pub(super) fn choose(survey: &mut Survey<'_>, manifest: &Table) -> Result<String, Refusal> {
    let offered = format!("1.{}", bases::RUST_MINOR);
    let Some(wish) = wish(survey, manifest)? else {
        survey.fact("rust version", &offered, "nothing asks for another");
        return Ok(bases::rust());
    };
    let Wish { text, because, is_pin } = wish;
    let refuse = |advice: &str| {
        Err(Refusal::Version {
            wanted: format!("Rust {}", shown(&text)),
            because: because.clone(),
            offered: offered.clone(),
            advice: advice.to_owned(),
        })
    };
    if text.starts_with("nightly") || text.starts_with("beta") {
        return refuse("Only stable releases are planned: name stable there, or add a Dockerfile.");
    }
    if matches!(text.as_str(), "stable" | "latest" | "1") {
        survey.fact("rust version", &offered, &format!("{because} asks for {text}"));
        return Ok(bases::rust());
    }
    let numbers: Vec<Option<u64>> = text.split('.').map(number).collect();
    match numbers.as_slice() {
        [Some(1), Some(minor), rest @ ..] if *minor < bases::RUST_MINOR && is_pin => {
            let release = match rest {
                [Some(patch)] => format!("1.{minor}.{patch}"),
                _ => format!("1.{minor}"),
            };
            if let Some(image) = bases::rust_release(*minor, &release).filter(|_| !survey.settings.closed_network) {
                survey.fact("rust version", &release, &format!("{because} asks for {text}"));
                return Ok(image);
            }
            let reason = format!("{because} asks for {text}, which newer releases compile too");
            survey.fact("rust version", &offered, &reason);
            survey.warn(&format!(
                "{because} pins Rust {}. Its base image cannot be had here, so it is built with {offered}, which compiles what \
                 older releases compile.",
                shown(&text)
            ));
            Ok(bases::rust())
        }
        [Some(1), Some(minor), ..] if *minor <= bases::RUST_MINOR => {
            let reason = format!("{because} asks for {text}, which newer releases compile too");
            survey.fact("rust version", &offered, &reason);
            Ok(bases::rust())
        }
        [Some(major), ..] if *major >= 1 => refuse("Ask for an older one, or add a Dockerfile."),
        _ => {
            survey.warn(&format!(
                "{:?} of {because} is no release of Rust that is understood, so {offered} is used.",
                shown(&text)
            ));
            survey.fact("rust version", &offered, &format!("{because} is not understood"));
            Ok(bases::rust())
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(6).collect();
    digits.parse().ok()
}

fn wish(survey: &Survey<'_>, manifest: &Table) -> Result<Option<Wish>, Refusal> {
    let pin = |text: &str, because: &str| Wish {
        text: text.trim().to_owned(),
        because: because.to_owned(),
        is_pin: true,
    };
    if let Some(chosen) = survey.chosen(Choice::RustVersion) {
        return Ok(Some(pin(&chosen.value, &chosen.because)));
    }
    for file in super::TOOLCHAIN_FILES {
        let Some(text) = survey.tree.text(file)? else { continue };
        let table: Option<Table> = toml::from_str(&text).ok();
        let channel = table
            .as_ref()
            .and_then(|table| text_at(table, &["toolchain", "channel"]));
        // The older form of the file is the channel alone.
        let alone = text.lines().next().map(str::trim).filter(|line| !line.starts_with('['));
        if let Some(channel) = channel.or(alone.filter(|line| table.is_none() && !line.is_empty())) {
            return Ok(Some(pin(channel, file)));
        }
    }
    if let Some((version, because)) = tool_versions::wish(survey.tree, &["rust"])? {
        return Ok(Some(pin(&version, &because)));
    }
    let oldest = text_at(manifest, &["package", "rust-version"])
        .or_else(|| text_at(manifest, &["workspace", "package", "rust-version"]));
    Ok(oldest.map(|text| Wish {
        text: text.trim().to_owned(),
        because: "rust-version in Cargo.toml".to_owned(),
        is_pin: false,
    }))
}

/// A text in a table of tables.
pub(super) fn text_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a str> {
    let (last, folders) = path.split_last()?;
    let mut table = table;
    for folder in folders {
        table = table.get(*folder)?.as_table()?;
    }
    table.get(*last)?.as_str()
}
