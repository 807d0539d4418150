//! Deployments. Their phases and steps: [`phases`](crate::phases).

use std::collections::{BTreeMap, HashMap};

use domain::{
    DeploymentId, OrganizationId, Reason, ServiceId,
    deployment::{DeploymentEvent, DeploymentStatus, Trigger},
    environment::VariableKind,
    names::VariableKey,
    ports::{image::StoredImage, source::CommitFacts},
    service::ServiceSettings,
    source::{Revision, Source},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, Store, Write, now_ms,
    services::{Service, from_json, from_optional_json, to_json},
    sql::{Row, Statement, query},
    transaction,
};

/// What a deployment was made with; it never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Where its files come from.
    pub source: Source,
    /// How it is built and run.
    pub settings: ServiceSettings,
}

/// The variables that a deployment was made with, by name.
pub type Environment = BTreeMap<VariableKey, (VariableKind, String)>;

/// A deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its service.
    pub service: ServiceId,
    /// The service's first is 1.
    pub number: i64,
    /// How far it is.
    pub status: DeploymentStatus,
    /// Why it was made.
    pub trigger: Trigger,
    /// Which version it takes.
    pub revision: Revision,
    /// Build everything anew.
    pub no_cache: bool,
    /// What it was made with.
    pub made: Made,
    /// The commit that was found.
    pub commit: Option<CommitFacts>,
    /// What was detected, and why.
    pub plan: Option<serde_json::Value>,
    /// What runs.
    pub image: Option<StoredImage>,
    /// Retention removed the image.
    pub image_removed: bool,
    /// Retention removed the log.
    pub log_removed: bool,
    /// The port on which it was found listening.
    pub port: Option<u16>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Someone asked to cancel it.
    pub cancel_requested: bool,
    /// Milliseconds since 1970.
    pub went_live_at_ms: Option<i64>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<i64>,
}

/// What is needed to make one. It has no `Debug`: its variables are not sealed yet.
#[derive(Clone)]
pub struct NewDeployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its tenant.
    pub organization: OrganizationId,
    /// Its service.
    pub service: ServiceId,
    /// Why.
    pub trigger: Trigger,
    /// Which version.
    pub revision: Revision,
    /// Build everything anew.
    pub no_cache: bool,
    /// With what.
    pub made: Made,
    /// With which variables.
    pub environment: Environment,
    /// What is known already, when an earlier deployment is repeated.
    pub commit: Option<CommitFacts>,
    /// What was detected then.
    pub plan: Option<serde_json::Value>,
    /// The port that was found then.
    pub port: Option<u16>,
}

const COLUMNS: &str = "SELECT * FROM deployments WHERE id = ?";
const OF_ORGANIZATION: &str = "SELECT d.* FROM deployments d JOIN services s ON s.id = d.service_id \
    WHERE s.organization_id = ? AND d.id = ?";
const LIST: &str = "SELECT * FROM deployments WHERE service_id = ? AND number < ? ORDER BY number DESC LIMIT ?";
const LATEST: &str = "SELECT d.* FROM services s \
    JOIN deployments d ON d.service_id = s.id AND d.number = s.deployment_count \
    WHERE s.organization_id = ? AND s.project_id = ? AND s.id >= ? AND s.id <= ?";
const ANY_LATEST: &str = "SELECT d.* FROM services s \
    JOIN deployments d ON d.service_id = s.id AND d.number = s.deployment_count WHERE s.id >= ? AND s.id <= ?";
const ANY_CURRENT: &str = "SELECT d.* FROM services s JOIN deployments d ON d.id = s.current_deployment_id \
    WHERE s.id >= ? AND s.id <= ?";
const UNFINISHED: &str = "SELECT * FROM deployments \
    WHERE status IN ('queued', 'provisioning', 'building', 'pushing', 'releasing', 'checking')";
const WITH_IMAGE: &str =
    "SELECT * FROM deployments WHERE service_id = ? AND image IS NOT NULL AND image_removed = 0 ORDER BY number DESC";
const OF_IMAGE: &str = "SELECT image FROM deployments WHERE id <> ? AND image IS NOT NULL AND image_removed = 0 \
    AND image LIKE ? ESCAPE '!'";
pub(crate) const LOCK: &str = "SELECT id FROM deployments WHERE id = ?";
const COUNT_UP: &str =
    "UPDATE services SET deployment_count = deployment_count + 1 WHERE id = ? AND wanted <> 'removed'";
const NUMBER: &str = "SELECT deployment_count FROM services WHERE id = ?";
const INSERT: &str = "INSERT INTO deployments (id, service_id, number, status, cause, revision, no_cache, settings, \
    sealed_environment, commit_id, commit_message, commit_author, plan, port, created_at_ms) \
    VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const ENVIRONMENT: &str = "SELECT d.sealed_environment, s.organization_id FROM deployments d \
    JOIN services s ON s.id = d.service_id WHERE d.id = ?";
const QUEUED: &str = "SELECT id FROM deployments WHERE service_id = ? AND status = 'queued' AND id <> ?";
const RUNNING: &str = "SELECT id FROM deployments WHERE service_id = ? AND id <> ? \
    AND status NOT IN ('queued', 'live', 'failed', 'cancelled', 'superseded')";
const MOVE: &str = "UPDATE deployments SET status = ? WHERE id = ? AND status = ?";
const MOVE_LIVE: &str = "UPDATE deployments SET status = 'live', went_live_at_ms = ? \
    WHERE id = ? AND status = 'checking' AND cancel_requested = 0";
const FINISH: &str = "UPDATE deployments SET status = ?, reason = ?, finished_at_ms = ? WHERE id = ? AND status = ?";
const FINISHED: &str = "UPDATE deployments SET finished_at_ms = ? WHERE id = ? AND finished_at_ms IS NULL";
const REQUEST_CANCEL: &str = "UPDATE deployments SET cancel_requested = 1 WHERE id = ? \
    AND status NOT IN ('live', 'failed', 'cancelled', 'superseded')";
const SET_COMMIT: &str = "UPDATE deployments SET commit_id = ?, commit_message = ?, commit_author = ? WHERE id = ?";
const SET_PLAN: &str = "UPDATE deployments SET plan = ? WHERE id = ?";
const SET_IMAGE: &str = "UPDATE deployments SET image = ?, image_removed = 0 WHERE id = ?";
const SET_PORT: &str = "UPDATE deployments SET port = ? WHERE id = ?";
const IMAGE_REMOVED: &str = "UPDATE deployments SET image_removed = 1 WHERE id = ?";

fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Manual => "manual",
        Trigger::Upload => "upload",
        Trigger::Redeploy => "redeploy",
        Trigger::Rollback => "rollback",
    }
}

fn read(row: &Row) -> Result<Deployment> {
    let commit = row
        .get::<Option<&str>>("commit_id")
        .map(|commit| -> Result<CommitFacts> {
            Ok(CommitFacts {
                commit: commit.parse().map_err(Error::corrupt("commit"))?,
                message: row.get::<Option<String>>("commit_message").unwrap_or_default(),
                author: row.get::<Option<String>>("commit_author").unwrap_or_default(),
            })
        });
    let status = row.get::<&str>("status");
    Ok(Deployment {
        id: row.get::<&str>("id").parse().map_err(Error::corrupt("deployment id"))?,
        service: row
            .get::<&str>("service_id")
            .parse()
            .map_err(Error::corrupt("service id"))?,
        number: row.get("number"),
        status: DeploymentStatus::parse(status).ok_or_else(|| Error::missing("status", status))?,
        trigger: match row.get::<&str>("cause") {
            "upload" => Trigger::Upload,
            "redeploy" => Trigger::Redeploy,
            "rollback" => Trigger::Rollback,
            _ => Trigger::Manual,
        },
        revision: from_json(row, "revision")?,
        no_cache: row.get::<i64>("no_cache") != 0,
        made: from_json(row, "settings")?,
        commit: commit.transpose()?,
        plan: from_optional_json(row, "plan")?,
        image: from_optional_json(row, "image")?,
        image_removed: row.get::<i64>("image_removed") != 0,
        log_removed: row.get::<i64>("log_removed") != 0,
        port: row.get::<Option<i64>>("port").and_then(|port| u16::try_from(port).ok()),
        reason: from_optional_json(row, "reason")?,
        cancel_requested: row.get::<i64>("cancel_requested") != 0,
        went_live_at_ms: row.get("went_live_at_ms"),
        created_at_ms: row.get("created_at_ms"),
        finished_at_ms: row.get("finished_at_ms"),
    })
}

/// The first and the last of a page that is in the order of ids.
fn ends(page: &[Service]) -> Option<(ServiceId, ServiceId)> {
    Some((page.first()?.id, page.last()?.id))
}

fn environment_row(id: DeploymentId) -> String {
    format!("deployments/{id}/environment")
}

impl Store {
    /// One deployment of an organization.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn deployment(&self, organization: OrganizationId, id: DeploymentId) -> Result<Deployment> {
        let row = query(OF_ORGANIZATION)
            .bind(organization.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or_else(|| Error::missing("deployment", id))?;
        read(&row)
    }

    /// One deployment of any organization: for the engine's own work, never for a request.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_deployment(&self, id: DeploymentId) -> Result<Option<Deployment>> {
        query(COLUMNS)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// Deployments of a service with a number below `before`, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployments(&self, service: ServiceId, before: i64, limit: i64) -> Result<Vec<Deployment>> {
        let rows = query(LIST)
            .bind(service.to_string())
            .bind(before)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The newest deployment of each of a page of services, which lie in one project.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_deployments(&self, page: &[Service]) -> Result<HashMap<ServiceId, Deployment>> {
        let Some((first, last)) = ends(page) else {
            return Ok(HashMap::new());
        };
        let latest = query(LATEST)
            .bind(page[0].organization.to_string())
            .bind(page[0].project.to_string());
        self.of_services(latest, first, last).await
    }

    /// The newest deployment of each of a page of all services, for the reconcilers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_latest_deployments(&self, page: &[Service]) -> Result<HashMap<ServiceId, Deployment>> {
        match ends(page) {
            Some((first, last)) => self.of_services(query(ANY_LATEST), first, last).await,
            None => Ok(HashMap::new()),
        }
    }

    /// The current deployment of each of a page of all services, for the reconcilers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_current_deployments(&self, page: &[Service]) -> Result<HashMap<ServiceId, Deployment>> {
        match ends(page) {
            Some((first, last)) => self.of_services(query(ANY_CURRENT), first, last).await,
            None => Ok(HashMap::new()),
        }
    }

    async fn of_services(
        &self,
        statement: Statement,
        first: ServiceId,
        last: ServiceId,
    ) -> Result<HashMap<ServiceId, Deployment>> {
        let statement = statement.bind(first.to_string()).bind(last.to_string());
        let rows = statement.fetch_all(&self.readers).await?;
        let deployments = rows
            .iter()
            .map(read)
            .map(|found| found.map(|found| (found.service, found)));
        deployments.collect()
    }

    /// Every deployment that is not over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished_deployments(&self) -> Result<Vec<Deployment>> {
        query(UNFINISHED)
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// The deployments of a service whose image was not removed, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployments_with_image(&self, service: ServiceId) -> Result<Vec<Deployment>> {
        query(WITH_IMAGE)
            .bind(service.to_string())
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// Whether another deployment, of whatever service, has an image of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_image_of_others(&self, image: &StoredImage, but: DeploymentId) -> Result<bool> {
        let rows = query(OF_IMAGE)
            .bind(but.to_string())
            .bind(crate::logs::pattern(&image.reference))
            .fetch_all(&self.readers)
            .await?;
        for row in &rows {
            let other: Option<StoredImage> = from_optional_json(row, "image")?;
            if other.is_some_and(|other| other.reference == image.reference) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The variables that a deployment was made with.
    ///
    /// # Errors
    /// [`Error::Sealed`] with another `ENCRYPTION_KEY`.
    pub async fn deployment_environment(&self, id: DeploymentId) -> Result<Environment> {
        let row = query(ENVIRONMENT)
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or_else(|| Error::missing("deployment", id))?;
        let organization = row
            .get::<&str>("organization_id")
            .parse()
            .map_err(Error::corrupt("organization id"))?;
        let opened = self
            .sealer
            .open(organization, &environment_row(id), row.get("sealed_environment"))?;
        serde_json::from_slice(&opened).map_err(Error::corrupt("environment"))
    }

    /// Asks for a running deployment to be cancelled; false when it is over already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn request_cancel(&self, id: DeploymentId) -> Result<bool> {
        transaction!(self, |write| { write.request_cancel(id).await? })
    }

    /// Moves a deployment from the status that the caller saw.
    ///
    /// # Errors
    /// [`Error::Stale`] when it has another one by now.
    pub async fn move_deployment(
        &self,
        id: DeploymentId,
        from: DeploymentStatus,
        event: DeploymentEvent,
    ) -> Result<DeploymentStatus> {
        let to = from.after(event).map_err(Error::corrupt("deployment status"))?;
        let statement = query(MOVE).bind(to.name()).bind(id.to_string()).bind(from.name());
        if self.change(statement).await? == 0 {
            return Err(Error::stale("deployment", id));
        }
        Ok(to)
    }

    /// Keeps which commit was found.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_commit(&self, id: DeploymentId, facts: &CommitFacts) -> Result<()> {
        self.change(
            query(SET_COMMIT)
                .bind(facts.commit.as_str())
                .bind(&facts.message)
                .bind(&facts.author)
                .bind(id.to_string()),
        )
        .await
        .map(drop)
    }

    /// Keeps what was detected.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_plan(&self, id: DeploymentId, plan: &serde_json::Value) -> Result<()> {
        self.change(query(SET_PLAN).bind(to_json(plan)).bind(id.to_string()))
            .await
            .map(drop)
    }

    /// Keeps what runs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_image(&self, id: DeploymentId, image: &StoredImage) -> Result<()> {
        self.change(query(SET_IMAGE).bind(to_json(image)).bind(id.to_string()))
            .await
            .map(drop)
    }

    /// Keeps the port that was found.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_port(&self, id: DeploymentId, port: u16) -> Result<()> {
        self.change(query(SET_PORT).bind(i64::from(port)).bind(id.to_string()))
            .await
            .map(drop)
    }

    /// Keeps that retention removed the image.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_image_removed(&self, id: DeploymentId) -> Result<()> {
        self.change(query(IMAGE_REMOVED).bind(id.to_string())).await.map(drop)
    }
}

impl Write {
    /// Makes a deployment, queued, with the service's next number.
    ///
    /// # Errors
    /// [`Error::Missing`] when the service is gone or going.
    pub async fn insert_deployment(&mut self, store: &Store, new: &NewDeployment) -> Result<()> {
        let service = new.service.to_string();
        let done = query(COUNT_UP).bind(&service).execute(&mut self.transaction).await?;
        if done == 0 {
            return Err(Error::missing("service", new.service));
        }
        let number: i64 = query(NUMBER)
            .bind(&service)
            .fetch_one(&mut self.transaction)
            .await?
            .get("deployment_count");
        let environment = serde_json::to_vec(&new.environment).map_err(Error::corrupt("environment"))?;
        let sealed = store
            .sealer
            .seal(new.organization, &environment_row(new.id), &environment)?;
        query(INSERT)
            .bind(new.id.to_string())
            .bind(&service)
            .bind(number)
            .bind(trigger_name(new.trigger))
            .bind(to_json(&new.revision))
            .bind(i64::from(new.no_cache))
            .bind(to_json(&new.made))
            .bind(sealed)
            .bind(new.commit.as_ref().map(|facts| facts.commit.to_string()))
            .bind(new.commit.as_ref().map(|facts| facts.message.clone()))
            .bind(new.commit.as_ref().map(|facts| facts.author.clone()))
            .bind(new.plan.as_ref().map(to_json))
            .bind(new.port.map(i64::from))
            .bind(now_ms())
            .execute(&mut self.transaction)
            .await?;
        Ok(())
    }

    /// The other deployments of the service that wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queued_deployments(&mut self, service: ServiceId, but: DeploymentId) -> Result<Vec<DeploymentId>> {
        self.deployment_ids(QUEUED, service, but).await
    }

    /// The other deployments of the service that are under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn running_deployments(&mut self, service: ServiceId, but: DeploymentId) -> Result<Vec<DeploymentId>> {
        self.deployment_ids(RUNNING, service, but).await
    }

    async fn deployment_ids(
        &mut self,
        sql: &'static str,
        service: ServiceId,
        but: DeploymentId,
    ) -> Result<Vec<DeploymentId>> {
        let rows = query(sql)
            .bind(service.to_string())
            .bind(but.to_string())
            .fetch_all(&mut self.transaction)
            .await?;
        rows.iter()
            .map(|row| row.get::<&str>("id").parse().map_err(Error::corrupt("deployment id")))
            .collect()
    }

    /// Asks for a deployment to be cancelled; false when it is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn request_cancel(&mut self, id: DeploymentId) -> Result<bool> {
        let done = query(REQUEST_CANCEL)
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await?;
        Ok(done > 0)
    }

    /// Says that the deployment serves.
    ///
    /// # Errors
    /// [`Error::Stale`] when it was not being checked, or someone asked to cancel it: from here on nobody can.
    pub async fn go_live(&mut self, id: DeploymentId) -> Result<()> {
        let done = query(MOVE_LIVE)
            .bind(now_ms())
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await?;
        if done == 0 {
            Err(Error::stale("deployment", id))
        } else {
            Ok(())
        }
    }

    /// Says when a live deployment's work was over; false when that was said already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_finished(&mut self, id: DeploymentId) -> Result<bool> {
        let done = query(FINISHED)
            .bind(now_ms())
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await?;
        Ok(done > 0)
    }

    /// Notes that a deployment has no image any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_image_removed(&mut self, id: DeploymentId) -> Result<()> {
        query(IMAGE_REMOVED)
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await
            .map(drop)
    }

    /// Ends a deployment that did not go live, from whatever unfinished status it has; its running phases end with it.
    /// False when it is over already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_deployment(
        &mut self,
        id: DeploymentId,
        event: DeploymentEvent,
        reason: Option<&Reason>,
    ) -> Result<bool> {
        let row = query(COLUMNS)
            .bind(id.to_string())
            .locking()
            .fetch_optional(&mut self.transaction)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let from = read(&row)?.status;
        let Ok(to) = from.after(event) else { return Ok(false) };
        let done = query(FINISH)
            .bind(to.name())
            .bind(reason.map(to_json))
            .bind(now_ms())
            .bind(id.to_string())
            .bind(from.name())
            .execute(&mut self.transaction)
            .await?;
        let phase_status = if to == DeploymentStatus::Failed {
            "failed"
        } else {
            "cancelled"
        };
        self.end_phases(id, phase_status).await?;
        Ok(done > 0)
    }
}

#[cfg(test)]
mod tests {
    use domain::deployment::DeploymentStatus;

    use super::{REQUEST_CANCEL, RUNNING, UNFINISHED};

    #[test]
    fn the_statements_name_every_status_that_is_over_or_is_not() {
        for status in DeploymentStatus::ALL {
            let quoted = format!("'{}'", status.name());
            assert_eq!(UNFINISHED.contains(&quoted), !status.is_final(), "{quoted}");
            assert_eq!(REQUEST_CANCEL.contains(&quoted), status.is_final(), "{quoted}");
            let is_running = !status.is_final() && status != DeploymentStatus::Queued;
            assert_eq!(RUNNING.contains(&quoted), !is_running, "{quoted}");
        }
    }
}
