//! Which module of a build is the application.

use crate::{
    Refusal,
    java::{Kind, Module},
    settings::Choice,
    survey::Survey,
    tree::shown,
};

/// The module to start: chosen by the user, the only one, or the one whose name says that it serves.
pub(super) fn choose(survey: &mut Survey<'_>, modules: &[Module], is_maven: bool) -> Result<Module, Refusal> {
    const SERVES: &[&str] = &[
        "server",
        "web",
        "api",
        "app",
        "application",
        "backend",
        "boot",
        "service",
    ];
    let names = || {
        modules
            .iter()
            .take(20)
            .map(|module| module.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(chosen) = survey.chosen(Choice::JavaModule) {
        let wanted = chosen.value.trim_matches([':', '/']).replace(':', "/");
        let found = modules
            .iter()
            .find(|module| module.folder == wanted || module.name == wanted);
        let Some(module) = found else {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!(
                    "there is no module {:?} that could be started. There are: {}",
                    shown(&chosen.value),
                    shown(&names())
                ),
            });
        };
        survey.fact("module", &shown_module(module), &chosen.because);
        return Ok(module.clone());
    }
    let framed: Vec<&Module> = modules.iter().filter(|module| module.kind != Kind::Classes).collect();
    let likely = match (modules, framed.as_slice()) {
        ([module], _) => Some((module, "the only one that can be started")),
        (_, [module]) => Some((*module, "the only one that is packed to be started")),
        _ => SERVES.iter().find_map(|name| {
            let fits = |module: &&Module| module.name == *name || module.name.ends_with(&format!("-{name}"));
            modules
                .iter()
                .find(fits)
                .map(|module| (module, "its name says most clearly that it serves"))
        }),
    };
    if let Some((module, because)) = likely {
        survey.fact("module", &shown_module(module), because);
        if modules.len() > 1 {
            survey.warn(&format!(
                "Of the modules {} one is started. Choose another with the variable CLICK_DEPLOY_JAVA_MODULE.",
                shown(&names())
            ));
        }
        return Ok(module.clone());
    }
    if modules.is_empty() {
        return Err(nothing(is_maven));
    }
    Err(Refusal::Ambiguous {
        found: format!("{} modules", modules.len()),
        candidates: shown(&names()),
        advice: "Name one in the variable CLICK_DEPLOY_JAVA_MODULE, or set the start command.".to_owned(),
    })
}

fn shown_module(module: &Module) -> String {
    if module.folder.is_empty() {
        ".".to_owned()
    } else {
        module.folder.clone()
    }
}

/// What is said where nothing can be started.
pub(super) fn nothing(is_maven: bool) -> Refusal {
    let (looked_for, advice) = if is_maven {
        (
            "the plugins of Spring Boot, Quarkus, shade and assembly, mainClass in pom.xml, and classes with a main method",
            "Add one of these plugins, name mainClass in pom.xml, or set the start command.",
        )
    } else {
        (
            "the plugins of Spring Boot, Quarkus, Ktor, Shadow, Micronaut, and Gradle's own application plugin",
            "Apply the application plugin and name mainClass, or set the build and start commands.",
        )
    };
    Refusal::NoStart {
        provider: "Java",
        looked_for: looked_for.to_owned(),
        found: "none".to_owned(),
        advice: advice.to_owned(),
    }
}
