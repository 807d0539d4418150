//! What `go.mod` says.

use crate::{Refusal, bases, tree::shown};

/// The parts of a `go.mod` that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Module {
    /// The module's path.
    pub(crate) path: String,
    /// The version after `go`.
    pub(crate) version: Option<String>,
    /// Where that is said, if not in `go.mod`.
    pub(crate) said_in: Option<&'static str>,
    /// Paths of all required modules.
    pub(crate) required: Vec<String>,
}

/// More requirements than this are not looked at.
const MOST: usize = 5_000;

impl Module {
    pub(crate) fn parse(text: &str) -> Self {
        let mut module = Self::default();
        let mut in_block = false;
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some(")"), _) => in_block = false,
                (Some("module"), Some(path)) => module.path = path.trim_matches(['"', '`']).to_owned(),
                (Some("go"), Some(version)) if !in_block => module.version = Some(version.to_owned()),
                (Some("require"), Some("(")) => in_block = true,
                (Some("require"), Some(path)) => module.required.push(path.to_owned()),
                (Some(path), Some(_)) if in_block && module.required.len() < MOST => {
                    module.required.push(path.to_owned())
                }
                _ => {}
            }
        }
        module
    }

    /// The name that `go install` would give the program: the path's last part that is no major version.
    pub(crate) fn program(&self) -> &str {
        let is_major = |part: &str| {
            part.strip_prefix('v')
                .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
        };
        self.path.rsplit('/').find(|part| !is_major(part)).unwrap_or_default()
    }

    /// The file that says all this.
    pub(crate) fn said_in(&self) -> &'static str {
        self.said_in.unwrap_or("go.mod")
    }

    /// The version to compile with, or why there is none.
    pub(crate) fn check_version(&self) -> Result<(), Refusal> {
        let Some(version) = &self.version else { return Ok(()) };
        let mut numbers = version.split('.').map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).take(6).collect();
            digits.parse::<u64>().ok()
        });
        let major = numbers.next().flatten();
        let minor = numbers.next().flatten();
        let fits = match (major, minor) {
            (Some(1), Some(minor)) => minor <= bases::GO_MINOR,
            (Some(1), None) => true,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(Refusal::Version {
            wanted: format!("Go {}", shown(version)),
            because: format!("in {}", self.said_in()),
            offered: format!("Go 1.{}, which compiles every older module", bases::GO_MINOR),
            advice: "Lower the version there if the code allows it, or add a Dockerfile with a newer image.".to_owned(),
        })
    }
}

/// Modules that are C at heart.
const NEEDS_C: &[&str] = &[
    "github.com/mattn/go-sqlite3",
    "github.com/confluentinc/confluent-kafka-go",
    "github.com/h2non/bimg",
    "github.com/davidbyttow/govips",
    "github.com/chai2010/webp",
    "github.com/libgit2/git2go",
    "github.com/pebbe/zmq4",
    "gocv.io/x/gocv",
    "github.com/marcboeker/go-duckdb",
    "github.com/tecbot/gorocksdb",
    "github.com/linxGnu/grocksdb",
];

/// The first required module that cannot be compiled without C.
pub(crate) fn needs_c(module: &Module) -> Option<&'static str> {
    let is_it = |path: &str, name: &str| {
        path.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    NEEDS_C
        .iter()
        .copied()
        .find(|name| module.required.iter().any(|path| is_it(path, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_mod_is_read() {
        let module = Module::parse(
            "module example.com/shop/v2 // x\n\ngo 1.22.3\n\nrequire github.com/a/b v1.0.0\nrequire (\n\tgithub.com/mattn/go-sqlite3 v1.14.0 // indirect\n)\n",
        );
        assert_eq!(module.program(), "shop");
        assert_eq!(module.version.as_deref(), Some("1.22.3"));
        assert_eq!(needs_c(&module), Some("github.com/mattn/go-sqlite3"));
        assert!(module.check_version().is_ok());
    }

    #[test]
    fn a_newer_go_is_refused_with_what_to_do() {
        for version in ["1.27", "1.99.1", "2.0", "$(x)", "1.x99"] {
            let module = Module {
                version: Some(version.to_owned()),
                ..Module::default()
            };
            assert_eq!(module.check_version().is_err(), version != "1.x99", "{version}");
        }
    }
}
