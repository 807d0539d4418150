//! Shell scripts.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

#[test]
fn a_script_runs_in_the_shell_that_it_names_with_what_it_calls() {
    let plan = plan(&[(
        "start.sh",
        "#!/usr/bin/env bash\n# git\ncurl -s https://example.com | jq .x\n",
    )]);
    assert_eq!(plan.provider, "shell");
    assert_eq!(plan.base_images, ["debian:trixie-slim"]);
    assert_eq!(cmd(&plan), ["bash", "start.sh"]);
    assert_eq!(fact(&plan, "packages").0, "curl, jq");
    assert!(
        plan.dockerfile.contains("ca-certificates curl jq &&"),
        "{}",
        plan.dockerfile
    );
    assert!(plan.dockerfile.contains("\nUSER 10001:10001\nCMD"));
}

#[test]
fn certificates_are_there_where_something_may_speak_tls_and_else_nothing_is_installed() {
    let installs = |files: &[(&str, &str)]| plan(files).dockerfile.contains("ca-certificates");
    assert!(
        !plan(&[("start.sh", "while true; do echo hello; sleep 9; done\n")])
            .dockerfile
            .contains("apt-get")
    );
    assert!(!installs(&[("start.sh", "jq . x.json\n")]));
    assert!(installs(&[("start.sh", "git ls-remote https://example.com/x\n")]));
    assert!(installs(&[("start.sh", "exec ./server\n"), ("server", "\u{7f}ELF")]));
    let built = with_variables(&[("CLICK_DEPLOY_BUILD_COMMAND", "make")]);
    let plan = try_plan(&[("start.sh", "echo x\n")], &built).unwrap();
    assert!(plan.dockerfile.contains("ca-certificates"), "{}", plan.dockerfile);
}

#[test]
fn shells_are_found_or_refused() {
    let shell = |line: &str| cmd(&plan(&[("start.sh", line)]))[0].clone();
    assert_eq!(shell("echo hello\n"), "sh");
    assert_eq!(shell("#!/bin/dash\n"), "sh");
    assert_eq!(shell("#!/bin/zsh\n"), "zsh");
    assert_eq!(shell("#!/usr/bin/env -S bash -e\n"), "bash");
    let words = refusal(&[("start.sh", "#!/usr/bin/perl\n")]);
    assert!(words.contains("perl") && words.contains("#!/bin/sh"), "{words}");
}

#[test]
fn a_script_that_the_start_command_runs_is_an_application() {
    let script = ("bin/run.sh", "#!/bin/bash\njq . x.json\n");
    let of_railpack = ("railpack.json", r#"{"deploy": {"startCommand": "./bin/run.sh --all"}}"#);
    let of_procfile = ("Procfile", "web: bash bin/run.sh\n");
    for (file, because) in [
        (of_railpack, "deploy.startCommand in railpack.json:1"),
        (of_procfile, "web in the Procfile:1"),
    ] {
        let plan = plan(&[script, file]);
        assert_eq!(fact(&plan, "script"), ("bin/run.sh", because));
        assert_eq!(fact(&plan, "packages").0, "jq");
        assert!(start(&plan).contains("bin/run.sh"), "{}", plan.dockerfile);
    }
    // What is not there is no application.
    assert!(refusal(&[("README.md", ""), of_procfile]).contains("no application was recognized"));
}

#[test]
fn the_users_decisions_win() {
    let named = with_variables(&[("RAILPACK_SHELL_SCRIPT", "bin/run.sh")]);
    assert_eq!(
        cmd(&try_plan(&[("bin/run.sh", "")], &named).unwrap()),
        ["sh", "bin/run.sh"]
    );
    assert!(
        try_plan(&[("x", "")], &named)
            .unwrap_err()
            .to_string()
            .contains("bin/run.sh")
    );
    let out = with_variables(&[("CLICK_DEPLOY_SHELL_SCRIPT", "../x.sh")]);
    assert!(try_plan(&[("start.sh", "")], &out).is_err());
    let settings = Settings {
        start_command: Some("./start.sh --port 8080".into()),
        build_command: Some("make".into()),
        ..settings()
    };
    let plan = try_plan(&[("start.sh", "")], &settings).unwrap();
    assert_eq!(
        (start(&plan).as_str(), plan.port),
        ("exec ./start.sh --port 8080", Some(8080))
    );
    assert!(plan.dockerfile.contains("[\"sh\",\"-c\",\"make\"]"));
    assert!(plan.dockerfile.contains("RUN chown -R 10001:10001 ."));
}

#[test]
fn a_script_beside_a_language_changes_nothing() {
    assert_eq!(plan(&[("start.sh", ""), ("index.html", "")]).provider, "static");
}
