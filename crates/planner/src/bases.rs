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
/// The minor of Rust 1 whose image is promised; it compiles what older stable releases compile.
pub(crate) const RUST_MINOR: u64 = 95;
/// Majors of Java with long-term support for which base images are promised, newest first.
pub(crate) const JAVA_MAJORS: &[u64] = &[25, 21, 17, 11, 8];
/// The major of Java used when nothing asks for another.
pub(crate) const JAVA_DEFAULT: u64 = 21;
/// The release of Deno whose image is promised: its images have no tags of majors.
pub(crate) const DENO_VERSION: &str = "2.9.6";
/// A web server for files.
pub(crate) const CADDY: &str = "caddy:2";
/// A small system with a shell and the C library that the Go and Rust images link against.
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

/// The Rust toolchain, with a C compiler and the usual headers, on the system of [`DEBIAN`].
pub(crate) fn rust() -> String {
    format!("rust:1.{RUST_MINOR}-trixie")
}

/// Java's compiler and runtime.
pub(crate) fn jdk(major: u64) -> String {
    format!("eclipse-temurin:{major}-jdk")
}

/// Java's runtime.
pub(crate) fn jre(major: u64) -> String {
    format!("eclipse-temurin:{major}-jre")
}

/// Maven over Java's compiler.
pub(crate) fn maven(major: u64) -> String {
    format!("maven:3-eclipse-temurin-{major}")
}

/// Gradle over Java's compiler: the major that runs on it.
pub(crate) fn gradle(major: u64) -> String {
    let gradle = if major > 21 { 9 } else { 8 };
    format!("gradle:{gradle}-jdk{major}")
}

/// Deno.
pub(crate) fn deno() -> String {
    format!("denoland/deno:{DENO_VERSION}")
}
