//! C and C++: from the files of CMake or Meson to what the Dockerfile needs to know.

mod calls;
mod library;
mod project;
mod write;

use project::{Program, Project, System};

use crate::{
    Refusal,
    command::Command,
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, shown},
};

/// Names that say that a program serves, clearest first.
const SERVES: &[&str] = &["server", "web", "api", "app", "backend", "http"];

/// Everything that the Dockerfile of a C or C++ application depends on.
#[derive(Debug)]
struct Recipe {
    packages: Vec<&'static str>,
    install: Option<Command>,
    install_variables: Variables,
    build: Build,
    build_variables: Variables,
    start: Start,
}

#[derive(Debug)]
enum Build {
    /// A target to a file below the application's folder.
    Target {
        system: System,
        target: String,
        output: String,
    },
    Custom(Command),
}

#[derive(Debug)]
enum Start {
    /// The program itself, which needs no shell.
    Program(String),
    Command(Command),
}

pub(crate) fn is_there(tree: &Tree) -> bool {
    project::system(tree).is_some()
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let tree = survey.tree;
    let system = project::system(tree);
    let project = match system {
        Some(system) => project::read(tree, system)?,
        None => Project::default(),
    };
    let install = survey.chosen_command(Choice::Install, "install command")?;
    let custom_build = survey.chosen_command(Choice::Build, "build command")?;
    let start_override = survey.start_override()?;
    let packages = packages(survey, system, &project);
    let (build, start) = match (custom_build, system) {
        (Some(command), _) => {
            let start = start_override.ok_or_else(|| Refusal::NoStart {
                provider: "C++",
                looked_for: "a start command, and web in the Procfile".to_owned(),
                found: "a build command, which may leave its program anywhere".to_owned(),
                advice: "Set the start command to the program that the build command makes, such as ./build/server"
                    .to_owned(),
            })?;
            (Build::Custom(command), Start::Command(start))
        }
        (None, Some(system)) => {
            let target = choose(survey, &project, system, start_override.as_ref())?.target;
            let output = survey.expected_program(start_override.as_ref());
            let output = output.unwrap_or_else(|| format!("bin/{target}"));
            let start = start_override.map_or_else(|| Start::Program(format!("/app/{output}")), Start::Command);
            (Build::Target { system, target, output }, start)
        }
        (None, None) => return Err(nothing(System::Cmake)),
    };
    if survey.chosen(Choice::Output).is_some() {
        survey.warn("The output directory is not used: this application is a C or C++ program.");
    }
    let (start_command, port) = match &start {
        Start::Program(path) => (path.clone(), None),
        Start::Command(command) => (command.text().to_owned(), command.literal_port()),
    };
    let recipe = Recipe {
        packages,
        install_variables: survey.variables(|_| install.is_some()),
        install,
        build,
        build_variables: survey.build_variables(),
        start,
    };
    Ok(Outcome {
        provider: "cpp",
        framework: None,
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: &["build"],
        port,
        start_command: Some(start_command),
    })
}

/// The compilers, and the libraries that the files look for.
fn packages(survey: &mut Survey<'_>, system: Option<System>, project: &Project) -> Vec<&'static str> {
    let mut packages = vec!["ca-certificates", "ccache", "g++", "ninja-build", "pkg-config"];
    match system {
        Some(System::Cmake) | None => packages.push("cmake"),
        Some(System::Meson) => packages.push("meson"),
    }
    if project.fetches {
        packages.push("git");
    }
    let libraries = library::packages(&project.libraries);
    if let Some(system) = system {
        survey.fact("build system", system.name(), &format!("{} is there", system.file()));
        if !libraries.is_empty() {
            let because = format!("{} looks for them", system.file());
            survey.fact("system packages", &libraries.join(", "), &because);
        }
    }
    for (file, manager) in [
        ("vcpkg.json", "vcpkg"),
        ("conanfile.txt", "Conan"),
        ("conanfile.py", "Conan"),
    ] {
        if survey.tree.has_file(file) {
            survey.warn(&format!(
                "{file} is not read: {manager} is not run. Debian's packages of these libraries are installed if \
                 CLICK_DEPLOY_BUILD_APT_PACKAGES names them."
            ));
        }
    }
    packages.extend(libraries);
    packages
}

/// The program to build: chosen by the user, the only one, or the one whose name says that it is the application. A start
/// command that names one says it, too.
fn choose(
    survey: &mut Survey<'_>,
    project: &Project,
    system: System,
    start: Option<&Command>,
) -> Result<Program, Refusal> {
    let all = &project.programs;
    if let Some(chosen) = survey.chosen(Choice::CppTarget) {
        let Some(program) = all.iter().find(|program| program.target == chosen.value) else {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!("there is no program {:?}. {}", shown(&chosen.value), candidates(all)),
            });
        };
        survey.fact("program", &program.target, &chosen.because);
        return Ok(program.clone());
    }
    let own: Vec<&Program> = all.iter().filter(|program| !program.is_beside).collect();
    let named = |name: &str| own.iter().copied().find(|program| program.target == name);
    let serves = || {
        SERVES.iter().find_map(|name| {
            let ends = |program: &&Program| {
                program
                    .target
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.ends_with(['-', '_']))
            };
            named(name).or_else(|| own.iter().copied().find(ends))
        })
    };
    let by_start = all
        .iter()
        .find(|program| start.is_some_and(|start| start.names(&program.target)));
    let (program, because) = if let Some(program) = by_start {
        (program, "the start command names it".to_owned())
    } else if let [program] = all.as_slice() {
        (program, format!("the only program of {}", program.file))
    } else if let [program] = own.as_slice() {
        (*program, "the only program that is no test and no example".to_owned())
    } else if let Some(program) = named(&project.name) {
        (program, format!("it has the project's name in {}", system.file()))
    } else if let Some(program) = serves() {
        let because = format!("of {} programs, its name says most clearly that it serves", all.len());
        (program, because)
    } else if all.is_empty() {
        return Err(nothing(system));
    } else {
        return Err(Refusal::Ambiguous {
            found: format!("{} programs", all.len()),
            candidates: shown(&names(all)),
            advice: "Name one in the variable CLICK_DEPLOY_CPP_TARGET, or set the start command.".to_owned(),
        });
    };
    survey.fact("program", &program.target, &because);
    if own.len() > 1 && by_start.is_none() {
        survey.warn(&format!(
            "{} Choose another with the variable CLICK_DEPLOY_CPP_TARGET.",
            candidates(all)
        ));
    }
    Ok(program.clone())
}

fn nothing(system: System) -> Refusal {
    let (call, file) = match system {
        System::Cmake => ("add_executable", system.file()),
        System::Meson => ("executable", system.file()),
    };
    Refusal::NoStart {
        provider: "C++",
        looked_for: format!("{call} in {file}, and in the folders that it names"),
        found: "none whose name could be read".to_owned(),
        advice: "Set the build and start commands.".to_owned(),
    }
}

fn names(all: &[Program]) -> String {
    let names: Vec<&str> = all.iter().take(20).map(|program| program.target.as_str()).collect();
    names.join(", ")
}

fn candidates(all: &[Program]) -> String {
    if all.is_empty() {
        "No programs were found.".to_owned()
    } else {
        format!("There are: {}.", names(all))
    }
}
