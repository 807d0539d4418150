//! The Dockerfile of a Go application.
//!
//! Modules and compiled packages are in cache mounts, so a change of one line compiles one package and links. The
//! image holds the program, the files beside its source, certificates, and nothing else, unless something needs a
//! shell or the C library.

use crate::{
    bases,
    dockerfile::{Caches, Dockerfile, PASSWORD_ENTRIES},
    go::{Build, Layout, Recipe, Start},
};

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A Go application.");
    file.from(&bases::go(), Some("build"));
    let c = if recipe.needs_c { "1" } else { "0" };
    let always = [("CGO_ENABLED", c), ("GOTOOLCHAIN", "local")];
    match &recipe.layout {
        Layout::Path { name, has_workspace } => {
            let folder = format!("/go/src/{name}");
            let places = format!("{folder}/Godeps/_workspace:/go");
            file.workdir(&folder);
            file.env(&[&always[..], &[("GO111MODULE", "off")]].concat());
            if *has_workspace {
                file.env(&[("GOPATH", &places)]);
            }
        }
        Layout::Module | Layout::NewModule(_) => {
            file.workdir("/src");
            file.env(&always);
        }
    }
    // Depends on nothing of the application's, so it stays cached.
    file.run(&[], &prepare(recipe));
    if let Layout::NewModule(name) = &recipe.layout {
        file.run(&[], &format!("go mod init {name}"));
    }
    file.copy_everything();

    let mut mounts = caches.mount("go-modules", "/go/pkg/mod", false);
    mounts.extend(caches.mount("go-build", "/root/.cache/go-build", false));
    if let Some(command) = &recipe.install {
        file.run_script(&mounts, &recipe.install_variables, command.text());
    }
    file.variables_digest(&recipe.build_variables);
    match &recipe.build {
        Build::Package {
            folder,
            output,
            embeds_zones,
        } => {
            // Git may be missing or may not trust the folder's owner, and the version is not asked for.
            let package = if folder.is_empty() {
                ".".to_owned()
            } else {
                format!("./{folder}")
            };
            let tags = if *embeds_zones { " -tags timetzdata" } else { "" };
            let command = format!("go build -buildvcs=false{tags} -ldflags='-s -w' -o /out/app/{output} {package}");
            if recipe.build_variables.is_empty() {
                file.run(&mounts, &command);
            } else {
                file.run_script(&mounts, &recipe.build_variables, &command);
            }
        }
        Build::Custom(command) => file.run_script(&mounts, &recipe.build_variables, command.text()),
    }
    if recipe.has_files || matches!(recipe.build, Build::Custom(_)) {
        file.comment("What else the program may open.");
        let of_godep = match &recipe.layout {
            Layout::Path { has_workspace, .. } if *has_workspace => "-path ./Godeps -o ",
            _ => "",
        };
        file.run(
            &[],
            &format!(
                "find . \\( {of_godep}-path ./vendor -o -path ./.git \\) -prune -o \\( -type f -o -type l \\) ! -name '*.go' \\\n    \
                 -exec cp -P --parents -t /out/app {{}} +"
            ),
        );
    }

    file.from(if needs_system(recipe) { bases::DEBIAN } else { "scratch" }, None);
    file.copy_from("build", "/system/", "/");
    file.copy_from_owned("build", "/out/app", "/app");
    file.workdir("/app");
    if needs_system(recipe) {
        file.account();
    }
    match &recipe.start {
        Start::Program(path) => {
            file.env(&[("HOME", "/tmp")]);
            file.run_as_its_owner();
            file.start_words(&[path]);
        }
        Start::Command(command) => {
            file.env(&[("PATH", "/app/bin:$PATH")]);
            file.run_as_its_owner();
            file.start(&command.as_process());
        }
    }
    file
}

/// Whether the program needs a C library or a shell.
fn needs_system(recipe: &Recipe) -> bool {
    recipe.needs_c || recipe.needs_shell || matches!(recipe.start, Start::Command(_))
}

/// What the image holds beside the program: certificates, a place for temporary files, and who the user is.
fn prepare(recipe: &Recipe) -> String {
    let folder = match &recipe.build {
        Build::Package { output, .. } => output
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("/{folder}")),
        Build::Custom(_) => String::new(),
    };
    let account = if needs_system(recipe) {
        String::new()
    } else {
        let (user, group) = PASSWORD_ENTRIES;
        format!(" \\\n && echo '{user}' >/system/etc/passwd && echo '{group}' >/system/etc/group")
    };
    format!(
        "mkdir -p /out/app{folder} /system/etc/ssl/certs && mkdir -m 1777 /system/tmp{account} \\\n && if [ -f {CERTIFICATES} ]; then \
         cp {CERTIFICATES} /system{CERTIFICATES}; fi"
    )
}
