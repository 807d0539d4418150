//! Follows what instances write into their services' logs. Each batch of lines is kept together with where reading goes
//! on, in one transaction: nothing is lost or doubled, whatever breaks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    ServiceId, labels,
    logs::clean_line,
    ports::{
        Cause,
        infrastructure::{InstanceStatus, OutputCursor, OutputLine, OutputSink},
    },
};
use store::logs::{Line, Log};
use tokio::task::JoinSet;

use crate::{notices::Notice, world::World};

/// How often instances are looked for without being woken.
const LOOK: Duration = Duration::from_secs(3);
/// The most lines of a service that are kept.
const KEPT_LINES: i64 = 200_000;

/// Follows every instance of the installation, for good.
pub(crate) async fn run(world: Arc<World>) {
    let mut followers: JoinSet<String> = JoinSet::new();
    let mut followed: HashMap<String, Option<i64>> = HashMap::new();
    let mut notices = world.notices.listen();
    loop {
        while let Some(ended) = followers.try_join_next() {
            if let Ok(name) = ended {
                // One that ended for good is remembered with its start, so that only a new start is followed again.
                tracing::trace!("the output of `{name}` is read to its end");
            }
        }
        match world.infrastructure.instances(&world.installation_labels()).await {
            Ok(found) => {
                followed.retain(|name, _| found.iter().any(|instance| &instance.name == name));
                for instance in found {
                    let Some(service) = instance.labels.get(labels::RESOURCE).and_then(|id| id.parse().ok()) else { continue };
                    if followed.get(&instance.name) == Some(&instance.started_at_ms)
                        || instance.status == InstanceStatus::Created
                    {
                        continue;
                    }
                    followed.insert(instance.name.clone(), instance.started_at_ms);
                    let world = Arc::clone(&world);
                    followers.spawn(async move {
                        follow(&world, service, &instance.name).await;
                        instance.name
                    });
                }
            }
            Err(error) => tracing::debug!("instances cannot be listed: {error}"),
        }
        let _ = tokio::time::timeout(LOOK, async {
            loop {
                match notices.recv().await {
                    Ok(Notice::Deployment(_)) => return,
                    Ok(Notice::Log(_)) => {}
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
        .await;
    }
}

async fn follow(world: &Arc<World>, service: ServiceId, name: &str) {
    let cursor = match world.store.output_cursor(name).await {
        Ok(cursor) => cursor,
        Err(error) => {
            tracing::warn!("the output of `{name}` is not followed: {error}");
            return;
        }
    };
    let sink = Keep { world: Arc::clone(world), service, name: name.to_owned() };
    if let Err(error) = world.infrastructure.follow_output(name, cursor, &sink).await {
        tracing::debug!("the output of `{name}` broke off: {error}");
    }
}

struct Keep {
    world: Arc<World>,
    service: ServiceId,
    name: String,
}

#[async_trait]
impl OutputSink for Keep {
    async fn take(&self, lines: Vec<OutputLine>, cursor: OutputCursor) -> Result<(), Cause> {
        let mut lines: Vec<Line> = lines
            .into_iter()
            .map(|line| Line {
                sequence: 0,
                at_ns: line.at_ns,
                phase: "run",
                level: line.level,
                origin: self.name.clone(),
                message: clean_line(&line.text),
            })
            .collect();
        let log = Log::Run(self.service);
        let store = &self.world.store;
        store.append_lines(log, &mut lines, Some((&self.name, cursor))).await?;
        if let Some(newest) = lines.last().map(|line| line.sequence)
            && newest / 10_000 != (newest - lines.len() as i64) / 10_000
        {
            store.prune_lines(self.service, newest - KEPT_LINES).await?;
        }
        self.world.notices.tell(Notice::Log(log));
        Ok(())
    }
}
