//! A repository of several packages: which there are, and which of them a package needs.

mod build;
pub(super) mod choice;
pub(super) mod elsewhere;
mod filter;
mod installation;
pub(super) mod plan;
mod write;

use std::collections::BTreeSet;

use crate::{
    Refusal,
    ignore::Ignore,
    node::package::Package,
    tree::{Tree, is_plain_path, join},
};

/// More packages than this are not looked at: each is a line of the Dockerfile.
const MOST_MEMBERS: usize = 300;

/// The file in which pnpm is told of the packages.
const OF_PNPM: &str = "pnpm-workspace.yaml";

/// Kinds of dependencies of a package that runs, and of one that is built.
const RUNNING: &[&str] = &["dependencies", "optionalDependencies", "peerDependencies"];
const BUILDING: &[&str] = &[
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "devDependencies",
];

/// A package of a repository that holds several.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its folder, a plain path.
    pub(crate) folder: String,
    /// Its name, or the folder where it has none that can stand in a command.
    pub(crate) name: String,
    pub(crate) package: Package,
}

impl Member {
    /// The path of a file of it.
    pub(crate) fn path(&self, name: &str) -> String {
        join(&self.folder, name)
    }

    /// Whether a person means this package by a word: its name, with or without its scope, or its folder.
    fn is_meant_by(&self, word: &str) -> bool {
        let last = |text: &str| text.rsplit('/').next().is_some_and(|last| last == word);
        self.folder == word.trim_start_matches("./").trim_end_matches('/')
            || self.name == word
            || last(&self.name)
            || last(&self.folder)
    }
}

/// The packages of a repository, by folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) members: Vec<Member>,
}

/// Whether the root says that there are several packages.
pub(crate) fn is_there(tree: &Tree, package: &Package) -> bool {
    package.has_workspaces() || tree.has_file(OF_PNPM)
}

impl Workspace {
    pub(crate) fn read(tree: &Tree, package: &Package) -> Result<Self, Refusal> {
        if !is_there(tree, package) {
            return Ok(Self::default());
        }
        let mut patterns: Vec<String> = package.workspaces().into_iter().map(str::to_owned).collect();
        patterns.extend(listed_for_pnpm(&tree.head(OF_PNPM)));
        let wanted = Ignore::parse(&patterns.join("\n"));
        let mut members = Vec::new();
        for folder in tree.walk("") {
            let path = join(&folder, "package.json");
            if folder.is_empty() || !is_plain_path(&folder) || !wanted.names(&folder) || !tree.has_file(&path) {
                continue;
            }
            let package = Package::read(tree, &path)?.unwrap_or_default();
            let name = package.text(&["name"]).filter(|name| is_plain_path(name));
            members.push(Member {
                name: name.unwrap_or(&folder).to_owned(),
                folder,
                package,
            });
            if members.len() == MOST_MEMBERS {
                break;
            }
        }
        members.sort_by(|one, other| one.folder.cmp(&other.folder));
        Ok(Self { members })
    }

    /// The packages that a person may mean by a word: those that are called so exactly, or else in part.
    pub(crate) fn meant_by(&self, word: &str) -> Vec<&Member> {
        let exact = self.members.iter().find(|one| one.name == word || one.folder == word);
        match exact {
            Some(member) => vec![member],
            None => self.members.iter().filter(|one| one.is_meant_by(word)).collect(),
        }
    }

    /// What a package needs of the others by these kinds of dependencies, each behind what it needs itself; it is the last.
    pub(crate) fn needed<'a>(&'a self, of: &'a Member, kinds: &[&str]) -> Vec<&'a Member> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([of.folder.as_str()]);
        // A list of what is to be left and what is to be looked at: packages may need each other in long chains.
        let mut open = vec![(of, false)];
        while let Some((member, is_done)) = open.pop() {
            if is_done {
                found.push(member);
                continue;
            }
            open.push((member, true));
            for name in kinds.iter().flat_map(|kind| member.package.names(kind)) {
                let needed = self.members.iter().find(|other| other.name == name);
                if let Some(needed) = needed.filter(|needed| seen.insert(&needed.folder)) {
                    open.push((needed, false));
                }
            }
        }
        found
    }
}

/// Whether a folder lies below another one.
fn is_below(folder: &str, other: &str) -> bool {
    folder.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

/// The patterns below `packages:`, in either way of writing a list.
fn listed_for_pnpm(text: &str) -> Vec<String> {
    let plain = |item: &str| item.trim().trim_matches(['"', '\'']).to_owned();
    let without_remark = |line: &str| line.split(" #").next().unwrap_or_default().trim_end().to_owned();
    let mut lines = text
        .lines()
        .map(without_remark)
        .skip_while(|line| !line.starts_with("packages:"));
    let Some(first) = lines.next() else {
        return Vec::new();
    };
    let rest = first["packages:".len()..].trim().to_owned();
    if rest.starts_with('[') {
        let whole: Vec<String> = std::iter::once(rest).chain(lines).collect();
        let whole = whole.join(" ");
        let inside = whole.trim_start_matches('[').split(']').next().unwrap_or_default();
        return inside.split(',').map(plain).filter(|item| !item.is_empty()).collect();
    }
    lines
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map_while(|line| line.trim_start().strip_prefix('-').map(plain))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_pnpm_is_read_in_either_way_of_writing_it() {
        let block = "catalog:\n  x: 1\npackages:\n  # ours\n  - 'apps/*' # all\n- \"packages/**\"\n\n  - '!**/test'\nonlyBuilt:\n  - y\n";
        assert_eq!(listed_for_pnpm(block), ["apps/*", "packages/**", "!**/test"]);
        assert_eq!(
            listed_for_pnpm("packages: ['apps/*',\n  \"b\"]\nx: [y]\n"),
            ["apps/*", "b"]
        );
        assert!(listed_for_pnpm("x:\n - y\n").is_empty());
    }

    #[test]
    fn what_is_needed_stands_before_what_needs_it_in_circles_too() {
        let member = |name: &str, needs: &str| Member {
            folder: format!("p/{name}"),
            name: name.to_owned(),
            package: Package::of(serde_json::json!({"dependencies": {needs: "*"}, "devDependencies": {"d": "*"}})),
        };
        let workspace = Workspace {
            members: vec![
                member("a", "b"),
                member("b", "c"),
                member("c", "a"),
                member("d", ""),
                member("e", ""),
            ],
        };
        let names = |kinds: &[&str]| -> Vec<String> {
            let needed = workspace.needed(&workspace.members[0], kinds);
            needed.into_iter().map(|one| one.name.clone()).collect()
        };
        assert_eq!(names(&["dependencies"]), ["c", "b", "a"]);
        assert_eq!(
            names(&["dependencies", "devDependencies"]).last().map(String::as_str),
            Some("a")
        );
        assert_eq!(names(&["dependencies", "devDependencies"]).len(), 4);
    }
}
