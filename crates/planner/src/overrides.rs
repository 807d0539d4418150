//! What an application's own files decide for the planner: `click-deploy.toml`, and of `railpack.json` the fields that most
//! projects use, so that a project can move between the two. What a user sets for the service wins over both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Refusal,
    command::relative_path,
    json,
    settings::{Choice, Chosen, RAILPACK_CONFIG_FILE, RAILPACK_PACKAGES, Settings},
    tree::{Tree, shown},
};

/// The name of our own file.
pub(crate) const OWN: &str = "click-deploy.toml";
const RAILPACK: &str = "railpack.json";

/// `click-deploy.toml`: how this application is built and started. Each field wins over what is found in the files, and a
/// setting or variable of the service wins over the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ApplicationFile {
    /// The language to plan for, such as `node`, where several could be meant.
    pub provider: Option<String>,
    /// Replaces the command that installs dependencies.
    pub install_command: Option<String>,
    /// Replaces the command that builds.
    pub build_command: Option<String>,
    /// Replaces the command that starts the application.
    pub start_command: Option<String>,
    /// Runs once in each new image before the application is started from it, as for migrations of a database.
    pub release_command: Option<String>,
    /// The folder that the build writes and that is served as files.
    pub output_directory: Option<String>,
    /// Debian's packages that the application needs when it runs, such as `ffmpeg`.
    pub apt_packages: Vec<String>,
    /// Debian's packages that its build needs.
    pub build_apt_packages: Vec<String>,
    /// Versions of languages by name, such as `node = "22"`.
    pub versions: BTreeMap<String, String>,
    /// What to build where a repository has several, by language: `go = "./cmd/api"`.
    pub packages: BTreeMap<String, String>,
}

/// What the files decide, each decision with the place where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    chosen: Vec<(Choice, Chosen)>,
    pub(crate) warnings: Vec<String>,
}

impl Overrides {
    pub(crate) fn read(tree: &Tree, settings: &Settings) -> Result<Self, Refusal> {
        let mut overrides = Self::default();
        if let Some(packages) = settings.variables.get(RAILPACK_PACKAGES) {
            overrides.take_railpack_packages(packages);
        }
        if let Some(text) = tree.text(OWN)? {
            overrides.take_own(&text)?;
        }
        let asked = settings.variables.get(RAILPACK_CONFIG_FILE).map(|path| path.trim());
        match asked.filter(|path| !path.is_empty()) {
            None => {
                if let Some(text) = tree.text(RAILPACK)? {
                    overrides.take_railpack(&text, RAILPACK)?;
                }
            }
            Some(path) => {
                let because = format!("the variable {RAILPACK_CONFIG_FILE}");
                let path = relative_path(path, &because)?;
                let text = tree.text(&path)?.ok_or_else(|| Refusal::Setting {
                    name: because,
                    why: format!("there is no file {}", shown(&path)),
                })?;
                overrides.take_railpack(&text, &shown(&path))?;
            }
        }
        Ok(overrides)
    }

    /// `node@22 python@3.13`: Railpack's list of what is installed. What is no language of ours is told.
    fn take_railpack_packages(&mut self, packages: &str) {
        let mut unused = Vec::new();
        for package in packages.split([' ', ',']).filter(|package| !package.is_empty()) {
            let (language, version) = package.split_once('@').unwrap_or((package, "latest"));
            match Choice::of_table("versions", language) {
                Some(choice) => self.take(choice, version, format!("the variable {RAILPACK_PACKAGES}")),
                None => unused.push(package),
            }
        }
        if !unused.is_empty() {
            self.warnings.push(format!(
                "Of {RAILPACK_PACKAGES} this is not used here: {}. It is not a language that is planned.",
                shown(&unused.join(", "))
            ));
        }
    }

    pub(crate) fn chosen(&self, choice: Choice) -> Option<Chosen> {
        let found = self.chosen.iter().find(|(of, _)| *of == choice);
        found.map(|(_, chosen)| chosen.clone())
    }

    /// The first decision counts: our own file is read first.
    fn take(&mut self, choice: Choice, value: &str, because: String) {
        let value = value.trim();
        if !value.is_empty() && self.chosen(choice).is_none() {
            let value = value.to_owned();
            self.chosen.push((choice, Chosen { value, because }));
        }
    }

    fn take_own(&mut self, text: &str) -> Result<(), Refusal> {
        let file: ApplicationFile = toml::from_str(text).map_err(|error| Refusal::Malformed {
            path: OWN.to_owned(),
            why: shown(&format!("{}{}", place(text, error.span()), error.message())),
        })?;
        let fields = [
            (Choice::Provider, "provider", &file.provider),
            (Choice::Install, "install_command", &file.install_command),
            (Choice::Build, "build_command", &file.build_command),
            (Choice::Start, "start_command", &file.start_command),
            (Choice::Release, "release_command", &file.release_command),
            (Choice::Output, "output_directory", &file.output_directory),
        ];
        for (choice, name, value) in fields {
            if let Some(value) = value {
                self.take(choice, value, format!("{name} in {OWN}{}", line_of(text, name)));
            }
        }
        for (choice, name, packages) in [
            (Choice::RunPackages, "apt_packages", &file.apt_packages),
            (Choice::BuildPackages, "build_apt_packages", &file.build_apt_packages),
        ] {
            self.take(
                choice,
                &packages.join(" "),
                format!("{name} in {OWN}{}", line_of(text, name)),
            );
        }
        for (table, values) in [("versions", &file.versions), ("packages", &file.packages)] {
            for (name, value) in values {
                let choice = Choice::of_table(table, name).ok_or_else(|| Refusal::Setting {
                    name: format!("{table}.{} in {OWN}", shown(name)),
                    why: format!(
                        "there is no such language here; there are {}",
                        Choice::names_of(table).join(", ")
                    ),
                })?;
                let at = line_of(text, name);
                self.take(choice, value, format!("{table}.{name} in {OWN}{at}"));
            }
        }
        Ok(())
    }

    /// What is not one of the common fields is told and not used.
    fn take_railpack(&mut self, text: &str, path: &str) -> Result<(), Refusal> {
        let malformed = |why: String| Refusal::Malformed {
            path: path.to_owned(),
            why: shown(&why),
        };
        let file = json::parse(text).map_err(|error| malformed(error.to_string()))?;
        let Value::Object(fields) = file else {
            return Err(malformed("it is not an object".to_owned()));
        };
        let mut unused = Vec::new();
        for (name, value) in &fields {
            match (name.as_str(), value) {
                ("$schema", _) => {}
                ("provider", Value::String(provider)) => {
                    self.take(Choice::Provider, provider, format!("provider in {path}"));
                }
                ("buildAptPackages", value) if texts(value).is_some() => {
                    let packages = texts(value).unwrap_or_default();
                    self.take(Choice::BuildPackages, &packages, format!("buildAptPackages in {path}"));
                }
                ("packages", Value::Object(packages)) => {
                    for (language, version) in packages {
                        let choice = Choice::of_table("versions", language);
                        match (choice, version.as_str()) {
                            (Some(choice), Some(version)) => {
                                self.take(choice, version, format!("packages.{language} in {path}"));
                            }
                            _ => unused.push(format!("packages.{language}")),
                        }
                    }
                }
                ("deploy", Value::Object(deploy)) => {
                    for (field, value) in deploy {
                        if let ("aptPackages", Some(packages)) = (field.as_str(), texts(value)) {
                            self.take(Choice::RunPackages, &packages, format!("deploy.aptPackages in {path}"));
                            continue;
                        }
                        match (field.as_str(), value.as_str()) {
                            ("startCommand", Some(command)) => {
                                self.take(Choice::Start, command, format!("deploy.startCommand in {path}"));
                            }
                            _ => unused.push(format!("deploy.{field}")),
                        }
                    }
                }
                ("steps", Value::Object(steps)) => {
                    for (step, value) in steps {
                        let choice = match step.as_str() {
                            "install" => Some(Choice::Install),
                            "build" => Some(Choice::Build),
                            _ => None,
                        };
                        match (choice, commands(value)) {
                            (Some(choice), Some(command)) => {
                                self.take(choice, &command, format!("steps.{step}.commands in {path}"));
                            }
                            _ => unused.push(format!("steps.{step}")),
                        }
                    }
                }
                (other, _) => unused.push(other.to_owned()),
            }
        }
        if !unused.is_empty() {
            self.warnings.push(format!(
                "Of {path} this is not used here: {}. Railpack itself, or a Dockerfile, does it.",
                unused
                    .iter()
                    .take(20)
                    .map(|name| shown(name))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        Ok(())
    }
}

/// A list of texts that replaces what would be there otherwise (`...` adds to it, and there is nothing), as words.
fn texts(value: &Value) -> Option<String> {
    let texts: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
    Some(
        texts?
            .into_iter()
            .filter(|text| *text != "...")
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// The commands of a step as one, if they are plain ones and replace what would be done otherwise (`...` adds to it).
fn commands(step: &Value) -> Option<String> {
    let step = step.as_object()?;
    if step.keys().any(|field| field != "commands") {
        return None;
    }
    let commands = step.get("commands")?.as_array()?.iter().map(|command| match command {
        Value::String(text) => (text != "...").then_some(text.as_str()),
        Value::Object(fields)
            if fields
                .keys()
                .all(|field| matches!(field.as_str(), "cmd" | "customName")) =>
        {
            fields.get("cmd")?.as_str()
        }
        _ => None,
    });
    let commands: Vec<&str> = commands.collect::<Option<_>>()?;
    (!commands.is_empty()).then(|| commands.join(" && "))
}

/// `:3` for the line on which a key is set; nothing where it is written in another way.
fn line_of(text: &str, key: &str) -> String {
    let is_set = |line: &str| {
        let rest = line.trim_start().trim_start_matches('"').strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with('='))
    };
    let line = text.lines().position(is_set);
    line.map_or_else(String::new, |line| format!(":{}", line + 1))
}

/// The line of a byte of the text, in words.
fn place(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| {
        format!("line {}: ", before.matches('\n').count() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1` writes it.
    #[test]
    fn the_published_schema_is_that_of_the_file() {
        let schema = schemars::schema_for!(ApplicationFile);
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/click-deploy.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).expect("the schema can be written");
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            text,
            "UPDATE_SCHEMA=1"
        );
    }

    #[test]
    fn a_step_of_railpack_is_used_when_it_replaces_what_would_be_done() {
        let of = |text: &str| commands(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(
            of(r#"{"commands": ["a", {"cmd": "b", "customName": "B"}]}"#).as_deref(),
            Some("a && b")
        );
        for other in [
            r#"{"commands": ["...", "a"]}"#,
            r#"{"commands": [{"src": "a", "dest": "b"}]}"#,
            r#"{"commands": ["a"], "caches": ["x"]}"#,
            r#"{"commands": []}"#,
            r#"["a"]"#,
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn the_line_of_a_key_is_found_where_it_is_set() {
        let text = "a = 1\n# start_command = x\n  start_command = \"y\"\n[versions]\n\"node\" = \"22\"\n";
        assert_eq!(line_of(text, "start_command"), ":3");
        assert_eq!(line_of(text, "node"), ":5");
        assert_eq!(line_of(text, "start"), "");
    }
}
