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

/// Sources that belong to one package, as far as their names say.
fn sources(tree: &Tree, folder: &str) -> impl Iterator<Item = String> {
    let is_source = |name: &str| name.ends_with(".go") && !name.ends_with("_test.go");
    let entries = tree.entries(folder).into_iter();
    let folder = folder.to_owned();
    entries
        .filter(move |entry| !entry.is_folder && is_source(&entry.name))
        .take(MOST_FILES)
        .map(move |entry| join(&folder, &entry.name))
}

/// Each import of a folder's files, with the file. What is ignored by builds is not looked at.
pub(crate) fn imports(tree: &Tree, folder: &str) -> Vec<(String, String)> {
    let files = sources(tree, folder);
    let found = files.filter_map(|file| Some((read(tree, &file)?, file)));
    found
        .flat_map(|(source, file)| {
            imports_of(&source.text)
                .into_iter()
                .map(move |path| (path, file.clone()))
        })
        .collect()
}

/// The paths that a file imports.
fn imports_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    let mut in_comment = false;
    for line in text.lines() {
        let mut line = line.trim();
        if in_comment {
            let Some((_, after)) = line.split_once("*/") else {
                continue;
            };
            (in_comment, line) = (false, after.trim());
        }
        if line.starts_with("/*") {
            in_comment = !line.contains("*/");
            continue;
        }
        if let Some(rest) = line
            .strip_prefix("import")
            .filter(|rest| !rest.starts_with(char::is_alphanumeric))
        {
            (in_block, line) = (rest.trim_start().starts_with('('), rest);
        } else if ["func ", "func(", "type ", "var ", "const "]
            .iter()
            .any(|word| line.starts_with(word))
        {
            break;
        } else if !in_block {
            continue;
        }
        let code = line.split("//").next().unwrap_or_default();
        // An address with `//` is no import path, so what stands before it is all there is.
        found.extend(code.split(['"', '`']).skip(1).step_by(2).map(str::to_owned));
        in_block &= !code.contains(')');
        if found.len() > MOST_FILES {
            break;
        }
    }
    found
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
    let sources: Vec<Source> = sources(tree, folder)
        .filter_map(|path| read(tree, &path))
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

#[cfg(test)]
mod tests {
    use super::imports_of;

    #[test]
    fn imports_are_found_in_every_notation() {
        let text = "// import \"no\"\npackage main\n\n/*\nimport \"no\"\n*/\nimport \"fmt\"\nimport x \"a.b/c\" // why\n\
                    import (\n\t\"net/http\"; `os`\n\n\t_ \"d\" /* \"so\" */)\n\nvar y = \"no\"\nimport \"no\"\n";
        assert_eq!(imports_of(text), ["fmt", "a.b/c", "net/http", "os", "d", "so"]);
        for text in ["import (", "import \"", "imports \"x\"", "/*"] {
            assert!(imports_of(text).len() <= 1, "{text}");
        }
    }
}
