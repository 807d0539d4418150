//! The programs that the files of CMake or Meson build, and the libraries that they look for.

use std::collections::BTreeMap;

use crate::{
    Refusal,
    cpp::calls::{Call, calls},
    tree::{Tree, is_plain_path, join},
};

/// More folders than this are not looked at.
const MOST_FOLDERS: usize = 500;
/// Folders whose programs are not the application.
const BESIDE: &[&str] = &[
    "test",
    "example",
    "bench",
    "third_party",
    "thirdparty",
    "3rdparty",
    "extern",
    "doc",
    "sample",
];

/// What builds the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Cmake,
    Meson,
}

impl System {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Cmake => "CMakeLists.txt",
            Self::Meson => "meson.build",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cmake => "CMake",
            Self::Meson => "Meson",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) name: String,
    /// Programs by the names of their targets, in the order of the files.
    pub(super) programs: Vec<Program>,
    /// Libraries as `find_package`, `pkg_check_modules` and `dependency` name them, in lower case.
    pub(super) libraries: Vec<String>,
    /// Sources are fetched while it is configured.
    pub(super) fetches: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) target: String,
    pub(super) file: String,
    /// The name of its folder or of itself says that it is a test, or an example.
    pub(super) is_beside: bool,
}

/// Which system's files are at the root: those of one that begin a project.
pub(super) fn system(tree: &Tree) -> Option<System> {
    [System::Cmake, System::Meson]
        .into_iter()
        .find(|system| tree.has_file(system.file()))
}

/// All that can be seen without running the files: conditions are not looked at.
pub(super) fn read(tree: &Tree, system: System) -> Result<Project, Refusal> {
    let mut project = Project::default();
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut folders = vec![String::new()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned().filter(|_| next < MOST_FOLDERS) {
        next += 1;
        let file = join(&folder, system.file());
        let Some(text) = tree.text(&file)? else { continue };
        for call in calls(&text) {
            match call.name.as_str() {
                "project" => {
                    variables.insert("PROJECT_NAME".to_owned(), call.first().to_owned());
                    if project.name.is_empty() {
                        project.name = call.first().to_owned();
                        variables.insert("CMAKE_PROJECT_NAME".to_owned(), project.name.clone());
                    }
                }
                "set" if call.arguments.len() == 2 => {
                    let value = expanded(&call.arguments[1], &variables);
                    variables.insert(call.first().to_owned(), value);
                }
                "add_subdirectory" | "subdir" => {
                    let below = join(&folder, call.first().trim_end_matches('/'));
                    if is_plain_path(&below) && !folders.contains(&below) {
                        folders.push(below);
                    }
                }
                "add_executable" | "executable" => {
                    let target = match call.first() {
                        "meson.project_name" => project.name.clone(),
                        first => expanded(first, &variables),
                    };
                    let is_other = call
                        .arguments
                        .iter()
                        .any(|word| matches!(word.as_str(), "IMPORTED" | "ALIAS"));
                    let is_new = project.programs.iter().all(|program| program.target != target);
                    if is_new && !is_other && is_plain_path(&target) && !target.contains('/') {
                        let is_beside = [&folder, &target].iter().any(|name| says_beside(name));
                        let file = file.clone();
                        project.programs.push(Program {
                            target,
                            file,
                            is_beside,
                        });
                    }
                }
                _ => {}
            }
            project.fetches |= fetches(&call);
            project.libraries.extend(libraries(&call));
        }
    }
    project.fetches |= tree.has_folder("subprojects");
    project.libraries.sort();
    project.libraries.dedup();
    Ok(project)
}

fn says_beside(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut parts = name.split(['/', '_', '-', '.']);
    BESIDE.iter().any(|word| name.starts_with(word)) || parts.any(|part| BESIDE.contains(&part.trim_end_matches('s')))
}

/// `${NAME}` replaced by what `set` and `project` said.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut rest = text;
    let mut made = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        made.push_str(before);
        made.push_str(variables.get(name).map_or("", String::as_str));
        rest = after;
        // Variables that hold themselves grow no further than any name.
        if made.len() > 1_000 {
            break;
        }
    }
    made.push_str(rest);
    made.chars().take(1_000).collect()
}

fn fetches(call: &Call) -> bool {
    matches!(
        call.name.as_str(),
        "fetchcontent_declare" | "externalproject_add" | "cpmaddpackage"
    )
}

/// The libraries that a call looks for.
fn libraries(call: &Call) -> Vec<String> {
    let named: Vec<&str> = match call.name.as_str() {
        "find_package" | "find_library" => vec![call.first()],
        "pkg_check_modules" | "pkg_search_module" => call.arguments.iter().skip(1).map(String::as_str).collect(),
        "dependency" => vec![call.first()],
        // As an argument of another call.
        "executable" | "shared_library" | "static_library" | "library" | "declare_dependency" => {
            let mut after = call.arguments.windows(2);
            let mut found = Vec::new();
            while let Some([word, name]) = after.next() {
                if word == "dependency" {
                    found.push(name.as_str());
                }
            }
            found
        }
        _ => Vec::new(),
    };
    let plain = |name: &&str| !name.is_empty() && name.len() <= 100;
    let before_version = |name: &str| name.split(['>', '<', '=']).next().unwrap_or_default().to_lowercase();
    named.into_iter().filter(plain).map(before_version).collect()
}
