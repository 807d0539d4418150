//! Environment variables of a service.

use std::collections::BTreeMap;

use domain::{
    OrganizationId, ServiceId,
    environment::{VALUE_LIMIT_BYTES, VariableKind, parse_dotenv},
    names::VariableKey,
};
use store::variables::{LIMIT, Variable};

use crate::{Engine, Error};

/// A variable to be set.
#[derive(Clone)]
pub struct VariableChange {
    /// Its name.
    pub key: VariableKey,
    /// Its value.
    pub value: String,
    /// Who may read it again; as before, or static for a new one, when absent.
    pub kind: Option<VariableKind>,
}

/// What the next deployment would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingChanges {
    /// Variables and what would happen to them: `added`, `changed`, `removed`.
    pub variables: Vec<(VariableKey, &'static str)>,
    /// Settings that would change, by name.
    pub settings: Vec<String>,
}

fn check(change: &VariableChange) -> Result<(), Error> {
    if change.key.as_str().starts_with("CLICK_DEPLOY_") && !is_planner_setting(change.key.as_str()) {
        return Err(Error::field(
            "key",
            "names that begin with CLICK_DEPLOY_ are given by the platform",
        ));
    }
    if change.value.len() > VALUE_LIMIT_BYTES {
        return Err(Error::field(
            "value",
            format!("a value has at most {VALUE_LIMIT_BYTES} bytes"),
        ));
    }
    if change.value.contains('\0') {
        return Err(Error::field(
            "value",
            "a value holds no NUL byte: no process could be given it",
        ));
    }
    Ok(())
}

/// The planner reads a few variables of this prefix from the user.
fn is_planner_setting(key: &str) -> bool {
    let settings = ["_COMMAND", "_VERSION", "_PACKAGE", "_DIRECTORY", "_PROVIDER"];
    settings.iter().any(|end| key.ends_with(end))
}

impl Engine {
    /// The variables of a service, by name.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn variables(&self, organization: OrganizationId, service: ServiceId) -> Result<Vec<Variable>, Error> {
        self.world.store.service(organization, service).await?;
        Ok(self.world.store.variables(organization, service).await?)
    }

    /// Sets and removes variables, all or none.
    ///
    /// # Errors
    /// When it is missing, or a value breaks a rule.
    pub async fn change_variables(
        &self,
        organization: OrganizationId,
        service: ServiceId,
        set: Vec<VariableChange>,
        remove: &[VariableKey],
    ) -> Result<Vec<Variable>, Error> {
        self.world.store.service(organization, service).await?;
        set.iter().try_for_each(check)?;
        let set: Vec<_> = set
            .into_iter()
            .map(|change| (change.key, change.value, change.kind))
            .collect();
        if !self
            .world
            .store
            .change_variables(organization, service, &set, remove)
            .await?
        {
            return Err(Error::field("set", format!("a service has at most {LIMIT} variables")));
        }
        self.variables(organization, service).await
    }

    /// Reads variables from `.env` text, all or none.
    ///
    /// # Errors
    /// When a line breaks the format.
    pub async fn import_variables(
        &self,
        organization: OrganizationId,
        service: ServiceId,
        text: &str,
        kind: VariableKind,
    ) -> Result<Vec<Variable>, Error> {
        let read = parse_dotenv(text).map_err(|bad| Error::field("text", bad.to_string()))?;
        let set = read
            .into_iter()
            .map(|(key, value)| VariableChange {
                key,
                value,
                kind: Some(kind),
            })
            .collect();
        self.change_variables(organization, service, set, &[]).await
    }

    /// What the next deployment would change in what runs.
    ///
    /// # Errors
    /// When the service is missing.
    pub async fn pending(&self, organization: OrganizationId, id: ServiceId) -> Result<PendingChanges, Error> {
        let store = &self.world.store;
        let service = store.service(organization, id).await?;
        let Some(current) = service.current else {
            return Ok(PendingChanges::default());
        };
        let now: BTreeMap<VariableKey, String> = store
            .variables(organization, id)
            .await?
            .into_iter()
            .map(|v| (v.key, v.value.expose().to_owned()))
            .collect();
        let then: BTreeMap<VariableKey, String> = store
            .deployment_environment(current)
            .await?
            .into_iter()
            .map(|(key, (_, value))| (key, value))
            .collect();
        let deployment = store.deployment(organization, current).await?;
        let settings = changed_fields(&deployment.made.settings, &service.settings)
            .into_iter()
            .map(|field| format!("settings.{field}"))
            .chain((deployment.made.source != service.source).then(|| "source".to_owned()));
        Ok(PendingChanges {
            variables: difference(&then, &now),
            settings: settings.collect(),
        })
    }
}

fn difference(
    then: &BTreeMap<VariableKey, String>,
    now: &BTreeMap<VariableKey, String>,
) -> Vec<(VariableKey, &'static str)> {
    let mut changes: Vec<_> = now
        .iter()
        .filter_map(|(key, value)| match then.get(key) {
            None => Some((key.clone(), "added")),
            Some(before) if before != value => Some((key.clone(), "changed")),
            Some(_) => None,
        })
        .chain(
            then.keys()
                .filter(|key| !now.contains_key(key))
                .map(|key| (key.clone(), "removed")),
        )
        .collect();
    changes.sort();
    changes
}

/// The names of the top-level fields that differ.
fn changed_fields<T: serde::Serialize>(then: &T, now: &T) -> Vec<String> {
    let fields = |value: &T| match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (then, now) = (fields(then), fields(now));
    now.iter()
        .filter(|(name, value)| then.get(*name) != Some(*value))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_is_added_changed_and_removed() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| (VariableKey::parse(key).unwrap(), (*value).to_owned()))
                .collect()
        };
        let changes = difference(
            &map(&[("A", "1"), ("B", "1"), ("C", "1")]),
            &map(&[("A", "1"), ("B", "2"), ("D", "1")]),
        );
        let named: Vec<_> = changes.iter().map(|(key, change)| (key.as_str(), *change)).collect();
        assert_eq!(named, [("B", "changed"), ("C", "removed"), ("D", "added")]);
    }
}
