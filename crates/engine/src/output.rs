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
use store::logs::{Line, Log, Read};
use tokio::task::JoinSet;

use crate::{notices::Notice, world::World};

/// How often instances are looked for without being woken.
const LOOK: Duration = Duration::from_secs(3);
/// A deployment says many things in a row, and one look answers them all.
const CALM: Duration = Duration::from_millis(100);

/// Follows every instance of the installation, for good.
pub(crate) async fn run(world: Arc<World>) {
    let mut followers: JoinSet<(String, bool)> = JoinSet::new();
    let mut followed: HashMap<String, Followed> = HashMap::new();
    let mut notices = world.notices.listen();
    loop {
        while let Some(ended) = followers.try_join_next() {
            let Ok((name, to_its_end)) = ended else { continue };
            // One that ended for good is remembered with its start, so that only a new start is followed again; one that
            // broke off goes on where it was.
            match followed.get_mut(&name) {
                Some(known) if to_its_end => known.under_way = false,
                _ => drop(followed.remove(&name)),
            }
        }
        match world.infrastructure.instances(&world.installation_labels()).await {
            Ok(found) => {
                followed.retain(|name, known| known.under_way || found.iter().any(|instance| &instance.name == name));
                for instance in found {
                    let Some(service) = instance.labels.get(labels::RESOURCE).and_then(|id| id.parse().ok()) else {
                        continue;
                    };
                    let started_at_ms = instance.started_at_ms;
                    // Two that read the same output would keep its lines twice.
                    let is_known = |known: &Followed| known.under_way || known.started_at_ms == started_at_ms;
                    if followed.get(&instance.name).is_some_and(is_known) || instance.status == InstanceStatus::Created
                    {
                        continue;
                    }
                    followed.insert(
                        instance.name.clone(),
                        Followed {
                            started_at_ms,
                            under_way: true,
                        },
                    );
                    let world = Arc::clone(&world);
                    followers.spawn(async move {
                        let to_its_end = follow(&world, service, &instance.name).await;
                        // An output that ends is the first sign of an instance that ended.
                        world.notices.reconcile();
                        (instance.name, to_its_end)
                    });
                }
            }
            Err(error) => tracing::debug!("instances cannot be listed: {error}"),
        }
        let _ = tokio::time::timeout(LOOK, async {
            loop {
                match notices.recv().await {
                    Ok(Notice::Deployment(_) | Notice::Anything) => {
                        tokio::time::sleep(CALM).await;
                        // What came meanwhile is answered by the look that follows.
                        notices = notices.resubscribe();
                        return;
                    }
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

/// An instance whose output is or was followed.
struct Followed {
    started_at_ms: Option<i64>,
    under_way: bool,
}

/// Follows an instance's output; whether to its end.
async fn follow(world: &Arc<World>, service: ServiceId, name: &str) -> bool {
    let cursor = match world.store.output_cursor(name).await {
        Ok(cursor) => cursor,
        Err(error) => {
            tracing::warn!("the output of `{name}` is not followed: {error}");
            return false;
        }
    };
    let sink = Keep {
        world: Arc::clone(world),
        service,
        name: name.to_owned(),
        kept: tokio::sync::Mutex::new(cursor),
    };
    let end = world.infrastructure.follow_output(name, cursor, &sink).await;
    if let Err(error) = &end {
        tracing::debug!("the output of `{name}` broke off: {error}");
    }
    end.is_ok()
}

struct Keep {
    world: Arc<World>,
    service: ServiceId,
    name: String,
    /// Up to where this follower kept the output. Whoever kept more meanwhile is the follower now.
    kept: tokio::sync::Mutex<OutputCursor>,
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
        let mut kept = self.kept.lock().await;
        let read = Read {
            instance: &self.name,
            from: *kept,
            to: cursor,
        };
        self.world.store.append_lines(log, &mut lines, Some(read)).await?;
        *kept = cursor;
        drop(kept);
        self.world.notices.tell(Notice::Log(log));
        Ok(())
    }
}
