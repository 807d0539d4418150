//! The builder against Docker Engine's own BuildKit, where `CLICK_DEPLOY_TEST_DOCKER_HOST` names an engine that has
//! `debian:trixie-slim`.
#![cfg(feature = "build")]

mod build_common;

use std::{
    io::Read,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use bollard::Docker;
use build_common::{Heard, counterpart, request, unique, write};
use domain::{
    SecretText,
    ports::builder::{BuildError, BuildRequest, Builder, Recipe},
};
use drivers::build::{BuildKit, BuildLimits};
use futures_util::StreamExt;

const BASE: &str = "FROM debian:trixie-slim\n";

struct Bed {
    builder: BuildKit,
    docker: Docker,
}

impl Bed {
    fn new() -> Option<Self> {
        let host = counterpart("CLICK_DEPLOY_TEST_DOCKER_HOST", "docker")?;
        let docker = Docker::connect_with_socket(
            host.trim_start_matches("unix://"),
            120,
            &bollard::ClientVersion {
                major_version: 1,
                minor_version: 41,
            },
        )
        .unwrap();
        Some(Self {
            builder: BuildKit::embedded(&host, BuildLimits::none()),
            docker,
        })
    }

    /// Every file of the image's last layers, by path, and the image's configuration.
    async fn export(&self, name: &str) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
        let mut archive = Vec::new();
        let mut stream = self.docker.export_image(name);
        while let Some(piece) = stream.next().await {
            archive.extend_from_slice(&piece.unwrap());
        }
        let mut files = Vec::new();
        let mut layers = tar::Archive::new(archive.as_slice());
        for entry in layers.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if !path.ends_with("layer.tar") {
                continue;
            }
            let mut layer = Vec::new();
            entry.read_to_end(&mut layer).unwrap();
            for entry in tar::Archive::new(layer.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let mut text = Vec::new();
                entry.read_to_end(&mut text).unwrap();
                files.push((path, text));
            }
        }
        (files, archive)
    }

    async fn remove(&self, name: &str) {
        let _ = self
            .docker
            .remove_image(name, None::<bollard::query_parameters::RemoveImageOptions>, None)
            .await;
    }

    async fn build(&self, request: &BuildRequest) -> (Result<domain::ports::image::StoredImage, BuildError>, Heard) {
        let heard = Heard::default();
        let outcome = self.builder.build(request, &heard).await;
        (outcome, heard)
    }
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    let mut names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn an_image_from_scratch_is_in_the_store_with_its_files_and_labels() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("a/b.txt", "hello"),
            ("a.txt", "top"),
            ("a-b/ü.txt", ""),
            ("empty/", ""),
        ],
    );
    let request = request(root.path(), &unique("scratch"), "FROM scratch\nCOPY . /\n");
    let (image, heard) = bed.build(&request).await;
    let image = image.unwrap();
    assert_eq!(image.reference, request.image_name);
    assert!(image.digest.starts_with("sha256:"));
    let (files, archive) = bed.export(&request.image_name).await;
    assert_eq!(names(&files), ["a-b/", "a-b/ü.txt", "a.txt", "a/", "a/b.txt", "empty/"]);
    assert!(String::from_utf8_lossy(&archive).contains("click-deploy.org/test"));
    let copy = heard.last("COPY").unwrap();
    assert!(copy.seconds.is_some() && copy.error.is_none());
    bed.remove(&request.image_name).await;
}

#[tokio::test]
async fn a_secret_can_be_used_and_is_nowhere_afterwards() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut request = request(
        root.path(),
        &unique("secret"),
        &format!(
            "{BASE}RUN --mount=type=secret,id=TOKEN test $(wc -c < /run/secrets/TOKEN) = 13 && echo got \"$(cat /run/secrets/TOKEN)\" && echo {} > /used\n",
            unique("fresh")
        ),
    );
    request
        .secrets
        .insert("TOKEN".to_owned(), SecretText::new("v3ry $ecret\\\""));
    let (image, heard) = bed.build(&request).await;
    image.unwrap();
    assert!(heard.text().contains("got ***"), "{}", heard.text());
    assert!(!heard.text().contains("v3ry"));
    let (files, archive) = bed.export(&request.image_name).await;
    assert!(names(&files).contains(&"used"));
    assert!(!archive.windows(12).any(|window| window == b"v3ry $ecret\\"));
    bed.remove(&request.image_name).await;
}

#[tokio::test]
async fn what_is_ignored_stays_out() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("node_modules/a/index.js", "x"),
            ("node_modules/keep/index.js", "x"),
            ("src/main.js", "x"),
            ("src/notes.md", "x"),
            ("README.md", "x"),
        ],
    );
    let mut request = request(root.path(), &unique("ignored"), "FROM scratch\nCOPY . /\n");
    let Recipe::Planned { dockerignore, .. } = &mut request.recipe else {
        unreachable!()
    };
    *dockerignore = Some("node_modules\n!node_modules/keep\n**/*.md\n!README.md\n".to_owned());
    let kept = [
        "README.md",
        "node_modules/",
        "node_modules/keep/",
        "node_modules/keep/index.js",
        "src/",
        "src/main.js",
    ];
    bed.build(&request).await.0.unwrap();
    assert_eq!(names(&bed.export(&request.image_name).await.0), kept);

    // The application's own list is the one that counts.
    write(root.path(), &[(".dockerignore", "*\n!src\n")]);
    bed.build(&request).await.0.unwrap();
    assert_eq!(
        names(&bed.export(&request.image_name).await.0),
        ["src/", "src/main.js", "src/notes.md"]
    );

    // And one beside an application's Dockerfile goes before it.
    write(
        root.path(),
        &[
            ("d/X", "FROM scratch\nCOPY . /\n"),
            ("d/X.dockerignore", "*\n!README.md\n"),
        ],
    );
    request.recipe = Recipe::Dockerfile {
        path: "d/X".to_owned(),
        target: None,
        arguments: [].into(),
    };
    bed.build(&request).await.0.unwrap();
    assert_eq!(names(&bed.export(&request.image_name).await.0), ["README.md"]);
    bed.remove(&request.image_name).await;
}

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
        &format!("{BASE}RUN seq 1 30; echo sesame-open >&2; exit 42\n"),
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
    assert!(step.contains("RUN seq 1 30"), "{step}");
    assert!(!step.contains("sesame-open"), "{step}");
    assert_eq!(exit_code, Some(42));
    assert!(message.contains("42") && !message.contains("sesame-open"), "{message}");
    assert_eq!(tail.len(), 20);
    assert_eq!(tail.last().unwrap(), "***");
    assert_eq!(heard.lines.lock().unwrap().len(), 31);
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
async fn an_unchanged_build_is_cached_and_a_change_sends_only_what_changed() {
    let Some(bed) = Bed::new() else { return };
    let name = unique("cached");
    let mut request = request(
        Path::new("/"),
        &name,
        &format!("{BASE}COPY . /app\nRUN cat /app/f7 > /seen-{name}\n"),
    );
    let mut times = Vec::new();
    let mut images = Vec::new();
    for round in 0..4 {
        // Every deployment has a fresh checkout.
        let root = tempfile::tempdir().unwrap();
        for number in 0..1_000 {
            let text = format!("file {number} {}", "x".repeat(1_000));
            write(root.path(), &[(&format!("d{}/f{number}", number % 10), &text)]);
        }
        write(root.path(), &[("f7", if round < 2 { "one" } else { "two" })]);
        request.context = root.path().to_owned();
        let started = Instant::now();
        let (image, heard) = bed.build(&request).await;
        times.push(started.elapsed());
        images.push(image.unwrap().digest);
        assert_eq!(heard.last("RUN cat").unwrap().cached, round % 2 == 1, "round {round}");
        for step in heard.steps.lock().unwrap().iter().filter(|step| step.seconds.is_some()) {
            eprintln!("{round} {:.3} {}", step.seconds.unwrap_or_default(), step.name);
        }
    }
    assert_eq!(images[0], images[1]);
    assert_eq!(images[2], images[3]);
    assert_ne!(images[1], images[2]);
    eprintln!("cold, unchanged, one line, unchanged: {times:?}");
    bed.remove(&request.image_name).await;
}

#[tokio::test]
async fn a_change_of_the_same_length_within_one_moment_is_seen() {
    let Some(bed) = Bed::new() else { return };
    let name = unique("moment");
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("f");
    let request = request(root.path(), &name, "FROM scratch\nCOPY f /f\n");
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for text in ["one", "two", "one", "six"] {
        std::fs::write(&place, text).unwrap();
        std::fs::File::options()
            .write(true)
            .open(&place)
            .unwrap()
            .set_modified(time)
            .unwrap();
        bed.build(&request).await.0.unwrap();
        assert_eq!(bed.export(&request.image_name).await.0[0].1, text.as_bytes());
    }
    bed.remove(&request.image_name).await;
}

#[tokio::test]
async fn a_link_out_of_the_context_brings_nothing_in() {
    let Some(bed) = Bed::new() else { return };
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), &[("secret", "do not read me")]);
    let root = tempfile::tempdir().unwrap();
    symlink(outside.path().join("secret"), root.path().join("absolute")).unwrap();
    symlink(outside.path(), root.path().join("directory")).unwrap();
    symlink("../../../../etc/hostname", root.path().join("relative")).unwrap();
    let mut request = request(root.path(), &unique("links"), "FROM scratch\nCOPY . /\n");
    bed.build(&request).await.0.unwrap();
    let (files, _) = bed.export(&request.image_name).await;
    assert_eq!(names(&files), ["absolute", "directory", "relative"]);
    assert!(files.iter().all(|(_, text)| text.is_empty()));
    for dockerfile in [
        "FROM scratch\nCOPY absolute /x\n",
        "FROM scratch\nCOPY directory/secret /x\n",
        "FROM scratch\nCOPY relative /x\n",
        "FROM scratch\nCOPY ../../../etc/hostname /x\n",
    ] {
        request.recipe = Recipe::Planned {
            dockerfile: dockerfile.to_owned(),
            dockerignore: None,
            arguments: Default::default(),
        };
        let outcome = bed.build(&request).await.0;
        assert!(
            matches!(outcome, Err(BuildError::Failed { .. })),
            "{dockerfile}: {outcome:?}"
        );
    }
    bed.remove(&request.image_name).await;
}

#[tokio::test]
async fn builds_run_beside_one_another() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("f", "x")]);
    let shared = unique("beside");
    let requests: Vec<_> = (0..4)
        .map(|number| {
            let dockerfile = format!("{BASE}COPY . /app\nRUN echo {shared} {number} && sleep 1\n");
            let mut request = request(root.path(), &format!("{shared}-{number}"), &dockerfile);
            // Two of them are the same service.
            request.cache_key = format!("{shared}-{}", number / 2);
            request
        })
        .collect();
    let outcomes = futures_util::future::join_all(requests.iter().map(|request| bed.build(request))).await;
    for (number, (outcome, heard)) in outcomes.into_iter().enumerate() {
        outcome.unwrap();
        let text = heard.text();
        assert!(text.ends_with(&format!("] {shared} {number}")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    for request in &requests {
        bed.remove(&request.image_name).await;
    }
}

#[tokio::test]
async fn cache_folders_of_two_services_are_two() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let mark = unique("mark");
    let dockerfile = |command: &str| format!("{BASE}RUN --mount=type=cache,target=/cache,id={mark} {command}\n");
    let mut first = request(
        root.path(),
        &unique("first"),
        &dockerfile(&format!("touch /cache/{mark}")),
    );
    bed.build(&first).await.0.unwrap();
    first.recipe = request(root.path(), "x", &dockerfile(&format!("test -e /cache/{mark}"))).recipe;
    bed.build(&first).await.0.unwrap();
    let second = request(
        root.path(),
        &unique("second"),
        &dockerfile(&format!("test ! -e /cache/{mark}")),
    );
    bed.build(&second).await.0.unwrap();
    bed.remove(&first.image_name).await;
    bed.remove(&second.image_name).await;
}

#[tokio::test]
async fn hostile_names_are_names() {
    let Some(bed) = Bed::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut request = request(root.path(), &unique("names"), "");
    for name in [
        "--file",
        "-",
        "a b;$(touch x)`y`",
        "ü\"'\\.Dockerfile",
        "d/%2e%2e",
        "*",
        "[",
    ] {
        write(root.path(), &[(name, "FROM scratch\nARG A\nLABEL a=$A\nCOPY . /\n")]);
        request.recipe = Recipe::Dockerfile {
            path: name.to_owned(),
            target: None,
            arguments: [("A".to_owned(), "--$(x)\n\"'".to_owned())].into(),
        };
        let outcome = bed.build(&request).await.0;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
    for name in ["../x", "/etc/passwd", "a\0b", "a\nb", ""] {
        request.recipe = Recipe::Dockerfile {
            path: name.to_owned(),
            target: None,
            arguments: [].into(),
        };
        assert!(
            matches!(bed.build(&request).await.0, Err(BuildError::Invalid(_))),
            "{name}"
        );
    }
    bed.remove(&request.image_name).await;
}

#[tokio::test]
async fn the_builder_tells_its_version_and_an_absent_one_is_unreachable() {
    let Some(bed) = Bed::new() else { return };
    assert!(bed.builder.version().await.unwrap().contains("Docker Engine"));
    assert!(!bed.builder.merges_layers());
    let root = tempfile::tempdir().unwrap();
    for host in ["unix:///no/such/socket", "tcp://127.0.0.1:1", "nonsense"] {
        let absent = BuildKit::embedded(host, BuildLimits::none());
        assert!(matches!(absent.version().await, Err(BuildError::Unreachable(_))));
        let request = request(root.path(), "x", "FROM scratch\nCOPY . /\n");
        let outcome = absent.build(&request, &Heard::default()).await;
        assert!(matches!(outcome, Err(BuildError::Unreachable(_))), "{outcome:?}");
    }
}

/// Not a promise but a measurement: `--ignored --nocapture`, alone.
#[tokio::test]
#[ignore = "a measurement"]
async fn how_long_a_large_context_takes_and_how_much_memory() {
    let Some(bed) = Bed::new() else { return };
    let name = unique("large");
    let mut request = request(Path::new("/"), &name, "FROM scratch\nCOPY . /\n");
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        peak.to_owned()
    };
    let before = memory();
    for round in 0..3 {
        let root = tempfile::tempdir().unwrap();
        let mut state = 1_u64;
        for number in 0..50 {
            let mut text = vec![0_u8; 1 << 20];
            for byte in &mut text {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            std::fs::write(root.path().join(format!("f{number}")), text).unwrap();
        }
        std::fs::write(root.path().join("changing"), format!("{round}")).unwrap();
        request.context = root.path().to_owned();
        let started = Instant::now();
        let (image, heard) = bed.build(&request).await;
        image.unwrap();
        eprintln!(
            "50 MB, round {round}: {:?}, of which context {:?} s",
            started.elapsed(),
            heard.last("load build context").unwrap().seconds
        );
    }
    eprintln!("peak memory before {before}, after {}", memory());
    bed.remove(&request.image_name).await;
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
