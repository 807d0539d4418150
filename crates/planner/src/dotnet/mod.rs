//! .NET: from the project file to what the Dockerfile needs to know.

mod project;
mod version;
mod write;

use project::Project;

use crate::{
    Refusal,
    command::Command,
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, join, shown},
};

/// What an image need not hold, or what is made anew.
const LEAVE_OUT: &[&str] = &["**/bin", "**/obj", "**/.vs", "**/TestResults"];

/// More project files than this are not looked at.
const MOST_PROJECTS: usize = 200;

/// Everything that the Dockerfile of a .NET application depends on.
#[derive(Debug)]
struct Recipe {
    sdk: u64,
    runtime: u64,
    project: Project,
    /// What restoring reads; `None`: everything.
    inputs: Option<Vec<String>>,
    has_lock: bool,
    install: Option<Command>,
    build: Option<Command>,
    install_variables: Variables,
    variables: Variables,
    start: Option<Command>,
}

/// Whether the directory is a .NET application's.
pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.entries("").iter().any(|entry| {
        !entry.is_folder
            && [".csproj", ".fsproj", ".vbproj", ".sln", ".slnx"]
                .iter()
                .any(|end| entry.name.ends_with(end))
    })
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let projects = projects(survey.tree)?;
    let project = choose(survey, &projects)?;
    let runtime = version::runtime(survey, &project)?;
    let sdk = version::sdk(survey, runtime)?;
    let framework = project.is_web.then_some("ASP.NET Core");
    if let Some(framework) = framework {
        survey.fact("framework", framework, "Sdk of the project file");
    }
    let start = survey.start_override()?;
    if start.is_none() {
        let text = format!("dotnet {}.dll", project.assembly);
        survey.fact("start command", &shown(&text), "the assembly that the project makes");
    }
    if project.is_self_contained {
        survey.warn(
            "The project publishes itself self-contained; it is published for the runtime of the image all the same.",
        );
    }
    survey.fact("user", "1654", "`app` of the official images; nothing runs as root");
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    let inputs = inputs(survey.tree, &projects);
    let is_custom = install.is_some();
    let recipe = Recipe {
        sdk,
        runtime,
        has_lock: survey.tree.has_file(&join(&project.folder, "packages.lock.json")),
        inputs: inputs.filter(|_| install.is_none() && build.is_none()),
        install_variables: survey
            .variables(|name| is_custom || name.starts_with("NUGET_") || name == "VSS_NUGET_EXTERNAL_FEED_ENDPOINTS"),
        variables: survey.build_variables(),
        project,
        install,
        build,
        start,
    };
    let shown_start = recipe.start.as_ref().map_or_else(
        || format!("dotnet {}.dll", recipe.project.assembly),
        |start| start.text().to_owned(),
    );
    Ok(Outcome {
        provider: "dotnet",
        framework: framework.map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port: recipe.start.as_ref().and_then(Command::literal_port),
        start_command: Some(shown_start),
    })
}

fn is_project(name: &str) -> bool {
    [".csproj", ".fsproj", ".vbproj"].iter().any(|end| name.ends_with(end))
}

/// All projects, nearest first.
fn projects(tree: &Tree) -> Result<Vec<Project>, Refusal> {
    let mut found = Vec::new();
    for folder in tree.walk("") {
        for entry in tree.entries(&folder) {
            if !entry.is_folder && is_project(&entry.name) && found.len() < MOST_PROJECTS {
                found.push(Project::read(tree, &folder, &entry.name)?);
            }
        }
    }
    Ok(found)
}

/// The project that is published: chosen by the user, the only one that is a program, or the only one for the web.
fn choose(survey: &mut Survey<'_>, projects: &[Project]) -> Result<Project, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::DotnetProject) {
        let named = projects.iter().find(|project| {
            let path = project.path();
            path == chosen.value || project.folder == chosen.value.trim_end_matches('/') || project.name == chosen.value
        });
        let Some(project) = named else {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!("{:?} is none of the projects {}", shown(&chosen.value), names(projects)),
            });
        };
        survey.fact("project", &project.path(), &chosen.because);
        return Ok(project.clone());
    }
    let programs: Vec<&Project> = projects
        .iter()
        .filter(|project| project.is_program && !project.is_test)
        .collect();
    let web: Vec<&Project> = programs.iter().copied().filter(|project| project.is_web).collect();
    let at_root: Vec<&Project> = programs
        .iter()
        .copied()
        .filter(|project| project.folder.is_empty())
        .collect();
    let (project, because) = match (programs.as_slice(), web.as_slice(), at_root.as_slice()) {
        ([only], _, _) => (*only, "the only program"),
        (_, [only], _) => (*only, "the only program for the web"),
        (_, _, [only]) => (*only, "the only program at the root"),
        ([], _, _) => {
            return Err(Refusal::NoStart {
                provider: ".NET",
                looked_for:
                    "a project with the Sdk Microsoft.NET.Sdk.Web or Microsoft.NET.Sdk.Worker, or with OutputType Exe"
                        .to_owned(),
                found: if projects.is_empty() {
                    "no project file".to_owned()
                } else {
                    format!("the libraries and tests {}", names(projects))
                },
                advice: "Set the root directory to the project's folder, or add a Dockerfile.".to_owned(),
            });
        }
        _ => {
            let candidates: Vec<Project> = programs.into_iter().cloned().collect();
            return Err(Refusal::Ambiguous {
                found: format!("{} .NET programs", candidates.len()),
                candidates: names(&candidates),
                advice: "Choose one with the variable CLICK_DEPLOY_DOTNET_PROJECT.".to_owned(),
            });
        }
    };
    survey.fact("project", &project.path(), because);
    Ok(project.clone())
}

fn names(projects: &[Project]) -> String {
    let names: Vec<String> = projects.iter().take(10).map(Project::path).collect();
    shown(&names.join(", "))
}

/// The files that restoring packages reads, if all of them have plain names.
fn inputs(tree: &Tree, projects: &[Project]) -> Option<Vec<String>> {
    let mut files: Vec<String> = projects.iter().map(Project::path).collect();
    for project in projects {
        let lock = join(&project.folder, "packages.lock.json");
        if tree.has_file(&lock) {
            files.push(lock);
        }
    }
    for name in [
        "global.json",
        "nuget.config",
        "NuGet.config",
        "NuGet.Config",
        "Directory.Build.props",
        "Directory.Build.targets",
        "Directory.Packages.props",
    ] {
        if tree.has_file(name) {
            files.push(name.to_owned());
        }
    }
    let is_plain = files.iter().all(|file| crate::tree::is_plain_path(file));
    (is_plain && projects.iter().all(|project| !project.imports) && files.len() < 60).then_some(files)
}
