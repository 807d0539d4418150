//! How an application's files become a recipe, and the base images that it needs are at hand.

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;

use super::{builder::Recipe, source::SourceObserver};
use crate::{SecretText, service::BuildSettings};

/// What is to be planned.
#[derive(Debug, Clone)]
pub struct PlanRequest<'a> {
    /// The application's directory.
    pub directory: &'a Path,
    /// How the user wants it built.
    pub settings: &'a BuildSettings,
    /// The user's start command, for the planners that put it into the image.
    pub start_command: Option<&'a str>,
    /// The user's release command, which an image without a shell could not run.
    pub release_command: Option<&'a str>,
    /// The variables of the deployment: a build can read them.
    pub variables: &'a BTreeMap<String, SecretText>,
    /// Base images cannot be pulled: only what can be made of package registries may be planned with.
    pub closed_network: bool,
    /// Opaque name of the service's cache.
    pub cache_key: &'a str,
}

/// What was planned.
#[derive(Debug, Clone)]
pub struct BuildPlan {
    /// What to build.
    pub recipe: Recipe,
    /// Values for the recipe's secrets, by id.
    pub secrets: BTreeMap<String, SecretText>,
    /// What was detected and why, as a person reads it: `provider`, `facts`, `dockerfile`, `warnings`, …. A text
    /// `release_command` in it is run once in the new image before an instance of it serves.
    pub facts: serde_json::Value,
    /// A sentence or two for the log.
    pub summary: Vec<String>,
    /// The images that it builds on.
    pub base_images: Vec<String>,
    /// The port on which the application listens whatever `PORT` says.
    pub port: Option<u16>,
}

/// Why there is no plan. Trying again helps only for [`PlanError::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The files are nothing that can be built.
    #[error("{message}")]
    Refused {
        /// What is wrong, what was looked for, and what was found.
        message: String,
        /// What to do; empty where the message says it.
        advice: String,
    },
    /// What the settings ask for is not to be had here.
    #[error("{0}")]
    Unavailable(String),
}

impl PlanError {
    /// A refusal whose message says all.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            advice: String::new(),
        }
    }
}

/// Plans builds.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Reads the directory and answers a recipe.
    async fn plan(&self, request: &PlanRequest<'_>) -> Result<BuildPlan, PlanError>;
}

/// Provides base images where no registry can be reached.
#[async_trait]
pub trait BaseImages: Send + Sync {
    /// Makes sure that the builder finds these images. `observer` is told how it goes on.
    ///
    /// # Errors
    /// The image and a sentence, when one cannot be had.
    async fn ensure(&self, images: &[String], observer: &dyn SourceObserver) -> Result<(), String>;
}
