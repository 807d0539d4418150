//! What nobody owns, for operators.

use domain::OrganizationId;

use crate::{Engine, Error, Orphan, reconcile};

impl Engine {
    /// What carries this installation's label and nobody owns any more: what says that it was of this organization. The
    /// first organization, which is the operator's, sees what says nothing too.
    ///
    /// # Errors
    /// When the container engine or the state does not answer.
    pub async fn orphans(&self, organization: OrganizationId) -> Result<Vec<Orphan>, Error> {
        reconcile::orphans_of(&self.world, organization).await
    }
}
