//! The Dockerfile of a PHP application.
//!
//! Extensions depend on nothing but their list; packages on Composer's two files; a change of the source makes the
//! autoloader anew and copies the source. The files belong to root, and the user that serves them may write only where
//! the framework has to.

use crate::{
    bases, debian,
    dockerfile::{Caches, Dockerfile, Variables},
    node::assets,
    php::{Packages, Recipe, cloud_foundry, extensions, framework::Framework, web},
};

const COMPOSER: &str = "composer install --no-dev --no-interaction --no-progress --prefer-dist";
const COMPOSER_CACHE: &str = "/var/cache/composer";

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A PHP application.");
    base(recipe, &mut file);
    let has_stage = recipe.composer.is_some() || recipe.install.is_some() || recipe.build.is_some();
    if has_stage {
        build(recipe, caches, &mut file);
    }
    if let Some(assets) = &recipe.assets {
        file.comment("The front end.");
        assets.stage(&mut file, caches, |file| {
            if recipe.composer.is_some() {
                // Pages and their styles may come out of packages.
                file.copy_from("build", "/app/vendor", "./vendor");
            }
        });
    }
    file.comment("What runs.");
    file.from("base", None);
    if has_stage {
        file.copy_from("build", "/app/vendor", "./vendor");
        file.copy_from("build", "/out/", "./");
    } else {
        file.copy_everything();
    }
    if recipe.assets.is_some() {
        match recipe.root.as_deref().filter(|root| !root.is_empty()) {
            Some(root) => file.copy_from(assets::STAGE, &format!("/out/{root}/"), &format!("./{root}/")),
            None => file.copy_from(assets::STAGE, "/out/", "./"),
        }
    }
    if !recipe.ini_files.is_empty() {
        file.run(&[], &cloud_foundry::use_ini_files(&recipe.ini_files));
    }
    writable(recipe, &mut file);
    file.user(web::USER);
    file.start(&recipe.start.as_process());
    file
}

/// PHP with its extensions and settings, which all other stages stand on.
fn base(recipe: &Recipe, file: &mut Dockerfile) {
    let image = match recipe.root {
        Some(_) => bases::php_with_apache(&recipe.version),
        None => bases::php(&recipe.version),
    };
    file.from(&image, Some("base"));
    if let Some(command) = extensions::install(&recipe.extensions) {
        file.run(&[], &command);
    }
    if let Some(root) = &recipe.root {
        file.run(&[], &web::configure(root, recipe.falls_back));
    }
    file.workdir("/app");
    let mut environment = vec![("PORT", "8080")];
    match recipe.framework {
        Framework::Laravel => environment.push(("LOG_CHANNEL", "stderr")),
        Framework::Symfony => environment.extend([("APP_ENV", "prod"), ("APP_DEBUG", "0")]),
        _ => {}
    }
    file.env(&environment);
}

/// Composer's packages and the user's build, in a stage that has more programs than what runs.
fn build(recipe: &Recipe, caches: &Caches, file: &mut Dockerfile) {
    file.comment("The packages.");
    file.from("base", Some("build"));
    file.run(&[], &debian::install(&["git", "unzip"]));
    file.env(&[
        ("COMPOSER_ALLOW_SUPERUSER", "1"),
        ("COMPOSER_CACHE_DIR", COMPOSER_CACHE),
    ]);
    let mut mounts = vec![format!(
        "--mount=type=bind,from={},source=/usr/bin/composer,target=/usr/local/bin/composer",
        bases::COMPOSER
    )];
    mounts.extend(caches.mount("composer", COMPOSER_CACHE, false));
    if let Some(command) = &recipe.install {
        file.copy_everything();
        file.run_script(&mounts, &recipe.install_variables, command.text());
    } else if let Some(packages) = &recipe.composer {
        install(recipe, packages, &mounts, file);
    } else {
        file.copy_everything();
    }
    if let Some(command) = &recipe.build {
        file.variables_digest(&recipe.variables);
        file.run_script(&mounts, &recipe.variables, command.text());
    }
    file.comment("What was written, without the packages.");
    file.run(
        &[],
        "mkdir -p vendor /out && find . -mindepth 1 -maxdepth 1 ! -name vendor ! -name node_modules -exec cp -a -t /out {} +",
    );
}

fn install(recipe: &Recipe, packages: &Packages, mounts: &[String], file: &mut Dockerfile) {
    if packages.has_packages && !packages.needs_source {
        let lock = packages.is_locked.then_some("composer.lock");
        let files: Vec<String> = [Some("composer.json"), lock]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        file.copy(&files);
        if packages.brings_vendor {
            file.copy_folder("vendor");
        }
        let command = format!("{COMPOSER} --no-autoloader --no-scripts");
        run(file, mounts, &recipe.install_variables, &command);
    }
    file.copy_everything();
    // Scripts start the application, which may look at any variable.
    file.variables_digest(&recipe.variables);
    let mut command = format!("{COMPOSER} --optimize-autoloader");
    if recipe.framework == Framework::Symfony {
        command.push_str(
            " \\\n && if php bin/console list --raw | grep -q '^asset-map:compile '; then php bin/console \
             asset-map:compile; fi",
        );
    }
    run(file, mounts, &recipe.variables, &command);
}

/// One of our own commands, in a readable form if it sees no variables.
fn run(file: &mut Dockerfile, mounts: &[String], variables: &Variables, command: &str) {
    if variables.is_empty() {
        file.run(mounts, command);
    } else {
        file.run_script(mounts, variables, &command.replace(" \\\n", ""));
    }
}

fn writable(recipe: &Recipe, file: &mut Dockerfile) {
    let mut steps = Vec::new();
    if recipe.framework == Framework::Laravel {
        steps.push(
            "mkdir -p bootstrap/cache storage/app/public storage/framework/cache/data storage/framework/sessions \\\n      \
             storage/framework/views storage/logs"
                .to_owned(),
        );
        steps.push("{ [ -e public/storage ] || ln -s ../storage/app/public public/storage; }".to_owned());
    } else if !recipe.writable.is_empty() {
        steps.push(format!("mkdir -p {}", recipe.writable.join(" ")));
    }
    if !recipe.writable.is_empty() {
        steps.push(format!("chown -R {0}:{0} {1}", web::USER, recipe.writable.join(" ")));
        file.run(&[], &steps.join(" \\\n && "));
    }
}
