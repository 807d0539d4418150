//! What the adapter does when the engine refuses: tried with an engine of this process that refuses on purpose.
#![cfg(feature = "docker")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{
    ports::{
        image::StoredImage,
        infrastructure::{Infrastructure, InfrastructureError, InstanceSpec, InstanceStatus, NetworkSpec},
    },
    service::InstanceSize,
};
use drivers::infrastructure::docker::DockerEngine;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

/// A question as the engine hears it: method and path, and the body.
type Questions = Arc<Mutex<Vec<(String, Value)>>>;

struct Refusing {
    _directory: tempfile::TempDir,
    engine: DockerEngine,
    questions: Questions,
}

impl Refusing {
    /// An engine that answers each question as `answer` says: by status and JSON.
    fn new(answer: impl Fn(&str, &Value, &[(String, Value)]) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let engine = DockerEngine::new(&format!("unix://{}", path.display()), "test").expect("an engine");
        let questions = Questions::default();
        let (asked, answer) = (Arc::clone(&questions), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some((question, body)) = read(&mut stream).await else {
                        return;
                    };
                    let (status, said) = {
                        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                        let said = answer(&question, &body, &asked);
                        asked.push((question, body));
                        said
                    };
                    let said = if status == 204 { String::new() } else { said.to_string() };
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{said}",
                        said.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).await;
                });
            }
        });
        Self {
            _directory: directory,
            engine,
            questions,
        }
    }

    fn questions(&self) -> Vec<(String, Value)> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn read(stream: &mut BufReader<UnixStream>) -> Option<(String, Value)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let first = lines.first()?.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let question = first.split('?').next()?.to_owned();
    let length = lines
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((question, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn network(id: &str, created: &str) -> Value {
    json!({"Id": id, "Name": "n", "Created": created, "Labels": {"click-deploy.org/installation": "test"},
           "IPAM": {"Config": [{"Subnet": "10.213.0.0/23"}]}})
}

fn container(status: &str, error: &str) -> Value {
    json!({"Id": "c1", "Name": "/a", "Config": {"Labels": {"click-deploy.org/installation": "test"}},
           "State": {"Status": status, "Running": status == "running", "Error": error, "ExitCode": 127,
                     "StartedAt": "2024-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"},
           "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.2"}}}})
}

fn spec() -> NetworkSpec {
    NetworkSpec {
        name: "n".to_owned(),
        labels: BTreeMap::new(),
    }
}

fn instance() -> InstanceSpec {
    InstanceSpec {
        name: "a".to_owned(),
        labels: BTreeMap::new(),
        image: StoredImage {
            reference: "click-deploy/a/b/c:1".to_owned(),
            digest: format!("sha256:{}", "1".repeat(64)),
            size_bytes: 0,
        },
        command: None,
        environment: BTreeMap::new(),
        network: "n".to_owned(),
        aliases: Vec::new(),
        resources: InstanceSize::Small.resources(),
    }
}

#[tokio::test]
async fn an_engine_without_addresses_is_given_some_that_nobody_uses() {
    let engine = Refusing::new(|question, body, asked| {
        let has_made = asked
            .iter()
            .any(|(question, body)| question.contains("create") && body["IPAM"] != Value::Null);
        match question {
            // The first question is what is there; later ones see the range of somebody's network, and then ours.
            "GET /networks" if asked.is_empty() => (200, json!([])),
            "GET /networks" if has_made => (200, json!([network("n1", "2024-01-01T00:00:00Z")])),
            "GET /networks" => (
                200,
                json!([{"Id": "x", "Name": "x", "IPAM": {"Config": [{"Subnet": "10.213.0.0/23"}]}}]),
            ),
            _ if body["IPAM"] == Value::Null => {
                let words = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
                (500, json!({"message": words}))
            }
            _ if body["IPAM"]["Config"][0]["Subnet"] == "10.213.2.0/24" => (
                403,
                json!({"message": "Pool overlaps with other one on this address space"}),
            ),
            _ => (201, json!({"Id": "n1", "Warning": ""})),
        }
    });
    let made = engine.engine.ensure_network(&spec()).await.expect("a network");
    assert_eq!(made.id, "n1");
    let questions = engine.questions();
    let subnets: Vec<&Value> = questions
        .iter()
        .filter(|(question, _)| question == "POST /networks/create")
        .map(|(_, body)| &body["IPAM"]["Config"][0]["Subnet"])
        .collect();
    assert_eq!(
        subnets,
        [&Value::Null, &json!("10.213.2.0/24"), &json!("10.213.3.0/24")]
    );
}

#[tokio::test]
async fn of_two_networks_that_were_made_at_once_the_oldest_is_kept() {
    let engine = Refusing::new(|question, _, asked| match question {
        "GET /networks" if asked.is_empty() => (200, json!([])),
        "GET /networks" => {
            let ours = network("ours", "2024-01-01T00:00:02.5Z");
            let theirs = network("theirs", "2024-01-01T00:00:01.5Z");
            (200, json!([ours, theirs]))
        }
        "POST /networks/create" => (201, json!({"Id": "ours", "Warning": ""})),
        _ => (204, Value::Null),
    });
    let made = engine.engine.ensure_network(&spec()).await.expect("a network");
    assert_eq!(made.id, "theirs");
    let last = engine.questions().pop().map(|(question, _)| question);
    assert_eq!(last.as_deref(), Some("DELETE /networks/ours"));
}

#[tokio::test]
async fn an_engine_without_its_init_program_does_without() {
    let engine = Refusing::new(|question, _, asked| {
        let starts = asked
            .iter()
            .filter(|(question, _)| question.ends_with("/start"))
            .count();
        match question {
            "GET /networks" => (200, json!([network("n1", "2024-01-01T00:00:00Z")])),
            "POST /containers/create" => (201, json!({"Id": "c1", "Warnings": []})),
            "POST /containers/c1/start" if starts == 0 => {
                let words = "exec: \"docker-init\": executable file not found in $PATH: unknown";
                (400, json!({"message": words}))
            }
            "POST /containers/c1/start" => (204, Value::Null),
            "GET /containers/c1/json" if starts < 2 => (200, container("created", "")),
            "GET /containers/c1/json" => (200, container("running", "")),
            _ => (204, Value::Null),
        }
    });
    let started = engine.engine.start(&instance()).await.expect("an instance");
    assert_eq!(started.status, InstanceStatus::Running);
    let questions = engine.questions();
    let inits: Vec<&Value> = questions
        .iter()
        .filter(|(question, _)| question == "POST /containers/create")
        .map(|(_, body)| &body["HostConfig"]["Init"])
        .collect();
    assert_eq!(inits, [&json!(true), &json!(false)]);
}

#[tokio::test]
async fn an_instance_that_the_engine_cannot_start_leaves_nothing_behind() {
    let engine = Refusing::new(|question, _, _| match question {
        "GET /networks" => (200, json!([network("n1", "2024-01-01T00:00:00Z")])),
        "POST /containers/create" => (201, json!({"Id": "c1", "Warnings": []})),
        "POST /containers/c1/start" => (
            500,
            json!({"message": "failed to create endpoint: no space left on device"}),
        ),
        "GET /containers/c1/json" => (200, container("created", "")),
        _ => (204, Value::Null),
    });
    let started = engine.engine.start(&instance()).await;
    assert!(matches!(started, Err(InfrastructureError::Refused(_))), "{started:?}");
    let last = engine.questions().pop().map(|(question, _)| question);
    assert_eq!(last.as_deref(), Some("DELETE /containers/c1"));
}

#[tokio::test]
async fn a_name_that_is_still_being_removed_is_waited_for() {
    let engine = Refusing::new(|question, _, asked| {
        let creates = asked
            .iter()
            .filter(|(question, _)| question.ends_with("/create"))
            .count();
        match question {
            "GET /networks" => (200, json!([network("n1", "2024-01-01T00:00:00Z")])),
            "POST /containers/create" if creates < 2 => (409, json!({"message": "the name is in use"})),
            "POST /containers/create" => (201, json!({"Id": "c1", "Warnings": []})),
            "GET /containers/a/json" if creates == 1 => (200, container("removing", "")),
            "GET /containers/a/json" => (404, json!({"message": "no such container"})),
            "GET /containers/c1/json" => (200, container("running", "")),
            _ => (204, Value::Null),
        }
    });
    let started = engine.engine.start(&instance()).await.expect("an instance");
    assert_eq!(
        (started.status, started.address),
        (InstanceStatus::Running, "10.0.0.2".parse().ok())
    );
}

#[tokio::test]
async fn an_engine_that_shuts_down_can_be_tried_again() {
    let engine = Refusing::new(|_, _, _| (503, json!({"message": "the daemon is shutting down"})));
    let found = engine.engine.instance("a").await;
    assert!(matches!(found, Err(InfrastructureError::Unreachable(_))), "{found:?}");
}

#[tokio::test]
async fn the_end_of_a_run_is_told_although_the_next_one_has_begun() {
    let engine = Refusing::new(|question, _, _| match question {
        "GET /containers/a/json" | "GET /containers/c1/json" => {
            let mut found = container("running", "");
            found["State"]["FinishedAt"] = json!("2024-01-01T00:00:02Z");
            (200, found)
        }
        "POST /containers/c1/wait" => (200, json!({"StatusCode": 0})),
        "GET /events" => {
            let actor = json!({"ID": "c1", "Attributes": {"exitCode": "5"}});
            (
                200,
                json!({"Type": "container", "Action": "die", "Actor": actor, "timeNano": 1_704_067_202_000_000_000_i64}),
            )
        }
        _ => (404, json!({"message": "no"})),
    });
    let exit = engine.engine.wait("a").await.expect("an end").expect("its story");
    assert_eq!((exit.code, exit.ran_ms), (5, 2000));
}

/// An engine that refuses to remove a network because of these places in it, until one is given up by force.
fn occupied(places: Value) -> Refusing {
    Refusing::new(move |question, body, asked| {
        let given_up = asked.iter().any(|(question, _)| question.ends_with("/disconnect"));
        match question {
            "GET /networks" => (200, json!([network("n1", "2024-01-01T00:00:00Z")])),
            "GET /networks/n1" => (200, json!({"Id": "n1", "Name": "n", "Containers": places})),
            "GET /containers/c1/json" => (200, container("running", "")),
            "POST /networks/n1/disconnect" if body["Force"] == true => (200, json!(null)),
            "DELETE /networks/n1" if given_up => (204, json!(null)),
            "DELETE /networks/n1" => (
                403,
                json!({"message": "error while removing network: network n has active endpoints"}),
            ),
            _ => (404, json!({"message": "no such thing"})),
        }
    })
}

#[tokio::test]
async fn a_place_in_a_network_whose_container_is_gone_is_given_up() {
    for gone in ["ep-1", "c2"] {
        let engine = occupied(json!({gone: {"Name": "b"}, "c1": {"Name": "a"}}));
        engine.engine.remove_network("n").await.expect("removal");
        let given_up: Vec<Value> = engine
            .questions()
            .into_iter()
            .filter(|(question, _)| question.ends_with("/disconnect"))
            .map(|(_, body)| body["Container"].clone())
            .collect();
        assert_eq!(given_up, ["b"], "{gone}");
    }
}

#[tokio::test]
async fn a_network_in_use_is_left_alone() {
    for places in [json!({"c1": {"Name": "a"}}), json!({})] {
        let engine = occupied(places);
        let removed = engine.engine.remove_network("n").await;
        assert!(matches!(removed, Err(InfrastructureError::Refused(_))), "{removed:?}");
        assert!(
            engine
                .questions()
                .iter()
                .all(|(question, _)| !question.ends_with("/disconnect"))
        );
    }
}

#[tokio::test]
async fn memory_that_ran_out_is_told_when_the_engine_heard_of_it_after_the_end() {
    for (heard, code, is_told) in [(true, 137, true), (false, 137, false), (true, 1, false)] {
        let engine = Refusing::new(move |question, _, asked| match question {
            "GET /containers/a/json" | "GET /containers/c1/json" => {
                let mut found = container("exited", "");
                found["State"]["ExitCode"] = json!(code);
                (200, found)
            }
            // It hears of it a moment later.
            "GET /events" if heard && asked.iter().filter(|(question, _)| question == "GET /events").count() > 1 => (
                200,
                json!({"Action": "oom", "Actor": {"ID": "c1"}, "timeNano": 1_900_000_000_000_000_000_i64}),
            ),
            "GET /events" => (204, json!(null)),
            _ => (404, json!({"message": "no such thing"})),
        });
        let mut told = false;
        for _ in 0..3 {
            let exit = engine.engine.wait("a").await.expect("an end").expect("its story");
            assert_eq!(exit.code, code);
            told |= exit.out_of_memory;
        }
        assert_eq!(told, is_told, "{code}, heard: {heard}");
    }
}
