//! Packages whose installation may compile C or C++.

use crate::{node::package::Package, survey::Survey};

const COMPILED: &[&str] = &[
    "argon2",
    "bcrypt",
    "better-sqlite3",
    "bignum",
    "canvas",
    "cpu-features",
    "deasync",
    "farmhash",
    "ffi-napi",
    "gl",
    "grpc",
    "hiredis",
    "ibm_db",
    "isolated-vm",
    "kerberos",
    "leveldown",
    "libpq",
    "libxmljs",
    "libxmljs2",
    "lmdb",
    "microtime",
    "node-gyp",
    "node-pty",
    "node-rdkafka",
    "node-sass",
    "odbc",
    "oracledb",
    "pg-native",
    "ref-napi",
    "re2",
    "robotjs",
    "serialport",
    "sodium-native",
    "sqlite3",
    "tree-sitter",
    "usb",
    "utf-8-validate",
    "zeromq",
];

/// Libraries of the system that a compiled package loads when it runs; the small image has none of them.
const LOADED: &[(&str, &str)] = &[
    ("kerberos", "libgssapi-krb5-2"),
    ("libpq", "libpq5"),
    ("pg-native", "libpq5"),
];

/// A dependency that comes from a Git repository, which the small image has no program for.
pub(crate) fn from_git(package: &Package) -> Option<&str> {
    const HOSTS: &[&str] = &["git+", "git:", "git@", "github:", "gitlab:", "bitbucket:"];
    let kinds = ["dependencies", "devDependencies", "optionalDependencies"];
    kinds.iter().find_map(|kind| {
        package.names(kind).into_iter().find(|name| {
            let version = package.text(&[kind, name]).unwrap_or_default();
            // `owner/repository` is short for one on GitHub.
            let is_short = version.split('#').next().is_some_and(|path| {
                path.split('/').count() == 2 && !path.contains(':') && !path.starts_with(['.', '~', '@', '/'])
            });
            is_short
                || HOSTS.iter().any(|host| version.starts_with(host))
                || version.split('#').next().is_some_and(|url| url.ends_with(".git"))
        })
    })
}

/// The first package that is known to compile.
pub(crate) fn compiled(package: &Package) -> Option<&'static str> {
    COMPILED.iter().copied().find(|name| package.uses(name))
}

/// Whether anything among these packages is compiled, or comes from a repository; and tells it.
pub(super) fn tell_compiled(survey: &mut Survey<'_>, packages: &[&Package]) -> bool {
    let compiled = packages.iter().find_map(|package| compiled(package));
    if let Some(name) = compiled {
        let because = format!("{name} in package.json may have to be compiled");
        survey.fact("compilers", "while installing", &because);
    }
    let from_git = packages.iter().find_map(|package| from_git(package));
    if let Some(name) = from_git {
        let because = format!("{name} in package.json comes from a repository");
        survey.fact("git", "while installing", &because);
    }
    compiled.is_some() || from_git.is_some()
}

/// The libraries of the system that these packages load, told.
pub(super) fn tell_loaded(survey: &mut Survey<'_>, packages: &[&Package]) -> Vec<&'static str> {
    let used = LOADED
        .iter()
        .filter(|(name, _)| packages.iter().any(|package| package.uses(name)));
    let mut libraries: Vec<&str> = used.map(|(_, library)| *library).collect();
    libraries.dedup();
    if !libraries.is_empty() {
        survey.fact("system packages", &libraries.join(", "), "compiled packages load them");
    }
    libraries
}
