//! What Gradle's files say, as far as it can be seen without running them.

use toml::{Table, Value};

use crate::{
    Refusal, bases,
    java::{
        Kind, Module,
        source::{self, is_class},
        version::Wish,
    },
    tree::{Tree, is_plain_path, join},
};

/// More modules than this are not looked at.
const MOST_MODULES: usize = 200;
const WRAPPER: &str = "gradle/wrapper/gradle-wrapper.properties";

/// All modules of a build that can be started, and what it asks for.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) modules: Vec<Module>,
    pub(super) version: Option<Wish>,
    pub(super) is_multi_module: bool,
    pub(super) warnings: Vec<String>,
}

/// The build file of a module.
pub(super) fn build_file(tree: &Tree, module: &str) -> Option<String> {
    ["build.gradle.kts", "build.gradle"]
        .iter()
        .map(|name| join(module, name))
        .find(|path| tree.has_file(path))
}

pub(super) fn read(tree: &Tree) -> Result<Build, Refusal> {
    let settings = match tree.text("settings.gradle.kts")? {
        Some(text) => text,
        None => tree.text("settings.gradle")?.unwrap_or_default(),
    };
    let settings = without_remarks(&settings);
    let catalog: Table = tree
        .text("gradle/libs.versions.toml")?
        .and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default();
    let mut build = Build::default();
    let mut left = source::MOST_FILES;
    let mut folders = vec![String::new()];
    for module in included(&settings) {
        let folder = module.trim_start_matches(':').replace(':', "/");
        if is_plain_path(&folder) && folders.len() < MOST_MODULES && !folders.contains(&folder) {
            build.is_multi_module = true;
            folders.push(folder);
        }
    }
    let root_name = settings
        .lines()
        .find_map(|line| quoted(line.trim().strip_prefix("rootProject.name")?).into_iter().next());
    let mut versions = Vec::new();
    for folder in folders {
        let Some(file) = build_file(tree, &folder) else {
            continue;
        };
        let text = without_remarks(&tree.text(&file)?.unwrap_or_default());
        versions.extend(version(&text).map(|version| (version, format!("the toolchain in {file}"))));
        if folder.is_empty() && build.is_multi_module && !tree.has_folder("src/main") {
            continue;
        }
        let module = module(tree, &folder, &text, &catalog, root_name, &mut left);
        let is_plain = module.as_ref().is_some_and(|module| module.task.ends_with(":jar"));
        if is_plain && needs_libraries(&text) {
            build.warnings.push(format!(
                "The archive that {file} makes holds the classes alone, and other libraries are asked for. Apply Gradle's \
                 application plugin, which puts them beside it."
            ));
        }
        build.modules.extend(module);
    }
    build.version = versions.into_iter().next();
    Ok(build)
}

/// The newest Java that the wrapper's Gradle runs on.
pub(super) fn newest_java(tree: &Tree) -> Result<Option<(u64, String)>, Refusal> {
    let text = tree.text(WRAPPER)?.unwrap_or_default();
    let Some(version) = text
        .lines()
        .find_map(|line| line.strip_prefix("distributionUrl")?.split("gradle-").nth(1))
    else {
        return Ok(None);
    };
    let digits = version.split(['-', '.']).map(|part| part.parse::<u64>().ok());
    let numbers: Vec<u64> = digits.map_while(|number| number).take(2).collect();
    let (major, minor) = match numbers.as_slice() {
        [major, minor] => (*major, *minor),
        [major] => (*major, 0),
        _ => return Ok(None),
    };
    let newest = match (major, minor) {
        (0..=4, _) => 8,
        (5..=6, _) | (7, 0..=2) => 11,
        (7, _) | (8, 0..=4) => 17,
        (8, _) | (9, 0) => 21,
        _ => bases::JAVA_MAJORS.first().copied().unwrap_or_default(),
    };
    Ok(Some((
        newest,
        format!("Gradle {major}.{minor} of {WRAPPER} runs on nothing newer"),
    )))
}

/// Whether the wrapper is there as a whole.
pub(super) fn has_wrapper(tree: &Tree) -> bool {
    tree.has_file("gradlew") && tree.has_file("gradle/wrapper/gradle-wrapper.jar") && tree.has_file(WRAPPER)
}

fn module(
    tree: &Tree,
    folder: &str,
    text: &str,
    catalog: &Table,
    root_name: Option<&str>,
    left: &mut usize,
) -> Option<Module> {
    let has = |id: &str| applies(text, id, catalog);
    let source = source::read(tree, folder, left);
    let named = text
        .lines()
        .find_map(|line| {
            let (_, rest) = line.split_once("mainClass")?;
            quoted(rest).into_iter().find(|class| is_class(class))
        })
        .map(str::to_owned);
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!(":{}", folder.replace('/', ":"))
    };
    let (kind, task) = if has("org.springframework.boot") {
        (Kind::Jar, "bootJar")
    } else if has("io.quarkus") {
        (Kind::Quarkus, "quarkusBuild")
    } else if has("io.ktor.plugin") {
        (Kind::Jar, "buildFatJar")
    } else if has("com.gradleup.shadow") || has("com.github.johnrengelman.shadow") {
        (Kind::Jar, "shadowJar")
    } else if has("application") || has("io.micronaut.application") || text.contains("mainClass") {
        (Kind::Distribution, "installDist")
    } else if has("war") {
        (Kind::Archive, "war")
    } else if text.contains("Main-Class") {
        (Kind::Jar, "jar")
    } else {
        return None;
    };
    let framework = if task == "bootJar" {
        Some("Spring Boot")
    } else {
        framework(text, &has)
    };
    let name = match folder.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ => root_name.unwrap_or("app"),
    };
    Some(Module {
        folder: folder.to_owned(),
        name: name.to_owned(),
        kind,
        framework,
        main_because: if named.is_some() {
            "mainClass in the build file"
        } else {
            "the only class with a main method"
        },
        main: named.or_else(|| (source.mains.len() == 1).then(|| source.mains[0].clone())),
        mains: source.mains,
        port: source.port,
        is_archive: kind == Kind::Archive,
        task: format!("{prefix}:{task}"),
    })
}

/// Whether libraries are asked for that no task packs into the archive.
fn needs_libraries(text: &str) -> bool {
    let asks = |line: &str| {
        ["implementation", "compile ", "api ", "runtimeOnly"]
            .iter()
            .any(|word| line.trim().starts_with(word))
    };
    text.lines().any(asks) && !text.contains("zipTree")
}

/// Whether a build file applies a plugin: by its id, by the name of one of Gradle's own, or by the catalog's alias.
fn applies(text: &str, id: &str, catalog: &Table) -> bool {
    let plugins = catalog.get("plugins").and_then(Value::as_table);
    let plain = |text: &str| text.replace(['.', '_'], "-");
    let aliases: Vec<String> = plugins
        .into_iter()
        .flatten()
        .filter(|(_, plugin)| {
            let named = plugin.get("id").and_then(Value::as_str);
            named.or_else(|| plugin.as_str()?.split(':').next()) == Some(id)
        })
        .map(|(alias, _)| plain(alias))
        .collect();
    text.lines().map(str::trim).any(|line| {
        if line.contains("apply false") || line.contains("apply(false)") {
            return false;
        }
        let is_plugin = line.starts_with("id") || line.starts_with("apply") || line.starts_with("plugins");
        let by_alias = line.split_once("libs.plugins.").is_some_and(|(_, rest)| {
            let end = rest.find(|character: char| !(character.is_ascii_alphanumeric() || "._-".contains(character)));
            aliases.contains(&plain(&rest[..end.unwrap_or(rest.len())]))
        });
        by_alias || (is_plugin && quoted(line).contains(&id)) || line == id || line == format!("`{id}`")
    })
}

fn framework(text: &str, has: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        ("io.ktor:ktor-server", "Ktor"),
        ("ktor.server", "Ktor"),
        ("io.ktor.plugin", "Ktor"),
        ("libs.plugins.ktor", "Ktor"),
        ("io.micronaut", "Micronaut"),
        ("io.javalin:javalin", "Javalin"),
        ("io.vertx:", "Vert.x"),
        ("io.helidon", "Helidon"),
        ("org.http4k:", "http4k"),
        ("com.sparkjava:", "Spark"),
    ];
    if has("io.quarkus") {
        return Some("Quarkus");
    }
    KNOWN
        .iter()
        .find(|(sign, _)| text.contains(sign))
        .map(|(_, shown)| *shown)
}

/// What `include` names, over several lines too.
fn included(settings: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut goes_on = false;
    for line in settings.lines().map(str::trim) {
        let begins = line
            .strip_prefix("include")
            .is_some_and(|rest| rest.starts_with(['(', ' ', '"', '\'']));
        if begins || goes_on {
            found.extend(quoted(line).into_iter().map(str::to_owned));
            goes_on = line.ends_with([',', '(']) && found.len() < MOST_MODULES;
        }
    }
    found
}

fn version(text: &str) -> Option<String> {
    const SIGNS: &[&str] = &[
        "JavaLanguageVersion.of",
        "jvmToolchain",
        "JavaVersion.VERSION_",
        "sourceCompatibility",
        "options.release",
        "targetCompatibility",
    ];
    SIGNS.iter().find_map(|sign| {
        let (_, rest) = text.split_once(sign)?;
        let rest = rest.lines().next()?.trim_start_matches([' ', '=', '(', '"', '\'']);
        let rest = rest.strip_prefix("set(").unwrap_or(rest);
        let number: String = rest
            .chars()
            .take_while(|character| character.is_ascii_digit() || matches!(character, '.' | '_'))
            .take(8)
            .collect();
        (!number.is_empty()).then(|| number.replace('_', "."))
    })
}

/// The texts between quotes on a line.
fn quoted(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = &rest[at..=at];
        let after = &rest[at + 1..];
        let Some(end) = after.find(quote) else { break };
        found.push(&after[..end]);
        rest = &after[end + 1..];
    }
    found
}

/// Without comments, roughly: a `//` in an address is none.
fn without_remarks(text: &str) -> String {
    let mut kept = String::new();
    let mut in_block = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if in_block {
            in_block = !trimmed.contains("*/");
            continue;
        }
        if trimmed.starts_with("/*") {
            in_block = !trimmed.contains("*/");
            continue;
        }
        if !trimmed.starts_with("//") {
            let end = line.find(" // ").unwrap_or(line.len());
            kept.push_str(&line[..end]);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_modules_are_found() {
        for (text, expected) in [
            ("languageVersion = JavaLanguageVersion.of(21)", "21"),
            ("languageVersion.set(JavaLanguageVersion.of(17))", "17"),
            ("kotlin { jvmToolchain(11) }", "11"),
            ("sourceCompatibility = JavaVersion.VERSION_1_8", "1.8"),
            ("sourceCompatibility = '17'", "17"),
        ] {
            assert_eq!(version(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(
            included("include(\"a\", \":b:c\")\nincludeBuild('x')\ninclude 'd',\n  'e'\n"),
            ["a", ":b:c", "d", "e"]
        );
    }

    #[test]
    fn plugins_are_found_in_every_notation() {
        let catalog: Table =
            toml::from_str("[plugins]\nspring-boot = { id = \"org.springframework.boot\" }\n").unwrap();
        let boot = |text: &str| applies(text, "org.springframework.boot", &catalog);
        assert!(boot("  id 'org.springframework.boot' version '3.5.0'"));
        assert!(boot("alias(libs.plugins.spring.boot)"));
        assert!(!boot("id(\"org.springframework.boot\") version \"3\" apply false"));
        assert!(applies("plugins {\n    application\n}", "application", &catalog));
        assert!(applies("apply plugin: 'application'", "application", &catalog));
    }
}
