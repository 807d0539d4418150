//! What is done to containers. Each call finds its container by name, makes sure that it is ours, and then speaks of it
//! by its id, so that a container that somebody makes under the same name meanwhile is not touched.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bollard::{
    models::{ContainerInspectResponse, ContainerUpdateBody},
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        StopContainerOptionsBuilder,
    },
};
use domain::ports::{
    image::ImageError,
    infrastructure::{InfrastructureError, Instance, InstanceExit, InstanceSpec, InstanceStatus, ListeningPorts},
};
use futures_util::StreamExt;

use super::{
    DockerEngine, check_name,
    client::{explain, filters, is_missing, refusal},
    ports,
    spec::restart_policy,
    state,
    wait::KILLED,
};

/// How often, and how far apart, something is tried that another removal is in the way of.
const TRIES: u32 = 100;
pub(super) const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// How many containers are asked about at once.
const ASKED_AT_ONCE: usize = 8;

/// What came of making a container.
enum Made {
    /// It is there under this id, new or found.
    Container(String),
    /// The image has nothing to run, and the engine makes no container of it.
    NothingToRun(String),
}

fn missing(name: &str) -> InfrastructureError {
    InfrastructureError::Missing(format!("instance `{name}`"))
}

impl DockerEngine {
    pub(super) async fn set_restarting(&self, name: &str, keep: bool) -> Result<(), InfrastructureError> {
        let Some(instance) = self.find(name).await? else {
            return Ok(());
        };
        let update = ContainerUpdateBody {
            restart_policy: Some(restart_policy(keep)),
            ..ContainerUpdateBody::default()
        };
        match self.docker()?.update_container(&instance.id, update).await {
            Err(error) if !is_missing(&error) => Err(explain(error, name)),
            _ => Ok(()),
        }
    }

    pub(super) fn docker(&self) -> Result<&bollard::Docker, InfrastructureError> {
        self.client.docker().map_err(|error| explain(error, "engine"))
    }

    /// What the engine knows of a container, by name or id.
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>, InfrastructureError> {
        check_name(name)?;
        match self.docker()?.inspect_container(name, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(explain(error, name)),
        }
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<Instance>, InfrastructureError> {
        let found = self.inspect(name).await?;
        let mut instance = found
            .and_then(|found| state::instance_of(&found))
            .filter(|instance| self.is_ours(instance));
        if let Some(instance) = &mut instance
            && instance
                .exit
                .as_ref()
                .is_some_and(|exit| exit.code == KILLED && !exit.out_of_memory)
        {
            let was_out_of_memory = self.was_out_of_memory(instance, 1).await;
            if let Some(exit) = &mut instance.exit {
                exit.out_of_memory = was_out_of_memory;
            }
        }
        Ok(instance)
    }

    pub(super) async fn find_all(
        &self,
        wanted: &BTreeMap<String, String>,
    ) -> Result<Vec<Instance>, InfrastructureError> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters([("label", self.label_filters(wanted))]))
            .build();
        let began = Instant::now();
        let listed = self.docker()?.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| explain(error, "containers"))?;
        // The list does not say when a container was started, and how it ended.
        let now = Instant::now();
        let mut asked = futures_util::stream::iter(listed)
            .map(|summary| async move {
                match (self.seen.recall(&summary, began, now), &summary.id) {
                    (Some(instance), _) => Ok(Some((instance, false))),
                    (None, Some(id)) => Ok(self.find(id).await?.map(|instance| (instance, true))),
                    (None, None) => Ok(None),
                }
            })
            .buffered(ASKED_AT_ONCE);
        let mut instances = Vec::new();
        while let Some(found) = asked.next().await {
            let Some((instance, was_asked)) = found? else { continue };
            if was_asked {
                self.seen.keep(&instance, began);
            }
            instances.push(instance);
        }
        Ok(instances)
    }

    pub(super) async fn start_container(&self, spec: &InstanceSpec) -> Result<Instance, InfrastructureError> {
        check_name(&spec.name)?;
        let network = self
            .oldest_network(&spec.network)
            .await?
            .ok_or_else(|| InfrastructureError::Missing(format!("network `{}`", spec.network)))?;
        for _ in 0..TRIES {
            let id = match self.make_container(spec, &network.id).await? {
                Some(Made::Container(id)) => id,
                Some(Made::NothingToRun(words)) => return Ok(never_started(spec, words)),
                None => {
                    tokio::time::sleep(BETWEEN_TRIES).await;
                    continue;
                }
            };
            if let Some(instance) = self.start_made(&id).await? {
                return Ok(instance);
            }
        }
        Err(InfrastructureError::Refused(format!(
            "the name `{}` does not become free",
            spec.name
        )))
    }

    /// Makes the container, or finds it; `None` when its name is not free yet.
    async fn make_container(&self, spec: &InstanceSpec, network_id: &str) -> Result<Option<Made>, InfrastructureError> {
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        // The content, not its name: a name can be moved. In a registry's reference the name holds the content.
        let mut image = match spec.image.reference.contains('@') {
            true => spec.image.reference.clone(),
            false => spec.image.digest.clone(),
        };
        let mut was_pulled = false;
        loop {
            let body = self.container_of(spec, &image, network_id);
            let error = match self.docker()?.create_container(Some(options.clone()), body).await {
                Ok(made) => return Ok(Some(Made::Container(made.id))),
                Err(error) => error,
            };
            match refusal(&error) {
                Some((404, _)) if !was_pulled => {
                    image = self.pull_for(spec).await?;
                    was_pulled = true;
                }
                Some((404, _)) => return Err(InfrastructureError::ImageMissing(spec.image.reference.clone())),
                Some((409, _)) => return self.find_made(spec).await,
                Some((400, words)) if words.to_lowercase().contains("no command specified") => {
                    return Ok(Some(Made::NothingToRun(words.to_owned())));
                }
                _ => return Err(explain(error, &spec.name)),
            }
        }
    }

    async fn find_made(&self, spec: &InstanceSpec) -> Result<Option<Made>, InfrastructureError> {
        let Some(found) = self.inspect(&spec.name).await? else {
            return Ok(None);
        };
        if state::is_being_removed(&found) {
            return Ok(None);
        }
        match state::instance_of(&found).filter(|instance| self.is_ours(instance)) {
            Some(instance) => Ok(Some(Made::Container(instance.id))),
            None => Err(InfrastructureError::Refused(format!(
                "the name `{}` belongs to somebody else's container",
                spec.name
            ))),
        }
    }

    /// The image's content, pulled; what it is run by.
    async fn pull_for(&self, spec: &InstanceSpec) -> Result<String, InfrastructureError> {
        let missing = || InfrastructureError::ImageMissing(spec.image.reference.clone());
        if crate::image::engine::is_own_name(&spec.image.reference) {
            return Err(missing());
        }
        match self.client.pull(&spec.image.reference).await {
            Ok(()) => {}
            Err(ImageError::Unreachable(cause)) => return Err(InfrastructureError::Unreachable(cause)),
            Err(ImageError::Missing(_)) => return Err(missing()),
            Err(other) => return Err(InfrastructureError::Refused(other.to_string())),
        }
        let found = self.docker()?.inspect_image(&spec.image.reference).await;
        let found = found.map_err(|_| missing())?;
        let digests = found.repo_digests.unwrap_or_default();
        let has_content = found.id.as_deref() == Some(&spec.image.digest)
            || digests.iter().any(|digest| digest.ends_with(&spec.image.digest));
        found.id.filter(|_| has_content).ok_or_else(missing)
    }

    /// Starts a container that was made and never started, and tells how it is; `None` when it is gone.
    async fn start_made(&self, id: &str) -> Result<Option<Instance>, InfrastructureError> {
        let Some(instance) = self.find(id).await? else {
            return Ok(None);
        };
        if instance.status != InstanceStatus::Created {
            return Ok(Some(instance));
        }
        let Err(error) = self.docker()?.start_container(id, None).await else {
            return self.find(id).await;
        };
        if is_missing(&error) && self.find(id).await?.is_none() {
            return Ok(None);
        }
        if let Some((_, words)) = refusal(&error) {
            if is_without_init(words) && self.has_init() {
                self.without_init.store(true, Ordering::Relaxed);
                self.remove_by_id(id).await?;
                return Ok(None);
            }
            if is_the_images_fault(words) {
                return self.find(id).await;
            }
        }
        // Nothing stays behind of what will never run.
        let explained = explain(error, "network or device of the instance");
        if !matches!(explained, InfrastructureError::Unreachable(_)) {
            self.remove_by_id(id).await?;
        }
        Err(explained)
    }

    pub(super) async fn start_container_again(&self, name: &str) -> Result<Instance, InfrastructureError> {
        let instance = self.find(name).await?.ok_or_else(|| missing(name))?;
        if let Err(error) = self.docker()?.start_container(&instance.id, None).await
            && !refusal(&error).is_some_and(|(_, words)| is_the_images_fault(words))
        {
            return Err(match is_missing(&error) {
                true if self.find(&instance.id).await?.is_none() => missing(name),
                true => InfrastructureError::Refused(error.to_string()),
                false => explain(error, name),
            });
        }
        self.find(&instance.id).await?.ok_or_else(|| missing(name))
    }

    pub(super) async fn stop_container(&self, name: &str, grace_seconds: u32) -> Result<(), InfrastructureError> {
        let Some(instance) = self.find(name).await? else {
            return Ok(());
        };
        let grace = Duration::from_secs(grace_seconds.into());
        let docker = self
            .client
            .patient_docker(grace)
            .map_err(|error| explain(error, "engine"))?;
        let seconds = i32::try_from(grace_seconds).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        match docker.stop_container(&instance.id, Some(options)).await {
            Err(error) if !is_missing(&error) => Err(explain(error, name)),
            _ => Ok(()),
        }
    }

    pub(super) async fn remove_container(&self, name: &str) -> Result<(), InfrastructureError> {
        match self.find(name).await? {
            Some(instance) => self.remove_by_id(&instance.id).await,
            None => Ok(()),
        }
    }

    /// Removes a container with its unnamed volumes; returns once it is gone, whoever removed it.
    async fn remove_by_id(&self, id: &str) -> Result<(), InfrastructureError> {
        for _ in 0..TRIES {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.docker()?.remove_container(id, Some(options)).await {
                Ok(()) => return Ok(()),
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) if refusal(&error).is_some_and(|(status, _)| status == 409) => {
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(error) => return Err(explain(error, id)),
            }
        }
        Err(InfrastructureError::Refused(format!(
            "the removal of `{id}`, which somebody else began, does not end"
        )))
    }

    pub(super) async fn ports_of(&self, name: &str) -> Result<ListeningPorts, InfrastructureError> {
        let found = self.inspect(name).await?;
        let found = found.filter(|found| state::instance_of(found).is_some_and(|instance| self.is_ours(&instance)));
        let found = found.ok_or_else(|| missing(name))?;
        match (state::process_of(&found), &found.id) {
            (Some(pid), Some(id)) => Ok(ports::of_process(pid, id).await),
            _ => Ok(ListeningPorts::default()),
        }
    }
}

/// The instance that an image without a command would have been.
fn never_started(spec: &InstanceSpec, words: String) -> Instance {
    Instance {
        id: String::new(),
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        status: InstanceStatus::Exited,
        address: None,
        exit: Some(InstanceExit {
            code: 127,
            out_of_memory: false,
            ran_ms: 0,
            error: Some(words),
        }),
        started_at_ms: None,
        restarts: 0,
    }
}

fn is_without_init(words: &str) -> bool {
    words.contains("docker-init") && words.contains("not found")
}

/// Whether a container could not be started for what the image holds, or does not hold.
fn is_the_images_fault(words: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "exec format error",
        "is a directory",
        "unable to find user",
        "unable to find group",
    ];
    let words = words.to_lowercase();
    SIGNS.iter().any(|sign| words.contains(sign))
}
