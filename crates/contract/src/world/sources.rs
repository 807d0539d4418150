//! Repositories and archives in memory.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use async_trait::async_trait;
use domain::{
    SecretText,
    names::{Commit, InsidePath},
    ports::source::{CommitFacts, GitRequest, SourceError, SourceLimits, SourceObserver, Sources},
};

use super::{Failure, FakeWorld, State, Step};

type Files = BTreeMap<String, String>;

/// A repository: its branches, each with its commits, oldest first.
#[derive(Default)]
pub(super) struct Repository {
    branches: Vec<(String, Vec<(CommitFacts, Files)>)>,
}

const ARCHIVE_MARK: &str = "an archive of the world in memory\n";
const FILE_MARK: &str = "\u{1}file ";

/// An archive that [`FakeWorld`] unpacks.
#[must_use]
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut text = ARCHIVE_MARK.to_owned();
    for (path, content) in files {
        text.push_str(&format!("{FILE_MARK}{path}\n{content}"));
    }
    text.into_bytes()
}

impl FakeWorld {
    /// Pushes a commit to a branch of a repository, and makes both where they are not there. The first branch of a
    /// repository is its default.
    pub fn push(&self, url: &str, branch: &str, files: &[(&str, &str)]) -> Commit {
        let mut state = self.state();
        let number = state.next();
        let commit = Commit::parse(&format!("{number:040x}")).expect("forty hexadecimal digits are a commit");
        let facts = CommitFacts {
            commit: commit.clone(),
            message: format!("Change {number}"),
            author: "Somebody".to_owned(),
        };
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
            .collect();
        let branches = &mut state.repositories.entry(url.to_owned()).or_default().branches;
        match branches.iter_mut().find(|(name, _)| name == branch) {
            Some((_, commits)) => commits.push((facts, files)),
            None => branches.push((branch.to_owned(), vec![(facts, files)])),
        }
        commit
    }
}

impl State {
    fn checkout(&self, request: &GitRequest) -> Result<(CommitFacts, Files), SourceError> {
        let repository = self
            .repositories
            .get(request.url.as_str())
            .ok_or_else(|| SourceError::Denied {
                message: "there is no such repository".to_owned(),
            })?;
        if let Some(commit) = &request.commit {
            let mut all = repository.branches.iter().flat_map(|(_, commits)| commits);
            return all
                .find(|(facts, _)| facts.commit == *commit)
                .cloned()
                .ok_or_else(|| SourceError::NoSuchRevision(format!("commit `{commit}`")));
        }
        let wanted = request.branch.as_ref();
        let branch = repository
            .branches
            .iter()
            .find(|(name, _)| wanted.is_none_or(|branch| branch.as_str() == name));
        branch.and_then(|(_, commits)| commits.last()).cloned().ok_or_else(|| {
            SourceError::NoSuchRevision(wanted.map_or("commit".to_owned(), |branch| format!("branch `{branch}`")))
        })
    }
}

fn error(failure: Failure) -> SourceError {
    let message = "as the test asked for".to_owned();
    match failure {
        Failure::Refused => SourceError::Denied { message },
        Failure::Unreachable | Failure::Lost => SourceError::Unreachable { message },
    }
}

fn local(error: std::io::Error) -> SourceError {
    SourceError::Local(Box::new(error))
}

fn write(directory: &Path, files: &Files) -> Result<(), SourceError> {
    for (path, content) in files {
        if Path::new(path)
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(SourceError::Refused(format!("the path `{path}` leads outside")));
        }
        let file = directory.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(local)?;
        }
        std::fs::write(file, content).map_err(local)?;
    }
    Ok(())
}

#[async_trait]
impl Sources for FakeWorld {
    async fn checkout(
        &self,
        request: &GitRequest,
        directory: &Path,
        observer: &dyn SourceObserver,
    ) -> Result<CommitFacts, SourceError> {
        self.perform(Step::Checkout, error, || {
            let (facts, files) = self.state().checkout(request)?;
            observer.line("fetching");
            write(directory, &files)?;
            Ok(facts)
        })
        .await
    }

    async fn unpack(&self, archive: &Path, directory: &Path, limits: SourceLimits) -> Result<(), SourceError> {
        self.perform(Step::Unpack, error, || {
            let bytes = std::fs::read(archive).map_err(local)?;
            let text = String::from_utf8_lossy(&bytes);
            let body = text
                .strip_prefix(ARCHIVE_MARK)
                .ok_or_else(|| SourceError::Refused("the upload is no archive".to_owned()))?;
            if bytes.len() as u64 > limits.bytes {
                return Err(SourceError::TooLarge("the archive is too large".to_owned()));
            }
            let files = body
                .split(FILE_MARK)
                .filter_map(|part| part.split_once('\n'))
                .map(|(path, content)| (path.to_owned(), content.to_owned()))
                .collect();
            write(directory, &files)
        })
        .await
    }

    fn confine(&self, directory: &Path, inside: &InsidePath) -> Result<PathBuf, SourceError> {
        let refused = || SourceError::NoSuchDirectory(inside.to_string());
        let top = directory.canonicalize().map_err(|_| refused())?;
        let found = top.join(inside.as_str()).canonicalize().map_err(|_| refused())?;
        if found.is_dir() && found.starts_with(&top) {
            Ok(found)
        } else {
            Err(refused())
        }
    }

    async fn generate_deploy_key(&self, comment: &str) -> Result<(SecretText, String), SourceError> {
        self.perform(Step::GenerateDeployKey, error, || {
            Ok((
                SecretText::new("a private key of the world in memory"),
                format!("ssh-ed25519 AAAA {comment}"),
            ))
        })
        .await
    }
}
