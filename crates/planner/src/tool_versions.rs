//! Versions as tool managers have them, for whatever language: `.tool-versions` of asdf, and `[tools]` of mise.

use toml::{Table, Value};

use crate::{
    Refusal,
    tree::{Tree, shown},
};

/// The version that one of these names has, and where that stands. asdf's file is read first.
pub(crate) fn wish(tree: &Tree, names: &[&str]) -> Result<Option<(String, String)>, Refusal> {
    let text = tree.text(".tool-versions")?.unwrap_or_default();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        // Further versions on the line are for when the first is not installed.
        if let (Some(name), Some(version)) = (words.next(), words.next())
            && names.contains(&name)
        {
            return Ok(Some((version.to_owned(), format!(".tool-versions:{}", number + 1))));
        }
    }
    for file in ["mise.toml", ".mise.toml"] {
        let Some(text) = tree.text(file)? else { continue };
        let table: Table = text.parse().map_err(|error: toml::de::Error| Refusal::Malformed {
            path: file.to_owned(),
            why: shown(error.message()),
        })?;
        let tools = table.get("tools").and_then(Value::as_table);
        let found = names
            .iter()
            .find_map(|name| Some((*name, version(tools?.get(*name)?)?)));
        if let Some((name, version)) = found {
            return Ok(Some((version.to_owned(), format!("tools.{name} in {file}"))));
        }
    }
    Ok(None)
}

/// `"22"`, `["22", "20"]` (the first is the default), or `{ version = "22" }`.
fn version(value: &Value) -> Option<&str> {
    match value {
        Value::String(version) => Some(version),
        Value::Array(versions) => versions.first().and_then(version),
        Value::Table(fields) => fields.get("version")?.as_str(),
        _ => None,
    }
}
