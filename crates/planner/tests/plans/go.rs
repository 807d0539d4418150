//! Go applications.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const MODULE: (&str, &str) = ("go.mod", "module example.com/team/shop\n\ngo 1.22\n");
const MAIN: &str = "package main\n\nfunc main() {}\n";

#[test]
fn a_program_at_the_root_is_built_without_c_into_an_empty_image() {
    let plan = plan(&[
        MODULE,
        ("main.go", MAIN),
        ("main_test.go", "package main"),
        ("README.md", ""),
    ]);
    assert_eq!((plan.provider.as_str(), plan.port), ("go", None));
    assert_eq!(plan.base_images, ["golang:1.26"]);
    assert_eq!(cmd(&plan), ["/app/bin/shop"]);
    let text = &plan.dockerfile;
    assert!(text.contains("CGO_ENABLED=0 GOTOOLCHAIN=local"), "{text}");
    assert!(
        text.contains("id=k1-go-modules,target=/go/pkg/mod")
            && text.contains("id=k1-go-build,target=/root/.cache/go-build")
    );
    assert!(text.contains("FROM scratch") && text.contains("/etc/ssl/certs/ca-certificates.crt"));
    assert!(!text.contains("cp -P"), "there is nothing beside the source");
}

#[test]
fn files_beside_the_source_are_in_the_image() {
    let plan = plan(&[
        MODULE,
        ("main.go", MAIN),
        ("templates/index.html", ""),
        ("vendor/modules.txt", ""),
    ]);
    assert!(plan.dockerfile.contains("! -name '*.go'"), "{}", plan.dockerfile);
    assert_eq!(fact(&plan, "dependencies").0, "vendor");
}

#[test]
fn the_only_program_in_cmd_is_built() {
    let plan = plan(&[
        MODULE,
        ("cmd/api/main.go", MAIN),
        ("internal/x.go", "package internal"),
        ("tools/gen.go", "//go:build ignore\n\npackage main\n\nfunc main() {}\n"),
    ]);
    assert!(
        plan.dockerfile.contains("-o /out/app/bin/api ./cmd/api"),
        "{}",
        plan.dockerfile
    );
    assert_eq!(fact(&plan, "go package"), ("./cmd/api", "the only package main"));
}

#[test]
fn of_several_programs_the_one_that_serves_is_built_or_the_user_is_asked() {
    let several = plan(&[MODULE, ("cmd/migrate/main.go", MAIN), ("cmd/server/main.go", MAIN)]);
    assert_eq!(several.start_command.as_deref(), Some("/app/bin/server"));
    assert!(several.warnings.iter().any(|warning| warning.contains("./cmd/migrate")));
    let named = plan(&[MODULE, ("cmd/server/main.go", MAIN), ("cmd/shop/main.go", MAIN)]);
    assert_eq!(named.start_command.as_deref(), Some("/app/bin/shop"));
    let unclear = [MODULE, ("cmd/one/main.go", MAIN), ("cmd/two/main.go", MAIN)];
    let words = refusal(&unclear);
    assert!(
        words.contains("./cmd/one, ./cmd/two") && words.contains("GO_BIN") && words.contains("build"),
        "{words}"
    );
    for value in ["cmd/two", "./cmd/two", "two"] {
        let chosen = try_plan(&unclear, &with_variables(&[("GO_BIN", value)])).unwrap();
        assert_eq!(chosen.start_command.as_deref(), Some("/app/bin/two"));
    }
    let missing = try_plan(&unclear, &with_variables(&[("CLICK_DEPLOY_GO_PACKAGE", "three")]))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("CLICK_DEPLOY_GO_PACKAGE") && missing.contains("./cmd/one"),
        "{missing}"
    );
}

#[test]
fn a_newer_go_than_there_is_is_refused() {
    let words = refusal(&[("go.mod", "module x\ngo 1.99\n"), ("main.go", MAIN)]);
    assert!(
        words.contains("1.99") && words.contains("1.26") && words.contains("go.mod"),
        "{words}"
    );
}

#[test]
fn c_is_on_where_a_module_needs_it_and_the_image_has_its_library() {
    let sqlite = (
        "go.mod",
        "module x\ngo 1.22\nrequire github.com/mattn/go-sqlite3 v1.14.22\n",
    );
    let needs = plan(&[sqlite, ("main.go", MAIN)]);
    assert!(needs.dockerfile.contains("CGO_ENABLED=1"));
    assert_eq!(needs.base_images, ["golang:1.26", "debian:trixie-slim"]);
    let imports = plan(&[MODULE, ("main.go", "package main\n\nimport \"C\"\n\nfunc main() {}\n")]);
    assert!(imports.dockerfile.contains("CGO_ENABLED=1"));
    let off = try_plan(&[sqlite, ("main.go", MAIN)], &with_variables(&[("CGO_ENABLED", "0")])).unwrap();
    assert!(off.dockerfile.contains("CGO_ENABLED=0"));
}

#[test]
fn a_start_command_gets_a_shell_and_finds_the_program_where_it_looks() {
    let plan = plan(&[MODULE, ("main.go", MAIN), ("Procfile", "web: ./server --port $PORT\n")]);
    assert_eq!(plan.base_images, ["golang:1.26", "debian:trixie-slim"]);
    assert!(plan.dockerfile.contains("-o /out/app/server ."), "{}", plan.dockerfile);
    assert_eq!(start(&plan), "exec ./server --port $PORT");
}

#[test]
fn a_build_command_of_the_user_says_what_is_started() {
    let settings = |build: &str| Settings {
        build_command: Some(build.into()),
        ..settings()
    };
    let named = try_plan(&[MODULE, ("main.go", MAIN)], &settings("go build -o out ./...")).unwrap();
    assert_eq!(start(&named), "exec ./out");
    let unnamed = try_plan(&[MODULE, ("main.go", MAIN)], &settings("make"))
        .unwrap_err()
        .to_string();
    assert!(unnamed.contains("start command"), "{unnamed}");
}

#[test]
fn the_port_is_read_where_the_program_ignores_the_variable() {
    let port = |text: &str| plan(&[MODULE, ("main.go", text)]).port;
    assert_eq!(
        port("package main\n\nfunc main() { http.ListenAndServe(\":8080\", nil) }\nfunc main () {}\n"),
        Some(8080)
    );
    assert_eq!(
        port("package main\n\nfunc main() {\n\tos.Getenv(\"PORT\")\n\thttp.ListenAndServe(\":8080\", nil) }\n"),
        None
    );
}

#[test]
fn no_program_is_refused_with_what_was_looked_for() {
    let words = refusal(&[MODULE, ("lib.go", "package shop")]);
    assert!(
        words.contains("package main") && words.contains("CLICK_DEPLOY_GO_PACKAGE"),
        "{words}"
    );
}
