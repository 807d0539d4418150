//! Applications whose build writes files for a web server.

use serde_json::Value;

use crate::{
    Refusal,
    caddy::Missing,
    command::words,
    node::{
        framework::{Kept, Kind, SPA, Shape, configuration, files, literal, own_start, process},
        package::Package,
        start,
    },
    tree::{Tree, is_plain_path},
};

/// Servers that only serve what a build has written, or serve it while it is developed.
const FILE_SERVERS: &[&str] = &[
    "vite",
    "react-scripts start",
    "react-app-rewired start",
    "craco start",
    "ng",
    "vue-cli-service serve",
    "astro",
    "gatsby",
    "webpack",
    "webpack-dev-server",
    "parcel",
    "serve",
    "http-server",
    "live-server",
    "eleventy",
    "docusaurus",
    "vitepress",
    "rsbuild",
    "preact",
    "ember",
    "hexo",
    "next dev",
    "sirv",
];

/// Builds whose result is files, unless a start script starts a real server.
pub(super) fn detect(tree: &Tree, package: &Package) -> Result<Option<Kind>, Refusal> {
    let build = package.script("build").unwrap_or_default();
    let server = own_start(package, FILE_SERVERS)?;
    let is_server = server.is_some();
    let kind = |name, build, shape| Ok(Some(Kind::new(name, build, server.clone().unwrap_or(shape))));
    if package.uses("@angular/core") && tree.has("angular.json") {
        let shape = if is_server {
            Shape::Unknown
        } else {
            angular(tree, package, None)?
        };
        return kind("Angular", "ng build", shape);
    }
    if package.uses("gatsby") {
        return kind("Gatsby", "gatsby build", files("public", Missing::NotFound));
    }
    if package.uses("@docusaurus/core") {
        return kind("Docusaurus", "docusaurus build", files("build", Missing::NotFound));
    }
    if package.uses("vitepress") {
        let folder = words(build)
            .skip_while(|word| *word != "vitepress")
            .nth(2)
            .filter(|folder| is_plain_path(folder));
        let folder = folder.map_or_else(
            || ".vitepress/dist".to_owned(),
            |folder| format!("{folder}/.vitepress/dist"),
        );
        return kind("VitePress", "vitepress build", files(&folder, Missing::NotFound));
    }
    if package.uses("@11ty/eleventy") {
        return kind("Eleventy", "eleventy", files("_site", Missing::NotFound));
    }
    if package.uses("react-scripts") {
        return kind("Create React App", "react-scripts build", files("build", SPA));
    }
    if package.uses("@vue/cli-service") {
        return kind("Vue CLI", "vue-cli-service build", files("dist", SPA));
    }
    // A server that has Vite for its own pages, or only for its tests, is a server.
    let builds_with = |program: &str| words(build).any(|word| word == program);
    let vite_builds = builds_with("vite") || package.scripts_mention("vite build");
    if package.uses("vite") && (vite_builds || (build.is_empty() && tree.has_file("index.html"))) && !is_server {
        let text = configuration(tree, "vite.config");
        let argument = words(build).skip_while(|word| *word != "--outDir").nth(1);
        let folder = argument
            .or_else(|| literal(&text, "outDir"))
            .map(|folder| folder.trim_start_matches("./").trim_end_matches('/'));
        let name = if package.uses("svelte") {
            "Svelte with Vite"
        } else if package.uses("vue") {
            "Vue with Vite"
        } else if package.uses("react") {
            "React with Vite"
        } else {
            "Vite"
        };
        // An outDir beside a root would need Vite itself to resolve; the usual place is right nearly always.
        let folder = folder.filter(|folder| is_plain_path(folder)).unwrap_or("dist");
        return kind(name, "vite build", files(folder, SPA));
    }
    for (dependency, program, name, folder) in [
        ("@rsbuild/core", "rsbuild", "Rsbuild", "dist"),
        ("parcel", "parcel", "Parcel", "dist"),
        ("preact-cli", "preact", "Preact CLI", "build"),
        ("ember-cli", "ember", "Ember", "dist"),
        ("webpack", "webpack", "webpack", "dist"),
    ] {
        // Its start script, if there is one, only serves files.
        let no_program = || package.script("start").is_some() || start::entry(tree, package, false, false).is_none();
        if package.uses(dependency) && builds_with(program) && !is_server && no_program() {
            // These build sites of many pages as well, which bring a page for what is missing.
            let missing = if tree
                .first_file(&["404.html", "src/404.html", "public/404.html"])
                .is_some()
            {
                Missing::NotFound
            } else {
                SPA
            };
            return Ok(Some(Kind {
                framework: Some(name),
                build: None,
                shape: files(folder, missing),
                warning: None,
                build_environment: &[],
                tool: None,
            }));
        }
    }
    Ok(None)
}

/// Where Angular's builder writes for a project, out of `angular.json`: the default one, or the first application.
pub(super) fn angular(tree: &Tree, package: &Package, wanted: Option<&str>) -> Result<Shape, Refusal> {
    let text = tree.text("angular.json")?.unwrap_or_default();
    let workspace: Value = serde_json::from_str(&text).map_err(|error| Refusal::Malformed {
        path: "angular.json".to_owned(),
        why: error.to_string(),
    })?;
    let projects = workspace.get("projects").and_then(Value::as_object);
    let default = wanted.or_else(|| workspace.get("defaultProject").and_then(Value::as_str));
    let project = projects.and_then(|projects| {
        let is_application = |(_, project): &(&String, &Value)| {
            project
                .get("projectType")
                .and_then(Value::as_str)
                .is_none_or(|kind| kind == "application")
        };
        let named = default.and_then(|name| projects.iter().find(|(key, _)| *key == name));
        named.or_else(|| projects.iter().find(is_application).filter(|_| wanted.is_none()))
    });
    let Some((name, project)) = project else {
        return Ok(Shape::Unknown);
    };
    let target = project
        .get("architect")
        .or_else(|| project.get("targets"))
        .and_then(|targets| targets.get("build"));
    let builder = target
        .and_then(|target| target.get("builder"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let options = target.and_then(|target| target.get("options"));
    let path = options.and_then(|options| options.get("outputPath"));
    let (base, browser) = match path {
        Some(Value::String(base)) => (base.as_str(), None),
        Some(value) => (
            value.get("base").and_then(Value::as_str).unwrap_or_default(),
            value.get("browser").and_then(Value::as_str),
        ),
        None => ("", None),
    };
    let base = if base.is_empty() {
        format!("dist/{name}")
    } else {
        base.trim_start_matches("./").to_owned()
    };
    let base = base.trim_end_matches('/');
    if !is_plain_path(base) || !browser.is_none_or(|browser| browser.is_empty() || is_plain_path(browser)) {
        return Ok(Shape::Unknown);
    }
    if package.uses("@angular/ssr") && options.is_some_and(|options| options.get("ssr").is_some()) {
        let is_static = options
            .and_then(|options| options.get("outputMode"))
            .and_then(Value::as_str)
            == Some("static");
        if !is_static {
            return process(
                &format!("node {base}/server/server.mjs"),
                "Angular's server-side rendering",
                Kept::Everything,
            );
        }
    }
    let folder = match browser {
        Some("") => base.to_owned(),
        Some(browser) => format!("{base}/{browser}"),
        None if builder.ends_with(":application") => format!("{base}/browser"),
        None => base.to_owned(),
    };
    Ok(files(&folder, SPA))
}
