//! The world in memory keeps the same contracts as the real adapters, and fails as it is told to.

use std::time::Duration;

use contract::{
    image_store::{self, keeps_the_image_store_contract},
    infrastructure::{self, keeps_the_infrastructure_contract},
    router::keeps_the_router_contract,
    world::{Failure, FakeWorld, Step},
};
use domain::{
    names::HostName,
    ports::{
        image::ImageStore,
        infrastructure::{Infrastructure, InfrastructureError, NetworkSpec},
        prober::{Probe, Prober},
        router::Router,
    },
    service::HealthCheck,
};

#[tokio::test(start_paused = true)]
async fn it_keeps_the_infrastructure_contract() {
    let world = FakeWorld::new();
    let bed = infrastructure::Bed {
        infrastructure: &world,
        image: world.add_image("shell:1", "exit 0", None),
        listen: |port| format!("listen {port}; sleep 600"),
        listen_on_loopback: |port| format!("listen {port} loopback; sleep 600"),
        sees_ports: true,
    };
    keeps_the_infrastructure_contract(&bed).await;
    assert_eq!(world.alive().containers, Vec::<String>::new());
    assert_eq!(world.alive().networks, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_image_store_contract() {
    let world = FakeWorld::new();
    let own_name = world.name_for("a", "b", "web", "1");
    world.add_image(&own_name, "wait", Some(8080));
    world.add_image("nginx", "wait", None);
    let bed = image_store::Bed {
        store: &world,
        own_name,
        foreign_name: "nginx".to_owned(),
        exposed_port: Some(8080),
    };
    keeps_the_image_store_contract(&bed).await;
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_router_contract() {
    keeps_the_router_contract(&FakeWorld::new()).await;
}

#[tokio::test(start_paused = true)]
async fn it_fails_as_it_is_told_to() {
    let world = FakeWorld::new();
    let spec = NetworkSpec {
        name: "n".to_owned(),
        labels: [].into(),
    };
    world.fail_next(Step::EnsureNetwork, Failure::Refused);
    world.fail_next(Step::EnsureNetwork, Failure::Lost);
    let first = world.ensure_network(&spec).await;
    assert!(matches!(first, Err(InfrastructureError::Refused(_))));
    assert!(world.alive().networks.is_empty());
    let second = world.ensure_network(&spec).await;
    assert!(matches!(second, Err(InfrastructureError::Unreachable(_))));
    assert_eq!(world.alive().networks, ["n"], "it was done, and nobody heard");
    assert!(world.ensure_network(&spec).await.is_ok());
    assert_eq!(world.calls(Step::EnsureNetwork), 3);

    world.hold(Step::RemoveNetwork);
    let held = tokio::time::timeout(Duration::from_secs(60), world.remove_network("n")).await;
    assert!(
        held.is_err() && world.alive().networks == ["n"],
        "a dropped call does nothing"
    );
    world.release(Step::RemoveNetwork);
    assert!(world.remove_network("n").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn programs_answer_probes_as_they_are_written() {
    let world = FakeWorld::new();
    let network = NetworkSpec {
        name: "n".to_owned(),
        labels: [].into(),
    };
    world.ensure_network(&network).await.expect("a network");
    let image = world.add_image("app", "sleep 2; listen $PORT; sleep 1; answer 500; sleep 1; oom", None);
    let spec = domain::ports::infrastructure::InstanceSpec {
        name: "a".to_owned(),
        labels: [].into(),
        image,
        command: None,
        environment: [("PORT".to_owned(), domain::SecretText::new("3000"))].into(),
        network: "n".to_owned(),
        aliases: vec![],
        resources: domain::service::InstanceSize::Small.resources(),
    };
    let instance = world.start(&spec).await.expect("an instance");
    let address = std::net::SocketAddr::new(instance.address.expect("an address"), 3000);
    let check = HealthCheck::Http {
        path: domain::names::HealthPath::parse("/").expect("a path"),
    };
    let timeout = Duration::from_secs(1);
    assert_eq!(world.probe(address, &check, timeout).await, Probe::Refused);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(world.probe(address, &check, timeout).await, Probe::Healthy);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.probe(address, &check, timeout).await, Probe::Status(500));
    assert_eq!(world.probe(address, &HealthCheck::Tcp, timeout).await, Probe::Healthy);
    let exit = world.wait("a").await.expect("an end").expect("its story");
    assert!(exit.out_of_memory && exit.code == 137 && exit.ran_ms == 4000);
    let host = HostName::parse("shop.example.com").expect("a host");
    assert_eq!(world.ask_public(&host, "/", timeout).await, Ok((None, 404)));
    assert!(Router::table(&world).await.expect("the table").is_empty());
}
