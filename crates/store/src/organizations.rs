//! Tenants, their tokens, and what identifies this installation.

use domain::{OrganizationId, TokenId};

use crate::{Error, Result, Store, now_ms, sql::query};

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// The tenant.
    pub organization: OrganizationId,
    /// Its name.
    pub organization_name: String,
    /// The token's name.
    pub token_name: String,
}

const FIND: &str = "SELECT id FROM organizations WHERE name = ?";
const FIRST: &str = "SELECT MIN(id) AS id FROM organizations";
const INSERT: &str = "INSERT INTO organizations (id, name, created_at_ms) VALUES (?, ?, ?)";
const TOKEN: &str = "SELECT o.id, o.name AS organization_name, t.name AS token_name \
    FROM api_tokens t JOIN organizations o ON o.id = t.organization_id WHERE t.hash = ?";
const INSERT_TOKEN: &str =
    "INSERT INTO api_tokens (id, organization_id, name, hash, created_at_ms) VALUES (?, ?, ?, ?, ?)";
const COUNT_TOKENS: &str = "SELECT COUNT(*) AS number FROM api_tokens";
const GET_VALUE: &str = "SELECT value FROM installation WHERE name = ?";
const SET_VALUE: &str = "INSERT INTO installation (name, value) VALUES (?, ?)";

impl Store {
    /// The organization of that name, made when it is not there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ensure_organization(&self, name: &str) -> Result<OrganizationId> {
        loop {
            if let Some(row) = query(FIND).bind(name).fetch_optional(&self.readers).await? {
                let id: &str = row.get("id");
                return id.parse().map_err(Error::corrupt("organization id"));
            }
            let id = OrganizationId::mint();
            let making = query(INSERT).bind(id.to_string()).bind(name).bind(now_ms());
            match self.change(making).await.map_err(Error::taken("organization")) {
                // Another one was first.
                Err(Error::Taken { .. }) => {}
                end => return end.map(|_| id),
            }
        }
    }

    /// The organization that was made first: the operator's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_organization(&self) -> Result<Option<OrganizationId>> {
        let row = query(FIRST).fetch_one(&self.readers).await?;
        let id = row.get::<Option<&str>>("id").map(str::parse).transpose();
        id.map_err(Error::corrupt("organization id"))
    }

    /// Whose token has this hash (SHA-256, hexadecimal).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_owner(&self, hash: &str) -> Result<Option<TokenOwner>> {
        let Some(row) = query(TOKEN).bind(hash).fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        Ok(Some(TokenOwner {
            organization: row
                .get::<String>("id")
                .parse()
                .map_err(Error::corrupt("organization id"))?,
            organization_name: row.get("organization_name"),
            token_name: row.get("token_name"),
        }))
    }

    /// Keeps a token's hash.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_token(&self, organization: OrganizationId, name: &str, hash: &str) -> Result<TokenId> {
        let id = TokenId::mint();
        let keeping = query(INSERT_TOKEN)
            .bind(id.to_string())
            .bind(organization.to_string())
            .bind(name)
            .bind(hash)
            .bind(now_ms());
        self.change(keeping).await.map_err(Error::taken("token"))?;
        Ok(id)
    }

    /// How many tokens there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_tokens(&self) -> Result<i64> {
        Ok(query(COUNT_TOKENS).fetch_one(&self.readers).await?.get("number"))
    }

    /// A value that this installation keeps for good, made by `make` the first time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn installation_value(&self, name: &str, make: impl FnOnce() -> String) -> Result<String> {
        let value = make();
        loop {
            if let Some(row) = query(GET_VALUE).bind(name).fetch_optional(&self.readers).await? {
                return Ok(row.get("value"));
            }
            let keeping = query(SET_VALUE).bind(name).bind(&value);
            match self.change(keeping).await.map_err(Error::taken("value")) {
                // Another one was first.
                Err(Error::Taken { .. }) => {}
                end => return end.map(|_| value),
            }
        }
    }
}
