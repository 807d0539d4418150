//! Java and Kotlin applications.

use crate::common::{fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const MAIN: &str = "package com.example;\n\npublic class App {\n    public static void main(String[] args) {}\n}\n";

/// A `pom.xml` with these elements in its project.
fn pom(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>com.example</groupId><artifactId>shop</artifactId><version>1.0</version>{inside}</project>"
    )
}

fn plugin(name: &str) -> String {
    format!("<build><plugins><plugin><artifactId>{name}</artifactId></plugin></plugins></build>")
}

#[test]
fn spring_boot_with_maven_is_built_on_a_jdk_and_run_on_a_jre() {
    let pom = pom(&format!(
        "<properties><java.version>17</java.version></properties>{}",
        plugin("spring-boot-maven-plugin")
    ));
    let plan = plan(&[("pom.xml", &pom), ("src/main/java/com/example/App.java", MAIN)]);
    assert_eq!(
        (plan.provider.as_str(), plan.framework.as_deref()),
        ("java", Some("Spring Boot"))
    );
    assert_eq!(
        plan.base_images,
        ["maven:3-eclipse-temurin-17", "eclipse-temurin:17-jre"]
    );
    assert_eq!(
        fact(&plan, "java version"),
        ("17", "java.version in pom.xml:2 asks for 17")
    );
    let text = &plan.dockerfile;
    assert!(text.contains("mvn --batch-mode -DskipTests package\n"), "{text}");
    assert!(text.contains("id=k1-maven,target=/root/.m2,sharing=locked"), "{text}");
    assert!(
        text.contains("\nUSER 10001:10001\nCMD") && text.contains("--chown=10001:10001"),
        "{text}"
    );
    let start = start(&plan);
    assert!(
        start.starts_with("export SERVER_PORT=\"${SERVER_PORT:-${PORT:-8080}}\"; exec java "),
        "{start}"
    );
    assert!(
        start.contains("-XX:MaxRAMPercentage=75.0") && start.ends_with("-jar /app/app.jar"),
        "{start}"
    );
    assert_eq!(plan.port, None);
}

#[test]
fn a_wrapper_brings_its_own_maven() {
    let pom = pom(&plugin("spring-boot-maven-plugin"));
    let plan = plan(&[
        ("pom.xml", &pom),
        ("mvnw", "#!/bin/sh\n"),
        (".mvn/wrapper/maven-wrapper.properties", "distributionUrl=x\n"),
    ]);
    assert_eq!(plan.base_images, ["eclipse-temurin:21-jdk", "eclipse-temurin:21-jre"]);
    assert!(
        plan.dockerfile.contains("sh ./mvnw --batch-mode"),
        "{}",
        plan.dockerfile
    );
}

#[test]
fn a_plain_program_runs_with_its_libraries_beside_it() {
    let pom = pom("<properties><maven.compiler.release>21</maven.compiler.release></properties>");
    let files = [("pom.xml", pom.as_str()), ("src/main/java/com/example/App.java", MAIN)];
    let plain = plan(&files);
    assert_eq!(
        fact(&plain, "main class"),
        ("com.example.App", "the only class with a main method")
    );
    assert!(plain.dockerfile.contains(":copy-dependencies -DincludeScope=runtime"));
    assert!(
        start(&plain).ends_with("-cp '/app/lib/*' com.example.App"),
        "{}",
        start(&plain)
    );
    let kotlin = plan(&[
        ("pom.xml", &pom),
        (
            "src/main/kotlin/Main.kt",
            "package shop\n\nfun main() {\n    app.start(7070)\n}\n",
        ),
    ]);
    assert_eq!(fact(&kotlin, "main class").0, "shop.MainKt");
    assert_eq!(kotlin.port, Some(7070));
    let second = [
        files[0],
        files[1],
        (
            "src/main/java/com/example/B.java",
            "class B { public static void main(String[] a) {} }",
        ),
    ];
    let words = refusal(&second);
    assert!(
        words.contains("com.example.App") && words.contains("mainClass"),
        "{words}"
    );
}

#[test]
fn quarkus_is_told_where_to_listen() {
    let plan = plan(&[("pom.xml", &pom(&plugin("quarkus-maven-plugin")))]);
    assert_eq!(plan.framework.as_deref(), Some("Quarkus"));
    assert!(
        plan.dockerfile.contains("cp -r target/quarkus-app /out/app"),
        "{}",
        plan.dockerfile
    );
    let start = start(&plan);
    assert!(
        start.contains("QUARKUS_HTTP_PORT") && start.contains("0.0.0.0"),
        "{start}"
    );
}

#[test]
fn of_several_modules_one_is_built_with_what_it_needs() {
    let root = pom("<packaging>pom</packaging><modules><module>core</module><module>shop-web</module></modules>");
    let module = |name: &str, inside: &str| format!("<project><artifactId>{name}</artifactId>{inside}</project>");
    let (core, web) = (
        module("core", ""),
        module("shop-web", &plugin("spring-boot-maven-plugin")),
    );
    let mut files = vec![
        ("pom.xml", root.as_str()),
        ("core/pom.xml", &core),
        ("shop-web/pom.xml", &web),
    ];
    let one = plan(&files);
    assert!(
        one.dockerfile.contains("-pl shop-web -am package"),
        "{}",
        one.dockerfile
    );
    assert!(
        one.dockerfile.contains("ls -S shop-web/target/*.jar"),
        "{}",
        one.dockerfile
    );
    let all = root.replace("<modules>", &format!("{}<modules>", plugin("spring-boot-maven-plugin")));
    let bare = module("shop-web", "");
    let inherits = plan(&[
        ("pom.xml", &all),
        ("core/pom.xml", &core),
        ("shop-web/pom.xml", &bare),
        ("shop-web/src/main/java/com/example/App.java", MAIN),
    ]);
    assert_eq!(fact(&inherits, "module").0, "shop-web");
    assert_eq!(inherits.framework.as_deref(), Some("Spring Boot"));
    files[1].1 = &web;
    assert!(!plan(&files).warnings.is_empty());
    let wrong = try_plan(&files, &with_variables(&[("CLICK_DEPLOY_JAVA_MODULE", "nothing")]))
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("shop-web"), "{wrong}");
}

#[test]
fn the_version_is_read_where_people_write_it() {
    let pom = pom(&plugin("spring-boot-maven-plugin"));
    let with = |file: &str, text: &str| try_plan(&[("pom.xml", &pom), (file, text)], &settings());
    for (file, text, major, place) in [
        (".java-version", "17\n", "17", ".java-version"),
        (".sdkmanrc", "# x\njava=21.0.2-tem\n", "21", ".sdkmanrc"),
        (
            "system.properties",
            "java.runtime.version=11\n",
            "11",
            "system.properties",
        ),
        (
            ".tool-versions",
            "java temurin-25.0.1+8\n",
            "25",
            ".tool-versions:1 asks",
        ),
        (
            "mise.toml",
            "[tools]\njava = \"zulu-8.86\"\n",
            "8",
            "tools.java in mise.toml:2 asks",
        ),
    ] {
        let plan = with(file, text).unwrap();
        assert_eq!(fact(&plan, "java version").0, major, "{file}");
        let because = fact(&plan, "java version").1;
        assert!(because.starts_with(place), "{because}");
    }
    let ended = with(".java-version", "20").unwrap();
    assert_eq!(fact(&ended, "java version").0, "21");
    assert!(
        ended.warnings.iter().any(|warning| warning.contains("no updates")),
        "{:?}",
        ended.warnings
    );
    let words = with(".java-version", "99").unwrap_err().to_string();
    assert!(words.contains("Java 99") && words.contains("25"), "{words}");
    let chosen = try_plan(&[("pom.xml", &pom)], &with_variables(&[("RAILPACK_JDK_VERSION", "17")])).unwrap();
    assert_eq!(
        fact(&chosen, "java version"),
        ("17", "the variable RAILPACK_JDK_VERSION asks for 17")
    );
}

#[test]
fn a_war_file_is_served_by_tomcat_unless_it_starts_itself() {
    let served = plan(&[("pom.xml", &pom("<packaging>war</packaging>"))]);
    assert_eq!(served.start_command.as_deref(), Some("bin/catalina.sh run"));
    assert_eq!(
        fact(&served, "servlet container"),
        ("Tomcat 10.1.59", "nothing asks for an older one")
    );
    let text = &served.dockerfile;
    assert!(
        text.contains("target/*.war") && text.contains("jar xf /out/app.war"),
        "{text}"
    );
    assert!(
        text.contains("COPY --from=tomcat --chown=10001:10001 /tomcat /app\n"),
        "{text}"
    );
    assert!(
        text.contains("-Dport=${PORT:-8080}") && text.contains("\nUSER 10001:10001\nCMD"),
        "{text}"
    );
    let old = "<packaging>war</packaging><dependencies><dependency><groupId>javax.servlet</groupId></dependency></dependencies>";
    let skipped = "<packaging>war</packaging><parent><artifactId>spring-boot-starter-parent</artifactId><version>2.7.1</version></parent>\
                   <build><plugins><plugin><artifactId>spring-boot-maven-plugin</artifactId><executions><execution><configuration>\
                   <skip>true</skip></configuration></execution></executions></plugin></plugins></build>";
    let skipped = plan(&[("pom.xml", &pom(skipped))]);
    assert_eq!(
        fact(&skipped, "servlet container"),
        ("Tomcat 9.0.117", "it is of Spring Boot 2.7.1")
    );
    let old = plan(&[("pom.xml", &pom(old))]);
    assert_eq!(
        fact(&old, "servlet container"),
        ("Tomcat 9.0.117", "pom.xml names packages of javax")
    );
    let bootable = pom(&format!(
        "<packaging>war</packaging>{}",
        plugin("spring-boot-maven-plugin")
    ));
    assert!(plan(&[("pom.xml", &bootable)]).dockerfile.contains("target/*.war"));
    let nothing = refusal(&[("pom.xml", &pom(""))]);
    assert!(
        nothing.contains("mainClass") && nothing.contains("start command"),
        "{nothing}"
    );
}

const WRAPPER: [(&str, &str); 3] = [
    ("gradlew", "#!/bin/sh\n"),
    ("gradle/wrapper/gradle-wrapper.jar", ""),
    (
        "gradle/wrapper/gradle-wrapper.properties",
        "distributionUrl=https\\://services.gradle.org/distributions/gradle-8.13-bin.zip\n",
    ),
];

#[test]
fn gradle_builds_what_its_plugins_pack() {
    let with = |file: &str, text: &str| {
        let files: Vec<(&str, &str)> = WRAPPER.into_iter().chain([(file, text)]).collect();
        plan(&files)
    };
    let spring = with(
        "build.gradle",
        "plugins {\n  id 'java'\n  id 'org.springframework.boot' version '3.5.7'\n}\njava { toolchain { languageVersion = JavaLanguageVersion.of(17) } }\n",
    );
    assert_eq!(spring.base_images, ["eclipse-temurin:17-jdk", "eclipse-temurin:17-jre"]);
    assert!(
        spring
            .dockerfile
            .contains("sh ./gradlew --no-daemon --console=plain :bootJar"),
        "{}",
        spring.dockerfile
    );
    assert!(
        spring
            .dockerfile
            .contains("id=k1-gradle,target=/root/.gradle,sharing=locked")
    );
    let ktor = with(
        "build.gradle.kts",
        "plugins {\n    kotlin(\"jvm\")\n    id(\"io.ktor.plugin\") version \"3.2.3\"\n}\napplication {\n    mainClass = \
         \"io.ktor.server.netty.EngineMain\"\n}\n",
    );
    assert_eq!(ktor.framework.as_deref(), Some("Ktor"));
    assert!(ktor.dockerfile.contains(":buildFatJar"), "{}", ktor.dockerfile);
    assert!(
        start(&ktor).ends_with("-jar /app/app.jar -port=\"${PORT:-8080}\""),
        "{}",
        start(&ktor)
    );
    let plain = with(
        "build.gradle.kts",
        "plugins {\n    application\n}\napplication { mainClass.set(\"a.Main\") }\n",
    );
    assert!(
        plain.dockerfile.contains("cp -r build/install/*/. /out/app/"),
        "{}",
        plain.dockerfile
    );
    assert!(start(&plain).ends_with("-cp '/app/lib/*' a.Main"), "{}", start(&plain));
}

#[test]
fn the_module_of_a_gradle_build_is_found_and_the_catalog_read() {
    let mut files = WRAPPER.to_vec();
    files.extend([
        (
            "settings.gradle.kts",
            "rootProject.name = \"shop\"\ninclude(\"core\", \"server\")\n",
        ),
        (
            "build.gradle.kts",
            "plugins {\n    alias(libs.plugins.spring.boot) apply false\n}\n",
        ),
        ("core/build.gradle.kts", "plugins { `java-library` }\n"),
        (
            "server/build.gradle.kts",
            "plugins {\n    alias(libs.plugins.spring.boot)\n}\nkotlin { jvmToolchain(21) }\n",
        ),
        (
            "gradle/libs.versions.toml",
            "[plugins]\nspring-boot = { id = \"org.springframework.boot\", version = \"3.5.7\" }\n",
        ),
    ]);
    let plan = plan(&files);
    assert_eq!(fact(&plan, "module"), ("server", "the only one that can be started"));
    assert!(plan.dockerfile.contains(":server:bootJar") && plan.dockerfile.contains("ls -S server/build/libs/*.jar"));
    assert_eq!(
        fact(&plan, "java version").1,
        "the toolchain in server/build.gradle.kts asks for 21"
    );
}

#[test]
fn an_old_gradle_gets_a_java_that_it_runs_on_and_no_wrapper_the_images() {
    let build = (
        "build.gradle",
        "apply plugin: 'application'\nmainClassName = 'a.Main'\n",
    );
    let old = (
        "gradle/wrapper/gradle-wrapper.properties",
        "distributionUrl=https\\://services.gradle.org/distributions/gradle-7.6.1-bin.zip\n",
    );
    let plan_of_old = plan(&[WRAPPER[0], WRAPPER[1], old, build]);
    assert_eq!(fact(&plan_of_old, "java version").0, "17");
    let without = plan(&[build]);
    assert_eq!(without.base_images, ["gradle:8-jdk21", "eclipse-temurin:21-jre"]);
    assert!(
        without
            .warnings
            .iter()
            .any(|warning| warning.contains("gradle wrapper"))
    );
    let words = refusal(&[("build.gradle", "plugins { id 'java' }\n")]);
    assert!(words.contains("application plugin"), "{words}");
}

#[test]
fn commands_of_the_user_win_and_find_what_the_build_leaves() {
    let pom = pom(&plugin("spring-boot-maven-plugin"));
    let files = [
        ("pom.xml", pom.as_str()),
        ("Procfile", "web: java -Dserver.port=$PORT -jar target/shop-1.0.jar\n"),
    ];
    let by_procfile = plan(&files);
    assert_eq!(
        start(&by_procfile),
        "exec java -Dserver.port=$PORT -jar target/shop-1.0.jar"
    );
    assert!(
        by_procfile.dockerfile.contains("-path '*/target/*.jar'"),
        "{}",
        by_procfile.dockerfile
    );
    assert!(
        by_procfile
            .dockerfile
            .contains("JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75.0")
    );
    let settings = Settings {
        build_command: Some("mvn verify".into()),
        ..settings()
    };
    let built = try_plan(&files, &settings).unwrap();
    assert!(
        built.dockerfile.contains("[\"sh\",\"-c\",\"mvn verify\"]"),
        "{}",
        built.dockerfile
    );
}

#[test]
fn hostile_build_files_end_in_a_plan_or_a_refusal() {
    for evil in [
        "x\nRUN evil",
        "$(evil)",
        "a b",
        "-Dx=y",
        "../../etc",
        "\"]\nUSER root",
        "a';evil",
    ] {
        let text = format!(
            "<project><artifactId>{evil}</artifactId><properties><java.version>{evil}</java.version><exec.mainClass>{evil}\
             </exec.mainClass></properties><modules><module>{evil}</module><module>..</module></modules></project>"
        );
        let class = format!("package {evil};\nclass A {{ public static void main(String[] a) {{}} }}");
        let _ = try_plan(&[("pom.xml", &text), ("src/main/java/A.java", &class)], &settings());
        let gradle = format!("plugins {{ application }}\nmainClass = \"{evil}\"\njvmToolchain({evil})\n");
        let include = format!("include(\"{evil}\", \"a:{evil}\")\nrootProject.name = \"{evil}\"\n");
        let files = [
            ("build.gradle.kts", gradle.as_str()),
            ("settings.gradle.kts", &include),
            ("src/A.java", &class),
        ];
        let _ = try_plan(&files, &with_variables(&[("RAILPACK_JDK_VERSION", evil)]));
    }
    assert!(refusal(&[("pom.xml", "nothing")]).contains("pom.xml"));
    let deep = format!("<project>{}", "<modules><module>".repeat(50_000));
    let _ = try_plan(&[("pom.xml", &deep)], &settings());
}

#[test]
fn web_applications_and_archives_of_gradle_are_started() {
    let served = plan(&[(
        "build.gradle",
        "plugins {\n    id 'war'\n}\ndependencies {\n  providedCompile 'jakarta.platform:x:10'\n}\n",
    )]);
    assert!(
        served.dockerfile.contains("--console=plain :war"),
        "{}",
        served.dockerfile
    );
    assert_eq!(served.start_command.as_deref(), Some("bin/catalina.sh run"));
    let plain = "apply plugin: 'java'\njar {\n  manifest {\n    attributes('Main-Class': 'hello.HelloWorld')\n  }\n}\n";
    let started = plan(&[("build.gradle", plain)]);
    assert!(
        started.dockerfile.contains("--console=plain :jar")
            && started.warnings.iter().all(|warning| !warning.contains("holds"))
    );
    assert!(start(&started).ends_with("-jar /app/app.jar"), "{}", start(&started));
    let needs = format!("{plain}dependencies {{\n  implementation 'a:b:1'\n}}\n");
    let needs = plan(&[("build.gradle", &needs)]);
    assert!(
        needs
            .warnings
            .iter()
            .any(|warning| warning.contains("application plugin")),
        "{:?}",
        needs.warnings
    );
}

#[test]
fn what_is_built_already_is_started_as_it_is() {
    let manifest = "Manifest-Version: 1.0\nMain-Class: org.springframework.boot.loader.launch.JarLauncher\nSpring-Boot-Version: 3\n\
                    Build-Jdk-Spec: 17\n";
    let unpacked = plan(&[("META-INF/MANIFEST.MF", manifest), ("BOOT-INF/lib/a.jar", "")]);
    assert_eq!(unpacked.base_images, ["eclipse-temurin:17-jre"]);
    assert!(
        start(&unpacked).ends_with("$JAVA_OPTS -cp /app org.springframework.boot.loader.launch.JarLauncher")
            && start(&unpacked).starts_with("export SERVER_PORT="),
        "{}",
        start(&unpacked)
    );
    let web = plan(&[
        (
            "WEB-INF/web.xml",
            "<web-app xmlns=\"http://xmlns.jcp.org/xml/ns/javaee\"/>",
        ),
        ("index.jsp", ""),
    ]);
    assert!(
        web.dockerfile
            .contains("WORKDIR /app/webapps/ROOT\nCOPY --chown=10001:10001 . .\n"),
        "{}",
        web.dockerfile
    );
    assert_eq!(fact(&web, "servlet container").0, "Tomcat 9.0.117");
    let archive = plan(&[
        ("shop-1.0.jar", ""),
        ("Procfile", "web: java -jar shop-1.0.jar --port=$PORT\n"),
    ]);
    assert_eq!(start(&archive), "exec java -jar shop-1.0.jar --port=$PORT");
    assert!(start(&plan(&[("shop.jar", "")])).ends_with("-jar /app/shop.jar"));
    assert!(refusal(&[("a.jar", ""), ("b.jar", "")]).contains("no application was recognized"));
    // Not hostile names, and not the wrapper's archive of a page.
    assert!(refusal(&[("a b.jar", "")]).contains("no application was recognized"));
    assert_eq!(plan(&[("shop.jar", ""), ("index.html", "")]).provider, "static");
}
