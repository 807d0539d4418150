//! Where the entries of an archive go. Files and directories are written as they come; links are only remembered, and made
//! at the end: so no entry can be written through one, whatever the order.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions, Permissions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use domain::{
    logs::clean_line,
    ports::source::{SourceError, SourceLimits},
};
use tempfile::TempDir;

use super::{super::blocking::Gate, super::local, super::tree, damaged};

/// The longest name of one file or directory, as Linux has it.
const PART_BYTES: usize = 255;
/// The longest path, so that it stays usable below any directory.
const PATH_BYTES: usize = 2048;
/// The deepest directory.
const DEPTH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    Link,
}

/// A directory that is being filled from an archive.
pub(super) struct Place {
    directory: PathBuf,
    /// Beside nothing else in `directory`; its content moves up at the end.
    staging: TempDir,
    known: HashMap<String, Kind>,
    links: Vec<(String, String)>,
    limits: SourceLimits,
    pub(super) gate: Gate,
    bytes: u64,
    entries: u64,
}

impl Place {
    /// A place in `directory`, which is empty.
    pub(super) fn new(directory: &Path, limits: SourceLimits, gate: Gate) -> Result<Self, SourceError> {
        let staging = tempfile::Builder::new()
            .prefix(".unpacking-")
            .tempdir_in(directory)
            .map_err(local)?;
        Ok(Self {
            directory: directory.to_owned(),
            staging,
            known: HashMap::new(),
            links: Vec::new(),
            limits,
            gate,
            bytes: 0,
            entries: 0,
        })
    }

    /// Counts an entry, whatever becomes of it.
    pub(super) fn count(&mut self) -> Result<(), SourceError> {
        self.gate.check()?;
        self.entries += 1;
        // Directories are counted again when they are made; an archive may also hold headers and things left out.
        if self.entries > self.limits.files.saturating_mul(2).saturating_add(16) {
            return Err(self.too_many());
        }
        Ok(())
    }

    /// The path of an entry from its raw name; `None` for what is left out: the archive's top itself, the history of a
    /// repository, and what macOS adds.
    pub(super) fn path_of(&self, raw: &[u8]) -> Result<Option<String>, SourceError> {
        let name = std::str::from_utf8(raw).map_err(|_| refused(raw, "has a name that is not UTF-8"))?;
        if name.contains(char::is_control) {
            return Err(refused(raw, "has control characters in its name"));
        }
        if name.contains('\\') {
            return Err(refused(raw, "has a backslash in its name"));
        }
        let drive = name.as_bytes();
        if name.starts_with('/') || (drive.len() > 1 && drive[0].is_ascii_alphabetic() && drive[1] == b':') {
            return Err(refused(raw, "has an absolute path"));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in name.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(refused(raw, "has `..` in its path")),
                part if part.len() > PART_BYTES => return Err(refused(raw, "has too long a name")),
                part => parts.push(part),
            }
        }
        if parts.len() > DEPTH || name.len() > PATH_BYTES {
            return Err(refused(raw, "has too long a path"));
        }
        let left_out = |part: &&str| part.eq_ignore_ascii_case(".git") || *part == "__MACOSX" || part.starts_with("._");
        if parts.is_empty() || parts.iter().any(left_out) {
            return Ok(None);
        }
        Ok(Some(parts.join("/")))
    }

    /// Makes a directory; one that is there already is no error.
    pub(super) fn directory(&mut self, path: &str, mode: Option<u32>) -> Result<(), SourceError> {
        self.parents(path)?;
        match self.known.get(path) {
            Some(Kind::Directory) => {}
            Some(_) => return Err(twice(path)),
            None => self.make(path)?,
        }
        if let Some(mode) = mode {
            self.permit(path, (mode & 0o777) | 0o700)?;
        }
        Ok(())
    }

    /// Writes a file from `content`.
    pub(super) fn file(&mut self, path: &str, mode: Option<u32>, content: &mut dyn Read) -> Result<(), SourceError> {
        self.add(path, Kind::File)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(self.staging.path().join(path))
            .map_err(local)?;
        let mut buffer = [0_u8; 64 * 1024];
        loop {
            self.gate.check()?;
            let length = content.read(&mut buffer).map_err(|error| damaged(&error, &self.gate))?;
            if length == 0 {
                break;
            }
            self.bytes += length as u64;
            if self.bytes > self.limits.bytes {
                return Err(tree::too_many_bytes(self.limits, "the archive's content"));
            }
            file.write_all(&buffer[..length]).map_err(local)?;
        }
        // Neither may a file run as its owner (setuid) nor be unreadable to the build.
        self.permit(path, (mode.unwrap_or(0o644) & 0o777) | 0o600)
    }

    /// Remembers a symbolic link. Whether it stays inside is known when everything is there.
    pub(super) fn link(&mut self, path: &str, target: &[u8]) -> Result<(), SourceError> {
        let text =
            std::str::from_utf8(target).map_err(|_| refused(path.as_bytes(), "has a target that is not UTF-8"))?;
        if text.is_empty() || text.len() > PATH_BYTES || text.contains(|c: char| c.is_control() || c == '\\') {
            return Err(refused(path.as_bytes(), "has a target that is no path"));
        }
        if text.starts_with('/') {
            return Err(refused(path.as_bytes(), "is a link that leads outside"));
        }
        self.add(path, Kind::Link)?;
        self.links.push((path.to_owned(), text.to_owned()));
        Ok(())
    }

    /// Makes a second name for a file that the archive brought before.
    pub(super) fn hard_link(&mut self, path: &str, target: &[u8]) -> Result<(), SourceError> {
        let outside = || refused(path.as_bytes(), "is a link to something that is not in the archive");
        let target = self.path_of(target)?.ok_or_else(outside)?;
        if self.known.get(&target) != Some(&Kind::File) {
            return Err(outside());
        }
        self.add(path, Kind::File)?;
        let staging = self.staging.path();
        fs::hard_link(staging.join(&target), staging.join(path)).map_err(local)
    }

    /// Makes the links, checks them, and moves everything up: out of the one directory that holds it all, if there is one.
    pub(super) fn finish(self) -> Result<(), SourceError> {
        let mut tops: Vec<(&String, &Kind)> = self.known.iter().filter(|(path, _)| !path.contains('/')).collect();
        let single = match (tops.pop(), tops.pop()) {
            (Some((name, Kind::Directory)), None) => Some(name.clone()),
            _ => None,
        };
        let base = match &single {
            Some(name) => self.staging.path().join(name),
            None => self.staging.path().to_owned(),
        };
        if !self.known.values().any(|kind| *kind != Kind::Directory) {
            return Err(SourceError::Refused("the archive holds no files".to_owned()));
        }
        for (path, target) in &self.links {
            self.gate.check()?;
            symlink(target, self.staging.path().join(path)).map_err(local)?;
        }
        for (path, _) in &self.links {
            self.gate.check()?;
            let inner = match &single {
                Some(name) => path.strip_prefix(name.as_str()).unwrap_or(path).trim_start_matches('/'),
                None => path,
            };
            if !tree::leads_inside(&base, Path::new(inner)).map_err(local)? {
                return Err(refused(path.as_bytes(), "is a link that leads outside"));
            }
        }
        for entry in fs::read_dir(&base).map_err(local)? {
            let entry = entry.map_err(local)?;
            fs::rename(entry.path(), self.directory.join(entry.file_name())).map_err(local)?;
        }
        self.staging.close().map_err(local)
    }

    fn add(&mut self, path: &str, kind: Kind) -> Result<(), SourceError> {
        self.parents(path)?;
        if self.known.contains_key(path) {
            return Err(twice(path));
        }
        self.remember(path, kind)
    }

    fn parents(&mut self, path: &str) -> Result<(), SourceError> {
        for (end, _) in path.match_indices('/') {
            match self.known.get(&path[..end]) {
                Some(Kind::Directory) => {}
                Some(_) => {
                    return Err(refused(
                        path.as_bytes(),
                        "leads through a link or a file of the archive",
                    ));
                }
                None => self.make(&path[..end])?,
            }
        }
        Ok(())
    }

    fn make(&mut self, path: &str) -> Result<(), SourceError> {
        self.remember(path, Kind::Directory)?;
        fs::create_dir(self.staging.path().join(path)).map_err(local)?;
        self.permit(path, 0o755)
    }

    fn remember(&mut self, path: &str, kind: Kind) -> Result<(), SourceError> {
        if self.known.len() as u64 >= self.limits.files {
            return Err(self.too_many());
        }
        self.known.insert(path.to_owned(), kind);
        Ok(())
    }

    fn permit(&self, path: &str, mode: u32) -> Result<(), SourceError> {
        fs::set_permissions(self.staging.path().join(path), Permissions::from_mode(mode)).map_err(local)
    }

    fn too_many(&self) -> SourceError {
        SourceError::TooLarge(format!(
            "the archive has more than {} files and directories",
            self.limits.files
        ))
    }
}

/// The error for an entry.
pub(super) fn refused(raw: &[u8], why: &str) -> SourceError {
    let name: String = clean_line(&String::from_utf8_lossy(raw)).chars().take(120).collect();
    SourceError::Refused(format!("the entry `{name}` of the archive {why}"))
}

fn twice(path: &str) -> SourceError {
    refused(path.as_bytes(), "is there twice")
}
