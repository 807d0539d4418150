//! A `Procfile`: a process type and its command in each line.

use crate::{Refusal, command::Command, tree::Tree};

/// The commands that matter here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Procfile {
    /// The process that is started: `web`, else the only other one, by its name.
    pub(crate) start: Option<(String, Command)>,
    /// What runs before it, once for each deployment.
    pub(crate) release: Option<Command>,
    /// Processes that are not started.
    pub(crate) others: Vec<String>,
}

impl Procfile {
    pub(crate) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let mut found = Self::default();
        let mut others: Vec<(String, &str)> = Vec::new();
        let text = tree.text("Procfile")?.unwrap_or_default();
        for line in text.lines() {
            let line = line.trim();
            let Some((name, command)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            match (name.trim(), without_remark(command)) {
                (_, "") => {}
                ("web", command) if found.start.is_none() => {
                    found.start = Some(("web".to_owned(), Command::parse(command, "web in the Procfile")?));
                }
                ("release", command) if found.release.is_none() => {
                    found.release = Some(Command::parse(command, "release in the Procfile")?);
                }
                ("web" | "release", _) => {}
                (other, command) => others.push((crate::tree::shown(other), command)),
            }
        }
        if let (None, [(name, command)]) = (&found.start, others.as_slice()) {
            let command = Command::parse(command, &format!("{name} in the Procfile"))?;
            found.start = Some((name.clone(), command));
            return Ok(found);
        }
        found.others = others.into_iter().map(|(name, _)| name).collect();
        Ok(found)
    }
}

/// A command without a remark at its end. What is in quotes may look like one.
fn without_remark(command: &str) -> &str {
    match command.split_once(" #") {
        Some((before, _)) if !before.contains(['"', '\'', '\\']) => before.trim(),
        _ => command.trim(),
    }
}
