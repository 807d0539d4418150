//! What is forgotten after a time, in statements of at most [`BATCH`] rows: whoever writes waits for one of them at most.
//! What is to be forgotten is looked for by the range of services that the caller goes through.

use domain::{DeploymentId, ServiceId};

use crate::{Error, Result, Store, now_ms, sql::query};

/// The most rows of one statement.
pub const BATCH: i64 = 1000;

/// A range of services.
#[derive(Debug, Clone)]
pub struct Range {
    /// The first service.
    pub first: ServiceId,
    /// The last one.
    pub last: ServiceId,
}

/// What there is of a service's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLog {
    /// Whose.
    pub service: ServiceId,
    /// The place of the newest line; 0 when there is none.
    pub newest: i64,
    /// The place of the oldest line.
    pub oldest: i64,
    /// When the oldest line was written, in nanoseconds since 1970.
    pub oldest_at_ns: i64,
}

const RUN_LOGS: &str = "SELECT s.id, (SELECT MAX(l.sequence) FROM service_logs l WHERE l.service_id = s.id) AS newest, \
    (SELECT MIN(l.sequence) FROM service_logs l WHERE l.service_id = s.id) AS oldest, \
    (SELECT l.at_ns FROM service_logs l WHERE l.service_id = s.id ORDER BY l.sequence LIMIT 1) AS oldest_at_ns \
    FROM services s WHERE s.id > ? ORDER BY s.id LIMIT ?";
const OLDEST_RUN: &str = "SELECT COALESCE(MIN(sequence), 0) AS oldest FROM service_logs WHERE service_id = ?";
const FIRST_KEPT: &str = "SELECT sequence FROM service_logs WHERE service_id = ? AND sequence <= ? AND sequence > ? \
    AND at_ns >= ? ORDER BY sequence LIMIT 1";
const DELETE_RUN: &str = "DELETE FROM service_logs WHERE service_id = ? AND sequence <= ?";
/// `log_removed`: 0 it is there, 1 it is being removed, 2 it is gone.
const LOGS: &str = "SELECT d.id FROM deployments d JOIN services s ON s.id = d.service_id \
    WHERE d.service_id >= ? AND d.service_id <= ? AND d.log_removed < 2 AND d.finished_at_ms IS NOT NULL \
    AND COALESCE(s.current_deployment_id, '') <> d.id \
    AND (d.log_removed = 1 OR d.finished_at_ms < ? OR d.number <= s.deployment_count - ?) \
    ORDER BY d.service_id, d.number LIMIT ?";
const BEGIN_LOG: &str =
    "UPDATE deployments SET log_removed = 1 WHERE id = ? AND log_removed = 0 AND finished_at_ms IS NOT NULL";
const END_LOG: &str = "UPDATE deployments SET log_removed = 2 WHERE id = ? AND log_removed = 1";
const OLDEST_BUILD: &str = "SELECT COALESCE(MIN(sequence), 0) AS oldest FROM deployment_logs WHERE deployment_id = ?";
const DELETE_BUILD: &str = "DELETE FROM deployment_logs WHERE deployment_id = ? AND sequence <= ? \
    AND EXISTS (SELECT 1 FROM deployments d WHERE d.id = ? AND d.log_removed = 1)";
const DEPLOYMENTS: &str = "SELECT d.id FROM deployments d JOIN services s ON s.id = d.service_id \
    WHERE d.service_id >= ? AND d.service_id <= ? AND d.log_removed = 2 AND d.finished_at_ms IS NOT NULL \
    AND (d.image IS NULL OR d.image_removed = 1) AND COALESCE(s.current_deployment_id, '') <> d.id \
    AND d.number <= s.deployment_count - ? \
    AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.subject = d.id AND j.finished_at_ms IS NULL) \
    ORDER BY d.service_id, d.number LIMIT ?";
const DELETE_DEPLOYMENT: &str = "DELETE FROM deployments WHERE id = ? AND log_removed = 2 \
    AND (image IS NULL OR image_removed = 1)";
const JOBS_END: &str = "SELECT finished_at_ms AS up_to FROM jobs WHERE finished_at_ms < ? AND status <> 'dead' \
    ORDER BY finished_at_ms LIMIT 1 OFFSET ?";
const DELETE_JOBS: &str = "DELETE FROM jobs WHERE finished_at_ms <= ? AND status <> 'dead'";
const DEAD_END: &str = "SELECT finished_at_ms AS up_to FROM jobs WHERE finished_at_ms < ? AND status = 'dead' \
    ORDER BY finished_at_ms LIMIT 1 OFFSET ?";
const DELETE_DEAD: &str = "DELETE FROM jobs WHERE finished_at_ms <= ? AND status = 'dead'";
const KEYS_END: &str = "SELECT created_at_ms AS up_to FROM idempotency_keys WHERE created_at_ms < ? \
    ORDER BY created_at_ms LIMIT 1 OFFSET ?";
const DELETE_KEYS: &str = "DELETE FROM idempotency_keys WHERE created_at_ms <= ?";
const CURSORS: &str = "SELECT instance FROM output_cursors WHERE at_ns < ? AND instance > ? ORDER BY instance LIMIT ?";
const DELETE_CURSOR: &str = "DELETE FROM output_cursors WHERE instance = ? AND at_ns < ?";

impl Store {
    /// What there is of services' logs, of the services after an id, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_logs(&self, after: &str, limit: i64) -> Result<Vec<RunLog>> {
        let rows = query(RUN_LOGS).bind(after).bind(limit).fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| {
                Ok(RunLog {
                    service: row.get::<&str>("id").parse().map_err(Error::corrupt("service id"))?,
                    newest: row.get::<Option<i64>>("newest").unwrap_or(0),
                    oldest: row.get::<Option<i64>>("oldest").unwrap_or(0),
                    oldest_at_ns: row.get::<Option<i64>>("oldest_at_ns").unwrap_or(i64::MAX),
                })
            })
            .collect()
    }

    /// Forgets the oldest lines of a service, a batch of them: up to `up_to`, and those written before `before_ns`; how
    /// many. The newest line always stays, so that numbers go on from it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_run_lines(&self, log: &RunLog, up_to: i64, before_ns: i64) -> Result<u64> {
        let id = log.service.to_string();
        let oldest: i64 = query(OLDEST_RUN)
            .bind(&id)
            .fetch_one(&self.readers)
            .await?
            .get("oldest");
        let last = (oldest + BATCH - 1).min(log.newest - 1);
        let kept = query(FIRST_KEPT).bind(&id).bind(last).bind(up_to).bind(before_ns);
        let kept = kept.fetch_optional(&self.readers).await?;
        let last = kept.map_or(last, |row| row.get::<i64>("sequence") - 1);
        if oldest == 0 || last < oldest {
            return Ok(0);
        }
        self.change(query(DELETE_RUN).bind(&id).bind(last)).await
    }

    /// Deployments whose log is to be forgotten: those that ended before a time, and those that are not among a service's
    /// newest `kept`. The log of what serves, or would, stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn logs_to_forget(&self, of: &Range, before_ms: i64, kept: i64) -> Result<Vec<DeploymentId>> {
        let rows = query(LOGS)
            .bind(of.first.to_string())
            .bind(of.last.to_string())
            .bind(before_ms)
            .bind(kept)
            .bind(BATCH)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| row.get::<&str>("id").parse().map_err(Error::corrupt("deployment id")))
            .collect()
    }

    /// Forgets a batch of the lines of a deployment that is over; false when none is left. From the first batch on the
    /// deployment says that its log was removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_build_lines(&self, deployment: DeploymentId) -> Result<bool> {
        let id = deployment.to_string();
        self.change(query(BEGIN_LOG).bind(&id)).await?;
        let oldest = query(OLDEST_BUILD).bind(&id).fetch_one(&self.readers).await?;
        let oldest: i64 = oldest.get("oldest");
        if oldest == 0 {
            self.change(query(END_LOG).bind(&id)).await?;
            return Ok(false);
        }
        let forgetting = query(DELETE_BUILD).bind(&id).bind(oldest + BATCH - 1).bind(&id);
        Ok(self.change(forgetting).await? > 0)
    }

    /// Deployments that are to be forgotten: not among a service's newest `kept`, without a log, and nothing may need them:
    /// they have no image, they are not the current one, and no job is about them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployments_to_forget(&self, of: &Range, kept: i64) -> Result<Vec<DeploymentId>> {
        let rows = query(DEPLOYMENTS)
            .bind(of.first.to_string())
            .bind(of.last.to_string())
            .bind(kept)
            .bind(BATCH)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| row.get::<&str>("id").parse().map_err(Error::corrupt("deployment id")))
            .collect()
    }

    /// Forgets a deployment whose log and image are gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_deployment(&self, id: DeploymentId) -> Result<u64> {
        self.change(query(DELETE_DEPLOYMENT).bind(id.to_string())).await
    }

    /// Forgets a batch of the jobs that ended before a time; how many. Dead ones stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_jobs(&self, before_ms: i64) -> Result<u64> {
        self.forget_before(JOBS_END, DELETE_JOBS, before_ms).await
    }

    /// Forgets a batch of the jobs that were given up before a time; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_dead_jobs(&self, before_ms: i64) -> Result<u64> {
        self.forget_before(DEAD_END, DELETE_DEAD, before_ms).await
    }

    /// Forgets a batch of the answers that are too old to be repeated; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_idempotency_keys(&self) -> Result<u64> {
        let before_ms = now_ms() - crate::idempotency::KEPT_MS;
        self.forget_before(KEYS_END, DELETE_KEYS, before_ms).await
    }

    async fn forget_before(&self, end: &'static str, delete: &'static str, before_ms: i64) -> Result<u64> {
        let end = query(end).bind(before_ms).bind(BATCH - 1);
        let up_to = end.fetch_optional(&self.readers).await?;
        let up_to = up_to.map_or(before_ms - 1, |row| row.get("up_to"));
        self.change(query(delete).bind(up_to)).await
    }

    /// Instances after a name, in order, whose output was read last before a time: a batch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn instances_silent_since(&self, before_ns: i64, after: &str) -> Result<Vec<String>> {
        let rows = query(CURSORS).bind(before_ns).bind(after).bind(BATCH);
        let rows = rows.fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| row.get("instance")).collect())
    }

    /// Forgets where reading an instance's output would go on, if it is still so old.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_output_cursor(&self, instance: &str, before_ns: i64) -> Result<()> {
        let forgetting = query(DELETE_CURSOR).bind(instance).bind(before_ns);
        self.change(forgetting).await.map(drop)
    }
}
