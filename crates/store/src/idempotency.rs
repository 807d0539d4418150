//! What a repeated request was answered the first time.

use domain::OrganizationId;

use crate::{Error, Result, Store, now_ms, sql::query};

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
const DELETE_OLD: &str =
    "DELETE FROM idempotency_keys WHERE organization_id = ? AND name = ? AND request_digest = ? AND created_at_ms = ?";
const DELETE: &str = "DELETE FROM idempotency_keys WHERE organization_id = ? AND name = ?";
const ANSWER: &str = "UPDATE idempotency_keys SET status = ?, body = ? WHERE organization_id = ? AND name = ?";

impl Store {
    /// Takes a key for a request, or says what is known of it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_idempotency_key(&self, organization: OrganizationId, name: &str, digest: &str) -> Result<Known> {
        let organization = organization.to_string();
        loop {
            let found = query(FIND).bind(&organization).bind(name);
            if let Some(row) = found.fetch_optional(&self.readers).await? {
                let created_at_ms: i64 = row.get("created_at_ms");
                let age_ms = now_ms() - created_at_ms;
                let status: Option<i64> = row.get("status");
                let used_for: &str = row.get("request_digest");
                let dead = status.is_none() && age_ms > DEAD_MS;
                if !dead && age_ms < KEPT_MS {
                    if used_for != digest {
                        return Ok(Known::Other);
                    }
                    return Ok(match status {
                        None => Known::UnderWay,
                        Some(status) => Known::Answered {
                            status: u16::try_from(status).unwrap_or(500),
                            body: row.get::<Option<Vec<u8>>>("body").unwrap_or_default(),
                        },
                    });
                }
                // Only the old one that was seen: another request may have taken the key meanwhile.
                self.change(
                    query(DELETE_OLD)
                        .bind(&organization)
                        .bind(name)
                        .bind(used_for)
                        .bind(created_at_ms),
                )
                .await?;
            }
            let taking = query(INSERT).bind(&organization).bind(name).bind(digest).bind(now_ms());
            match self.change(taking).await.map_err(Error::taken("idempotency key")) {
                // Another one was first: see what it is.
                Err(Error::Taken { .. }) => {}
                end => return end.map(|_| Known::New),
            }
        }
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
        let statement = match answer {
            Some((status, body)) => query(ANSWER).bind(i64::from(status)).bind(body),
            None => query(DELETE),
        };
        self.change(statement.bind(organization.to_string()).bind(name))
            .await
            .map(drop)
    }
}
