//! What every process of the platform does, whatever its role: it says that it lives, tells the others what changed, and
//! hears what they tell.

use std::{sync::Arc, time::Duration};

use store::processes::Process;
use tokio_util::sync::CancellationToken;

use crate::World;

/// How often a process says that it lives.
const EVERY: Duration = Duration::from_secs(5);

/// Takes part until `stop`.
pub async fn take_part(world: Arc<World>, process: Process, stop: CancellationToken) {
    let store = &world.store;
    let living = async {
        loop {
            if let Err(error) = store.see_process(&process).await {
                tracing::debug!("that this process lives could not be kept: {error}");
            } else if store.is_alone() {
                // Whoever asks is answered by this very process: that it lives needs no write.
                return std::future::pending().await;
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = async { tokio::join!(living, world.notices.relay(store), world.notices.hear(store)); } => {}
    }
    if let Err(error) = store.forget_process(&process.id).await {
        tracing::debug!("that this process ended could not be kept: {error}");
    }
}
