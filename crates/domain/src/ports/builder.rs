//! From files to an image.

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Cause, image::StoredImage};
use crate::{SecretText, logs::LogLevel};

/// What is to be built.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The application's directory on this machine. Nothing outside it is read, whatever links it holds.
    pub context: PathBuf,
    /// How it is built.
    pub recipe: Recipe,
    /// Values that `RUN --mount=type=secret,id=…` can read, by id. They reach no layer, history or log.
    pub secrets: BTreeMap<String, SecretText>,
    /// Opaque name of the service's cache: what two services share is only what their layers share.
    pub cache_key: String,
    /// The name that the image gets, with a tag: `click-deploy/{service}:{deployment}` or `registry/…`.
    pub image_name: String,
    /// Labels on the image.
    pub labels: BTreeMap<String, String>,
    /// Build everything anew.
    pub no_cache: bool,
}

/// How an image is made.
#[derive(Debug, Clone)]
pub enum Recipe {
    /// A Dockerfile of the application.
    Dockerfile {
        /// Its path inside the context.
        path: String,
        /// The stage; the last one when absent.
        target: Option<String>,
        /// Build arguments.
        arguments: BTreeMap<String, String>,
    },
    /// A Dockerfile that was planned and is no file of the application.
    Planned {
        /// Its text.
        dockerfile: String,
        /// What stays out of the build, when the application has no `.dockerignore` of its own.
        dockerignore: Option<String>,
        /// Build arguments that the plan asks for.
        arguments: BTreeMap<String, String>,
    },
    /// A plan of Railpack, built by its frontend image through BuildKit's gateway.
    Railpack {
        /// `railpack-plan.json`.
        plan: String,
        /// The frontend's image.
        frontend_image: String,
    },
}

/// A step of a build: a vertex of BuildKit's graph. It is reported again whenever it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BuildStep {
    /// What identifies it within its build.
    pub id: String,
    /// What a person reads.
    pub name: String,
    /// Taken from the cache.
    pub cached: bool,
    /// How long it ran; absent while it runs.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Told how a build goes on, as it does.
pub trait BuildObserver: Send + Sync {
    /// A step began, ended or was found in the cache.
    fn step(&self, step: BuildStep);
    /// A whole line of output, without its newline.
    fn line(&self, step_name: &str, level: LogLevel, text: &str);
    /// The image is built and goes to its registry.
    fn pushing(&self);
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The builder cannot be reached, or went away. Trying again can help.
    #[error("the builder is unreachable")]
    Unreachable(#[source] Cause),
    /// A step of the build failed. Trying again does not help.
    #[error("the build failed in `{step}`: {message}")]
    Failed {
        /// The step that failed.
        step: String,
        /// What BuildKit said, shortened for a person.
        message: String,
        /// The exit code of the step's process, when it was one.
        exit_code: Option<i32>,
        /// The last lines of its output.
        tail: Vec<String>,
    },
    /// A base image is neither here nor to be had.
    #[error("the image `{image}` cannot be had: {message}")]
    BaseImage {
        /// The image.
        image: String,
        /// Why.
        message: String,
    },
    /// What was asked cannot be built at all: no such Dockerfile, a Dockerfile that is none.
    #[error("{0}")]
    Invalid(String),
    /// The registry refused the image.
    #[error("the image could not be pushed: {0}")]
    Push(String),
}

/// Builds images.
#[async_trait]
pub trait Builder: Send + Sync {
    /// Builds, and leaves the image where [`super::infrastructure::Infrastructure`] finds it: in the engine's store or
    /// in the registry. Building the same again is cheap and gives an image that does the same.
    ///
    /// Dropping the future ends the running step within two seconds and leaves no process.
    async fn build(&self, request: &BuildRequest, observer: &dyn BuildObserver) -> Result<StoredImage, BuildError>;

    /// Whether a recipe for Railpack's frontend can be built here (BuildKit's MergeOp).
    fn merges_layers(&self) -> bool;

    /// Frees what is cached and not in use until at most `keep_bytes` are used; how many bytes went.
    async fn prune_cache(&self, keep_bytes: u64) -> Result<u64, BuildError>;

    /// Asks whether the builder answers; the words of the answer are its version.
    async fn version(&self) -> Result<String, BuildError>;
}
