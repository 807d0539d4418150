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
    let of_two = plan(&[
        MODULE,
        ("greeter_client/main.go", MAIN),
        ("greeter_server/main.go", MAIN),
    ]);
    assert_eq!(of_two.start_command.as_deref(), Some("/app/bin/greeter_server"));
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

#[test]
fn a_program_of_the_standard_library_needs_no_module() {
    let main =
        "package main\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n)\n\nfunc main() { fmt.Println(http.MethodGet) }\n";
    let alone = plan(&[("main.go", main)]);
    assert_eq!(
        (alone.provider.as_str(), cmd(&alone)),
        ("go", vec!["/app/bin/app".to_owned()])
    );
    assert!(
        alone.dockerfile.contains("RUN go mod init app\nCOPY . .\n"),
        "{}",
        alone.dockerfile
    );
    assert_eq!(fact(&alone, "go.mod"), ("made in the build", "there is none"));
    // The name is not `main.go`: what is surely another language's comes first.
    assert_eq!(plan(&[("site.go", main)]).provider, "go");
    assert_eq!(
        plan(&[("site.go", main), ("package.json", "{}"), ("index.js", "")]).provider,
        "node"
    );
    let named = plan(&[("web.go", main), (".godir", "shop\n"), ("Procfile", "web: shop -v\n")]);
    assert!(named.dockerfile.contains("go mod init shop\n") && named.dockerfile.contains("-o /out/app/bin/shop ."));
    let called = plan(&[("main.go", main), ("Procfile", "web: web-online\n")]);
    assert!(
        called.dockerfile.contains("-o /out/app/bin/web-online ."),
        "{}",
        called.dockerfile
    );
}

#[test]
fn packages_beside_a_program_without_a_module_are_its_own() {
    let main = (
        "main.go",
        "package main\n\nimport \"example.com/shop/text\"\n\nfunc main() { text.Do() }\n",
    );
    let text = "package text\n\nimport \"strings\"\n\nfunc Do() { strings.ToUpper(\"\") }\n";
    let own = plan(&[main, ("text/text.go", text)]);
    assert!(
        own.dockerfile.contains("go mod init example.com/shop\n"),
        "{}",
        own.dockerfile
    );
    assert_eq!(fact(&own, "module").1, "main.go imports example.com/shop/text");
    let words = refusal(&[main, ("text/text.go", "package text\nimport \"github.com/a/b\"\n")]);
    assert!(
        words.contains("text/text.go imports github.com/a/b")
            && words.contains("go mod init example.com/shop && go mod tidy"),
        "{words}"
    );
}

#[test]
fn dependencies_from_before_modules_are_compiled_in_a_gopath() {
    let main = (
        "web.go",
        "package main\n\nimport \"github.com/mattn/go-sqlite3/x\"\n\nfunc main() { x.Do() }\n",
    );
    let vendored = plan(&[main, ("vendor/github.com/mattn/go-sqlite3/x/x.go", "package x\n")]);
    let text = &vendored.dockerfile;
    assert!(
        text.contains("WORKDIR /go/src/app\n") && text.contains("CGO_ENABLED=1 GOTOOLCHAIN=local GO111MODULE=off"),
        "{text}"
    );
    let godep = plan(&[
        main,
        (
            "Godeps/Godeps.json",
            r#"{"ImportPath": "example.com/shop", "GoVersion": "go1.X"}"#,
        ),
        (
            "Godeps/_workspace/src/github.com/mattn/go-sqlite3/x/x.go",
            "package x\n",
        ),
    ]);
    let text = &godep.dockerfile;
    assert!(
        text.contains("ENV GOPATH=/go/src/example.com/shop/Godeps/_workspace:/go\n")
            && text.contains("/out/app/bin/shop ."),
        "{text}"
    );
    for beside in [
        ("Gopkg.toml", ""),
        ("glide.yaml", "package: shop\n"),
        ("vendor/x/x.go", "package x\n"),
    ] {
        let words = refusal(&[main, beside]);
        assert!(
            words.contains("web.go imports github.com/mattn/go-sqlite3/x"),
            "{words}"
        );
    }
    let newer = refusal(&[main, ("Godeps/Godeps.json", r#"{"GoVersion": "go99.9.9"}"#)]);
    assert!(
        newer.contains("Go 99.9.9") && newer.contains("Godeps/Godeps.json"),
        "{newer}"
    );
}

#[test]
fn hostile_names_of_a_package_reach_no_command() {
    let main = ("main.go", "package main\n\nimport \"$(x)/y\"\n\nfunc main() {}\n");
    for name in ["$(x)", "a b", "../x", "/x", "a;b", "a@b", "-x", "net/http", ""] {
        let files = [("main.go", MAIN), (".godir", name)];
        assert!(plan(&files).dockerfile.contains("go mod init app\n"), "{name}");
    }
    assert!(refusal(&[main, ("y/y.go", "package y\n")]).contains("go mod init app &&"));
}
