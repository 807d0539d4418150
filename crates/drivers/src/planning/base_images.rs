//! Base images where no registry can be reached: an outside program of the operator's provides them.

use std::{ops::ControlFlow, path::PathBuf, time::Duration};

use async_trait::async_trait;
use domain::ports::{planning::BaseImages, source::SourceObserver};

use crate::source::program::Program;

/// Making one from the distribution's packages takes a minute or two.
const DEADLINE: Duration = Duration::from_secs(900);

/// A program that is called with image references and makes sure that the builder finds them; without one, the builder
/// pulls what it needs by itself.
pub struct BaseImageProgram {
    program: Option<PathBuf>,
    docker_host: String,
}

impl BaseImageProgram {
    /// `docker_host` is where the images are needed.
    #[must_use]
    pub fn new(program: Option<PathBuf>, docker_host: &str) -> Self {
        Self {
            program,
            docker_host: docker_host.to_owned(),
        }
    }
}

#[async_trait]
impl BaseImages for BaseImageProgram {
    async fn ensure(&self, images: &[String], observer: &dyn SourceObserver) -> Result<(), String> {
        let Some(program) = self.program.as_ref().filter(|_| !images.is_empty()) else {
            return Ok(());
        };
        let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
        // The program asks the machine's own package clients, which are found by the path of the platform's own process.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut last = String::new();
        let finished = Program::new(program)
            .args(images)
            .env("DOCKER_HOST", &self.docker_host)
            .env("HOME", home)
            .env("PATH", path)
            .deadline(DEADLINE)
            .run(|_, text| {
                if !text.trim().is_empty() {
                    // One line behind: what is said last is the reason when it fails.
                    if !last.is_empty() {
                        observer.line(&last);
                    }
                    last = text.trim().to_owned();
                }
                ControlFlow::Continue(())
            })
            .await
            .map_err(|error| format!("the base images {} could not be provided: {error}", images.join(", ")))?;
        if !finished.status.success() {
            return Err(last);
        }
        if !last.is_empty() {
            observer.line(&last);
        }
        Ok(())
    }
}
