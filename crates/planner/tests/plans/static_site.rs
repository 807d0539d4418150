//! Static sites, and directories that are nothing that is known.

use crate::common::{cmd, fact, plan, refusal, settings, try_plan};
use planner::Settings;

#[test]
fn a_page_is_served_and_hidden_files_are_not() {
    let plan = plan(&[("index.html", "<h1>hi</h1>"), ("404.html", ""), (".env", "SECRET=1")]);
    assert_eq!((plan.provider.as_str(), plan.port), ("static", None));
    assert_eq!(plan.base_images, ["caddy:2"]);
    assert_eq!(cmd(&plan)[..2], ["caddy", "run"]);
    let text = &plan.dockerfile;
    assert!(
        text.contains(":{$PORT:80} {") && text.contains("path */.*") && text.contains("/404.html"),
        "{text}"
    );
    assert!(!text.contains("/index.html"), "an unknown address is not found: {text}");
    assert!(plan.dockerignore.unwrap().contains("**/.env\n"));
}

#[test]
fn the_folder_comes_from_the_staticfile_the_settings_or_the_usual_places() {
    let staticfile = plan(&[("Staticfile", "root: ./site  # here\n"), ("site/index.html", "")]);
    assert!(
        staticfile.dockerfile.contains("COPY --chown=10001:10001 site/ ./"),
        "{}",
        staticfile.dockerfile
    );
    let usual = plan(&[("public/index.html", "")]);
    assert_eq!(fact(&usual, "output directory"), ("public", "public/index.html"));
    let settings = Settings {
        output_directory: Some("web".into()),
        ..settings()
    };
    assert!(
        try_plan(&[("web/a.html", "")], &settings)
            .unwrap()
            .dockerfile
            .contains("COPY --chown=10001:10001 web/ ./")
    );
    let missing = try_plan(&[("a.html", "")], &settings).unwrap_err().to_string();
    assert!(missing.contains("web cannot be read"), "{missing}");
    assert!(refusal(&[("Staticfile", "root: ../../etc\n")]).contains("Staticfile"));
}

#[test]
fn an_unknown_directory_is_refused_with_what_was_seen() {
    let empty = refusal(&[]);
    assert!(empty.contains("empty") && empty.contains("package.json"), "{empty}");
    let other = refusal(&[("Package.swift", ""), ("src/main.c", "")]);
    assert!(
        other.contains("Package.swift means Swift") && other.contains("Dockerfile") && other.contains("src/"),
        "{other}"
    );
    let swift = refusal(&[("Package.swift", "")]);
    assert!(swift.contains("Swift"), "{swift}");
    let below = refusal(&[("apps.txt", ""), ("backend/go.mod", ""), ("frontend/package.json", "")]);
    assert!(
        below.contains("backend, frontend") && below.contains("root directory"),
        "{below}"
    );
}
