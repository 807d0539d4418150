//! Background work, for whoever looks why something does not come to its end.

use domain::{JobId, OrganizationId};
use store::jobs::{Job, JournalEntry};

use crate::{Engine, Error};

impl Engine {
    /// One job.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn job(&self, organization: OrganizationId, id: JobId) -> Result<Job, Error> {
        Ok(self.world.store.job(organization, id).await?)
    }

    /// One job, and the journal of its saga.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn job_with_journal(
        &self,
        organization: OrganizationId,
        id: JobId,
    ) -> Result<(Job, Vec<JournalEntry>), Error> {
        let job = self.job(organization, id).await?;
        let journal = self.world.store.journal(id).await?;
        Ok((job, journal))
    }

    /// Jobs of a kind and a status (any, where they are empty) before an id (or all, when it is empty), newest first.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn jobs(
        &self,
        organization: OrganizationId,
        kind: &str,
        status: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Job>, Error> {
        // `~` sorts after every id.
        let before = if before.is_empty() { "~" } else { before };
        let store = &self.world.store;
        Ok(store.find_jobs(organization, kind, status, before, limit).await?)
    }

    /// Asks for a dead or stuck job again, at once. It goes on where its journal ends.
    ///
    /// # Errors
    /// When it is missing, or is neither dead nor stuck.
    pub async fn retry_job(&self, organization: OrganizationId, id: JobId) -> Result<Job, Error> {
        if !self.world.store.retry_job(organization, id).await? {
            let job = self.job(organization, id).await?;
            return Err(Error::conflict(
                "nothing-to-retry",
                format!(
                    "the job is {}: only one that is dead or stuck can be asked for again",
                    job.status
                ),
            ));
        }
        self.world.notices.job();
        self.job(organization, id).await
    }
}
