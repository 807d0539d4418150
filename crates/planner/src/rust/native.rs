//! What the crates of an application need beside Rust: headers and programs to build, libraries to run.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::tree::Tree;

/// Packages of the distribution.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Native {
    pub(super) to_build: Vec<&'static str>,
    pub(super) to_run: Vec<&'static str>,
    /// The crates that were the reason.
    pub(super) because: Vec<String>,
}

/// A crate, the crate that says that it brings its library along, and what it needs otherwise. What the toolchain's
/// image has already (OpenSSL, PostgreSQL, MySQL, SQLite, zlib and libxml2 headers) is not asked for again.
struct Known {
    name: &'static str,
    unless: &'static str,
    to_build: &'static [&'static str],
    to_run: &'static [&'static str],
}

const fn known(
    name: &'static str,
    unless: &'static str,
    to_build: &'static [&'static str],
    to_run: &'static [&'static str],
) -> Known {
    Known {
        name,
        unless,
        to_build,
        to_run,
    }
}

const KNOWN: &[Known] = &[
    known("openssl-sys", "openssl-src", &[], &["libssl3t64"]),
    known("native-tls", "openssl-src", &[], &["libssl3t64"]),
    known("pq-sys", "pq-src", &[], &["libpq5"]),
    known("mysqlclient-sys", "mysqlclient-src", &[], &["libmariadb3"]),
    known("libsqlite3-sys", "cc", &[], &["libsqlite3-0"]),
    known("rdkafka-sys", "", &["libsasl2-dev"], &["libsasl2-2"]),
    known("librocksdb-sys", "", &["libclang-dev"], &[]),
    known("zmq-sys", "zeromq-src", &["libzmq3-dev"], &["libzmq5"]),
    known("libdbus-sys", "cc", &["libdbus-1-dev"], &["libdbus-1-3"]),
    known("alsa-sys", "", &["libasound2-dev"], &["libasound2t64"]),
    known("libudev-sys", "", &["libudev-dev"], &["libudev1"]),
    known("pcap", "", &["libpcap-dev"], &["libpcap0.8t64"]),
    known(
        "yeslogic-fontconfig-sys",
        "",
        &["libfontconfig-dev"],
        &["libfontconfig1"],
    ),
    known("prost-build", "protoc-bin-vendored", &["protobuf-compiler"], &[]),
    known("tonic-build", "protoc-bin-vendored", &["protobuf-compiler"], &[]),
    known("bindgen", "", &["libclang-dev"], &[]),
    known("cmake", "", &["cmake"], &[]),
    known("nasm-rs", "", &["nasm"], &[]),
];

/// These build without the tool that they list, on the processors that we build for.
const NEED_NO_TOOLS: &[&str] = &["aws-lc-sys", "aws-lc-fips-sys"];

/// Reads `Cargo.lock`. Names that are not known need nothing that we could name.
pub(super) fn of_lock(lock: &Table) -> Native {
    let packages: Vec<&Table> = lock
        .get("package")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table)
        .collect();
    let name_of = |package: &Table| package.get("name").and_then(Value::as_str).map(str::to_owned);
    let names: BTreeSet<String> = packages.iter().filter_map(|package| name_of(package)).collect();
    let needs = |package: &Table, wanted: &str| {
        let needed = package
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let mut needed = needed.filter_map(Value::as_str);
        needed.any(|one| one.split(' ').next() == Some(wanted))
    };
    let mut native = Native::default();
    for known in KNOWN {
        let Some(package) = packages.iter().find(|one| name_of(one).as_deref() == Some(known.name)) else {
            continue;
        };
        let brings_along = match known.unless {
            "" => false,
            // A crate that compiles its own copy lists the C compiler's crate.
            "cc" => needs(package, "cc"),
            other => names.contains(other),
        };
        let is_tool = matches!(known.name, "bindgen" | "cmake");
        let is_unused = is_tool
            && !packages.iter().any(|one| {
                needs(one, known.name) && !name_of(one).is_some_and(|name| NEED_NO_TOOLS.contains(&name.as_str()))
            });
        let needs_openssl = known.name != "native-tls" || names.contains("openssl-sys");
        if brings_along || is_unused || !needs_openssl {
            continue;
        }
        add(&mut native.to_build, known.to_build);
        add(&mut native.to_run, known.to_run);
        if !(known.to_build.is_empty() && known.to_run.is_empty()) {
            native.because.push(known.name.to_owned());
        }
    }
    native
}

fn add(packages: &mut Vec<&'static str>, more: &[&'static str]) {
    for package in more {
        if !packages.contains(package) {
            packages.push(package);
        }
    }
}

/// What Cargo's own settings in the repository ask for.
#[derive(Debug, Default)]
pub(super) struct CargoSettings {
    /// A processor and system other than the machine's own.
    pub(super) target: Option<String>,
    /// Linkers that are to be installed.
    pub(super) linkers: Vec<&'static str>,
    pub(super) wraps_compiler: bool,
}

pub(super) fn cargo_settings(tree: &Tree) -> CargoSettings {
    let mut found = CargoSettings::default();
    for file in [".cargo/config.toml", ".cargo/config"] {
        let text = tree.head(file);
        let Ok(table) = toml::from_str::<Table>(&text) else {
            continue;
        };
        let build = table.get("build").and_then(Value::as_table);
        let at = |name: &str| build.and_then(|build| build.get(name)).and_then(Value::as_str);
        found.target = found.target.or_else(|| at("target").map(str::to_owned));
        found.wraps_compiler |= at("rustc-wrapper").is_some();
        let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
        let of_linux = targets.filter(|(name, _)| name.contains("linux") || name.starts_with("cfg("));
        // Only words are looked for in these, wherever they stand.
        let mut texts: String = of_linux.map(|(_, value)| format!("{value:?}")).collect();
        if let Some(flags) = build.and_then(|build| build.get("rustflags")) {
            texts.push_str(&format!("{flags:?}"));
        }
        for (word, package) in [("clang", "clang"), ("mold", "mold"), ("lld", "lld")] {
            if texts.contains(word) && !found.linkers.contains(&package) {
                found.linkers.push(package);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Native {
        of_lock(&toml::from_str(text).unwrap())
    }

    #[test]
    fn libraries_follow_from_the_lock_file() {
        let openssl = of("[[package]]\nname='openssl-sys'\ndependencies=['cc','pkg-config']\n");
        assert_eq!(openssl.to_run, ["libssl3t64"]);
        let vendored = of("[[package]]\nname='openssl-sys'\n[[package]]\nname='openssl-src'\n");
        assert_eq!(vendored, Native::default());
        let bundled = of("[[package]]\nname='libsqlite3-sys'\ndependencies=['cc','vcpkg']\n");
        assert_eq!(bundled, Native::default());
        assert_eq!(of("[[package]]\nname='libsqlite3-sys'\n").to_run, ["libsqlite3-0"]);
    }

    #[test]
    fn a_tool_is_installed_for_those_who_run_it() {
        let lock =
            |user: &str| format!("[[package]]\nname='cmake'\n[[package]]\nname='{user}'\ndependencies=['cmake']\n");
        assert_eq!(of(&lock("aws-lc-sys")), Native::default());
        assert_eq!(of(&lock("rdkafka-sys")).to_build, ["libsasl2-dev", "cmake"]);
    }
}
