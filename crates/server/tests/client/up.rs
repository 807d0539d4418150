//! `up`: what it creates, changes, sends and prints.

use std::{fs, io::Read, path::Path};

use serde_json::json;

use crate::{
    fake::{Fake, id, problem},
    run::{TOKEN, command, ended, run},
};

const URL: &str = "http://app1234.localhost:8080";

fn application() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("My App");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("index.html"), "hello").unwrap();
    fs::write(app.join(".gitignore"), "*.log\n").unwrap();
    fs::write(app.join("x.log"), "").unwrap();
    folder
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut text).unwrap();
    let mut archive = tar::Archive::new(text.as_slice());
    archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}

#[tokio::test]
async fn the_first_time_everything_is_created_and_the_url_is_all_of_standard_output() {
    let (fake, home) = (Fake::start().await, application());
    let ran = run(&fake.url, home.path(), &["up", "My App"]).await;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, format!("{URL}\n").as_str()),
        "{ran:?}"
    );
    for words in ["created project default", "created service my-app", "line 3", "live"] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    let world = fake.world.lock().unwrap();
    assert_eq!(
        world.services[0]["source"],
        json!({"kind": "upload", "root_directory": ""})
    );
    assert_eq!(names(&world.uploads[0]), ["source/.gitignore", "source/index.html"]);
}

#[tokio::test]
async fn json_is_one_line_and_quiet_is_quiet() {
    let (fake, home) = (Fake::start().await, application());
    let ran = run(&fake.url, home.path(), &["up", "My App", "--json", "--quiet"]).await;
    assert_eq!(
        (ran.code, ran.out.lines().count(), ran.err.as_str()),
        (0, 1, ""),
        "{ran:?}"
    );
    assert_eq!(
        ran.json(),
        json!({"url": URL, "deployment": id("dep", 1), "status": "live", "service": id("svc", 1)})
    );
}

#[tokio::test]
async fn a_failed_deployment_says_why_in_words_and_in_json() {
    let (fake, home) = (Fake::start().await, application());
    let reason = json!({"code": "port-never-opened", "message": "port 3000 never opened", "advice": "listen on $PORT"});
    fake.set(|world| {
        world.ending = "failed".to_owned();
        world.reason = Some(reason.clone());
    });
    let ran = run(&fake.url, home.path(), &["up", "My App", "--json"]).await;
    assert_eq!((ran.code, ran.out.lines().count()), (1, 1), "{ran:?}");
    assert_eq!(ran.json()["status"], "failed");
    assert_eq!(ran.json()["reason"], reason);
    assert_eq!(ran.json()["deployment"], id("dep", 1));
    assert!(
        ran.err.contains("port 3000 never opened") && ran.err.contains("listen on $PORT"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn settings_change_only_where_a_flag_says_so() {
    let (fake, home) = (Fake::start().await, application());
    let arguments = ["up", "My App", "--service", "web", "--port", "8080", "--quiet"];
    assert_eq!(run(&fake.url, home.path(), &arguments).await.code, 0);
    assert_eq!(
        run(&fake.url, home.path(), &["up", "My App", "--service", "web", "--quiet"])
            .await
            .code,
        0
    );
    assert_eq!((fake.asked("PATCH"), fake.asked("POST /projects")), (0, 2));
    let service = fake.world.lock().unwrap().services[0].clone();
    assert_eq!(
        (&service["settings"]["port"], &service["name"]),
        (&json!(8080), &json!("web"))
    );
    let arguments = ["up", "My App", "--service", "web", "--size", "large", "--quiet"];
    assert_eq!(run(&fake.url, home.path(), &arguments).await.code, 0);
    assert_eq!(fake.asked(&format!("PATCH /services/{} 1", id("svc", 1))), 1);
    let settings = fake.world.lock().unwrap().services[0]["settings"].clone();
    assert_eq!(
        (&settings["port"], &settings["instance_size"]),
        (&json!(8080), &json!("large"))
    );
}

#[tokio::test]
async fn a_change_that_came_too_late_is_made_again_once() {
    let (fake, home) = (Fake::start().await, application());
    fake.deployed(&[]);
    let patch = format!("PATCH /services/{}", id("svc", 1));
    let arguments = ["up", "My App", "--service", "app", "--port", "8080", "--quiet"];
    fake.answer(&patch, problem(412, "stale", "someone else changed it"));
    assert_eq!(run(&fake.url, home.path(), &arguments).await.code, 0);
    assert_eq!(fake.asked(&patch), 2);
    fake.set(|world| world.services[0]["settings"] = json!({}));
    fake.answer(&patch, problem(412, "stale", "someone else changed it"));
    fake.answer(&patch, problem(412, "stale", "someone else changed it"));
    assert_eq!(run(&fake.url, home.path(), &arguments).await.code, 5);
}

#[tokio::test]
async fn git_and_images_need_no_files() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    let commit = "a".repeat(40);
    let arguments = [
        "up",
        "--git",
        "https://example.org/team/Shop.git",
        "--branch",
        "main",
        "--root",
        "web",
        "--commit",
        &commit,
    ];
    assert_eq!(run(&fake.url, home.path(), &arguments).await.code, 0);
    assert_eq!(
        run(&fake.url, home.path(), &["up", "--image", "ghcr.io/team/nginx:1.27"])
            .await
            .code,
        0
    );
    let world = fake.world.lock().unwrap();
    let names: Vec<_> = world
        .services
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["shop", "nginx"]);
    assert_eq!(
        world.services[0]["source"],
        json!({"kind": "git", "url": "https://example.org/team/Shop.git", "branch": "main", "root_directory": "web"})
    );
    assert!(world.uploads.is_empty());
}

#[tokio::test]
async fn variables_of_files_and_flags_are_set_before_the_deployment_byte_for_byte() {
    let (fake, home) = (Fake::start().await, application());
    fs::write(home.path().join("a.env"), "A=\"one\\ntwo\"\nB=file\n").unwrap();
    fs::write(home.path().join("s.env"), "KEY='$ecret #'\n").unwrap();
    let arguments = [
        "up",
        "My App",
        "--env-file",
        "a.env",
        "--secret-env-file",
        "s.env",
        "--env",
        "B= x=y ",
        "--quiet",
    ];
    assert_eq!(run(&fake.url, home.path(), &arguments).await.code, 0);
    let world = fake.world.lock().unwrap();
    let value = |key: &str| {
        (
            world.variables[key]["value"].as_str().unwrap(),
            world.variables[key]["kind"].as_str().unwrap(),
        )
    };
    assert_eq!(value("A"), ("one\ntwo", "static"));
    assert_eq!(value("B"), (" x=y ", "static"));
    assert_eq!(value("KEY"), ("$ecret #", "secret"));
    let at = |what: &str| world.asked.iter().position(|one| one.contains(what)).unwrap();
    assert!(at("/env/bulk") < at("/source"));
}

#[tokio::test]
async fn what_is_wrong_on_this_side_is_found_before_anything_is_made() {
    let (fake, home) = (Fake::start().await, application());
    fs::write(home.path().join("bad.env"), "A=1\nnonsense\n").unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    for arguments in [
        &["up", "nowhere"][..],
        &["up", "empty"],
        &["up", "My App", "--env-file", "bad.env"],
        &["up", "My App", "--env-file", "nowhere.env"],
        &["up", "My App", "--service", "Not A Name"],
        &["up", "My App", "--git", "https://example.org/x"],
        &["up", "--branch", "main"],
        &["up", "--git", "ext::sh -c id"],
        &["up", "--image", "$(id)"],
        &["up", "--from-remote"],
        &["up", "--token", TOKEN],
    ] {
        let ran = run(&fake.url, home.path(), arguments).await;
        assert_eq!(ran.code, 2, "{arguments:?} {ran:?}");
    }
    assert_eq!(fake.asked(""), 0);
}

#[tokio::test]
async fn detach_prints_the_id_and_the_url_at_once() {
    let (fake, home) = (Fake::start().await, application());
    fake.set(|world| world.ending.clear());
    let ran = run(&fake.url, home.path(), &["up", "My App", "--detach", "--quiet"]).await;
    assert_eq!((ran.code, ran.out), (0, format!("{}\n{URL}\n", id("dep", 1))));
    let ran = run(&fake.url, home.path(), &["up", "My App", "--detach", "--json"]).await;
    assert_eq!((ran.code, &ran.json()["status"]), (0, &json!("queued")));
}

#[tokio::test]
async fn a_deployment_that_takes_too_long_goes_on_and_the_code_says_so() {
    let (fake, home) = (Fake::start().await, application());
    fake.set(|world| world.ending.clear());
    let ran = run(&fake.url, home.path(), &["up", "My App", "--timeout", "1s", "--json"]).await;
    assert_eq!((ran.code, &ran.json()["status"]), (6, &json!("timed_out")), "{ran:?}");
    assert!(ran.err.contains("click-deploy cancel dep_"), "{}", ran.err);
}

#[tokio::test]
async fn ctrl_c_leaves_the_deployment_alone_and_says_how_to_cancel_it() {
    let (fake, home) = (Fake::start().await, application());
    fake.set(|world| world.ending.clear());
    let child = command(&fake.url, home.path(), &["up", "My App", "--json"])
        .spawn()
        .unwrap();
    let process = child.id().unwrap().to_string();
    while fake.asked("GET /deployments") == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    std::process::Command::new("kill")
        .args(["-INT", &process])
        .status()
        .unwrap();
    let ran = ended(child).await;
    assert_eq!(
        (ran.code, &ran.json()["status"]),
        (130, &json!("interrupted")),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("goes on") && ran.err.contains("click-deploy cancel dep_"),
        "{}",
        ran.err
    );
    assert_eq!(fake.asked("POST /deployments"), 0);
}

#[tokio::test]
async fn an_upload_that_is_refused_is_explained() {
    let (fake, home) = (Fake::start().await, application());
    fake.deployed(&[]);
    let source = format!("POST /services/{}/source", id("svc", 1));
    fake.answer(&source, problem(413, "too-large", "at most 1 MiB"));
    fs::write(home.path().join("My App/film"), noise(20_000_000)).unwrap();
    let ran = run(&fake.url, home.path(), &["up", "My App", "--service", "app", "--json"]).await;
    assert_eq!(
        (ran.code, &ran.json()["reason"]["code"]),
        (2, &json!("too-large")),
        "{ran:?}"
    );
}

/// Bytes that do not become fewer by compression.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

#[tokio::test]
async fn a_terminal_gets_a_moving_line_and_colours_unless_it_wants_none() {
    let (fake, home) = (Fake::start().await, application());
    fake.set(|world| world.ending.clear());
    let line = format!("'{}' up 'My App' --timeout 1s", env!("CARGO_BIN_EXE_click-deploy"));
    for (no_colour, coloured) in [("", true), ("1", false)] {
        // script(1) runs a command in a terminal of its own.
        let mut script = tokio::process::Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(home.path());
        script
            .env("CLICK_DEPLOY_URL", &fake.url)
            .env("CLICK_DEPLOY_TOKEN", TOKEN)
            .env("TERM", "xterm");
        script.env("NO_COLOR", no_colour).env("HOME", home.path());
        script
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped());
        let ran = ended(script.spawn().unwrap()).await;
        assert_eq!(ran.code, 6, "{ran:?}");
        assert!(ran.out.contains("queued 0 s"), "{ran:?}");
        assert_eq!(ran.out.contains("\u{1b}[31merror:"), coloured, "{ran:?}");
    }
}

#[tokio::test]
async fn nothing_of_the_servers_acts_on_the_terminal() {
    let (fake, home) = (Fake::start().await, application());
    fake.set(|world| {
        world.lines[0]["message"] = json!("\u{1b}]0;owned\u{7}\u{1b}[2Jred\u{9b}31m");
        world.ending = "failed".to_owned();
        world.reason = Some(json!({"code": "x", "message": "bad\u{1b}[2J\u{7}thing", "advice": "\u{1b}c"}));
    });
    for arguments in [&["up", "My App"][..], &["up", "My App", "--json"]] {
        let ran = run(&fake.url, home.path(), arguments).await;
        let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(!ran.err.contains(acts) && !ran.out.contains(acts), "{ran:?}");
        assert!(ran.err.contains("badthing"), "{ran:?}");
    }
}

#[tokio::test]
async fn the_token_appears_nowhere() {
    let (fake, home) = (Fake::start().await, application());
    fake.answer("GET /projects", problem(500, "internal", "something broke"));
    for arguments in [
        &["up", "My App", "--json"][..],
        &["doctor"],
        &["doctor", "--json"],
        &["up", "--help"],
    ] {
        let ran = run(&fake.url, Path::new(home.path()), arguments).await;
        assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "{arguments:?}");
    }
}
