//! The Dockerfile of a Rust application.
//!
//! Registry, Git checkouts and everything compiled are in cache mounts, so a change of one line compiles the
//! application's own crates and links. The build stands in the folder that the program will run in: `CARGO_MANIFEST_DIR`
//! is compiled into programs that look for their templates. The image holds the program, the files beside its source,
//! certificates, and the libraries that it is linked to.

use crate::{
    bases,
    dockerfile::{Caches, Dockerfile, and_then},
    rust::{Build, Recipe, Start, TOOLCHAIN_FILES},
};

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A Rust application.");
    file.from(&recipe.image, Some("build"));
    file.install_packages(&recipe.to_build);
    if let Build::Program {
        target: Some(target), ..
    } = &recipe.build
    {
        file.run(&[], &format!("rustup target add {target}"));
        if target.ends_with("musl") {
            file.install_packages(&["musl-tools"]);
        }
    }
    file.workdir("/app");
    let mut environment = recipe.environment.clone();
    if matches!(recipe.build, Build::Program { .. }) {
        environment.push(("CARGO_TARGET_DIR", "/target"));
    }
    file.env(&environment);
    file.copy_everything();
    file.run(&[], &prepare(recipe));

    let mut mounts = caches.mount("cargo-registry", "/usr/local/cargo/registry", false);
    mounts.extend(caches.mount("cargo-git", "/usr/local/cargo/git", false));
    let target = match &recipe.build {
        Build::Program { .. } => "/target",
        Build::Custom(_) => "/app/target",
    };
    mounts.extend(caches.mount("cargo-target", target, true));
    if let Some(command) = &recipe.install {
        file.run_script(&mounts, &recipe.install_variables, command.text());
    }
    file.variables_digest(&recipe.build_variables);
    match &recipe.build {
        Build::Program { .. } => {
            let command = and_then(RENEW, &cargo_build(&recipe.build));
            file.run_seeing(&mounts, &recipe.build_variables, &command);
        }
        Build::Custom(command) => {
            // What was built is in a mount, which the next step would not see.
            let keep = "mkdir -p /out/app/target/release\nif [ -d target/release ]; then find target/release -maxdepth 1 \
                        -type f -perm -100 -exec cp -t /out/app/target/release {} +; fi";
            let script = format!("set -e\n{RENEW}\n{}\n{keep}", command.text());
            file.run_script(&mounts, &recipe.build_variables, &script);
        }
    }
    file.comment("What else the program may open.");
    file.run(
        &[],
        "find . \\( -path ./target -o -path ./vendor -o -path ./.git -o -path ./.cargo \\) -prune -o \\( -type f -o -type l \\) \\\n    \
         ! -name '*.rs' ! -name Cargo.toml ! -name Cargo.lock -exec cp -P --parents -t /out/app {} +",
    );

    file.from(bases::DEBIAN, None);
    file.install_packages(&recipe.to_run);
    file.copy_from("build", CERTIFICATES, CERTIFICATES);
    file.copy_from_owned("build", "/out/app", "/app");
    file.workdir("/app");
    let mut environment = vec![("HOME", "/app"), ("SSL_CERT_FILE", CERTIFICATES)];
    environment.extend(&recipe.start_environment);
    if matches!(recipe.start, Start::Command(_)) {
        environment.push(("PATH", "/app/bin:/app/target/release:$PATH"));
    }
    file.env(&environment);
    file.run_as_its_owner();
    match &recipe.start {
        Start::Program(path) => file.start_words(&[path]),
        Start::Script(script) => file.start(script),
        Start::Command(command) => file.start(&command.as_process()),
    }
    file
}

/// New times for the application's own files. Cargo compares times, and what the cache holds may be of a later version than
/// the files that are built now, whose step was made before: this belongs into the same step.
const RENEW: &str =
    "find . \\( -path ./target -o -path ./vendor -o -path ./.git \\) -prune -o -type f -exec touch {} +";

/// No file that would fetch another toolchain, and a place for the program.
fn prepare(recipe: &Recipe) -> String {
    let toolchain = if recipe.has_toolchain_file {
        format!("rm -f {} && ", TOOLCHAIN_FILES.join(" "))
    } else {
        String::new()
    };
    let folder = match &recipe.build {
        Build::Program { output, .. } => output
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("/{folder}")),
        Build::Custom(_) => String::new(),
    };
    format!("{toolchain}mkdir -p /out/app{folder}")
}

fn cargo_build(build: &Build) -> String {
    let Build::Program {
        package,
        name,
        features,
        is_locked,
        folder,
        output,
        ..
    } = build
    else {
        return String::new();
    };
    let mut command = "cargo build --release".to_owned();
    if *is_locked {
        command.push_str(" --locked");
    }
    if let Some(package) = package {
        command.push_str(&format!(" --package {package}"));
    }
    command.push_str(&format!(" --bin {name}"));
    if !features.is_empty() {
        command.push_str(&format!(" --features {}", features.join(",")));
    }
    format!("{command} && cp /target/{folder}/{name} /out/app/{output}")
}
