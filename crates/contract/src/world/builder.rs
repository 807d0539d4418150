//! Builds without building.

use async_trait::async_trait;
use domain::{
    logs::LogLevel,
    ports::{
        builder::{BuildError, BuildObserver, BuildRequest, BuildStep, Builder, Recipe},
        image::StoredImage,
    },
};

use super::{Failure, FakeImage, FakeWorld, ORDINARY_PROGRAM, State, Step};

fn error(failure: Failure) -> BuildError {
    match failure {
        Failure::Refused => BuildError::Failed {
            step: "RUN false".to_owned(),
            message: "the command ended with 1, as the test asked for".to_owned(),
            exit_code: Some(1),
            tail: vec!["the last line".to_owned()],
        },
        Failure::Unreachable | Failure::Lost => BuildError::Unreachable("away, as the test asked for".into()),
    }
}

impl State {
    fn build(&mut self, request: &BuildRequest) -> StoredImage {
        let rule = self
            .programs
            .iter()
            .rev()
            .find(|(part, _)| request.image_name.contains(part.as_str()));
        let program = rule.map_or_else(|| ORDINARY_PROGRAM.to_owned(), |(_, program)| program.clone());
        let stored = StoredImage {
            reference: request.image_name.clone(),
            digest: self.next_digest(),
            size_bytes: 1024,
        };
        self.builds.push(request.image_name.clone());
        let image = FakeImage {
            stored: stored.clone(),
            program,
            exposed_port: None,
            labels: request.labels.clone(),
        };
        self.images.insert(request.image_name.clone(), image);
        stored
    }
}

#[async_trait]
impl Builder for FakeWorld {
    async fn build(&self, request: &BuildRequest, observer: &dyn BuildObserver) -> Result<StoredImage, BuildError> {
        let mut step = BuildStep {
            id: "1".to_owned(),
            name: "everything".to_owned(),
            cached: false,
            seconds: None,
            error: None,
        };
        observer.step(step.clone());
        observer.line(&step.name, LogLevel::Info, "building");
        let built = self
            .perform(Step::Build, error, || {
                if !request.context.is_dir() {
                    return Err(BuildError::Invalid("the context is no directory".to_owned()));
                }
                if let Recipe::Dockerfile { path, .. } = &request.recipe
                    && !request.context.join(path).is_file()
                {
                    return Err(BuildError::Invalid(format!("there is no `{path}`")));
                }
                Ok(self.state().build(request))
            })
            .await;
        step.seconds = Some(0.0);
        step.error = built.as_ref().err().map(ToString::to_string);
        observer.step(step);
        if built.is_ok() {
            observer.pushing();
        }
        built
    }

    fn merges_layers(&self) -> bool {
        false
    }

    async fn prune_cache(&self, _keep_bytes: u64) -> Result<u64, BuildError> {
        self.perform(Step::PruneCache, error, || Ok(0)).await
    }

    async fn version(&self) -> Result<String, BuildError> {
        Ok("a world in memory".to_owned())
    }
}
