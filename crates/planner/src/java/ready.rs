//! What is built already: the content of an archive that can be started, a web application as its container unpacks it, or an
//! archive alone.

use crate::{
    Refusal, bases,
    dockerfile::Dockerfile,
    java::{Kind, Module, command, prelude, source::is_class, tomcat, version},
    survey::{Outcome, Survey},
    tree::{Tree, is_plain_path},
};

const MANIFEST: &str = "META-INF/MANIFEST.MF";
const WEB: &str = "WEB-INF";

/// Whether the application's directory is the content of an archive.
pub(crate) fn is_unpacked(tree: &Tree) -> bool {
    tree.has_folder(WEB) || main_class(&tree.head(MANIFEST)).is_some()
}

/// The only archive at the root, where there is no other application.
pub(crate) fn archive(tree: &Tree) -> Option<String> {
    let entries = tree.entries("").into_iter();
    let mut archives = entries.filter(|entry| !entry.is_folder && entry.name.ends_with(".jar"));
    let only = archives.next()?;
    (archives.next().is_none() && is_plain_path(&only.name)).then_some(only.name)
}

/// The class that a manifest names, whose longer lines go on after a blank.
fn main_class(manifest: &str) -> Option<String> {
    let text = manifest.replace("\r\n", "\n").replace("\n ", "");
    let class = text.lines().find_map(|line| line.strip_prefix("Main-Class:"))?.trim();
    is_class(class).then(|| class.to_owned())
}

pub(super) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let tree = survey.tree;
    let manifest = tree.head(MANIFEST);
    let built_with = manifest.lines().find_map(|line| line.strip_prefix("Build-Jdk-Spec:"));
    let wish = built_with.map(|text| (text.trim().to_owned(), MANIFEST.to_owned()));
    let java = version::choose(survey, wish, None)?;
    let start_override = survey.start_override()?;
    let is_spring = manifest.contains("Spring-Boot-");
    let framework = is_spring.then_some("Spring Boot");
    let mut file = Dockerfile::default();
    file.comment("A Java application that is built already.");
    let found = if let Some(class) = main_class(&manifest) {
        survey.fact("main class", &class, &format!("Main-Class in {MANIFEST}"));
        file.from(&bases::jre(java), None);
        Some(command(&format!("-cp /app {class}")))
    } else if tree.has_folder(WEB) {
        let module = Module::unpacked(Kind::Archive);
        let version = tomcat::choose(survey, &module, java)?;
        tomcat::stage(&mut file, version, java, &survey.caches());
        tomcat::base(&mut file, java);
        file.workdir("/app/webapps/ROOT");
        None
    } else if let Some(name) = archive(tree) {
        survey.fact("start command", &format!("java -jar {name}"), "it is the only archive");
        file.from(&bases::jre(java), None);
        Some(command(&format!("-jar /app/{name}")))
    } else {
        return Err(super::choice::nothing(true));
    };
    let is_web = found.is_none();
    if !is_web {
        file.workdir("/app");
    }
    file.copy_everything_owned();
    file.workdir("/app");
    file.env(&[("HOME", "/app")]);
    file.own(false);
    file.run_as_its_owner();
    let start_command = match (&start_override, found) {
        (Some(command), _) => {
            file.start(&command.as_process());
            command.text().to_owned()
        }
        (None, Some(command)) => {
            file.start(&format!("{}exec {command}", prelude(framework)));
            command
        }
        (None, None) => {
            file.start(tomcat::START);
            "bin/catalina.sh run".to_owned()
        }
    };
    Ok(Outcome {
        provider: "java",
        framework: framework.map(str::to_owned),
        dockerfile: file,
        leave_out: &[],
        port: start_override.and_then(|command| command.literal_port()),
        start_command: Some(start_command),
    })
}

#[cfg(test)]
mod tests {
    use super::main_class;

    #[test]
    fn the_class_of_a_manifest_may_stand_on_several_lines() {
        let text = "Manifest-Version: 1.0\r\nMain-Class: org.example.lo\r\n nger.Main\r\nX: y\r\n";
        assert_eq!(main_class(text).as_deref(), Some("org.example.longer.Main"));
        assert_eq!(main_class("Main-Class: $(x)\n"), None);
        assert_eq!(main_class(""), None);
    }
}
