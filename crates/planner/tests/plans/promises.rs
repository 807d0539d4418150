//! What holds for every plan, however hostile the application. The fuzz targets include this file too.

use std::time::Duration;

use planner::Plan;

/// How long this thread has run on a processor: what a test may ask on a machine that is busy with other things.
pub(crate) fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// Panics if a promise is not kept.
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
            // A flag of COPY; `tar` has one of that name for as long as there are Dockerfiles.
            let is_of_tar = new == "--exclude" && line.contains("tar ") && !line.starts_with("COPY");
            assert!(
                is_json || is_of_tar || !line.contains(new),
                "{new} is too new in {line}"
            );
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
            "nginx:1",
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
        "rust" => &["bookworm", "trixie"],
        "node" | "python" | "ruby" => &["", "slim"],
        "elixir" => &["otp-24", "otp-25", "otp-26", "otp-27", "otp-28"],
        "mcr.microsoft.com/dotnet/sdk" | "mcr.microsoft.com/dotnet/aspnet" | "mcr.microsoft.com/dotnet/runtime" => {
            &[""]
        }
        _ => return false,
    };
    is_version && variants.contains(&variant)
}
