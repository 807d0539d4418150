//! The Dockerfile of an Elixir application.
//!
//! Packages are compiled before the source is there, from their lists and the configuration that they read. What runs
//! is a release, which brings Erlang along, on a small system.

use crate::{
    bases, debian,
    dockerfile::{Caches, Dockerfile, Variables},
    elixir::Recipe,
    node::assets,
};

const USER: u32 = 1000;
/// What Erlang is linked with, and certificates.
const LIBRARIES: &[&str] = &["ca-certificates", "libncurses6", "libstdc++6", "openssl"];

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("An Elixir application.");
    file.from(&recipe.image, Some("build"));
    file.workdir("/app");
    file.env(&[
        ("MIX_ENV", "prod"),
        ("MIX_HOME", "/opt/mix"),
        ("HEX_HOME", "/opt/hex"),
        ("LANG", "C.UTF-8"),
    ]);
    packages(recipe, caches, &mut file);
    if !copies_first(recipe) {
        file.copy_everything();
    }
    if recipe.has_npm {
        file.comment("Node.js for the front end.");
        assets::copy_node(&mut file, bases::NODE_DEFAULT);
        file.run(
            &caches.mount("npm", "/root/.npm", false),
            "cd assets && if [ -f package-lock.json ]; then npm ci --no-audit --no-fund; else npm install --no-audit --no-fund; fi",
        );
    }
    file.variables_digest(&recipe.variables);
    if let Some(command) = &recipe.build {
        file.run_script(&[], &recipe.variables, command.text());
    } else {
        let mut steps = vec!["mix compile".to_owned()];
        steps.extend(recipe.tasks.iter().map(|task| format!("mix {task}")));
        run(&mut file, &[], &recipe.variables, &steps.join(" && "));
    }
    match &recipe.release {
        Some((name, is_named)) => {
            let named = if *is_named { format!(" {name}") } else { String::new() };
            let command = format!("mix release{named} --overwrite --path /out && chmod -R a+rX /out");
            run(&mut file, &[], &recipe.variables, &command);
            file.comment("What runs.");
            file.from(bases::DEBIAN, None);
            file.run(&[], &debian::install(LIBRARIES));
            file.workdir("/app");
            let mut environment = vec![("LANG", "C.UTF-8"), ("HOME", "/tmp"), ("RELEASE_TMP", "/tmp")];
            if recipe.is_phoenix {
                environment.push(("PHX_SERVER", "true"));
            }
            file.env(&environment);
            file.copy_from("build", "/out", "./");
        }
        None => {
            file.comment("What runs: Mix, with the compiled application.");
            file.from("build", None);
            file.env(&[("HOME", "/tmp"), ("PHX_SERVER", "true")]);
            file.run(&[], &format!("chown -R {USER}:{USER} /app"));
        }
    }
    file.user(USER);
    file.start(&recipe.start.as_process());
    file
}

fn copies_first(recipe: &Recipe) -> bool {
    recipe.install.is_some() || recipe.needs_source
}

fn packages(recipe: &Recipe, caches: &Caches, file: &mut Dockerfile) {
    if recipe.has_packages || recipe.install.is_some() {
        file.run(&[], "mix local.hex --force && mix local.rebar --force");
    }
    let mounts = caches.mount("hex", "/opt/hex/packages", false);
    if copies_first(recipe) {
        file.copy_everything();
        if let Some(command) = &recipe.install {
            file.run_script(&mounts, &recipe.install_variables, command.text());
            return;
        }
    } else {
        let lock = recipe.is_locked.then_some("mix.lock");
        let files: Vec<String> = [Some("mix.exs"), lock]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        file.copy(&files);
        if recipe.brings_deps {
            file.copy_folder("deps");
        }
    }
    if recipe.has_packages {
        let check = if recipe.is_locked { " --check-locked" } else { "" };
        let command = format!("mix deps.get --only prod{check}");
        run(file, &mounts, &recipe.install_variables, &command);
        if !copies_first(recipe) && recipe.has_configuration {
            if recipe.configuration.is_empty() {
                file.copy_folder("config");
            } else {
                let files: Vec<String> = recipe.configuration.iter().map(|name| (*name).to_owned()).collect();
                file.copy(&files);
            }
        }
        run(file, &[], &recipe.install_variables, "mix deps.compile");
    }
}

/// One of our own commands, in a readable form if it sees no variables.
fn run(file: &mut Dockerfile, mounts: &[String], variables: &Variables, command: &str) {
    if variables.is_empty() {
        file.run(mounts, command);
    } else {
        file.run_script(mounts, variables, command);
    }
}
