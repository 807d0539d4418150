//! `click-deploy serve`: the platform itself, put together from its parts.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use api::Api;
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
use engine::{BuildCache, Engine, Notices, Runner, Settings, World};
use store::{Location, Presence, Store};
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::sync::CancellationToken;

use crate::configuration::Configuration;

/// How often the lock on the database is looked at.
const LOOK: Duration = Duration::from_secs(15);

/// The organization until accounts bring others.
pub(crate) const FIRST_ORGANIZATION: &str = "default";

/// Why the platform cannot start, with what lies under it.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

fn failed(what: &str, cause: impl std::fmt::Display) -> Failed {
    format!("{what}: {cause}").into()
}

/// Runs the platform until it is told to stop.
pub(crate) async fn run() -> Result<(), Failed> {
    start_log();
    let configuration = Configuration::read()?;
    let data = configuration.data_directory.clone();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data)
        .map_err(|cause| failed("CLICK_DEPLOY_DATA_DIR cannot be made", cause))?;
    // One process for a data directory, and the database file in it.
    let _lock = lock(&data.join("serve.lock"))?;
    clear_scratch(&data.join("scratch"));
    let listener = TcpListener::bind(configuration.listen).await.map_err(|cause| {
        failed(
            &format!("CLICK_DEPLOY_LISTEN: {} cannot be listened on", configuration.listen),
            cause,
        )
    })?;
    let presence = present(&configuration.database).await?;
    let store = Store::open(&configuration.database, configuration.sealer.clone())
        .await
        .map_err(|cause| {
            let what = format!("DATABASE_URL: the database {} cannot be opened", configuration.database);
            failed(&what, report(&cause))
        })?;
    tracing::info!("the state is in {}", configuration.database);
    // Whoever held leases in a file of ours before is dead. On a server, they end by themselves in 15 s.
    if configuration.database.as_file().is_some() {
        let released = store.release_all_leases().await?;
        if released > 0 {
            tracing::info!("{released} job(s) were under way when the platform ended, and go on");
        }
    }
    first_token(&store, &configuration).await?;
    let world = Arc::new(world(&configuration, store.clone()).await?);
    let stop = CancellationToken::new();
    let owner = format!("{}-{}", std::process::id(), domain::JobId::mint().short());
    let runner = tokio::spawn(Runner::new(Arc::clone(&world), owner).run(stop.clone()));
    let api = Api::new(Engine::new(Arc::clone(&world)));
    tracing::info!("the API listens on http://{}", configuration.listen);
    let serving = tokio::spawn(api.serve(listener, stop.clone().cancelled_owned()));
    tokio::select! {
        signal = stop_signal() => signal?,
        () = presence.lost(LOOK) => {
            return Err(format!(
                "{} was away, and a restore or a move took it meanwhile: start again when that is done",
                configuration.database
            )
            .into());
        }
    }
    tracing::info!("stopping; what is under way goes on after the next start");
    stop.cancel();
    // Live readers would be waited for without end.
    let _ = tokio::time::timeout(Duration::from_secs(3), serving).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), runner).await;
    store.close().await;
    presence.end().await;
    Ok(())
}

/// Takes the place of a platform in the database, so that nothing is put in its place meanwhile.
async fn present(database: &Location) -> Result<Presence, Failed> {
    let what = format!("DATABASE_URL: the database {database} cannot be opened");
    let presence = Presence::shared(database).await;
    presence.map_err(|cause| failed(&what, report(&cause)))?.ok_or_else(|| {
        failed(
            &what,
            "a `click-deploy restore` or `click-deploy migrate` works on it: wait until that is done",
        )
    })
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CLICK_DEPLOY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sqlx=warn,hyper=warn,h2=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that cannot be written (a full disk) is lost. Its complaint would go the same way, and panic there.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if std::env::var("CLICK_DEPLOY_LOG_FORMAT").as_deref() == Ok("json") {
        builder.json().init();
    } else {
        builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }
}

/// An error with everything that lies under it.
pub(crate) fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Removes the temporary directories of a platform that was killed; keys of its may lie in them.
fn clear_scratch(scratch: &Path) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        if entry.path().is_dir()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!("a temporary directory is left at {}: {error}", entry.path().display());
        }
    }
}

/// Locks a file for as long as the answer lives; the system lets go of it however the process ends. None when another
/// process has it.
pub(crate) fn try_lock(path: &Path) -> std::io::Result<Option<fs::File>> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(cause)) => Err(cause),
    }
}

fn lock(path: &Path) -> Result<fs::File, Failed> {
    match try_lock(path).map_err(|cause| failed("the lock file cannot be locked", cause))? {
        Some(file) => Ok(file),
        None => Err(format!(
            "another `click-deploy serve`, or a restore, uses {}: stop it first",
            path.display()
        )
        .into()),
    }
}

/// Makes the first API token, once, and writes it where only the operator reads it.
async fn first_token(store: &Store, configuration: &Configuration) -> Result<(), Failed> {
    let organization = store.ensure_organization(FIRST_ORGANIZATION).await?;
    let Some(file) = &configuration.token_file else {
        if store.count_tokens().await? == 0 {
            tracing::warn!(
                "there is no API token yet: run `click-deploy token`, or set CLICK_DEPLOY_TOKEN_FILE and start again"
            );
        }
        return Ok(());
    };
    if store.count_tokens().await? > 0 && file.exists() {
        return Ok(());
    }
    let token = new_token()?;
    store
        .add_token(
            organization,
            &format!("first-{}", domain::TokenId::mint().short()),
            &api::token_hash(&token),
        )
        .await?;
    write_private(file, &token).map_err(|cause| failed("CLICK_DEPLOY_TOKEN_FILE cannot be written", cause))?;
    tracing::info!("the first API token is in {}", file.display());
    Ok(())
}

/// A token: `cd_` and 256 random bits.
pub(crate) fn new_token() -> Result<String, Failed> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "the system has no random bytes")?;
    Ok(bytes
        .iter()
        .fold("cd_".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&part)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&part, path)
}

async fn stop_signal() -> Result<(), Failed> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

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

async fn world(configuration: &Configuration, store: Store) -> Result<World, Failed> {
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
    Ok(World {
        store,
        settings: Settings {
            installation,
            data_directory: configuration.data_directory.clone(),
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
        notices: Notices::default(),
        build_turns: engine::BuildTurns::new(configuration.parallel_builds),
        counters: engine::Counters::default(),
        starts: engine::Starts::default(),
        orphans: engine::Orphans::default(),
    })
}
