//! A `Procfile`: a process type and its command in each line.

use crate::{Refusal, command::Command, tree::Tree};

/// The commands that matter here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Procfile {
    pub(crate) web: Option<Command>,
    pub(crate) has_release: bool,
    pub(crate) others: Vec<String>,
}

impl Procfile {
    pub(crate) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let mut found = Self::default();
        for line in tree.text("Procfile")?.unwrap_or_default().lines() {
            let line = line.trim();
            let Some((name, command)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            match (name.trim(), command.trim()) {
                (_, "") => {}
                ("web", command) if found.web.is_none() => {
                    found.web = Some(Command::parse(command, "web in the Procfile")?);
                }
                ("release", _) => found.has_release = true,
                ("web", _) => {}
                (other, _) => found.others.push(crate::tree::shown(other)),
            }
        }
        Ok(found)
    }
}
