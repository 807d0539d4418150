//! The adapter of our Caddy, against a real one.
#![cfg(feature = "docker")]

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use contract::{
    bed::{counterpart, eventually, unique},
    router::keeps_the_router_contract,
};
use domain::{
    DeploymentId, ServiceId,
    names::HostName,
    ports::{
        prober::Prober,
        router::{Route, RouteInstance, RouteState, Router, RouterError},
    },
};
use drivers::{prober::HttpProber, proxy::CaddyRouter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A proxy of one test. It ends with it.
struct Proxy {
    process: Child,
    directory: tempfile::TempDir,
    admin: String,
    public: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Proxy {
    async fn start(over_socket: bool) -> Option<Self> {
        let program = counterpart("caddy", "CLICK_DEPLOY_TEST_CADDY")?;
        let configuration = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proxy/caddy.json");
        let directory = tempfile::tempdir().expect("a directory");
        let listen = format!("127.0.0.1:{}", free_port());
        let socket = directory.path().join("admin.sock");
        let (admin, admin_listen) = if over_socket {
            (
                format!("unix://{}", socket.display()),
                format!("unix/{}", socket.display()),
            )
        } else {
            let address = format!("127.0.0.1:{}", free_port());
            (format!("http://{address}"), address)
        };
        let process = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(configuration)
            .env_clear()
            .env("XDG_DATA_HOME", directory.path())
            .env("HOME", directory.path())
            .env("CLICK_DEPLOY_PROXY_LISTEN", &listen)
            .env("CLICK_DEPLOY_PROXY_ADMIN", admin_listen)
            .env("CLICK_DEPLOY_PROXY_SNAPSHOT", directory.path().join("routes"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy");
        let proxy = Self {
            process,
            directory,
            admin,
            public: format!("http://{listen}"),
        };
        let router = proxy.router();
        eventually("the proxy answers", || async { router.version().await.is_ok() }).await;
        Some(proxy)
    }

    fn router(&self) -> CaddyRouter {
        CaddyRouter::new(&self.admin).expect("a router")
    }
}

/// An instance that answers every request after a while.
async fn instance(takes: Duration) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let _ = stream.read(&mut bytes).await;
                tokio::time::sleep(takes).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                    .await;
            });
        }
    });
    address
}

fn live(address: SocketAddr) -> Route {
    Route {
        service: ServiceId::mint(),
        name: "shop".to_owned(),
        state: RouteState::Live,
        message: String::new(),
        deployment: Some(DeploymentId::mint()),
        instances: vec![RouteInstance {
            id: unique("instance"),
            address,
        }],
    }
}

#[tokio::test]
async fn caddy_keeps_the_router_contract() {
    for over_socket in [false, true] {
        let Some(proxy) = Proxy::start(over_socket).await else {
            return;
        };
        keeps_the_router_contract(&proxy.router()).await;
        assert!(proxy.directory.path().join("routes").exists());
    }
}

#[tokio::test]
async fn every_request_after_a_change_goes_by_it() {
    let Some(proxy) = Proxy::start(false).await else { return };
    let (router, prober) = (proxy.router(), HttpProber::new(&proxy.public).expect("a prober"));
    let host = HostName::parse("shop.example.com").expect("a host");
    let timeout = Duration::from_secs(5);
    let (deployment, status) = prober.ask_public(&host, "/", timeout).await.expect("an answer");
    assert_eq!((deployment, status), (None, 404));
    let service = ServiceId::mint();
    for _ in 0..50 {
        let mut route = live(instance(Duration::ZERO).await);
        route.service = service;
        router.set(&host, &route).await.expect("a change");
        let answered = prober.ask_public(&host, "/", timeout).await.expect("an answer");
        assert_eq!(answered, (route.deployment, 200));
    }
    let mut page = live(instance(Duration::ZERO).await);
    (page.state, page.deployment) = (RouteState::Stopped, None);
    page.instances.clear();
    router.set(&host, &page).await.expect("a change");
    let (deployment, status) = prober.ask_public(&host, "/", timeout).await.expect("an answer");
    assert_eq!(deployment, None, "a page of the proxy's own");
    assert!(status >= 400, "{status}");
}

#[tokio::test]
async fn an_instance_is_drained_when_its_last_request_ended() {
    let Some(proxy) = Proxy::start(false).await else { return };
    let (router, prober) = (proxy.router(), HttpProber::new(&proxy.public).expect("a prober"));
    let host = HostName::parse("shop.example.com").expect("a host");
    let old = live(instance(Duration::from_millis(800)).await);
    router.set(&host, &old).await.expect("a change");
    let slow = prober.ask_public(&host, "/", Duration::from_secs(10));
    let ((answered, took), ()) = tokio::join!(
        async {
            let started = tokio::time::Instant::now();
            (slow.await.expect("an answer"), started.elapsed())
        },
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            router
                .set(&host, &live(instance(Duration::ZERO).await))
                .await
                .expect("a change");
            let id = &old.instances[0].id;
            assert_eq!(
                router.drained(id, Duration::from_millis(50)).await.expect("an answer"),
                1
            );
            let started = tokio::time::Instant::now();
            assert_eq!(router.drained(id, Duration::from_secs(10)).await.expect("an answer"), 0);
            assert!(started.elapsed() < Duration::from_secs(5));
        }
    );
    assert_eq!(answered, (old.deployment, 200));
    assert!(took >= Duration::from_millis(800));
}

#[tokio::test]
async fn a_proxy_that_is_away_and_one_that_refuses_are_told_apart() {
    let router = CaddyRouter::new("http://127.0.0.1:1").expect("a router");
    let host = HostName::parse("shop.example.com").expect("a host");
    assert!(matches!(router.get(&host).await, Err(RouterError::Unreachable(_))));
    let router = CaddyRouter::new("unix:///nowhere/admin.sock").expect("a router");
    assert!(matches!(router.remove(&host).await, Err(RouterError::Unreachable(_))));
    for url in [
        "",
        "127.0.0.1:80",
        "https://127.0.0.1:1",
        "http://x",
        "unix://x",
        "http://a:1/b",
    ] {
        assert!(CaddyRouter::new(url).is_err(), "{url}");
    }
    let Some(proxy) = Proxy::start(true).await else { return };
    let mut route = live(instance(Duration::ZERO).await);
    route.name = "a\nb".to_owned();
    let refused = proxy.router().set(&host, &route).await;
    assert!(
        matches!(&refused, Err(RouterError::Refused(words)) if words.contains("name")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_change_of_a_table_that_has_moved_on_is_not_made() {
    let Some(proxy) = Proxy::start(false).await else { return };
    let router = proxy.router();
    let host = |name: &str| HostName::parse(name).expect("a host");
    let route = Route {
        service: ServiceId::mint(),
        name: "web".to_owned(),
        state: RouteState::Building,
        message: String::new(),
        deployment: None,
        instances: Vec::new(),
    };
    let (seen, _) = router.table_at().await.expect("the table");
    let next = router
        .change_at(seen, &host("a.test"), Some(&route))
        .await
        .expect("an answer");
    let next = next.expect("nobody else changed it");
    // Somebody who looked earlier comes too late, whatever he wants.
    assert_eq!(
        router
            .change_at(seen, &host("b.test"), Some(&route))
            .await
            .expect("an answer"),
        None
    );
    assert_eq!(
        router.change_at(seen, &host("a.test"), None).await.expect("an answer"),
        None
    );
    let (now, table) = router.table_at().await.expect("the table");
    assert_eq!(
        (now, table.keys().map(HostName::as_str).collect::<Vec<_>>()),
        (next, vec!["a.test"])
    );
    assert!(
        router
            .change_at(now, &host("a.test"), None)
            .await
            .expect("an answer")
            .is_some()
    );
    assert_eq!(router.table().await.expect("the table").len(), 0);
}
