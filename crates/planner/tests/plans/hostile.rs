//! Files and settings made to do harm: a plan or a refusal, never a panic, and never an instruction of theirs.

use std::{fs, os::unix::fs::symlink, time::Duration};

use crate::{
    common::{app, plan_at, settings, start, try_plan, with_variables},
    promises::on_processor,
};
use planner::{Refusal, Settings};

const EVIL: &[&str] = &[
    "x\nRUN touch /evil",
    "x\\\nRUN touch /evil",
    "\"]\nRUN touch /evil\n[\"",
    "x\r\nUSER evil",
    "a\"b'c`d$(touch /evil)${PATH}",
    "cat <<EOF\nRUN evil\nEOF",
    "cat <<<EOF <<<<EOF",
    "# syntax=evil/image",
    "x\u{2028}RUN evil",
    "\\",
    "x \\",
    "%s%n",
    "--flag",
    "]",
];

#[test]
fn commands_come_back_exactly_as_they_were_given() {
    for evil in EVIL {
        let settings = Settings {
            start_command: Some((*evil).to_owned()),
            build_command: Some((*evil).to_owned()),
            install_command: Some((*evil).to_owned()),
            ..settings()
        };
        for files in [
            vec![("package.json", "{}")],
            vec![("main.py", "")],
            vec![("go.mod", "module x"), ("main.go", "package main\nfunc main() {}")],
            vec![
                ("Cargo.toml", "[package]\nname = \"x\""),
                ("src/main.rs", "fn main() {}"),
            ],
            vec![("pom.xml", "<project/>")],
            vec![("build.gradle", "apply plugin: 'application'")],
            vec![("start.sh", "")],
        ] {
            let plan = try_plan(&files, &settings).unwrap();
            let expected = evil.replace("\r\n", "\n");
            let started = start(&plan);
            let plain = started.replacen("exec ", "", 1).replacen("env ", "", 1);
            assert!(
                started == expected.trim() || plain == expected.trim().replacen("exec ", "", 1),
                "{started:?} of {expected:?}"
            );
            assert!(
                !plan
                    .dockerfile
                    .lines()
                    .any(|line| line.starts_with("USER evil") || line.contains("syntax=evil") && !line.contains('"'))
            );
        }
    }
}

#[test]
fn text_of_files_never_becomes_an_instruction() {
    for evil in EVIL {
        let json = serde_json::json!({
            "name": evil, "main": evil, "packageManager": evil, "engines": { "node": evil },
            "scripts": { "start": evil, "build": evil, (*evil): evil }, "dependencies": { (*evil): evil, "next": evil },
        });
        let _ = try_plan(
            &[
                ("package.json", &json.to_string()),
                ("Procfile", &format!("web: {evil}")),
            ],
            &settings(),
        );
        let _ = try_plan(
            &[
                ("package.json", &json.to_string()),
                ("next.config.js", evil),
                (".nvmrc", evil),
            ],
            &settings(),
        );
        let project = format!(
            "[project]\nname={0}\nrequires-python={0}\ndependencies=[{0}]\n",
            serde_json::json!(evil)
        );
        let _ = try_plan(&[("pyproject.toml", &project), ("main.py", evil)], &settings());
        let _ = try_plan(
            &[
                ("requirements.txt", evil),
                ("app.py", &format!("{evil} = Flask(")),
                ("runtime.txt", evil),
            ],
            &settings(),
        );
        let _ = try_plan(
            &[("manage.py", &format!("DJANGO_SETTINGS_MODULE', '{evil}'"))],
            &settings(),
        );
        let _ = try_plan(
            &[
                ("go.mod", &format!("module {evil}\ngo {evil}")),
                ("main.go", "package main\nfunc main() {}"),
            ],
            &settings(),
        );
        let composer = serde_json::json!({
            "require": { "php": evil, (format!("ext-{evil}")): "*", (*evil): evil }, "config": { "platform": { "php": evil } },
            "repositories": [{ "type": "path", "url": evil }], "scripts": { (*evil): evil },
        });
        let _ = try_plan(
            &[
                ("composer.json", &composer.to_string()),
                ("composer.lock", &composer.to_string()),
                ("index.php", evil),
                (".php-version", evil),
                ("package.json", &json.to_string()),
            ],
            &settings(),
        );
        let gemfile = format!("ruby '{evil}'\ngem '{evil}', path: '{evil}'\nruby file: '{evil}'\n");
        let lock = format!(
            "GEM\n  specs:\n    {evil} (1)\nPLATFORMS\n  {evil}\nRUBY VERSION\n   ruby {evil}\nBUNDLED WITH\n   {evil}\n"
        );
        let _ = try_plan(
            &[
                ("Gemfile", &gemfile),
                ("Gemfile.lock", &lock),
                ("app.rb", evil),
                (".ruby-version", evil),
                (".tool-versions", &format!("ruby {evil}")),
                ("mise.toml", &format!("[tools]\nruby = {}\n", serde_json::json!(evil))),
            ],
            &settings(),
        );
        let mix = format!("[app: :x, elixir: \"{evil}\", releases: [{evil}: []], deps: [{{:{evil}, \"1\"}}]]");
        let _ = try_plan(
            &[
                ("mix.exs", &mix),
                ("mix.lock", &format!("\"{evil}\": x")),
                (".tool-versions", &format!("elixir {evil}\nerlang {evil}")),
            ],
            &settings(),
        );
        let project = format!(
            "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><PropertyGroup><TargetFramework>{0}</TargetFramework><AssemblyName>{0}\
             </AssemblyName></PropertyGroup></Project>",
            evil.replace('&', "&amp;").replace('<', "&lt;")
        );
        let _ = try_plan(
            &[("a.csproj", &project), ("global.json", &json.to_string())],
            &settings(),
        );
        let _ = try_plan(&[("Staticfile", &format!("root: {evil}"))], &settings());
        let _ = try_plan(&[("index.html", ""), (".dockerignore", evil)], &settings());
        let _ = try_plan(
            &[("index.html", "")],
            &with_variables(&[(evil, evil), ("CLICK_DEPLOY_OUTPUT_DIRECTORY", evil)]),
        );
    }
}

#[test]
fn names_of_files_and_folders_never_become_instructions() {
    for evil in ["a\nRUN evil", "a b", "$(x)", "-rf", "a'b", "a\"b", "*", "é"] {
        let go = format!("cmd/{evil}/main.go");
        let package = format!("{evil}/app.py");
        let _ = try_plan(
            &[("go.mod", "module x"), (&go, "package main\nfunc main() {}")],
            &settings(),
        );
        let _ = try_plan(
            &[("requirements.txt", "flask"), (&package, "app = Flask(__name__)")],
            &settings(),
        );
        let _ = try_plan(
            &[(&format!("{evil}/x"), ""), (&format!("{evil}.csproj"), "")],
            &settings(),
        );
    }
}

#[test]
fn a_link_out_of_the_directory_is_not_followed() {
    for name in [
        "package.json",
        "requirements.txt",
        "go.mod",
        "Procfile",
        ".dockerignore",
        "pyproject.toml",
        "Cargo.toml",
        "pom.xml",
        "deno.json",
    ] {
        let folder = app(&[("index.js", "")]);
        symlink("/etc/passwd", folder.path().join(name)).unwrap();
        let refusal = plan_at(folder.path()).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::Unreadable { path, .. } if path == name),
            "{refusal}"
        );
        assert!(!refusal.to_string().contains("root:"));
    }
    let folder = app(&[]);
    symlink("/etc/passwd", folder.path().join("Staticfile")).unwrap();
    assert!(plan_at(folder.path()).is_err());
    let folder = app(&[]);
    symlink("/etc", folder.path().join("public")).unwrap();
    symlink("/", folder.path().join("cmd")).unwrap();
    assert!(plan_at(folder.path()).is_err());
    // A link inside is an ordinary file.
    let folder = app(&[("real.json", r#"{"main":"a.js"}"#), ("a.js", "")]);
    symlink("real.json", folder.path().join("package.json")).unwrap();
    assert_eq!(plan_at(folder.path()).unwrap().provider, "node");
}

#[test]
fn what_lies_behind_a_linked_folder_changes_nothing() {
    let outside = app(&[("pom.xml", "<project/>"), ("requirements.txt", "flask")]);
    let folder = app(&[
        ("settings.gradle", "include 'web'"),
        ("web.txt", ""),
        ("build.gradle", ""),
    ]);
    let answer = |at: &std::path::Path| {
        let _ = fs::remove_file(folder.path().join("cmd"));
        symlink(at, folder.path().join("cmd")).unwrap();
        let settings = Settings {
            start_command: Some("./cmd/requirements.txt".to_owned()),
            build_command: Some("make".to_owned()),
            ..settings()
        };
        planner::plan(folder.path(), &settings)
    };
    assert_eq!(answer(outside.path()), answer(std::path::Path::new("/nonexistent")));
}

#[test]
fn many_links_to_one_large_file_end_in_time() {
    let began = on_processor();
    for (end, line, files) in [
        ("go", "x := \"80\n", vec![("go.mod", "module x")]),
        ("java", "class A { x }\n", vec![("pom.xml", "<project/>")]),
        ("php", "x", vec![("index.php", "")]),
        ("py", "x", vec![("requirements.txt", "flask")]),
    ] {
        let folder = app(&files);
        fs::write(folder.path().join("large"), line.repeat(256 * 1024 / line.len())).unwrap();
        for inner in 0..20 {
            let inner = folder.path().join(format!("src/main/java/d{inner}"));
            fs::create_dir_all(&inner).unwrap();
            (0..150).for_each(|file| {
                symlink(folder.path().join("large"), inner.join(format!("f{file}.{end}"))).unwrap();
            });
        }
        let _ = plan_at(folder.path());
    }
    let took = on_processor() - began;
    assert!(took.as_secs() < 20, "{took:?}");
}

#[test]
fn what_is_no_file_is_refused_in_words() {
    let folder = app(&[("package.json/x", "")]);
    assert!(
        plan_at(folder.path())
            .unwrap_err()
            .to_string()
            .contains("a file is expected")
    );
    let folder = app(&[]);
    fs::write(folder.path().join("package.json"), [0x7B, 0xFF, 0xFE, 0x7D]).unwrap();
    assert!(plan_at(folder.path()).unwrap_err().to_string().contains("UTF-8"));
    fs::write(folder.path().join("package.json"), vec![b' '; 2 * 1024 * 1024]).unwrap();
    assert!(plan_at(folder.path()).unwrap_err().to_string().contains("bytes"));
    assert!(planner::plan(std::path::Path::new("/nonexistent/x"), &settings()).is_err());
    assert!(planner::plan(&folder.path().join("package.json"), &settings()).is_err());
}

/// What this thread has used of a processor so far, whatever else the machine does: the first number of schedstat, in ns
/// (Documentation/scheduler/sched-stats.rst of Linux).
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let first = text.split_whitespace().next().expect("it has three numbers");
    Duration::from_nanos(first.parse().expect("a number"))
}

/// Eight times the data takes no more than three times eight times as long: quadratic would be 64 times.
fn grows_with_its_input(what: &str, size: usize, mut plan_it: impl FnMut(usize)) {
    let mut fastest = |size: usize| {
        let times = (0..3).map(|_| {
            let began = processor_time();
            plan_it(size);
            processor_time().saturating_sub(began)
        });
        times.min().expect("there are three")
    };
    // Below a few milliseconds it is the files and the clock that are measured.
    let (small, large) = (fastest(size).max(Duration::from_millis(5)), fastest(size * 8));
    assert!(
        large < small * 24,
        "{what}: {small:?} for {size}, {large:?} for eight times as much"
    );
}

#[test]
fn the_time_for_deep_and_large_structures_grows_no_faster_than_they_do() {
    grows_with_its_input("arrays in package.json", 50_000, |size| {
        let deep = format!("{}{}", "[".repeat(size), "]".repeat(size));
        let planned = try_plan(&[("package.json", &deep)], &settings());
        assert!(matches!(planned, Err(Refusal::Malformed { .. })));
    });
    grows_with_its_input("objects in package.json", 6_000, |size| {
        let deep = format!("{}1{}", r#"{"scripts":"#.repeat(size), "}".repeat(size));
        assert!(try_plan(&[("package.json", &deep)], &settings()).is_err());
    });
    grows_with_its_input("arrays in pyproject.toml", 25_000, |size| {
        let deep = format!("a={}{}", "[".repeat(size), "]".repeat(size));
        assert!(try_plan(&[("pyproject.toml", &deep)], &settings()).is_err());
    });
    grows_with_its_input("a dotted key", 25_000, |size| {
        let dotted = format!("{}x=1", "a.".repeat(size));
        let _ = try_plan(&[("pyproject.toml", &dotted), ("main.py", "")], &settings());
    });
    grows_with_its_input("dependencies", 5_000, |size| {
        let wide: String = (0..size).map(|index| format!("\"d{index}\":\"1\",")).collect();
        let wide = format!(r#"{{"main":"a.js","dependencies":{{{wide}"z":"1"}}}}"#);
        assert!(try_plan(&[("package.json", &wide), ("a.js", "")], &settings()).is_ok());
    });
    grows_with_its_input("patterns", 2_500, |size| {
        let patterns = "*a*a*a*a*a*a*a*a*b\n".repeat(size);
        assert!(try_plan(&[("index.html", ""), (".dockerignore", &patterns)], &settings()).is_ok());
    });
    grows_with_its_input("processes", 6_000, |size| {
        let procfile = "worker: x\n".repeat(size);
        assert!(try_plan(&[("index.html", ""), ("Procfile", &procfile)], &settings()).is_ok());
    });
    grows_with_its_input("ranges", 12_000, |size| {
        let ranges = ">=1 ".repeat(size);
        assert!(try_plan(&[("index.js", ""), (".nvmrc", &ranges)], &settings()).is_ok());
    });
    for before in ["", "xmlns:"] {
        grows_with_its_input("attributes", 5_000, |size| {
            let attributes: String = (0..size)
                .map(|index| format!("{before}a{index}=\"b{index}\" "))
                .collect();
            let project = format!("<Project {attributes}/>");
            let planned = try_plan(&[("Shop.csproj", &project)], &settings());
            assert!(matches!(planned, Err(Refusal::Malformed { .. })));
        });
    }
}

#[test]
fn a_deep_folder_and_a_folder_that_contains_itself_end_in_time() {
    let folder = app(&[
        ("go.mod", "module x"),
        (&format!("{}main.go", "d/".repeat(200)), "package main\nfunc main() {}"),
    ]);
    symlink(".", folder.path().join("again")).unwrap();
    symlink("..", folder.path().join("up")).unwrap();
    assert!(plan_at(folder.path()).is_err());
    let folder = app(&[("go.mod", "module x"), ("a/b/main.go", "package main\nfunc main() {}")]);
    symlink("..", folder.path().join("a/loop")).unwrap();
    assert!(plan_at(folder.path()).is_ok());
}

#[test]
fn settings_that_could_break_out_are_refused() {
    let files = [("package.json", r#"{"scripts":{"build":"x"}}"#)];
    for key in ["a,target=/etc", "a b", "a\nRUN x", "$(x)", &"k".repeat(200)] {
        let settings = Settings {
            cache_key: key.to_owned(),
            ..Settings::default()
        };
        assert!(
            matches!(try_plan(&files, &settings), Err(Refusal::Setting { .. })),
            "{key}"
        );
    }
    for folder in ["..", "/etc", "a/../../b", "$HOME", "a b", "--from=x", "*"] {
        let settings = Settings {
            output_directory: Some(folder.to_owned()),
            ..settings()
        };
        assert!(
            matches!(try_plan(&files, &settings), Err(Refusal::Setting { .. })),
            "{folder}"
        );
    }
    let many: Vec<String> = (0..2_000)
        .map(|index| format!("A_LONG_NAME_OF_A_VARIABLE_{index}"))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert!(matches!(
        try_plan(&files, &with_variables(&many)),
        Err(Refusal::Setting { .. })
    ));
}

#[test]
fn without_a_cache_key_nothing_is_shared() {
    let plan = try_plan(
        &[("requirements.txt", "flask"), ("app.py", "app = Flask(__name__)")],
        &Settings::default(),
    )
    .unwrap();
    assert!(!plan.dockerfile.contains("--mount=type=cache"), "{}", plan.dockerfile);
    assert!(plan.dockerfile.contains("--no-cache-dir"));
}

#[test]
fn plans_and_settings_survive_serialization() {
    let plan = try_plan(&[("index.html", "")], &settings()).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<planner::Plan>(&text).unwrap(), plan);
    let settings: Settings = serde_json::from_str("{}").unwrap();
    assert_eq!(settings, Settings::default());
}
