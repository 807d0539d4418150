//! Web applications for a servlet container, which is Tomcat here: a release of it is fetched as Maven fetches any library, so that
//! it can be had wherever the application's own libraries can.

use crate::{
    Refusal, bases,
    dockerfile::{Caches, Dockerfile},
    java::{Module, xml},
    survey::Survey,
    tree::{Tree, join, shown},
};

/// How it is started: in the foreground, on the port that is given, with three quarters of the memory for objects.
pub(super) const START: &str = "export CATALINA_OPTS=\"-XX:MaxRAMPercentage=75.0 -XX:+ExitOnOutOfMemoryError -Dport=${PORT:-8080}\"; \
                                exec bin/catalina.sh run";

/// Logs go to the container's output, nothing but the application is served, and nobody stops it over the network.
const PREPARE: &str = "mv /tmp/tomcat/*/ /tomcat && cd /tomcat && rm -rf webapps/* && chmod +x bin/*.sh && \\\n    \
    sed -i -e 's/port=\"8005\"/port=\"-1\"/' -e 's/port=\"8080\"/port=\"${port}\"/' -e '/AccessLogValve/,/\\/>/d' conf/server.xml && \\\n    \
    sed -i 's/^\\(\\.\\?handlers\\) *=.*/\\1 = java.util.logging.ConsoleHandler/' conf/logging.properties";

/// The release for an application: those whose packages are called `javax` cannot run on a newer one.
pub(super) fn choose(survey: &mut Survey<'_>, module: &Module, java: u64) -> Result<&'static str, Refusal> {
    let tree = survey.tree;
    let (is_old, because) = if java < 11 {
        (true, "newer ones need Java 11".to_owned())
    } else {
        names(tree, &module.folder)?
    };
    let version = if is_old { bases::TOMCAT_JAVAX } else { bases::TOMCAT };
    survey.fact("servlet container", &format!("Tomcat {version}"), &because);
    Ok(version)
}

/// Whether the older names of the packages are used, and where that is seen: in what is depended on, else in `web.xml`.
fn names(tree: &Tree, folder: &str) -> Result<(bool, String), Refusal> {
    for file in ["pom.xml", "build.gradle", "build.gradle.kts"] {
        let path = join(folder, file);
        let text = tree.text(&path)?.unwrap_or_default();
        for (name, is_old) in [("jakarta.", false), ("javax.", true), ("javax:", true)] {
            if text.contains(name) {
                let name = name.trim_end_matches(['.', ':']);
                return Ok((is_old, format!("{path} names packages of {name}")));
            }
        }
    }
    let pom = xml::parse(&tree.text(&join(folder, "pom.xml"))?.unwrap_or_default());
    let parent = (pom.text("parent/artifactId"), pom.text("parent/version"));
    if let (Some("spring-boot-starter-parent"), Some(version)) = parent {
        let is_old = version.starts_with(['1', '2']);
        return Ok((is_old, format!("it is of Spring Boot {}", shown(version))));
    }
    for place in ["src/main/webapp/WEB-INF/web.xml", "WEB-INF/web.xml"] {
        let path = join(folder, place);
        let text = tree.text(&path)?.unwrap_or_default();
        if text.contains("java.sun.com") || text.contains("xmlns.jcp.org") {
            return Ok((true, format!("{path} is written for javax")));
        }
    }
    Ok((false, "nothing asks for an older one".to_owned()))
}

/// A stage that leaves Tomcat in `/tomcat`. It depends on nothing of the application's.
pub(super) fn stage(file: &mut Dockerfile, version: &str, java: u64, caches: &Caches) {
    file.comment("The servlet container.");
    // Maven's image of the oldest Java that has one.
    file.from(&bases::maven(java.max(11)), Some("tomcat"));
    let mounts = caches.mount("maven", "/root/.m2", true);
    file.run(
        &mounts,
        &format!(
            "mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack \\\n    \
             -Dartifact=org.apache.tomcat:tomcat:{version}:zip -DoutputDirectory=/tmp/tomcat && \\\n    {PREPARE}"
        ),
    );
}

/// The stage that runs: Tomcat is the application's folder, and it may write there as it is used to.
pub(super) fn base(file: &mut Dockerfile, java: u64) {
    file.from(&bases::jre(java), None);
    file.copy_from_owned("tomcat", "/tomcat", "/app");
}
