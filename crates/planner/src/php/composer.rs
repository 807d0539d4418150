//! `composer.json` and `composer.lock`, read loosely: what has the wrong type counts as absent.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Refusal, tree::Tree, wish::Wish};

/// More packages and extensions than this are not looked at.
const MOST: usize = 5_000;

/// What both files say.
#[derive(Debug, Default)]
pub(super) struct Composer {
    pub(super) is_there: bool,
    pub(super) is_locked: bool,
    json: Value,
    lock: Value,
}

impl Composer {
    pub(super) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let Some(text) = tree.text("composer.json")? else {
            return Ok(Self::default());
        };
        let json = parse("composer.json", &text)?;
        let (is_locked, lock) = match tree.lock_text("composer.lock")? {
            Some(text) => (true, parse("composer.lock", &text)?),
            None => (false, Value::Null),
        };
        Ok(Self {
            is_there: true,
            is_locked,
            json,
            lock,
        })
    }

    fn locked(&self) -> impl Iterator<Item = &Value> {
        self.lock
            .get("packages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .take(MOST)
    }

    /// Whether a package is needed when the application runs.
    pub(super) fn has(&self, package: &str) -> bool {
        let direct = self.json.get("require").and_then(|list| list.get(package)).is_some();
        direct
            || self
                .locked()
                .any(|found| found.get("name").and_then(Value::as_str) == Some(package))
    }

    /// Whether something is to be installed.
    pub(super) fn has_packages(&self) -> bool {
        let direct = self.json.get("require").and_then(Value::as_object);
        let direct = direct.is_some_and(|list| list.keys().any(|name| name.contains('/')));
        direct || self.locked().next().is_some()
    }

    /// Packages that lie in the application's own folders have to be there before anything is installed.
    pub(super) fn has_local_packages(&self) -> bool {
        let repositories = self.json.get("repositories");
        let list: Vec<&Value> = match repositories {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(Value::Object(map)) => map.values().collect(),
            _ => Vec::new(),
        };
        list.into_iter()
            .any(|repository| repository.get("type").and_then(Value::as_str) == Some("path"))
    }

    /// The version of PHP: what the application pretends to run on, then what it requires.
    pub(super) fn php(&self) -> Option<Wish> {
        let text = |path: &[&str]| path.iter().try_fold(&self.json, |value, key| value.get(key))?.as_str();
        let pretended = text(&["config", "platform", "php"]);
        pretended
            .and_then(|version| Wish::new(version, "config.platform.php in composer.json"))
            .or_else(|| Wish::new(text(&["require", "php"])?, "require.php in composer.json"))
    }

    /// The names of all extensions that the application or one of its packages requires.
    pub(super) fn extensions(&self) -> BTreeSet<String> {
        let of = |value: Option<&Value>| -> Vec<String> {
            let list = value.and_then(Value::as_object);
            let names = list.into_iter().flat_map(|list| list.keys());
            names
                .filter_map(|name| name.strip_prefix("ext-"))
                .map(str::to_lowercase)
                .collect()
        };
        let mut found: BTreeSet<String> = of(self.json.get("require")).into_iter().collect();
        found.extend(of(self.lock.get("platform")));
        for package in self.locked() {
            found.extend(of(package.get("require")));
            if found.len() > MOST {
                break;
            }
        }
        found
    }
}

fn parse(path: &str, text: &str) -> Result<Value, Refusal> {
    let malformed = |why: String| Refusal::Malformed {
        path: path.to_owned(),
        why,
    };
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if !value.is_object() {
        return Err(malformed("it is not a JSON object".to_owned()));
    }
    Ok(value)
}
