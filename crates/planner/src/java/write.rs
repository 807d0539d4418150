//! The Dockerfile of a Java application.
//!
//! Built on a JDK with the project's own tool, run on a JRE. What the tool fetches (dependencies, plugins, the wrapper's
//! own Maven or Gradle) is in a cache mount: neither tool can be asked for all of it ahead of the source.

use crate::{
    bases,
    dockerfile::{Caches, Dockerfile},
    java::{Kind, Module, Recipe, Start, Tool, tomcat},
    tree::join,
};

/// By its whole name: the version is fixed, and no list of plugins has to be fetched to find it.
const COPY_LIBRARIES: &str =
    " org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime";

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A Java application.");
    if let Some(version) = recipe.tomcat {
        tomcat::stage(&mut file, version, recipe.java, caches);
    }
    file.from(&recipe.image, Some("build"));
    file.workdir("/app");
    let mounts = match recipe.tool {
        Tool::Maven { .. } => caches.mount("maven", "/root/.m2", true),
        Tool::Gradle { .. } => {
            file.env(&[("GRADLE_USER_HOME", "/root/.gradle")]);
            caches.mount("gradle", "/root/.gradle", true)
        }
    };
    file.copy_everything();
    if let Some(command) = &recipe.install {
        file.run_script(&mounts, &recipe.install_variables, command.text());
    }
    file.variables_digest(&recipe.build_variables);
    match &recipe.build {
        Some(command) => file.run_script(&mounts, &recipe.build_variables, command.text()),
        None => file.run_seeing(&mounts, &recipe.build_variables, &build(recipe)),
    }
    file.comment("What is started, and what else it may open.");
    file.run(&[], &collect(recipe));
    if recipe.tomcat.is_some() {
        tomcat::base(&mut file, recipe.java);
        file.copy_from_owned("build", "/out/app", "/app/webapps/ROOT");
    } else {
        copy_others(&mut file);
        file.from(&bases::jre(recipe.java), None);
        file.copy_from_owned("build", "/out/app", "/app");
    }
    file.workdir("/app");
    file.env(&[("HOME", "/app")]);
    match &recipe.start {
        Start::Script(script) => {
            file.run_as_its_owner();
            file.start(script);
        }
        Start::Command(command) => {
            // The user's command has no flags of ours.
            file.env(&[("JAVA_TOOL_OPTIONS", "-XX:MaxRAMPercentage=75.0")]);
            file.run_as_its_owner();
            file.start(&command.as_process());
        }
    }
    file
}

/// What the program may open beside the archive.
fn copy_others(file: &mut Dockerfile) {
    file.run(
        &[],
        "find . \\( -name src -o -name target -o -name build -o -name node_modules -o -name '.?*' \\) -prune -o \
         \\( -type f -o -type l \\) \\\n    \
         ! -name pom.xml ! -name 'mvnw*' ! -name 'gradlew*' ! -name '*.gradle*' ! -name gradle-wrapper.jar \
         -exec cp -P --parents -t /out/app {} +",
    );
}

fn build(recipe: &Recipe) -> String {
    let module = recipe.module.as_ref();
    match recipe.tool {
        Tool::Maven { has_wrapper } => {
            let program = if has_wrapper { "sh ./mvnw" } else { "mvn" };
            let of_module = module.filter(|module| recipe.is_multi_module && !module.folder.is_empty());
            let of_module = of_module.map_or(String::new(), |module| format!(" -pl {} -am", module.folder));
            let libraries = match module {
                Some(module) if module.kind == Kind::Classes => COPY_LIBRARIES,
                _ => "",
            };
            format!("{program} --batch-mode -DskipTests{of_module} package{libraries}")
        }
        Tool::Gradle { has_wrapper } => {
            let program = if has_wrapper { "sh ./gradlew" } else { "gradle" };
            let task = module.map_or("assemble", |module| module.task.as_str());
            format!("{program} --no-daemon --console=plain {task}")
        }
    }
}

/// What the build leaves, to where the start command expects it.
fn collect(recipe: &Recipe) -> String {
    let Some(module) = recipe
        .module
        .as_ref()
        .filter(|_| matches!(recipe.start, Start::Script(_)))
    else {
        return "mkdir -p /out/app && find . \\( -path '*/target/*.jar' -o -path '*/target/*.war' -o -path '*/build/libs/*' \\\n    \
                -o -path '*/build/install/*' -o -path '*/quarkus-app/*' -o -path '*/target/dependency/*' \\\n    \
                -o -path '*/target/classes/*' \\) -type f \
                -exec cp --parents -t /out/app {} +"
            .to_owned();
    };
    let folder = output(recipe.tool, module);
    match module.kind {
        Kind::Quarkus => {
            let folder = folder.trim_end_matches("/libs");
            format!("mkdir -p /out && cp -r {folder}/quarkus-app /out/app")
        }
        // There may be other archives beside the one that holds everything; that one is the largest.
        Kind::Jar => format!("mkdir -p /out/app && {}", copy_jar(&folder, module, "app/app.jar")),
        Kind::Classes => format!(
            "mkdir -p /out/app/lib && {} && \\\n    if [ -d {folder}/dependency ]; then cp -r {folder}/dependency/. /out/app/lib/; fi",
            copy_jar(&folder, module, "app/lib/app.jar")
        ),
        // Unpacked once, and not whenever it is started.
        Kind::Archive => format!(
            "mkdir -p /out/app && {} && cd /out/app && jar xf /out/app.war && rm -f /out/app.war",
            copy_jar(&folder, module, "app.war")
        ),
        Kind::Distribution => {
            let folder = folder.trim_end_matches("/libs");
            format!("mkdir -p /out/app && cp -r {folder}/install/*/. /out/app/")
        }
    }
}

fn output(tool: Tool, module: &Module) -> String {
    match tool {
        Tool::Maven { .. } => join(&module.folder, "target"),
        Tool::Gradle { .. } => join(&module.folder, "build/libs"),
    }
}

fn copy_jar(folder: &str, module: &Module, to: &str) -> String {
    let kind = if module.is_archive { "war" } else { "jar" };
    format!(
        "cp \"$(ls -S {folder}/*.{kind} | grep -vE '(-sources|-javadoc|-plain|-tests)\\.jar$|/original-' | head -n 1)\" \
         /out/{to}"
    )
}
