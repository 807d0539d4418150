//! Which folders of a module hold programs.

use crate::tree::{Tree, is_plain_path, join};

/// A folder of `package main` with a `main` function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// From the module's root; empty for the root itself.
    pub(crate) folder: String,
    /// Whether it imports `C`.
    pub(crate) imports_c: bool,
    /// The port that it names, if nothing in it looks at `PORT`.
    pub(crate) port: Option<u16>,
}

impl Program {
    /// The last part of the folder.
    pub(crate) fn name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or_default()
    }
}

/// More folders, or files in one, than this are not looked at.
const MOST_FOLDERS: usize = 2_000;
const MOST_FILES: usize = 200;

/// What a Go file is.
struct Source {
    is_main: bool,
    has_main_function: bool,
    text: String,
}

fn read(tree: &Tree, path: &str) -> Option<Source> {
    let text = tree.head(path);
    let mut package = None;
    let mut in_comment = false;
    for line in text.lines() {
        let line = line.trim();
        if in_comment {
            in_comment = !line.contains("*/");
            continue;
        }
        // Generators and tools that are no part of any build.
        if line.starts_with("//go:build ignore") || line.starts_with("// +build ignore") || line == "//go:build tools" {
            return None;
        }
        if line.starts_with("/*") {
            in_comment = !line.contains("*/");
        } else if let Some(name) = line.strip_prefix("package ") {
            package = name
                .split_whitespace()
                .next()
                .map(|name| name.trim_end_matches(';').to_owned());
            break;
        } else if !line.is_empty() && !line.starts_with("//") {
            break;
        }
    }
    let has_main_function = text
        .lines()
        .any(|line| line.starts_with("func main()") || line.starts_with("func main ("));
    Some(Source {
        is_main: package? == "main",
        has_main_function,
        text,
    })
}

/// The program in a folder, if there is one.
pub(crate) fn at(tree: &Tree, folder: &str) -> Option<Program> {
    if !folder.is_empty() && !is_plain_path(folder) {
        return None;
    }
    let entries = tree.entries(folder);
    let files = entries
        .iter()
        .filter(|entry| !entry.is_folder && entry.name.ends_with(".go") && !entry.name.ends_with("_test.go"));
    let sources: Vec<Source> = files
        .take(MOST_FILES)
        .filter_map(|entry| read(tree, &join(folder, &entry.name)))
        .filter(|source| source.is_main)
        .collect();
    if !sources.iter().any(|source| source.has_main_function) {
        return None;
    }
    let imports_c = sources
        .iter()
        .any(|source| source.text.lines().any(|line| line.trim() == "import \"C\""));
    let looks_at_port = sources.iter().any(|source| source.text.contains("\"PORT\""));
    let port = sources
        .iter()
        .find_map(|source| port(&source.text))
        .filter(|_| !looks_at_port);
    Some(Program {
        folder: folder.to_owned(),
        imports_c,
        port,
    })
}

/// An address with a port in a string: `":8080"`, `"0.0.0.0:8080"`.
fn port(text: &str) -> Option<u16> {
    let signs = ["\":", "\"0.0.0.0:", "\"[::]:"];
    signs.iter().find_map(|sign| {
        text.match_indices(sign).find_map(|(at, _)| {
            let (digits, _) = text[at + sign.len()..].split_once('"')?;
            let plausible = (2..=5).contains(&digits.len()) && digits.chars().all(|digit| digit.is_ascii_digit());
            digits.parse().ok().filter(|port| plausible && *port > 0)
        })
    })
}

/// All programs: the root alone if it is one, else those in `cmd`, else those anywhere.
pub(crate) fn all(tree: &Tree) -> Vec<Program> {
    if let Some(root) = at(tree, "") {
        return vec![root];
    }
    let in_command: Vec<Program> = tree
        .code_folders("cmd")
        .iter()
        .filter_map(|folder| at(tree, &join("cmd", folder)))
        .collect();
    let in_command = in_command.into_iter().chain(at(tree, "cmd")).collect::<Vec<_>>();
    if !in_command.is_empty() {
        return in_command;
    }
    tree.walk("")
        .iter()
        .take(MOST_FOLDERS)
        .filter_map(|folder| at(tree, folder))
        .collect()
}
