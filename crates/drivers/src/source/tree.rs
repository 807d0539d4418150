//! What lies in a directory that strangers filled: counted, and without links that lead out of it.

use std::{
    collections::VecDeque,
    fs, io,
    io::Read as _,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use domain::{
    logs::clean_line,
    names::InsidePath,
    ports::source::{SourceError, SourceLimits},
};

use super::{blocking::Gate, local};

/// How many links may follow each other, as in the kernel.
const LINK_HOPS: usize = 40;
/// How many names a notice holds.
const NOTED: usize = 5;
/// No pointer of Git LFS is larger.
const POINTER_BYTES: u64 = 1024;

/// The directory `inside` of `directory`, with every link resolved, when it is one and lies inside.
pub(super) fn confine(directory: &Path, inside: &InsidePath) -> Result<PathBuf, SourceError> {
    let missing = || SourceError::NoSuchDirectory(inside.as_str().to_owned());
    let top = fs::canonicalize(directory).map_err(local)?;
    let found = fs::canonicalize(top.join(inside.as_str())).map_err(|_| missing())?;
    if found.starts_with(&top) && found.is_dir() {
        Ok(found)
    } else {
        Err(missing())
    }
}

/// Whether the link at `link`, a path relative to `root`, leads to something below `root` (or to nothing there), whatever
/// other links it passes.
pub(super) fn leads_inside(root: &Path, link: &Path) -> io::Result<bool> {
    let mut at: PathBuf = PathBuf::new();
    let mut ahead: VecDeque<PathBuf> = link.components().map(|part| PathBuf::from(part.as_os_str())).collect();
    let mut hops = 0;
    while let Some(part) = ahead.pop_front() {
        match part.components().next() {
            None | Some(Component::CurDir) => continue,
            Some(Component::ParentDir) => {
                if !at.pop() {
                    return Ok(false);
                }
                continue;
            }
            Some(Component::Normal(name)) => at.push(name),
            Some(Component::RootDir | Component::Prefix(_)) => return Ok(false),
        }
        let here = root.join(&at);
        let Ok(metadata) = fs::symlink_metadata(&here) else {
            continue;
        };
        if metadata.is_symlink() {
            hops += 1;
            if hops > LINK_HOPS {
                // The kernel will not follow it either.
                return Ok(true);
            }
            let target = fs::read_link(&here)?;
            at.pop();
            for part in target.components().rev() {
                ahead.push_front(PathBuf::from(part.as_os_str()));
            }
        }
    }
    Ok(true)
}

/// What was found in a directory.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Bytes of all files.
    pub(super) bytes: u64,
    /// Files, links and directories.
    pub(super) entries: u64,
    /// Links that led outside and were taken away, and their number.
    pub(super) links: (Vec<String>, u64),
    /// Pointers of Git LFS without their content, and their number.
    pub(super) pointers: (Vec<String>, u64),
}

/// Goes through a checkout: takes away everything named `.git` and every link that leads outside, and counts the rest.
pub(super) fn survey(root: &Path, limits: SourceLimits, gate: &Gate) -> Result<Survey, SourceError> {
    let mut survey = Survey::default();
    // Directories still to be read, each with whether Git LFS has files in it.
    let mut ahead = vec![(PathBuf::new(), false)];
    while let Some((directory, in_lfs)) = ahead.pop() {
        gate.check()?;
        let here = root.join(&directory);
        let in_lfs = in_lfs || names_lfs(&here.join(".gitattributes"));
        for entry in fs::read_dir(&here).map_err(local)? {
            let entry = entry.map_err(local)?;
            let path = directory.join(entry.file_name());
            let kind = entry.file_type().map_err(local)?;
            if entry.file_name().eq_ignore_ascii_case(".git") {
                let removed = if kind.is_dir() {
                    fs::remove_dir_all(entry.path())
                } else {
                    fs::remove_file(entry.path())
                };
                removed.map_err(local)?;
                continue;
            }
            if kind.is_symlink() && !leads_inside(root, &path).map_err(local)? {
                fs::remove_file(entry.path()).map_err(local)?;
                note(&mut survey.links, &path);
                continue;
            }
            survey.entries += 1;
            if kind.is_dir() {
                ahead.push((path, in_lfs));
            } else if kind.is_file() {
                let size = entry.metadata().map_err(local)?.size();
                survey.bytes += size;
                if in_lfs && size <= POINTER_BYTES && is_pointer(&entry.path()) {
                    note(&mut survey.pointers, &path);
                }
            }
        }
        within(survey.bytes, survey.entries, limits, "the source")?;
    }
    Ok(survey)
}

/// Whether so much is allowed.
pub(super) fn within(bytes: u64, entries: u64, limits: SourceLimits, what: &str) -> Result<(), SourceError> {
    if bytes > limits.bytes {
        return Err(too_many_bytes(limits, what));
    }
    if entries > limits.files {
        return Err(SourceError::TooLarge(format!(
            "{what} has more than {} files and directories",
            limits.files
        )));
    }
    Ok(())
}

/// The error for what has too many bytes.
pub(super) fn too_many_bytes(limits: SourceLimits, what: &str) -> SourceError {
    let size = match limits.bytes {
        bytes if bytes >= 10 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    };
    SourceError::TooLarge(format!("{what} is larger than {size}"))
}

/// A path as text for a line of the log.
pub(super) fn shown(path: &Path) -> String {
    clean_line(&path.to_string_lossy()).chars().take(200).collect()
}

fn note((names, number): &mut (Vec<String>, u64), path: &Path) {
    *number += 1;
    if names.len() < NOTED {
        names.push(shown(path));
    }
}

fn names_lfs(attributes: &Path) -> bool {
    starts_of_file(attributes, 64 * 1024).is_some_and(|text| text.windows(10).any(|part| part == b"filter=lfs"))
}

fn is_pointer(path: &Path) -> bool {
    starts_of_file(path, POINTER_BYTES)
        .is_some_and(|text| text.starts_with(b"version https://git-lfs.github.com/spec/"))
}

/// The first bytes of a regular file, which is not followed when it is a link.
pub(super) fn starts_of_file(path: &Path, limit: u64) -> Option<Vec<u8>> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(limit).read_to_end(&mut text).ok()?;
    Some(text)
}
