//! What the tests of the builder share.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

pub(crate) mod engine;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use domain::{
    logs::LogLevel,
    ports::builder::{BuildObserver, BuildRequest, BuildStep, Recipe},
};

/// The value of an environment variable that names a counterpart; says what is skipped when there is none.
pub(crate) fn counterpart(variable: &str, name: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(name);
    }
    value
}

pub(crate) use contract::bed::skipped as skip;

/// Keeps all that a build tells.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) steps: Mutex<Vec<BuildStep>>,
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) pushes: Mutex<usize>,
}

impl BuildObserver for Heard {
    fn step(&self, step: BuildStep) {
        self.steps.lock().unwrap().push(step);
    }

    fn line(&self, step_name: &str, level: LogLevel, text: &str) {
        self.lines
            .lock()
            .unwrap()
            .push(format!("{} [{step_name}] {text}", level.name()));
    }

    fn pushing(&self) {
        *self.pushes.lock().unwrap() += 1;
    }
}

impl Heard {
    /// The last report of each step whose name holds the text.
    pub(crate) fn last(&self, name: &str) -> Option<BuildStep> {
        let steps = self.steps.lock().unwrap();
        steps.iter().rev().find(|step| step.name.contains(name)).cloned()
    }

    /// All lines as one text.
    pub(crate) fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

/// A name that no other run uses.
pub(crate) fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}-{}-{now:x}", std::process::id())
}

/// Writes files; a path that ends in a slash is a directory.
pub(crate) fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let place = root.join(path);
        if path.ends_with('/') {
            std::fs::create_dir_all(place).unwrap();
            continue;
        }
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }
}

/// A request for a planned Dockerfile.
pub(crate) fn request(context: &Path, name: &str, dockerfile: &str) -> BuildRequest {
    BuildRequest {
        context: context.to_owned(),
        recipe: Recipe::Planned {
            dockerfile: dockerfile.to_owned(),
            dockerignore: None,
            arguments: BTreeMap::new(),
        },
        secrets: BTreeMap::new(),
        cache_key: name.to_owned(),
        image_name: format!("click-deploy-test/{name}:1"),
        labels: BTreeMap::from([("click-deploy.org/test".to_owned(), "build".to_owned())]),
        no_cache: false,
    }
}

/// The processes of this machine whose command line holds a text.
pub(crate) fn processes(text: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        })
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").contains(text))
        .count()
}
