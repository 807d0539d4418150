//! What a plan says.

use serde::{Deserialize, Serialize};

/// How an application is built and started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The language, such as `node` or `php`.
    pub provider: String,
    /// The framework, in the way that its makers write it.
    pub framework: Option<String>,
    /// What was detected and why.
    pub facts: Vec<Fact>,
    /// The whole Dockerfile. It needs nothing newer than the builder of Docker Engine 20.10.
    pub dockerfile: String,
    /// What the build context should leave out; only if the application has no `.dockerignore`.
    pub dockerignore: Option<String>,
    /// Every image that the build pulls.
    pub base_images: Vec<String>,
    /// The port that the application listens on when it ignores `PORT`; `None`: it listens on `PORT`.
    pub port: Option<u16>,
    /// What the container runs.
    pub start_command: Option<String>,
    /// What runs once in the new image, by a shell, before a container of it serves; the application is not to be started
    /// if it fails.
    #[serde(default)]
    pub release_command: Option<String>,
    /// What works otherwise than the user may expect.
    pub warnings: Vec<String>,
}

/// One thing that was detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about, such as `node version`.
    pub name: String,
    /// What was found or chosen.
    pub value: String,
    /// Where that came from, such as `engines.node in package.json:5`.
    pub because: String,
    /// The file of the application that says so; `None` where a setting, a variable or several files do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A place in the application's files, for whoever wants to link to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Relative to the application's directory.
    pub file: String,
    /// Counted from 1; `None` where the whole file is meant, or the line is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}
