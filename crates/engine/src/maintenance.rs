//! What is done again and again: the installation's own jobs, enqueued when their time has come.

use std::time::Duration;

use crate::{reconcile, retention, runner::Outcome, world::World};

/// What is done again and again, and every how many milliseconds.
const SCHEDULES: [(&str, i64); 1] = [("cleanup", HOUR_MS)];
/// How often it is looked whether a time has come.
const EVERY: Duration = Duration::from_secs(10);

const HOUR_MS: i64 = 3600 * 1000;

/// Enqueues what is due, for good.
pub(crate) async fn run(world: &World) {
    loop {
        match enqueue(world).await {
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

/// Forgets what nobody asks for any more, and removes images that are nobody's.
pub(crate) async fn clean_up(world: &World) -> Result<Outcome, store::Error> {
    retention::forget_records(world).await?;
    match reconcile::sweep_images(world).await {
        Ok(()) => Ok(Outcome::Done),
        Err(crate::Error::Store(error)) => Err(error),
        // Away: the next time will do.
        Err(error) => {
            tracing::debug!("images that are nobody's were not looked for: {error}");
            Ok(Outcome::Done)
        }
    }
}
