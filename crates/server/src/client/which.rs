//! Which project, service and deployment a command means.

use api::wire::{DeploymentSummary, Project, Service};
use clap::Args;
use domain::{DeploymentId, ServiceId, names::Slug};

use super::{Session, error::ClientError};

/// The most pages of deployments that are looked through for one.
const PAGES: usize = 50;

/// Which project.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProjectOption {
    /// The project
    #[arg(long, env = "CLICK_DEPLOY_PROJECT", default_value = "default", value_name = "NAME")]
    pub(crate) project: Slug,
}

/// Which service, by option: for commands whose argument is something else.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceOption {
    /// The service: its name in the project, or its id
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) project: ProjectOption,
}

/// Which service, by argument or option.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// The service: its name in the project, or its id; without it the one named like this directory, or the only one
    #[arg(value_name = "SERVICE", conflicts_with = "service")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) option: ServiceOption,
}

impl Which {
    /// What was said, if anything.
    pub(crate) fn said(&self) -> Option<&str> {
        self.name.as_deref().or(self.option.service.as_deref())
    }

    /// The service.
    pub(crate) async fn service(&self, session: &Session) -> Result<Service, ClientError> {
        find(session, self.said(), &self.option.project.project).await
    }
}

impl ServiceOption {
    /// The service.
    pub(crate) async fn service(&self, session: &Session) -> Result<Service, ClientError> {
        find(session, self.service.as_deref(), &self.project.project).await
    }

    /// A deployment by its id or its number, or the one that `choose` takes out of the service's, newest first.
    pub(crate) async fn deployment(
        &self,
        session: &Session,
        said: Option<&str>,
        nothing: &str,
        choose: impl FnMut(&DeploymentSummary) -> bool,
    ) -> Result<DeploymentSummary, ClientError> {
        let Some(text) = said else {
            let service = self.service(session).await?;
            return search(session, &service, choose)
                .await?
                .ok_or_else(|| ClientError::missing(format!("service {}: {nothing}", service.name), SEE_DEPLOYMENTS));
        };
        if let Ok(id) = text.parse::<DeploymentId>() {
            return Ok(session.api.deployment(id).await?.summary);
        }
        let number: i64 = text.trim_start_matches('#').parse().map_err(|_| {
            ClientError::usage(
                format!("`{text}` is no deployment: it has an id (dep_…) or a number"),
                SEE_DEPLOYMENTS,
            )
        })?;
        let service = self.service(session).await?;
        search(session, &service, |deployment| deployment.number == number)
            .await?
            .ok_or_else(|| {
                ClientError::missing(
                    format!("service {} has no deployment {number}", service.name),
                    SEE_DEPLOYMENTS,
                )
            })
    }
}

const SEE_DEPLOYMENTS: &str = "`click-deploy deployments` lists them.";

async fn search(
    session: &Session,
    service: &Service,
    mut choose: impl FnMut(&DeploymentSummary) -> bool,
) -> Result<Option<DeploymentSummary>, ClientError> {
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let page = session.api.deployments(service.id, 50, cursor.as_deref()).await?;
        if let Some(found) = page.items.into_iter().find(|deployment| choose(deployment)) {
            return Ok(Some(found));
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(None)
}

/// The project of that name.
pub(crate) async fn project(session: &Session, name: &Slug) -> Result<Project, ClientError> {
    session.api.project_named(name).await?.ok_or_else(|| {
        ClientError::missing(
            format!("there is no project {name}"),
            "`click-deploy projects` lists them; --project or CLICK_DEPLOY_PROJECT chooses one.",
        )
    })
}

async fn find(session: &Session, said: Option<&str>, in_project: &Slug) -> Result<Service, ClientError> {
    if let Some(id) = said.and_then(|text| text.parse::<ServiceId>().ok()) {
        return session.api.service(id).await;
    }
    let name = said
        .map(Slug::parse)
        .transpose()
        .map_err(|bad| ClientError::usage(format!("`{}` is no service: {bad}", said.unwrap_or_default()), ""))?;
    let project = project(session, in_project).await?;
    if let Some(name) = name {
        return session.api.service_named(project.id, &name).await?.ok_or_else(|| {
            ClientError::missing(
                format!("project {in_project} has no service {name}"),
                "`click-deploy status` lists the services; --project chooses another project.",
            )
        });
    }
    let mut services = session.api.services(project.id).await?;
    let here = directory_name();
    let at = match services.iter().position(|service| here.as_ref() == Some(&service.name)) {
        None if services.len() == 1 => Some(0),
        found => found,
    };
    match at {
        Some(at) => Ok(services.swap_remove(at)),
        None if services.is_empty() => Err(ClientError::missing(
            format!("project {in_project} has no services"),
            "`click-deploy up` makes one; --project chooses another project.",
        )),
        None => {
            let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
            Err(ClientError::usage(
                format!("project {in_project} has several services: say which one"),
                format!("They are {}.", names.join(", ")),
            ))
        }
    }
}

/// The name that a service of this directory would get.
fn directory_name() -> Option<Slug> {
    let here = std::env::current_dir().ok()?;
    Some(Slug::near(&here.file_name()?.to_string_lossy()))
}
