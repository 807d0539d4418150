//! Projects.

use domain::{OrganizationId, ProjectId, names::Slug};
use store::{jobs::Job, projects::Project, services::Wanted};

use crate::{Engine, Error};

impl Engine {
    /// Makes a project.
    ///
    /// # Errors
    /// When the name is taken.
    pub async fn create_project(&self, organization: OrganizationId, name: &Slug) -> Result<Project, Error> {
        Ok(self.world.store.create_project(organization, name).await?)
    }

    /// One project.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn project(&self, organization: OrganizationId, id: ProjectId) -> Result<Project, Error> {
        Ok(self.world.store.project(organization, id).await?)
    }

    /// Projects after an id; only those of that name, unless it is empty.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn projects(
        &self,
        organization: OrganizationId,
        after: &str,
        name: &str,
        limit: i64,
    ) -> Result<Vec<Project>, Error> {
        Ok(self.world.store.projects(organization, after, name, limit).await?)
    }

    /// Renames a project.
    ///
    /// # Errors
    /// When it is missing, was changed meanwhile, or the name is taken.
    pub async fn rename_project(
        &self,
        organization: OrganizationId,
        id: ProjectId,
        name: &Slug,
        version: Option<i64>,
    ) -> Result<Project, Error> {
        let project = self.project(organization, id).await?;
        self.world
            .store
            .rename_project(id, name, version.unwrap_or(project.version))
            .await?;
        self.project(organization, id).await
    }

    /// Removes a project with all its services: a job.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn remove_project(&self, organization: OrganizationId, id: ProjectId) -> Result<Job, Error> {
        self.project(organization, id).await?;
        let none = domain::DeploymentId::mint();
        let job = store::transaction!(self.world.store, |write| {
            // From here on no service comes to it: one that was made a moment ago goes too.
            write.mark_project_removing(id).await?;
            let services = write.services_of_project(organization, id).await?;
            for service in &services {
                write.set_wanted(*service, Wanted::Removed).await?;
                for running in write.running_deployments(*service, none).await? {
                    write.request_cancel(running).await?;
                }
                for queued in write.queued_deployments(*service, none).await? {
                    write.request_cancel(queued).await?;
                }
            }
            for service in &services {
                let service = service.to_string();
                write
                    .enqueue(organization, "remove-service", &service, &service)
                    .await?;
            }
            let project = id.to_string();
            write
                .enqueue(organization, "remove-project", &project, &project)
                .await?
        })?;
        self.world.notices.cancel();
        self.world.notices.job();
        Ok(self.world.store.job(organization, job).await?)
    }
}
