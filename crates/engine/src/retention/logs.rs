//! Which lines are kept.

use std::time::Instant;

use store::retention::{BATCH, Range, RunLog};

use super::{Broken, DAY_MS, pause};
use crate::world::World;

/// Forgets a running service's lines that are too many or too old.
pub(super) async fn forget_run_lines(world: &World, log: &RunLog) -> Result<(), Broken> {
    let policy = &world.settings.retention;
    let up_to = log.newest - policy.log_lines;
    let before_ns = (store::now_ms() - policy.log_days * DAY_MS) * 1_000_000;
    let is_little = log.oldest > up_to && log.oldest_at_ns >= before_ns;
    if is_little || log.oldest >= log.newest {
        return Ok(());
    }
    loop {
        let began = Instant::now();
        if world.store.forget_run_lines(log, up_to, before_ns).await? < BATCH as u64 {
            return Ok(());
        }
        pause(began).await;
    }
}

/// Forgets the logs of deployments that are too many or too old.
pub(super) async fn forget_build_logs(world: &World, of: &Range) -> Result<(), Broken> {
    let policy = &world.settings.retention;
    let before_ms = store::now_ms() - policy.build_log_days * DAY_MS;
    loop {
        let deployments = world
            .store
            .logs_to_forget(of, before_ms, policy.build_logs.min(policy.deployments));
        let deployments = deployments.await?;
        for deployment in &deployments {
            loop {
                let began = Instant::now();
                let more = world.store.forget_build_lines(*deployment).await?;
                pause(began).await;
                if !more {
                    break;
                }
            }
        }
        if (deployments.len() as i64) < BATCH {
            return Ok(());
        }
    }
}
