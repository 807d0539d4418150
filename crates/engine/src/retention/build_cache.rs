//! How much of what the builder caches is kept.

use std::time::Duration;

use crate::world::World;

/// How long a builder may take to free what it has cached.
const PRUNE_DEADLINE: Duration = Duration::from_secs(600);

/// Keeps what the builder caches below its limit, for good.
pub(crate) async fn bound_build_cache(world: &World) {
    let bound = world.settings.build_cache;
    if bound.limit_bytes == 0 {
        return std::future::pending().await;
    }
    tokio::time::sleep(bound.first_after).await;
    loop {
        let pruned = world.builder.prune_cache(bound.limit_bytes);
        match tokio::time::timeout(PRUNE_DEADLINE, pruned).await {
            Ok(Ok(0)) => {}
            Ok(Ok(bytes)) => tracing::info!("{} MB of the build cache were freed", bytes / 1_000_000),
            Ok(Err(error)) => tracing::warn!("the build cache could not be bounded: {error}"),
            Err(_) => tracing::warn!("the build cache could not be bounded: the builder takes too long"),
        }
        tokio::time::sleep(bound.every).await;
    }
}
