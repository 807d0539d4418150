//! What a package needs of the repository around it, where only its own folder is there.

use super::Workspace;
use crate::{Refusal, evidence, node::package::Package, settings::Choice, survey::Survey, tree::shown};

const KINDS: &[&str] = &["dependencies", "optionalDependencies", "devDependencies"];

/// Refuses a package that can only be installed where the whole repository is.
pub(crate) fn refuse(survey: &Survey<'_>, package: &Package, workspace: &Workspace) -> Result<(), Refusal> {
    if survey.chosen(Choice::Install).is_some() {
        return Ok(());
    }
    let has_catalog = survey.tree.has_file("pnpm-workspace.yaml")
        || ["catalog", "catalogs", "workspaces"]
            .iter()
            .any(|key| package.at(&[key]).is_some());
    let is_missing = |name: &str, version: &str| {
        let is_above = ["file:..", "link:..", "portal:.."]
            .iter()
            .any(|start| version.starts_with(start));
        let is_other = version.starts_with("workspace:") && workspace.members.iter().all(|one| one.name != name);
        is_above || is_other || (version.starts_with("catalog:") && !has_catalog)
    };
    for kind in KINDS {
        for name in package.names(kind) {
            let version = package.text(&[kind, name]).unwrap_or_default();
            if is_missing(name, version) {
                let place = format!("{kind}.{name} in package.json");
                let example = package.text(&["name"]).map(|name| format!(": {}", shown(name)));
                return Err(Refusal::Setting {
                    name: shown(&evidence::of(survey.tree, &place).0),
                    why: format!(
                        "{:?} speaks of the repository around this folder, which is not there. Set the root directory to the \
                         repository's, and choose this package by the variable CLICK_DEPLOY_NODE_PACKAGE{}",
                        shown(version),
                        example.unwrap_or_default()
                    ),
                });
            }
        }
    }
    Ok(())
}
