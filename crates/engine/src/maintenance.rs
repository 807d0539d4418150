//! What is done again and again: the installation's own jobs, enqueued when their time has come.

use std::{sync::Arc, time::Duration};

use crate::{runner::Outcome, world::World};

/// What is done again and again, and every how many milliseconds.
const SCHEDULES: [(&str, i64); 1] = [("cleanup", HOUR_MS)];
/// How often it is looked whether a time has come.
const EVERY: Duration = Duration::from_secs(10);

const HOUR_MS: i64 = 3600 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How long jobs that are over are kept, and those that were given up.
const KEPT_MS: i64 = 7 * DAY_MS;
const DEAD_KEPT_MS: i64 = 30 * DAY_MS;

/// Enqueues what is due, for good.
pub(crate) async fn run(world: Arc<World>) {
    loop {
        match enqueue(&world).await {
            Ok(0) => {}
            Ok(_) => world.notices.job(),
            Err(error) => tracing::debug!("what is scheduled could not be enqueued: {error}"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn enqueue(world: &World) -> Result<u64, store::Error> {
    for (name, every_ms) in SCHEDULES {
        world.store.schedule(name, every_ms).await?;
    }
    world.store.enqueue_scheduled().await
}

/// Forgets what nobody asks for any more.
pub(crate) async fn clean_up(world: &World) -> Result<Outcome, store::Error> {
    let now_ms = store::now_ms();
    let jobs = world.store.prune_jobs(now_ms - KEPT_MS).await?;
    let dead = world.store.prune_dead_jobs(now_ms - DEAD_KEPT_MS).await?;
    let keys = world.store.prune_idempotency_keys().await?;
    tracing::debug!("{jobs} job(s) that were over, {dead} dead one(s) and {keys} answered request(s) are forgotten");
    Ok(Outcome::Done)
}

/// Looks for jobs whenever another process says that there are some.
pub(crate) async fn hear(world: Arc<World>) {
    let mut wakes = world.store.wakes();
    loop {
        // Whatever was said, and also when something may have been missed.
        wakes.next().await;
        world.notices.job();
    }
}
