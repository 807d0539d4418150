//! The world that the engine works with, put together from the configuration.

use std::{sync::Arc, time::Duration};

use domain::ports::{builder::Builder, image::ImageStore, source::SourceLimits};
use drivers::{
    build::{BuildKit, BuildLimits, railpack::Railpack},
    image::{engine::EngineStore, pushing::PushingBuilder, registry::Registry, registry::RegistryAccess},
    infrastructure::docker::DockerEngine,
    planning::{BaseImageProgram, Planners, RailpackPlanner},
    prober::HttpProber,
    proxy::CaddyRouter,
    source::{GitPolicy, GitSources},
};
use engine::{BuildCache, Notices, Settings, World};
use store::Store;

use crate::{configuration::Configuration, serve::Failed};

/// Railpack, where its program is, and a builder that can build its plans.
async fn find_railpack(configuration: &Configuration, builder: &dyn Builder) -> Option<RailpackPlanner> {
    let program = Railpack::find(&std::env::var("PATH").unwrap_or_default())?;
    if !builder.merges_layers() {
        tracing::info!("Railpack is on PATH and not used: its plans need a buildkitd of its own (BUILDKIT_HOST)");
        return None;
    }
    match program.version().await {
        Ok(version) => {
            tracing::info!("{version} plans what has no Dockerfile");
            Some(RailpackPlanner {
                program,
                scratch: configuration.data_directory.join("scratch"),
                variables: configuration.railpack_variables.clone(),
            })
        }
        Err(error) => {
            tracing::warn!("Railpack is on PATH and cannot be run: {error}");
            None
        }
    }
}

pub(crate) async fn world(configuration: &Configuration, store: Store) -> Result<World, Failed> {
    let installation = store
        .installation_value("name", || domain::ServiceId::mint().short()[..8].to_owned())
        .await?;
    let mut engine = DockerEngine::new(&configuration.docker_host, &installation)?;
    let registry = configuration.registry.as_ref().map(|registry| RegistryAccess {
        host: registry.host.clone(),
        username: registry.username.clone(),
        password: registry.password.clone(),
        plain_http: registry.plain_http,
        namespace: registry.namespace.clone(),
    });
    if let Some(registry) = &registry {
        engine = engine.with_registry(registry.clone());
    }
    let limits = BuildLimits {
        cpu_millis: configuration.build_cpu_millis,
        memory_mb: configuration.build_memory_mb,
    };
    let embedded = || BuildKit::embedded(&configuration.docker_host, limits);
    let (builder, images): (Arc<dyn Builder>, Arc<dyn ImageStore>) = match (registry, &configuration.buildkit_host) {
        (None, _) => (Arc::new(embedded()), Arc::new(EngineStore::new(&engine))),
        (Some(access), None) => {
            let registry = Registry::new(access)?;
            (
                Arc::new(PushingBuilder::new(embedded(), engine.clone(), registry.clone())),
                Arc::new(registry),
            )
        }
        (Some(access), Some(host)) => {
            let target = drivers::build::RegistryAccess {
                host: access.host.clone(),
                username: access.username.clone(),
                password: access.password.clone(),
                plain_http: access.plain_http,
            };
            (
                Arc::new(BuildKit::remote(host, target, limits)),
                Arc::new(Registry::new(access)?),
            )
        }
    };
    let scratch = configuration.data_directory.join("scratch");
    let railpack = find_railpack(configuration, &*builder).await;
    let sources = GitSources::new(GitPolicy {
        allow_file_urls: configuration.allow_file_urls,
        allow_private_addresses: configuration.allow_private_addresses,
        git: "git".into(),
        scratch,
    });
    let notices = if store.is_alone() {
        Notices::default()
    } else {
        Notices::of_several()
    };
    Ok(World {
        store,
        settings: Settings {
            installation,
            data_directory: configuration.data_directory.clone(),
            upload_directory: configuration.upload_directory.clone(),
            base_domain: configuration.base_domain.clone(),
            public_scheme: configuration.public_scheme.clone(),
            public_port: configuration.public_port,
            allow_file_urls: configuration.allow_file_urls,
            source_limits: SourceLimits::default(),
            parallel_builds: configuration.parallel_builds,
            build_deadline_seconds: configuration.build_deadline_seconds,
            upload_limit_bytes: configuration.upload_limit_mb * 1024 * 1024,
            orphan_grace: Duration::from_secs(configuration.orphan_grace_seconds),
            retention: configuration.retention.clone(),
            build_cache: BuildCache::of(configuration.build_cache_limit),
        },
        sources: Arc::new(sources),
        planner: Arc::new(Planners::new(railpack, &configuration.digest_secret)),
        base_images: Arc::new(BaseImageProgram::new(
            configuration.base_image_program.clone(),
            &configuration.docker_host,
        )?),
        builder,
        images,
        infrastructure: Arc::new(engine),
        router: Arc::new(CaddyRouter::new(&configuration.proxy_admin_url)?),
        prober: Arc::new(HttpProber::new(&configuration.proxy_url)?),
        notices,
        build_turns: engine::BuildTurns::new(configuration.parallel_builds),
        counters: engine::Counters::default(),
        starts: engine::Starts::default(),
    })
}
