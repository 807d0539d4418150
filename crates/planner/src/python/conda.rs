//! `environment.yml` of Conda: its list, as far as Python's own index has the same.
//!
//! Conda's channels are no part of any base image, and most environments of web applications name packages of Python only.

use crate::{Refusal, tree::Tree};

const FILES: &[&str] = &["environment.yml", "environment.yaml"];
/// More packages than this are not looked at.
const MOST: usize = 500;
/// What is there anyway.
const THERE: &[&str] = &["pip", "setuptools", "wheel"];
/// Packages that Conda and Python's index call differently.
const RENAMED: &[(&str, &str)] = &[
    ("matplotlib-base", "matplotlib"),
    ("msgpack-python", "msgpack"),
    ("opencv", "opencv-python-headless"),
    ("py-opencv", "opencv-python-headless"),
    ("pytables", "tables"),
    ("pytorch", "torch"),
];

/// What an environment asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The name of the file.
    pub(crate) file: String,
    pub(crate) python: Option<String>,
    /// As pip takes them.
    pub(crate) dependencies: Vec<String>,
}

/// The file with an environment.
pub(crate) fn file(tree: &Tree) -> Option<&'static str> {
    tree.first_file(FILES)
}

impl Environment {
    pub(crate) fn read(tree: &Tree) -> Result<Option<Self>, Refusal> {
        let Some(file) = file(tree) else {
            return Ok(None);
        };
        let text = tree.text(file)?.unwrap_or_default();
        let mut found = Self {
            file: file.to_owned(),
            ..Self::default()
        };
        let mut is_in_list = false;
        let mut of_pip_below = None;
        for line in text.lines() {
            let line = line.split(" #").next().unwrap_or_default().trim_end();
            let words = line.trim_start();
            let indent = line.len() - words.len();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            let Some(item) = words.strip_prefix("- ") else {
                is_in_list = indent == 0 && words == "dependencies:";
                continue;
            };
            if !is_in_list || found.dependencies.len() >= MOST {
                continue;
            }
            let item = item.trim().trim_matches(['"', '\'']);
            of_pip_below = of_pip_below.filter(|above| indent > *above);
            match (item, of_pip_below) {
                ("pip:", _) => of_pip_below = Some(indent),
                (item, Some(_)) if item.starts_with('-') => {
                    return Err(Refusal::Malformed {
                        path: file.to_owned(),
                        why: "pip's part of the list has an option. Put what pip installs into a requirements.txt"
                            .to_owned(),
                    });
                }
                (item, Some(_)) => found.dependencies.push(item.to_owned()),
                (item, None) => found.add(item),
            }
        }
        Ok(Some(found))
    }

    /// A package of Conda: `channel::name=version=build`, where one `=` means a line of versions.
    fn add(&mut self, item: &str) {
        let item = item.rsplit("::").next().unwrap_or(item);
        let end = item.find(|letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter)));
        let (name, version) = item.split_at(end.unwrap_or(item.len()));
        let version = version.trim();
        let plain = |version: &str| {
            version
                .split('=')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".*")
                .trim()
                .to_owned()
        };
        let version = match version.strip_prefix("==") {
            Some(exact) => format!("=={}", plain(exact)),
            None => match version.strip_prefix('=') {
                Some(line) => format!("=={}.*", plain(line)),
                None if version.starts_with(|first: char| first.is_ascii_digit()) => format!("=={}.*", plain(version)),
                None => version.to_owned(),
            },
        };
        if name == "python" {
            self.python = Some(version).filter(|version| !version.is_empty());
        } else if !name.is_empty() && !THERE.contains(&name) {
            let renamed = RENAMED.iter().find(|(conda, _)| *conda == name);
            let name = renamed.map_or(name, |(_, name)| name);
            self.dependencies.push(format!("{name}{version}"));
        }
    }
}
