//! A database of its own for each test.

use std::sync::Arc;

use domain::{
    DeploymentId, OrganizationId, ProjectId,
    deployment::Trigger,
    environment::VariableKind,
    names::{HostName, InsidePath, Slug, VariableKey},
    service::ServiceSettings,
    source::{Revision, Source},
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};
use store::{
    Location, Store,
    deployments::{Made, NewDeployment},
    seal::Sealer,
    services::Service,
};

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const OTHER_KEY: &str = "HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Makes tests of promises: each runs on each database.
macro_rules! promises {
    (on $database:ident: $($name:ident),*) => {
        mod $database {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::bed::kept(stringify!($database), super::$name).await;
            })*
        }
    };
    ($($name:ident),* $(,)?) => {
        mod on {
            $(mod $name {
                #[tokio::test(flavor = "multi_thread")]
                async fn sqlite() {
                    $crate::bed::kept("sqlite", super::super::$name).await;
                }
                #[tokio::test(flavor = "multi_thread")]
                async fn postgresql() {
                    $crate::bed::kept("postgresql", super::super::$name).await;
                }
                #[tokio::test(flavor = "multi_thread")]
                async fn mariadb() {
                    $crate::bed::kept("mariadb", super::super::$name).await;
                }
            })*
        }
    };
}
pub(crate) use promises;

/// A database of the test's own, on one of the three.
pub(crate) enum Place {
    File(tempfile::TempDir),
    Server { url: String, name: String },
}

impl Place {
    /// Makes an empty one, unless the server is absent; then the test says that it is skipped.
    pub(crate) async fn make(database: &str) -> Option<Self> {
        let variable = match database {
            "sqlite" => return Some(Self::File(tempfile::tempdir().unwrap())),
            "postgresql" => "CLICK_DEPLOY_TEST_POSTGRES_URL",
            _ => "CLICK_DEPLOY_TEST_MARIADB_URL",
        };
        let url = contract::bed::counterpart(database, variable)?;
        let name = contract::bed::unique("test").replace('-', "_");
        let place = Self::Server { url, name };
        place.on_server("CREATE DATABASE").await;
        Some(place)
    }

    pub(crate) fn location(&self) -> Location {
        match self {
            Self::File(directory) => Location::file(&directory.path().join("state.db")),
            Self::Server { .. } => self.url().parse().unwrap(),
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Server { url, .. } if url.starts_with("postgres"))
    }

    /// The address of this very database, for a driver.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(directory) => format!("sqlite:{}", directory.path().join("state.db").display()),
            Self::Server { url, name } => {
                let (address, options) = url.split_once('?').unwrap_or((url, ""));
                let (server, _) = address.rsplit_once('/').unwrap();
                format!("{server}/{name}?{options}")
            }
        }
    }

    async fn on_server(&self, what: &str) {
        let Self::Server { url, name } = self else { return };
        let force = if what.starts_with("DROP") && self.is_postgres() {
            " WITH (FORCE)"
        } else {
            ""
        };
        let statement = AssertSqlSafe(format!("{what} {name}{force}"));
        if self.is_postgres() {
            let mut connection = PgConnection::connect(url).await.unwrap();
            connection.execute(statement).await.unwrap();
        } else {
            let mut connection = MySqlConnection::connect(url).await.unwrap();
            connection.execute(statement).await.unwrap();
        }
    }

    pub(crate) async fn drop(self) {
        self.on_server("DROP DATABASE").await;
    }

    /// Runs a statement past the store; the first column of its rows, as text.
    pub(crate) async fn run(&self, sql: &str) -> Vec<String> {
        self.column(sql, 0).await
    }

    /// Runs a statement past the store; a column of its rows, as text.
    pub(crate) async fn column(&self, sql: &str, index: usize) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::File(_) => {
                let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
                let rows = connection.fetch_all(sql).await.unwrap();
                rows.iter().map(|row| row.get_unchecked::<String, _>(index)).collect()
            }
            Self::Server { .. } if self.is_postgres() => {
                let mut connection = PgConnection::connect(&self.url()).await.unwrap();
                let rows = connection.fetch_all(sql).await.unwrap();
                rows.iter().map(|row| row.get_unchecked::<String, _>(index)).collect()
            }
            Self::Server { .. } => {
                let mut connection = MySqlConnection::connect(&self.url()).await.unwrap();
                let rows = connection.fetch_all(sql).await.unwrap();
                rows.iter().map(|row| row.get_unchecked::<String, _>(index)).collect()
            }
        }
    }
}

/// Makes a bed on a database and keeps the promise there.
pub(crate) async fn kept<F: Future<Output = ()> + Send + 'static>(database: &str, promise: impl FnOnce(Bed) -> F) {
    let Some(place) = Place::make(database).await else {
        return;
    };
    let place = Arc::new(place);
    promise(Bed::on(Arc::clone(&place)).await).await;
    if let Some(place) = Arc::into_inner(place) {
        place.drop().await;
    }
}

pub(crate) struct Bed {
    pub(crate) store: Store,
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) location: Location,
    pub(crate) place: Arc<Place>,
}

impl Bed {
    pub(crate) async fn on(place: Arc<Place>) -> Self {
        let location = place.location();
        let store = open(&location, KEY).await.unwrap();
        let organization = store.ensure_organization("default").await.unwrap();
        let project = store.create_project(organization, &slug("shop")).await.unwrap().id;
        Self {
            store,
            organization,
            project,
            location,
            place,
        }
    }

    /// The same database as another process would open it.
    pub(crate) async fn another(&self) -> Store {
        open(&self.location, KEY).await.unwrap()
    }

    /// Where the files of a SQLite database are.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.location.as_file().unwrap().parent().unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) -> Vec<String> {
        self.place.run(sql).await
    }

    pub(crate) async fn service(&self, name: &str) -> Service {
        let host = HostName::parse(&format!("{name}.example.com")).unwrap();
        let (source, settings) = (uploads(), ServiceSettings::default());
        self.store
            .create_service(self.organization, self.project, &slug(name), &host, &source, &settings)
            .await
            .unwrap()
    }

    pub(crate) async fn deployment(&self, service: &Service, variables: &[(&str, &str)]) -> DeploymentId {
        let new = new_deployment(service, variables);
        let mut write = self.store.write().await.unwrap();
        write.insert_deployment(&self.store, &new).await.unwrap();
        write.commit().await.unwrap();
        new.id
    }
}

pub(crate) async fn open(location: &Location, key: &str) -> store::Result<Store> {
    Store::open(location, Sealer::new(key).unwrap()).await
}

pub(crate) fn slug(name: &str) -> Slug {
    Slug::parse(name).unwrap()
}

pub(crate) fn uploads() -> Source {
    Source::Upload {
        root_directory: InsidePath::parse("").unwrap(),
    }
}

pub(crate) fn new_deployment(service: &Service, variables: &[(&str, &str)]) -> NewDeployment {
    let variables = variables.iter().map(|(key, value)| {
        (
            VariableKey::parse(key).unwrap(),
            (VariableKind::Secret, (*value).to_owned()),
        )
    });
    NewDeployment {
        id: DeploymentId::mint(),
        organization: service.organization,
        service: service.id,
        trigger: Trigger::Manual,
        revision: Revision::Image,
        no_cache: false,
        made: Made {
            source: service.source.clone(),
            settings: service.settings.clone(),
        },
        environment: variables.collect(),
        commit: None,
        plan: None,
        port: None,
    }
}
