//! What `pom.xml` says.

use std::collections::BTreeMap;

use crate::{
    Refusal,
    java::{
        Kind, Module,
        source::{self, is_class},
        version::{Wish, major},
        xml::{self, Element},
    },
    tree::{Tree, is_plain_path, join},
};

/// More modules than this are not looked at.
const MOST_MODULES: usize = 200;

/// All modules of a build that can be started, and the versions that it asks for.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) modules: Vec<Module>,
    pub(super) version: Option<Wish>,
    pub(super) is_multi_module: bool,
}

pub(super) fn read(tree: &Tree) -> Result<Build, Refusal> {
    let text = tree.text("pom.xml")?.unwrap_or_default();
    let root = xml::parse(&text);
    if root.name != "project" {
        return Err(Refusal::Malformed {
            path: "pom.xml".to_owned(),
            why: "its first element is no <project>".to_owned(),
        });
    }
    let mut build = Build::default();
    let mut left = source::MOST_FILES;
    let properties = properties(&root);
    build.version = version(&root, &properties);
    let mut waiting = vec![(String::new(), root.clone())];
    let mut seen = 0;
    while let Some((folder, project)) = waiting.pop() {
        seen += 1;
        for module in project
            .all("modules/module")
            .into_iter()
            .chain(project.all("subprojects/subproject"))
        {
            let path = join(
                &folder,
                module.text.trim().trim_start_matches("./").trim_end_matches('/'),
            );
            build.is_multi_module = true;
            if is_plain_path(&path) && seen + waiting.len() < MOST_MODULES && tree.has_file(&join(&path, "pom.xml")) {
                let text = tree.text(&join(&path, "pom.xml"))?.unwrap_or_default();
                waiting.push((path, xml::parse(&text)));
            }
        }
        waiting.sort_by(|one, other| other.0.cmp(&one.0));
        if project.text("packaging") != Some("pom") {
            module(tree, &folder, &project, &root, &mut build, &mut left);
        }
        if build.version.is_none() {
            build.version = version(&project, &properties);
        }
    }
    Ok(build)
}

fn properties(project: &Element) -> BTreeMap<String, String> {
    let all = project
        .child("properties")
        .map(|properties| properties.children.as_slice())
        .unwrap_or_default();
    all.iter()
        .map(|property| (property.name.clone(), property.text.trim().to_owned()))
        .collect()
}

/// A text with one property in its place, a few times.
fn resolved(text: &str, properties: &BTreeMap<String, String>) -> String {
    let mut text = text.trim().to_owned();
    for _ in 0..5 {
        let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            break;
        };
        match properties.get(name) {
            Some(value) => text = value.clone(),
            None => break,
        }
    }
    text
}

fn version(project: &Element, properties: &BTreeMap<String, String>) -> Option<Wish> {
    let own = self::properties(project);
    let names = [
        "java.version",
        "maven.compiler.release",
        "maven.compiler.target",
        "maven.compiler.source",
        "jdk.version",
        "kotlin.compiler.jvmTarget",
    ];
    let of_property = names.iter().find_map(|name| {
        let value = own.get(*name).or_else(|| properties.get(*name))?;
        Some((resolved(value, properties), format!("{name} in pom.xml")))
    });
    let of_plugin = || {
        let plugins = project.all("build/plugins/plugin").into_iter();
        let mut compilers = plugins.filter(|plugin| plugin.text("artifactId") == Some("maven-compiler-plugin"));
        compilers.find_map(|plugin| {
            let configuration = plugin.child("configuration")?;
            ["release", "target", "source"].iter().find_map(|name| {
                let value = configuration.text(name)?;
                Some((
                    resolved(value, properties),
                    format!("{name} of maven-compiler-plugin in pom.xml"),
                ))
            })
        })
    };
    let (text, because) = of_property
        .or_else(of_plugin)
        .filter(|(text, _)| !text.contains("${"))?;
    // Compilers know `release` since 9; they compile for older ones.
    if because.contains("release") && major(&text).is_some_and(|major| major < 9) {
        return Some((
            "11".to_owned(),
            format!("{because}, which older compilers do not know,"),
        ));
    }
    Some((text, because))
}

/// Whether Spring Boot's plugin is told not to make the archive one that starts itself.
fn is_left_to_container(plugins: &[&Element]) -> bool {
    let mut plugins = plugins.iter();
    let plugin = plugins.find(|plugin| plugin.text("artifactId") == Some("spring-boot-maven-plugin"));
    let skip = plugin.and_then(|plugin| plugin.anywhere("skip"));
    skip.is_some_and(|skip| skip.text.trim() == "true")
}

fn module(tree: &Tree, folder: &str, project: &Element, root: &Element, build: &mut Build, left: &mut usize) {
    // Modules have the plugins of the root, too: of these, the one with a main method is meant.
    let own = project.all("build/plugins/plugin");
    let inherited = root.all("build/plugins/plugin");
    let is_one_of = |plugins: &[&Element], name: &str| plugins.iter().any(|one| one.text("artifactId") == Some(name));
    let has = |name: &str| is_one_of(&own, name) || is_one_of(&inherited, name);
    let mut properties = self::properties(root);
    properties.extend(self::properties(project));
    let artifact = project.text("artifactId").unwrap_or_default().to_owned();
    let is_archive = project.text("packaging") == Some("war");
    let is_single = ["quarkus.package.type", "quarkus.package.jar.type"]
        .iter()
        .any(|name| properties.get(*name).is_some_and(|kind| kind == "uber-jar"));
    let kind = if has("quarkus-maven-plugin") {
        if is_single { Kind::Jar } else { Kind::Quarkus }
    } else if (has("spring-boot-maven-plugin") && !is_left_to_container(&own))
        || has("maven-shade-plugin")
        || has("maven-assembly-plugin")
    {
        Kind::Jar
    } else if is_archive {
        Kind::Archive
    } else {
        Kind::Classes
    };
    let framework = framework(project, root, &has);
    let source = source::read(tree, folder, left);
    let named = named_main(project, &properties);
    let main = named
        .clone()
        .or_else(|| (source.mains.len() == 1).then(|| source.mains[0].clone()));
    const PACKING: &[&str] = &[
        "spring-boot-maven-plugin",
        "quarkus-maven-plugin",
        "maven-shade-plugin",
        "maven-assembly-plugin",
    ];
    let is_packed_itself = PACKING.iter().any(|name| is_one_of(&own, name));
    if !is_packed_itself && !is_archive && main.is_none() && source.mains.is_empty() {
        return;
    }
    build.modules.push(Module {
        folder: folder.to_owned(),
        name: artifact,
        kind,
        framework,
        main_because: if named.is_some() {
            "mainClass in pom.xml"
        } else {
            "the only class with a main method"
        },
        main,
        mains: source.mains,
        port: source.port,
        is_archive,
        task: String::new(),
    });
}

/// The class that a plugin or a property names.
fn named_main(project: &Element, properties: &BTreeMap<String, String>) -> Option<String> {
    let of_plugin = project
        .child("build")
        .and_then(|build| build.anywhere("mainClass"))
        .map(|found| found.text.clone());
    let names = ["exec.mainClass", "mainClass", "main.class", "start-class"];
    let of_property = || names.iter().find_map(|name| properties.get(*name).cloned());
    let found = of_plugin.or_else(of_property)?;
    Some(resolved(&found, properties)).filter(|class| is_class(class))
}

fn framework(project: &Element, root: &Element, has: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        ("spring-boot", "Spring Boot"),
        ("quarkus-", "Quarkus"),
        ("micronaut-", "Micronaut"),
        ("ktor-server", "Ktor"),
        ("javalin", "Javalin"),
        ("vertx-", "Vert.x"),
        ("helidon-", "Helidon"),
        ("dropwizard-", "Dropwizard"),
        ("spark-core", "Spark"),
        ("http4k-", "http4k"),
    ];
    if has("spring-boot-maven-plugin") {
        return Some("Spring Boot");
    }
    if has("quarkus-maven-plugin") {
        return Some("Quarkus");
    }
    let dependencies = project.all("dependencies/dependency/artifactId");
    let parents = [project, root]
        .into_iter()
        .flat_map(|project| project.all("parent/artifactId"));
    let names: Vec<&str> = dependencies
        .into_iter()
        .chain(parents)
        .map(|found| found.text.trim())
        .collect();
    let known = KNOWN
        .iter()
        .find(|(start, _)| names.iter().any(|name| name.starts_with(start)));
    known.map(|(_, shown)| *shown)
}
