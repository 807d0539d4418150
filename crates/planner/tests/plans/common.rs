//! Applications made of a few files, in folders that go away.

use std::path::Path;

use planner::{Plan, Refusal, Settings};
use tempfile::TempDir;

use crate::promises::check;

/// An application made of these files.
pub(crate) fn app(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

pub(crate) fn settings() -> Settings {
    Settings {
        cache_key: "k1".to_owned(),
        ..Settings::default()
    }
}

pub(crate) fn with_variables(variables: &[(&str, &str)]) -> Settings {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings {
        variables,
        ..settings()
    }
}

pub(crate) fn try_plan(files: &[(&str, &str)], settings: &Settings) -> Result<Plan, Refusal> {
    let plan = planner::plan(app(files).path(), settings);
    if let Ok(plan) = &plan {
        check(plan);
    }
    plan
}

pub(crate) fn plan(files: &[(&str, &str)]) -> Plan {
    try_plan(files, &settings()).expect("a plan")
}

pub(crate) fn refusal(files: &[(&str, &str)]) -> String {
    try_plan(files, &settings()).expect_err("a refusal").to_string()
}

pub(crate) fn plan_at(path: &Path) -> Result<Plan, Refusal> {
    let plan = planner::plan(path, &settings());
    if let Ok(plan) = &plan {
        check(plan);
    }
    plan
}

/// The reason of a fact.
pub(crate) fn fact<'a>(plan: &'a Plan, name: &str) -> (&'a str, &'a str) {
    let fact = plan
        .facts
        .iter()
        .find(|fact| fact.name == name)
        .unwrap_or_else(|| panic!("no fact {name}: {plan:#?}"));
    (&fact.value, &fact.because)
}

/// What the container runs, as the words of `CMD`.
pub(crate) fn cmd(plan: &Plan) -> Vec<String> {
    let line = plan
        .dockerfile
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("CMD "))
        .expect("CMD is last");
    serde_json::from_str(line).expect("CMD is JSON")
}

/// The script of `CMD ["sh","-c",…]`.
pub(crate) fn start(plan: &Plan) -> String {
    let words = cmd(plan);
    assert_eq!(words[..2], ["sh", "-c"]);
    words[2].clone()
}
