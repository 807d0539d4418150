//! Plans without looking closely.

use async_trait::async_trait;
use domain::ports::{
    builder::Recipe,
    planning::{BaseImages, BuildPlan, PlanError, PlanRequest, Planner},
    source::SourceObserver,
};

use super::{Failure, FakeWorld, Step};

/// A file that makes the world's planner refuse an application; its content is why.
pub const REFUSED_FILE: &str = "refuse-to-plan";

fn error(failure: Failure) -> PlanError {
    match failure {
        Failure::Refused => PlanError::refused("nothing that can be built, as the test asked for"),
        Failure::Unreachable | Failure::Lost => PlanError::Unavailable("away, as the test asked for".to_owned()),
    }
}

#[async_trait]
impl Planner for FakeWorld {
    async fn plan(&self, request: &PlanRequest<'_>) -> Result<BuildPlan, PlanError> {
        self.perform(Step::Plan, error, || {
            if let Ok(why) = std::fs::read_to_string(request.directory.join(REFUSED_FILE)) {
                return Err(PlanError::refused(why));
            }
            let settings = request.settings;
            let path = settings
                .dockerfile_path
                .as_ref()
                .map_or("Dockerfile", |path| path.as_str());
            let recipe = if request.directory.join(path).is_file() {
                Recipe::Dockerfile {
                    path: path.to_owned(),
                    target: settings.target.as_ref().map(ToString::to_string),
                    arguments: settings
                        .arguments
                        .iter()
                        .map(|(key, value)| (key.to_string(), value.clone()))
                        .collect(),
                }
            } else {
                Recipe::Planned {
                    dockerfile: "FROM scratch\n".to_owned(),
                    dockerignore: None,
                    arguments: Default::default(),
                }
            };
            Ok(BuildPlan {
                recipe,
                secrets: Default::default(),
                facts: Default::default(),
                summary: vec!["planned in memory".to_owned()],
                base_images: vec!["base:1".to_owned()],
                port: None,
            })
        })
        .await
    }
}

#[async_trait]
impl BaseImages for FakeWorld {
    async fn ensure(&self, images: &[String], observer: &dyn SourceObserver) -> Result<(), String> {
        let error = |_| "the base image cannot be had, as the test asked for".to_owned();
        self.perform(Step::EnsureBaseImages, error, || {
            if !images.is_empty() {
                observer.line("the base images are there");
            }
            Ok(())
        })
        .await
    }
}
