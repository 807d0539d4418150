//! Packages of the distribution that the official images stand on.

/// The command that installs packages, whose names are constants of ours.
pub(crate) fn install(packages: &[&str]) -> String {
    format!(
        "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {} && \
         rm -rf /var/lib/apt/lists/*",
        packages.join(" ")
    )
}
