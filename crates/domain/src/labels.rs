//! The labels on everything that we start, so that what is ours is found again and nothing else is touched.

use std::collections::BTreeMap;

use crate::{DeploymentId, OrganizationId, ProjectId, ServiceId};

/// Which installation of the platform a thing belongs to. Two installations can share one engine.
pub const INSTALLATION: &str = "click-deploy.org/installation";
/// The organization.
pub const ORGANIZATION: &str = "click-deploy.org/organization";
/// The project.
pub const PROJECT: &str = "click-deploy.org/project";
/// The service, database or volume.
pub const RESOURCE: &str = "click-deploy.org/resource";
/// The deployment.
pub const DEPLOYMENT: &str = "click-deploy.org/deployment";
/// The job that started it: a restart of the same deployment is told from what ran before.
pub const JOB: &str = "click-deploy.org/job";
/// The number of the replica, from 1.
pub const REPLICA: &str = "click-deploy.org/replica";

/// Whose a thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The installation's name: lower-case letters, digits and dashes.
    pub installation: String,
    /// The organization.
    pub organization: OrganizationId,
    /// The project.
    pub project: ProjectId,
    /// The service, when it is about one.
    pub service: Option<ServiceId>,
    /// The deployment, when it is about one.
    pub deployment: Option<DeploymentId>,
}

impl Ownership {
    /// As labels.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (INSTALLATION.to_owned(), self.installation.clone()),
            (ORGANIZATION.to_owned(), self.organization.to_string()),
            (PROJECT.to_owned(), self.project.to_string()),
        ]);
        if let Some(service) = self.service {
            labels.insert(RESOURCE.to_owned(), service.to_string());
        }
        if let Some(deployment) = self.deployment {
            labels.insert(DEPLOYMENT.to_owned(), deployment.to_string());
        }
        labels
    }
}
