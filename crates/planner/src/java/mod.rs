//! Java and Kotlin: from `pom.xml` or Gradle's files to what the Dockerfile needs to know.

mod choice;
mod gradle;
mod maven;
mod ready;
mod source;
mod tomcat;
mod version;
mod write;
mod xml;

pub(crate) use ready::archive;

use crate::{
    Refusal, bases,
    command::{Command, words},
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, shown},
};

/// What is made by building, and no input of it. Deeper folders of these names may be packages of the source.
const LEAVE_OUT: &[&str] = &["target", "*/target", "build", "*/build", ".gradle"];

/// Something of the build that can be started.
#[derive(Clone, Debug)]
struct Module {
    /// From the application's directory; empty for the directory itself.
    folder: String,
    name: String,
    kind: Kind,
    framework: Option<&'static str>,
    main: Option<String>,
    main_because: &'static str,
    /// All classes with a `main`.
    mains: Vec<String>,
    port: Option<u16>,
    /// Maven packs it as an archive for a servlet container, which can start itself.
    is_archive: bool,
    /// Gradle's task that makes it.
    task: String,
}

impl Module {
    /// What lies in the application's directory as it is started.
    fn unpacked(kind: Kind) -> Self {
        Self {
            folder: String::new(),
            name: "app".to_owned(),
            kind,
            framework: None,
            main: None,
            main_because: "",
            mains: Vec::new(),
            port: None,
            is_archive: kind == Kind::Archive,
            task: String::new(),
        }
    }
}

/// What a build leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One archive that can be started.
    Jar,
    /// The folder of a Quarkus application.
    Quarkus,
    /// An archive with the module's classes; what it depends on is put beside it.
    Classes,
    /// The folder of Gradle's `installDist`.
    Distribution,
    /// An archive for a servlet container.
    Archive,
}

/// The program that builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Maven { has_wrapper: bool },
    Gradle { has_wrapper: bool },
}

/// Everything that the Dockerfile of a Java application depends on.
#[derive(Debug)]
struct Recipe {
    java: u64,
    tool: Tool,
    image: String,
    install: Option<Command>,
    install_variables: Variables,
    build: Option<Command>,
    build_variables: Variables,
    module: Option<Module>,
    is_multi_module: bool,
    /// The release of the servlet container that the application needs.
    tomcat: Option<&'static str>,
    start: Start,
}

#[derive(Debug)]
enum Start {
    /// Of what the build leaves, in the places that we give it.
    Script(String),
    /// The user's, which names what the build leaves where the build leaves it.
    Command(Command),
}

pub(crate) fn is_there(tree: &Tree) -> bool {
    is_built(tree) || ready::is_unpacked(tree)
}

fn is_built(tree: &Tree) -> bool {
    tree.has("pom.xml") || is_gradle(tree)
}

fn is_gradle(tree: &Tree) -> bool {
    [
        "build.gradle",
        "build.gradle.kts",
        "settings.gradle",
        "settings.gradle.kts",
    ]
    .iter()
    .any(|file| tree.has(file))
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let tree = survey.tree;
    if !is_built(tree) {
        return ready::plan(survey);
    }
    let is_maven = tree.has("pom.xml");
    let custom_build = survey.chosen_command(Choice::Build, "build command")?;
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let start_override = survey.start_override()?;
    let (modules, wish, newest, is_multi_module) = if is_maven {
        let build = maven::read(tree)?;
        (build.modules, build.version, None, build.is_multi_module)
    } else {
        let build = gradle::read(tree)?;
        let newest = gradle::newest_java(tree)?;
        for warning in &build.warnings {
            survey.warn(warning);
        }
        (build.modules, build.version, newest, build.is_multi_module)
    };
    let java = version::choose(survey, wish, newest)?;
    let tool = tool(survey, is_maven);
    let module = match choice::choose(survey, &modules, is_maven) {
        Ok(module) => Some(module),
        Err(_) if start_override.is_some() => None,
        Err(refusal) => return Err(refusal),
    };
    let framework = module.as_ref().and_then(|module| module.framework);
    if let Some(framework) = framework {
        survey.fact(
            "framework",
            framework,
            if is_maven { "pom.xml" } else { "the build file" },
        );
    }
    let web = module.as_ref().filter(|module| module.kind == Kind::Archive);
    let tomcat = match web.filter(|_| start_override.is_none()) {
        Some(module) => Some(tomcat::choose(survey, module, java)?),
        None => None,
    };
    let (start, start_command) = match start_override {
        Some(command) => {
            let text = command.text().to_owned();
            (Start::Command(command), text)
        }
        None if tomcat.is_some() => (
            Start::Script(tomcat::START.to_owned()),
            "bin/catalina.sh run".to_owned(),
        ),
        None => {
            let java_command = match &module {
                Some(module) => started(survey, module)?,
                None => return Err(choice::nothing(is_maven)),
            };
            let prelude = prelude(framework);
            let start = format!("{prelude}exec {java_command}");
            (Start::Script(start), java_command)
        }
    };
    let port = port(survey, module.as_ref(), &start);
    if survey.chosen(Choice::Output).is_some() {
        survey.warn("The output directory is not used: this application is a Java program.");
    }
    let recipe = Recipe {
        java,
        tool,
        image: image(tool, java, custom_build.as_ref()),
        install_variables: survey.variables(|name| install.is_some() || name.starts_with("MAVEN_")),
        install,
        build: custom_build,
        build_variables: survey.build_variables(),
        module,
        is_multi_module,
        tomcat,
        start,
    };
    Ok(Outcome {
        provider: "java",
        framework: framework.map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(start_command),
    })
}

fn tool(survey: &mut Survey<'_>, is_maven: bool) -> Tool {
    let tree = survey.tree;
    if is_maven {
        let has_wrapper = tree.has_file("mvnw") && tree.has_file(".mvn/wrapper/maven-wrapper.properties");
        let because = if has_wrapper {
            "mvnw, whose version is the project's"
        } else {
            "pom.xml, and there is no mvnw"
        };
        survey.fact("build tool", "Maven", because);
        return Tool::Maven { has_wrapper };
    }
    let has_wrapper = gradle::has_wrapper(tree);
    let because = if has_wrapper {
        "gradlew, whose version is the project's"
    } else {
        survey.warn(
            "There is no complete Gradle wrapper (gradlew and gradle/wrapper), so a Gradle of the base image is used, which \
             may not understand the build. Commit what `gradle wrapper` writes.",
        );
        "the build file, and there is no complete wrapper"
    };
    survey.fact("build tool", "Gradle", because);
    Tool::Gradle { has_wrapper }
}

/// A wrapper fetches its own tool; a command of the user's may want the image's.
fn image(tool: Tool, java: u64, build: Option<&Command>) -> String {
    let calls = |name: &str| build.is_some_and(|build| build.names(name));
    match tool {
        Tool::Maven { has_wrapper } if !has_wrapper || calls("mvn") => bases::maven(java),
        Tool::Gradle { has_wrapper } if !has_wrapper || calls("gradle") => bases::gradle(java),
        _ => bases::jdk(java),
    }
}

/// Java with what it starts. Three quarters of the container's memory are for objects; the rest is for threads, code and
/// buffers.
fn command(what: &str) -> String {
    format!("java -XX:MaxRAMPercentage=75.0 -XX:+ExitOnOutOfMemoryError $JAVA_OPTS {what}")
}

/// How Java starts what the build leaves.
fn started(survey: &mut Survey<'_>, module: &Module) -> Result<String, Refusal> {
    let main = match (module.kind, &module.main) {
        (Kind::Jar, main) => {
            survey.fact(
                "start command",
                "java -jar app.jar",
                "the build packs everything into one archive",
            );
            let is_engine = main
                .as_ref()
                .is_some_and(|main| main.starts_with("io.ktor.server.") && main.ends_with("EngineMain"));
            let port = if is_engine { " -port=\"${PORT:-8080}\"" } else { "" };
            return Ok(command(&format!("-jar /app/app.jar{port}")));
        }
        (Kind::Quarkus, _) => {
            survey.fact(
                "start command",
                "java -jar quarkus-run.jar",
                "the build leaves a Quarkus application",
            );
            return Ok(command("-jar /app/quarkus-run.jar"));
        }
        (_, Some(main)) => main,
        (_, None) => {
            return Err(Refusal::Ambiguous {
                found: format!("{} classes with a main method", module.mains.len()),
                candidates: shown(&module.mains.iter().take(20).cloned().collect::<Vec<_>>().join(", ")),
                advice: "Name one as mainClass in the build file, or set the start command.".to_owned(),
            });
        }
    };
    survey.fact("main class", main, module.main_because);
    let is_engine = main.starts_with("io.ktor.server.") && main.ends_with("EngineMain");
    let port = if is_engine { " -port=\"${PORT:-8080}\"" } else { "" };
    Ok(command(&format!("-cp '/app/lib/*' {main}{port}")))
}

/// Frameworks that do not look at `PORT` themselves are told.
fn prelude(framework: Option<&str>) -> &'static str {
    match framework {
        Some("Spring Boot") => "export SERVER_PORT=\"${SERVER_PORT:-${PORT:-8080}}\"; ",
        Some("Quarkus") => {
            "export QUARKUS_HTTP_HOST=\"${QUARKUS_HTTP_HOST:-0.0.0.0}\" QUARKUS_HTTP_PORT=\"${QUARKUS_HTTP_PORT:-${PORT:-8080}}\"; "
        }
        Some("Micronaut") => "export MICRONAUT_SERVER_PORT=\"${MICRONAUT_SERVER_PORT:-${PORT:-8080}}\"; ",
        Some("Helidon") => "export SERVER_PORT=\"${SERVER_PORT:-${PORT:-8080}}\"; ",
        _ => "",
    }
}

fn port(survey: &mut Survey<'_>, module: Option<&Module>, start: &Start) -> Option<u16> {
    match start {
        Start::Command(command) => {
            let port = command.literal_port().or_else(|| literal_property(command));
            if let Some(port) = port {
                survey.fact("port", &port.to_string(), "the start command");
            }
            port
        }
        Start::Script(script) if script.contains("PORT") => {
            survey.fact("port", "PORT", "the start command tells the framework");
            None
        }
        Start::Script(_) => {
            let port = module?.port?;
            survey.fact(
                "port",
                &port.to_string(),
                "it is named in the source, and PORT is not looked at",
            );
            Some(port)
        }
    }
}

/// `-Dserver.port=8080`.
fn literal_property(command: &Command) -> Option<u16> {
    words(command.text()).find_map(|word| {
        let (name, value) = word.strip_prefix("-D")?.split_once('=')?;
        name.ends_with("port").then(|| value.parse().ok()).flatten()
    })
}
