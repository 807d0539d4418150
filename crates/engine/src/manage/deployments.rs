//! Deployments: asked for, cancelled, repeated, rolled back.

use domain::{
    DeploymentId, OrganizationId, Reason, ServiceId, UploadId,
    deployment::{DeploymentEvent, DeploymentStatus, Phase, Trigger},
    environment::VariableKind,
    names::Commit,
    ports::builder::BuildStep,
    source::{Revision, Source},
};
use store::{
    deployments::{Deployment, Environment, Made, NewDeployment},
    phases::PhaseRow,
    services::{Service, Wanted},
};

use crate::{
    Engine, Error,
    deploy::ending::{self, Ending},
    notices::Notice,
};

/// What is to be deployed.
#[derive(Debug, Clone, Default)]
pub struct DeploymentRequest {
    /// The exact commit.
    pub commit: Option<Commit>,
    /// The image of this deployment, without a build.
    pub image_of: Option<DeploymentId>,
    /// Build everything anew.
    pub no_cache: bool,
    /// Cancel what is under way instead of waiting for it.
    pub replace_running: bool,
}

/// A deployment and all that is shown of it.
#[derive(Debug, Clone)]
pub struct DeploymentDetail {
    /// The deployment.
    pub deployment: Deployment,
    /// It is the one that serves.
    pub current: bool,
    /// Where the service answers.
    pub url: String,
    /// Its phases.
    pub phases: Vec<PhaseRow>,
    /// The steps of its build.
    pub steps: Vec<BuildStep>,
    /// Its variables; a secret has no value.
    pub environment: Vec<(domain::names::VariableKey, VariableKind, Option<String>)>,
}

impl Engine {
    /// Deploys a service. What waits is superseded; what is under way is waited for, unless it is to be replaced.
    ///
    /// # Errors
    /// When the service is missing, or what is asked does not fit its source.
    pub async fn deploy(
        &self,
        organization: OrganizationId,
        id: ServiceId,
        request: &DeploymentRequest,
    ) -> Result<DeploymentDetail, Error> {
        let service = self.world.store.service(organization, id).await?;
        let mut new = self.next(&service, Trigger::Manual).await?;
        new.no_cache = request.no_cache;
        if let Some(earlier) = request.image_of {
            let earlier = self.earlier(organization, &service, earlier).await?;
            new.revision = Revision::Existing {
                image: self.image_of(&earlier).await?,
            };
            new.trigger = Trigger::Redeploy;
            new.commit = earlier.commit;
            new.plan = earlier.plan;
            new.port = earlier.port;
        } else {
            new.revision = match (&service.source, &request.commit) {
                (Source::Git { .. }, commit) => Revision::Git { commit: commit.clone() },
                (_, Some(_)) => return Err(Error::field("commit", "only a service that comes from Git has commits")),
                (Source::Image { .. }, None) => Revision::Image,
                (Source::Upload { .. }, None) => {
                    return Err(Error::conflict(
                        "needs-upload",
                        "the service comes from uploads: upload an archive to deploy it, or redeploy an earlier deployment's image",
                    ));
                }
            };
        }
        self.enqueue(&service, new, None, request.replace_running).await
    }

    /// Keeps an uploaded archive, which is at [`Engine::upload_path`], and deploys it.
    ///
    /// # Errors
    /// When the service is missing, or does not come from uploads.
    pub async fn deploy_upload(
        &self,
        organization: OrganizationId,
        id: ServiceId,
        upload: UploadId,
        size_bytes: u64,
        no_cache: bool,
    ) -> Result<DeploymentDetail, Error> {
        let service = self.service_for_upload(organization, id).await?;
        let mut new = self.next(&service, Trigger::Upload).await?;
        new.revision = Revision::Upload { upload };
        new.no_cache = no_cache;
        self.enqueue(&service, new, Some((upload, size_bytes)), false).await
    }

    /// The service, if it takes uploads.
    ///
    /// # Errors
    /// When it is missing, or comes from somewhere else.
    pub async fn service_for_upload(&self, organization: OrganizationId, id: ServiceId) -> Result<Service, Error> {
        let service = self.world.store.service(organization, id).await?;
        if !matches!(service.source, Source::Upload { .. }) {
            return Err(Error::conflict(
                "not-an-upload",
                "the service does not come from uploads: change its source first",
            ));
        }
        Ok(service)
    }

    /// Where the bytes of an upload are to be put.
    #[must_use]
    pub fn upload_path(&self, upload: UploadId) -> std::path::PathBuf {
        self.world.upload_file(upload)
    }

    /// Deploys the image, variables and settings of an earlier deployment, as they were.
    ///
    /// # Errors
    /// When it is missing, never worked, or its image is gone.
    pub async fn roll_back(
        &self,
        organization: OrganizationId,
        service: ServiceId,
        to: DeploymentId,
    ) -> Result<DeploymentDetail, Error> {
        let service = self.world.store.service(organization, service).await?;
        let earlier = self.earlier(organization, &service, to).await?;
        if earlier.went_live_at_ms.is_none() {
            return Err(Error::conflict(
                "never-live",
                "that deployment was never live: there is nothing to go back to",
            ));
        }
        let new = NewDeployment {
            id: DeploymentId::mint(),
            organization,
            service: service.id,
            trigger: Trigger::Rollback,
            revision: Revision::Existing {
                image: self.image_of(&earlier).await?,
            },
            no_cache: false,
            made: earlier.made.clone(),
            environment: self.world.store.deployment_environment(earlier.id).await?,
            commit: earlier.commit,
            plan: earlier.plan,
            port: earlier.port,
        };
        self.enqueue(&service, new, None, false).await
    }

    /// Tries an earlier deployment again, with the settings and variables of now.
    ///
    /// # Errors
    /// When it is missing or under way, or its upload is gone.
    pub async fn retry(&self, organization: OrganizationId, id: DeploymentId) -> Result<DeploymentDetail, Error> {
        let earlier = self.world.store.deployment(organization, id).await?;
        if !earlier.status.is_final() {
            return Err(Error::conflict("under-way", "that deployment is under way"));
        }
        let service = self.world.store.service(organization, earlier.service).await?;
        if let Revision::Upload { upload } = earlier.revision
            && !tokio::fs::try_exists(self.world.upload_file(upload))
                .await
                .unwrap_or(false)
        {
            return Err(Error::conflict(
                "upload-gone",
                "its uploaded archive is not there any more: upload it again",
            ));
        }
        let mut new = self.next(&service, earlier.trigger).await?;
        new.made.source = earlier.made.source.clone();
        new.revision = match (&earlier.revision, &earlier.commit) {
            (Revision::Git { .. }, Some(facts)) => Revision::Git {
                commit: Some(facts.commit.clone()),
            },
            (revision, _) => revision.clone(),
        };
        if matches!(new.revision, Revision::Existing { .. }) {
            // Nothing is planned anew: what is known of the image is known.
            new.commit = earlier.commit;
            new.plan = earlier.plan;
            new.port = earlier.port;
        }
        self.enqueue(&service, new, None, false).await
    }

    /// Cancels a deployment: one that waits is over at once, one that is under way stops within seconds.
    ///
    /// # Errors
    /// When it is missing, or over.
    pub async fn cancel(&self, organization: OrganizationId, id: DeploymentId) -> Result<DeploymentDetail, Error> {
        let deployment = self.world.store.deployment(organization, id).await?;
        let asked = store::transaction!(self.world.store, |write| {
            if !write.request_cancel(id).await? {
                return Ok(false);
            }
            if deployment.status == DeploymentStatus::Queued && write.cancel_waiting("deploy", &id.to_string()).await? {
                let ending = Ending {
                    event: DeploymentEvent::Cancel,
                    reason: &Reason::new("cancelled", "it was cancelled before it began", ""),
                    phase: Phase::Provision,
                    left: "it had not begun",
                };
                ending::end(&mut write, id, &ending).await?;
            }
            true
        })?;
        if !asked {
            let name = deployment.status.name();
            return Err(Error::conflict("over", format!("the deployment is over: it is {name}")));
        }
        self.world.notices.cancel();
        self.world.notices.job();
        self.world.notices.tell(Notice::Deployment(id));
        self.deployment(organization, id).await
    }

    /// One deployment.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn deployment(&self, organization: OrganizationId, id: DeploymentId) -> Result<DeploymentDetail, Error> {
        let store = &self.world.store;
        let deployment = store.deployment(organization, id).await?;
        let service = store.service(organization, deployment.service).await?;
        let environment = store
            .deployment_environment(id)
            .await?
            .into_iter()
            .map(|(key, (kind, value))| {
                let shown = (kind == VariableKind::Static).then_some(value);
                (key, kind, shown)
            });
        Ok(DeploymentDetail {
            current: service.current == Some(id),
            url: self.world.url_of(&service.host),
            phases: store.phases(id).await?,
            steps: store.steps(id).await?,
            environment: environment.collect(),
            deployment,
        })
    }

    /// The deployments of a service with a number below `before`, newest first, and which one serves.
    ///
    /// # Errors
    /// When the service is missing.
    pub async fn deployments(
        &self,
        organization: OrganizationId,
        service: ServiceId,
        before: i64,
        limit: i64,
    ) -> Result<(Vec<Deployment>, Option<DeploymentId>), Error> {
        let service = self.world.store.service(organization, service).await?;
        Ok((
            self.world.store.deployments(service.id, before, limit).await?,
            service.current,
        ))
    }

    /// A deployment with the settings and variables of now; the caller says which version.
    async fn next(&self, service: &Service, trigger: Trigger) -> Result<NewDeployment, Error> {
        let variables = self.world.store.variables(service.organization, service.id).await?;
        let environment: Environment = variables
            .into_iter()
            .map(|v| (v.key, (v.kind, v.value.expose().to_owned())))
            .collect();
        Ok(NewDeployment {
            id: DeploymentId::mint(),
            organization: service.organization,
            service: service.id,
            trigger,
            revision: Revision::Image,
            no_cache: false,
            made: Made {
                source: service.source.clone(),
                settings: service.settings.clone(),
            },
            environment,
            commit: None,
            plan: None,
            port: None,
        })
    }

    /// An earlier deployment of this very service.
    async fn earlier(
        &self,
        organization: OrganizationId,
        service: &Service,
        id: DeploymentId,
    ) -> Result<Deployment, Error> {
        let earlier = self.world.store.deployment(organization, id).await?;
        if earlier.service != service.id {
            return Err(Error::Store(store::Error::Missing {
                what: "deployment",
                key: id.to_string(),
            }));
        }
        Ok(earlier)
    }

    /// The image of an earlier deployment, looked at before anything else is done.
    async fn image_of(&self, earlier: &Deployment) -> Result<domain::ports::image::StoredImage, Error> {
        let gone = || {
            Error::conflict(
                "image-gone",
                "the image of that deployment is not there any more: deploy its commit again",
            )
        };
        let image = earlier
            .image
            .clone()
            .filter(|_| !earlier.image_removed)
            .ok_or_else(gone)?;
        if self.world.images.exists(&image).await? {
            Ok(image)
        } else {
            Err(gone())
        }
    }

    async fn enqueue(
        &self,
        service: &Service,
        new: NewDeployment,
        upload: Option<(UploadId, u64)>,
        replace_running: bool,
    ) -> Result<DeploymentDetail, Error> {
        if service.wanted == Wanted::Removed {
            return Err(Error::conflict("being-removed", "the service is being removed"));
        }
        let store = &self.world.store;
        let serial_key = service.id.to_string();
        let moved = store::transaction!(store, |write| {
            // It locks the service: what waits and what runs is seen by one after the other.
            write.insert_deployment(store, &new).await?;
            if let Some((upload, size_bytes)) = upload {
                write.insert_upload(upload, service.id, size_bytes).await?;
            }
            let mut moved = Vec::new();
            for queued in write.queued_deployments(service.id, new.id).await? {
                let taken = write.cancel_waiting("deploy", &queued.to_string()).await?;
                if taken {
                    let reason = Reason::new(
                        "superseded",
                        format!("a newer deployment ({}) took its place", new.id),
                        "",
                    );
                    let ending = Ending {
                        event: DeploymentEvent::Supersede,
                        reason: &reason,
                        phase: Phase::Provision,
                        left: "",
                    };
                    ending::end(&mut write, queued, &ending).await?;
                    moved.push(queued);
                }
            }
            if replace_running {
                for running in write.running_deployments(service.id, new.id).await? {
                    write.request_cancel(running).await?;
                    moved.push(running);
                }
            }
            write
                .enqueue(service.organization, "deploy", &new.id.to_string(), &serial_key)
                .await?;
            moved
        })?;
        self.world.notices.job();
        self.world.notices.cancel();
        for id in moved {
            self.world.notices.tell(Notice::Deployment(id));
        }
        self.deployment(service.organization, new.id).await
    }
}
