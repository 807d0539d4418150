//! Which .NET an application is for, and which SDK builds it.

use crate::{
    Refusal, bases,
    dotnet::project::Project,
    settings::Choice,
    survey::Survey,
    versions::{Version, node_line},
    wish::{self, Offer, Wish},
};

const OFFER: Offer = Offer {
    language: ".NET",
    fact: ".net version",
    lines: bases::DOTNET_MAJORS,
    default: bases::DOTNET_DEFAULT,
    ended: &[9, 8, 7, 6],
    bounds: major,
};

fn major(line: u64) -> (Version, Version) {
    node_line(line)
}

/// The major of the runtime: a program for one major does not start on another.
pub(super) fn runtime(survey: &mut Survey<'_>, project: &Project) -> Result<u64, Refusal> {
    let chosen = wish::of_user(survey, Choice::DotnetVersion);
    let newest = project
        .frameworks
        .iter()
        .filter_map(|framework| {
            let version = framework.strip_prefix("net")?.split('-').next()?;
            Some((version.split('.').next()?.parse::<u64>().ok()?, version))
        })
        .filter(|(major, version)| version.contains('.') && *major >= 5)
        .max();
    let because = format!("TargetFramework in {}", project.name);
    let of_project = newest.and_then(|(_, version)| Wish::new(version, &because));
    if of_project.is_none()
        && chosen.is_none()
        && let Some(old) = project.frameworks.first()
    {
        return Err(Refusal::Version {
            wanted: crate::tree::shown(old),
            because,
            offered: format!(".NET {}", bases::DOTNET_DEFAULT),
            advice: "Move the project to net10.0, or add a Dockerfile.".to_owned(),
        });
    }
    let wish = chosen.or(of_project);
    Ok(OFFER.choose(survey, wish.as_ref()))
}

/// The SDK: what `global.json` asks for, if it can build for the runtime, else that of the runtime.
pub(super) fn sdk(survey: &mut Survey<'_>, runtime: u64) -> Result<u64, Refusal> {
    let Some(text) = survey.tree.text("global.json")? else {
        return Ok(runtime);
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| Refusal::Malformed {
        path: "global.json".to_owned(),
        why: error.to_string(),
    })?;
    let sdk = value.get("sdk");
    let field = |name: &str| sdk?.get(name)?.as_str();
    let Some(version) = field("version") else {
        return Ok(runtime);
    };
    let asked = version.split('.').next().and_then(|major| major.parse::<u64>().ok());
    let Some(asked) = asked.filter(|asked| bases::DOTNET_MAJORS.contains(asked) && *asked >= runtime) else {
        survey.warn(&format!(
            "global.json asks for the SDK {}, which cannot build for .NET {runtime} here, so the SDK {runtime} is used.",
            crate::tree::shown(version)
        ));
        return Ok(runtime);
    };
    survey.fact("sdk", &format!("{asked}.0"), "sdk.version in global.json");
    Ok(asked)
}
