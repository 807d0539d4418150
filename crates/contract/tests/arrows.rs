//! Which crate may know which: the arrows of `ARCHITECTURE.md`, and no others.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

const ALLOWED: &[(&str, &[&str])] = &[
    ("server", &["api", "drivers", "engine", "planner", "store", "domain"]),
    ("api", &["engine", "domain"]),
    ("engine", &["store", "domain"]),
    ("drivers", &["domain", "planner"]),
    ("store", &["domain"]),
    ("contract", &["domain"]),
    ("planner", &[]),
    ("domain", &[]),
];

/// Crates whose tests run against the world in memory, or keep its contracts.
const TESTED_WITH_CONTRACT: &[&str] = &["engine", "drivers", "store"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// Every dependency of one crate of ours on another: who, on whom, and whether for tests only.
fn edges(metadata: &Value) -> Vec<(&str, &str, bool)> {
    let packages = list(metadata, "packages");
    let ours: BTreeSet<&str> = packages.iter().map(name).collect();
    packages
        .iter()
        .flat_map(|package| {
            list(package, "dependencies")
                .iter()
                .map(move |dependency| (package, dependency))
        })
        .filter(|(_, dependency)| ours.contains(name(dependency)) && dependency["path"].is_string())
        .map(|(package, dependency)| (name(package), name(dependency), dependency["kind"] == "dev"))
        .collect()
}

fn is_allowed(from: &str, to: &str, only_for_tests: bool) -> bool {
    let arrow = ALLOWED
        .iter()
        .any(|(crate_name, known)| *crate_name == from && known.contains(&to));
    arrow || (only_for_tests && to == "contract" && TESTED_WITH_CONTRACT.contains(&from))
}

#[test]
fn no_crate_knows_one_that_it_must_not_know() {
    let metadata = metadata();
    let edges = edges(&metadata);
    assert!(
        edges.contains(&("engine", "store", false)),
        "the arrows are found at all: {edges:?}"
    );
    let forbidden: Vec<_> = edges
        .into_iter()
        .filter(|(from, to, tests)| !is_allowed(from, to, *tests))
        .collect();
    assert!(forbidden.is_empty(), "these arrows are not allowed: {forbidden:?}");
}

#[test]
fn every_crate_has_its_place() {
    let metadata = metadata();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        list(&metadata, "packages").iter().map(name).collect::<BTreeSet<_>>(),
        known
    );
}
