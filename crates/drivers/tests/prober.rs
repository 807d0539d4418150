//! The prober, against servers of this process that behave in every way.
#![cfg(feature = "docker")]

use std::{net::SocketAddr, time::Duration};

use domain::{
    DeploymentId,
    names::{HealthPath, HostName},
    ports::prober::{Probe, Prober},
    service::HealthCheck,
};
use drivers::prober::HttpProber;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SOON: Duration = Duration::from_millis(500);

fn http(path: &str) -> HealthCheck {
    HealthCheck::Http {
        path: HealthPath::parse(path).expect("a path"),
    }
}

/// Answers every connection with these bytes, and keeps it open when there are none; tells what it was asked.
async fn server(answer: &'static str) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, questions) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let read = stream.read(&mut bytes).await.unwrap_or(0);
                let _ = asked.send(String::from_utf8_lossy(&bytes[..read]).into_owned());
                if answer.is_empty() {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, questions)
}

async fn probe(answer: &'static str, check: &HealthCheck) -> Probe {
    let (address, _questions) = server(answer).await;
    let prober = HttpProber::new("http://127.0.0.1:1").expect("a prober");
    prober.probe(address, check, SOON).await
}

#[tokio::test]
async fn what_an_instance_answers_is_told_apart() {
    let check = http("/health?deep=1");
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\nonly the head is read";
    assert_eq!(probe(long, &check).await, Probe::Healthy);
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n";
    assert_eq!(probe(redirect, &check).await, Probe::Healthy);
    assert_eq!(
        probe("HTTP/1.1 404 Not Found\r\n\r\n", &check).await,
        Probe::Status(404)
    );
    assert_eq!(probe("HTTP/1.0 503 No\r\n\r\n", &check).await, Probe::Status(503));
    assert_eq!(probe("", &check).await, Probe::Silent);
    assert!(matches!(probe("SSH-2.0-x\r\n\r\n", &check).await, Probe::Gibberish(_)));
    assert!(matches!(probe("HTTP/1.1 ", &check).await, Probe::Gibberish(_)));
    assert_eq!(probe("", &HealthCheck::Tcp).await, Probe::Healthy);
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let prober = HttpProber::new("http://127.0.0.1:1").expect("a prober");
    for check in [HealthCheck::Tcp, http("/")] {
        assert_eq!(prober.probe(address, &check, SOON).await, Probe::Refused);
    }
}

#[tokio::test]
async fn the_question_names_the_instance_and_the_path() {
    let (address, mut questions) = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let prober = HttpProber::new("http://127.0.0.1:1").expect("a prober");
    prober.probe(address, &http("/health?deep=1"), SOON).await;
    let question = questions.recv().await.expect("a question");
    assert!(question.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{question}");
    assert!(question.contains(&format!("host: {address}\r\n")), "{question}");
    assert!(!question.contains("click-deploy-probe"), "{question}");
}

#[tokio::test]
async fn the_public_address_is_asked_through_the_proxy() {
    let (address, mut questions) =
        server("HTTP/1.1 200 OK\r\nClick-Deploy-Deployment: dep_0190000000007000800000000000abcd\r\n\r\n").await;
    let prober = HttpProber::new(&format!("http://{address}")).expect("a prober");
    let host = HostName::parse("shop.example.com").expect("a host");
    let (deployment, status) = prober.ask_public(&host, "/x", SOON).await.expect("an answer");
    let expected: DeploymentId = "dep_0190000000007000800000000000abcd".parse().expect("an identity");
    assert_eq!((deployment, status), (Some(expected), 200));
    let question = questions.recv().await.expect("a question");
    assert!(question.contains("host: shop.example.com\r\n") && question.contains("click-deploy-probe: 1\r\n"));

    let (address, _questions) = server("HTTP/1.1 503 No\r\nClick-Deploy-Deployment: nonsense\r\n\r\n").await;
    let prober = HttpProber::new(&format!("http://{address}/")).expect("a prober");
    assert_eq!(prober.ask_public(&host, "/", SOON).await, Ok((None, 503)));
    for path in ["", "x", "http://192.0.2.1/", "/a b", "/\r\nHost: x"] {
        assert!(prober.ask_public(&host, path, SOON).await.is_err(), "{path:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_an_error_in_words() {
    let (address, _questions) = server("").await;
    let prober = HttpProber::new(&format!("http://{address}")).expect("a prober");
    let host = HostName::parse("shop.example.com").expect("a host");
    let words = prober.ask_public(&host, "/", SOON).await.expect_err("no answer");
    assert!(words.contains("500 ms"), "{words}");
    let prober = HttpProber::new("https://127.0.0.1:1").expect("a prober");
    assert!(prober.ask_public(&host, "/", SOON).await.is_err());
    for url in ["", "127.0.0.1:80", "ftp://x", "http://"] {
        assert!(HttpProber::new(url).is_err(), "{url}");
    }
}
