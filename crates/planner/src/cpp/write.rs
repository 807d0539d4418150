//! The Dockerfile of a C or C++ application.
//!
//! Compiled on Debian with its compilers, and run on the same Debian without them. What was compiled is in a cache by content,
//! so a change of one file compiles that file. The image holds the program, the libraries that it is linked to, and the files
//! beside the source.

use crate::{
    bases,
    cpp::{Build, Recipe, Start, project::System},
    dockerfile::{Caches, Dockerfile},
};

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A C or C++ application.");
    file.from(bases::DEBIAN, Some("build"));
    file.install_packages(&recipe.packages);
    file.workdir("/app");
    file.copy_everything();
    let mounts = caches.mount("ccache", "/root/.cache/ccache", false);
    if let Some(command) = &recipe.install {
        file.run_script(&mounts, &recipe.install_variables, command.text());
    }
    file.variables_digest(&recipe.build_variables);
    match &recipe.build {
        Build::Target { system, target, .. } => {
            file.run_seeing(&mounts, &recipe.build_variables, &compile(*system, target));
        }
        Build::Custom(command) => file.run_script(&mounts, &recipe.build_variables, command.text()),
    }
    file.comment("What is started, the libraries that it is linked to, and what else it may open.");
    file.run(&[], &collect(&recipe.build));

    file.from(bases::DEBIAN, None);
    file.copy_from("build", "/out/lib/", "/usr/local/lib/");
    file.copy_from("build", "/out/certificates/", "/etc/ssl/certs/");
    file.run(&[], "ldconfig");
    file.copy_from_owned("build", "/out/app", "/app");
    file.workdir("/app");
    file.account();
    match &recipe.start {
        Start::Program(path) => {
            file.env(&[("HOME", "/app")]);
            file.run_as_its_owner();
            file.start_words(&[path]);
        }
        Start::Command(command) => {
            file.env(&[("HOME", "/app"), ("PATH", "/app/bin:$PATH")]);
            file.run_as_its_owner();
            file.start(&command.as_process());
        }
    }
    file
}

/// Both systems leave everything else that is not needed for the target alone.
fn compile(system: System, target: &str) -> String {
    match system {
        System::Cmake => format!(
            "cmake -G Ninja -S . -B /build -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF --no-warn-unused-cli \\\n    \
             -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache && \\\n    \
             cmake --build /build --target {target}"
        ),
        // It finds ccache by itself.
        System::Meson => {
            format!("meson setup --buildtype=release /build && meson compile -C /build {target}:executable")
        }
    }
}

/// Copies the program, and what `ldd` says that it needs beside what every Debian has.
fn collect(build: &Build) -> String {
    let (program, folders) = match build {
        Build::Target { target, output, .. } => {
            let find = format!("program=\"$(find /build -type f -perm -100 -name {target} | head -n 1)\"");
            let told = format!("echo 'The build left no program {target}.' >&2");
            let folder = output
                .rsplit_once('/')
                .map_or(String::new(), |(folder, _)| format!("/{folder}"));
            let copy = format!("cp \"$program\" /out/app/{output} && strip /out/app/{output}");
            (
                format!("{find} && if [ -z \"$program\" ]; then {told}; exit 1; fi && \\\n    {copy} && \\\n    "),
                folder,
            )
        }
        Build::Custom(_) => (String::new(), String::new()),
    };
    let (looked_at, left_out) = match build {
        Build::Target { .. } => (
            "\"$program\"",
            " ! -name '*.c' ! -name '*.cc' ! -name '*.cpp' ! -name '*.cxx' ! -name '*.h' ! -name '*.hh' ! -name '*.hpp' \
             ! -name '*.hxx' \\\n    ! -name CMakeLists.txt ! -name '*.cmake' ! -name 'meson*.build' ! -name '*.wrap'",
        ),
        Build::Custom(_) => ("$(find . -type f -perm -100)", ""),
    };
    format!(
        "mkdir -p /out/app{folders} /out/lib /out/certificates && {program}\
         ldd {looked_at} 2>/dev/null | sed -n 's/.* => \\(\\/[^ ]*\\) .*/\\1/p' | sort -u \\\n    \
         | {{ grep -vE '/(libc|libm|libstdc\\+\\+|libgcc_s)\\.so' || true; }} | xargs -r cp -L -t /out/lib && \\\n    \
         if [ -f {CERTIFICATES} ]; then cp {CERTIFICATES} /out/certificates/; fi && \\\n    \
         find . \\( -path ./.git -o -path ./subprojects \\) -prune -o \\( -type f -o -type l \\){left_out} \\\n    \
         -exec cp -P --parents -t /out/app {{}} +"
    )
}
