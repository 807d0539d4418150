//! What a start command says about the language.

use crate::common::{app, fact, plan, plan_at, refusal, settings, start, try_plan};
use planner::Settings;

#[test]
fn a_procfile_says_in_which_language_an_application_without_lists_is_written() {
    let python = plan(&[
        ("web.py", ""),
        ("Procfile", "worker: ./x\nweb: python3 -u web.py # the site\n"),
    ]);
    assert_eq!(python.provider, "python");
    assert_eq!(
        fact(&python, "language"),
        ("python", "`python3` is called by web in the Procfile:2")
    );
    assert_eq!(start(&python), "exec python3 -u web.py");

    let node = plan(&[("x/y.js", ""), ("Procfile", "web: cd x && FOO=1 node y.js")]);
    assert_eq!(node.provider, "node");
    assert_eq!(plan(&[("w.rb", ""), ("Procfile", "web: ruby w.rb")]).provider, "ruby");
    let php = plan(&[("w.php", ""), ("Procfile", "web: php -S 0.0.0.0:$PORT w.php")]);
    assert_eq!(php.provider, "php");
}

#[test]
fn a_server_of_python_that_the_start_command_calls_is_installed() {
    let plan = plan(&[("shop.py", ""), ("Procfile", "web: gunicorn shop:app")]);
    assert_eq!(plan.provider, "python");
    assert!(plan.dockerfile.contains("pip install gunicorn"), "{}", plan.dockerfile);
}

#[test]
fn the_users_start_command_decides_too_and_before_the_pages_beside_it() {
    let settings = Settings {
        start_command: Some("python3 web.py".into()),
        ..settings()
    };
    let files = [("web.py", ""), ("index.html", "")];
    let planned = try_plan(&files, &settings).unwrap();
    assert_eq!(planned.provider, "python");
    assert_eq!(
        fact(&planned, "language").1,
        "`python3` is called by the start command in the service's settings"
    );
    // Who has a Staticfile wants a site.
    let site = plan(&[
        ("Staticfile", ""),
        ("index.html", ""),
        ("Procfile", "web: python3 -m http.server"),
    ]);
    assert_eq!(site.provider, "static");
}

#[test]
fn of_several_languages_the_one_that_is_started_is_planned() {
    let gemfile = ("Gemfile", "source 'https://rubygems.org'\n");
    let requirements = ("requirements.txt", "flask\ngunicorn\n");
    let planned = plan(&[gemfile, requirements, ("Procfile", "web: gunicorn app:app\n")]);
    assert_eq!(planned.provider, "python");
    let planned = plan(&[
        gemfile,
        requirements,
        ("Procfile", "web: ruby app.rb\n"),
        ("app.rb", ""),
    ]);
    assert_eq!(planned.provider, "ruby");
    // A language without a list of its own is not the application's.
    let planned = plan(&[requirements, ("Procfile", "web: node app.js\n"), ("app.js", "")]);
    assert_eq!(planned.provider, "python");
}

#[test]
fn a_program_of_the_applications_own_runs_on_debian() {
    let folder = app(&[("Procfile", "web: bin/app --port $PORT\n")]);
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(folder.path().join("bin/app"), b"\x7fELF\x02\x01\xff\xfe").unwrap();
    let planned = plan_at(folder.path()).unwrap();
    assert_eq!(
        (planned.provider.as_str(), start(&planned).as_str()),
        ("shell", "exec bin/app --port $PORT")
    );
    assert_eq!(fact(&planned, "program"), ("bin/app", "web in the Procfile:1"));
    // A word without a slash is looked for on the path, and not here.
    assert!(refusal(&[("app", "#!/bin/sh\n"), ("Procfile", "web: app\n")]).contains("no application"));
}

#[test]
fn the_first_line_of_a_program_says_its_language() {
    let planned = plan(&[("serve", "#!/usr/bin/env python3\n"), ("Procfile", "web: ./serve\n")]);
    assert_eq!(planned.provider, "python");
    assert_eq!(
        fact(&planned, "language").1,
        "the first line of serve, which web in the Procfile:1 runs"
    );
    let planned = plan(&[("serve", "#!/bin/bash\ncurl x\n"), ("Procfile", "web: ./serve\n")]);
    assert_eq!(planned.provider, "shell");
    assert_eq!(fact(&planned, "shell").0, "bash");
}
