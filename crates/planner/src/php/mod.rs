//! PHP: from `composer.json`, or a lone `index.php`, to what the Dockerfile needs to know.

mod cloud_foundry;
mod composer;
mod extensions;
mod framework;
mod web;
mod write;

use cloud_foundry::Options;
use composer::Composer;
use extensions::Extension;
use framework::Framework;

use crate::{
    Refusal, bases,
    command::{Command, relative_path, words},
    dockerfile::Variables,
    node::assets::{self, Assets},
    settings::Choice,
    survey::{Outcome, Survey},
    tree::{Tree, shown},
    wish::{self, Offer, Wish},
};

/// What an image need not hold.
const LEAVE_OUT: &[&str] = &[
    "**/.phpunit.result.cache",
    "**/.php-cs-fixer.cache",
    "storage/logs/*.log",
];

const OFFER: Offer = Offer {
    language: "PHP",
    fact: "php version",
    lines: bases::PHP_LINES,
    default: bases::PHP_DEFAULT,
    ended: &[801, 800, 704],
    bounds: wish::dotted_line,
};

/// Everything that the Dockerfile of a PHP application depends on.
#[derive(Debug)]
struct Recipe {
    version: String,
    extensions: Vec<Extension>,
    framework: Framework,
    /// The document root below the application's folder; `None`: nothing is served by Apache.
    root: Option<String>,
    falls_back: bool,
    composer: Option<Packages>,
    install: Option<Command>,
    build: Option<Command>,
    assets: Option<Assets>,
    variables: Variables,
    install_variables: Variables,
    writable: Vec<String>,
    /// Settings for PHP that the application brings along.
    ini_files: Vec<String>,
    start: Command,
}

/// How Composer installs.
#[derive(Debug)]
struct Packages {
    is_locked: bool,
    has_packages: bool,
    /// Everything has to be there before.
    needs_source: bool,
    /// The files bring packages along, which Composer takes where they match.
    brings_vendor: bool,
}

/// Whether the directory is a PHP application's.
pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.has("composer.json")
        || tree.has("index.php")
        || tree.has_file("public/index.php")
        || tree.has_file("htdocs/index.php")
        || tree.has_file(".bp-config/options.json")
}

/// Whether a directory without any of these holds a program all the same.
pub(crate) fn is_a_lone_script(tree: &Tree) -> bool {
    tree.first_file(SCRIPTS).is_some()
}

/// Programs that are run as they are, where nothing is served.
const SCRIPTS: &[&str] = &["app.php", "main.php", "worker.php", "bot.php"];

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let composer = Composer::read(survey.tree)?;
    let options = Options::read(survey.tree)?;
    let wish = wish(survey, &composer, &options)?;
    let line = OFFER.choose(survey, wish.as_ref());
    let framework = Framework::detect(survey.tree, &composer);
    if let Some(name) = framework.name() {
        survey.fact("framework", name, framework.because());
    }
    let served = framework::heroku(&survey.procfile).filter(|_| survey.chosen(Choice::Start).is_none());
    let start = match &served {
        Some(_) => None,
        None => match survey.start_override()? {
            Some(start) => Some(start),
            None => options.standalone(survey)?,
        },
    };
    let root = root(survey, framework, &composer, &options, served.as_deref())?;
    let start = match (start, &root) {
        (Some(start), _) => start,
        (None, Some(_)) => framework.start(survey)?,
        (None, None) => lone_script(survey)?,
    };
    let ini_files = cloud_foundry::ini_files(survey.tree, root.as_deref());
    if !ini_files.is_empty() {
        survey.fact("settings of PHP", &ini_files.join(", "), "they are among the files");
    }
    let mut of_files = options.extensions();
    of_files.extend(cloud_foundry::loaded(survey.tree, &ini_files));
    let extensions = extensions(survey, &composer, framework, line, of_files);
    options.tell_unused(survey);
    let falls_back = root.is_some() && (composer.is_there || root.as_deref() != Some(""));
    if let Some(root) = &root {
        let because = if falls_back {
            "its index.php answers addresses of no file"
        } else {
            "addresses of no file are answered with 404"
        };
        survey.fact("document root", if root.is_empty() { "." } else { root }, because);
    }

    let install = survey.chosen_command(Choice::Install, "install command")?;
    let build = survey.chosen_command(Choice::Build, "build command")?;
    let of_front_end = build.as_ref().filter(|build| is_of_front_end(build)).cloned();
    let assets = assets::find(survey, of_front_end.as_ref().map(Command::text))?;
    let build = build.filter(|_| of_front_end.is_none() || assets.is_none());
    let packages = composer.is_there.then(|| packages(survey, &composer));
    let writable = framework.writable(survey.tree);
    survey.fact("user", "www-data (33)", "Apache needs no more; nothing runs as root");
    if !writable.is_empty() {
        survey.fact(
            "writable folders",
            &writable.join(", "),
            "the application writes there; all else is read only",
        );
    }
    framework.tell(survey, &composer);
    let is_custom = install.is_some();
    let recipe = Recipe {
        version: OFFER.shown(line),
        extensions,
        framework,
        falls_back,
        composer: packages,
        install_variables: survey.variables(|name| is_custom || name.starts_with("COMPOSER_")),
        variables: survey.build_variables(),
        install,
        build,
        assets,
        writable,
        ini_files,
        root,
        start,
    };
    let port = recipe.start.literal_port();
    Ok(Outcome {
        provider: "php",
        framework: framework.name().map(str::to_owned),
        dockerfile: write::write(&recipe, &survey.caches()),
        leave_out: LEAVE_OUT,
        port,
        start_command: Some(recipe.start.text().to_owned()),
    })
}

/// Whether a build command is for Node.js.
fn is_of_front_end(command: &Command) -> bool {
    words(command.text()).any(|word| {
        matches!(
            word,
            "npm" | "npx" | "node" | "pnpm" | "pnpx" | "yarn" | "bun" | "bunx" | "vite"
        )
    })
}

fn wish(survey: &Survey<'_>, composer: &Composer, options: &Options) -> Result<Option<Wish>, Refusal> {
    if let Some(wish) = wish::of_user(survey, Choice::PhpVersion) {
        return Ok(Some(wish));
    }
    let of_file = wish::of_file(survey.tree, ".php-version", "php-")?;
    let wish = of_file.or_else(|| options.version()).or_else(|| composer.php());
    match wish {
        Some(wish) => Ok(Some(wish)),
        None => wish::of_tools(survey.tree, "php"),
    }
}

fn extensions(
    survey: &mut Survey<'_>,
    composer: &Composer,
    framework: Framework,
    line: u64,
    of_files: Vec<String>,
) -> Vec<Extension> {
    let mut asked = composer.extensions();
    if !asked.is_empty() {
        let names: Vec<&str> = asked.iter().map(String::as_str).collect();
        survey.fact(
            "extensions asked for",
            &names.join(", "),
            "ext-* in composer.json and composer.lock",
        );
    }
    if !of_files.is_empty() {
        let because = ".bp-config/options.json, or the settings of PHP among the files";
        survey.fact("extensions asked for", &of_files.join(", "), because);
        asked.extend(of_files);
    }
    if let Some(chosen) = survey.chosen(Choice::PhpExtensions) {
        let names = chosen
            .value
            .split([',', ' '])
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_lowercase).take(100).collect();
        survey.fact("extensions asked for", &names.join(", "), &chosen.because);
        asked.extend(names);
    }
    let (usual, because) = framework.extensions(survey.tree, composer);
    let usual: Vec<&str> = usual.into_iter().filter(|name| !asked.contains(*name)).collect();
    asked.extend(usual.iter().map(|name| (*name).to_owned()));
    if !usual.is_empty() {
        survey.fact("extensions added", &usual.join(", "), because);
    }
    asked.insert("opcache".to_owned());
    let (found, unknown) = extensions::choose(&asked, line);
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.iter().take(20).map(|name| shown(name)).collect();
        survey.warn(&format!(
            "Extensions that are asked for and that this planner cannot add: {}. The build stops at Composer if they \
             are needed; add a Dockerfile then.",
            unknown.join(", ")
        ));
    }
    let added: Vec<&str> = found.iter().map(|extension| extension.name).collect();
    survey.fact("extensions", &added.join(", "), "added to those of the official image");
    found
}

/// The folder that is served, if there is one.
fn root(
    survey: &mut Survey<'_>,
    framework: Framework,
    composer: &Composer,
    options: &Options,
    of_procfile: Option<&str>,
) -> Result<Option<String>, Refusal> {
    if let Some(chosen) = survey.chosen(Choice::PhpRoot) {
        let path = chosen.value.trim();
        // Railpack's variable names the place in the image.
        let path = match path.strip_prefix("/app") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
            _ => path,
        };
        return relative_path(path, &chosen.because).map(Some);
    }
    if let Some(path) = survey.output_override()? {
        return Ok(Some(path));
    }
    if let Some(path) = of_procfile {
        return relative_path(path, "web in the Procfile").map(Some);
    }
    if let Some(folder) = options.root(survey)? {
        return Ok(Some(folder));
    }
    let tree = survey.tree;
    if framework == Framework::Laravel || framework == Framework::Symfony {
        return Ok(Some("public".to_owned()));
    }
    for folder in [
        "public",
        "web",
        "html",
        "www",
        "htdocs",
        "webroot",
        "docroot",
        "public_html",
    ] {
        if tree.has_file(&format!("{folder}/index.php")) {
            return Ok(Some(folder.to_owned()));
        }
    }
    if composer.has("drupal/core-composer-scaffold") {
        return Ok(Some("web".to_owned()));
    }
    Ok(tree.has_file("index.php").then(String::new))
}

fn packages(survey: &mut Survey<'_>, composer: &Composer) -> Packages {
    let tree = survey.tree;
    let brings_vendor = tree.has_file("vendor/composer/installed.json");
    survey.fact(
        "dependencies",
        if composer.is_locked {
            "Composer, as composer.lock says, without require-dev"
        } else {
            "Composer, without require-dev"
        },
        "composer.json",
    );
    if brings_vendor {
        survey.fact(
            "vendor",
            "taken where it matches",
            "vendor/composer/installed.json is among the files",
        );
    }
    if composer.has_packages() && !composer.is_locked {
        survey.warn("There is no composer.lock, so each build may get other versions of the dependencies. Commit one.");
    }
    Packages {
        is_locked: composer.is_locked,
        has_packages: composer.has_packages(),
        needs_source: composer.has_local_packages(),
        brings_vendor,
    }
}

/// A program that is run as it is, where there is no page to serve.
fn lone_script(survey: &mut Survey<'_>) -> Result<Command, Refusal> {
    let Some(script) = survey.tree.first_file(SCRIPTS) else {
        return Err(no_start(survey.tree));
    };
    let start = format!("php {script}");
    survey.fact("start command", &start, script);
    Command::parse(&start, script)
}

fn no_start(tree: &Tree) -> Refusal {
    let found: Vec<String> = tree
        .entries("")
        .into_iter()
        .filter(|entry| entry.name.ends_with(".php"))
        .take(10)
        .map(|entry| entry.name)
        .collect();
    Refusal::NoStart {
        provider: "PHP",
        looked_for:
            "index.php at the root and in public, web, html, www, htdocs, webroot, docroot and public_html, and \
                     web in the Procfile"
                .to_owned(),
        found: if found.is_empty() {
            "no PHP file at the root".to_owned()
        } else {
            shown(&found.join(", "))
        },
        advice:
            "Set the output directory to the folder that is served, or the start command, such as `php worker.php`."
                .to_owned(),
    }
}
