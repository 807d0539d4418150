//! The adapters of the engine's image store and of registries, against real ones.
#![cfg(feature = "docker")]

mod docker_common;

use std::time::Duration;

use bollard::{
    auth::DockerCredentials,
    query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder},
};
use contract::{
    bed::{counterpart, unique},
    image_store::{self, keeps_the_image_store_contract},
};
use docker_common::Bed;
use domain::{
    SecretText,
    ports::{
        image::{ImageError, ImageStore, StoredImage},
        infrastructure::{Infrastructure, InfrastructureError},
    },
};
use drivers::image::{
    engine::EngineStore,
    registry::{Registry, RegistryAccess},
};
use futures_util::StreamExt;

fn own_name(store: &dyn ImageStore) -> String {
    store.name_for("0198a1b2c3d4", "0198a1b2c3d5", &unique("web"), "1-0198a1b2c3d6")
}

#[tokio::test]
async fn the_engines_store_keeps_the_image_store_contract() {
    let Some(bed) = Bed::new().await else { return };
    let store = EngineStore::new(&bed.engine);
    let own_name = own_name(&store);
    bed.make_image(&own_name, &["EXPOSE 8080/tcp", "EXPOSE 53/udp"]).await;
    let foreign_name = format!("{}:1", unique("foreign"));
    bed.make_image(&foreign_name, &[]).await;
    keeps_the_image_store_contract(&image_store::Bed {
        store: &store,
        own_name: own_name.clone(),
        foreign_name: foreign_name.clone(),
        exposed_port: Some(8080),
    })
    .await;

    let by_own_name = store.resolve(&own_name).await;
    assert!(
        matches!(by_own_name, Err(ImageError::Missing(_))),
        "what was built here is not had by naming it"
    );
    let pinned = store.resolve(&foreign_name).await.expect("the image");
    let by_id = store.resolve(&pinned.digest).await;
    assert!(by_id.is_err(), "nor is anything had by an id");
    assert!(
        store.resolve(&pinned.reference).await.is_err(),
        "nor by the name that keeps it"
    );

    // Its name moves on; what was pinned is still there, and still the same.
    bed.make_image(&foreign_name, &[]).await;
    let moved = store.resolve(&foreign_name).await.expect("the image");
    assert_ne!(moved.digest, pinned.digest);
    assert!(store.exists(&pinned).await.expect("an answer"));
    store.remove(&pinned).await.expect("removal");
    assert!(!store.exists(&pinned).await.expect("an answer"));
    store.remove(&moved).await.expect("removal");
    bed.untag(&foreign_name).await;
    assert!(!store.exists(&moved).await.expect("an answer"));
}

#[tokio::test]
async fn images_that_were_built_here_are_found_by_their_labels() {
    let Some(bed) = Bed::new().await else { return };
    let store = EngineStore::new(&bed.engine);
    let installation = unique("installation");
    let (built, pinned) = (own_name(&store), format!("{}:1", unique("foreign")));
    let label = format!("LABEL click-deploy.org/installation={installation} click-deploy.org/deployment=dep_1");
    let image = bed.make_image(&built, &[&label]).await;
    bed.make_image(&pinned, &[&label]).await;
    let pinned_image = store.resolve(&pinned).await.expect("the image");
    let wanted = [("click-deploy.org/installation".to_owned(), installation)].into();
    let found = store.built(&wanted).await.expect("an answer");
    let names: Vec<&str> = found.iter().map(|one| one.image.reference.as_str()).collect();
    assert_eq!(
        names,
        [built.as_str()],
        "what is somebody else's is not ours by a label"
    );
    assert_eq!(found[0].image.digest, image.digest);
    assert_eq!(found[0].labels["click-deploy.org/deployment"], "dep_1");
    store.remove(&found[0].image).await.expect("removal");
    assert_eq!(store.built(&wanted).await.expect("an answer"), []);
    store.remove(&pinned_image).await.expect("removal");
    bed.untag(&pinned).await;
}

#[tokio::test]
async fn an_image_in_use_stays_until_nobody_uses_it() {
    let Some(bed) = Bed::new().await else { return };
    let store = EngineStore::new(&bed.engine);
    let name = own_name(&store);
    let network = bed.network().await;
    let image = bed.make_image(&name, &["CMD [\"/no/such/program\"]"]).await;
    let mut spec = bed.spec(&network, "");
    (spec.image, spec.command) = (image.clone(), None);
    bed.engine.start(&spec).await.expect("an instance");
    let used = store.remove(&image).await;
    assert!(matches!(used, Err(ImageError::InUse(_))), "{used:?}");
    assert!(store.exists(&image).await.expect("an answer"));
    bed.engine.remove(&spec.name).await.expect("removal");
    store.remove(&image).await.expect("removal");
    assert!(!store.exists(&image).await.expect("an answer"));
    bed.clear().await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_from_an_image_that_is_missing() {
    let engine = drivers::infrastructure::docker::DockerEngine::new("unix:///nowhere/engine.sock", "test");
    let store = EngineStore::new(&engine.expect("an engine"));
    let image = StoredImage {
        reference: "click-deploy/a/b/c:1".to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
        size_bytes: 0,
    };
    assert!(matches!(store.exists(&image).await, Err(ImageError::Unreachable(_))));
    assert!(matches!(store.remove(&image).await, Err(ImageError::Unreachable(_))));
    assert!(matches!(store.resolve("nginx").await, Err(ImageError::Unreachable(_))));
}

/// A registry that is there: its address, and who we are in it.
fn registry(variable: &str) -> Option<RegistryAccess> {
    let host = counterpart("registry", variable)?;
    Some(RegistryAccess::anonymous(&host))
}

fn with_password(mut access: RegistryAccess) -> RegistryAccess {
    let password = std::env::var("CLICK_DEPLOY_TEST_AUTH_REGISTRY_PASSWORD");
    access.username = Some("click-deploy".to_owned());
    access.password = Some(SecretText::new(
        password.unwrap_or_else(|_| "click-deploy-test".to_owned()),
    ));
    access
}

async fn push(bed: &Bed, name: &str, changes: &[&str], access: &RegistryAccess) {
    bed.make_image(name, changes).await;
    let credentials = DockerCredentials {
        username: access.username.clone(),
        password: access.password.as_ref().map(|password| password.expose().to_owned()),
        ..DockerCredentials::default()
    };
    let (repository, tag) = name.rsplit_once(':').expect("a tag");
    let options = PushImageOptionsBuilder::new().tag(tag).build();
    let mut progress = bed.docker.push_image(repository, Some(options), Some(credentials));
    while let Some(step) = progress.next().await {
        step.expect("a push");
    }
    bed.untag(name).await;
}

async fn pull(bed: &Bed, reference: &str) {
    let options = CreateImageOptionsBuilder::new().from_image(reference).build();
    let mut progress = bed.docker.create_image(Some(options), None, None);
    while let Some(step) = progress.next().await {
        step.expect("a pull");
    }
}

async fn keeps_the_contract(access: RegistryAccess) {
    let Some(bed) = Bed::new().await else { return };
    let store = Registry::new(access.clone()).expect("a registry");
    let own_name = own_name(&store);
    push(&bed, &own_name, &["EXPOSE 8080/tcp"], &access).await;
    let foreign_name = format!("{}/team/{}:1", access.host, unique("foreign"));
    push(&bed, &foreign_name, &[], &access).await;
    keeps_the_image_store_contract(&image_store::Bed {
        store: &store,
        own_name,
        foreign_name: foreign_name.clone(),
        exposed_port: Some(8080),
    })
    .await;
    let foreign = store.resolve(&foreign_name).await.expect("the image");
    assert!(
        foreign.reference.ends_with(&format!("@{}", foreign.digest)),
        "{}",
        foreign.reference
    );
    assert!(foreign.size_bytes > 0);
    store.remove(&foreign).await.expect("removal");
}

#[tokio::test]
async fn a_registry_keeps_the_image_store_contract() {
    let Some(access) = registry("CLICK_DEPLOY_TEST_REGISTRY") else {
        return;
    };
    keeps_the_contract(access.clone()).await;
    let namespace = Some("platform".to_owned());
    keeps_the_contract(RegistryAccess { namespace, ..access }).await;
}

#[tokio::test]
async fn a_registry_with_a_password_keeps_the_image_store_contract() {
    let Some(access) = registry("CLICK_DEPLOY_TEST_AUTH_REGISTRY") else {
        return;
    };
    keeps_the_contract(with_password(access)).await;
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_shown_nowhere() {
    let Some(access) = registry("CLICK_DEPLOY_TEST_AUTH_REGISTRY") else {
        return;
    };
    let mut access = with_password(access);
    access.password = Some(SecretText::new("wrong-hunter2"));
    let name = format!("{}/team/app:1", access.host);
    assert!(!format!("{access:?}").contains("hunter2"));
    let denied = Registry::new(access.clone()).expect("a registry").resolve(&name).await;
    assert!(matches!(denied, Err(ImageError::Denied(_))), "{denied:?}");
    assert!(!format!("{denied:?}").contains("hunter2"));
    let version = Registry::new(access.clone()).expect("a registry").version().await;
    assert!(matches!(version, Err(ImageError::Denied(_))), "{version:?}");

    let Some(bed) = Bed::new().await else { return };
    let store = EngineStore::new(&bed.engine.clone().with_registry(access));
    let denied = store.resolve(&name).await;
    assert!(matches!(denied, Err(ImageError::Denied(_))), "{denied:?}");
}

#[tokio::test]
async fn a_pulled_image_runs_by_its_digest_and_goes_with_all_its_names() {
    let Some(access) = registry("CLICK_DEPLOY_TEST_AUTH_REGISTRY").map(with_password) else {
        return;
    };
    let Some(bed) = Bed::new().await else { return };
    let engine = bed.engine.clone().with_registry(access.clone());
    let name = format!("{}/team/{}:1", access.host, unique("app"));
    push(&bed, &name, &["ENTRYPOINT [\"/no/such/program\"]"], &access).await;

    // By the engine's store: pulled, pinned, and gone when it is removed.
    let store = EngineStore::new(&engine);
    let image = store.resolve(&name).await.expect("the image");
    assert!(
        image.reference.starts_with("click-deploy/pulled:"),
        "{}",
        image.reference
    );
    assert_eq!(store.resolve(&name).await.expect("the image"), image);
    store.remove(&image).await.expect("removal");
    assert!(!store.exists(&image).await.expect("an answer"));

    // By the registry's digest: the engine pulls it when an instance starts.
    let registry = Registry::new(access.clone()).expect("a registry");
    let pinned = registry.resolve(&name).await.expect("the image");
    let network = bed.network().await;
    let mut spec = bed.spec(&network, "");
    (spec.image, spec.command) = (pinned.clone(), None);
    let without = bed.engine.start(&spec).await;
    assert!(
        matches!(
            without,
            Err(InfrastructureError::ImageMissing(_) | InfrastructureError::Refused(_))
        ),
        "without credentials: {without:?}"
    );
    engine.start(&spec).await.expect("an instance");
    let exit = engine.wait(&spec.name).await.expect("an end").expect("its story");
    assert_eq!(exit.code, 127);
    bed.clear().await;
    // It was pushed by somebody else: our retention leaves it alone.
    registry.remove(&pinned).await.expect("it stays, and that is success");
    assert!(registry.exists(&pinned).await.expect("an answer"));
    bed.untag(&pinned.reference).await;
}

#[tokio::test]
async fn what_was_built_without_a_label_is_forgotten_once_no_container_uses_it() {
    let Some(mut access) = registry("CLICK_DEPLOY_TEST_REGISTRY") else {
        return;
    };
    // Whatever else runs on this engine forgets its own.
    access.namespace = Some(unique("team"));
    let Some(bed) = Bed::new().await else { return };
    let engine = bed.engine.clone().with_registry(access.clone());
    let store = Registry::new(access.clone()).expect("a registry");
    let foreign_name = format!("{}/team/{}:1", access.host, unique("foreign"));
    let mut pulled = Vec::new();
    for name in [own_name(&store), own_name(&store), foreign_name] {
        push(&bed, &name, &["ENTRYPOINT [\"/no/such/program\"]"], &access).await;
        pull(&bed, &name).await;
        let found = bed.docker.inspect_image(&name).await.expect("the image");
        let reference = found.repo_digests.expect("a digest").remove(0);
        bed.untag(&name).await;
        // By the digest alone, as the engine has what it pulled for an instance.
        pull(&bed, &reference).await;
        let image = StoredImage {
            digest: reference.split('@').nth(1).expect("a digest").to_owned(),
            reference,
            size_bytes: 0,
        };
        pulled.push(image);
    }
    let network = bed.network().await;
    let mut spec = bed.spec(&network, "");
    (spec.image, spec.command) = (pulled[0].clone(), None);
    engine.start(&spec).await.expect("an instance");
    engine.wait(&spec.name).await.expect("an end");
    let mut there = Vec::new();
    for _ in 0..2 {
        for image in &pulled {
            there.push(bed.docker.inspect_image(&image.reference).await.is_ok());
        }
        engine.forget_unused_images().await.expect("an answer");
    }
    bed.clear().await;
    for image in &pulled {
        store.remove(image).await.expect("removal");
        bed.untag(&image.reference).await;
    }
    let expected = [true, true, true, true, false, true];
    assert_eq!(there, expected, "in use, unused, foreign: before and after");
}

#[tokio::test]
async fn hosts_of_users_are_asked_at_public_addresses_only() {
    let registry = Registry::new(RegistryAccess::anonymous("registry.example.org")).expect("a registry");
    for name in [
        "127.0.0.1:5500/library/busybox",
        "localhost:5500/a",
        "10.0.0.1/a",
        "169.254.169.254/latest",
    ] {
        let found = tokio::time::timeout(Duration::from_secs(5), registry.resolve(name)).await;
        assert!(matches!(found, Ok(Err(ImageError::Other(_)))), "{name}: {found:?}");
    }
    for host in ["", "a b", "x/y", "http://x", "-x", "user@x"] {
        assert!(Registry::new(RegistryAccess::anonymous(host)).is_err(), "{host}");
    }
}

#[tokio::test]
async fn a_name_may_be_given_to_an_image_of_the_store_that_has_others() {
    let Some(bed) = Bed::new().await else { return };
    let store = EngineStore::new(&bed.engine);
    let name = format!("{}:1", unique("foreign"));
    bed.make_image(&name, &[]).await;
    let pinned = store.resolve(&name).await.expect("the image");
    let options = TagImageOptionsBuilder::new().repo(&unique("kept")).tag("1").build();
    bed.docker.tag_image(&name, Some(options)).await.expect("a name");
    assert!(
        pinned.reference.starts_with("click-deploy/pinned:"),
        "{}",
        pinned.reference
    );
    store.remove(&pinned).await.expect("removal");
    assert!(
        store.exists(&pinned).await.expect("an answer"),
        "what was there before us is not ours to remove"
    );
    let found = bed.docker.inspect_image(&pinned.digest).await.expect("the image");
    for tag in found.repo_tags.unwrap_or_default() {
        bed.untag(&tag).await;
    }
}
