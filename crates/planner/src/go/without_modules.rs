//! Go as it was before modules, and programs so small that nobody made one: no `go.mod`.
//!
//! A program of the standard library alone becomes a module in the build. What has its dependencies beside it in `vendor` or
//! in godep's workspace is compiled in a `GOPATH`, the only place where Go looks there. Dependencies from elsewhere have no versions
//! without `go.mod`, so they are refused.

use serde_json::Value;
use toml::Table;

use crate::{
    Refusal,
    command::{Command, words},
    go::{
        module::Module,
        programs::{self, Program},
    },
    json,
    survey::Survey,
    tree::{Tree, is_plain_path, join, shown},
};

const GODEP: &str = "Godeps/Godeps.json";
const WORKSPACE: &str = "Godeps/_workspace/src";
/// Files of the tools that came before modules.
const TOOLS: &[&str] = &[".godir", GODEP, "Gopkg.toml", "glide.yaml", "vendor/vendor.json"];

/// The first parts of the standard library's packages.
const STANDARD: &[&str] = &[
    "C",
    "archive",
    "arena",
    "bufio",
    "builtin",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "simd",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "weak",
];

/// More packages of the application's own than this are not looked at.
const MOST_PACKAGES: usize = 500;

/// How a program without `go.mod` is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// There is a `go.mod`, or a `go.work`.
    Module,
    /// The build makes a module of that name.
    NewModule(String),
    /// In a `GOPATH`, at the import path of that name.
    Path {
        name: String,
        /// Dependencies are in godep's own workspace.
        has_workspace: bool,
    },
}

/// Whether files say that this is a Go application, though there is no `go.mod`.
pub(super) fn is_there(tree: &Tree) -> bool {
    TOOLS.iter().any(|file| tree.has_file(file)) || (tree.has_file("main.go") && is_a_lone_program(tree))
}

/// Whether there is a program at the root, whatever its files are called.
pub(crate) fn is_a_lone_program(tree: &Tree) -> bool {
    programs::at(tree, "").is_some()
}

/// The layout, and what `go.mod` would say.
pub(super) fn read(survey: &mut Survey<'_>, start: Option<&Command>) -> Result<(Layout, Module), Refusal> {
    let tree = survey.tree;
    let (name, because) = name(survey, start)?;
    let version = version(tree)?;
    let module = Module {
        path: name.clone(),
        said_in: Some(if version.is_some() { GODEP } else { "the source" }),
        version,
        required: Vec::new(),
    };
    survey.fact("module", &name, &because);
    let has_workspace = tree.has_folder(WORKSPACE);
    let layout = if has_workspace || tree.has_folder("vendor") {
        let place = if has_workspace { WORKSPACE } else { "vendor" };
        survey.fact(
            "dependencies",
            place,
            "there is no go.mod, so it is compiled in a GOPATH",
        );
        Layout::Path { name, has_workspace }
    } else {
        survey.fact("go.mod", "made in the build", "there is none");
        Layout::NewModule(name)
    };
    Ok((layout, module))
}

/// What a program and the application's own packages import from elsewhere, all of which has to be beside it.
pub(super) fn dependencies(tree: &Tree, module: &Module, program: &Program) -> Result<Vec<String>, Refusal> {
    let mut folders = vec![program.folder.clone()];
    let mut found: Vec<String> = Vec::new();
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned().filter(|_| next < MOST_PACKAGES) {
        next += 1;
        for (import, file) in programs::imports(tree, &folder) {
            if let Some(own) = own_folder(&module.path, &import) {
                if !folders.contains(&own) {
                    folders.push(own);
                }
            } else if !is_standard(&import) {
                if !is_beside(tree, &import) {
                    return Err(missing(&import, &file, &module.path));
                }
                if !found.contains(&import) {
                    found.push(import);
                }
            }
        }
    }
    Ok(found)
}

fn missing(import: &str, file: &str, name: &str) -> Refusal {
    Refusal::Framework {
        framework: "Go",
        why: format!(
            "{} imports {}, which is not in vendor, and there is no go.mod that says which version of it is meant",
            shown(file),
            shown(import)
        ),
        advice: format!("Run `go mod init {name} && go mod tidy`, and commit go.mod and go.sum"),
    }
}

fn is_standard(import: &str) -> bool {
    import.split('/').next().is_some_and(|first| STANDARD.contains(&first))
}

/// The folder of a package of the application's own.
fn own_folder(name: &str, import: &str) -> Option<String> {
    let rest = import.strip_prefix(name)?;
    let rest = rest.strip_prefix('/').or_else(|| rest.is_empty().then_some(""))?;
    (rest.is_empty() || is_plain_path(rest)).then(|| rest.to_owned())
}

fn is_beside(tree: &Tree, import: &str) -> bool {
    let is_there = |place: &str| tree.has_folder(&join(place, import));
    is_plain_path(import) && (is_there("vendor") || is_there(WORKSPACE))
}

/// The import path of the application: as the tools before modules wrote it, or as its own files import each other, or the
/// program's name in the start command.
fn name(survey: &Survey<'_>, start: Option<&Command>) -> Result<(String, String), Refusal> {
    let tree = survey.tree;
    let text = |file: &str| tree.text(file).map(Option::unwrap_or_default);
    let field = |file: &str, name: &str| {
        let parsed = json::parse(&text(file)?).unwrap_or_default();
        Ok::<_, Refusal>(parsed.get(name).and_then(Value::as_str).map(str::to_owned))
    };
    let root_package = |text: &str| {
        let table: Table = toml::from_str(text).ok()?;
        let of_heroku = table.get("metadata")?.get("heroku")?;
        of_heroku.get("root-package")?.as_str().map(str::to_owned)
    };
    let package = |text: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| {
            Some(
                line.strip_prefix("package:")?
                    .trim()
                    .trim_matches(['"', '\''])
                    .to_owned(),
            )
        })
    };
    let of_cloud_foundry = survey.settings.variables.get("GOPACKAGENAME");
    let places = [
        (of_cloud_foundry.cloned(), "the variable GOPACKAGENAME"),
        (text(".godir")?.lines().next().map(str::to_owned), ".godir"),
        (field(GODEP, "ImportPath")?, "ImportPath in Godeps/Godeps.json"),
        (
            field("vendor/vendor.json", "rootPath")?,
            "rootPath in vendor/vendor.json",
        ),
        (
            root_package(&text("Gopkg.toml")?),
            "metadata.heroku.root-package in Gopkg.toml",
        ),
        (package(&text("glide.yaml")?), "package in glide.yaml"),
    ];
    let found = places.into_iter().find_map(|(name, because)| {
        let name = name?.trim().to_owned();
        is_import_path(&name).then(|| (name, because.to_owned()))
    });
    if let Some(found) = found.or_else(|| imported(tree)) {
        return Ok(found);
    }
    let started = start.and_then(|start| words(start.text()).find(|word| !word.contains('=') && *word != "exec"));
    Ok(
        match started.filter(|word| !word.contains('/') && is_import_path(word)) {
            Some(word) => (word.to_owned(), "the start command calls it so".to_owned()),
            None => ("app".to_owned(), "nothing names it".to_owned()),
        },
    )
}

/// The name under which programs import folders that lie beside them.
fn imported(tree: &Tree) -> Option<(String, String)> {
    for program in programs::all(tree) {
        for (import, file) in programs::imports(tree, &program.folder) {
            if is_standard(&import) || !is_plain_path(&import) || is_beside(tree, &import) {
                continue;
            }
            let slashes = import.match_indices('/').map(|(at, _)| at);
            let own = slashes.map(|at| (&import[..at], &import[at + 1..]));
            let mut own = own.filter(|(name, folder)| is_import_path(name) && holds_source(tree, folder));
            if let Some((name, _)) = own.next() {
                return Some((name.to_owned(), format!("{file} imports {import}")));
            }
        }
    }
    None
}

fn holds_source(tree: &Tree, folder: &str) -> bool {
    tree.has_folder(folder)
        && tree
            .entries(folder)
            .iter()
            .any(|entry| !entry.is_folder && entry.name.ends_with(".go"))
}

/// What Go takes as the path of a module, and a shell as one word.
fn is_import_path(text: &str) -> bool {
    is_plain_path(text)
        && !text.contains(['@', '+'])
        && text
            .split('/')
            .all(|part| !part.starts_with('.') && !part.ends_with('.'))
        && !is_standard(text)
}

/// godep's file says `go1.22`, or `go1.X`.
fn version(tree: &Tree) -> Result<Option<String>, Refusal> {
    let parsed = json::parse(&tree.text(GODEP)?.unwrap_or_default()).unwrap_or_default();
    let version = parsed.get("GoVersion").and_then(Value::as_str);
    let number = version.and_then(|version| version.strip_prefix("go"));
    let is_number = |number: &&str| number.starts_with(|first: char| first.is_ascii_digit());
    Ok(number.filter(is_number).map(str::to_owned))
}
