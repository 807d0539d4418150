//! What a repeated request was answered the first time.

use domain::OrganizationId;
use sqlx::Row;

use crate::{Result, Store, now_ms};

/// How long an answer is kept.
pub const KEPT_MS: i64 = 24 * 3600 * 1000;
/// After this time a request that was never answered is taken for dead.
const DEAD_MS: i64 = 60_000;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: the request is the first, and the key is now its own.
    New,
    /// The first request is under way.
    UnderWay,
    /// Another request used the key.
    Other,
    /// The first request was answered so.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
}

const FIND: &str =
    "SELECT request_digest, status, body, created_at_ms FROM idempotency_keys WHERE organization_id = ? AND name = ?";
const INSERT: &str =
    "INSERT INTO idempotency_keys (organization_id, name, request_digest, created_at_ms) VALUES (?, ?, ?, ?)";
const DELETE: &str = "DELETE FROM idempotency_keys WHERE organization_id = ? AND name = ?";
const ANSWER: &str = "UPDATE idempotency_keys SET status = ?, body = ? WHERE organization_id = ? AND name = ?";
const PRUNE: &str = "DELETE FROM idempotency_keys WHERE created_at_ms < ?";

impl Store {
    /// Takes a key for a request, or says what is known of it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_idempotency_key(&self, organization: OrganizationId, name: &str, digest: &str) -> Result<Known> {
        let organization = organization.to_string();
        let mut write = self.write().await?;
        let found = sqlx::query(FIND)
            .bind(&organization)
            .bind(name)
            .fetch_optional(&mut *write.transaction)
            .await?;
        if let Some(row) = found {
            let age_ms = now_ms() - row.get::<i64, _>("created_at_ms");
            let status: Option<i64> = row.get("status");
            let dead = status.is_none() && age_ms > DEAD_MS;
            if !dead && age_ms < KEPT_MS {
                if row.get::<&str, _>("request_digest") != digest {
                    return Ok(Known::Other);
                }
                return Ok(match status {
                    None => Known::UnderWay,
                    Some(status) => Known::Answered {
                        status: u16::try_from(status).unwrap_or(500),
                        body: row.get::<Option<Vec<u8>>, _>("body").unwrap_or_default(),
                    },
                });
            }
            sqlx::query(DELETE)
                .bind(&organization)
                .bind(name)
                .execute(&mut *write.transaction)
                .await?;
        }
        sqlx::query(INSERT)
            .bind(&organization)
            .bind(name)
            .bind(digest)
            .bind(now_ms())
            .execute(&mut *write.transaction)
            .await?;
        write.commit().await?;
        Ok(Known::New)
    }

    /// Keeps what the first request was answered; without an answer, the key is free again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn answer_idempotency_key(
        &self,
        organization: OrganizationId,
        name: &str,
        answer: Option<(u16, &[u8])>,
    ) -> Result<()> {
        let mut write = self.write().await?;
        match answer {
            Some((status, body)) => sqlx::query(ANSWER).bind(i64::from(status)).bind(body),
            None => sqlx::query(DELETE),
        }
        .bind(organization.to_string())
        .bind(name)
        .execute(&mut *write.transaction)
        .await?;
        write.commit().await
    }

    /// Forgets old answers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_idempotency_keys(&self) -> Result<u64> {
        let mut write = self.write().await?;
        let done = sqlx::query(PRUNE)
            .bind(now_ms() - KEPT_MS)
            .execute(&mut *write.transaction)
            .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}
