//! From a source to an image that can be run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use domain::{
    Reason, SecretText,
    deployment::{DeploymentEvent, Phase},
    labels::Ownership,
    ports::{
        builder::{BuildError, BuildObserver, BuildRequest, BuildStep},
        image::{ImageError, StoredImage},
        planning::{BuildPlan, PlanError, PlanRequest},
        source::{CommitFacts, GitRequest, SourceError, SourceObserver},
    },
    source::{Revision, Source},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{deployments::Deployment, services::Service};

use super::{Deploying, build_failure};
use crate::{
    retention,
    saga::{Step, StepError},
    world::World,
};

pub(super) struct Build;

/// What the step leaves in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BuiltImage {
    /// What runs.
    pub image: StoredImage,
    /// This deployment built it, so that undoing removes it.
    pub own: bool,
}

fn fail(code: &str, message: impl Into<String>, advice: &str) -> StepError {
    StepError::Fail(Reason::new(code, message, advice))
}

fn not_stored(error: ImageError) -> StepError {
    match error {
        ImageError::Unreachable(cause) => StepError::Again(Reason::new(
            "image-store-unreachable",
            format!("the image store does not answer: {}", crate::error::bottom(&cause)),
            "Start it, then deploy again.",
        )),
        ImageError::Missing(image) => fail(
            "image-missing",
            format!("there is no image `{image}`"),
            "Check its name and tag.",
        ),
        ImageError::Denied(image) => fail(
            "image-denied",
            format!("access to `{image}` was refused"),
            "Check the name and the registry's credentials.",
        ),
        ImageError::InUse(_) => fail("image-store", error.to_string(), ""),
        ImageError::Other(message) => fail("image-store", message, ""),
    }
}

fn not_fetched(error: SourceError) -> StepError {
    let message = error.to_string();
    match error {
        SourceError::Unreachable { .. } => StepError::Again(Reason::new(
            "source-unreachable",
            message,
            "Check the address, and that this machine reaches it.",
        )),
        SourceError::Denied { .. } => fail(
            "source-denied",
            message,
            "Check the address. For a private repository, add the service's deploy key to it and use its SSH address.",
        ),
        SourceError::NoSuchRevision(_) => fail("no-such-revision", message, "Check the branch or the commit."),
        SourceError::NoSuchDirectory(_) => fail("no-such-directory", message, "Check the root directory."),
        SourceError::TooLarge(_) => fail("source-too-large", message, ""),
        SourceError::TooSlow(_) => fail(
            "source-too-slow",
            message,
            "Deploy again, or make the repository smaller.",
        ),
        SourceError::Refused(_) => fail("source-refused", message, ""),
        SourceError::Local(cause) => fail(
            "source-local",
            format!("{message}: {cause}"),
            "Is the platform's disk full?",
        ),
    }
}

fn not_built(error: BuildError) -> StepError {
    match error {
        BuildError::Unreachable(cause) => StepError::Again(Reason::new(
            "builder-unreachable",
            format!("the builder does not answer: {}", crate::error::bottom(&cause)),
            "Start it (Docker Engine or buildkitd), then deploy again.",
        )),
        BuildError::Failed {
            step,
            message,
            exit_code,
            tail,
        } => StepError::Fail(build_failure::reason(&step, &message, exit_code, &tail)),
        BuildError::BaseImage { image, message } => fail(
            "base-image",
            format!("the image `{image}` that the build begins from cannot be had: {message}"),
            "Check its name, and that this machine reaches its registry.",
        ),
        BuildError::Invalid(message) => fail("build-invalid", message, ""),
        BuildError::Push(message) => StepError::Again(Reason::new(
            "push-failed",
            format!("the image could not be pushed: {message}"),
            "Check that the registry runs and takes our credentials.",
        )),
    }
}

/// Who was to provide the image knows better why it is not there than the builder, which only looked for it.
fn with_better_cause(error: BuildError, not_provided: Option<String>) -> BuildError {
    match (error, not_provided) {
        (BuildError::BaseImage { image, message }, Some(cause)) => {
            let message = if cause.contains(&image) { cause } else { message };
            BuildError::BaseImage { image, message }
        }
        (error, _) => error,
    }
}

/// A directory that goes when it is dropped, whatever happened meanwhile. A crash leaves it to the reconciler.
struct WorkDirectory(PathBuf);

impl WorkDirectory {
    fn make(path: PathBuf) -> Result<Self, StepError> {
        let made = match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(&path),
        };
        made.map_err(|error| {
            fail(
                "work-directory",
                format!("the work directory could not be made: {error}"),
                "Is the disk full?",
            )
        })?;
        Ok(Self(path))
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("a work directory is left: {error}");
        }
    }
}

#[async_trait]
impl Step<Deploying> for Build {
    fn name(&self) -> &'static str {
        "build"
    }

    async fn run(&self, deploying: &Deploying) -> Result<Value, StepError> {
        let built = deploying
            .phase(Phase::Build, async {
                deploying.advance(DeploymentEvent::BuildStarted).await?;
                let built = obtain(deploying).await?;
                deploying
                    .world
                    .store
                    .set_image(deploying.deployment.id, &built.image)
                    .await?;
                Ok(built)
            })
            .await?;
        deploying.progress.flush().await;
        serde_json::to_value(built).map_err(|error| fail("journal", error.to_string(), ""))
    }

    async fn undo(&self, deploying: &Deploying, made: Option<&Value>) -> Result<(), StepError> {
        let Deploying { world, deployment, .. } = deploying;
        let directory = world.work_directory().join(deployment.id.to_string());
        if let Err(error) = tokio::fs::remove_dir_all(&directory).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(StepError::Again(Reason::new(
                "work-directory",
                format!("it could not be removed: {error}"),
                "",
            )));
        }
        let built: Option<BuiltImage> = made.and_then(|made| serde_json::from_value(made.clone()).ok());
        let image = match built {
            Some(built) if built.own => Some(built.image),
            Some(_) => None,
            // A crash hid whether it was built: it has a name of its own, by which it is found.
            None if builds(deployment) => match world
                .images
                .resolve_own(&image_name(world, &deploying.service, deployment))
                .await
            {
                Ok(image) => image,
                Err(error) => return Err(not_stored(error)),
            },
            None => None,
        };
        if let Some(image) = image {
            retention::let_go(world, deploying.service.organization, deployment, &image).await?;
        }
        Ok(())
    }
}

/// Whether the deployment makes an image of its own.
pub(crate) fn builds(deployment: &Deployment) -> bool {
    matches!(deployment.revision, Revision::Git { .. } | Revision::Upload { .. })
}

/// The name of what this deployment builds. It does not depend on what is found out while building, so that a crash
/// hides nothing: the commit is in the labels.
pub(crate) fn image_name(world: &World, service: &Service, deployment: &Deployment) -> String {
    world.images.name_for(
        &service.organization.short(),
        &service.project.short(),
        &format!("{}-{}", service.name, service.id.short()),
        &format!("{}-{}", deployment.number, deployment.id.short()),
    )
}

async fn obtain(deploying: &Deploying) -> Result<BuiltImage, StepError> {
    let Deploying {
        world,
        deployment,
        progress,
        ..
    } = deploying;
    match (&deployment.revision, &deployment.made.source) {
        (Revision::Existing { image }, _) => {
            if !world.images.exists(image).await.map_err(not_stored)? {
                return Err(fail(
                    "image-gone",
                    "the image of that deployment is not there any more",
                    "Deploy the commit again.",
                ));
            }
            progress.say(Phase::Build, "the image of an earlier deployment is used: no build");
            Ok(BuiltImage {
                image: image.clone(),
                own: false,
            })
        }
        (Revision::Image, Source::Image { reference }) => {
            progress.say(Phase::Build, &format!("looking up the image {reference}"));
            let image = world.images.resolve(reference.as_str()).await.map_err(not_stored)?;
            progress.say(Phase::Build, &format!("it is {}", image.digest));
            Ok(BuiltImage { image, own: false })
        }
        (Revision::Image, _) => Err(fail(
            "no-image",
            "the service has no image reference",
            "Set its source.",
        )),
        (Revision::Git { .. } | Revision::Upload { .. }, _) => from_files(deploying).await,
    }
}

async fn from_files(deploying: &Deploying) -> Result<BuiltImage, StepError> {
    let Deploying {
        world,
        service,
        deployment,
        progress,
        ..
    } = deploying;
    world.store.drop_steps(deployment.id).await?;
    let work = WorkDirectory::make(world.work_directory().join(deployment.id.to_string()))?;
    let (root, commit) = fetch(deploying, &work.0).await?;
    if let Some(facts) = &commit {
        world.store.set_commit(deployment.id, facts).await?;
        progress.say(
            Phase::Build,
            &format!(
                "commit {} by {}: {}",
                &facts.commit.as_str()[..7],
                facts.author,
                facts.message
            ),
        );
    }
    let environment = world.store.deployment_environment(deployment.id).await?;
    let variables: BTreeMap<String, SecretText> = environment
        .iter()
        .map(|(key, (_, value))| (key.to_string(), SecretText::new(value)))
        .collect();
    let cache_key = service.id.short();
    let request = PlanRequest {
        directory: &root,
        settings: &deployment.made.settings.build,
        start_command: deployment
            .made
            .settings
            .start_command
            .as_ref()
            .map(|command| command.as_str()),
        release_command: deployment
            .made
            .settings
            .release_command
            .as_ref()
            .map(|command| command.as_str()),
        variables: &variables,
        closed_network: false,
        cache_key: &cache_key,
    };
    let (plan, not_provided) = plan(deploying, request).await?;
    world.store.set_plan(deployment.id, &plan.facts).await?;
    if let Some(port) = plan.port {
        world.store.set_port(deployment.id, port).await?;
    }
    let turn = match world.build_turns.try_take(service.organization) {
        Some(turn) => turn,
        None => {
            progress.say(Phase::Build, "waiting for its turn: other builds are under way");
            world.build_turns.take(service.organization).await
        }
    };
    let mut image_labels = Ownership {
        installation: world.settings.installation.clone(),
        organization: service.organization,
        project: service.project,
        service: Some(service.id),
        deployment: Some(deployment.id),
    }
    .labels();
    if let Some(facts) = &commit {
        // The key is of the OCI image specification, annotations.
        image_labels.insert("org.opencontainers.image.revision".to_owned(), facts.commit.to_string());
    }
    let request = BuildRequest {
        context: root,
        recipe: plan.recipe,
        secrets: plan.secrets,
        cache_key,
        image_name: image_name(world, service, deployment),
        labels: image_labels,
        no_cache: deployment.no_cache,
    };
    let observer = Observer {
        deploying,
        pushing: std::sync::atomic::AtomicBool::new(false),
    };
    let image = {
        let build = world.builder.build(&request, &observer);
        tokio::pin!(build);
        loop {
            tokio::select! {
                image = &mut build => break image.map_err(|error| not_built(with_better_cause(error, not_provided)))?,
                () = tokio::time::sleep(std::time::Duration::from_millis(200)), if observer.is_pushing() => {
                    deploying.advance(DeploymentEvent::PushStarted).await?;
                    observer.pushing.store(false, std::sync::atomic::Ordering::Relaxed);
                }
            }
        }
    };
    drop(turn);
    progress.say(Phase::Build, &format!("built {}", image.digest));
    drop(work);
    // An upload stays until its deployment is over: the journal does not know yet that it was built.
    Ok(BuiltImage { image, own: true })
}

/// Plans, and provides the base images. Where one cannot be had, a plan of those is tried that a closed network has; the
/// words say what is missing nevertheless. The builder has the last word: it may know an image from somewhere else.
async fn plan(deploying: &Deploying, request: PlanRequest<'_>) -> Result<(BuildPlan, Option<String>), StepError> {
    let Deploying { world, progress, .. } = deploying;
    let ask = async |request: &PlanRequest<'_>| {
        world.planner.plan(request).await.map_err(|error| match error {
            PlanError::Refused { message, advice } => fail("cannot-be-planned", message, &advice),
            PlanError::Unavailable(message) => fail("planner-unavailable", message, ""),
        })
    };
    let provide = async |plan: &BuildPlan| {
        let lines = BaseImageLines(progress);
        world.base_images.ensure(&plan.base_images, &lines).await.err()
    };
    let tell = |plan: &BuildPlan| {
        for line in &plan.summary {
            progress.say(Phase::Build, line);
        }
    };
    let wished = ask(&request).await?;
    tell(&wished);
    let Some(message) = provide(&wished).await else {
        return Ok((wished, None));
    };
    progress.warn(Phase::Build, &message);
    let closed = PlanRequest {
        closed_network: true,
        ..request
    };
    let other = ask(&closed).await?;
    if other.base_images == wished.base_images || provide(&other).await.is_some() {
        return Ok((wished, Some(message)));
    }
    progress.warn(Phase::Build, "planned anew with base images that can be had here");
    tell(&other);
    Ok((other, None))
}

/// What providing base images says.
struct BaseImageLines<'a>(&'a super::progress::Progress);

impl SourceObserver for BaseImageLines<'_> {
    fn line(&self, text: &str) {
        self.0
            .push(Phase::Build, domain::logs::LogLevel::Info, "base images", text);
    }
}

/// Passes on what the builder says, and remembers that it pushes.
struct Observer<'a> {
    deploying: &'a Deploying,
    pushing: std::sync::atomic::AtomicBool,
}

impl Observer<'_> {
    fn is_pushing(&self) -> bool {
        self.pushing.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl BuildObserver for Observer<'_> {
    fn step(&self, step: BuildStep) {
        BuildObserver::step(&*self.deploying.progress, step);
    }
    fn line(&self, step_name: &str, level: domain::logs::LogLevel, text: &str) {
        BuildObserver::line(&*self.deploying.progress, step_name, level, text);
    }
    fn pushing(&self) {
        self.pushing.store(true, std::sync::atomic::Ordering::Relaxed);
        BuildObserver::pushing(&*self.deploying.progress);
    }
}

async fn fetch(deploying: &Deploying, work: &Path) -> Result<(PathBuf, Option<CommitFacts>), StepError> {
    let Deploying {
        world,
        service,
        deployment,
        progress,
        ..
    } = deploying;
    let limits = world.settings.source_limits;
    match (&deployment.revision, &deployment.made.source) {
        (
            Revision::Git { commit },
            Source::Git {
                url,
                branch,
                root_directory,
            },
        ) => {
            progress.say(Phase::Build, &format!("fetching {url}"));
            let request = GitRequest {
                url: url.clone(),
                branch: branch.clone(),
                commit: commit.clone(),
                deploy_key: world.store.deploy_key(service).await?,
                limits,
            };
            let facts = world
                .sources
                .checkout(&request, work, &**progress)
                .await
                .map_err(not_fetched)?;
            Ok((
                world.sources.confine(work, root_directory).map_err(not_fetched)?,
                Some(facts),
            ))
        }
        (Revision::Upload { upload }, source) => {
            let Source::Upload { root_directory } = source else {
                return Err(fail(
                    "no-upload",
                    "the service's source is no upload any more",
                    "Upload it again.",
                ));
            };
            let file = world.upload_file(*upload);
            if !tokio::fs::try_exists(&file).await.unwrap_or(false) {
                return Err(fail(
                    "upload-gone",
                    "the uploaded archive is not there any more",
                    "Upload it again.",
                ));
            }
            progress.say(Phase::Build, "unpacking the upload");
            world.sources.unpack(&file, work, limits).await.map_err(not_fetched)?;
            Ok((world.sources.confine(work, root_directory).map_err(not_fetched)?, None))
        }
        _ => Err(fail(
            "no-source",
            "the service's source is not a repository any more",
            "Deploy again.",
        )),
    }
}
