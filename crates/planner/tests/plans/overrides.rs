//! What an application's own files decide.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const PACKAGE: (&str, &str) = ("package.json", r#"{"scripts": {"start": "node a.js"}}"#);
const LOCK: (&str, &str) = ("package-lock.json", r#"{"lockfileVersion": 3, "packages": {}}"#);

#[test]
fn our_own_file_wins_over_what_is_found_and_says_where() {
    let plan = plan(&[
        PACKAGE,
        LOCK,
        ("Procfile", "web: node procfile.js"),
        (
            "click-deploy.toml",
            "start_command = \"node mine.js --port $PORT\"\n\n[versions]\nnode = \"22\"\n",
        ),
    ]);
    assert!(start(&plan).contains("node mine.js"), "{}", plan.dockerfile);
    assert_eq!(fact(&plan, "start command").1, "start_command in click-deploy.toml:1");
    assert_eq!(
        fact(&plan, "node version").1,
        "versions.node in click-deploy.toml:4 asks for 22"
    );
    assert!(
        plan.base_images.iter().all(|image| image.starts_with("node:22")),
        "{:?}",
        plan.base_images
    );
}

#[test]
fn what_the_user_set_for_the_service_wins_over_the_file() {
    let files = [PACKAGE, LOCK, ("click-deploy.toml", "start_command = 'node file.js'\n")];
    let set = Settings {
        start_command: Some("node service.js".to_owned()),
        ..settings()
    };
    assert!(start(&try_plan(&files, &set).unwrap()).contains("node service.js"));
    let variable = with_variables(&[("RAILPACK_START_CMD", "node variable.js")]);
    assert!(start(&try_plan(&files, &variable).unwrap()).contains("node variable.js"));
}

#[test]
fn a_file_that_is_wrong_is_refused_with_the_line() {
    let wrong = |text: &str| refusal(&[PACKAGE, LOCK, ("click-deploy.toml", text)]);
    let unknown = wrong("\nstart_comand = 'x'\n");
    assert!(
        unknown.contains("click-deploy.toml") && unknown.contains("start_comand") && unknown.contains("line 2"),
        "{unknown}"
    );
    assert!(wrong("start_command = ").contains("line 1"));
    let language = wrong("[versions]\ncobol = '1'\n");
    assert!(
        language.contains("versions.cobol") && language.contains("node"),
        "{language}"
    );
    assert!(wrong("provider = 'cobol'\n").contains("provider in click-deploy.toml:1"));
}

#[test]
fn the_common_fields_of_railpack_json_are_honoured_and_the_others_told() {
    let plan = plan(&[
        PACKAGE,
        LOCK,
        (
            "railpack.json",
            r#"{
                "$schema": "https://schema.railpack.com",
                "provider": "node",
                "packages": {"node": "20", "ffmpeg": "7"},
                "caches": {"x": {}},
                "steps": {"build": {"commands": ["npm run one", {"cmd": "npm run two"}]}, "install": {"commands": ["...", "echo"]}},
                "deploy": {"startCommand": "node railpack.js", "aptPackages": ["curl"]}
            }"#,
        ),
    ]);
    assert!(start(&plan).contains("node railpack.js"), "{}", plan.dockerfile);
    assert!(
        plan.dockerfile.contains("npm run one && npm run two"),
        "{}",
        plan.dockerfile
    );
    assert_eq!(
        fact(&plan, "node version").1,
        "packages.node in railpack.json:4 asks for 20"
    );
    let told = plan
        .warnings
        .iter()
        .find(|warning| warning.contains("railpack.json"))
        .unwrap();
    for part in ["packages.ffmpeg", "caches", "steps.install"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("schema"), "{told}");
}

#[test]
fn remarks_and_surplus_commas_in_railpack_json_are_read_over() {
    let text = "{\n// why\n\"deploy\": {\"startCommand\": \"node railpack.js\", /* x */},\n}";
    let plan = plan(&[PACKAGE, LOCK, ("railpack.json", text)]);
    assert!(start(&plan).contains("node railpack.js"), "{}", plan.dockerfile);
    let words = refusal(&[PACKAGE, LOCK, ("railpack.json", "{\n// why\n\"a\": x\n}")]);
    assert!(words.contains("line 3"), "{words}");
}

#[test]
fn our_own_file_wins_over_railpacks() {
    let plan = plan(&[
        PACKAGE,
        LOCK,
        ("click-deploy.toml", "start_command = 'node own.js'\n"),
        ("railpack.json", r#"{"deploy": {"startCommand": "node railpack.js"}}"#),
    ]);
    assert!(start(&plan).contains("node own.js"));
}

#[test]
fn a_railpack_json_that_is_none_is_refused() {
    for text in ["", "[]", "{", "\"x\""] {
        assert!(
            refusal(&[PACKAGE, LOCK, ("railpack.json", text)]).contains("railpack.json"),
            "{text}"
        );
    }
}

#[test]
fn a_program_can_be_chosen_in_the_file() {
    const MAIN: &str = "package main\n\nfunc main() {}\n";
    let plan = plan(&[
        ("go.mod", "module example.com/team/shop\n\ngo 1.22\n"),
        ("cmd/one/main.go", MAIN),
        ("cmd/two/main.go", MAIN),
        ("click-deploy.toml", "[packages]\ngo = './cmd/two'\n"),
    ]);
    assert_eq!(cmd(&plan), ["/app/bin/two"]);
}

#[test]
fn the_only_process_of_a_procfile_is_started_and_of_several_the_web_one() {
    let only = plan(&[PACKAGE, LOCK, ("Procfile", "worker: node work.js\n")]);
    assert!(start(&only).contains("node work.js"), "{}", only.dockerfile);
    assert_eq!(fact(&only, "start command").1, "worker in the Procfile:1");
    assert!(
        only.warnings.iter().any(|warning| warning.contains("has no `web`")),
        "{:?}",
        only.warnings
    );
    let several = plan(&[PACKAGE, LOCK, ("Procfile", "worker: node work.js\nweb: node web.js\n")]);
    assert!(start(&several).contains("node web.js"));
    assert!(
        several.warnings.iter().any(|warning| warning.contains("(worker)")),
        "{:?}",
        several.warnings
    );
    let unclear = plan(&[
        PACKAGE,
        LOCK,
        ("Procfile", "worker: node work.js\nclock: node clock.js\n"),
    ]);
    assert!(start(&unclear).contains("a.js"), "{}", unclear.dockerfile);
}

#[test]
fn what_runs_before_each_release_comes_from_the_user_the_applications_own_file_or_the_procfile() {
    let procfile = ("Procfile", "release: ./migrate\nweb: ./server\nrelease: ./other\n");
    let plan = try_plan(
        &[
            procfile,
            ("go.mod", "module a\n"),
            ("main.go", "package main\nfunc main() {}\n"),
        ],
        &settings(),
    )
    .unwrap();
    assert_eq!(plan.release_command.as_deref(), Some("./migrate"));
    assert_eq!(
        fact(&plan, "release command"),
        ("./migrate", "release in the Procfile:1")
    );
    assert!(
        !plan.warnings.iter().any(|warning| warning.contains("release")),
        "{:?}",
        plan.warnings
    );
    // It is run by a shell, which an image of the program alone does not have.
    assert!(plan.dockerfile.contains("FROM debian:"), "{}", plan.dockerfile);

    let own = ("click-deploy.toml", "\nrelease_command = \"./of-the-file\"\n");
    let plan = try_plan(&[procfile, own, ("index.html", "")], &settings()).unwrap();
    assert_eq!(plan.release_command.as_deref(), Some("./of-the-file"));
    assert_eq!(
        fact(&plan, "release command").1,
        "release_command in click-deploy.toml:2"
    );

    let chosen = Settings {
        release_command: Some("./of-the-user".to_owned()),
        ..with_variables(&[("CLICK_DEPLOY_RELEASE_COMMAND", "./of-a-variable")])
    };
    let plan = try_plan(&[procfile, own, ("index.html", "")], &chosen).unwrap();
    assert_eq!(plan.release_command.as_deref(), Some("./of-the-user"));
    let chosen = with_variables(&[("CLICK_DEPLOY_RELEASE_COMMAND", "./of-a-variable")]);
    let plan = try_plan(&[procfile, own, ("index.html", "")], &chosen).unwrap();
    assert_eq!(plan.release_command.as_deref(), Some("./of-a-variable"));

    let words = try_plan(&[("Procfile", "release: a\u{0}b\n"), ("index.html", "")], &settings()).unwrap_err();
    assert!(words.to_string().contains("release in the Procfile"), "{words}");
}

#[test]
fn a_closed_network_gets_what_can_be_made_there_and_is_told() {
    let closed = Settings {
        closed_network: true,
        ..settings()
    };
    let python: &[(&str, &str)] = &[("main.py", ""), (".python-version", "3.12")];
    let php: &[(&str, &str)] = &[("index.php", ""), (".php-version", "8.2")];
    let java: &[(&str, &str)] = &[
        ("pom.xml", "<project/>"),
        (
            "src/main/java/Main.java",
            "public class Main { public static void main(String[] words) {} }",
        ),
        (".java-version", "11"),
    ];
    for (files, wished, given) in [
        (python, "python:3.12-slim", "python:3.13-slim"),
        (php, "php:8.2-apache", "php:8.4-apache"),
        (java, "eclipse-temurin:11-jre", "eclipse-temurin:17-jre"),
    ] {
        let open = try_plan(files, &settings()).unwrap();
        assert!(open.base_images.contains(&wished.to_owned()), "{:?}", open.base_images);
        let plan = try_plan(files, &closed).unwrap();
        assert!(plan.base_images.contains(&given.to_owned()), "{:?}", plan.base_images);
        assert!(plan.warnings.len() > open.warnings.len(), "{:?}", plan.warnings);
    }
}

#[test]
fn packages_of_the_system_are_installed_where_they_are_asked_for() {
    let files = [
        PACKAGE,
        LOCK,
        ("index.js", ""),
        (
            "click-deploy.toml",
            "apt_packages = [\"ffmpeg\", \"curl=8.14.1-2\"]\nbuild_apt_packages = [\"libvips-dev\"]\n",
        ),
    ];
    // One stage: both.
    let plan = try_plan(&files, &settings()).unwrap();
    assert_eq!(plan.dockerfile.matches("FROM ").count(), 1, "{}", plan.dockerfile);
    let installs = |text: &str| text.matches("apt-get install").count();
    assert!(
        plan.dockerfile.contains(" libvips-dev ffmpeg curl=8.14.1-2 &&"),
        "{}",
        plan.dockerfile
    );
    assert_eq!(
        fact(&plan, "packages of the image"),
        ("ffmpeg curl=8.14.1-2", "apt_packages in click-deploy.toml:1")
    );
    // A program alone gets a system to install them into; its toolchain gets those of the build.
    let go = [("go.mod", "module a\n"), ("main.go", "package main\nfunc main() {}\n")];
    let chosen = with_variables(&[
        ("RAILPACK_BUILD_APT_PACKAGES", "dnsutils"),
        ("CLICK_DEPLOY_APT_PACKAGES", "curl, jq"),
    ]);
    let text = try_plan(&go, &chosen).unwrap().dockerfile;
    let (build, run) = text.split_once("FROM debian:").unwrap();
    assert!(
        build.contains(" dnsutils &&") && !build.contains("curl") && installs(build) == 1,
        "{text}"
    );
    assert!(
        run.contains(" curl jq &&") && !run.contains("dnsutils") && installs(run) == 1,
        "{text}"
    );
    // The web server's image is not Debian's.
    let site = try_plan(&[("index.html", "")], &chosen).unwrap();
    assert!(
        installs(&site.dockerfile) == 0 && site.warnings.iter().any(|warning| warning.contains("packages")),
        "{site:?}"
    );
    // Railpack's file.
    let json = (
        "railpack.json",
        r#"{"buildAptPackages": ["make"], "deploy": {"aptPackages": ["...", "lsb-release"]}}"#,
    );
    let plan = try_plan(&[PACKAGE, LOCK, ("index.js", ""), json], &settings()).unwrap();
    assert!(
        plan.dockerfile.contains(" make lsb-release &&") && plan.warnings.is_empty(),
        "{plan:?}"
    );

    for bad in ["a b;c", "$(x)", "-y", "--option", "Curl", "curl=;x", "x\u{0}y"] {
        let chosen = with_variables(&[("CLICK_DEPLOY_APT_PACKAGES", bad)]);
        let words = try_plan(&[("index.html", "")], &chosen).unwrap_err().to_string();
        assert!(words.contains("no name of a Debian package"), "{bad}: {words}");
    }
}

#[test]
fn variables_of_railpack_choose_versions_its_file_and_its_caches_and_unknown_ones_are_told() {
    let files = [
        PACKAGE,
        LOCK,
        ("index.js", ""),
        ("deploy/railpack.json", r#"{"deploy": {"startCommand": "node b.js"}}"#),
    ];
    let chosen = with_variables(&[
        ("RAILPACK_PACKAGES", "node@22 jq@latest"),
        ("RAILPACK_CONFIG_FILE", "deploy/railpack.json"),
        ("RAILPACK_DISABLE_CACHES", "*"),
        ("RAILPACK_NO_SPA", "1"),
        ("CLICK_DEPLOY_STRAT_COMMAND", "node c.js"),
    ]);
    let plan = try_plan(&files, &chosen).unwrap();
    assert_eq!(
        fact(&plan, "node version"),
        ("22", "the variable RAILPACK_PACKAGES asks for 22")
    );
    assert_eq!(
        fact(&plan, "start command"),
        ("node b.js", "deploy.startCommand in deploy/railpack.json:1")
    );
    assert!(!plan.dockerfile.contains("type=cache"), "{}", plan.dockerfile);
    let told = plan.warnings.join("\n");
    assert!(
        told.contains("RAILPACK_PACKAGES this is not used here: jq@latest"),
        "{told}"
    );
    assert!(
        told.contains("does not know these variables: CLICK_DEPLOY_STRAT_COMMAND, RAILPACK_NO_SPA"),
        "{told}"
    );

    for (path, words) in [
        ("../railpack.json", "RAILPACK_CONFIG_FILE"),
        ("other.json", "there is no file other.json"),
    ] {
        let chosen = with_variables(&[("RAILPACK_CONFIG_FILE", path)]);
        let refused = try_plan(&files, &chosen).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}
