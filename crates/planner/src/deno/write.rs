//! The Dockerfile of a Deno application.
//!
//! Modules are fetched from the configuration and the lock file alone, so a change of the source fetches nothing. They
//! are needed to run, so they are in a layer and not in a cache mount.

use crate::{
    bases,
    deno::{Build, Recipe},
    dockerfile::{Caches, Dockerfile},
};

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A Deno application.");
    file.from(&bases::deno(), Some("build"));
    file.workdir("/app");
    let fetches_first = recipe.install.is_none() && !recipe.inputs.is_empty();
    if fetches_first {
        file.copy(&recipe.inputs);
    } else {
        file.copy_everything();
    }
    match &recipe.install {
        Some(command) => file.run_script(&[], &recipe.install_variables, command.text()),
        None => {
            let frozen = if recipe.is_frozen { " --frozen" } else { "" };
            file.run_seeing(&[], &recipe.install_variables, &format!("deno install{frozen}"));
        }
    }
    if fetches_first {
        file.copy_everything();
    }
    if let (Some(entry), None) = (&recipe.entry, &recipe.install) {
        file.comment("What the source imports by address.");
        file.run_seeing(&[], &recipe.install_variables, &format!("deno cache {entry}"));
    }
    if let Some(build) = &recipe.build {
        file.variables_digest(&recipe.build_variables);
        let mounts = caches.mount("deno-build", "/root/.cache", false);
        match build {
            Build::Task => file.run_seeing(&mounts, &recipe.build_variables, "deno task build"),
            Build::Custom(command) => file.run_script(&mounts, &recipe.build_variables, command.text()),
        }
    }

    file.from(&bases::deno(), None);
    file.copy_from_owned("build", "/deno-dir", "/deno-dir");
    file.copy_from_owned("build", "/app", "/app");
    file.workdir("/app");
    file.env(&[("HOME", "/app"), ("DENO_NO_UPDATE_CHECK", "1")]);
    file.run_as_its_owner();
    file.start(&recipe.start);
    file
}
