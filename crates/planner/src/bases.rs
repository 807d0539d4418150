//! The images that plans stand on. A closed network promises exactly these, so every name that a plan may hold
//! is made here and nowhere else.

/// Majors of Node.js for which a base image is promised, newest first.
pub(crate) const NODE_MAJORS: &[u64] = &[26, 25, 24, 23, 22, 21, 20, 19, 18];
/// Those with long-term support, in the order in which a range that allows several takes one.
pub(crate) const NODE_SUPPORTED: &[u64] = &[NODE_DEFAULT, 26, 22];
/// Majors of Node.js whose maintenance has ended, and since when (nodejs.org/en/about/previous-releases).
pub(crate) const NODE_ENDED: &[(u64, &str)] = &[
    (25, "June 2026"),
    (23, "June 2025"),
    (21, "June 2024"),
    (20, "April 2026"),
    (19, "June 2023"),
    (18, "April 2025"),
];
/// The long-term-support major that is used when nothing asks for another.
pub(crate) const NODE_DEFAULT: u64 = 24;
/// Minors of Python 3 for which there are base images, newest first.
pub(crate) const PYTHON_MINORS: &[u64] = &[14, 13, 12, 11, 10, 9];
/// Those that a closed network has too.
pub(crate) const PYTHON_CLOSED: &[u64] = &[13, 11];
/// Minors that get no security fixes any more, and since when (devguide.python.org/versions).
pub(crate) const PYTHON_ENDED: &[(u64, &str)] = &[(10, "October 2026"), (9, "October 2025")];
/// The minor of Python 3 used when nothing asks for another.
pub(crate) const PYTHON_DEFAULT: u64 = 13;
/// The minor of Go 1 whose image is promised; it compiles every older module too.
pub(crate) const GO_MINOR: u64 = 26;
/// The minor of Rust 1 whose image is promised; it compiles what older stable releases compile.
pub(crate) const RUST_MINOR: u64 = 95;
/// Majors of Java with long-term support for which there are base images, newest first.
pub(crate) const JAVA_MAJORS: &[u64] = &[25, 21, 17, 11, 8];
/// Those that a closed network has too.
pub(crate) const JAVA_CLOSED: &[u64] = &[25, 21, 17];
/// The major of Java used when nothing asks for another.
pub(crate) const JAVA_DEFAULT: u64 = 21;
/// The release of Tomcat that web applications are served by, and the one for those that are written for Java EE.
pub(crate) const TOMCAT: &str = "10.1.59";
pub(crate) const TOMCAT_JAVAX: &str = "9.0.117";
/// The release of Deno whose image is promised: its images have no tags of majors.
pub(crate) const DENO_VERSION: &str = "2.9.6";
/// Lines of PHP, as major times one hundred plus minor, for which there are images, newest first.
pub(crate) const PHP_LINES: &[u64] = &[805, 804, 803, 802, 801, 800, 704];
/// The line of PHP that a closed network has too.
pub(crate) const PHP_DEFAULT: u64 = 804;
/// A web server for files.
pub(crate) const CADDY: &str = "caddy:2";
/// Another, for what users of it expect.
pub(crate) const NGINX: &str = "nginx:1";
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

/// The oldest minors of Rust 1 that have images on Debian 13, and on Debian 12, whose programs run on [`DEBIAN`] too.
const RUST_ON_DEBIAN: [(u64, &str); 2] = [(89, "trixie"), (70, "bookworm")];

/// An older release of the Rust toolchain, named as its image is: `1.81` or `1.81.0`.
pub(crate) fn rust_release(minor: u64, release: &str) -> Option<String> {
    let (_, system) = RUST_ON_DEBIAN.iter().find(|(oldest, _)| minor >= *oldest)?;
    Some(format!("rust:{release}-{system}"))
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

/// PHP inside Apache.
pub(crate) fn php_with_apache(version: &str) -> String {
    format!("php:{version}-apache")
}

/// PHP for the command line.
pub(crate) fn php(version: &str) -> String {
    format!("php:{version}-cli")
}

/// The image that Composer, one file, is taken from.
pub(crate) const COMPOSER: &str = "composer:2";

/// Lines of Ruby, as major times one hundred plus minor, for which there are images, newest first.
pub(crate) const RUBY_LINES: &[u64] = &[400, 304, 303, 302, 301, 300, 207];
/// The line of Ruby that a closed network has too.
pub(crate) const RUBY_DEFAULT: u64 = 303;

/// Ruby without compilers.
pub(crate) fn ruby(version: &str) -> String {
    format!("ruby:{version}-slim")
}

/// Ruby with a C compiler and the usual headers.
pub(crate) fn ruby_with_compilers(version: &str) -> String {
    format!("ruby:{version}")
}

/// Lines of Elixir, as major times one hundred plus minor, with the releases of Erlang that each has images for,
/// newest first.
pub(crate) const ELIXIR_LINES: &[u64] = &[119, 118, 117, 116, 115, 114];
/// The line of Elixir that a closed network has too.
pub(crate) const ELIXIR_DEFAULT: u64 = 118;

/// Releases of Erlang for which there is an image with a line of Elixir, the usual one first.
pub(crate) fn erlang_of(line: u64) -> &'static [u64] {
    match line {
        119 => &[28, 27, 26],
        118 => &[27, 26, 25],
        117 => &[27, 26, 25],
        114 => &[25, 24],
        _ => &[26, 25, 24],
    }
}

/// Elixir with a C compiler and git.
pub(crate) fn elixir(version: &str, erlang: u64) -> String {
    format!("elixir:{version}-otp-{erlang}")
}

/// Majors of .NET for which there are images, newest first.
pub(crate) const DOTNET_MAJORS: &[u64] = &[10, 9, 8, 7, 6];
/// The current long-term-support major.
pub(crate) const DOTNET_DEFAULT: u64 = 10;

/// The SDK of .NET.
pub(crate) fn dotnet_sdk(major: u64) -> String {
    format!("mcr.microsoft.com/dotnet/sdk:{major}.0")
}

/// What runs web applications of .NET.
pub(crate) fn aspnet(major: u64) -> String {
    format!("mcr.microsoft.com/dotnet/aspnet:{major}.0")
}

/// What runs other programs of .NET.
pub(crate) fn dotnet_runtime(major: u64) -> String {
    format!("mcr.microsoft.com/dotnet/runtime:{major}.0")
}
