//! Environment variables, sealed.

use domain::{OrganizationId, SecretText, ServiceId, environment::VariableKind, names::VariableKey};
use sqlx::Row;

use crate::{Error, Result, Store, now_ms};

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

const OWNS: &str = "SELECT 1 FROM services WHERE organization_id = ? AND id = ?";

fn row_name(service: ServiceId, key: &VariableKey) -> String {
    format!("env_vars/{service}/{key}")
}

async fn owns(
    organization: OrganizationId,
    service: ServiceId,
    executor: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
) -> Result<()> {
    let found = sqlx::query(OWNS)
        .bind(organization.to_string())
        .bind(service.to_string())
        .fetch_optional(executor)
        .await?;
    found.map(drop).ok_or_else(|| Error::missing("service", service))
}

/// The most variables of a service.
pub const LIMIT: i64 = 1000;

impl Store {
    /// The variables of a service, by name.
    ///
    /// # Errors
    /// [`Error::Missing`] when the organization has no such service; [`Error::Sealed`] with another `ENCRYPTION_KEY`.
    pub async fn variables(&self, organization: OrganizationId, service: ServiceId) -> Result<Vec<Variable>> {
        owns(organization, service, &self.readers).await?;
        let rows = sqlx::query(LIST)
            .bind(service.to_string())
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let key: VariableKey = row
                    .get::<&str, _>("name")
                    .parse()
                    .map_err(Error::corrupt("variable name"))?;
                let sealed: &[u8] = row.get("sealed_value");
                let value = self.sealer.open(organization, &row_name(service, &key), sealed)?;
                let value = String::from_utf8(value).map_err(Error::corrupt("variable value"))?;
                let kind = if row.get::<&str, _>("kind") == "secret" {
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
        let mut write = self.write().await?;
        owns(organization, service, &mut *write.transaction).await?;
        let id = service.to_string();
        for key in remove {
            sqlx::query(DELETE)
                .bind(&id)
                .bind(key.as_str())
                .execute(&mut *write.transaction)
                .await?;
        }
        for (key, value, kind) in set {
            let sealed = self
                .sealer
                .seal(organization, &row_name(service, key), value.as_bytes())?;
            let found = sqlx::query(KIND)
                .bind(&id)
                .bind(key.as_str())
                .fetch_optional(&mut *write.transaction)
                .await?;
            let before = found.as_ref().map(|row| row.get::<String, _>("kind"));
            let kind = match kind {
                Some(VariableKind::Static) => "static".to_owned(),
                Some(VariableKind::Secret) => "secret".to_owned(),
                None => before.clone().unwrap_or_else(|| "static".to_owned()),
            };
            if before.is_some() {
                sqlx::query(UPDATE)
                    .bind(kind)
                    .bind(sealed)
                    .bind(now_ms())
                    .bind(&id)
                    .bind(key.as_str())
            } else {
                sqlx::query(INSERT)
                    .bind(&id)
                    .bind(key.as_str())
                    .bind(kind)
                    .bind(sealed)
                    .bind(now_ms())
            }
            .execute(&mut *write.transaction)
            .await?;
        }
        let number: i64 = sqlx::query(COUNT)
            .bind(&id)
            .fetch_one(&mut *write.transaction)
            .await?
            .get("number");
        if number > LIMIT {
            return Ok(false);
        }
        write.commit().await?;
        Ok(true)
    }
}
