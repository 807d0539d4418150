//! `railpack-info.json`: what Railpack found out, and what it has to say.

use std::{collections::BTreeMap, path::Path};

use domain::logs::clean_line;
use serde::Deserialize;

use crate::build::mask::Mask;

/// Where paths in its remarks lead.
const ITS_PAGES: &str = "https://railpack.com";

/// How many remarks of a kind are told.
const REMARKS_TOLD: usize = 20;

/// What Railpack found out about an application.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Railpack's version.
    pub railpack_version: String,
    /// `node`, `python`, ….
    pub detected_providers: Vec<String>,
    /// The versions that it chose, by package.
    pub resolved_packages: BTreeMap<String, Package>,
    /// Such as `nodePackageManager`.
    pub metadata: BTreeMap<String, String>,
    /// What a person should know.
    #[serde(skip)]
    pub warnings: Vec<String>,
    #[serde(rename = "logs")]
    pub(super) notes: Vec<Note>,
    pub(super) success: bool,
}

/// A package that Railpack chose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Package {
    /// What was asked for.
    pub requested_version: String,
    /// What it became.
    pub resolved_version: String,
    /// Who asked.
    pub source: String,
}

/// A remark of Railpack.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    /// `info`, `warn`, `error`, ….
    #[serde(rename = "Level")]
    level: String,
    /// The remark.
    #[serde(rename = "Msg")]
    text: String,
    /// Where its makers say more: a path of their site, or an address.
    #[serde(rename = "DocsPath")]
    page: String,
}

impl Note {
    /// The remark in one line.
    fn told(&self, mask: &Mask) -> String {
        let line = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        clean_line(&mask.hide(&match self.page.as_str() {
            "" => line,
            path if path.starts_with('/') => format!("{line} ({ITS_PAGES}{path})"),
            address => format!("{line} ({address})"),
        }))
    }
}

impl Facts {
    /// What a person should know, beside what was detected.
    pub(super) fn warnings(&self, mask: &Mask) -> Vec<String> {
        let matters = |note: &&Note| !["info", "error"].contains(&note.level.to_ascii_lowercase().as_str());
        self.notes
            .iter()
            .filter(matters)
            .map(|note| note.told(mask))
            .take(REMARKS_TOLD)
            .collect()
    }

    /// Why it cannot plan.
    pub(super) fn reasons(&self, mask: &Mask) -> Vec<String> {
        let errors = self
            .notes
            .iter()
            .filter(|note| note.level.eq_ignore_ascii_case("error"));
        errors.map(|note| note.told(mask)).take(REMARKS_TOLD).collect()
    }
}

/// What the file says; nothing when it is not there or not of this form.
pub(super) async fn read(file: &Path) -> Option<Facts> {
    serde_json::from_str(&super::read(file).await?).ok()
}
