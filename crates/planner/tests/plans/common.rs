//! Applications made of a few files, in folders that go away.

use std::path::Path;

use planner::{Plan, Refusal, Settings};
use tempfile::TempDir;

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

/// What holds for every plan, however hostile the application.
pub(crate) fn check(plan: &Plan) {
    let text = &plan.dockerfile;
    let instructions = ["FROM", "WORKDIR", "ENV", "COPY", "RUN", "ARG", "CMD", "USER", "#", ""];
    let mut continues = false;
    for line in text.lines() {
        let word = line.split(' ').next().unwrap_or_default();
        assert!(
            continues || instructions.contains(&word),
            "an unexpected line {line:?} in\n{text}"
        );
        assert!(
            line.len() < 60_000,
            "old builders take no lines of {} bytes",
            line.len()
        );
        continues = line.ends_with('\\');
        for new in ["--link", "--exclude", "<<", "syntax=", ",env="] {
            let is_json = new != "<<"
                && ["[", "CMD [", "RUN ["]
                    .iter()
                    .any(|start| line.trim_start().starts_with(start));
            assert!(is_json || !line.contains(new), "{new} is too new in {line}");
        }
        if let Some(json) = line
            .strip_prefix("CMD ")
            .or_else(|| line.trim_start().strip_prefix("[").map(|_| line.trim()))
        {
            serde_json::from_str::<Vec<String>>(json).unwrap_or_else(|error| panic!("{error} in {line}"));
        }
    }
    let last_stage = text.rsplit("FROM ").next().expect("there is one");
    let user = last_stage.lines().rev().find_map(|line| line.strip_prefix("USER "));
    let number = user
        .and_then(|user| user.split(':').next())
        .and_then(|number| number.parse::<u32>().ok());
    assert!(
        number.is_some_and(|number| number > 0),
        "what runs is root, or a name that an orchestrator cannot tell from it:\n{text}"
    );
    assert!(!plan.base_images.is_empty(), "no base images in\n{text}");
    for image in &plan.base_images {
        let known = [
            "golang:1.26",
            "rust:1.95-trixie",
            "denoland/deno:2.9.6",
            "caddy:2",
            "debian:trixie",
            "composer:2",
        ];
        let java = [
            "eclipse-temurin:",
            "maven:3-eclipse-temurin-",
            "gradle:8-jdk",
            "gradle:9-jdk",
        ];
        let major = java.iter().find_map(|name| image.strip_prefix(name));
        let major = major.map(|tag| tag.trim_end_matches("-jdk").trim_end_matches("-jre"));
        if major.is_some_and(|major| ["8", "11", "17", "21", "25"].contains(&major)) {
            continue;
        }
        let is_known = known
            .iter()
            .any(|known| image.strip_suffix("-slim").unwrap_or(image) == *known);
        assert!(is_known || is_of_a_line(image), "{image} is not promised");
    }
}

/// Whether an image is one of a language whose lines are many: a name, a version of digits, and a variant.
fn is_of_a_line(image: &str) -> bool {
    let Some((name, tag)) = image.split_once(':') else {
        return false;
    };
    let (version, variant) = tag.split_once('-').unwrap_or((tag, ""));
    let is_version = version.len() <= 12 && version.chars().all(|digit| digit.is_ascii_digit() || digit == '.');
    let variants: &[&str] = match name {
        "php" => &["apache", "cli"],
        "node" | "python" | "ruby" => &["", "slim"],
        "elixir" => &["otp-24", "otp-25", "otp-26", "otp-27", "otp-28"],
        "mcr.microsoft.com/dotnet/sdk" | "mcr.microsoft.com/dotnet/aspnet" | "mcr.microsoft.com/dotnet/runtime" => {
            &[""]
        }
        _ => return false,
    };
    is_version && variants.contains(&variant)
}
