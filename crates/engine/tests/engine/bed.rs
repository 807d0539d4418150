//! A platform of its own for each test: a store in a temporary directory, a world in memory, and a runner that can be
//! killed and started again.

use std::{sync::Arc, time::Duration};

use contract::world::{FakeWorld, archive};
use domain::{
    DeploymentId, JobId, OrganizationId, ServiceId, UploadId,
    deployment::DeploymentStatus,
    names::{HostName, Replicas, Slug},
    ports::router::{Route, Router as _},
    service::ServiceSettings,
    source::{GitUrl, Source},
};
use engine::{
    BuildCache, Engine, Notices, Retention, Runner, Settings, World,
    manage::{DeploymentDetail, DeploymentRequest, ServiceChange},
    state::{deployments::Deployment, jobs::Job, projects::Project, services::Service},
};
use store::{Store, seal::Sealer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::watched::{LONGEST, Watched};

pub(crate) const REPOSITORY: &str = "https://example.org/team/app.git";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) struct Bed {
    pub(crate) world: FakeWorld,
    pub(crate) watched: Watched,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) organization: OrganizationId,
    pub(crate) project: Project,
    build_cache: BuildCache,
    directory: tempfile::TempDir,
    shared: Arc<World>,
    runner: Option<JoinHandle<()>>,
    watchdog: JoinHandle<()>,
    starts: usize,
    retention: Retention,
}

async fn open(directory: &tempfile::TempDir) -> Store {
    let sealer = Sealer::new(KEY).unwrap();
    let location = store::Location::file(&directory.path().join("state.db"));
    Store::open(&location, sealer).await.unwrap()
}

fn assemble(
    directory: &tempfile::TempDir,
    store: &Store,
    watched: &Watched,
    retention: &Retention,
    build_cache: BuildCache,
) -> Arc<World> {
    let settings = Settings {
        installation: "test".to_owned(),
        data_directory: directory.path().to_owned(),
        upload_directory: directory.path().join("uploads"),
        base_domain: HostName::parse("apps.example.com").unwrap(),
        public_scheme: "http".to_owned(),
        public_port: None,
        allow_file_urls: false,
        source_limits: Default::default(),
        parallel_builds: 2,
        build_deadline_seconds: 60,
        upload_limit_bytes: 1 << 20,
        orphan_grace: Duration::from_millis(300),
        retention: retention.clone(),
        build_cache,
    };
    let ports = Arc::new(watched.clone());
    Arc::new(World {
        store: store.clone(),
        build_turns: engine::BuildTurns::new(settings.parallel_builds),
        counters: engine::Counters::default(),
        starts: engine::Starts::default(),
        settings,
        sources: ports.clone(),
        planner: ports.clone(),
        base_images: ports.clone(),
        builder: ports.clone(),
        images: ports.clone(),
        infrastructure: ports.clone(),
        router: ports.clone(),
        prober: ports,
        notices: Notices::default(),
    })
}

pub(crate) fn slug(name: &str) -> Slug {
    Slug::parse(name).unwrap()
}

pub(crate) fn git() -> Source {
    Source::Git {
        url: GitUrl::parse(REPOSITORY).unwrap(),
        branch: None,
        root_directory: domain::names::InsidePath::parse("").unwrap(),
    }
}

pub(crate) fn uploads() -> Source {
    Source::Upload {
        root_directory: domain::names::InsidePath::parse("").unwrap(),
    }
}

/// Settings with which nothing waits longer than it must.
pub(crate) fn quick() -> ServiceSettings {
    ServiceSettings {
        health_timeout_seconds: 3,
        drain_timeout_seconds: 0,
        ..ServiceSettings::default()
    }
}

pub(crate) fn replicas(number: u16) -> ServiceSettings {
    ServiceSettings {
        replicas: Replicas::parse(number).unwrap(),
        ..quick()
    }
}

/// How long a test may take, however busy the machine is.
const LONGEST_TEST: Duration = Duration::from_secs(600);

/// Ends everything when a test hangs: nothing else would, and whoever waits for it would wait for ever.
async fn bark(test: Option<String>) {
    tokio::time::sleep(LONGEST_TEST).await;
    eprintln!("a bed of {test:?} is there for {LONGEST_TEST:?}: something hangs");
    std::process::abort();
}

impl Bed {
    /// A platform with one project, whose runner works.
    pub(crate) async fn new() -> Self {
        let mut bed = Self::asleep().await;
        bed.start_runner();
        bed
    }

    /// A platform whose runner was not started yet.
    pub(crate) async fn asleep() -> Self {
        Self::with_build_cache(BuildCache::of(0)).await
    }

    /// The same, with a bound for the build cache.
    pub(crate) async fn with_build_cache(build_cache: BuildCache) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        let organization = store.ensure_organization("default").await.unwrap();
        let world = FakeWorld::new();
        world.push(REPOSITORY, "main", &[("index.html", "one")]);
        let watched = Watched::new(world.clone());
        let retention = Retention::default();
        let shared = assemble(&directory, &store, &watched, &retention, build_cache);
        let engine = Engine::new(Arc::clone(&shared));
        let project = engine.create_project(organization, &slug("shop")).await.unwrap();
        Self {
            world,
            watched,
            engine,
            store,
            organization,
            project,
            build_cache,
            directory,
            shared,
            runner: None,
            watchdog: tokio::spawn(bark(std::thread::current().name().map(ToOwned::to_owned))),
            starts: 0,
            retention,
        }
    }

    pub(crate) fn start_runner(&mut self) {
        assert!(self.runner.is_none(), "one runner at a time");
        self.starts += 1;
        let runner = Runner::new(Arc::clone(&self.shared), format!("runner-{}", self.starts));
        self.runner = Some(tokio::spawn(runner.run(CancellationToken::new())));
    }

    /// Ends the runner's work at whatever await it is, as a killed process would.
    pub(crate) async fn kill(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.abort();
            let _ = runner.await;
        }
    }

    /// The platform is started again after it was killed: everything is opened anew but the world, which went on.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.store = open(&self.directory).await;
        self.store.release_all_leases().await.unwrap();
        self.shared = assemble(
            &self.directory,
            &self.store,
            &self.watched,
            &self.retention,
            self.build_cache,
        );
        self.engine = Engine::new(Arc::clone(&self.shared));
        self.start_runner();
    }

    /// The platform is started again with another policy of what is kept.
    pub(crate) async fn keep(&mut self, retention: Retention) {
        self.retention = retention;
        self.restart().await;
    }

    /// Changes the state past the platform.
    pub(crate) async fn run_sql(&self, sql: &str) {
        use sqlx::Connection as _;
        let file = self.directory.path().join("state.db");
        let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// What the engine works with now.
    pub(crate) fn shared(&self) -> &World {
        &self.shared
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub(crate) async fn create(&self, name: &str, source: &Source, settings: &ServiceSettings) -> Service {
        let made = self
            .engine
            .create_service(self.organization, self.project.id, &slug(name), source, settings)
            .await;
        made.unwrap().service
    }

    pub(crate) async fn service(&self, id: ServiceId) -> Service {
        self.store.service(self.organization, id).await.unwrap()
    }

    /// Asks for a deployment.
    pub(crate) async fn ask(&self, service: ServiceId) -> DeploymentId {
        self.ask_for(service, DeploymentRequest::default()).await.deployment.id
    }

    pub(crate) async fn ask_for(&self, service: ServiceId, request: DeploymentRequest) -> DeploymentDetail {
        self.engine.deploy(self.organization, service, &request).await.unwrap()
    }

    /// Deploys, and waits until it is over and every job is.
    pub(crate) async fn deploy(&self, service: ServiceId) -> Deployment {
        let id = self.ask(service).await;
        self.until_quiet().await;
        self.deployment(id).await
    }

    /// Deploys once more; how that ended.
    pub(crate) async fn deploy_again(&self, service: ServiceId, upload: bool) -> DeploymentStatus {
        let id = if upload {
            self.upload(service, &[("index.html", "three")]).await
        } else {
            self.ask(service).await
        };
        self.until_quiet().await;
        self.deployment(id).await.status
    }

    /// A service whose first version is live, and has to be served from now on.
    pub(crate) async fn live(&self, name: &str, settings: &ServiceSettings) -> Service {
        let service = self.create(name, &git(), settings).await;
        let deployment = self.deploy(service.id).await;
        assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.reason);
        self.watched.must_serve(&service.host);
        self.service(service.id).await
    }

    pub(crate) async fn deployment(&self, id: DeploymentId) -> Deployment {
        self.store.deployment(self.organization, id).await.unwrap()
    }

    pub(crate) async fn route(&self, host: &HostName) -> Option<Route> {
        self.world.get(host).await.unwrap()
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.store.jobs(self.organization, "~", 1000).await.unwrap()
    }

    /// Writes an archive and deploys it.
    pub(crate) async fn upload(&self, service: ServiceId, files: &[(&str, &str)]) -> DeploymentId {
        let upload = UploadId::mint();
        let file = self.engine.upload_path(upload);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, archive(files)).unwrap();
        self.engine
            .deploy_upload(self.organization, service, upload, 1, false)
            .await
            .unwrap()
            .deployment
            .id
    }

    pub(crate) async fn set_source(&self, service: ServiceId, source: Source) {
        let change = ServiceChange {
            source: Some(source),
            ..ServiceChange::default()
        };
        self.engine
            .change_service(self.organization, service, change, None)
            .await
            .unwrap();
    }

    pub(crate) async fn set_settings(&self, service: ServiceId, settings: ServiceSettings) {
        let change = ServiceChange {
            settings: Some(settings),
            ..ServiceChange::default()
        };
        self.engine
            .change_service(self.organization, service, change, None)
            .await
            .unwrap();
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.store.job(self.organization, id).await.unwrap()
    }

    /// The journal of a deployment's job: each step, and how far it is.
    pub(crate) async fn journal_of(&self, id: DeploymentId) -> Vec<(String, store::jobs::StepState)> {
        let jobs = self.jobs().await;
        let job = jobs.iter().find(|job| job.subject == id.to_string()).unwrap();
        let journal = self.store.journal(job.id).await.unwrap();
        journal.into_iter().map(|entry| (entry.step, entry.state)).collect()
    }

    /// Waits until the deployment is over.
    pub(crate) async fn until_over(&self, id: DeploymentId) -> Deployment {
        self.until("the deployment is over", async || {
            let deployment = self.deployment(id).await;
            deployment.status.is_final().then_some(deployment)
        })
        .await
    }

    /// Waits until no job is left.
    pub(crate) async fn until_quiet(&self) {
        self.until("every job is over", async || {
            let jobs = self.jobs().await;
            jobs.iter().all(|job| job.finished_at_ms.is_some()).then_some(())
        })
        .await;
    }

    /// Waits until no job is left, and lets none of them pause.
    pub(crate) async fn until_quiet_without_pauses(&self) {
        self.until("every job is over", async || {
            if self.jobs().await.iter().all(|job| job.finished_at_ms.is_some()) {
                return Some(());
            }
            self.run_sql("UPDATE jobs SET run_after_ms = 0 WHERE status = 'waiting' AND run_after_ms > 0")
                .await;
            self.shared().notices.job();
            tokio::time::sleep(Duration::from_millis(40)).await;
            None
        })
        .await;
    }

    /// Waits until there is an answer; looks every few milliseconds, and less often when it takes long.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let looked = async {
            let mut pause = Duration::from_millis(10);
            loop {
                if let Some(answer) = look().await {
                    return answer;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 6 / 5).min(Duration::from_millis(80));
            }
        };
        match tokio::time::timeout(LONGEST, looked).await {
            Ok(answer) => answer,
            Err(_) => panic!(
                "not in time: {what}; jobs: {:#?}; there: {:#?}",
                self.jobs().await,
                self.world.alive()
            ),
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.watchdog.abort();
        if let Some(runner) = self.runner.take() {
            runner.abort();
        }
    }
}
