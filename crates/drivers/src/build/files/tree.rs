//! A walk through the application's directory, in the order that fsutil demands: each directory before what is in it,
//! names compared as bytes. Links are told as links and never followed; sockets, pipes and devices stay out.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use bollard_buildkit_proto::fsutil::types::Stat;
use ring::digest::{Context, SHA256};
use rustix::fs::{Mode, OFlags};

use super::{
    pattern::{Held, Patterns},
    times::{Fingerprint, Times},
};

/// Go's `os.FileMode` bits beside the permissions.
const MODE_DIRECTORY: u32 = 1 << 31;
const MODE_LINK: u32 = 1 << 27;
const MODE_SETUID: u32 = 1 << 23;
const MODE_SETGID: u32 = 1 << 22;
const MODE_STICKY: u32 = 1 << 20;

/// How much of a file is read at once.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;

/// What a walk tells of.
pub(super) struct Walk<'a> {
    /// The directory.
    pub(super) root: &'a Path,
    /// What is sent; everything when absent.
    pub(super) include: Option<Patterns>,
    /// What is not.
    pub(super) exclude: Patterns,
    /// Remembers modification times.
    pub(super) times: &'a Times,
    /// Tells one tree of one service from all others.
    pub(super) scope: &'a str,
    /// The time of what is new.
    pub(super) now: i64,
}

/// Told what a walk finds.
pub(super) trait Visitor {
    /// An entry; `content` is where a regular file is. `false` ends the walk.
    fn entry(&mut self, stat: Stat, content: Option<PathBuf>) -> bool;
    /// An entry that cannot be sent, and why.
    fn left_out(&mut self, path: &str, why: &str);
    /// Whether nobody listens any more.
    fn gone(&self) -> bool;
}

/// A directory that the walk is in.
struct Level {
    names: std::vec::IntoIter<OsString>,
    place: PathBuf,
    path: String,
    included: Held,
    excluded: Held,
    /// The directory itself, which is told only when something in it is.
    untold: Option<Stat>,
}

impl Walk<'_> {
    /// Walks. An error names paths of the context only.
    pub(super) fn run(&self, visitor: &mut dyn Visitor) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        // No recursion: how deep a tree is, is the application's choice.
        let mut levels = vec![Level {
            names: names(self.root)?,
            place: self.root.to_owned(),
            path: String::new(),
            included: Held::new(),
            excluded: Held::new(),
            untold: None,
        }];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let Some(text) = name.to_str() else {
                let path = format!("{}/{}", level.path, name.to_string_lossy());
                visitor.left_out(path.trim_start_matches('/'), "its name is not UTF-8");
                continue;
            };
            let path = if level.path.is_empty() {
                text.to_owned()
            } else {
                format!("{}/{text}", level.path)
            };
            let place = level.place.join(&name);
            let Some(metadata) = present(place.symlink_metadata()).map_err(|error| named(&path, &error))? else {
                continue;
            };
            let directory = metadata.is_dir();

            let (included, included_held) = match &self.include {
                Some(include) => include.matches(&path, &level.included),
                None => (true, Held::new()),
            };
            let (excluded, excluded_held) = self.exclude.matches(&path, &level.excluded);
            if directory && self.nothing_in(&path, included, excluded) {
                continue;
            }
            let told = included && !excluded;
            if !told && !directory {
                continue;
            }
            let Some(stat) = self.stat(&path, &place, &metadata, &mut buffer, visitor)? else {
                continue;
            };
            let untold = if told {
                for level in &mut levels {
                    if let Some(parent) = level.untold.take()
                        && !visitor.entry(parent, None)
                    {
                        return Ok(());
                    }
                }
                let content = metadata.is_file().then(|| place.clone());
                if !visitor.entry(stat, content) {
                    return Ok(());
                }
                None
            } else {
                Some(stat)
            };
            if directory {
                let Some(names) = present(names(&place)).map_err(|error| named(&path, &error))? else {
                    continue;
                };
                levels.push(Level {
                    names,
                    place,
                    path,
                    included: included_held,
                    excluded: excluded_held,
                    untold,
                });
            }
        }
        Ok(())
    }

    /// Whether a directory need not be entered.
    fn nothing_in(&self, path: &str, included: bool, excluded: bool) -> bool {
        let unwanted = !included && self.include.as_ref().is_some_and(|include| !include.may_match_in(path));
        unwanted || (excluded && !self.exclude.may_take_back_in(path))
    }

    /// What is told of an entry; `None` when it stays out.
    fn stat(
        &self,
        path: &str,
        place: &Path,
        metadata: &Metadata,
        buffer: &mut [u8],
        visitor: &mut dyn Visitor,
    ) -> io::Result<Option<Stat>> {
        let kind = metadata.file_type();
        let mut stat = Stat {
            path: path.to_owned(),
            mode: permissions(metadata.mode()),
            mod_time: self.now,
            ..Stat::default()
        };
        if kind.is_dir() {
            stat.mode |= MODE_DIRECTORY;
        } else if kind.is_symlink() {
            let Some(target) = present(std::fs::read_link(place)).map_err(|error| named(path, &error))? else {
                return Ok(None);
            };
            let Some(target) = target.to_str() else {
                visitor.left_out(path, "what it links to is not UTF-8");
                return Ok(None);
            };
            // A link has no permissions of its own.
            stat.mode = MODE_LINK | 0o777;
            stat.linkname = target.to_owned();
            stat.mod_time = self.times.of(
                fingerprint(self.scope, path, |hash| {
                    hash.update(b"link");
                    hash.update(target.as_bytes());
                }),
                self.now,
            );
        } else if kind.is_file() {
            let mut size = 0_u64;
            let Some(file) = present(open(place)).map_err(|error| named(path, &error))? else {
                return Ok(None);
            };
            let mut outcome = Ok(());
            let content = fingerprint(self.scope, path, |hash| {
                outcome = digest(file, hash, &mut size, buffer, visitor);
            });
            outcome.map_err(|error| named(path, &error))?;
            stat.size = i64::try_from(size).unwrap_or(i64::MAX);
            stat.mod_time = self.times.of(content, self.now);
        } else {
            let what = if kind.is_fifo() {
                "it is a pipe"
            } else if kind.is_socket() {
                "it is a socket"
            } else {
                "it is a device"
            };
            visitor.left_out(path, what);
            return Ok(None);
        }
        Ok(Some(stat))
    }
}

/// The fingerprint of one content at one path.
pub(super) fn fingerprint(scope: &str, path: &str, content: impl FnOnce(&mut Context)) -> Fingerprint {
    let mut hash = Context::new(&SHA256);
    for text in [scope, path] {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    content(&mut hash);
    let mut short = Fingerprint::default();
    let length = short.len();
    short.copy_from_slice(&hash.finish().as_ref()[..length]);
    short
}

/// Opens a regular file; a link that took its place is not followed, and a pipe is not waited for.
pub(super) fn open(place: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(place, flags, Mode::empty())?.into())
}

fn digest(
    mut file: File,
    hash: &mut Context,
    size: &mut u64,
    buffer: &mut [u8],
    visitor: &mut dyn Visitor,
) -> io::Result<()> {
    loop {
        let read = file.read(buffer)?;
        if read == 0 {
            return Ok(());
        }
        if visitor.gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        hash.update(&buffer[..read]);
        *size += read as u64;
    }
}

fn names(directory: &Path) -> io::Result<std::vec::IntoIter<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name());
    }
    names.sort_unstable();
    Ok(names.into_iter())
}

/// What vanished during the walk is as if it had never been.
fn present<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

fn permissions(mode: u32) -> u32 {
    let mut bits = mode & 0o777;
    for (mask, bit) in [(0o4000, MODE_SETUID), (0o2000, MODE_SETGID), (0o1000, MODE_STICKY)] {
        if mode & mask != 0 {
            bits |= bit;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[derive(Default)]
    struct Found {
        stats: Vec<Stat>,
        left_out: Vec<String>,
    }

    impl Visitor for Found {
        fn entry(&mut self, stat: Stat, _content: Option<PathBuf>) -> bool {
            self.stats.push(stat);
            true
        }
        fn left_out(&mut self, path: &str, _why: &str) {
            self.left_out.push(path.to_owned());
        }
        fn gone(&self) -> bool {
            false
        }
    }

    impl Found {
        fn paths(&self) -> Vec<&str> {
            self.stats.iter().map(|stat| stat.path.as_str()).collect()
        }
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let place = root.path().join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, file).unwrap();
        }
        root
    }

    fn walk(root: &Path, include: Option<&[&str]>, exclude: &[&str], times: &Times, now: i64) -> Found {
        let mut found = Found::default();
        let walk = Walk {
            root,
            include: include.map(|patterns| Patterns::new(patterns).unwrap()),
            exclude: Patterns::new(exclude).unwrap(),
            times,
            scope: "service",
            now,
        };
        walk.run(&mut found).unwrap();
        found
    }

    #[test]
    fn the_order_is_by_components_and_bytes() {
        let root = tree(&["a/b", "a.b", "a-b", "aa", "B", "a/b.c/d", "ä", "a/B"]);
        let found = walk(root.path(), None, &[], &Times::default(), 1);
        assert_eq!(
            found.paths(),
            ["B", "a", "a/B", "a/b", "a/b.c", "a/b.c/d", "a-b", "a.b", "aa", "ä"]
        );
    }

    #[test]
    fn exclusions_exceptions_and_inclusions_are_kept() {
        let root = tree(&[
            "node_modules/a/x",
            "node_modules/keep",
            "src/a.js",
            "src/a.md",
            "README.md",
            "dist/x",
        ]);
        let found = walk(
            root.path(),
            None,
            &["node_modules", "!node_modules/keep", "**/*.md", "dist"],
            &Times::default(),
            1,
        );
        assert_eq!(found.paths(), ["node_modules", "node_modules/keep", "src", "src/a.js"]);
        let found = walk(root.path(), Some(&["src/a.js", "nothing"]), &[], &Times::default(), 1);
        assert_eq!(found.paths(), ["src", "src/a.js"]);
        let found = walk(
            root.path(),
            Some(&["src/*.md", "dist"]),
            &["dist/x"],
            &Times::default(),
            1,
        );
        assert_eq!(found.paths(), ["dist", "src", "src/a.md"]);
    }

    #[test]
    fn links_are_told_as_links_and_special_files_stay_out() {
        let root = tree(&["file"]);
        symlink("/etc", root.path().join("etc")).unwrap();
        symlink("../../../etc/passwd", root.path().join("passwd")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        std::fs::set_permissions(root.path().join("file"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        let found = walk(root.path(), None, &[], &Times::default(), 1);
        assert_eq!(found.paths(), ["etc", "file", "passwd"]);
        assert_eq!(found.stats[0].mode, MODE_LINK | 0o777);
        assert_eq!(found.stats[0].linkname, "/etc");
        assert_eq!(found.stats[1].mode, MODE_SETUID | 0o755);
        assert_eq!(found.left_out, ["socket"]);
    }

    #[test]
    fn a_time_follows_the_content_and_not_the_checkout() {
        let times = Times::default();
        let first = walk(tree(&["a", "b"]).path(), None, &[], &times, 10);
        let other = tree(&["a", "b"]);
        std::fs::write(other.path().join("b"), "B").unwrap();
        let second = walk(other.path(), None, &[], &times, 20);
        assert_eq!(
            first.stats.iter().map(|stat| stat.mod_time).collect::<Vec<_>>(),
            [10, 10]
        );
        assert_eq!(
            second.stats.iter().map(|stat| stat.mod_time).collect::<Vec<_>>(),
            [10, 20]
        );
        assert_eq!(first.stats[1].size, second.stats[1].size);
    }

    #[test]
    fn a_very_deep_tree_does_not_overflow() {
        let root = tempfile::tempdir().unwrap();
        let mut place = root.path().to_owned();
        for _ in 0..1_000 {
            place.push("d");
        }
        std::fs::create_dir_all(&place).unwrap();
        assert_eq!(walk(root.path(), None, &[], &Times::default(), 1).stats.len(), 1_000);
    }
}
