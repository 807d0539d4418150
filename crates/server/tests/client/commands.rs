//! The other commands.

use std::{fs, io::Write, process::Stdio};

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::{
    fake::{Fake, id, line},
    run::{TOKEN, command, ended, run},
};

#[tokio::test]
async fn rollback_takes_the_live_one_before_the_current() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["live", "live", "failed", "live", "failed", "cancelled"]);
    let ran = run(&fake.url, home.path(), &["rollback", "--yes", "--quiet"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        fake.asked(&format!("POST /services/{}/rollback/{}", id("svc", 1), id("dep", 2))),
        1
    );
    assert_eq!(run(&fake.url, home.path(), &["rollback", "1", "--quiet"]).await.code, 0);
    assert_eq!(
        fake.asked(&format!("POST /services/{}/rollback/{}", id("svc", 1), id("dep", 1))),
        1
    );
}

#[tokio::test]
async fn cancel_takes_the_one_that_is_under_way() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["live", "building", "live"]);
    let ran = run(&fake.url, home.path(), &["cancel"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(fake.asked(&format!("POST /deployments/{}/cancel", id("dep", 2))), 1);
}

#[tokio::test]
async fn lists_are_tables_for_people_and_json_for_programs() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["live", "failed", "live"]);
    let ran = run(&fake.url, home.path(), &["status"]).await;
    assert!(ran.out.starts_with("SERVICE  STATUS  VERSION  AGE"), "{ran:?}");
    assert!(ran.out.contains("app      live"), "{ran:?}");
    let ran = run(&fake.url, home.path(), &["deployments", "--json"]).await;
    assert_eq!(ran.json().as_array().unwrap().len(), 3);
    let ran = run(&fake.url, home.path(), &["history", "app", "--limit", "1"]).await;
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    assert_eq!(
        run(&fake.url, home.path(), &["projects", "--json"]).await.json()[0]["name"],
        "default"
    );
    let ran = run(&fake.url, home.path(), &["status", &id("svc", 1)]).await;
    assert!(ran.out.contains("uploads") && !ran.out.contains('\u{1b}'), "{ran:?}");
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["queued"]);
    fake.set(|world| world.lines = (1..=5000).map(|n| line(n, &"x".repeat(200))).collect());
    let mut child = command(&fake.url, home.path(), &["logs", "--build"]).spawn().unwrap();
    let mut first = [0; 10];
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut first).await.unwrap();
    drop(pipe);
    let ran = ended(child).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[tokio::test]
async fn the_last_lines_of_a_running_service_are_shown() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["live"]);
    fake.set(|world| world.lines = (1..=50).map(|n| line(n, &format!("m{n}"))).collect());
    let ran = run(&fake.url, home.path(), &["logs", "app", "--tail", "2"]).await;
    let messages: Vec<&str> = ran.out.lines().map(|text| text.rsplit(' ').next().unwrap()).collect();
    assert_eq!(messages, ["m49", "m50"], "{ran:?}");
}

#[tokio::test]
async fn a_service_is_stopped_and_the_job_is_waited_for() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["live"]);
    let ran = run(&fake.url, home.path(), &["stop", "app"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "app is stopped\n"), "{ran:?}");
    let ran = run(&fake.url, home.path(), &["rm", "app"]).await;
    assert_eq!(ran.code, 2, "without a terminal nobody can be asked: {ran:?}");
    assert_eq!(
        run(&fake.url, home.path(), &["rm", "--yes"]).await.code,
        2,
        "a name is required"
    );
    assert_eq!(fake.asked("DELETE"), 0);
}

#[tokio::test]
async fn a_secret_is_read_from_standard_input() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.deployed(&["live"]);
    fs::write(home.path().join("key"), "line 1\nline 2\n").unwrap();
    let mut set = command(&fake.url, home.path(), &["env", "set", "--secret", "API_KEY"]);
    set.stdin(Stdio::from(fs::File::open(home.path().join("key")).unwrap()));
    assert_eq!(ended(set.spawn().unwrap()).await.code, 0);
    let stored = fake.world.lock().unwrap().variables["API_KEY"].clone();
    assert_eq!(
        stored,
        json!({"key": "API_KEY", "value": "line 1\nline 2", "kind": "secret"})
    );
    assert_eq!(run(&fake.url, home.path(), &["env", "set", "A"]).await.code, 2);
}

#[tokio::test]
async fn login_keeps_the_token_for_its_owner_and_its_server_alone() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut login = command(&fake.url, home.path(), &["login"]);
    let mut child = login
        .stdin(Stdio::piped())
        .env_remove("CLICK_DEPLOY_TOKEN")
        .spawn()
        .unwrap();
    let mut input: std::process::ChildStdin = child.stdin.take().unwrap().into_owned_fd().unwrap().into();
    writeln!(input, "{TOKEN}").unwrap();
    drop(input);
    let ran = ended(child).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
    let mut again = command("", home.path(), &["projects"]);
    again.env_remove("CLICK_DEPLOY_TOKEN").env_remove("CLICK_DEPLOY_URL");
    assert_eq!(ended(again.spawn().unwrap()).await.code, 0);
    let other = Fake::start().await;
    let mut other = command(&other.url, home.path(), &["projects"]);
    assert_eq!(
        ended(other.env_remove("CLICK_DEPLOY_TOKEN").spawn().unwrap())
            .await
            .code,
        3
    );
}

#[tokio::test]
async fn doctor_names_what_is_not_ready_and_how_to_mend_it() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    let ran = run(&fake.url, home.path(), &["doctor"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out.contains("no socket; start Docker Engine") && ran.out.contains("ci of acme"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_plan_needs_no_server() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("index.html"), "<h1>hello</h1>").unwrap();
    let ran = run("", home.path(), &["plan"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("static"), "{ran:?}");
    let ran = run("", home.path(), &["plan", "--dockerfile"]).await;
    assert!(ran.out.lines().any(|text| text.starts_with("FROM ")), "{ran:?}");
    assert_eq!(
        run("", home.path(), &["plan", "--json"]).await.json()["method"],
        "planner"
    );
    fs::write(home.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    assert!(run("", home.path(), &["plan"]).await.err.contains("has a Dockerfile"));
    let empty = tempfile::tempdir().unwrap();
    let ran = run("", empty.path(), &["plan", "--json"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.json()["refusal"].as_str().unwrap().contains("package.json"));
}

#[tokio::test]
async fn every_command_has_help_with_an_example() {
    let home = tempfile::tempdir().unwrap();
    let commands = [
        "up",
        "deploy",
        "redeploy",
        "cancel",
        "retry",
        "rollback",
        "deployments",
        "status",
        "logs",
        "env",
        "open",
        "ps",
        "stop",
        "start",
        "restart",
        "rm",
        "projects",
        "plan",
        "doctor",
        "login",
        "completion",
        "env list",
        "env set",
        "env unset",
        "env import",
        "env export",
        "env pending",
    ];
    for name in commands {
        let mut arguments: Vec<&str> = name.split(' ').collect();
        arguments.push("--help");
        let ran = run("", home.path(), &arguments).await;
        assert!(
            ran.code == 0 && ran.out.contains("Example") && ran.out.contains("click-deploy "),
            "{name}: {ran:?}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let ran = run("", home.path(), &["completion", shell]).await;
        assert!(ran.code == 0 && ran.out.contains("from-remote"), "{shell}");
    }
}
