//! An engine to be tried, and images made for one test.

use std::collections::BTreeMap;

use bollard::{
    Docker, body_full,
    query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder},
};
use contract::bed::{counterpart, unique};
use domain::{
    SecretText,
    ports::{
        image::StoredImage,
        infrastructure::{Infrastructure, InstanceSpec, NetworkSpec},
    },
    service::Resources,
};
use drivers::infrastructure::docker::DockerEngine;
use futures_util::StreamExt;

/// An engine, an installation of one test, and the library underneath for looking behind the scenes.
#[allow(dead_code, reason = "each test program uses a part of it")]
pub(crate) struct Bed {
    pub(crate) host: String,
    pub(crate) installation: String,
    pub(crate) engine: DockerEngine,
    pub(crate) docker: Docker,
    pub(crate) shell: StoredImage,
}

impl Bed {
    pub(crate) async fn new() -> Option<Self> {
        let host = counterpart("docker", "CLICK_DEPLOY_TEST_DOCKER_HOST")?;
        let installation = unique("test");
        let engine = DockerEngine::new(&host, &installation).expect("an engine");
        let docker = Docker::connect_with_host(&host).expect("an engine");
        let name = std::env::var("CLICK_DEPLOY_TEST_IMAGE").unwrap_or_else(|_| "busybox".to_owned());
        let image = docker
            .inspect_image(&name)
            .await
            .expect("an image with a shell and busybox's tools");
        let shell = StoredImage {
            reference: name,
            digest: image.id.expect("an id"),
            size_bytes: 0,
        };
        Some(Self {
            host,
            installation,
            engine,
            docker,
            shell,
        })
    }
}

#[allow(dead_code, reason = "each test program uses a part of it")]
impl Bed {
    /// A network of this test.
    pub(crate) async fn network(&self) -> String {
        let spec = NetworkSpec {
            name: unique("test"),
            labels: BTreeMap::new(),
        };
        self.engine.ensure_network(&spec).await.expect("a network").name
    }

    pub(crate) fn spec(&self, network: &str, command: &str) -> InstanceSpec {
        InstanceSpec {
            name: unique("test"),
            labels: BTreeMap::new(),
            image: self.shell.clone(),
            command: Some(command.to_owned()),
            environment: BTreeMap::from([("QUOTES".to_owned(), SecretText::new("a 'b' \"c\" $d \\ #\ne="))]),
            network: network.to_owned(),
            aliases: vec!["app".to_owned()],
            resources: Resources {
                cpu_millis: 500,
                memory_mb: 64,
                pids: 64,
            },
        }
    }

    /// Makes an image that nobody else has; `changes` are lines of a Dockerfile.
    pub(crate) async fn make_image(&self, name: &str, changes: &[&str]) -> StoredImage {
        let mut archive = tar::Builder::new(Vec::new());
        let content = unique("content");
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, "content", content.as_bytes())
            .expect("an archive in memory");
        let (repository, tag) = name.rsplit_once(':').expect("a tag");
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(repository)
            .tag(tag)
            .changes(changes.iter().map(|change| (*change).to_owned()).collect())
            .build();
        let body = body_full(archive.into_inner().expect("an archive in memory").into());
        let mut progress = self.docker.create_image(Some(options), Some(body), None);
        while let Some(step) = progress.next().await {
            step.expect("an image");
        }
        let found = self.docker.inspect_image(name).await.expect("the image");
        StoredImage {
            reference: name.to_owned(),
            digest: found.id.expect("an id"),
            size_bytes: 0,
        }
    }

    pub(crate) async fn untag(&self, name: &str) {
        let options = RemoveImageOptionsBuilder::new().force(false).build();
        let _ = self.docker.remove_image(name, Some(options), None).await;
    }

    /// Everything of this test goes.
    pub(crate) async fn clear(&self) {
        let everything = BTreeMap::new();
        for instance in self.engine.instances(&everything).await.expect("a list") {
            self.engine.remove(&instance.name).await.expect("removal");
        }
        for network in self.engine.networks(&everything).await.expect("a list") {
            self.engine.remove_network(&network.name).await.expect("removal");
        }
    }
}
