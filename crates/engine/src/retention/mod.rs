//! What is kept of what is over, by a policy; each kind has a module. Rows go in batches with pauses between them, so that
//! whoever writes waits for one batch at most. All of it may end at any line, and is found again by the next pass.

mod build_cache;
mod images;
mod logs;
mod records;
pub(crate) mod uploads;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use build_cache::bound_build_cache;
use domain::ports::infrastructure::InfrastructureError;
pub(crate) use images::{Left, leave, let_go, prune, remove_left};
pub(crate) use records::forget_records;

use crate::world::World;

/// How often it is looked for what may go.
const EVERY: Duration = Duration::from_secs(60);
/// Services whose rows are looked through by one statement.
const PAGE: i64 = 500;
/// The least pause after a batch.
const PAUSE: Duration = Duration::from_millis(20);
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What is kept. Everything that a rollback may need is kept besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The newest deployments of a service whose build log is kept.
    pub build_logs: i64,
    /// Days for which build logs are kept after the deployment ended.
    pub build_log_days: i64,
    /// The newest lines of a running service's log that are kept.
    pub log_lines: i64,
    /// Days for which these are kept.
    pub log_days: i64,
    /// The newest deployments of a service that are kept at all.
    pub deployments: i64,
    /// Days for which jobs are kept after they ended. Dead ones are kept for [`records::DEAD_JOB_DAYS`].
    pub job_days: i64,
    /// The newest deployments of a service whose image is kept.
    pub images: usize,
    /// The newest deployments that were live whose image is kept.
    pub live_images: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            build_logs: 20,
            build_log_days: 30,
            log_lines: 200_000,
            log_days: 30,
            deployments: 50,
            job_days: 7,
            images: 10,
            live_images: 3,
        }
    }
}

/// Why a pass broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
}

/// Forgets what the policy does not keep, for good.
pub(crate) async fn run(world: &Arc<World>) {
    loop {
        if let Err(error) = pass(world).await {
            tracing::debug!("what is over is not forgotten yet: {error}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn pass(world: &World) -> Result<(), Broken> {
    let mut after = String::new();
    loop {
        let page = world.store.run_logs(&after, PAGE).await?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            break;
        };
        let range = store::retention::Range {
            first: first.service,
            last: last.service,
        };
        after = last.service.to_string();
        for log in &page {
            logs::forget_run_lines(world, log).await?;
        }
        logs::forget_build_logs(world, &range).await?;
        records::forget_deployments(world, &range).await?;
    }
    records::forget_output_cursors(world).await
}

/// Lets others write after a batch that began then: for as long as it took, so that they have half of the time.
async fn pause(began: Instant) {
    tokio::time::sleep(began.elapsed().max(PAUSE)).await;
}
