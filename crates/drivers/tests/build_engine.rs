//! The builder against Docker Engine's own BuildKit, where `CLICK_DEPLOY_TEST_DOCKER_HOST` names an engine that has
//! `debian:trixie-slim`: what images hold, and what is cached.
#![cfg(feature = "build")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod build_common;

use std::{
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use build_common::{
    engine::{BASE, Bed},
    request, unique, write,
};
use domain::{
    SecretText,
    ports::builder::{BuildError, Recipe},
};

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
            arguments: [].into(),
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
