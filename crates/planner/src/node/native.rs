//! Packages whose installation may compile C or C++.

use crate::node::package::Package;

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

/// The first package that is known to compile.
pub(crate) fn compiled(package: &Package) -> Option<&'static str> {
    COMPILED.iter().copied().find(|name| package.uses(name))
}
