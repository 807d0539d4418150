//! An application's files in, a build plan out.
//!
//! [`plan`] reads the files below one directory and answers with a [`Plan`]: what was found and where it says so, and a
//! Dockerfile over the official images of the language that a person would be glad to own. It starts no process, needs no
//! network, and takes milliseconds.
//!
//! ```
//! use planner::{Settings, plan};
//!
//! # let application = tempfile::tempdir()?;
//! # std::fs::write(application.path().join("package.json"), r#"{"scripts": {"start": "node server.js"}, "engines": {"node": "22"}}"#)?;
//! # std::fs::write(application.path().join("server.js"), "")?;
//! let plan = plan(application.path(), &Settings::default())?;
//!
//! assert_eq!(plan.provider, "node");
//! assert_eq!(plan.base_images, ["node:22-slim"]);
//! let version = plan.facts.iter().find(|fact| fact.name == "node version").expect("it is told");
//! assert_eq!(version.because, "engines.node in package.json:1 asks for 22");
//! assert_eq!(version.evidence.as_ref().and_then(|evidence| evidence.line), Some(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it knows: Node.js, Python, Go, PHP, Ruby, Java and Kotlin, Rust, Elixir, .NET, Deno, C and C++, shell scripts and static sites; what
//! each means is in `docs/user/builds.md`. [`applications`] finds what can be planned in a repository that holds several.
//!
//! # Who decides
//!
//! [`Settings`], then their variables (`CLICK_DEPLOY_…`, and Railpack's names), then the application's own
//! `click-deploy.toml` ([`ApplicationFile`]) and the common fields of `railpack.json`, then its `Procfile`, then what its files say.
//! What cannot be planned is a [`Refusal`], whose text says what was looked for, what was found and what to do.
//!
//! # How the Dockerfile is built
//!
//! It needs nothing newer than the builder of Docker Engine 20.10, with BuildKit. Each name of [`Settings::variables`] is passed to
//! the build as a secret of the same id, and a keyed digest of their values as the build argument
//! [`VARIABLES_DIGEST_ARGUMENT`], so that a changed value runs again what saw it. Values never stand in the plan. What runs is
//! not root.
//!
//! # Strangers' files
//!
//! Reading never leaves the directory, follows no link out of it, and has limits of size and number. Text out of files reaches the
//! Dockerfile only as JSON (see `dockerfile.rs`). Each kind of file has a fuzz target in `fuzz/`.

mod applications;
mod base_images;
mod bases;
mod caddy;
mod command;
mod cpp;
mod debian;
mod deno;
mod dockerfile;
mod dotnet;
mod elixir;
mod evidence;
mod go;
mod ignore;
mod java;
mod json;
mod nginx;
mod node;
mod overrides;
mod php;
mod plan;
mod procfile;
mod provider;
mod python;
mod refusal;
mod ruby;
mod rust;
mod settings;
mod shell;
mod started;
mod static_site;
mod staticfile;
mod survey;
mod tool_versions;
mod tree;
mod versions;
mod wish;

pub use applications::{Application, applications};
pub use base_images::base_images_of_dockerfile;
pub use dockerfile::VARIABLES_DIGEST_ARGUMENT;
pub use overrides::ApplicationFile;
pub use plan::{Evidence, Fact, Plan};
pub use refusal::Refusal;
pub use settings::Settings;

use overrides::Overrides;
use provider::Provider;
use survey::Survey;
use tree::Tree;

/// Plans the application in a directory. A `Dockerfile` in it is not looked at: whoever has one needs no plan.
///
/// The same files and settings have the same plan, to the byte.
///
/// # Errors
/// A [`Refusal`]: what was looked for, what was found, and what to do. Its text is meant for whoever owns the application.
pub fn plan(root: &std::path::Path, settings: &Settings) -> Result<Plan, Refusal> {
    plan_alone(root, settings).map_err(|refusal| match refusal {
        Refusal::Unknown { seen, advice } if advice == provider::ADD_A_FILE => Refusal::Unknown {
            advice: applications::advice(root).unwrap_or(advice),
            seen,
        },
        other => other,
    })
}

/// The same, without a look at what lies below a folder that is no application.
fn plan_alone(root: &std::path::Path, settings: &Settings) -> Result<Plan, Refusal> {
    let tree = Tree::open(root)?;
    let overrides = Overrides::read(&tree, settings)?;
    let mut survey = Survey::begin(&tree, settings, overrides)?;
    let provider = provider::choose(&mut survey)?;
    let outcome = match provider {
        Provider::Php => php::plan(&mut survey)?,
        Provider::Go => go::plan(&mut survey)?,
        Provider::Java => java::plan(&mut survey)?,
        Provider::Rust => rust::plan(&mut survey)?,
        Provider::Ruby => ruby::plan(&mut survey)?,
        Provider::Elixir => elixir::plan(&mut survey)?,
        Provider::Python => python::plan(&mut survey)?,
        Provider::Deno => deno::plan(&mut survey)?,
        Provider::Dotnet => dotnet::plan(&mut survey)?,
        Provider::Node => node::plan(&mut survey)?,
        Provider::Cpp => cpp::plan(&mut survey)?,
        Provider::Static => static_site::plan(&mut survey)?,
        Provider::Shell => shell::plan(&mut survey)?,
    };
    if provider != Provider::Static && tree.has(staticfile::AUTHENTICATION) {
        survey.warn("Staticfile.auth counts for plain sites only: no password is asked for here.");
    }
    Ok(survey.finish(outcome))
}
