//! The images that plans stand on. A closed network promises exactly these, so every name that a plan may hold
//! is made here and nowhere else.

/// Majors of Node.js for which a base image is promised, newest first.
pub(crate) const NODE_MAJORS: &[u64] = &[24, 22, 20];
/// Majors of Node.js whose maintenance has ended, and since when (nodejs.org/en/about/previous-releases).
pub(crate) const NODE_ENDED: &[(u64, &str)] = &[(20, "April 2026")];
/// The long-term-support major that is used when nothing asks for another.
pub(crate) const NODE_DEFAULT: u64 = 24;
/// Minors of Python 3 for which a base image is promised, newest first.
pub(crate) const PYTHON_MINORS: &[u64] = &[13, 11];
/// The minor of Python 3 used when nothing asks for another.
pub(crate) const PYTHON_DEFAULT: u64 = 13;
/// The minor of Go 1 whose image is promised; it compiles every older module too.
pub(crate) const GO_MINOR: u64 = 26;
/// A web server for files.
pub(crate) const CADDY: &str = "caddy:2";
/// A small system with a shell and the C library that the Go image links against.
pub(crate) const DEBIAN: &str = "debian:trixie-slim";

/// Node.js without compilers.
pub(crate) fn node(major: u64) -> String {
    format!("node:{major}-slim")
}

/// Node.js with a C++ compiler, make and Python.
pub(crate) fn node_with_compilers(major: u64) -> String {
    format!("node:{major}")
}

/// Python without compilers.
pub(crate) fn python(minor: u64) -> String {
    format!("python:3.{minor}-slim")
}

/// Python with a C compiler and the usual headers.
pub(crate) fn python_with_compilers(minor: u64) -> String {
    format!("python:3.{minor}")
}

/// The Go toolchain.
pub(crate) fn go() -> String {
    format!("golang:1.{GO_MINOR}")
}
