//! Since when something is known that nobody owns: the same in every process, and after a restart.

use std::collections::{BTreeSet, HashMap};

use crate::{Error, Result, Store, sql::query};

const OF_KIND: &str = "SELECT name, since_ms FROM orphans WHERE kind = ?";
const NOTICE: &str = "INSERT INTO orphans (kind, name, since_ms) VALUES (?, ?, ?)";
const FORGET: &str = "DELETE FROM orphans WHERE kind = ? AND name = ?";

impl Store {
    async fn orphans(&self, kind: &str) -> Result<HashMap<String, i64>> {
        let rows = query(OF_KIND).bind(kind).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| (row.get("name"), row.get("since_ms"))).collect())
    }

    /// Keeps that these are orphans of a kind, those that are new since now. When each of the kind was noticed first, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notice_orphans(
        &self,
        kind: &str,
        found: &BTreeSet<&str>,
        now_ms: i64,
    ) -> Result<HashMap<String, i64>> {
        let noticed = self.orphans(kind).await?;
        let mut is_new = false;
        for name in found.iter().filter(|name| !noticed.contains_key(**name)) {
            is_new = true;
            let noticing = query(NOTICE).bind(kind).bind(*name).bind(now_ms);
            match self.change(noticing).await.map_err(Error::taken("orphan")) {
                // Another one was first.
                Err(Error::Taken { .. }) => {}
                end => drop(end?),
            }
        }
        if is_new { self.orphans(kind).await } else { Ok(noticed) }
    }

    /// Forgets those of a kind that are none any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_orphans(&self, kind: &str, found: &BTreeSet<&str>) -> Result<()> {
        for name in self.orphans(kind).await?.into_keys() {
            if !found.contains(name.as_str()) {
                self.change(query(FORGET).bind(kind).bind(name)).await?;
            }
        }
        Ok(())
    }
}
