//! A database of its own for each test.

use domain::{
    DeploymentId, OrganizationId, ProjectId,
    deployment::Trigger,
    environment::VariableKind,
    names::{HostName, InsidePath, Slug, VariableKey},
    service::ServiceSettings,
    source::{Revision, Source},
};
use store::{
    Store,
    deployments::{Made, NewDeployment},
    seal::Sealer,
    services::Service,
};

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const OTHER_KEY: &str = "HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) struct Bed {
    pub(crate) store: Store,
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) directory: tempfile::TempDir,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), KEY).await.unwrap();
        let organization = store.ensure_organization("default").await.unwrap();
        let project = store.create_project(organization, &slug("shop")).await.unwrap().id;
        Self {
            store,
            organization,
            project,
            directory,
        }
    }

    /// The same database as another process would open it.
    pub(crate) async fn another(&self) -> Store {
        open(self.directory.path(), KEY).await.unwrap()
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

pub(crate) async fn open(directory: &std::path::Path, key: &str) -> store::Result<Store> {
    Store::open(&directory.join("state.db"), Sealer::new(key).unwrap()).await
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
