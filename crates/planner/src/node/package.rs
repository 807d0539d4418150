//! A `package.json`, read loosely: npm itself tolerates much, so what has the wrong type counts as absent.

use serde_json::Value;

use crate::{Refusal, tree::Tree};

#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    value: Value,
}

impl Package {
    pub(crate) fn read(tree: &Tree, path: &str) -> Result<Option<Self>, Refusal> {
        let Some(text) = tree.text(path)? else { return Ok(None) };
        let malformed = |why: String| Refusal::Malformed {
            path: path.to_owned(),
            why,
        };
        let value: Value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if !value.is_object() {
            return Err(malformed("it is not a JSON object".to_owned()));
        }
        Ok(Some(Self { value }))
    }

    #[cfg(test)]
    pub(crate) fn of(value: Value) -> Self {
        Self { value }
    }

    pub(crate) fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.value, |value, key| value.get(key))
    }

    pub(crate) fn text(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    pub(crate) fn script(&self, name: &str) -> Option<&str> {
        self.text(&["scripts", name])
    }

    /// Whether any script mentions a text.
    pub(crate) fn scripts_mention(&self, text: &str) -> bool {
        let scripts = self.at(&["scripts"]).and_then(Value::as_object);
        scripts.is_some_and(|scripts| {
            scripts
                .values()
                .filter_map(Value::as_str)
                .any(|script| script.contains(text))
        })
    }

    /// Whether the application depends on a package when it runs.
    pub(crate) fn runs_with(&self, name: &str) -> bool {
        ["dependencies", "optionalDependencies"]
            .iter()
            .any(|kind| self.at(&[kind, name]).is_some())
    }

    /// Whether the application depends on a package at all.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.runs_with(name) || self.at(&["devDependencies", name]).is_some()
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<&str> {
        let names = self.at(&[kind]).and_then(Value::as_object);
        names
            .map(|names| names.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    pub(crate) fn has_dependencies(&self) -> bool {
        ["dependencies", "optionalDependencies", "devDependencies"]
            .iter()
            .any(|kind| !self.names(kind).is_empty())
    }

    /// The patterns of the folders that hold other packages.
    pub(crate) fn workspaces(&self) -> Vec<&str> {
        let list = self
            .at(&["workspaces"])
            .map(|value| value.get("packages").unwrap_or(value));
        let list = list.and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    pub(crate) fn has_workspaces(&self) -> bool {
        self.at(&["workspaces"]).is_some_and(|value| match value {
            Value::Array(folders) => !folders.is_empty(),
            Value::Object(_) => true,
            _ => false,
        })
    }
}
