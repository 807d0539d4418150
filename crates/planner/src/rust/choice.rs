//! Which program of a package or a workspace is the application.

use crate::{
    Refusal,
    command::Command,
    rust::manifest::{Package, Program},
    settings::Choice,
    survey::Survey,
    tree::shown,
};

/// Names that say that a program serves, clearest first.
const SERVES: &[&str] = &["server", "web", "api", "app", "backend", "http"];

/// The program to build: chosen by the user, the only one, `default-run`, or the one whose name says that it serves.
/// A start command that names one says it, too.
pub(super) fn choose(
    survey: &mut Survey<'_>,
    packages: &[Package],
    start: Option<&Command>,
) -> Result<(Package, Program), Refusal> {
    let mut of: Vec<&Package> = packages.iter().collect();
    if let Some(chosen) = survey.chosen(Choice::RustPackage) {
        let folder = chosen.value.trim_start_matches("./").trim_end_matches('/');
        of.retain(|package| package.name == chosen.value || package.folder == folder);
        let Some(package) = of.first() else {
            let names: Vec<String> = packages.iter().take(20).map(|package| package.name.clone()).collect();
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!(
                    "there is no package {:?}. There are: {}",
                    shown(&chosen.value),
                    names.join(", ")
                ),
            });
        };
        survey.fact("package", &package.name, &chosen.because);
    }
    let all: Vec<(&Package, &Program)> = of
        .iter()
        .flat_map(|package| package.programs.iter().map(move |program| (*package, program)))
        .collect();
    if let Some(chosen) = survey.chosen(Choice::RustBinary) {
        let Some((package, program)) = all.iter().find(|(_, program)| program.name == chosen.value) else {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!("there is no program {:?}. {}", shown(&chosen.value), candidates(&all)),
            });
        };
        survey.fact("program", &program.name, &chosen.because);
        return Ok(((*package).clone(), (*program).clone()));
    }
    let named = all
        .iter()
        .find(|(_, program)| start.is_some_and(|start| start.names(&program.name)));
    let (package, program, because, is_clear) = match named {
        Some((package, program)) => (*package, *program, "the start command names it".to_owned(), true),
        None => likely(&of, &all)?,
    };
    survey.fact("program", &program.name, &because);
    if !is_clear {
        survey.warn(&format!(
            "{} Choose another with the variable CLICK_DEPLOY_RUST_BIN.",
            candidates(&all)
        ));
    }
    Ok((package.clone(), program.clone()))
}

type Likely<'a> = (&'a Package, &'a Program, String, bool);

fn likely<'a>(of: &[&'a Package], all: &[(&'a Package, &'a Program)]) -> Result<Likely<'a>, Refusal> {
    if let [(package, program)] = all {
        return Ok((package, program, "the only program".to_owned(), true));
    }
    let by_default = |(package, program): &(&Package, &Program)| package.default_run.as_ref() == Some(&program.name);
    let runs: Vec<_> = all.iter().filter(|one| by_default(one)).collect();
    if let [(package, program)] = runs.as_slice() {
        return Ok((package, program, "default-run in Cargo.toml".to_owned(), true));
    }
    // `cargo run` at the root of a workspace means its own package, or its default members.
    let is_default = |(package, _): &&(&Package, &Program)| package.is_default;
    let defaults: Vec<_> = all.iter().filter(is_default).collect();
    if let ([(package, program)], true) = (defaults.as_slice(), of.len() > 1) {
        return Ok((package, program, "the only program of default-members".to_owned(), true));
    }
    let of_the_root: Vec<_> = all.iter().filter(|(package, _)| package.folder.is_empty()).collect();
    if let [(package, program)] = of_the_root.as_slice() {
        return Ok((
            package,
            program,
            "the program of the package at the root".to_owned(),
            false,
        ));
    }
    let mains: Vec<_> = all
        .iter()
        .filter(|(package, program)| program.name == package.name && program.source.ends_with("src/main.rs"))
        .collect();
    let main_of_root = mains.iter().find(|(package, _)| package.folder.is_empty());
    if let Some((package, program)) = main_of_root {
        return Ok((package, program, "src/main.rs has the package's name".to_owned(), false));
    }
    let named = SERVES.iter().find_map(|name| {
        all.iter().find(|(_, program)| {
            program.name == *name
                || program.name.ends_with(&format!("-{name}"))
                || program.name.ends_with(&format!("_{name}"))
        })
    });
    if let Some((package, program)) = named {
        let because = format!("of {} programs, its name says most clearly that it serves", all.len());
        return Ok((package, program, because, false));
    }
    if let [(package, program)] = mains.as_slice() {
        return Ok((package, program, "the only src/main.rs".to_owned(), false));
    }
    if all.is_empty() {
        return Err(nothing());
    }
    Err(Refusal::Ambiguous {
        found: format!("{} programs", all.len()),
        candidates: shown(&names(all)),
        advice: "Name one in the variable CLICK_DEPLOY_RUST_BIN (or RAILPACK_RUST_BIN), or as default-run in Cargo.toml; of a \
                 workspace, CLICK_DEPLOY_CARGO_PACKAGE (or CARGO_WORKSPACE) names the package."
            .to_owned(),
    })
}

/// What is said where there is no program at all.
pub(super) fn nothing() -> Refusal {
    Refusal::NoStart {
        provider: "Rust",
        looked_for:
            "src/main.rs, files in src/bin, and [[bin]] in Cargo.toml, in the package and in all members of the \
                     workspace"
                .to_owned(),
        found: "none".to_owned(),
        advice: "Set the root directory to the program's, or set the build and start commands.".to_owned(),
    }
}

fn names(all: &[(&Package, &Program)]) -> String {
    let names: Vec<&str> = all.iter().take(20).map(|(_, program)| program.name.as_str()).collect();
    names.join(", ")
}

fn candidates(all: &[(&Package, &Program)]) -> String {
    if all.is_empty() {
        "No programs were found.".to_owned()
    } else {
        format!("There are: {}.", names(all))
    }
}
