//! The exit code says what kind of thing went wrong.

use serde_json::json;

use crate::{
    fake::{Fake, problem},
    run::{command, ended, run},
};

#[tokio::test]
async fn a_server_that_is_not_there_is_3() {
    let home = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ran = run(&url, home.path(), &["status"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.err.contains(&url) && ran.err.contains("refused") && ran.err.contains("doctor"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn no_server_no_token_and_a_wrong_token_are_3() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut nowhere = command("", home.path(), &["status"]);
    assert_eq!(ended(nowhere.spawn().unwrap()).await.code, 3);
    let mut nobody = command(&fake.url, home.path(), &["status"]);
    let ran = ended(nobody.env_remove("CLICK_DEPLOY_TOKEN").spawn().unwrap()).await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("CLICK_DEPLOY_TOKEN"), "{}", ran.err);
    let mut wrong = command(&fake.url, home.path(), &["status"]);
    assert_eq!(
        ended(wrong.env("CLICK_DEPLOY_TOKEN", "wrong").spawn().unwrap())
            .await
            .code,
        3
    );
}

#[tokio::test]
async fn each_kind_of_problem_has_its_code() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    for (status, code) in [
        (400, 2),
        (403, 3),
        (404, 4),
        (409, 5),
        (412, 5),
        (422, 2),
        (500, 1),
        (503, 3),
    ] {
        fake.answer("GET /projects", problem(status, "some-code", "what happened"));
        let ran = run(&fake.url, home.path(), &["projects"]).await;
        assert_eq!(ran.code, code, "{status}: {ran:?}");
        assert!(ran.err.contains("what happened"), "{}", ran.err);
    }
}

#[tokio::test]
async fn what_is_wrong_with_which_field_is_printed() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    let (status, mut body) = problem(422, "invalid", "the settings are not accepted");
    body["errors"] = json!([{"field": "settings.port", "message": "a port is 1 to 65535"}]);
    fake.answer("GET /projects", (status, body));
    let ran = run(&fake.url, home.path(), &["projects"]).await;
    assert!(ran.err.contains("settings.port: a port is 1 to 65535"), "{}", ran.err);
}

#[tokio::test]
async fn what_is_not_our_server_is_3_and_said() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.answer("GET /projects", (200, json!("<html>")));
    assert_eq!(run(&fake.url, home.path(), &["projects"]).await.code, 3);
    fake.answer("GET /projects", (404, json!("no problem document")));
    let ran = run(&fake.url, home.path(), &["projects"]).await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("CLICK_DEPLOY_URL"), "{}", ran.err);
}

#[tokio::test]
async fn being_asked_too_often_is_waited_out() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.answer("GET /projects", problem(429, "too-many", "slow down"));
    assert_eq!(run(&fake.url, home.path(), &["projects"]).await.code, 0);
    assert_eq!(fake.asked("GET /projects"), 2);
}

#[tokio::test]
async fn missing_things_are_4_and_several_services_are_2() {
    let (fake, home) = (Fake::start().await, tempfile::tempdir().unwrap());
    assert_eq!(run(&fake.url, home.path(), &["status"]).await.code, 4);
    fake.deployed(&["live"]);
    for arguments in [&["ps", "other"][..], &["cancel"], &["retry", "7"], &["rollback"]] {
        let ran = run(&fake.url, home.path(), arguments).await;
        assert_eq!(ran.code, 4, "{arguments:?} {ran:?}");
    }
    fake.set(|world| {
        let mut second = world.services[0].clone();
        second["name"] = json!("second");
        world.services.push(second);
    });
    let ran = run(&fake.url, home.path(), &["deploy"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("app, second"), "{}", ran.err);
}
