//! What every [`Infrastructure`] promises.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    SecretText,
    logs::LogLevel,
    ports::{
        Cause,
        image::StoredImage,
        infrastructure::{
            Infrastructure, InfrastructureError, Instance, InstanceSpec, InstanceStatus, NetworkSpec, OutputCursor,
            OutputLine, OutputSink,
        },
    },
    service::Resources,
};

use crate::bed::{eventually, unique, unique_labels};

/// An adapter, and what it needs to be tried.
pub struct Bed<'a> {
    /// The adapter.
    pub infrastructure: &'a dyn Infrastructure,
    /// An image with a shell that knows `echo`, `sleep` and `exit`.
    pub image: StoredImage,
    /// A command that listens on all addresses at this port.
    pub listen: fn(u16) -> String,
    /// A command that listens on the loopback address at this port.
    pub listen_on_loopback: fn(u16) -> String,
    /// Whether ports can be found out here.
    pub sees_ports: bool,
}

/// A project of one test: its network, and the names of what is in it.
struct Project<'a> {
    bed: &'a Bed<'a>,
    network: String,
    labels: BTreeMap<String, String>,
}

impl<'a> Project<'a> {
    async fn new(bed: &'a Bed<'a>) -> Self {
        let project = Self {
            bed,
            network: unique("contract"),
            labels: unique_labels("contract"),
        };
        bed.infrastructure
            .ensure_network(&project.network_spec())
            .await
            .expect("a network");
        project
    }

    fn network_spec(&self) -> NetworkSpec {
        NetworkSpec {
            name: self.network.clone(),
            labels: self.labels.clone(),
        }
    }

    fn spec(&self, command: &str) -> InstanceSpec {
        InstanceSpec {
            name: unique("contract"),
            labels: self.labels.clone(),
            image: self.bed.image.clone(),
            command: Some(command.to_owned()),
            environment: BTreeMap::from([("GREETING".to_owned(), SecretText::new("hello"))]),
            network: self.network.clone(),
            aliases: vec!["app".to_owned()],
            resources: Resources {
                cpu_millis: 500,
                memory_mb: 64,
                pids: 64,
            },
        }
    }

    async fn start(&self, command: &str) -> Instance {
        let spec = self.spec(command);
        self.bed.infrastructure.start(&spec).await.expect("an instance")
    }

    /// Everything goes, whatever came before.
    async fn clear(self) {
        let infrastructure = self.bed.infrastructure;
        for instance in infrastructure.instances(&self.labels).await.expect("a list") {
            infrastructure.remove(&instance.name).await.expect("removal");
        }
        infrastructure.remove_network(&self.network).await.expect("removal");
        assert_eq!(infrastructure.networks(&self.labels).await.expect("a list"), []);
        assert_eq!(infrastructure.instances(&self.labels).await.expect("a list"), []);
    }
}

/// All promises, one after the other.
///
/// # Panics
/// When one is not kept.
pub async fn keeps_the_infrastructure_contract(bed: &Bed<'_>) {
    let words = bed.infrastructure.version().await.expect("a version");
    assert!(!words.is_empty());
    a_network_is_made_once(bed).await;
    a_network_in_use_is_not_removed(bed).await;
    an_instance_is_started_once(bed).await;
    an_end_is_told_with_its_code(bed).await;
    what_is_not_there_can_be_stopped_and_removed(bed).await;
    what_is_needed_and_not_there_is_named(bed).await;
    an_ended_instance_starts_again(bed).await;
    an_instance_is_kept_running_when_asked(bed).await;
    an_instance_that_is_stopped_stays_stopped(bed).await;
    output_is_read_once_from_any_cursor(bed).await;
    output_ends_with_the_instance_or_the_reader(bed).await;
    if bed.sees_ports {
        ports_are_told_apart(bed).await;
    } else {
        eprintln!("skipped: ports of processes elsewhere");
    }
}

async fn a_network_is_made_once(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let spec = project.network_spec();
    let again = infrastructure.ensure_network(&spec).await.expect("a network");
    let found = infrastructure.networks(&project.labels).await.expect("a list");
    assert_eq!(found, std::slice::from_ref(&again));
    assert_eq!(again.name, spec.name);

    let other = NetworkSpec {
        name: unique("contract"),
        labels: unique_labels("contract"),
    };
    let (a, b, c, d) = tokio::join!(
        infrastructure.ensure_network(&other),
        infrastructure.ensure_network(&other),
        infrastructure.ensure_network(&other),
        infrastructure.ensure_network(&other)
    );
    let ids: Vec<String> = [a, b, c, d]
        .into_iter()
        .map(|made| made.expect("a network").id)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(infrastructure.networks(&other.labels).await.expect("a list").len(), 1);
    infrastructure.remove_network(&other.name).await.expect("removal");
    infrastructure
        .remove_network(&other.name)
        .await
        .expect("absence is success");
    project.clear().await;
}

async fn a_network_in_use_is_not_removed(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    project.start("sleep 600").await;
    let removed = bed.infrastructure.remove_network(&project.network).await;
    assert!(matches!(removed, Err(InfrastructureError::Refused(_))), "{removed:?}");
    project.clear().await;
}

async fn an_instance_is_started_once(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let spec = project.spec("sleep 600");
    let (a, b, c) = tokio::join!(
        infrastructure.start(&spec),
        infrastructure.start(&spec),
        infrastructure.start(&spec)
    );
    let instances = [a, b, c].map(|started| started.expect("an instance"));
    for instance in &instances {
        assert_eq!(instance.id, instances[0].id);
        assert_eq!(instance.name, spec.name);
        assert_eq!(instance.status, InstanceStatus::Running);
        assert!(instance.address.is_some());
        assert_eq!(instance.exit, None);
        assert_eq!(instance.restarts, 0);
        assert!(instance.started_at_ms.is_some_and(|at| at > 1_600_000_000_000));
    }
    let found = infrastructure
        .instance(&spec.name)
        .await
        .expect("an answer")
        .expect("the instance");
    assert_eq!(found.id, instances[0].id);
    assert_eq!(found.address, instances[0].address);
    for (key, value) in &spec.labels {
        assert_eq!(found.labels.get(key), Some(value));
    }
    assert_eq!(
        infrastructure.instances(&project.labels).await.expect("a list").len(),
        1
    );
    project.clear().await;
}

async fn an_end_is_told_with_its_code(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let instance = project.start("sleep 0.3; exit 3").await;
    let exit = bed
        .infrastructure
        .wait(&instance.name)
        .await
        .expect("an end")
        .expect("its story");
    assert_eq!((exit.code, exit.out_of_memory, exit.error.clone()), (3, false, None));
    assert!((200..20_000).contains(&exit.ran_ms), "{} ms", exit.ran_ms);
    let found = bed
        .infrastructure
        .instance(&instance.name)
        .await
        .expect("an answer")
        .expect("the instance");
    assert_eq!(
        (found.status, found.address, found.exit.clone()),
        (InstanceStatus::Exited, None, Some(exit.clone()))
    );
    assert_eq!(
        bed.infrastructure.wait(&instance.name).await.expect("an end"),
        Some(exit)
    );

    let instance = project.start("sleep 600").await;
    let (waited, removed) = tokio::join!(bed.infrastructure.wait(&instance.name), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bed.infrastructure.remove(&instance.name).await
    });
    removed.expect("removal");
    waited.expect("an end, with or without a story");
    project.clear().await;
}

async fn what_is_not_there_can_be_stopped_and_removed(bed: &Bed<'_>) {
    let name = unique("nobody");
    let infrastructure = bed.infrastructure;
    assert_eq!(infrastructure.instance(&name).await.expect("an answer"), None);
    assert_eq!(infrastructure.wait(&name).await.expect("an answer"), None);
    infrastructure.stop(&name, 1).await.expect("absence is success");
    infrastructure.remove(&name).await.expect("absence is success");
    infrastructure
        .keep_running(&name, true)
        .await
        .expect("absence is success");
    infrastructure.remove_network(&name).await.expect("absence is success");
    infrastructure
        .follow_output(&name, OutputCursor::default(), &Taken::default())
        .await
        .expect("absence is an end");
    let again = infrastructure.start_again(&name).await;
    assert!(matches!(again, Err(InfrastructureError::Missing(_))), "{again:?}");
    let ports = infrastructure.listening_ports(&name).await;
    assert!(matches!(ports, Err(InfrastructureError::Missing(_))), "{ports:?}");
}

async fn what_is_needed_and_not_there_is_named(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let mut spec = project.spec("sleep 600");
    spec.image = StoredImage {
        reference: "click-deploy/nobody/nothing/never:1".to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
        size_bytes: 0,
    };
    let started = bed.infrastructure.start(&spec).await;
    assert!(
        matches!(started, Err(InfrastructureError::ImageMissing(_))),
        "{started:?}"
    );
    let mut spec = project.spec("sleep 600");
    spec.network = unique("nowhere");
    let started = bed.infrastructure.start(&spec).await;
    assert!(matches!(started, Err(InfrastructureError::Missing(_))), "{started:?}");
    assert_eq!(bed.infrastructure.instances(&project.labels).await.expect("a list"), []);
    project.clear().await;
}

async fn an_ended_instance_starts_again(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let instance = project.start("sleep 0.2; exit 1").await;
    bed.infrastructure.wait(&instance.name).await.expect("an end");
    let again = bed
        .infrastructure
        .start_again(&instance.name)
        .await
        .expect("the instance");
    assert_eq!(again.id, instance.id);
    assert_eq!((again.status, again.exit), (InstanceStatus::Running, None));
    assert!(again.started_at_ms >= instance.started_at_ms);
    project.clear().await;
}

async fn an_instance_is_kept_running_when_asked(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let instance = project.start("sleep 0.5; exit 1").await;
    infrastructure
        .keep_running(&instance.name, true)
        .await
        .expect("the instance");
    let exit = infrastructure
        .wait(&instance.name)
        .await
        .expect("an end")
        .expect("its story");
    assert_eq!(exit.code, 1);
    eventually("it is started again by itself", || async {
        let found = infrastructure
            .instance(&instance.name)
            .await
            .expect("an answer")
            .expect("the instance");
        found.restarts > 0 && found.status == InstanceStatus::Running
    })
    .await;
    infrastructure
        .keep_running(&instance.name, false)
        .await
        .expect("the instance");
    eventually("it ends for good", || async {
        let found = infrastructure
            .instance(&instance.name)
            .await
            .expect("an answer")
            .expect("the instance");
        found.status == InstanceStatus::Exited
    })
    .await;
    project.clear().await;
}

async fn an_instance_that_is_stopped_stays_stopped(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let instance = project.start("sleep 600").await;
    infrastructure
        .keep_running(&instance.name, true)
        .await
        .expect("the instance");
    infrastructure.stop(&instance.name, 5).await.expect("a stop");
    infrastructure
        .stop(&instance.name, 5)
        .await
        .expect("a second stop is success");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let found = infrastructure
        .instance(&instance.name)
        .await
        .expect("an answer")
        .expect("the instance");
    assert_eq!((found.status, found.address), (InstanceStatus::Exited, None));
    assert!(found.exit.is_some());
    project.clear().await;
}

/// Keeps what it is given, each line with the cursor after it as far as it is known.
#[derive(Default)]
struct Taken {
    lines: Mutex<Vec<OutputLine>>,
    cursors: Mutex<Vec<(usize, OutputCursor)>>,
    refuses: bool,
}

impl Taken {
    fn lines(&self) -> Vec<OutputLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.text).collect()
    }
}

#[async_trait]
impl OutputSink for Taken {
    async fn take(&self, lines: Vec<OutputLine>, cursor: OutputCursor) -> Result<(), Cause> {
        if self.refuses {
            return Err("no room".into());
        }
        let mut taken = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(lines);
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.push((taken.len(), cursor));
        Ok(())
    }
}

async fn output_is_read_once_from_any_cursor(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let command =
        "echo one $GREETING; sleep 0.2; echo two >&2; sleep 0.2; echo three; sleep 0.2; echo four; sleep 0.2; exit 0";
    let instance = project.start(command).await;
    let taken = Taken::default();
    infrastructure
        .follow_output(&instance.name, OutputCursor::default(), &taken)
        .await
        .expect("the output");
    let lines = taken.lines();
    assert_eq!(taken.texts(), ["one hello", "two", "three", "four"]);
    let levels: Vec<LogLevel> = lines.iter().map(|line| line.level).collect();
    assert_eq!(
        levels,
        [LogLevel::Info, LogLevel::Error, LogLevel::Info, LogLevel::Info]
    );
    assert!(lines.is_sorted_by_key(|line| line.at_ns) && lines[0].at_ns > 0);

    let cursors = taken.cursors.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (read, cursor) in cursors {
        let rest = Taken::default();
        infrastructure
            .follow_output(&instance.name, cursor, &rest)
            .await
            .expect("the rest");
        assert_eq!(rest.lines(), lines[read..]);
    }

    // What a second run writes follows, and what was read does not come again.
    let (_, last) = *taken
        .cursors
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .last()
        .expect("a cursor");
    infrastructure.start_again(&instance.name).await.expect("the instance");
    let second = Taken::default();
    infrastructure
        .follow_output(&instance.name, last, &second)
        .await
        .expect("the output");
    assert_eq!(second.texts(), ["one hello", "two", "three", "four"]);
    project.clear().await;
}

async fn output_ends_with_the_instance_or_the_reader(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let instance = project.start("echo here; sleep 600").await;
    let refusing = Taken {
        refuses: true,
        ..Taken::default()
    };
    let followed = infrastructure
        .follow_output(&instance.name, OutputCursor::default(), &refusing)
        .await;
    assert!(matches!(followed, Err(InfrastructureError::Sink(_))), "{followed:?}");

    let taken = Taken::default();
    let follow = infrastructure.follow_output(&instance.name, OutputCursor::default(), &taken);
    let (followed, removed) = tokio::join!(follow, async {
        eventually("the line arrives while the instance runs", || async {
            taken.texts() == ["here"]
        })
        .await;
        infrastructure.remove(&instance.name).await
    });
    removed.expect("removal");
    followed.expect("removal is an end");
    assert_eq!(taken.texts(), ["here"]);
    project.clear().await;
}

async fn ports_are_told_apart(bed: &Bed<'_>) {
    let project = Project::new(bed).await;
    let infrastructure = bed.infrastructure;
    let open = project.start(&(bed.listen)(8080)).await;
    let closed = project.start(&(bed.listen_on_loopback)(8081)).await;
    eventually("an open port is seen", || async {
        let ports = infrastructure.listening_ports(&open.name).await.expect("ports");
        ports.open == [8080] && ports.loopback.is_empty()
    })
    .await;
    eventually("a port on loopback is seen", || async {
        let ports = infrastructure.listening_ports(&closed.name).await.expect("ports");
        ports.loopback == [8081] && ports.open.is_empty()
    })
    .await;
    infrastructure.stop(&open.name, 0).await.expect("a stop");
    let ports = infrastructure.listening_ports(&open.name).await.expect("ports");
    assert_eq!(ports, domain::ports::infrastructure::ListeningPorts::default());
    project.clear().await;
}
