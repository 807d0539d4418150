//! The phases of deployments, and the steps of their builds: what whoever watches is shown.

use domain::{DeploymentId, ServiceId, deployment::Phase, ports::builder::BuildStep};

use crate::{Result, Store, Write, deployments::LOCK, now_ms, sql::query, transaction};

/// A phase of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseRow {
    /// Which.
    pub phase: String,
    /// `running`, `done`, `failed`, `cancelled`.
    pub status: String,
    /// Milliseconds since 1970.
    pub started_at_ms: i64,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<i64>,
    /// How long it may take.
    pub deadline_seconds: i64,
}

const PHASES: &str = "SELECT * FROM deployment_phases WHERE deployment_id = ? ORDER BY started_at_ms, phase";
const DROP_PHASE: &str = "DELETE FROM deployment_phases WHERE deployment_id = ? AND phase = ?";
const BEGIN_PHASE: &str = "INSERT INTO deployment_phases (deployment_id, phase, status, started_at_ms, deadline_seconds) \
    VALUES (?, ?, 'running', ?, ?)";
const END_PHASE: &str = "UPDATE deployment_phases SET status = ?, finished_at_ms = ? \
    WHERE deployment_id = ? AND phase = ? AND status = 'running'";
const END_PHASES: &str =
    "UPDATE deployment_phases SET status = ?, finished_at_ms = ? WHERE deployment_id = ? AND status = 'running'";
const END_DRAINS: &str = "UPDATE deployment_phases SET status = 'done', finished_at_ms = ? WHERE phase = 'drain' \
    AND status = 'running' AND deployment_id IN (SELECT id FROM deployments WHERE service_id = ?)";
const STEPS: &str = "SELECT * FROM deployment_steps WHERE deployment_id = ? ORDER BY position";
const UPDATE_STEP: &str =
    "UPDATE deployment_steps SET name = ?, cached = ?, seconds = ?, error = ? WHERE deployment_id = ? AND step_id = ?";
const INSERT_STEP: &str = "INSERT INTO deployment_steps (deployment_id, step_id, position, name, cached, seconds, error) \
    SELECT ?, ?, COUNT(*), ?, ?, ?, ? FROM deployment_steps WHERE deployment_id = ?";
const DROP_STEPS: &str = "DELETE FROM deployment_steps WHERE deployment_id = ?";

impl Store {
    /// Begins a phase, again after a crash.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_phase(&self, id: DeploymentId, phase: Phase, deadline_seconds: u32) -> Result<()> {
        let deployment = id.to_string();
        transaction!(self, |write| {
            write.lock(LOCK, &deployment).await?;
            query(DROP_PHASE)
                .bind(&deployment)
                .bind(phase.name())
                .execute(&mut write.transaction)
                .await?;
            query(BEGIN_PHASE)
                .bind(&deployment)
                .bind(phase.name())
                .bind(now_ms())
                .bind(i64::from(deadline_seconds))
                .execute(&mut write.transaction)
                .await?;
        })
    }

    /// Ends a phase.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_phase(&self, id: DeploymentId, phase: Phase, status: &str) -> Result<()> {
        self.change(
            query(END_PHASE)
                .bind(status)
                .bind(now_ms())
                .bind(id.to_string())
                .bind(phase.name()),
        )
        .await
        .map(drop)
    }

    /// Ends the draining of whatever served before, for which of the service's deployments it was begun.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_drains(&self, service: ServiceId) -> Result<()> {
        self.change(query(END_DRAINS).bind(now_ms()).bind(service.to_string()))
            .await
            .map(drop)
    }

    /// The phases, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn phases(&self, id: DeploymentId) -> Result<Vec<PhaseRow>> {
        let rows = query(PHASES).bind(id.to_string()).fetch_all(&self.readers).await?;
        Ok(rows
            .iter()
            .map(|row| PhaseRow {
                phase: row.get("phase"),
                status: row.get("status"),
                started_at_ms: row.get("started_at_ms"),
                finished_at_ms: row.get("finished_at_ms"),
                deadline_seconds: row.get("deadline_seconds"),
            })
            .collect())
    }

    /// Keeps steps of a build as they are now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_steps(&self, id: DeploymentId, steps: &[BuildStep]) -> Result<()> {
        let deployment = id.to_string();
        transaction!(self, |write| {
            // Positions are counted.
            write.lock(LOCK, &deployment).await?;
            for step in steps {
                let done = query(UPDATE_STEP)
                    .bind(&step.name)
                    .bind(i64::from(step.cached))
                    .bind(step.seconds)
                    .bind(&step.error)
                    .bind(&deployment)
                    .bind(&step.id)
                    .execute(&mut write.transaction)
                    .await?;
                if done == 0 {
                    query(INSERT_STEP)
                        .bind(&deployment)
                        .bind(&step.id)
                        .bind(&step.name)
                        .bind(i64::from(step.cached))
                        .bind(step.seconds)
                        .bind(&step.error)
                        .bind(&deployment)
                        .execute(&mut write.transaction)
                        .await?;
                }
            }
        })
    }

    /// Forgets the steps of a build that begins anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_steps(&self, id: DeploymentId) -> Result<()> {
        self.change(query(DROP_STEPS).bind(id.to_string())).await.map(drop)
    }

    /// The steps of the build, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn steps(&self, id: DeploymentId) -> Result<Vec<BuildStep>> {
        let rows = query(STEPS).bind(id.to_string()).fetch_all(&self.readers).await?;
        Ok(rows
            .iter()
            .map(|row| BuildStep {
                id: row.get("step_id"),
                name: row.get("name"),
                cached: row.get::<i64>("cached") != 0,
                seconds: row.get("seconds"),
                error: row.get("error"),
            })
            .collect())
    }
}

impl Write {
    /// Ends the phases that are not over.
    pub(crate) async fn end_phases(&mut self, id: DeploymentId, status: &str) -> Result<()> {
        query(END_PHASES)
            .bind(status)
            .bind(now_ms())
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await
            .map(drop)
    }
}
