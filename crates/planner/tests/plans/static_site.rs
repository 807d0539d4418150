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

#[test]
fn what_a_staticfile_of_cloud_foundry_says_is_done() {
    let planned = plan(&[
        (
            "Staticfile",
            "# how\nroot: dist/public\npushstate: enabled\ndirectory: visible\nforce_https: true\nhttp_strict_transport_security: true\n\
             http_strict_transport_security_include_subdomains: true\nhttp_strict_transport_security_preload: true\n\
             status_codes:\n  404: /pages/404.html\n  500: '/pages/500.html'\nenable_http2: enabled\nnew_key: x\n",
        ),
        ("dist/public/index.html", ""),
    ]);
    let text = &planned.dockerfile;
    for line in [
        "COPY --chown=10001:10001 dist/public/ ./",
        "try_files {path} {path}.html {path}/ /index.html",
        "@insecure not header X-Forwarded-Proto https",
        "header Strict-Transport-Security \"max-age=31536000; includeSubDomains; preload\"",
        "file_server browse {",
        "expression {err.status_code} == 500",
        "rewrite * /pages/404.html",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(fact(&planned, "output directory").1, "root in the Staticfile:2");
    assert_eq!(fact(&planned, "http").1, "force_https in the Staticfile:5");
    assert!(planned.warnings[0].contains("new_key"), "{:?}", planned.warnings);
}

#[test]
fn a_staticfile_without_a_root_serves_the_folder_that_has_a_page() {
    let planned = plan(&[("Staticfile", ""), ("public/index.html", "")]);
    assert_eq!(fact(&planned, "output directory"), ("public", "public/index.html"));
    // The whole folder, where it says so.
    let planned = plan(&[
        ("Staticfile", "root: /\nhost_dot_files: true\n"),
        ("public/index.html", ""),
    ]);
    assert_eq!(fact(&planned, "output directory").0, ".");
    assert!(!planned.dockerfile.contains("@hidden"), "{}", planned.dockerfile);
}

#[test]
fn a_site_that_asks_for_a_password_is_never_served_without() {
    let line = "bob:$apr1$DuUQEQp8$ZccZCHQElNSjrg.erwSFC0\n";
    let planned = plan(&[("index.html", ""), ("Staticfile.auth", line)]);
    assert_eq!(planned.base_images, ["nginx:1"]);
    let text = &planned.dockerfile;
    assert!(
        text.contains("auth_basic_user_file /etc/nginx/site/Staticfile.auth;")
            && text.contains("COPY Staticfile.auth ./"),
        "{text}"
    );
    assert!(!text.contains("apr1") && text.contains("|Staticfile\\.auth|"), "{text}");
    assert_eq!(fact(&planned, "password"), ("asked for; known: bob", "Staticfile.auth"));
    for wrong in ["", "bob\n", ":x\n"] {
        assert!(refusal(&[("index.html", ""), ("Staticfile.auth", wrong)]).contains("htpasswd"));
    }
    let heroku = refusal(&[("index.html", ""), ("static.json", r#"{"basic_auth": true}"#)]);
    assert!(heroku.contains("basic_auth in static.json"), "{heroku}");
    let other = plan(&[
        ("package.json", r#"{"scripts": {"start": "node ."}}"#),
        ("Staticfile.auth", line),
    ]);
    assert!(other.warnings.iter().any(|warning| warning.contains("Staticfile.auth")));
}

#[test]
fn what_only_nginx_does_is_done_by_nginx() {
    let planned = plan(&[
        (
            "Staticfile",
            "ssi: enabled\nlocation_include: includes/*.conf\nforce_https: true\n",
        ),
        ("index.html", ""),
        ("nginx/conf/includes/a.conf", ""),
    ]);
    let text = &planned.dockerfile;
    assert_eq!(planned.base_images, ["nginx:1"]);
    for line in [
        "ssi on;",
        "include /etc/nginx/site/nginx/conf/includes/*.conf;",
        "COPY nginx/conf ./nginx/conf",
        "USER 10001",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(planned.warnings.is_empty(), "{:?}", planned.warnings);
    assert!(refusal(&[("Staticfile", "location_include: ../x;y\n")]).contains("location_include"));
}

#[test]
fn herokus_file_is_read_as_far_as_it_means_the_same() {
    let planned = plan(&[
        (
            "static.json",
            r#"{"root": "dist/", "clean_urls": true, "https_only": true, "routes": {"/**": "index.html"}, "headers": {}}"#,
        ),
        ("dist/index.html", ""),
    ]);
    assert_eq!(fact(&planned, "output directory"), ("dist", "root in static.json:1"));
    assert!(planned.dockerfile.contains("/index.html"), "{}", planned.dockerfile);
    assert_eq!(fact(&planned, "http").1, "https_only in static.json:1");
    assert!(planned.warnings[0].contains("static.json") && planned.warnings[0].contains("headers"));
}
