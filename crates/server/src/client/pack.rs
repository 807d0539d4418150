//! A directory as an archive: what Git would take of it, in a fixed order, with nothing in it that depends on who packs
//! it or when. The same files give the same bytes.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use flate2::{Compression, GzBuilder};
use ignore::{DirEntry, WalkBuilder};
use tar::{Builder, EntryType, Header};

/// The most that is uploaded, before compression: what the server unpacks at most.
pub(crate) const LIMIT_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// The directory that everything is in. The server takes the content of an archive's only directory; without this one,
/// an application with a single folder would lose that.
const TOP: &str = "source";

/// Why a directory cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// It is none.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Nothing of it is left.
    #[error("{} has no files to upload: it is empty, or all of it is left out by .gitignore", .0.display())]
    Empty(PathBuf),
    /// More than the server takes.
    #[error("{} has {} to upload, and the most is {}; leave out what the build does not need by .gitignore (the largest: {largest})",
        path.display(), size(*bytes), size(LIMIT_BYTES))]
    TooLarge {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        bytes: u64,
        /// The largest entries at its top.
        largest: String,
    },
    /// A file that cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file that became shorter under our hands.
    #[error("{} changed while it was packed; try again", .0.display())]
    Changed(PathBuf),
    /// Nobody takes what is packed any more.
    #[error("the upload ended early: {0}")]
    Closed(io::Error),
}

/// A number of bytes for a person.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut scaled = bytes as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{scaled:.1} {}", UNITS[unit])
    }
}

/// What is packed.
#[derive(Debug)]
pub(crate) struct Listing {
    root: PathBuf,
    entries: Vec<Entry>,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// Number of files and links.
    pub(crate) files: usize,
    /// What is not packed though nothing says that it should be left out, and why.
    pub(crate) left_out: Vec<String>,
    /// Files at the top that look like they hold secrets.
    pub(crate) secrets: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    /// Below the root.
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory,
    File { bytes: u64 },
    Link { target: PathBuf },
}

/// Looks at what of a directory is to be packed.
///
/// # Errors
/// When it is no directory, nothing is left of it, it is too large, or some of it cannot be read.
pub(crate) fn list(root: &Path) -> Result<Listing, PackError> {
    if !root.is_dir() {
        return Err(PackError::NotADirectory(root.to_owned()));
    }
    let root = fs::canonicalize(root).map_err(|cause| PackError::Unreadable {
        path: root.to_owned(),
        cause,
    })?;
    let mut listing = Listing {
        root: root.clone(),
        entries: Vec::new(),
        bytes: 0,
        files: 0,
        left_out: Vec::new(),
        secrets: Vec::new(),
    };
    for found in walk(&root) {
        let found = found.map_err(|error| PackError::Unreadable {
            path: root.clone(),
            cause: error
                .into_io_error()
                .unwrap_or_else(|| io::Error::other("a rule in .gitignore")),
        })?;
        if found.depth() > 0 {
            listing.add(&found)?;
        }
    }
    if listing.files == 0 {
        return Err(PackError::Empty(root));
    }
    if listing.bytes > LIMIT_BYTES {
        return Err(PackError::TooLarge {
            bytes: listing.bytes,
            largest: listing.largest(),
            path: root,
        });
    }
    Ok(listing)
}

/// Walks as Git would: .gitignore of the directory, of those below it and, inside a repository, of those above it.
fn walk(root: &Path) -> ignore::Walk {
    let repository = root.ancestors().find(|above| above.join(".git").exists());
    let has_rules = root
        .ancestors()
        .take_while(|above| above.starts_with(repository.unwrap_or(root)))
        .any(|above| above.join(".gitignore").is_file());
    WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .parents(repository.is_some())
        .require_git(false)
        .git_ignore(true)
        .git_exclude(true)
        .git_global(repository.is_some())
        .follow_links(false)
        .sort_by_file_path(Path::cmp)
        .filter_entry(move |entry| {
            entry.depth() == 0 || (entry.file_name() != OsStr::new(".git") && (has_rules || !is_generated(entry)))
        })
        .build()
}

/// What tools write and write again; left out where no .gitignore says what to leave out.
fn is_generated(entry: &DirEntry) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return entry.file_name() == OsStr::new(".DS_Store");
    }
    let path = entry.path();
    let beside = |name: &str| path.parent().is_some_and(|parent| parent.join(name).is_file());
    match entry.file_name().as_bytes() {
        b"node_modules" | b"__pycache__" | b".venv" => true,
        b"target" => beside("Cargo.toml") || beside("pom.xml"),
        b".next" => beside("package.json"),
        // A virtual environment of Python, whatever it is called.
        _ => path.join("pyvenv.cfg").is_file(),
    }
}

impl Listing {
    fn add(&mut self, found: &DirEntry) -> Result<(), PackError> {
        let full = found.path();
        let unreadable = |cause: io::Error| PackError::Unreadable {
            path: full.to_owned(),
            cause,
        };
        let path = full.strip_prefix(&self.root).unwrap_or(full).to_owned();
        let metadata = fs::symlink_metadata(full).map_err(unreadable)?;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            self.bytes += metadata.len();
            self.files += 1;
            if found.depth() == 1 && holds_secrets(found.file_name()) {
                self.secrets.push(path.display().to_string());
            }
            Kind::File { bytes: metadata.len() }
        } else if metadata.is_symlink() {
            let target = fs::read_link(full).map_err(unreadable)?;
            if !stays_inside(&path, &target) {
                self.left_out.push(format!(
                    "{} is a link out of the directory, to {}",
                    path.display(),
                    target.display()
                ));
                return Ok(());
            }
            self.files += 1;
            Kind::Link { target }
        } else {
            self.left_out
                .push(format!("{} is neither a file, a directory nor a link", path.display()));
            return Ok(());
        };
        self.entries.push(Entry { path, kind });
        Ok(())
    }

    /// The three largest entries at the top, for a person who has to make room.
    fn largest(&self) -> String {
        let mut tops = std::collections::BTreeMap::<&OsStr, u64>::new();
        for entry in &self.entries {
            if let (Kind::File { bytes }, Some(Component::Normal(top))) = (&entry.kind, entry.path.components().next())
            {
                *tops.entry(top).or_default() += bytes;
            }
        }
        let mut tops: Vec<_> = tops.into_iter().collect();
        tops.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let words: Vec<String> = tops
            .iter()
            .take(3)
            .map(|(top, bytes)| format!("{} {}", top.display(), size(*bytes)))
            .collect();
        words.join(", ")
    }

    /// Writes the archive (`tar`, compressed by gzip) and says after each piece how many bytes of files were read.
    ///
    /// # Errors
    /// When a file cannot be read or changed, or nobody takes the archive.
    pub(crate) fn write<W: Write>(&self, into: W, mut progress: impl FnMut(u64)) -> Result<W, PackError> {
        let mut archive = Builder::new(GzBuilder::new().mtime(0).write(into, Compression::fast()));
        for entry in &self.entries {
            let full = self.root.join(&entry.path);
            let name = Path::new(TOP).join(&entry.path);
            let mut header = Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            match &entry.kind {
                Kind::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(0o755);
                    archive
                        .append_data(&mut header, name, io::empty())
                        .map_err(PackError::Closed)?;
                }
                Kind::Link { target } => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    archive
                        .append_link(&mut header, name, target)
                        .map_err(PackError::Closed)?;
                }
                Kind::File { bytes } => {
                    let unreadable = |cause: io::Error| PackError::Unreadable {
                        path: full.clone(),
                        cause,
                    };
                    let file = File::open(&full).map_err(unreadable)?;
                    let metadata = file.metadata().map_err(unreadable)?;
                    if metadata.len() != *bytes || !metadata.is_file() {
                        return Err(PackError::Changed(full));
                    }
                    // The time is the file's own: servers make `ETag` and `Last-Modified` of it.
                    let written = metadata
                        .modified()
                        .ok()
                        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                    header.set_mtime(written.map_or(0, |since| since.as_secs()));
                    header.set_entry_type(EntryType::Regular);
                    // As Git keeps modes: executable or not.
                    header.set_mode(if metadata.permissions().mode() & 0o100 == 0 {
                        0o644
                    } else {
                        0o755
                    });
                    header.set_size(*bytes);
                    let mut source = Exactly {
                        file,
                        left: *bytes,
                        failure: None,
                        progress: &mut progress,
                    };
                    let appended = archive.append_data(&mut header, name, &mut source);
                    match (appended, source.failure) {
                        (_, Some(Failure::Short)) => return Err(PackError::Changed(full)),
                        (_, Some(Failure::Read(cause))) => return Err(unreadable(cause)),
                        (Err(cause), None) => return Err(PackError::Closed(cause)),
                        (Ok(()), None) => {}
                    }
                }
            }
        }
        archive
            .into_inner()
            .and_then(flate2::write::GzEncoder::finish)
            .map_err(PackError::Closed)
    }
}

/// Files that customarily hold passwords.
fn holds_secrets(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b".env"
        || name == b".npmrc"
        || name == b".netrc"
        || name.starts_with(b".env.") && !name.ends_with(b".example")
}

/// Whether a link leads to something within the directory, by its words alone.
fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

enum Failure {
    Short,
    Read(io::Error),
}

/// Reads as many bytes of a file as its header promised, and remembers what went wrong: the archive's own error could
/// as well come from the other end.
struct Exactly<'a, F> {
    file: File,
    left: u64,
    failure: Option<Failure>,
    progress: &'a mut F,
}

impl<F: FnMut(u64)> Read for Exactly<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        match self.file.read(&mut buffer[..most]) {
            Ok(0) => {
                self.failure = Some(Failure::Short);
                Err(io::Error::other("the file became shorter"))
            }
            Ok(count) => {
                self.left -= count as u64;
                (self.progress)(count as u64);
                Ok(count)
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => Err(cause),
            Err(cause) => {
                self.failure = Some(Failure::Read(io::Error::new(cause.kind(), cause.to_string())));
                Err(cause)
            }
        }
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
