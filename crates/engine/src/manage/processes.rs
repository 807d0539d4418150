//! The processes of the platform, for operators.

use domain::OrganizationId;
use store::processes::Process;

use crate::{Engine, Error};

/// What one process does for all, where it is the only one.
const ALL: [&str; 3] = ["build-cache", "output", "reconciler"];

impl Engine {
    /// Every process, the oldest first, and what each does for all. They are the operator's, who is in the first
    /// organization: others see none.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn processes(&self, organization: OrganizationId) -> Result<Vec<(Process, Vec<String>)>, Error> {
        let store = &self.world.store;
        if store.first_organization().await? != Some(organization) {
            return Ok(Vec::new());
        }
        let leases = store.leases().await?;
        let processes = store.processes().await?;
        let leads = |process: &Process| -> Vec<String> {
            if store.is_alone() {
                return ALL.map(ToOwned::to_owned).into();
            }
            // Making one project's network is nothing for all.
            let of_it = |(name, owner): &&(String, String)| *owner == process.id && ALL.contains(&name.as_str());
            leases.iter().filter(of_it).map(|(name, _)| name.clone()).collect()
        };
        Ok(processes
            .into_iter()
            .map(|mut process| {
                if store.is_alone() {
                    process.seen_at_ms = store::now_ms();
                }
                let leads = leads(&process);
                (process, leads)
            })
            .collect())
    }
}
