//! From a Git repository or an uploaded archive to files in a directory: the adapter of [`domain::ports::source`].

pub mod address;
mod archive;
mod blocking;
mod git;
mod keys;
pub mod program;
mod scratch;
mod tree;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::{
    SecretText,
    names::InsidePath,
    ports::source::{CommitFacts, GitRequest, SourceError, SourceLimits, SourceObserver, Sources},
};

pub use git::{GitPolicy, GitSources};

#[async_trait]
impl Sources for GitSources {
    async fn checkout(
        &self,
        request: &GitRequest,
        directory: &Path,
        observer: &dyn SourceObserver,
    ) -> Result<CommitFacts, SourceError> {
        self.fetch_and_check_out(request, directory, observer).await
    }

    async fn unpack(&self, archive: &Path, directory: &Path, limits: SourceLimits) -> Result<(), SourceError> {
        archive::unpack(archive, directory, limits).await
    }

    fn confine(&self, directory: &Path, inside: &InsidePath) -> Result<PathBuf, SourceError> {
        tree::confine(directory, inside)
    }

    async fn generate_deploy_key(&self, comment: &str) -> Result<(SecretText, String), SourceError> {
        keys::generate(self.scratch_root(), comment).await
    }
}

/// An error of this machine, from its words or its cause.
fn local(cause: impl Into<domain::ports::Cause>) -> SourceError {
    SourceError::Local(cause.into())
}
