//! Which rows are kept of what is over: deployments, jobs, answers, and where reading went on.

use std::{collections::BTreeSet, time::Instant};

use store::retention::{BATCH, Range};

use super::{Broken, DAY_MS, pause};
use crate::world::World;

/// Forgets deployments that are too many and that nothing needs. Their steps and phases go with them.
pub(super) async fn forget_deployments(world: &World, of: &Range) -> Result<(), Broken> {
    loop {
        let kept = world.settings.retention.deployments;
        let deployments = world.store.deployments_to_forget(of, kept).await?;
        for few in deployments.chunks(10) {
            let began = Instant::now();
            for deployment in few {
                world.store.forget_deployment(*deployment).await?;
            }
            pause(began).await;
        }
        if (deployments.len() as i64) < BATCH {
            return Ok(());
        }
    }
}

/// Days for which a dead job is kept: somebody may ask for it again until then.
pub(super) const DEAD_JOB_DAYS: i64 = 30;

/// Forgets jobs that ended long ago, with their journal, and answers that no repeated request hears any more.
pub(crate) async fn forget_records(world: &World) -> Result<(), store::Error> {
    let days_ago = |days: i64| store::now_ms() - days * DAY_MS;
    let store = &world.store;
    in_batches(|| store.forget_jobs(days_ago(world.settings.retention.job_days))).await?;
    in_batches(|| store.forget_dead_jobs(days_ago(DEAD_JOB_DAYS))).await?;
    in_batches(|| store.forget_idempotency_keys()).await
}

async fn in_batches<F: Future<Output = store::Result<u64>>>(forget: impl Fn() -> F) -> Result<(), store::Error> {
    loop {
        let began = Instant::now();
        if forget().await? < BATCH as u64 {
            return Ok(());
        }
        pause(began).await;
    }
}

/// Forgets where reading the output of instances went on that have not been there for a day.
pub(super) async fn forget_output_cursors(world: &World) -> Result<(), Broken> {
    let before_ns = (store::now_ms() - DAY_MS) * 1_000_000;
    let mut after = String::new();
    let mut there: Option<BTreeSet<String>> = None;
    loop {
        let began = Instant::now();
        let silent = world.store.instances_silent_since(before_ns, &after).await?;
        let Some(last) = silent.last() else { return Ok(()) };
        after.clone_from(last);
        if there.is_none() {
            let instances = world.infrastructure.instances(&world.installation_labels()).await?;
            there = Some(instances.into_iter().map(|instance| instance.name).collect());
        }
        for name in silent
            .iter()
            .filter(|name| there.as_ref().is_some_and(|there| !there.contains(*name)))
        {
            world.store.forget_output_cursor(name, before_ns).await?;
        }
        pause(began).await;
    }
}
