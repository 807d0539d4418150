//! Packages of the distribution that the official images stand on.

/// Whether a text is the name of a package, with a version if need be (Debian Policy 5.6.1 and 5.6.12): nothing in it means
/// anything to a shell.
pub(crate) fn is_package(text: &str) -> bool {
    let (name, version) = text.split_once('=').unwrap_or((text, "0"));
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "+-.".contains(letter);
    let is_version = |letter: char| letter.is_ascii_alphanumeric() || ".+:~-".contains(letter);
    (2..=100).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.chars().all(is_name)
        && (1..=100).contains(&version.len())
        && version.starts_with(|first: char| first.is_ascii_digit())
        && version.chars().all(is_version)
}

/// The command that installs packages, whose names are constants of ours or passed [`is_package`].
pub(crate) fn install(packages: &[&str]) -> String {
    format!(
        "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {} && \
         rm -rf /var/lib/apt/lists/*",
        packages.join(" ")
    )
}
