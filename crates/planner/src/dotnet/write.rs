//! The Dockerfile of a .NET application.
//!
//! Packages are restored from the project files alone, so that a change of the source only compiles. What runs is the
//! published program on the runtime's image, as its user `app`, which has the number 1654.

use crate::{
    bases,
    dockerfile::{Caches, Dockerfile, Variables},
    dotnet::Recipe,
};

const USER: u32 = 1654;

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A .NET application.");
    file.from(&bases::dotnet_sdk(recipe.sdk), Some("build"));
    file.workdir("/src");
    file.env(&[
        ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"),
        ("DOTNET_NOLOGO", "1"),
        ("NUGET_XMLDOC_MODE", "skip"),
    ]);
    let mounts = caches.mount("nuget", "/root/.nuget/packages", false);
    let path = recipe.project.path();
    // A patch of the SDK that global.json names need not be the image's.
    let roll = "if [ -f global.json ]; then sed -i 's/\"rollForward\"[^,}]*/\"rollForward\": \"latestMajor\"/; \
                /rollForward/!s/\"version\"/\"rollForward\": \"latestMajor\", \"version\"/' global.json; fi";
    if let Some(inputs) = &recipe.inputs {
        file.copy(inputs);
        let locked = if recipe.has_lock { " --locked-mode" } else { "" };
        run(
            &mut file,
            &mounts,
            &recipe.install_variables,
            &format!("{roll} && dotnet restore {path}{locked}"),
        );
    }
    file.copy_everything();
    if let Some(command) = &recipe.install {
        file.run_script(&mounts, &recipe.install_variables, command.text());
    }
    file.variables_digest(&recipe.variables);
    match &recipe.build {
        Some(command) => {
            file.run_script(&mounts, &recipe.variables, command.text());
            file.run(&[], "mkdir -p /out");
        }
        None => {
            let flags = "-c Release -o /out -p:UseAppHost=false --self-contained false";
            let words = ["dotnet", "publish", path.as_str()];
            let mut words: Vec<&str> = words.to_vec();
            words.extend(flags.split(' '));
            let target = target(recipe);
            words.extend(target.iter().map(String::as_str));
            file.run(&[], roll);
            if recipe.variables.is_empty() {
                file.run_words(&mounts, &words);
            } else {
                file.run_script_with_words(&mounts, &recipe.variables, &words);
            }
        }
    }
    file.comment("What runs.");
    let image = if recipe.project.is_web {
        bases::aspnet(recipe.runtime)
    } else {
        bases::dotnet_runtime(recipe.runtime)
    };
    file.from(&image, None);
    file.workdir("/app");
    file.env(&[
        ("PORT", "8080"),
        ("DOTNET_EnableDiagnostics", "0"),
        ("ASPNETCORE_FORWARDEDHEADERS_ENABLED", "true"),
        ("HOME", "/tmp"),
    ]);
    file.copy_from("build", "/out", "./");
    file.user(USER);
    match &recipe.start {
        // The address depends on a variable of the container's.
        None => {
            let assembly = format!("{}.dll", recipe.project.assembly);
            let script = "export ASPNETCORE_URLS=\"${ASPNETCORE_URLS:-http://+:$PORT}\"; exec dotnet \"$0\"";
            file.start_words(&["sh", "-c", script, &assembly]);
        }
        Some(start) => file.start(&format!(
            "export ASPNETCORE_URLS=\"${{ASPNETCORE_URLS:-http://+:$PORT}}\"; {}",
            start.as_process()
        )),
    }
    file
}

/// Of several frameworks, the one whose runtime is there.
fn target(recipe: &Recipe) -> Vec<String> {
    if recipe.project.frameworks.len() < 2 {
        return Vec::new();
    }
    vec!["-f".to_owned(), format!("net{}.0", recipe.runtime)]
}

/// One of our own commands, in a readable form if it sees no variables.
fn run(file: &mut Dockerfile, mounts: &[String], variables: &Variables, command: &str) {
    if variables.is_empty() {
        file.run(mounts, command);
    } else {
        file.run_script(mounts, variables, command);
    }
}
