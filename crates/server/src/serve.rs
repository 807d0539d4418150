//! `click-deploy serve`: the platform itself, put together from its parts.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use api::{Api, Closing};
use engine::{Engine, Runner, state::processes::Process};
use store::{Location, Presence, Store};
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::sync::CancellationToken;

use crate::{assemble, configuration::Configuration};

/// How often the lock on the database is looked at.
const LOOK: Duration = Duration::from_secs(15);

/// The organization until accounts bring others.
pub(crate) const FIRST_ORGANIZATION: &str = "default";

/// Why the platform cannot start, with what lies under it.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

fn failed(what: &str, cause: impl std::fmt::Display) -> Failed {
    format!("{what}: {cause}").into()
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// All of it.
    All,
    /// It answers requests, and leaves work to others.
    Api,
    /// It works, and answers nobody.
    Worker,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::All => "click-deploy serve",
            Self::Api => "click-deploy serve --api-only",
            Self::Worker => "click-deploy worker",
        }
    }
}

/// Runs the platform, or a part of it, until it is told to stop.
pub(crate) async fn run(role: Role) -> Result<(), Failed> {
    start_log();
    let configuration = Configuration::read()?;
    if role != Role::All && configuration.database.as_file().is_some() {
        return Err(format!(
            "`{}` is one of several processes, which need a database on a server: set DATABASE_URL to a PostgreSQL or MariaDB \
             database (`click-deploy migrate --to` moves the state there), or run `click-deploy serve`",
            role.command()
        )
        .into());
    }
    let data = configuration.data_directory.clone();
    make_private(&data).map_err(|cause| failed("CLICK_DEPLOY_DATA_DIR cannot be made", cause))?;
    make_private(&configuration.upload_directory)
        .map_err(|cause| failed("CLICK_DEPLOY_UPLOAD_DIR cannot be made", cause))?;
    // One process for a data directory, and the database file in it.
    let _lock = lock(&data.join("serve.lock"))?;
    clear_scratch(&data.join("scratch"));
    let listener = match role {
        Role::Worker => None,
        Role::All | Role::Api => Some(TcpListener::bind(configuration.listen).await.map_err(|cause| {
            let what = format!("CLICK_DEPLOY_LISTEN: {} cannot be listened on", configuration.listen);
            failed(&what, cause)
        })?),
    };
    let presence = present(&configuration.database).await?;
    let store = Store::open(&configuration.database, configuration.sealer.clone())
        .await
        .map_err(|cause| {
            let what = format!("DATABASE_URL: the database {} cannot be opened", configuration.database);
            failed(&what, report(&cause))
        })?;
    tracing::info!("the state is in {}", configuration.database);
    // Whoever held leases in a file of ours before is dead. On a server, they end by themselves in 15 s.
    if store.is_alone() {
        let released = store.release_all_leases().await?;
        if released > 0 {
            tracing::info!("{released} job(s) were under way when the platform ended, and go on");
        }
    }
    first_token(&store, &configuration).await?;
    let world = Arc::new(assemble::world(&configuration, store.clone()).await?);
    let process = this_process(role);
    tracing::info!("this is the process {} ({})", process.id, process.role);
    let stop = CancellationToken::new();
    let works = role != Role::Api;
    let runner = works.then(|| tokio::spawn(Runner::new(Arc::clone(&world), process.id.clone()).run(stop.clone())));
    let part = tokio::spawn(engine::take_part(Arc::clone(&world), process, stop.clone()));
    let closing = Closing::default();
    let serving = listener.map(|listener| {
        tracing::info!("the API listens on http://{}", configuration.listen);
        let api = Api::new(Engine::new(Arc::clone(&world)), closing.clone());
        tokio::spawn(api.serve(listener))
    });
    let mut signals = Signals::new()?;
    tokio::select! {
        () = signals.next() => {}
        () = presence.lost(LOOK) => {
            return Err(format!(
                "{} was away, and a restore or a move took it meanwhile: start again when that is done",
                configuration.database
            )
            .into());
        }
    }
    tracing::info!("stopping; what is under way goes on after the next start, or in another process");
    stop.cancel();
    let ending_work = async {
        if let Some(runner) = runner {
            let _ = tokio::time::timeout(Duration::from_secs(5), runner).await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), part).await;
    };
    let ending_answers = async {
        let Some(serving) = serving else { return };
        // Whoever leads requests here sees in time that it should not, and a second signal is impatient.
        closing.drain();
        tokio::select! {
            () = tokio::time::sleep(configuration.shutdown_drain) => {}
            () = signals.next() => {}
        }
        closing.close();
        let _ = tokio::time::timeout(Duration::from_secs(3), serving).await;
    };
    tokio::join!(ending_work, ending_answers);
    // A database that is silent is not waited for: what it holds of ours ends with its connections.
    let closing = async {
        store.close().await;
        presence.end().await;
    };
    if tokio::time::timeout(Duration::from_secs(5), closing).await.is_err() {
        tracing::warn!("the connections to the database are left: it does not answer");
    }
    Ok(())
}

fn make_private(directory: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn this_process(role: Role) -> Process {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = store::now_ms();
    Process {
        id: format!("{}-{}", std::process::id(), domain::JobId::mint().short()),
        role: role.name().to_owned(),
        host: host.trim().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_ms: now,
        seen_at_ms: now,
    }
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

/// The signals that end the process.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: tokio::signal::unix::signal(SignalKind::terminate())?,
            interrupt: tokio::signal::unix::signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
