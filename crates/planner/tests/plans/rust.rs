//! Rust applications.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const PACKAGE: (&str, &str) = ("Cargo.toml", "[package]\nname = \"shop\"\nedition = \"2021\"\n");
const LOCK: (&str, &str) = ("Cargo.lock", "version = 4\n");
const MAIN: &str = "fn main() {}\n";

#[test]
fn a_package_becomes_a_program_in_a_small_image_that_is_not_roots() {
    let plan = plan(&[PACKAGE, LOCK, ("src/main.rs", MAIN), ("templates/index.html", "")]);
    assert_eq!((plan.provider.as_str(), plan.port), ("rust", None));
    assert_eq!(plan.base_images, ["rust:1.95-trixie", "debian:trixie-slim"]);
    assert_eq!(cmd(&plan), ["/app/bin/shop"]);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let text = &plan.dockerfile;
    assert!(text.contains("cargo build --release --locked --bin shop && cp /target/release/shop /out/app/bin/shop"));
    for cache in ["registry", "git", "target"] {
        assert!(text.contains(&format!("id=k1-cargo-{cache},")), "{text}");
    }
    assert!(text.contains("COPY --from=build --chown=10001:10001 /out/app /app"));
    assert!(text.contains("\nUSER 10001:10001\nCMD"), "{text}");
    assert_eq!(
        plan.dockerignore.as_deref().map(|text| text.ends_with("target\n")),
        Some(true)
    );
}

#[test]
fn a_missing_lock_file_is_told() {
    let plan = plan(&[PACKAGE, ("src/main.rs", MAIN)]);
    assert!(plan.warnings.iter().any(|warning| warning.contains("Cargo.lock")));
    assert!(!plan.dockerfile.contains("--locked"));
}

#[test]
fn of_several_programs_the_default_the_root_or_the_user_decides() {
    let default = (
        "Cargo.toml",
        "[package]\nname = \"shop\"\ndefault-run = \"two\"\n[[bin]]\nname = \"one\"\npath = \"src/one.rs\"\n\
         required-features = [\"cli\"]\n",
    );
    let files = [
        default,
        ("src/one.rs", MAIN),
        ("src/bin/two.rs", MAIN),
        ("src/bin/three/main.rs", MAIN),
    ];
    let defaulted = plan(&files);
    assert_eq!(fact(&defaulted, "program"), ("two", "default-run in Cargo.toml:3"));
    let chosen = try_plan(&files, &with_variables(&[("RAILPACK_RUST_BIN", "one")])).unwrap();
    assert!(
        chosen.dockerfile.contains("--bin one --features cli && "),
        "{}",
        chosen.dockerfile
    );
    let wrong = try_plan(&files, &with_variables(&[("CLICK_DEPLOY_RUST_BIN", "four")]))
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("CLICK_DEPLOY_RUST_BIN") && wrong.contains("three"),
        "{wrong}"
    );
    let of_main = plan(&[PACKAGE, ("src/main.rs", MAIN), ("src/bin/tool.rs", MAIN)]);
    assert_eq!(fact(&of_main, "program").0, "shop");
    assert!(of_main.warnings.iter().any(|warning| warning.contains("tool")));
    let unclear = refusal(&[PACKAGE, ("src/bin/one.rs", MAIN), ("src/bin/two.rs", MAIN)]);
    assert!(
        unclear.contains("one, two") && unclear.contains("CLICK_DEPLOY_RUST_BIN"),
        "{unclear}"
    );
}

#[test]
fn a_workspace_is_searched_for_programs() {
    let root = (
        "Cargo.toml",
        "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/old\"]\n",
    );
    let member = |name: &str| format!("[package]\nname = \"{name}\"\nversion.workspace = true\n");
    let (library, web, tool, old) = (member("core"), member("shop-web"), member("tool"), member("old"));
    let mut files = vec![
        root,
        ("crates/core/Cargo.toml", &library),
        ("crates/core/src/lib.rs", ""),
        ("crates/web/Cargo.toml", &web),
        ("crates/web/src/main.rs", MAIN),
        ("crates/old/Cargo.toml", &old),
        ("crates/old/src/main.rs", MAIN),
    ];
    let only = plan(&files);
    assert!(
        only.dockerfile.contains("--package shop-web --bin shop-web"),
        "{}",
        only.dockerfile
    );
    files.push(("crates/tool/Cargo.toml", &tool));
    files.push(("crates/tool/src/main.rs", MAIN));
    assert_eq!(cmd(&plan(&files)), ["/app/bin/shop-web"]);
    let chosen = try_plan(&files, &with_variables(&[("CARGO_WORKSPACE", "tool")])).unwrap();
    assert_eq!(cmd(&chosen), ["/app/bin/tool"]);
    let wrong = try_plan(&files, &with_variables(&[("CARGO_WORKSPACE", "nothing")]))
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("shop-web"), "{wrong}");
}

#[test]
fn a_member_without_its_workspace_says_where_to_look() {
    let words = refusal(&[
        ("Cargo.toml", "[package]\nname = \"x\"\nversion.workspace = true\n"),
        ("src/main.rs", MAIN),
    ]);
    assert!(
        words.contains("root directory") && words.contains("CLICK_DEPLOY_CARGO_PACKAGE"),
        "{words}"
    );
}

#[test]
fn a_pinned_toolchain_is_used_and_a_newer_or_unstable_one_refused() {
    let with = |file: &str, text: &str| try_plan(&[PACKAGE, LOCK, ("src/main.rs", MAIN), (file, text)], &settings());
    let pinned = with("rust-toolchain.toml", "[toolchain]\nchannel = \"1.80.1\"\n").unwrap();
    assert_eq!(fact(&pinned, "rust version").0, "1.80.1");
    assert_eq!(pinned.base_images, ["rust:1.80.1-bookworm", "debian:trixie-slim"]);
    assert!(pinned.warnings.is_empty(), "{:?}", pinned.warnings);
    let files = [PACKAGE, LOCK, ("src/main.rs", MAIN), ("rust-toolchain", "1.80.1\n")];
    let closed = Settings {
        closed_network: true,
        ..settings()
    };
    let nearest = try_plan(&files, &closed).unwrap();
    assert_eq!(fact(&nearest, "rust version").0, "1.95");
    assert!(nearest.warnings.iter().any(|warning| warning.contains("1.80.1")));
    for (text, image) in [
        ("1.90", "rust:1.90-trixie"),
        ("1.95", "rust:1.95-trixie"),
        ("1.95.0", "rust:1.95-trixie"),
        ("1.60.0", "rust:1.95-trixie"),
        ("1.81.0-x86_64-unknown-linux-gnu", "rust:1.81.0-bookworm"),
        ("1.81.$(x)", "rust:1.81-bookworm"),
    ] {
        assert_eq!(with("rust-toolchain", text).unwrap().base_images[0], image, "{text}");
    }
    assert!(pinned.dockerfile.contains("rm -f rust-toolchain.toml rust-toolchain"));
    assert!(with("rust-toolchain", "stable\n").unwrap().warnings.is_empty());
    let words = with("rust-toolchain", "nightly-2026-01-01\n").unwrap_err().to_string();
    assert!(
        words.contains("nightly-2026-01-01") && words.contains("Dockerfile"),
        "{words}"
    );
    let words = with(".tool-versions", "rust 1.999\n").unwrap_err().to_string();
    assert!(words.contains("1.999") && words.contains("1.95"), "{words}");
    let oldest = plan(&[
        ("Cargo.toml", "[package]\nname = \"a\"\nrust-version = \"1.70\"\n"),
        LOCK,
        ("src/main.rs", MAIN),
    ]);
    assert!(oldest.warnings.is_empty());
}

#[test]
fn libraries_of_crates_are_in_the_image() {
    let lock = "[[package]]\nname = \"openssl-sys\"\ndependencies = [\"cc\"]\n[[package]]\nname = \"pq-sys\"\n";
    let plan = plan(&[PACKAGE, ("Cargo.lock", lock), ("src/main.rs", MAIN)]);
    assert_eq!(fact(&plan, "system packages").0, "libssl3t64, libpq5");
    let (_, last) = plan.dockerfile.rsplit_once("FROM ").unwrap();
    assert!(last.contains("libssl3t64 libpq5"), "{last}");
}

#[test]
fn frameworks_that_ignore_port_are_told() {
    let with = |dependency: &str| {
        let manifest = format!("{}[dependencies]\n{dependency} = \"1\"\n", PACKAGE.1);
        plan(&[("Cargo.toml", &manifest), LOCK, ("src/main.rs", MAIN)])
    };
    let rocket = with("rocket");
    assert_eq!(rocket.framework.as_deref(), Some("Rocket"));
    assert!(start(&rocket).starts_with("export ROCKET_PORT=") && rocket.dockerfile.contains("ROCKET_ADDRESS=0.0.0.0"));
    assert!(start(&with("loco-rs")).contains("start --binding 0.0.0.0 --port"));
}

#[test]
fn the_port_is_read_where_the_source_ignores_the_variable() {
    let with = |text: &str| plan(&[PACKAGE, LOCK, ("src/main.rs", text)]);
    assert_eq!(with("TcpListener::bind(\"0.0.0.0:3000\")").port, Some(3000));
    assert_eq!(with("env::var(\"PORT\"); bind(\"0.0.0.0:3000\")").port, None);
    let loopback = with(".bind((\"127.0.0.1\", 8080))");
    assert_eq!(loopback.port, Some(8080));
    assert!(loopback.warnings.iter().any(|warning| warning.contains("0.0.0.0")));
}

#[test]
fn a_start_command_finds_the_program_where_it_looks() {
    let files = [
        PACKAGE,
        LOCK,
        ("src/main.rs", MAIN),
        ("Procfile", "web: ./target/release/shop --port $PORT\n"),
    ];
    let plan = plan(&files);
    assert!(
        plan.dockerfile.contains("/out/app/target/release/shop"),
        "{}",
        plan.dockerfile
    );
    assert_eq!(start(&plan), "exec ./target/release/shop --port $PORT");
    let named = crate::common::plan(&[
        PACKAGE,
        LOCK,
        ("src/main.rs", MAIN),
        ("src/bin/worker.rs", MAIN),
        ("Procfile", "web: worker\n"),
    ]);
    assert_eq!(fact(&named, "program"), ("worker", "the start command names it"));
    assert!(named.warnings.is_empty(), "{:?}", named.warnings);
    let words = refusal(&[
        PACKAGE,
        LOCK,
        ("src/main.rs", MAIN),
        ("Procfile", "web: cargo run --release\n"),
    ]);
    assert!(words.contains("Cargo") && words.contains("./target/release"), "{words}");
}

#[test]
fn a_build_command_of_the_user_leaves_its_programs() {
    let settings = Settings {
        build_command: Some("cargo build --release --workspace".into()),
        ..settings()
    };
    let plan = try_plan(&[PACKAGE, LOCK, ("src/main.rs", MAIN)], &settings).unwrap();
    assert_eq!(cmd(&plan), ["/app/target/release/shop"]);
    assert!(
        plan.dockerfile.contains("cp -t /out/app/target/release"),
        "{}",
        plan.dockerfile
    );
}

#[test]
fn what_runs_in_a_browser_is_refused_with_advice() {
    for extra in [
        ("Trunk.toml", ""),
        ("Dioxus.toml", ""),
        ("index.html", "<link data-trunk rel=\"rust\">"),
    ] {
        let words = refusal(&[PACKAGE, LOCK, ("src/main.rs", MAIN), extra]);
        assert!(words.contains("Dockerfile") && words.contains("static site"), "{words}");
    }
    let leptos = format!("{}[package.metadata.leptos]\noutput-name = \"x\"\n", PACKAGE.1);
    assert!(refusal(&[("Cargo.toml", &leptos), LOCK, ("src/main.rs", MAIN)]).contains("cargo-leptos"));
    let target = refusal(&[
        PACKAGE,
        LOCK,
        ("src/main.rs", MAIN),
        (".cargo/config.toml", "[build]\ntarget = \"wasm32-unknown-unknown\"\n"),
    ]);
    assert!(target.contains("build.target"), "{target}");
}

#[test]
fn cargos_own_settings_are_followed() {
    let settings = "[build]\ntarget = \"x86_64-unknown-linux-musl\"\nrustc-wrapper = \"sccache\"\n\
                    [target.x86_64-unknown-linux-gnu]\nlinker = \"clang\"\nrustflags = [\"-C\", \"link-arg=-fuse-ld=mold\"]\n";
    let plan = plan(&[
        PACKAGE,
        LOCK,
        ("src/main.rs", MAIN),
        (".cargo/config.toml", settings),
        (".sqlx/q.json", "{}"),
    ]);
    let text = &plan.dockerfile;
    assert!(
        text.contains("clang mold") && text.contains("rustup target add x86_64-unknown-linux-musl"),
        "{text}"
    );
    assert!(
        text.contains("/target/x86_64-unknown-linux-musl/release/shop"),
        "{text}"
    );
    assert!(
        text.contains("SQLX_OFFLINE=true CARGO_BUILD_RUSTC_WRAPPER=\"\""),
        "{text}"
    );
}

#[test]
fn hostile_manifests_end_in_a_plan_or_a_refusal() {
    for evil in [
        "x\nRUN evil",
        "$(evil)",
        "a b",
        "--config=x",
        "../../etc",
        "\"]\nUSER root",
    ] {
        let text = serde_json::json!(evil);
        let manifest = format!(
            "[package]\nname = {text}\ndefault-run = {text}\nrust-version = {text}\n[[bin]]\nname = {text}\npath = {text}\n\
             required-features = [{text}]\n[workspace]\nmembers = [{text}, \"*/*/*\"]\n"
        );
        let settings = with_variables(&[("RAILPACK_RUST_VERSION", evil)]);
        let cargo = format!("[build]\ntarget = {text}\nrustc-wrapper = {text}\n");
        for settings in [settings, crate::common::settings()] {
            let _ = try_plan(&[("Cargo.toml", &manifest), ("src/main.rs", MAIN)], &settings);
            let files = [
                PACKAGE,
                ("src/main.rs", evil),
                (".cargo/config.toml", &cargo),
                ("rust-toolchain", evil),
            ];
            let _ = try_plan(&files, &settings);
        }
        let _ = try_plan(
            &[PACKAGE, (&format!("src/bin/{evil}.rs"), MAIN)],
            &crate::common::settings(),
        );
    }
    assert!(refusal(&[("Cargo.toml", "[package")]).contains("Cargo.toml"));
}
