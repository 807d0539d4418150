//! Base images where no registry can be reached: an outside program of the operator's provides them.

use std::{ops::ControlFlow, path::PathBuf, time::Duration};

use async_trait::async_trait;
use domain::ports::{infrastructure::InfrastructureError, planning::BaseImages, source::SourceObserver};
use futures_util::future::join_all;

use crate::{infrastructure::docker::client::Client, source::program::Program};

/// Making one from the distribution's packages takes a minute or two.
const DEADLINE: Duration = Duration::from_secs(900);

/// A name that stands for no image.
const NOTHING: &str = "scratch";

/// A program that is called with image references and makes sure that the builder finds them; without one, the builder
/// pulls what it needs by itself. It is not started for images that the engine has: that would cost every deployment as
/// much as a program's start.
pub struct BaseImageProgram {
    program: Option<PathBuf>,
    docker_host: String,
    client: Client,
}

impl BaseImageProgram {
    /// `docker_host` is where the images are needed.
    ///
    /// # Errors
    /// [`InfrastructureError::Refused`] when it has another form than an engine's address.
    pub fn new(program: Option<PathBuf>, docker_host: &str) -> Result<Self, InfrastructureError> {
        Ok(Self {
            program,
            docker_host: docker_host.to_owned(),
            client: Client::new(docker_host)?,
        })
    }

    /// Those that the engine does not have, or of which it does not say.
    async fn missing(&self, images: &[String]) -> Vec<String> {
        let is_there = |image: String| async move {
            let there = match self.client.docker() {
                _ if image == NOTHING => true,
                Ok(docker) => docker.inspect_image(&image).await.is_ok(),
                Err(_) => false,
            };
            (!there).then_some(image)
        };
        let asked = join_all(images.iter().cloned().map(is_there)).await;
        asked.into_iter().flatten().collect()
    }
}

#[async_trait]
impl BaseImages for BaseImageProgram {
    async fn ensure(&self, images: &[String], observer: &dyn SourceObserver) -> Result<(), String> {
        let Some(program) = &self.program else { return Ok(()) };
        let missing = self.missing(images).await;
        if missing.is_empty() {
            return Ok(());
        }
        let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
        // The program asks the machine's own package clients, which are found by the path of the platform's own process.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut last = String::new();
        let finished = Program::new(program)
            .args(&missing)
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
            .map_err(|error| format!("the base images {} could not be provided: {error}", missing.join(", ")))?;
        if !finished.status.success() {
            return Err(last);
        }
        if !last.is_empty() {
            observer.line(&last);
        }
        Ok(())
    }
}
