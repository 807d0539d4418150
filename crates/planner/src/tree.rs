//! Reading below one directory, and nowhere else.

use std::{
    cell::Cell,
    fs,
    io::Read,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{Refusal, ignore::Ignore};

/// A file that is to be understood is not larger than this.
const LARGEST_FILE: u64 = 1024 * 1024;
/// Lock files of large applications are larger.
const LARGEST_LOCK: u64 = 8 * 1024 * 1024;
/// Of a file that only gives hints, this much is read, and this much of all such files together: a small archive of links to
/// one file could name gigabytes.
const HEAD: u64 = 256 * 1024;
const ALL_HEADS: u64 = 32 * 1024 * 1024;
/// A folder's entries beyond this many are not looked at.
const MOST_ENTRIES: usize = 5_000;
/// A walk ends after this many entries, and does not go deeper than this.
const LONGEST_WALK: usize = 20_000;
const DEEPEST_WALK: usize = 8;
/// Folders that hold other people's code, or none.
const NOT_THE_APPLICATION: &[&str] = &[
    "node_modules",
    "vendor",
    "testdata",
    "venv",
    "__pycache__",
    "site-packages",
    "bower_components",
];

/// An application's directory, seen as the build context will hold it.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// The folder that paths begin at; empty for the root.
    folder: String,
    ignore: Rc<Ignore>,
    has_dockerignore: bool,
    /// How much may still be read for hints.
    heads_left: Rc<Cell<u64>>,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

impl Tree {
    pub(crate) fn open(root: &Path) -> Result<Self, Refusal> {
        let unreadable = |why: String| Refusal::Unreadable {
            path: "the application's directory".to_owned(),
            why,
        };
        let root = root.canonicalize().map_err(|error| unreadable(error.to_string()))?;
        if !root.is_dir() {
            return Err(unreadable("it is not a folder".to_owned()));
        }
        let mut tree = Self {
            root,
            folder: String::new(),
            ignore: Rc::default(),
            has_dockerignore: false,
            heads_left: Rc::new(Cell::new(ALL_HEADS)),
        };
        if let Some(text) = tree.text(".dockerignore")? {
            tree.ignore = Rc::new(Ignore::parse(&text));
            tree.has_dockerignore = true;
        }
        Ok(tree)
    }

    /// The same tree with paths that begin at one of its folders, as a package of several sees it.
    pub(crate) fn below(&self, folder: &str) -> Self {
        Self {
            root: self.root.clone(),
            folder: self.whole(folder),
            ignore: Rc::clone(&self.ignore),
            has_dockerignore: self.has_dockerignore,
            heads_left: Rc::clone(&self.heads_left),
        }
    }

    /// The path below the root.
    fn whole(&self, path: &str) -> String {
        if path.is_empty() {
            self.folder.clone()
        } else {
            join(&self.folder, path)
        }
    }

    /// Whether the application brings its own `.dockerignore`.
    pub(crate) fn has_dockerignore(&self) -> bool {
        self.has_dockerignore
    }

    /// Whether something of that name is there, whatever it is, in a folder that lies inside the directory.
    pub(crate) fn has(&self, path: &str) -> bool {
        let whole = self.whole(path);
        let is_inside = || {
            let folder = whole
                .rsplit_once('/')
                .map(|(folder, _)| self.root.join(folder).canonicalize());
            folder.is_none_or(|folder| folder.is_ok_and(|folder| folder.starts_with(&self.root)))
        };
        !self.ignore.leaves_out(&whole) && self.root.join(&whole).symlink_metadata().is_ok() && is_inside()
    }

    /// Whether a folder of that name is there, inside the directory.
    pub(crate) fn has_folder(&self, path: &str) -> bool {
        self.has(path) && self.inside(path).is_some_and(|found| found.is_dir())
    }

    /// Whether a file of that name is there, inside the directory.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.has(path) && self.inside(path).is_some_and(|found| found.is_file())
    }

    /// The first of these files that is there.
    pub(crate) fn first_file<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.has_file(path))
    }

    /// The real path, if it lies below the root.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        self.root
            .join(self.whole(path))
            .canonicalize()
            .ok()
            .filter(|found| found.starts_with(&self.root))
    }

    /// A whole text file, or `None` if there is nothing of that name.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, Refusal> {
        self.text_of_at_most(path, LARGEST_FILE)
    }

    /// The same for a lock file, which a program wrote.
    pub(crate) fn lock_text(&self, path: &str) -> Result<Option<String>, Refusal> {
        self.text_of_at_most(path, LARGEST_LOCK)
    }

    fn text_of_at_most(&self, path: &str, largest: u64) -> Result<Option<String>, Refusal> {
        if !self.has(path) {
            return Ok(None);
        }
        let unreadable = |why: String| Refusal::Unreadable {
            path: shown(&self.whole(path)),
            why,
        };
        let found = self.inside(path).ok_or_else(|| {
            unreadable("it is a link to something that is missing or outside of the application's directory".to_owned())
        })?;
        let metadata = found.metadata().map_err(|error| unreadable(error.to_string()))?;
        // Checked before opening: opening a pipe would wait for a writer.
        if !metadata.is_file() {
            return Err(unreadable("a file is expected, and this is none".to_owned()));
        }
        if metadata.len() > largest {
            return Err(unreadable(format!(
                "it has {} bytes, and at most {largest} are read. Add a Dockerfile if it has to be so large",
                metadata.len()
            )));
        }
        let mut bytes = Vec::new();
        fs::File::open(&found)
            .and_then(|file| file.take(largest).read_to_end(&mut bytes))
            .map_err(|error| unreadable(error.to_string()))?;
        decode(&bytes)
            .map(Some)
            .ok_or_else(|| unreadable("it is not UTF-8 text".to_owned()))
    }

    /// The beginning of a file, however large, as far as it is text. Absent, unreadable and empty are the same here:
    /// this is for hints, not for what must be understood. So is everything after the first megabytes of all files.
    pub(crate) fn head(&self, path: &str) -> String {
        let largest = HEAD.min(self.heads_left.get());
        let mut bytes = Vec::new();
        if self.has_file(path)
            && let Some(found) = self.inside(path)
            && let Ok(file) = fs::File::open(found)
            && file.take(largest).read_to_end(&mut bytes).is_err()
        {
            bytes.clear();
        }
        self.heads_left
            .set(self.heads_left.get().saturating_sub(bytes.len() as u64));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The entries of a folder by name, without those whose names are not UTF-8. `""` is the root.
    pub(crate) fn entries(&self, folder: &str) -> Vec<Entry> {
        let Some(found) = self.inside(folder) else {
            return Vec::new();
        };
        let Ok(listing) = fs::read_dir(found) else {
            return Vec::new();
        };
        let mut entries: Vec<Entry> = listing
            .take(MOST_ENTRIES)
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let is_folder = entry.file_type().ok()?.is_dir();
                (!self.ignore.leaves_out(&self.whole(&join(folder, &name)))).then_some(Entry { name, is_folder })
            })
            .collect();
        entries.sort();
        entries
    }

    /// Names of the folders in a folder that may hold the application's code.
    pub(crate) fn code_folders(&self, folder: &str) -> Vec<String> {
        self.entries(folder)
            .into_iter()
            .filter(|entry| entry.is_folder && is_code_folder(&entry.name))
            .map(|entry| entry.name)
            .collect()
    }

    /// Every folder below (and including) `folder` that may hold the application's code, nearest first.
    pub(crate) fn walk(&self, folder: &str) -> Vec<String> {
        let mut folders = vec![folder.to_owned()];
        self.walk_until(folder, |below, _| {
            folders.extend(below.iter().cloned());
            false
        });
        folders
    }

    /// Whether there is a file whose name is wanted, in any folder that may hold the application's code.
    pub(crate) fn any_file(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.walk_until("", |_, entries| {
            found = entries.iter().any(|entry| !entry.is_folder && wanted(&entry.name));
            found
        });
        found
    }

    /// Reads each folder once, nearest first, until `stop` says so: it is shown the folders in it, and all that is in it.
    fn walk_until(&self, folder: &str, mut stop: impl FnMut(&[String], &[Entry]) -> bool) {
        let mut level = vec![folder.to_owned()];
        let mut seen = 0;
        for _ in 0..DEEPEST_WALK {
            let mut next = Vec::new();
            for above in &level {
                let entries = self.entries(above);
                seen += entries.len();
                let below = entries
                    .iter()
                    .filter(|entry| entry.is_folder && is_code_folder(&entry.name));
                let below: Vec<String> = below.map(|entry| join(above, &entry.name)).collect();
                if stop(&below, &entries) || seen > LONGEST_WALK {
                    return;
                }
                next.extend(below);
            }
            level = next;
        }
    }
}

fn is_code_folder(name: &str) -> bool {
    !name.starts_with(['.', '_']) && !NOT_THE_APPLICATION.contains(&name)
}

/// A path below a folder; `""` is the root.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// A name as it may be shown on one line.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}

/// UTF-8 with or without its mark, or UTF-16 with one (what PowerShell writes for `pip freeze > requirements.txt`).
fn decode(bytes: &[u8]) -> Option<String> {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// A path below the application's directory that can stand in a Dockerfile without quoting: no way up, nothing that a
/// shell, a Dockerfile or a wildcard would read as its own.
pub(crate) fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 255
        && path.split('/').all(|part| {
            !part.is_empty()
                && part != ".."
                && part != "."
                && !part.starts_with('-')
                && part
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "._-@+".contains(character))
        })
}
