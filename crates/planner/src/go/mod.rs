//! Go: from `go.mod` to what the Dockerfile needs to know.

mod module;
mod programs;
mod without_modules;
mod write;

pub(crate) use without_modules::is_a_lone_program;

use module::Module;
use programs::Program;
use without_modules::Layout;

use crate::{
    Refusal, bases,
    command::{Command, relative_path, words},
    dockerfile::Variables,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, is_plain_path, shown},
};

/// What a program's image need not hold beyond what is never wanted.
const LEAVE_OUT: &[&str] = &[];

/// Everything that the Dockerfile of a Go application depends on.
#[derive(Debug)]
struct Recipe {
    layout: Layout,
    install: Option<Command>,
    install_variables: Variables,
    build: Build,
    build_variables: Variables,
    needs_c: bool,
    /// There are files beside the source that the program may open.
    has_files: bool,
    start: Start,
    /// Something else is to be in the image too, or to run in it.
    needs_shell: bool,
}

#[derive(Debug)]
enum Build {
    /// A package of the module to a file below the application's folder.
    Package {
        folder: String,
        output: String,
        embeds_zones: bool,
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
    has_module(tree) || without_modules::is_there(tree)
}

fn has_module(tree: &Tree) -> bool {
    tree.has("go.mod") || tree.has("go.work")
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let start_override = survey.start_override()?;
    let (layout, mut module) = if has_module(survey.tree) {
        let module = Module::parse(&survey.tree.text("go.mod")?.unwrap_or_default());
        (Layout::Module, module)
    } else {
        without_modules::read(survey, start_override.as_ref())?
    };
    module.check_version()?;
    let asks = module.version.as_deref().map_or_else(
        || "nothing asks for another".to_owned(),
        |version| {
            format!(
                "{} asks for {version}, which newer toolchains compile too",
                module.said_in()
            )
        },
    );
    survey.fact("go version", &format!("1.{}", bases::GO_MINOR), &asks);
    if survey.tree.has_file("vendor/modules.txt") {
        survey.fact("dependencies", "vendor", "vendor/modules.txt");
    }
    if survey.tree.has("package.json") {
        survey.fact(
            "package.json",
            "seen and not used",
            "this is a Go application; set a build command to use it",
        );
    }

    let install = survey.chosen_command(Choice::Install, "install command")?;
    let custom_build = survey.chosen_command(Choice::Build, "build command")?;
    let (build, start, program) = match custom_build {
        Some(command) => {
            let start = match start_override {
                Some(start) => start,
                None => start_of_custom(survey, &command)?,
            };
            (Build::Custom(command), Start::Command(start), None)
        }
        None => {
            let program = choose(survey, &module)?;
            if layout != Layout::Module {
                module.required = without_modules::dependencies(survey.tree, &module, &program)?;
            }
            let output = output(survey, &module, &program, start_override.as_ref());
            // `-tags` on the command line would replace those of the user's GOFLAGS.
            let embeds_zones = !survey.settings.variables.contains_key("GOFLAGS");
            let build = Build::Package {
                folder: program.folder.clone(),
                output: output.clone(),
                embeds_zones,
            };
            let start = start_override.map_or_else(|| Start::Program(format!("/app/{output}")), Start::Command);
            (build, start, Some(program))
        }
    };
    let needs_c = needs_c(survey, &module, program.as_ref());
    let port = match &start {
        Start::Command(command) => command.literal_port(),
        Start::Program(_) => None,
    };
    let port = port.or_else(|| {
        program
            .as_ref()
            .and_then(|program| program.port)
            .filter(|_| !mentions_port(&start))
    });
    if let Some(port) = port {
        survey.fact(
            "port",
            &port.to_string(),
            "it is named where the program starts, and PORT is not looked at",
        );
    }
    if survey.chosen(Choice::Output).is_some() {
        survey.warn("The output directory is not used: this application is a Go program.");
    }
    let framework = framework(&module);
    if let Some(framework) = framework {
        survey.fact("framework", framework, module.said_in());
    }
    let start_command = match &start {
        Start::Program(path) => path.clone(),
        Start::Command(command) => command.text().to_owned(),
    };
    let recipe = Recipe {
        layout,
        install_variables: survey.variables(|name| install.is_some() || name.starts_with("GO")),
        install,
        build,
        build_variables: survey.build_variables(),
        needs_c,
        has_files: has_files(survey.tree),
        needs_shell: survey.release.is_some() || survey.has_run_packages(),
        start,
    };
    Ok(Outcome {
        provider: "go",
        framework: framework.map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(start_command),
    })
}

fn mentions_port(start: &Start) -> bool {
    matches!(start, Start::Command(command) if command.text().contains("PORT"))
}

/// The program to build: chosen by the user, the only one, or the one whose name says that it serves.
fn choose(survey: &mut Survey<'_>, module: &Module) -> Result<Program, Refusal> {
    let tree = survey.tree;
    if let Some(chosen) = survey.chosen(Choice::GoPackage) {
        let folder = relative_path(&chosen.value, &chosen.because)?;
        let places = [folder.clone(), format!("cmd/{folder}")];
        let Some(program) = places.iter().find_map(|place| programs::at(tree, place)) else {
            return Err(Refusal::Setting {
                name: chosen.because,
                why: format!(
                    "there is no package main in {}. {}",
                    places.join(" or "),
                    candidates(&programs::all(tree))
                ),
            });
        };
        survey.fact("go package", &shown_package(&program.folder), &chosen.because);
        return Ok(program);
    }
    let programs = programs::all(tree);
    if let [program] = programs.as_slice() {
        let because = if program.folder.is_empty() {
            "package main at the root"
        } else {
            "the only package main"
        };
        survey.fact("go package", &shown_package(&program.folder), because);
        return Ok(program.clone());
    }
    let names = [module.program(), "server", "web", "api", "app", "http"];
    let named = names.iter().filter(|name| !name.is_empty());
    let likely = named
        .filter_map(|name| {
            let ends = |program: &&Program| {
                program
                    .name()
                    .strip_suffix(*name)
                    .is_some_and(|rest| rest.ends_with(['-', '_']))
            };
            let is_it = programs.iter().find(|program| program.name() == *name);
            is_it.or_else(|| programs.iter().find(ends))
        })
        .next();
    if let Some(program) = likely {
        let because = format!(
            "of {} programs, its name says most clearly that it serves",
            programs.len()
        );
        survey.fact("go package", &shown_package(&program.folder), &because);
        survey.warn(&format!(
            "{} Choose another with the variable CLICK_DEPLOY_GO_PACKAGE.",
            candidates(&programs)
        ));
        return Ok(program.clone());
    }
    if programs.is_empty() {
        return Err(Refusal::NoStart {
            provider: "Go",
            looked_for: "a package main with func main at the root, in cmd, and in every other folder".to_owned(),
            found: "none".to_owned(),
            advice: "Name its folder in the variable CLICK_DEPLOY_GO_PACKAGE, or set the root directory.".to_owned(),
        });
    }
    Err(Refusal::Ambiguous {
        found: format!("{} programs", programs.len()),
        candidates: shown(&programs.iter().map(|program| shown_package(&program.folder)).collect::<Vec<_>>().join(", ")),
        advice: "Name one in the variable CLICK_DEPLOY_GO_PACKAGE (or GO_BIN), for example cmd/server, or set the build and \
                 start commands."
            .to_owned(),
    })
}

fn candidates(programs: &[Program]) -> String {
    let names: Vec<String> = programs
        .iter()
        .take(20)
        .map(|program| shown_package(&program.folder))
        .collect();
    if names.is_empty() {
        "No programs were found.".to_owned()
    } else {
        format!("There are: {}.", names.join(", "))
    }
}

fn shown_package(folder: &str) -> String {
    if folder.is_empty() {
        ".".to_owned()
    } else {
        format!("./{folder}")
    }
}

/// Where the program goes: where the start command expects it, else `bin/` and its name.
fn output(survey: &mut Survey<'_>, module: &Module, program: &Program, start: Option<&Command>) -> String {
    let plain = |name: &str| is_plain_path(name) && !name.contains('/');
    let name = [program.name(), module.program()]
        .into_iter()
        .find(|name| plain(name))
        .unwrap_or("server");
    survey.expected_program(start).unwrap_or_else(|| format!("bin/{name}"))
}

/// What to start after a build command of the user's: what `-o` names.
fn start_of_custom(survey: &mut Survey<'_>, build: &Command) -> Result<Command, Refusal> {
    let mut after = words(build.text()).skip_while(|word| *word != "-o");
    let output = after.nth(1).map(|path| path.trim_start_matches("./"));
    match output.filter(|path| is_plain_path(path)) {
        Some(path) => {
            let text = format!("./{path}");
            survey.fact("start command", &text, "-o in the build command");
            Command::parse(&text, "-o in the build command")
        }
        None => Err(Refusal::NoStart {
            provider: "Go",
            looked_for: "a start command, web in the Procfile, and -o in the build command".to_owned(),
            found: "a build command that does not name its output".to_owned(),
            advice: "Set the start command to the program that the build command makes.".to_owned(),
        }),
    }
}

fn needs_c(survey: &mut Survey<'_>, module: &Module, program: Option<&Program>) -> bool {
    let because = match survey.settings.variables.get("CGO_ENABLED").map(|value| value.trim()) {
        Some("1") => Some("the variable CGO_ENABLED".to_owned()),
        Some(_) => None,
        None => module::needs_c(module)
            .map(|name| format!("it requires {name}"))
            .or_else(|| {
                program
                    .filter(|program| program.imports_c)
                    .map(|_| "it imports C".to_owned())
            }),
    };
    if let Some(because) = &because {
        survey.fact("cgo", "on", because);
    }
    because.is_some()
}

/// Whether there is anything beside source that the program might open.
fn has_files(tree: &Tree) -> bool {
    const NOT_FOR_RUNNING: &[&str] = &[
        "go.mod",
        "go.sum",
        "go.work",
        "go.work.sum",
        "Godeps.json",
        "Gopkg.lock",
        "Gopkg.toml",
        "glide.lock",
        "glide.yaml",
        "vendor",
        "Makefile",
        "Procfile",
        "Dockerfile",
        "LICENSE",
        "testdata",
    ];
    let is_file_for_running = |name: &str| {
        !name.ends_with(".go") && !name.ends_with(".md") && !name.starts_with('.') && !NOT_FOR_RUNNING.contains(&name)
    };
    tree.any_file(is_file_for_running) || tree.has_file(".env")
}

fn framework(module: &Module) -> Option<&'static str> {
    let known = [
        ("github.com/gin-gonic/gin", "Gin"),
        ("github.com/labstack/echo", "Echo"),
        ("github.com/gofiber/fiber", "Fiber"),
        ("github.com/go-chi/chi", "chi"),
        ("github.com/gorilla/mux", "gorilla/mux"),
        ("github.com/gobuffalo/buffalo", "Buffalo"),
        ("github.com/beego/beego", "Beego"),
    ];
    let has = |name: &str| {
        module.required.iter().any(|path| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
        })
    };
    known.iter().find(|(name, _)| has(name)).map(|(_, shown)| *shown)
}
