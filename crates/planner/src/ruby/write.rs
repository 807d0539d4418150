//! The Dockerfile of a Ruby application.
//!
//! Gems depend on the Gemfile and its lock file; they are compiled in an image with compilers and copied into one
//! without. The application runs as user 1000, which may write where Rails and its kin do.

use crate::{
    bases,
    caddy::{self, Missing},
    debian,
    dockerfile::{Caches, Dockerfile, Variables},
    node::assets,
    ruby::{
        Install, Recipe, native,
        serving::{Framework, Shape},
    },
};

const BUNDLE: &str = "/usr/local/bundle";
const USER: u32 = 1000;
/// It only makes a cache, which old versions have no program for: what runs does not depend on it.
const BOOTSNAP: &str = "bundle exec bootsnap precompile -j 1";
const WRITABLE: &str = "db log storage tmp";
/// Packages that the image with compilers has.
const USUAL: &[&str] = &[
    "default-libmysqlclient-dev",
    "libffi-dev",
    "libpq-dev",
    "libsqlite3-dev",
    "libxml2-dev",
    "libxslt1-dev",
    "libyaml-dev",
    "pkg-config",
    "zlib1g-dev",
];

pub(super) fn write(recipe: &Recipe, caches: &Caches) -> Dockerfile {
    let mut file = Dockerfile::default();
    file.comment("A Ruby application.");
    match &recipe.shape {
        Shape::Files { folder, build } => {
            building(recipe, caches, *build, &mut file);
            caddy::serve_built(&mut file, folder, Missing::NotFound);
        }
        Shape::Process(start) => {
            let has_stage = recipe.install.is_some() || recipe.build.is_some() || recipe.precompiles;
            if has_stage {
                building(recipe, caches, None, &mut file);
                file.comment("What runs.");
            }
            running(recipe, &mut file);
            if has_stage {
                file.copy_from("build", BUNDLE, BUNDLE);
                file.copy_from("build", "/app", "./");
            } else {
                file.copy_everything();
            }
            file.run(
                &[],
                &format!("mkdir -p {WRITABLE} tmp/pids && chown -R {USER}:{USER} {WRITABLE}"),
            );
            file.user(USER);
            file.start(&start.as_process());
        }
    }
    file
}

fn environment(recipe: &Recipe) -> Vec<(&'static str, &'static str)> {
    let mut environment = vec![
        ("BUNDLE_PATH", BUNDLE),
        ("BUNDLE_WITHOUT", "development:test"),
        ("RACK_ENV", "production"),
    ];
    if recipe.install.as_ref().is_some_and(|install| install.is_locked) {
        environment.push(("BUNDLE_DEPLOYMENT", "1"));
    }
    if recipe.framework == Framework::Rails {
        environment.extend([
            ("RAILS_ENV", "production"),
            ("RAILS_LOG_TO_STDOUT", "1"),
            ("RAILS_SERVE_STATIC_FILES", "1"),
        ]);
    } else {
        environment.push(("APP_ENV", "production"));
    }
    environment
}

/// The stage that installs and builds.
fn building(recipe: &Recipe, caches: &Caches, build: Option<&str>, file: &mut Dockerfile) {
    file.from(&bases::ruby_with_compilers(&recipe.version), Some("build"));
    let headers = native::packages(&recipe.natives, |native| native.to_build);
    let headers: Vec<&str> = headers.into_iter().filter(|name| !USUAL.contains(name)).collect();
    if !headers.is_empty() {
        file.run(&[], &debian::install(&headers));
    }
    file.workdir("/app");
    file.env(&environment(recipe));
    match &recipe.install {
        Some(install) => bundle(install, recipe, caches, file),
        None => file.run(&[], &format!("mkdir -p {BUNDLE}")),
    }
    if let Some(assets) = &recipe.assets {
        file.comment("Node.js for the asset pipeline.");
        assets::copy_node(file, assets.major);
        if recipe.install.as_ref().is_none_or(|install| install.inputs.is_some()) {
            assets.install(file, caches);
        }
    }
    if recipe.install.as_ref().is_none_or(|install| install.inputs.is_some()) {
        file.copy_everything();
    }
    let builds = recipe.build.is_some() || recipe.precompiles || build.is_some();
    if builds {
        file.variables_digest(&recipe.variables);
    }
    if recipe.has_bootsnap {
        let folders = "$(ls -d app lib 2>/dev/null)";
        file.run(&[], &format!("{BOOTSNAP} {folders} || true"));
    }
    if let Some(command) = &recipe.build {
        file.run_script(&[], &recipe.variables, command.text());
    } else if recipe.precompiles {
        // No secret is needed to compile assets; Rails before 7.1 wants some text all the same.
        let command =
            "SECRET_KEY_BASE_DUMMY=1 SECRET_KEY_BASE=${SECRET_KEY_BASE:-unused} bundle exec rails assets:precompile";
        run(file, &[], &recipe.variables, command);
        file.run(&[], "rm -rf node_modules tmp/cache/assets");
    } else if let Some(command) = build {
        run(file, &[], &recipe.variables, command);
    }
}

fn bundle(install: &Install, recipe: &Recipe, caches: &Caches, file: &mut Dockerfile) {
    if let Some(bundler) = &install.bundler {
        file.run_words(&[], &["gem", "install", "--no-document", "bundler", "-v", bundler]);
    }
    match &install.inputs {
        None => file.copy_everything(),
        Some((files, folders)) => {
            file.copy(files);
            folders.iter().for_each(|folder| file.copy_folder(folder));
        }
    }
    let mut mounts = Vec::new();
    let mut settings = "";
    if caches.are_on() {
        mounts.extend(caches.mount("bundler", "/root/.bundle/cache", true));
        settings = "BUNDLE_GLOBAL_GEM_CACHE=1 ";
    }
    if let Some(command) = &install.command {
        file.run_script(
            &mounts,
            &install.variables,
            &format!("mkdir -p {BUNDLE}; {}", command.text()),
        );
        return;
    }
    let mut command = format!(
        "{settings}bundle install --jobs 4 --retry 3 && rm -rf {BUNDLE}/ruby/*/cache {BUNDLE}/ruby/*/bundler/gems/*/.git"
    );
    if recipe.has_bootsnap && install.inputs.is_some() {
        command.push_str(&format!(" && {{ {BOOTSNAP} --gemfile || true; }}"));
    }
    run(file, &mounts, &install.variables, &command);
}

/// The image that runs, up to the application.
fn running(recipe: &Recipe, file: &mut Dockerfile) {
    file.from(&bases::ruby(&recipe.version), None);
    let mut packages = native::packages(&recipe.natives, |native| native.to_run);
    // Ruby's memory grows less with it.
    packages.push("libjemalloc2");
    if recipe.runs_node.is_some() {
        packages.push("libatomic1");
    }
    file.run(
        &[],
        &format!(
            "{} && useradd --uid {USER} --user-group --create-home --shell /bin/sh app",
            debian::install(&packages)
        ),
    );
    file.workdir("/app");
    if let Some(major) = recipe.runs_node {
        file.copy_from(&bases::node(major), "/usr/local/bin/node", "/usr/local/bin/node");
    }
    let mut environment = environment(recipe);
    environment.extend([("LD_PRELOAD", "libjemalloc.so.2"), ("HOME", "/home/app")]);
    file.env(&environment);
}

/// One of our own commands, in a readable form if it sees no variables.
fn run(file: &mut Dockerfile, mounts: &[String], variables: &Variables, command: &str) {
    if variables.is_empty() {
        file.run(mounts, command);
    } else {
        // Assignments before the first word count for that only.
        file.run_script(mounts, variables, command);
    }
}
