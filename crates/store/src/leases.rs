//! What one process does for all: a lease by name. Its holder counts `beat` up while it lives; whoever wants it too watches,
//! and takes it over when it saw no beat for long enough by its own clock. No clock of another machine is believed.

use crate::{Error, Result, Store, sql::query};

/// A lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub owner: String,
    /// How often the holder said that it lives.
    pub beat: i64,
}

const FIND: &str = "SELECT owner, beat FROM leases WHERE name = ?";
const TAKE: &str = "INSERT INTO leases (name, owner, beat) VALUES (?, ?, 1)";
const TAKE_OVER: &str = "UPDATE leases SET owner = ?, beat = beat + 1 WHERE name = ? AND owner = ? AND beat = ?";
const BEAT: &str = "UPDATE leases SET beat = beat + 1 WHERE name = ? AND owner = ?";
const LET_GO: &str = "DELETE FROM leases WHERE name = ? AND owner = ?";
const LET_ALL_GO: &str = "DELETE FROM leases WHERE owner = ?";
const ALL: &str = "SELECT name, owner FROM leases ORDER BY name";

impl Store {
    /// Whether this process is the only one of its database: of a file it always is.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.location().as_file().is_some()
    }

    /// Who holds a lease.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>> {
        let row = query(FIND).bind(name).fetch_optional(&self.readers).await?;
        Ok(row.map(|row| Lease {
            owner: row.get("owner"),
            beat: row.get("beat"),
        }))
    }

    /// Takes a lease that nobody holds, or one whose holder is still exactly as it was `seen`. False when somebody else was
    /// quicker, or the holder lives.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_lease(&self, name: &str, owner: &str, seen: Option<&Lease>) -> Result<bool> {
        let Some(seen) = seen else {
            let taken = self.change(query(TAKE).bind(name).bind(owner)).await;
            return match taken.map_err(Error::taken("lease")) {
                Err(Error::Taken { .. }) => Ok(false),
                end => end.map(|_| true),
            };
        };
        let taking = query(TAKE_OVER)
            .bind(owner)
            .bind(name)
            .bind(&seen.owner)
            .bind(seen.beat);
        Ok(self.change(taking).await? == 1)
    }

    /// Says that its holder lives; false when somebody else has the lease by now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn beat_lease(&self, name: &str, owner: &str) -> Result<bool> {
        Ok(self.change(query(BEAT).bind(name).bind(owner)).await? == 1)
    }

    /// Lets go of a lease, if it is the owner's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn let_lease_go(&self, name: &str, owner: &str) -> Result<()> {
        self.change(query(LET_GO).bind(name).bind(owner)).await.map(drop)
    }

    /// Lets go of all that an owner holds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn let_leases_go(&self, owner: &str) -> Result<()> {
        self.change(query(LET_ALL_GO).bind(owner)).await.map(drop)
    }

    /// Every lease and its owner, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leases(&self) -> Result<Vec<(String, String)>> {
        let rows = query(ALL).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| (row.get("name"), row.get("owner"))).collect())
    }
}
