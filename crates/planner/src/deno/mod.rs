//! Deno: from `deno.json` to what the Dockerfile needs to know.

mod version;
mod write;

use serde_json::Value;

use crate::{
    Refusal,
    command::Command,
    dockerfile::Variables,
    json,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, is_plain_path},
};

/// What is fetched and built again.
const LEAVE_OUT: &[&str] = &[];
const CONFIGURATION: [&str; 2] = ["deno.json", "deno.jsonc"];
/// Files that an application begins with, likeliest first.
const ENTRIES: &[&str] = &[
    "main.ts",
    "server.ts",
    "main.tsx",
    "main.js",
    "server.js",
    "main.mts",
    "main.mjs",
    "index.ts",
    "app.ts",
    "mod.ts",
    "index.js",
    "src/main.ts",
    "src/server.ts",
    "src/index.ts",
    "src/app.ts",
    "src/mod.ts",
];

/// Everything that the Dockerfile of a Deno application depends on.
#[derive(Debug)]
struct Recipe {
    /// The files that say what is to be fetched; none if all files are needed for that.
    inputs: Vec<String>,
    is_frozen: bool,
    install: Option<Command>,
    install_variables: Variables,
    entry: Option<String>,
    build: Option<Build>,
    build_variables: Variables,
    start: String,
}

#[derive(Debug)]
enum Build {
    Task,
    Custom(Command),
}

pub(crate) fn is_there(tree: &Tree) -> bool {
    CONFIGURATION.iter().any(|file| tree.has(file))
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let tree = survey.tree;
    let file = CONFIGURATION
        .into_iter()
        .find(|file| tree.has(file))
        .unwrap_or(CONFIGURATION[0]);
    let configuration = match tree.text(file)? {
        Some(text) => json::parse(&text).map_err(|error| Refusal::Malformed {
            path: file.to_owned(),
            why: error.to_string(),
        })?,
        None => Value::Null,
    };
    version::check(survey)?;
    let task = |name: &str| task(&configuration, name);
    let has_lock = tree.has_file("deno.lock");
    if !has_lock {
        survey.warn(
            "There is no deno.lock, so every build may take other versions. Commit the one that `deno install` writes.",
        );
    }
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = match survey.chosen_command(Choice::Build, "build command")? {
        Some(command) => Some(Build::Custom(command)),
        None => task("build").map(|text| {
            survey.fact(
                "build command",
                "deno task build",
                &format!("tasks.build in {file} is {text}"),
            );
            Build::Task
        }),
    };
    let framework = framework(&configuration);
    if let Some(framework) = framework {
        survey.fact("framework", framework, &format!("imports in {file}"));
    }
    let entry = tree.first_file(ENTRIES).map(str::to_owned);
    let source = entry.as_deref().map(|entry| tree.head(entry)).unwrap_or_default();
    let (command, task_text) = match survey.start_override()? {
        Some(command) => (command, None),
        None => match task("start") {
            Some(text) => {
                survey.fact(
                    "start command",
                    "deno task start",
                    &format!("tasks.start in {file} is {text}"),
                );
                (Command::parse("deno task start", file)?, Some(text))
            }
            None => (start_of_entry(survey, entry.as_deref(), &source, file)?, None),
        },
    };
    if survey.chosen(Choice::Output).is_some() {
        survey.warn("The output directory is not used: this application is a Deno program.");
    }
    let told = task_text
        .and_then(|text| Command::parse(&text, file).ok())
        .unwrap_or_else(|| command.clone());
    let looks_at_port = source.contains("PORT") || told.text().contains("PORT");
    let port = told.literal_port().filter(|_| !looks_at_port);
    let start = if looks_at_port || port.is_some() {
        command.as_process()
    } else {
        survey.fact(
            "port",
            "PORT",
            "nothing looks at PORT, and Deno.serve follows DENO_SERVE_ADDRESS, which the start command sets",
        );
        format!(
            "export DENO_SERVE_ADDRESS=\"${{DENO_SERVE_ADDRESS:-tcp:0.0.0.0:${{PORT:-8000}}}}\"; {}",
            command.as_process()
        )
    };
    if let Some(port) = port {
        survey.fact("port", &port.to_string(), "the start command names it");
    }
    let recipe = Recipe {
        inputs: inputs(tree, file, &configuration),
        is_frozen: has_lock,
        install_variables: survey
            .variables(|name| install.is_some() || name.starts_with("DENO_") || name.starts_with("NPM_")),
        install,
        entry,
        build,
        build_variables: survey.build_variables(),
        start,
    };
    Ok(Outcome {
        provider: "deno",
        framework: framework.map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(command.text().to_owned()),
    })
}

/// A task's command, whether written alone or with a description.
fn task(configuration: &Value, name: &str) -> Option<String> {
    let task = configuration.get("tasks")?.get(name)?;
    let text = task.as_str().or_else(|| task.get("command")?.as_str())?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

fn start_of_entry(survey: &mut Survey<'_>, entry: Option<&str>, source: &str, file: &str) -> Result<Command, Refusal> {
    let Some(entry) = entry else {
        return Err(Refusal::NoStart {
            provider: "Deno",
            looked_for: format!("tasks.start in {file}, web in the Procfile, and {}", ENTRIES.join(", ")),
            found: "none of them".to_owned(),
            advice: format!("Add a start task to {file}, for example \"start\": \"deno run -A app.ts\"."),
        });
    };
    // What exports a handler is served, what does it itself is run.
    let is_handler = source.contains("export default {") && source.contains("fetch");
    let text = if is_handler {
        format!("deno serve --allow-all {entry}")
    } else {
        format!("deno run --allow-all {entry}")
    };
    survey.fact(
        "start command",
        &text,
        &format!("{entry} is there, and {file} has no start task"),
    );
    survey.fact(
        "permissions",
        "all",
        "the container is the boundary; a start task or start command can grant fewer",
    );
    Command::parse(&text, entry)
}

fn framework(configuration: &Value) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        ("fresh", "Fresh"),
        ("@fresh/core", "Fresh"),
        ("$fresh/", "Fresh"),
        ("hono", "Hono"),
        ("@hono/hono", "Hono"),
        ("@oak/oak", "Oak"),
        ("oak", "Oak"),
        ("express", "Express"),
        ("lume/", "Lume"),
    ];
    let imports = configuration.get("imports")?.as_object()?;
    KNOWN
        .iter()
        .find(|(name, _)| imports.contains_key(*name))
        .map(|(_, shown)| *shown)
}

/// What `deno install` reads. Members of a workspace, and an import map elsewhere, may lie anywhere.
fn inputs(tree: &Tree, file: &str, configuration: &Value) -> Vec<String> {
    let import_map = configuration
        .get("importMap")
        .and_then(Value::as_str)
        .map(|path| path.trim_start_matches("./"));
    if configuration.get("workspace").is_some()
        || import_map.is_some_and(|path| !is_plain_path(path) || !tree.has_file(path))
    {
        return Vec::new();
    }
    let files = [
        Some(file),
        Some("deno.lock"),
        Some("package.json"),
        Some(".npmrc"),
        import_map,
    ];
    files
        .into_iter()
        .flatten()
        .filter(|path| tree.has_file(path))
        .map(str::to_owned)
        .collect()
}
