//! What dependencies need of the system: to be compiled, and when they run.

use crate::{python::dependencies::Names, tree::Tree};

/// A package that has to be compiled, the Debian packages for that, and those that it needs when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compiled {
    pub(crate) name: &'static str,
    pub(crate) to_build: &'static [&'static str],
    pub(crate) to_run: &'static [&'static str],
}

/// Packages that come as source on Linux.
const COMPILED: &[Compiled] = &[
    Compiled {
        name: "psycopg2",
        to_build: &["libpq-dev"],
        to_run: &["libpq5"],
    },
    Compiled {
        name: "mysqlclient",
        to_build: &["default-libmysqlclient-dev", "pkg-config"],
        to_run: &["libmariadb3"],
    },
    Compiled {
        name: "python-ldap",
        to_build: &["libldap2-dev", "libsasl2-dev"],
        to_run: &["libldap-common"],
    },
    Compiled {
        name: "pycairo",
        to_build: &["libcairo2-dev", "pkg-config"],
        to_run: &["libcairo2"],
    },
    Compiled {
        name: "pygraphviz",
        to_build: &["libgraphviz-dev"],
        to_run: &["graphviz"],
    },
    Compiled {
        name: "uwsgi",
        to_build: &[],
        to_run: &[],
    },
    Compiled {
        name: "pymssql",
        to_build: &["freetds-dev"],
        to_run: &["libsybdb5"],
    },
    Compiled {
        name: "pyaudio",
        to_build: &["portaudio19-dev"],
        to_run: &["libportaudio2"],
    },
];

/// What ready-made packages load or call, and do not bring along.
const CALLED: &[(&str, &[&str])] = &[
    ("ffmpeg-python", &["ffmpeg"]),
    ("gitpython", &["git"]),
    ("graphviz", &["graphviz"]),
    ("opencv-contrib-python", &["libgl1", "libglib2.0-0"]),
    ("opencv-python", &["libgl1", "libglib2.0-0"]),
    ("openai-whisper", &["ffmpeg"]),
    ("pdf2image", &["poppler-utils"]),
    ("pydub", &["ffmpeg"]),
    ("pypandoc", &["pandoc"]),
    ("pytesseract", &["tesseract-ocr"]),
    ("python-magic", &["libmagic1"]),
    ("pyzbar", &["libzbar0"]),
    (
        "weasyprint",
        &["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"],
    ),
];

/// The packages of the system that dependencies load or call when they run, each with the dependency that does.
pub(crate) fn called(names: &Names) -> Vec<(&'static str, &'static [&'static str])> {
    CALLED.iter().copied().filter(|(name, _)| names.has(name)).collect()
}

/// A dependency out of a repository of source; the image with compilers has Git, Mercurial and Subversion.
const FROM_REPOSITORY: Compiled = Compiled {
    name: "a dependency from a repository",
    to_build: &[],
    to_run: &[],
};

/// Everything that has to be compiled, or made where compilers are.
pub(crate) fn compiled(names: &Names) -> Vec<Compiled> {
    let from_git = names.has_sources().then_some(FROM_REPOSITORY);
    from_git
        .into_iter()
        .chain(COMPILED.iter().copied())
        .filter(|compiled| *compiled == FROM_REPOSITORY || names.has(compiled.name))
        .collect()
}

/// Sources are searched for modules of Python itself that the small image lacks in this many files.
const MOST_SOURCES: usize = 50;

/// The library behind `tkinter`, which is part of Python and whose library is not part of the small image.
pub(crate) fn of_tkinter(tree: &Tree) -> Option<(String, &'static str)> {
    let entries = tree.entries("").into_iter();
    let mut sources = entries.filter(|entry| entry.name.ends_with(".py")).take(MOST_SOURCES);
    let imports = |text: &str| {
        text.lines()
            .any(|line| line.starts_with("import tkinter") || line.starts_with("from tkinter"))
    };
    let source = sources.find(|entry| imports(&tree.head(&entry.name)))?;
    Some((source.name, "libtk8.6"))
}
