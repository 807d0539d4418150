//! From a source to files in a directory.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::{
    SecretText,
    names::{Branch, Commit, InsidePath},
    source::GitUrl,
};

/// What a checkout may take.
#[derive(Debug, Clone, Copy)]
pub struct SourceLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Number of files and directories.
    pub files: u64,
    /// Seconds for everything.
    pub seconds: u64,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            bytes: 2 * 1024 * 1024 * 1024,
            files: 250_000,
            seconds: 300,
        }
    }
}

/// What is to be checked out.
#[derive(Debug, Clone)]
pub struct GitRequest {
    /// Where from.
    pub url: GitUrl,
    /// Branch or tag; the repository's default when absent.
    pub branch: Option<Branch>,
    /// The exact commit, when one was asked for.
    pub commit: Option<Commit>,
    /// The private half of the deploy key, for `ssh`, in OpenSSH's format.
    pub deploy_key: Option<SecretText>,
    /// What it may take.
    pub limits: SourceLimits,
}

/// What was checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// The commit.
    pub commit: Commit,
    /// The first line of its message.
    pub message: String,
    /// Its author's name.
    pub author: String,
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The host cannot be reached, or does not answer. Trying again can help.
    #[error("the repository's host is unreachable: {message}")]
    Unreachable {
        /// What Git said, without secrets.
        message: String,
    },
    /// The repository is not there, or we may not see it.
    #[error("the repository cannot be read: {message}")]
    Denied {
        /// What Git said.
        message: String,
    },
    /// No such branch, tag or commit.
    #[error("there is no {0}")]
    NoSuchRevision(String),
    /// No such directory in it, or it leads outside.
    #[error("the root directory `{0}` is not a directory of the source")]
    NoSuchDirectory(String),
    /// Larger than the limits allow.
    #[error("{0}")]
    TooLarge(String),
    /// It took too long.
    #[error("fetching took longer than {0} s")]
    TooSlow(u64),
    /// What was given is refused: an address that may not be asked, an archive with paths that lead outside.
    #[error("{0}")]
    Refused(String),
    /// This machine could not do its part.
    #[error("the files could not be written")]
    Local(#[source] Cause),
}

/// A line about how fetching goes on.
pub trait SourceObserver: Send + Sync {
    /// A whole line of progress, without secrets.
    fn line(&self, text: &str);
}

/// Fetches files. Everything is written below the directory that is given; dropping the future ends what runs, and the
/// caller removes the directory.
#[async_trait]
pub trait Sources: Send + Sync {
    /// Checks a repository out into `directory`, which is empty. No `.git` is left in it that a build could read.
    async fn checkout(
        &self,
        request: &GitRequest,
        directory: &Path,
        observer: &dyn SourceObserver,
    ) -> Result<CommitFacts, SourceError>;

    /// Unpacks an archive (`tar`, `tar.gz`, `zip`: found out from its first bytes) into `directory`, which is empty. When
    /// all of it is in one directory, that one's content is taken. Nothing but files, directories and links that stay
    /// inside is made.
    async fn unpack(&self, archive: &Path, directory: &Path, limits: SourceLimits) -> Result<(), SourceError>;

    /// The directory `inside` of a checkout, with every link resolved.
    ///
    /// # Errors
    /// When it is none, or leads outside.
    fn confine(&self, directory: &Path, inside: &InsidePath) -> Result<PathBuf, SourceError>;

    /// A new key pair for `ssh` (Ed25519): the private half in OpenSSH's format, and the public line.
    async fn generate_deploy_key(&self, comment: &str) -> Result<(SecretText, String), SourceError>;
}
