//! Services.

use domain::{
    DeploymentId, JobId, OrganizationId, ProjectId, Reason, SecretText, ServiceId, UploadId,
    names::{HostName, Slug},
    service::ServiceSettings,
    source::Source,
};

use crate::{
    Error, Result, Store, Write, now_ms,
    sql::{Row, query},
    transaction,
};

/// What a service is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Serve its current deployment.
    Running,
    /// Nothing.
    Stopped,
    /// Go.
    Removed,
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
        }
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its tenant.
    pub organization: OrganizationId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: Slug,
    /// Its generated host name.
    pub host: HostName,
    /// Where it comes from.
    pub source: Source,
    /// How it is built and run.
    pub settings: ServiceSettings,
    /// What it is meant to do.
    pub wanted: Wanted,
    /// Why it does not serve as it should, as the reconcilers saw last.
    pub unhealthy: Option<Reason>,
    /// The deployment that serves, or would.
    pub current: Option<DeploymentId>,
    /// The job that started what serves: names its instances.
    pub current_job: Option<JobId>,
    /// The public half of its deploy key.
    pub deploy_key: Option<String>,
    /// Grows with each change of the user's.
    pub version: i64,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
}

const GET: &str = "SELECT * FROM services WHERE organization_id = ? AND id = ?";
const GET_ANY: &str = "SELECT * FROM services WHERE id = ?";
const LIST: &str = "SELECT * FROM services WHERE organization_id = ? AND project_id = ? AND id > ? AND (? = '' OR name = ?) \
    ORDER BY id LIMIT ?";
const ALL: &str = "SELECT * FROM services";
const ALL_AFTER: &str = "SELECT * FROM services WHERE id > ? ORDER BY id LIMIT ?";
const LOCK: &str = "SELECT id FROM services WHERE id = ?";
const LOCK_PROJECT: &str = "SELECT id FROM projects WHERE id = ?";
const OF_PROJECT: &str = "SELECT id FROM services WHERE organization_id = ? AND project_id = ? ORDER BY id";
const INSERT: &str = "INSERT INTO services (id, organization_id, project_id, name, host, source, settings, created_at_ms) \
    SELECT ?, ?, id, ?, ?, ?, ?, ? FROM projects WHERE id = ? AND organization_id = ? AND removing = 0";
const UPDATE: &str =
    "UPDATE services SET name = ?, source = ?, settings = ?, version = version + 1 WHERE id = ? AND version = ?";
const SET_WANTED: &str = "UPDATE services SET wanted = ? WHERE id = ? AND wanted <> 'removed'";
const SET_CURRENT: &str =
    "UPDATE services SET current_deployment_id = ?, current_job_id = ?, unhealthy_reason = NULL WHERE id = ?";
const SET_UNHEALTHY: &str = "UPDATE services SET unhealthy_reason = ? WHERE id = ?";
const SET_KEY: &str =
    "UPDATE services SET deploy_key_public = ?, deploy_key_sealed = ?, version = version + 1 WHERE id = ?";
const GET_KEY: &str = "SELECT deploy_key_sealed FROM services WHERE id = ?";
const DELETE: &str = "DELETE FROM services WHERE id = ?";
const INSERT_UPLOAD: &str = "INSERT INTO uploads (id, service_id, size_bytes, created_at_ms) VALUES (?, ?, ?, ?)";
const UPLOADS: &str = "SELECT id, service_id FROM uploads";
const DELETE_UPLOAD: &str = "DELETE FROM uploads WHERE id = ?";

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<T> {
    serde_json::from_str(row.get::<&str>(column)).map_err(Error::corrupt(column))
}

pub(crate) fn from_optional_json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>> {
    let Some(text) = row.get::<Option<&str>>(column) else {
        return Ok(None);
    };
    serde_json::from_str(text).map(Some).map_err(Error::corrupt(column))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types are always JSON: string keys, no failing serializer")
}

fn read(row: &Row) -> Result<Service> {
    Ok(Service {
        id: row.get::<&str>("id").parse().map_err(Error::corrupt("service id"))?,
        organization: row
            .get::<&str>("organization_id")
            .parse()
            .map_err(Error::corrupt("organization id"))?,
        project: row
            .get::<&str>("project_id")
            .parse()
            .map_err(Error::corrupt("project id"))?,
        name: row
            .get::<&str>("name")
            .parse()
            .map_err(Error::corrupt("service name"))?,
        host: row.get::<&str>("host").parse().map_err(Error::corrupt("host"))?,
        source: from_json(row, "source")?,
        settings: from_json(row, "settings")?,
        wanted: match row.get::<&str>("wanted") {
            "running" => Wanted::Running,
            "stopped" => Wanted::Stopped,
            _ => Wanted::Removed,
        },
        unhealthy: from_optional_json(row, "unhealthy_reason")?,
        current: match row.get::<Option<&str>>("current_deployment_id") {
            Some(id) => Some(id.parse().map_err(Error::corrupt("deployment id"))?),
            None => None,
        },
        current_job: match row.get::<Option<&str>>("current_job_id") {
            Some(id) => Some(id.parse().map_err(Error::corrupt("job id"))?),
            None => None,
        },
        deploy_key: row.get("deploy_key_public"),
        version: row.get("version"),
        created_at_ms: row.get("created_at_ms"),
    })
}

impl Store {
    /// Makes a service in a project that is not being removed.
    ///
    /// # Errors
    /// [`Error::Taken`], [`Error::Missing`] when the organization has no such project.
    pub async fn create_service(
        &self,
        organization: OrganizationId,
        project: ProjectId,
        name: &Slug,
        host: &HostName,
        source: &Source,
        settings: &ServiceSettings,
    ) -> Result<Service> {
        let id = ServiceId::mint();
        let end = transaction!(self, |write| {
            // Whoever says that the project is being removed, and then looks what is in it, waits for this one.
            write.lock(LOCK_PROJECT, &project.to_string()).await?;
            query(INSERT)
                .bind(id.to_string())
                .bind(organization.to_string())
                .bind(name.as_str())
                .bind(host.as_str())
                .bind(to_json(source))
                .bind(to_json(settings))
                .bind(now_ms())
                .bind(project.to_string())
                .bind(organization.to_string())
                .execute(&mut write.transaction)
                .await?
        });
        if end.map_err(Error::taken("service"))? == 0 {
            return Err(Error::missing("project", project));
        }
        self.service(organization, id).await
    }

    /// One service of an organization.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn service(&self, organization: OrganizationId, id: ServiceId) -> Result<Service> {
        let row = query(GET)
            .bind(organization.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or_else(|| Error::missing("service", id))?;
        read(&row)
    }

    /// One service of any organization: for the engine's own work, never for a request.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_service(&self, id: ServiceId) -> Result<Option<Service>> {
        query(GET_ANY)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// Services of a project after an id, in order; only those of that name, when one is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn services(
        &self,
        organization: OrganizationId,
        project: ProjectId,
        after: &str,
        name: &str,
        limit: i64,
    ) -> Result<Vec<Service>> {
        let rows = query(LIST)
            .bind(organization.to_string())
            .bind(project.to_string())
            .bind(after)
            .bind(name)
            .bind(name)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Every service of the installation, for the reconcilers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all_services(&self) -> Result<Vec<Service>> {
        query(ALL).fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    /// Services of the installation after an id, in order, for the reconcilers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_services_after(&self, after: &str, limit: i64) -> Result<Vec<Service>> {
        let rows = query(ALL_AFTER).bind(after).bind(limit).fetch_all(&self.readers);
        rows.await?.iter().map(read).collect()
    }

    /// Changes a service that is still as the caller saw it.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::Taken`].
    pub async fn update_service(&self, service: &Service) -> Result<()> {
        let done = self
            .change(
                query(UPDATE)
                    .bind(service.name.as_str())
                    .bind(to_json(&service.source))
                    .bind(to_json(&service.settings))
                    .bind(service.id.to_string())
                    .bind(service.version),
            )
            .await
            .map_err(Error::taken("service"))?;
        if done == 0 {
            return Err(Error::stale("service", service.id));
        }
        Ok(())
    }

    /// Keeps what the reconcilers saw.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_unhealthy(&self, id: ServiceId, reason: Option<&Reason>) -> Result<()> {
        self.change(query(SET_UNHEALTHY).bind(reason.map(to_json)).bind(id.to_string()))
            .await
            .map(drop)
    }

    /// Keeps a deploy key, its private half sealed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_deploy_key(&self, service: &Service, private: &SecretText, public: &str) -> Result<()> {
        let row = format!("services/{}/deploy_key", service.id);
        let sealed = self
            .sealer
            .seal(service.organization, &row, private.expose().as_bytes())?;
        self.change(query(SET_KEY).bind(public).bind(sealed).bind(service.id.to_string()))
            .await
            .map(drop)
    }

    /// The private half of the deploy key.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn deploy_key(&self, service: &Service) -> Result<Option<SecretText>> {
        let row = query(GET_KEY)
            .bind(service.id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        let Some(sealed) = row.and_then(|row| row.get::<Option<Vec<u8>>>("deploy_key_sealed")) else {
            return Ok(None);
        };
        let name = format!("services/{}/deploy_key", service.id);
        let opened = self.sealer.open(service.organization, &name, &sealed)?;
        Ok(Some(SecretText::new(
            String::from_utf8(opened).map_err(Error::corrupt("deploy key"))?,
        )))
    }

    /// Forgets a service with all its rows. Absence is success.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_service(&self, id: ServiceId) -> Result<()> {
        self.change(query(DELETE).bind(id.to_string())).await.map(drop)
    }

    /// The uploads that are known, for the reconciler of their files.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn uploads(&self) -> Result<Vec<(UploadId, ServiceId)>> {
        let rows = query(UPLOADS).fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| {
                let id = row.get::<&str>("id").parse().map_err(Error::corrupt("upload id"))?;
                let service = row
                    .get::<&str>("service_id")
                    .parse()
                    .map_err(Error::corrupt("service id"))?;
                Ok((id, service))
            })
            .collect()
    }

    /// Forgets an upload. Absence is success.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_upload(&self, id: UploadId) -> Result<()> {
        self.change(query(DELETE_UPLOAD).bind(id.to_string())).await.map(drop)
    }
}

impl Write {
    /// Keeps others from deciding about a service until this write ends; for one that touches the service after its job.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_service(&mut self, id: ServiceId) -> Result<()> {
        self.lock(LOCK, &id.to_string()).await.map(drop)
    }

    /// The services of a project. After [`Write::mark_project_removing`] none comes to them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn services_of_project(
        &mut self,
        organization: OrganizationId,
        project: ProjectId,
    ) -> Result<Vec<ServiceId>> {
        let rows = query(OF_PROJECT)
            .bind(organization.to_string())
            .bind(project.to_string())
            .fetch_all(&mut self.transaction)
            .await?;
        rows.iter()
            .map(|row| row.get::<&str>("id").parse().map_err(Error::corrupt("service id")))
            .collect()
    }

    /// Says what a service is meant to do from now on. One that is to be removed stays so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_wanted(&mut self, id: ServiceId, wanted: Wanted) -> Result<()> {
        query(SET_WANTED)
            .bind(wanted.name())
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await?;
        Ok(())
    }

    /// Says which deployment serves, started by which job.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_current(&mut self, id: ServiceId, deployment: DeploymentId, job: JobId) -> Result<()> {
        query(SET_CURRENT)
            .bind(deployment.to_string())
            .bind(job.to_string())
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await?;
        Ok(())
    }

    /// Keeps an upload.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_upload(&mut self, id: UploadId, service: ServiceId, size_bytes: u64) -> Result<()> {
        query(INSERT_UPLOAD)
            .bind(id.to_string())
            .bind(service.to_string())
            .bind(i64::try_from(size_bytes).unwrap_or(i64::MAX))
            .bind(now_ms())
            .execute(&mut self.transaction)
            .await?;
        Ok(())
    }
}
