//! Logs, by page and live. The sequence in the store is the truth; a notice only says when to look again.

use std::time::Duration;

use domain::{DeploymentId, OrganizationId, ServiceId, deployment::DeploymentStatus};
use store::logs::{Filter, Line, Log};
use tokio::sync::broadcast;

use crate::{Engine, Error, notices::Notice};

/// How often a live reader looks without being woken.
const LOOK: Duration = Duration::from_secs(2);

/// A live reader: each line once, in order, without a gap.
pub struct LogCursor {
    engine: Engine,
    log: Log,
    after: i64,
    filter: Filter,
    notices: broadcast::Receiver<Notice>,
}

impl Engine {
    /// The log of a deployment.
    ///
    /// # Errors
    /// When the deployment is missing, or its log was removed.
    pub async fn build_log(&self, organization: OrganizationId, id: DeploymentId) -> Result<Log, Error> {
        let deployment = self.world.store.deployment(organization, id).await?;
        if deployment.log_removed {
            let policy = &self.world.settings.retention;
            return Err(Error::Gone {
                code: "log-removed",
                message: format!(
                    "the log of this deployment was removed: logs are kept for {} days, of the newest {} deployments of a service",
                    policy.build_log_days, policy.build_logs
                ),
            });
        }
        Ok(Log::Build(id))
    }

    /// The log of a running service.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn run_log(&self, organization: OrganizationId, id: ServiceId) -> Result<Log, Error> {
        self.world.store.service(organization, id).await?;
        Ok(Log::Run(id))
    }

    /// A page of a log, whose access was checked by [`Engine::build_log`] or [`Engine::run_log`].
    ///
    /// # Errors
    /// When the state fails.
    pub async fn lines(&self, log: Log, after: i64, filter: &Filter, limit: i64) -> Result<Vec<Line>, Error> {
        Ok(self.world.store.lines(log, after, filter, limit).await?)
    }

    /// The place of a log's newest line.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn newest_line(&self, log: Log) -> Result<i64, Error> {
        Ok(self.world.store.newest_line(log).await?)
    }

    /// Reads a log live, after a place.
    #[must_use]
    pub fn follow(&self, log: Log, after: i64, filter: Filter) -> LogCursor {
        LogCursor {
            engine: self.clone(),
            log,
            after,
            filter,
            notices: self.world.notices.listen(),
        }
    }
}

impl LogCursor {
    /// The next lines, waited for; or the status with which the deployment ended, once everything was read.
    ///
    /// # Errors
    /// When the state fails, or the log's owner was removed.
    pub async fn next(&mut self) -> Result<Result<Vec<Line>, DeploymentStatus>, Error> {
        loop {
            let ended = match self.log {
                Log::Build(id) => {
                    let deployment = self.engine.world.store.any_deployment(id).await?;
                    let gone = || store::Error::Missing {
                        what: "deployment",
                        key: id.to_string(),
                    };
                    let deployment = deployment.ok_or_else(gone)?;
                    let over = deployment.status.is_final()
                        && (deployment.finished_at_ms.is_some() || deployment.status != DeploymentStatus::Live);
                    over.then_some(deployment.status)
                }
                Log::Run(_) => None,
            };
            // Read after the status: a deployment that is over writes no more.
            let lines = self
                .engine
                .world
                .store
                .lines(self.log, self.after, &self.filter, 500)
                .await?;
            if let Some(last) = lines.last() {
                self.after = last.sequence;
                return Ok(Ok(lines));
            }
            if let Some(status) = ended {
                return Ok(Err(status));
            }
            let _ = tokio::time::timeout(LOOK, self.woken()).await;
        }
    }

    async fn woken(&mut self) {
        loop {
            match self.notices.recv().await {
                Ok(Notice::Log(log)) if log == self.log => return,
                Ok(Notice::Deployment(id)) if self.log == Log::Build(id) => return,
                Ok(Notice::Anything) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
