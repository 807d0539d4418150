//! Which applications a repository holds.

use planner::applications;

use crate::common::{app, refusal};

const MONOREPO: &[(&str, &str)] = &[
    (
        "package.json",
        r#"{"private": true, "workspaces": ["apps/*", "packages/*"]}"#,
    ),
    (
        "apps/web/package.json",
        r#"{"scripts": {"build": "next build", "start": "next start"}, "dependencies": {"next": "16"}}"#,
    ),
    ("apps/web/public/index.html", ""),
    (
        "apps/api/package.json",
        r#"{"scripts": {"start": "node server.js"}, "dependencies": {"express": "5"}}"#,
    ),
    (
        "packages/button/package.json",
        r#"{"name": "button", "main": "index.js"}"#,
    ),
    ("worker/go.mod", "module worker\n"),
    ("worker/main.go", "package main\nfunc main() {}\n"),
    ("library/go.mod", "module library\n"),
    ("library/library.go", "package library\n"),
    ("site/index.html", ""),
    ("tools/Dockerfile", "FROM scratch\n"),
    (
        "shop/Shop.csproj",
        r#"<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>"#,
    ),
    ("node_modules/x/package.json", r#"{"scripts": {"start": "node x.js"}}"#),
    ("a/b/c/d/index.html", ""),
];

#[test]
fn what_can_be_deployed_is_found_and_libraries_are_not() {
    let found = applications(app(MONOREPO).path()).unwrap();
    let shown: Vec<(&str, &str)> = found
        .iter()
        .map(|one| (one.path.as_str(), one.framework.as_deref().unwrap_or(&one.provider)))
        .collect();
    assert_eq!(
        shown,
        [
            ("shop", "ASP.NET Core"),
            ("site", "static"),
            ("tools", "dockerfile"),
            ("worker", "go"),
            ("apps/api", "Express"),
            ("apps/web", "Next.js"),
        ]
    );
    let api = found.iter().find(|one| one.path == "apps/api").unwrap();
    assert_eq!(api.start_command.as_deref(), Some("node server.js"));
}

#[test]
fn whoever_gives_the_folder_above_is_told_of_them() {
    let words = refusal(&[
        ("web/package.json", r#"{"dependencies": {"express": "5"}}"#),
        ("web/index.js", ""),
    ]);
    assert!(
        words.contains("There is an application in web (Express): set the root directory to it."),
        "{words}"
    );
    let words = refusal(&[("web/index.html", ""), ("api/main.py", ""), ("README.md", "")]);
    assert!(
        words.contains("There are 2 applications: api (python), web (static)."),
        "{words}"
    );
    let words = refusal(&[("README.md", "")]);
    assert!(words.contains("Add one of these files, or a Dockerfile."), "{words}");
}

#[test]
fn a_repository_of_thousands_of_folders_is_looked_at_near_its_top() {
    let many: Vec<(String, String)> = (0..600)
        .map(|number| (format!("f{number:03}/index.html"), String::new()))
        .collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let found = applications(app(&files).path()).unwrap();
    assert_eq!(found.len(), 50);
    assert_eq!(found[0].path, "f000");
}
