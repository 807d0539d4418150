//! What fuzzing found stays found: each input that is kept in `fuzz/corpus` goes through what its fuzz target does.

use std::{collections::BTreeSet, fs, path::Path};

#[path = "../fuzz/src/harness/mod.rs"]
mod harness;
#[path = "plans/promises.rs"]
mod promises;

/// The machine of a test, and a build that is not optimised, say nothing about time.
const WATCHES_TIME: bool = false;
/// A text is repeated until it is this large.
const LARGEST: usize = 16 * 1024;
/// What keeps the corpus small.
const MOST_INPUTS: usize = 30;
const LARGEST_INPUT: usize = 4 * 1024;

fn names_in(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.into_string().expect("a plain name")).collect()
}

#[test]
fn every_target_is_built_and_has_inputs() {
    let table: BTreeSet<String> = harness::TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(table.len(), harness::TARGETS.len());
    let programs = names_in("fuzz_targets");
    let programs: BTreeSet<String> = programs.iter().map(|name| name.replace(".rs", "")).collect();
    assert_eq!(programs, table, "of fuzz_targets and the table");
    assert_eq!(names_in("corpus"), table, "of corpus and the table");
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).expect("it is there");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let built = manifest["bin"].as_array().expect("a list").iter();
    let built: BTreeSet<String> = built
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(built, table, "of Cargo.toml and the table");
    for target in &table {
        let name = format!("fuzz_targets/{target}.rs");
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(&name)).expect("it is there");
        assert!(text.contains(&format!("fuzz!({target})")), "{name}");
    }
}

#[test]
fn inputs_that_were_kept_break_no_promise() {
    for target in harness::TARGETS {
        let folder = format!("corpus/{}", target.name);
        let names = names_in(&folder);
        assert!(
            (1..=MOST_INPUTS).contains(&names.len()),
            "{folder} has {} inputs",
            names.len()
        );
        for name in names {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz")
                .join(&folder)
                .join(&name);
            let input = fs::read(&path).expect("it is there");
            assert!(input.len() <= LARGEST_INPUT, "{folder}/{name} is large");
            // The test's output is shown if it fails.
            println!("{folder}/{name}");
            harness::run(target.name, &input);
        }
    }
}
