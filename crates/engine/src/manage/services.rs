//! Services: made, changed, stopped, started, removed.

use domain::{
    DeploymentId, OrganizationId, ProjectId, Reason, ServiceId,
    deployment::DeploymentStatus,
    names::Slug,
    ports::infrastructure::Instance,
    service::{ServiceSettings, ServiceStatus},
    source::Source,
};
use store::{
    deployments::Deployment,
    jobs::Job,
    services::{Service, Wanted},
};

use crate::{Engine, Error, FieldError};

/// A service, and what is to be shown of it.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// The service.
    pub service: Service,
    /// What it is doing.
    pub status: ServiceStatus,
    /// Why it is not live.
    pub reason: Option<Reason>,
    /// Where it answers.
    pub url: String,
    /// Its newest deployment.
    pub latest: Option<Deployment>,
}

/// What is to be changed; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct ServiceChange {
    /// A new name.
    pub name: Option<Slug>,
    /// A new source.
    pub source: Option<Source>,
    /// New settings, whole.
    pub settings: Option<ServiceSettings>,
}

fn check(settings: &ServiceSettings) -> Result<(), Error> {
    settings.check().map_err(|broken| {
        let field = |(name, message): (&str, String)| FieldError {
            field: format!("settings.{name}"),
            message,
        };
        Error::Invalid(broken.into_iter().map(field).collect())
    })
}

/// What a service is doing, from what is known of it.
fn status_of(service: &Service, latest: Option<&Deployment>) -> (ServiceStatus, Option<Reason>) {
    let failed = latest.filter(|deployment| deployment.status == DeploymentStatus::Failed);
    let reason = failed.and_then(|deployment| deployment.reason.clone());
    if latest.is_some_and(|deployment| !deployment.status.is_final()) {
        return (ServiceStatus::Deploying, None);
    }
    match (service.wanted, service.current) {
        (Wanted::Stopped | Wanted::Removed, _) => (ServiceStatus::Stopped, None),
        (Wanted::Running, Some(_)) => match &service.unhealthy {
            Some(unhealthy) => (ServiceStatus::Unhealthy, Some(unhealthy.clone())),
            None => (ServiceStatus::Live, None),
        },
        (Wanted::Running, None) if failed.is_some() => (ServiceStatus::Failed, reason),
        (Wanted::Running, None) => (ServiceStatus::Ready, None),
    }
}

impl Engine {
    /// Makes a service. Its address is decided now and stays.
    ///
    /// # Errors
    /// When fields break rules, the project is missing, or the name is taken.
    pub async fn create_service(
        &self,
        organization: OrganizationId,
        project: ProjectId,
        name: &Slug,
        source: &Source,
        settings: &ServiceSettings,
    ) -> Result<ServiceView, Error> {
        check(settings)?;
        self.world.check_source(source)?;
        let host = self.world.new_host(name);
        let service = self
            .world
            .store
            .create_service(organization, project, name, &host, source, settings)
            .await?;
        self.world.notices.reconcile();
        self.view(service).await
    }

    /// One service.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn service(&self, organization: OrganizationId, id: ServiceId) -> Result<ServiceView, Error> {
        let service = self.world.store.service(organization, id).await?;
        self.view(service).await
    }

    /// The services of a project after an id; only those of that name, unless it is empty.
    ///
    /// # Errors
    /// When the project is missing.
    pub async fn services(
        &self,
        organization: OrganizationId,
        project: ProjectId,
        after: &str,
        name: &str,
        limit: i64,
    ) -> Result<Vec<ServiceView>, Error> {
        self.project(organization, project).await?;
        let store = &self.world.store;
        let services = store.services(organization, project, after, name, limit).await?;
        let mut latest = store.latest_deployments(&services).await?;
        let view = |service: Service| {
            let latest = latest.remove(&service.id);
            self.view_with(service, latest)
        };
        Ok(services.into_iter().map(view).collect())
    }

    async fn view(&self, service: Service) -> Result<ServiceView, Error> {
        let latest = self
            .world
            .store
            .deployments(service.id, i64::MAX, 1)
            .await?
            .into_iter()
            .next();
        Ok(self.view_with(service, latest))
    }

    fn view_with(&self, service: Service, latest: Option<Deployment>) -> ServiceView {
        let (status, reason) = status_of(&service, latest.as_ref());
        let url = self.world.url_of(&service.host);
        ServiceView {
            service,
            status,
            reason,
            url,
            latest,
        }
    }

    /// Changes a service; what runs stays as it is until the next deployment.
    ///
    /// # Errors
    /// When fields break rules, it is missing, was changed meanwhile, or the name is taken.
    pub async fn change_service(
        &self,
        organization: OrganizationId,
        id: ServiceId,
        change: ServiceChange,
        version: Option<i64>,
    ) -> Result<ServiceView, Error> {
        let mut service = self.world.store.service(organization, id).await?;
        if let Some(settings) = change.settings {
            check(&settings)?;
            service.settings = settings;
        }
        if let Some(source) = change.source {
            self.world.check_source(&source)?;
            service.source = source;
        }
        service.name = change.name.unwrap_or(service.name);
        service.version = version.unwrap_or(service.version);
        self.world.store.update_service(&service).await?;
        self.service(organization, id).await
    }

    /// Makes a key with which the service reads its repository by SSH, in place of the one before.
    ///
    /// # Errors
    /// When the service is missing, or no key can be made.
    pub async fn make_deploy_key(&self, organization: OrganizationId, id: ServiceId) -> Result<ServiceView, Error> {
        let service = self.world.store.service(organization, id).await?;
        let comment = format!("click-deploy-{}", service.name);
        let (private, public) = self.world.sources.generate_deploy_key(&comment).await?;
        self.world.store.set_deploy_key(&service, &private, &public).await?;
        self.service(organization, id).await
    }

    /// The instances of a service.
    ///
    /// # Errors
    /// When it is missing, or the engine does not answer.
    pub async fn instances(&self, organization: OrganizationId, id: ServiceId) -> Result<Vec<Instance>, Error> {
        self.world.store.service(organization, id).await?;
        let mut wanted = self.world.installation_labels();
        wanted.insert(domain::labels::RESOURCE.to_owned(), id.to_string());
        let mut found = self.world.infrastructure.instances(&wanted).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Stops a service: a job.
    ///
    /// # Errors
    /// When it is missing or was never deployed.
    pub async fn stop_service(&self, organization: OrganizationId, id: ServiceId) -> Result<Job, Error> {
        self.enqueue_lifecycle(organization, id, "stop-service").await
    }

    /// Starts a stopped service with its current deployment: a job.
    ///
    /// # Errors
    /// When it is missing or was never deployed.
    pub async fn start_service(&self, organization: OrganizationId, id: ServiceId) -> Result<Job, Error> {
        self.enqueue_lifecycle(organization, id, "start-service").await
    }

    /// Starts new instances of the current deployment in place of those that run: a job.
    ///
    /// # Errors
    /// When it is missing or was never deployed.
    pub async fn restart_service(&self, organization: OrganizationId, id: ServiceId) -> Result<Job, Error> {
        self.enqueue_lifecycle(organization, id, "restart-service").await
    }

    /// What the service is meant to do is changed by the job itself: jobs of a service run in the order in which they were
    /// asked for, so that the last wish wins over a deployment that is still under way.
    async fn enqueue_lifecycle(&self, organization: OrganizationId, id: ServiceId, job: &str) -> Result<Job, Error> {
        let service = self.world.store.service(organization, id).await?;
        if service.current.is_none() {
            return Err(Error::conflict(
                "never-deployed",
                "the service has no version that ran: deploy it first",
            ));
        }
        if service.wanted == Wanted::Removed {
            return Err(Error::conflict("being-removed", "the service is being removed"));
        }
        let subject = id.to_string();
        let job = store::transaction!(self.world.store, |write| {
            write.enqueue(organization, job, &subject, &subject).await?
        })?;
        self.world.notices.job();
        Ok(self.world.store.job(organization, job).await?)
    }

    /// Removes a service with all that is its own: a job. What is under way is cancelled.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn remove_service(&self, organization: OrganizationId, id: ServiceId) -> Result<Job, Error> {
        self.world.store.service(organization, id).await?;
        let subject = id.to_string();
        let none = DeploymentId::mint();
        let job = store::transaction!(self.world.store, |write| {
            write.set_wanted(id, Wanted::Removed).await?;
            for deployment in write.running_deployments(id, none).await? {
                write.request_cancel(deployment).await?;
            }
            for deployment in write.queued_deployments(id, none).await? {
                write.request_cancel(deployment).await?;
            }
            write
                .enqueue(organization, "remove-service", &subject, &subject)
                .await?
        })?;
        self.world.notices.cancel();
        self.world.notices.job();
        Ok(self.world.store.job(organization, job).await?)
    }
}
