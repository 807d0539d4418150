//! Submodules, by hand: `git submodule update` believes what a stranger wrote.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use domain::{
    logs::clean_line,
    names::{Commit, InsidePath},
    ports::source::SourceError,
    source::GitUrl,
};

use super::{
    super::{local, tree},
    remote,
    repository::{Listing, Repository},
};

/// How deep submodules may be in submodules.
pub(super) const LEVELS: usize = 3;
/// How many there may be in all.
pub(super) const NUMBER: usize = 32;
/// The largest `.gitmodules`.
const FILE_BYTES: u64 = 256 * 1024;

/// A submodule to be fetched.
#[derive(Debug)]
pub(super) struct Submodule {
    /// Where it goes, from the top of its repository.
    pub(super) path: InsidePath,
    /// Where it comes from.
    pub(super) url: GitUrl,
    /// The commit that its repository wants.
    pub(super) commit: Commit,
}

/// What `.gitmodules` says about one path.
#[derive(Debug, Default)]
struct Said {
    path: Option<String>,
    url: Option<String>,
    none: bool,
}

/// The submodules that the commit in `directory` wants, and the paths of those that it does not say enough about.
pub(super) async fn wanted(
    repository: &Repository<'_>,
    listing: &Listing,
    directory: &Path,
    parent: &GitUrl,
) -> Result<(Vec<Submodule>, Vec<String>), SourceError> {
    let file = directory.join(".gitmodules");
    if tree::starts_of_file(&file, 1).is_none() {
        return Ok((
            Vec::new(),
            listing.submodules.iter().map(|(path, _)| shown(path)).collect(),
        ));
    }
    if fs::symlink_metadata(&file).map_err(local)?.len() > FILE_BYTES {
        return Err(SourceError::Refused("the file `.gitmodules` is too large".to_owned()));
    }
    let mut by_name: HashMap<String, Said> = HashMap::new();
    for (key, value) in repository.settings(&file).await? {
        let Some((name, setting)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let said = by_name.entry(name.to_owned()).or_default();
        match setting {
            "path" => said.path = Some(value),
            "url" => said.url = Some(value),
            "update" => said.none = value == "none",
            _ => {}
        }
    }
    let by_path: HashMap<String, Said> = by_name
        .into_values()
        .filter_map(|mut said| Some((said.path.take()?.trim_end_matches('/').to_owned(), said)))
        .collect();
    let (mut wanted, mut unsaid) = (Vec::new(), Vec::new());
    for (path, commit) in &listing.submodules {
        let refused = |why: String| SourceError::Refused(format!("the submodule `{}` is refused: {why}", shown(path)));
        match by_path.get(path) {
            Some(Said {
                none: false,
                url: Some(url),
                ..
            }) => wanted.push(Submodule {
                path: InsidePath::parse(path).map_err(|rule| refused(rule.to_string()))?,
                url: remote::resolve(parent, url).map_err(|rule| refused(rule.to_string()))?,
                commit: Commit::parse(commit).map_err(|rule| refused(rule.to_string()))?,
            }),
            Some(Said { none: true, .. }) => {}
            _ => unsaid.push(shown(path)),
        }
    }
    Ok((wanted, unsaid))
}

/// The directory of a submodule, made if it is missing. No part of it is a link.
pub(super) fn place(directory: &Path, path: &InsidePath) -> Result<PathBuf, SourceError> {
    let mut here = directory.to_owned();
    for part in path.as_str().split('/') {
        here.push(part);
        match fs::symlink_metadata(&here) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(SourceError::Refused(format!(
                    "the submodule `{path}` is refused: its path leads through a link or a file"
                )));
            }
            Err(_) => fs::create_dir(&here).map_err(local)?,
        }
    }
    Ok(here)
}

fn shown(path: &str) -> String {
    clean_line(path).chars().take(200).collect()
}
