//! Environment variables, sealed.

use domain::{OrganizationId, SecretText, ServiceId, environment::VariableKind, names::VariableKey};

use crate::{Error, Result, Store, now_ms, sql::query, transaction};

/// A variable of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub key: VariableKey,
    /// Who may read it again.
    pub kind: VariableKind,
    /// Its value.
    pub value: SecretText,
}

const LIST: &str = "SELECT name, kind, sealed_value FROM env_vars WHERE service_id = ? ORDER BY name";
const KIND: &str = "SELECT kind FROM env_vars WHERE service_id = ? AND name = ?";
const UPDATE: &str =
    "UPDATE env_vars SET kind = ?, sealed_value = ?, updated_at_ms = ? WHERE service_id = ? AND name = ?";
const INSERT: &str =
    "INSERT INTO env_vars (service_id, name, kind, sealed_value, updated_at_ms) VALUES (?, ?, ?, ?, ?)";
const DELETE: &str = "DELETE FROM env_vars WHERE service_id = ? AND name = ?";
const COUNT: &str = "SELECT COUNT(*) AS number FROM env_vars WHERE service_id = ?";

const OWNS: &str = "SELECT id FROM services WHERE organization_id = ? AND id = ?";

fn row_name(service: ServiceId, key: &VariableKey) -> String {
    format!("env_vars/{service}/{key}")
}

/// The most variables of a service.
pub const LIMIT: i64 = 1000;

impl Store {
    /// The variables of a service, by name.
    ///
    /// # Errors
    /// [`Error::Missing`] when the organization has no such service; [`Error::Sealed`] with another `ENCRYPTION_KEY`.
    pub async fn variables(&self, organization: OrganizationId, service: ServiceId) -> Result<Vec<Variable>> {
        query(OWNS)
            .bind(organization.to_string())
            .bind(service.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or_else(|| Error::missing("service", service))?;
        let rows = query(LIST).bind(service.to_string()).fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| {
                let key: VariableKey = row
                    .get::<&str>("name")
                    .parse()
                    .map_err(Error::corrupt("variable name"))?;
                let sealed: &[u8] = row.get("sealed_value");
                let value = self.sealer.open(organization, &row_name(service, &key), sealed)?;
                let value = String::from_utf8(value).map_err(Error::corrupt("variable value"))?;
                let kind = if row.get::<&str>("kind") == "secret" {
                    VariableKind::Secret
                } else {
                    VariableKind::Static
                };
                Ok(Variable {
                    key,
                    kind,
                    value: SecretText::new(value),
                })
            })
            .collect()
    }

    /// Sets and removes variables, all or none. A kind that is not given stays, or is static for a new one. False when
    /// the service would have more than [`LIMIT`]; nothing is changed then.
    ///
    /// # Errors
    /// [`Error::Missing`] when the organization has no such service.
    pub async fn change_variables(
        &self,
        organization: OrganizationId,
        service: ServiceId,
        set: &[(VariableKey, String, Option<VariableKind>)],
        remove: &[VariableKey],
    ) -> Result<bool> {
        let id = service.to_string();
        let sealed = set
            .iter()
            .map(|(key, value, kind)| {
                let sealed = self
                    .sealer
                    .seal(organization, &row_name(service, key), value.as_bytes())?;
                Ok((key, sealed, *kind))
            })
            .collect::<Result<Vec<_>>>()?;
        transaction!(self, |write| {
            // Variables are counted.
            query(OWNS)
                .bind(organization.to_string())
                .bind(&id)
                .locking()
                .fetch_optional(&mut write.transaction)
                .await?
                .ok_or_else(|| Error::missing("service", service))?;
            for key in remove {
                query(DELETE)
                    .bind(&id)
                    .bind(key.as_str())
                    .execute(&mut write.transaction)
                    .await?;
            }
            for (key, sealed, kind) in &sealed {
                let found = query(KIND)
                    .bind(&id)
                    .bind(key.as_str())
                    .fetch_optional(&mut write.transaction)
                    .await?;
                let before = found.as_ref().map(|row| row.get::<String>("kind"));
                let kind = match kind {
                    Some(VariableKind::Static) => "static".to_owned(),
                    Some(VariableKind::Secret) => "secret".to_owned(),
                    None => before.clone().unwrap_or_else(|| "static".to_owned()),
                };
                let statement = if before.is_some() {
                    query(UPDATE)
                        .bind(kind)
                        .bind(sealed.as_slice())
                        .bind(now_ms())
                        .bind(&id)
                        .bind(key.as_str())
                } else {
                    query(INSERT)
                        .bind(&id)
                        .bind(key.as_str())
                        .bind(kind)
                        .bind(sealed.as_slice())
                        .bind(now_ms())
                };
                statement.execute(&mut write.transaction).await?;
            }
            let counted = query(COUNT).bind(&id).fetch_one(&mut write.transaction).await?;
            if counted.get::<i64>("number") > LIMIT {
                return Ok(false);
            }
            true
        })
    }
}
