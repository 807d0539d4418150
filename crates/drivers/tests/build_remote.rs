//! The builder against a `buildkitd` of its own, where `CLICK_DEPLOY_TEST_BUILDKIT_HOST` names one and
//! `CLICK_DEPLOY_TEST_REGISTRY` the plain registry (`host:port`) that it can push to.
//! `CLICK_DEPLOY_TEST_AUTH_REGISTRY` is one that asks for a password.
#![cfg(feature = "build")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod build_common;

use std::time::{Duration, Instant};

use build_common::{Heard, counterpart, request, skip, unique, write};
use domain::{
    SecretText,
    ports::builder::{BuildError, BuildRequest, Builder, Recipe},
};
use drivers::build::{BuildKit, BuildLimits, RegistryAccess};

const BASE: &str = "FROM debian:trixie-slim\n";

struct Bed {
    host: String,
    registry: String,
    builder: BuildKit,
}

fn access(host: &str) -> RegistryAccess {
    RegistryAccess {
        host: host.to_owned(),
        username: None,
        password: None,
        plain_http: true,
    }
}

impl Bed {
    fn new() -> Option<Self> {
        let host = counterpart("CLICK_DEPLOY_TEST_BUILDKIT_HOST", "buildkit")?;
        let registry = counterpart("CLICK_DEPLOY_TEST_REGISTRY", "registry")?;
        Some(Self {
            builder: BuildKit::remote(&host, access(&registry), BuildLimits::none()),
            host,
            registry,
        })
    }

    fn request(&self, root: &std::path::Path, name: &str, dockerfile: &str) -> BuildRequest {
        let mut request = request(root, name, dockerfile);
        request.image_name = format!("{}/{}", self.registry, request.image_name);
        request
    }
}

#[tokio::test]
async fn an_image_is_pushed_and_pinned_by_its_digest() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[("a/b.txt", "hello"), (".dockerignore", "secret\n"), ("secret", "x")],
    );
    let name = unique("pushed");
    let dockerfile = format!("{BASE}COPY . /app\nRUN ls -a /app && echo {name}\n");
    let mut request = bed.request(root.path(), &name, &dockerfile);
    for round in 0..3 {
        if round == 2 {
            write(root.path(), &[("a/b.txt", "hullo")]);
        }
        let heard = Heard::default();
        let started = Instant::now();
        let image = bed.builder.build(&request, &heard).await.unwrap();
        eprintln!("round {round}: {:?}", started.elapsed());
        assert!(image.digest.starts_with("sha256:"));
        assert_eq!(
            image.reference,
            format!("{}/click-deploy-test/{name}@{}", bed.registry, image.digest)
        );
        assert_eq!(*heard.pushes.lock().unwrap(), 1);
        assert_eq!(heard.last("RUN ls").unwrap().cached, round == 1);
        if round == 0 {
            let text = heard.text();
            assert!(text.contains("] a") && !text.contains("] secret"), "{text}");
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!(
            "http://{}/v2/click-deploy-test/{name}/manifests/{}",
            bed.registry, image.digest
        );
        let answer = reqwest::Client::new()
            .get(url)
            .header("accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }
    request.recipe = Recipe::Planned {
        dockerfile: format!("{BASE}RUN exit 7\n"),
        dockerignore: None,
        arguments: [].into(),
    };
    match bed.builder.build(&request, &Heard::default()).await.unwrap_err() {
        BuildError::Failed { exit_code, step, .. } => {
            assert_eq!(exit_code, Some(7));
            assert!(step.contains("RUN exit 7"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn secrets_reach_the_step_and_not_the_log() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let name = unique("secret");
    let dockerfile = format!("{BASE}RUN --mount=type=secret,id=T echo {name} $(cat /run/secrets/T)\n");
    let mut request = bed.request(root.path(), &name, &dockerfile);
    request.secrets.insert("T".to_owned(), SecretText::new("sesame-open"));
    let heard = Heard::default();
    bed.builder.build(&request, &heard).await.unwrap();
    assert!(heard.text().contains(&format!("{name} ***")), "{}", heard.text());
}

#[tokio::test]
async fn failures_are_told_apart() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let build = |dockerfile: String| {
        let request = bed.request(root.path(), &unique("failing"), &dockerfile);
        let builder = &bed.builder;
        async move { builder.build(&request, &Heard::default()).await.unwrap_err() }
    };
    match build("FROM click-deploy-test/none:1\nCOPY . /\n".to_owned()).await {
        BuildError::BaseImage { image, message } => {
            assert_eq!(image, "click-deploy-test/none:1");
            eprintln!("{message}");
        }
        other => panic!("{other:?}"),
    }
    match build("FORM scratch\n".to_owned()).await {
        BuildError::Invalid(message) => assert!(message.contains("FORM"), "{message}"),
        other => panic!("{other:?}"),
    }
    match build("FROM scratch\nCOPY not/there /\n".to_owned()).await {
        BuildError::Failed { message, .. } => assert!(message.contains("`/not/there`"), "{message}"),
        other => panic!("{other:?}"),
    }
    write(root.path(), &[("f", "x")]);
    let mut request = bed.request(root.path(), &unique("push"), "FROM scratch\nCOPY f /\n");
    request.image_name = "127.0.0.1:1/none/none:1".to_owned();
    match bed.builder.build(&request, &Heard::default()).await.unwrap_err() {
        BuildError::Push(message) => eprintln!("{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registry_with_a_password_gets_it_and_no_other_does() {
    let Some(bed) = Bed::new() else { return };
    let Some(host) = counterpart("CLICK_DEPLOY_TEST_AUTH_REGISTRY", "registry") else {
        return;
    };
    let told = |variable: &str| std::env::var(variable).unwrap();
    let user = told("CLICK_DEPLOY_TEST_AUTH_REGISTRY_USERNAME");
    let password = told("CLICK_DEPLOY_TEST_AUTH_REGISTRY_PASSWORD");
    let (host, password) = (host.as_str(), password.as_str());
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("f", "x")]);
    let mut request = bed.request(root.path(), &unique("secured"), "FROM scratch\nCOPY f /\n");
    request.image_name = format!("{host}/click-deploy-test/{}:1", unique("secured"));
    let known = RegistryAccess {
        username: Some(user),
        password: Some(SecretText::new(password)),
        ..access(host)
    };
    let builder = BuildKit::remote(&bed.host, known.clone(), BuildLimits::none());
    builder.build(&request, &Heard::default()).await.unwrap();

    request.image_name = format!("{host}/click-deploy-test/{}:1", unique("secured"));
    let wrong = RegistryAccess {
        host: "127.0.0.1:1".to_owned(),
        ..known
    };
    let stranger = BuildKit::remote(&bed.host, wrong, BuildLimits::none());
    match stranger.build(&request, &Heard::default()).await.unwrap_err() {
        BuildError::Push(message) => assert!(!message.contains(password), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn dropping_the_build_ends_its_step() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let mark = unique("sleeper");
    let request = bed.request(root.path(), &mark, &format!("{BASE}RUN sleep 300 && echo {mark}\n"));
    let heard = Heard::default();
    let started = Instant::now();
    tokio::select! {
        outcome = bed.builder.build(&request, &heard) => panic!("it ended by itself: {outcome:?}"),
        () = async {
            while build_common::processes(&mark) == 0 {
                assert!(started.elapsed() < Duration::from_secs(60), "the step does not start");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        } => {}
    }
    let dropped = Instant::now();
    while build_common::processes(&mark) > 0 {
        assert!(dropped.elapsed() < Duration::from_secs(2), "the step goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("cancelled in {:?}", dropped.elapsed());
}

#[tokio::test]
async fn the_daemon_tells_its_version() {
    let Some(bed) = Bed::new() else { return };
    assert!(bed.builder.merges_layers());
    let version = bed.builder.version().await.unwrap();
    assert!(version.starts_with("BuildKit "), "{version}");
    eprintln!("{version}");
    bed.builder.prune_cache(u64::MAX).await.unwrap();
}

#[tokio::test]
async fn steps_get_no_more_memory_than_they_may_have() {
    let Some(bed) = Bed::new() else { return };
    let limits = BuildLimits {
        cpu_millis: 1_500,
        memory_mb: 1_536,
    };
    let capped = BuildKit::remote(&bed.host, access(&bed.registry), limits);
    let caps = capped.caps().await;
    if let Some(why) = caps.missing {
        eprintln!("nothing is capped here: {why}");
        skip("build-caps");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let dockerfile = format!("{BASE}RUN echo {} && tail /dev/zero\n", unique("hungry"));
    let request = bed.request(root.path(), &unique("hungry"), &dockerfile);
    let outcome = capped.build(&request, &Heard::default()).await;
    // The daemon is shared: the next build sets the caps that it is told to.
    let wide = BuildLimits {
        cpu_millis: 64_000,
        memory_mb: 1 << 20,
    };
    BuildKit::remote(&bed.host, access(&bed.registry), wide).caps().await;
    match outcome.unwrap_err() {
        BuildError::Failed { message, exit_code, .. } => {
            assert_eq!(exit_code, Some(137));
            assert!(message.contains("1536 MB"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}
