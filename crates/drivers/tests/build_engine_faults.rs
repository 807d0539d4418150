//! The builder against Docker Engine's own BuildKit, where `CLICK_DEPLOY_TEST_DOCKER_HOST` names an engine that has
//! `debian:trixie-slim`: what goes wrong, is cancelled or is capped.
#![cfg(feature = "build")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod build_common;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use build_common::{
    Heard,
    engine::{BASE, Bed},
    request, unique, write,
};
use domain::{
    SecretText,
    ports::builder::{BuildError, Builder, Recipe},
};
use drivers::build::{BuildKit, BuildLimits};

#[tokio::test]
async fn dropping_the_build_ends_its_step_and_leaves_no_process() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let mark = unique("sleeper");
    let request = request(root.path(), &mark, &format!("{BASE}RUN sleep 300 && echo {mark}\n"));
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
async fn a_failing_step_is_told_with_its_exit_code_and_last_lines() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut request = request(
        root.path(),
        &unique("failing"),
        &format!("{BASE}RUN seq 1 60; echo sesame-open; exit 42\n"),
    );
    request.secrets.insert("S".to_owned(), SecretText::new("sesame-open"));
    let (outcome, heard) = bed.build(&request).await;
    let BuildError::Failed {
        step,
        message,
        exit_code,
        tail,
    } = outcome.unwrap_err()
    else {
        panic!("another error")
    };
    assert!(step.contains("RUN seq 1 60"), "{step}");
    assert!(!step.contains("sesame-open"), "{step}");
    assert_eq!(exit_code, Some(42));
    assert!(message.contains("42") && !message.contains("sesame-open"), "{message}");
    // The last ones, not all.
    assert_eq!(tail.len(), 40);
    assert_eq!(tail.last().unwrap(), "***");
    assert_eq!(heard.lines.lock().unwrap().len(), 61);
    assert!(heard.last("RUN").unwrap().error.is_some());
}

#[tokio::test]
async fn an_absent_base_image_is_named() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    for image in ["click-deploy-test/no-such-image:1", "127.0.0.1:1/none:2"] {
        let request = request(root.path(), &unique("base"), &format!("FROM {image}\nCOPY . /\n"));
        let (outcome, _) = bed.build(&request).await;
        match outcome.unwrap_err() {
            BuildError::BaseImage { image: named, message } => {
                assert_eq!(named, image);
                eprintln!("{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_dockerfile_is_refused_in_words() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    for (dockerfile, words) in [
        ("FORM scratch\n", "unknown instruction"),
        ("FROM scratch AS\n", "FROM"),
        ("", ""),
        ("# syntax=evil/frontend\nFROM scratch\n", "evil/frontend"),
        ("# syntax=docker/dockerfile:1\nFORM scratch\n", "docker/dockerfile:1"),
    ] {
        let request = request(root.path(), &unique("invalid"), dockerfile);
        let (outcome, _) = bed.build(&request).await;
        match outcome.unwrap_err() {
            BuildError::Invalid(message) => {
                eprintln!("{message}");
                assert!(message.contains(words), "{message}");
            }
            other => panic!("{dockerfile}: {other:?}"),
        }
    }
    let mut request = request(root.path(), &unique("invalid"), "");
    write(root.path(), &[("Dockerfile", "FROM scratch AS one\nCOPY . /\n")]);
    request.recipe = Recipe::Dockerfile {
        path: "Dockerfile".to_owned(),
        target: Some("two".to_owned()),
        arguments: [].into(),
    };
    let outcome = bed.build(&request).await.0;
    assert!(
        matches!(&outcome, Err(BuildError::Invalid(message)) if message.contains("two")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("there", "")]);
    let request = request(root.path(), &unique("missing"), "FROM scratch\nCOPY not/there /x\n");
    match bed.build(&request).await.0.unwrap_err() {
        BuildError::Failed { message, .. } => assert!(message.contains("`/not"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_builder_tells_its_version_and_an_absent_one_is_unreachable() {
    let Some(bed) = Bed::new() else { return };
    assert!(bed.builder.version().await.unwrap().contains("Docker Engine"));
    assert!(!bed.builder.merges_layers());
    // All may stay: the cache is shared with others.
    bed.builder.prune_cache(u64::MAX).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    for host in ["unix:///no/such/socket", "tcp://127.0.0.1:1", "nonsense"] {
        let absent = BuildKit::embedded(host, BuildLimits::none());
        assert!(matches!(absent.version().await, Err(BuildError::Unreachable(_))));
        let request = request(root.path(), "x", "FROM scratch\nCOPY . /\n");
        let outcome = absent.build(&request, &Heard::default()).await;
        assert!(matches!(outcome, Err(BuildError::Unreachable(_))), "{outcome:?}");
    }
}

/// Takes the caps off again: the engine's builder is shared.
struct Uncapped;

impl Drop for Uncapped {
    fn drop(&mut self) {
        for (place, value) in [
            ("/sys/fs/cgroup/cpu/docker/buildkit/cpu.cfs_quota_us", "-1"),
            (
                "/sys/fs/cgroup/memory/docker/buildkit/memory.memsw.limit_in_bytes",
                "-1",
            ),
            ("/sys/fs/cgroup/memory/docker/buildkit/memory.limit_in_bytes", "-1"),
            ("/sys/fs/cgroup/docker/buildkit/cpu.max", "max"),
            ("/sys/fs/cgroup/docker/buildkit/memory.max", "max"),
        ] {
            if Path::new(place).exists() {
                let _ = std::fs::write(place, value);
            }
        }
    }
}

#[tokio::test]
async fn steps_get_no_more_than_their_share_of_the_machine() {
    let Some(bed) = Bed::new() else { return };
    let host = std::env::var("CLICK_DEPLOY_TEST_DOCKER_HOST").unwrap();
    let limits = BuildLimits {
        cpu_millis: 500,
        memory_mb: 1_536,
    };
    let capped = BuildKit::embedded(&host, limits);
    let _uncapped = Uncapped;
    let caps = capped.caps().await;
    if let Some(why) = caps.missing {
        eprintln!("nothing is capped here: {why}");
        build_common::skip("build-caps");
        return;
    }
    assert_eq!((caps.cpu_millis, caps.memory_mb), (Some(500), Some(1_536)));

    let root = tempfile::tempdir().unwrap();
    let busy = request(
        root.path(),
        &unique("busy"),
        &format!(
            "{BASE}RUN echo {} && (timeout 2 sh -c 'while :; do :; done' & timeout 2 sh -c 'while :; do :; done'; wait); grep ^cpu /proc/stat | head -1; times\n",
            unique("busy")
        ),
    );
    let heard = Heard::default();
    capped.build(&busy, &heard).await.unwrap();
    let text = heard.text();
    let used: f64 = text
        .lines()
        .last()
        .and_then(|line| line.rsplit_once("] "))
        .map(|(_, times)| times.split_whitespace().map(seconds).sum())
        .unwrap();
    eprintln!("two loops of 2 s used {used} s of processor time");
    assert!(used > 0.2 && used < 1.6, "{text}");

    let hungry = request(
        root.path(),
        &unique("hungry"),
        &format!("{BASE}RUN echo {} && tail /dev/zero\n", unique("hungry")),
    );
    match capped.build(&hungry, &Heard::default()).await.unwrap_err() {
        BuildError::Failed { message, exit_code, .. } => {
            assert_eq!(exit_code, Some(137));
            assert!(message.contains("1536 MB"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    bed.remove(&busy.image_name).await;
}

/// `0m1.23s` as seconds.
fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
}

/// A way to the engine that can be cut.
struct Way {
    place: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Way {
    fn to(host: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(place.path().join("s")).unwrap();
        let target = host.trim_start_matches("unix://").to_owned();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let target = target.clone();
                connections.spawn(async move {
                    let mut far = tokio::net::UnixStream::connect(target).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { place, task }
    }

    fn host(&self) -> String {
        format!("unix://{}/s", self.place.path().display())
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_is_unreachable_and_is_found_again() {
    let Some(_bed) = Bed::new() else { return };
    let host = std::env::var("CLICK_DEPLOY_TEST_DOCKER_HOST").unwrap();
    let way = Way::to(&host);
    let builder = BuildKit::embedded(&way.host(), BuildLimits::none());
    let root = tempfile::tempdir().unwrap();
    let mark = unique("leaving");
    let request = request(root.path(), &mark, &format!("{BASE}RUN sleep 200 && echo {mark}\n"));
    let heard = Heard::default();
    let started = Instant::now();
    let (outcome, ()) = tokio::join!(builder.build(&request, &heard), async {
        while build_common::processes(&mark) == 0 {
            assert!(started.elapsed() < Duration::from_secs(60), "the step does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        way.task.abort();
    });
    assert!(matches!(outcome, Err(BuildError::Unreachable(_))), "{outcome:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(build_common::processes(&mark), 0);
    assert!(matches!(builder.version().await, Err(BuildError::Unreachable(_))));

    std::fs::remove_file(way.place.path().join("s")).unwrap();
    let listener = tokio::net::UnixListener::bind(way.place.path().join("s")).unwrap();
    let target = host.trim_start_matches("unix://").to_owned();
    let again = tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::UnixStream::connect(&target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    builder.version().await.unwrap();
    again.abort();
}
