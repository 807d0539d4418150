//! One repository of Git's in our scratch, and what Git is asked to do with it. It lies outside of the checkout, so that no
//! `.git` is ever there.

use std::{
    fs,
    net::IpAddr,
    ops::ControlFlow,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use domain::{
    SecretText,
    logs::clean_line,
    names::Commit,
    ports::source::{CommitFacts, SourceError, SourceLimits, SourceObserver},
    source::GitUrl,
};

use super::{
    super::{
        local,
        program::{Finished, Program, ProgramError, ProgramLimits, Stream, ignore},
        tree::{self, within},
    },
    configuration::{self, SSH_COMMAND},
    remote::Remote,
    words::{self, Failure, Fold},
};

/// Data memory of one process of Git: a repository can be small and yet ask for all there is.
const MEMORY_BYTES: u64 = 2 << 30;
/// How often the size of what was fetched is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many characters of a commit's first line are kept.
const MESSAGE_CHARACTERS: usize = 200;
/// How many submodules are noted; more are refused elsewhere.
const LINKS_KEPT: usize = 1000;

/// What all repositories of one checkout share.
pub(super) struct Visit<'a> {
    /// The program.
    pub(super) git: &'a Path,
    /// The checkout's private directory.
    pub(super) scratch: &'a Path,
    /// Hosts' keys that were seen before.
    pub(super) known_hosts: &'a Path,
    /// Who hears how it goes on.
    pub(super) observer: &'a dyn SourceObserver,
    /// What may be taken.
    pub(super) limits: SourceLimits,
    /// Until when.
    pub(super) deadline: Instant,
}

/// A commit named by something that Git fetched.
#[derive(Debug)]
pub(super) struct Revision(pub(super) String);

/// What a commit's tree holds, known before anything is written.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Bytes of all files.
    pub(super) bytes: u64,
    /// Files and directories.
    pub(super) entries: u64,
    /// Submodules: path and commit.
    pub(super) submodules: Vec<(String, String)>,
}

/// A repository in the scratch.
pub(super) struct Repository<'a> {
    visit: &'a Visit<'a>,
    directory: PathBuf,
    protocol: &'static str,
}

impl<'a> Repository<'a> {
    /// A new one for what `remote` serves, numbered within the visit. `addresses` are the only ones that its host has;
    /// none when it may be looked up. Made by hand: that spares a process.
    pub(super) fn new(
        visit: &'a Visit<'a>,
        number: usize,
        sha256: bool,
        remote: &Remote,
        addresses: &[IpAddr],
        key: Option<&SecretText>,
    ) -> Result<Self, SourceError> {
        let directory = visit
            .scratch
            .join(format!("repository-{number}{}", if sha256 { "-sha256" } else { "" }));
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).map_err(local);
        fs::create_dir_all(directory.join("objects/pack")).map_err(local)?;
        fs::create_dir_all(directory.join("refs/heads")).map_err(local)?;
        write("HEAD", "ref: refs/heads/none\n")?;
        write(
            "config",
            if sha256 {
                "[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectFormat = sha256\n"
            } else {
                "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
            },
        )?;
        write("global-config", &configuration::of_git(remote, addresses))?;
        if remote.protocol == "ssh" {
            let key_file = directory.join("key");
            if let Some(key) = key {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&key_file)
                    .map_err(local)?;
                std::io::Write::write_all(&mut file, format!("{}\n", key.expose().trim_end()).as_bytes())
                    .map_err(local)?;
            }
            let key_file = key.is_some().then_some(key_file.as_path());
            write(
                "ssh-config",
                &configuration::of_ssh(remote, addresses, key_file, visit.known_hosts)?,
            )?;
        }
        Ok(Self {
            visit,
            directory,
            protocol: remote.protocol,
        })
    }

    /// Removes the key, when it has done its work.
    pub(super) fn forget_key(&self) -> Result<(), SourceError> {
        match fs::remove_file(self.directory.join("key")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(local(error)),
            _ => Ok(()),
        }
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let visit = self.visit;
        let left = visit.deadline.saturating_duration_since(Instant::now());
        Program::new(visit.git)
            .args(arguments)
            .env("HOME", visit.scratch)
            .env("XDG_CONFIG_HOME", visit.scratch)
            .env("TMPDIR", visit.scratch)
            .env("LC_ALL", "C")
            .env("GIT_DIR", &self.directory)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.directory.join("global-config"))
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("SSH_ASKPASS", "")
            .env("GIT_PROTOCOL_FROM_USER", "0")
            .env("GIT_ALLOW_PROTOCOL", self.protocol)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_SSH_COMMAND", SSH_COMMAND)
            .env("GIT_SSH_VARIANT", "ssh")
            .env("SSH_CONFIGURATION", self.directory.join("ssh-config"))
            .current_dir(visit.scratch)
            .deadline(left)
            .limits(ProgramLimits {
                memory_bytes: Some(MEMORY_BYTES),
                file_bytes: Some(visit.limits.bytes),
                kept_bytes: 64 * 1024,
                ..ProgramLimits::default()
            })
    }

    fn failed(&self, error: ProgramError) -> SourceError {
        match error {
            ProgramError::TooSlow { .. } => SourceError::TooSlow(self.visit.limits.seconds),
            other => local(other),
        }
    }

    fn understand(&self, finished: &Finished) -> Failure {
        if std::os::unix::process::ExitStatusExt::signal(&finished.status) == Some(25) {
            return Failure::Final(tree::too_many_bytes(self.visit.limits, "the repository"));
        }
        words::understand(&finished.stderr, self.visit.scratch, self.visit.limits)
    }

    /// Fetches `references`, of the newest commit only when `shallow`.
    pub(super) async fn fetch(&self, url: &GitUrl, references: &[&str], shallow: bool) -> Result<(), Failure> {
        let mut arguments = vec![
            "fetch",
            "--progress",
            "--no-tags",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
        ];
        if shallow {
            arguments.push("--depth=1");
        }
        arguments.extend(["--end-of-options", url.as_str()]);
        arguments.extend(references);
        let mut fold = Fold::default();
        let fetching = self.program(&arguments).run(|stream, line| {
            if let (Stream::Stderr, Some(line)) = (stream, fold.line(line)) {
                self.visit.observer.line(&line);
            }
            ControlFlow::Continue(())
        });
        let finished = tokio::select! {
            finished = fetching => finished.map_err(|error| Failure::Final(self.failed(error)))?,
            too_large = self.outgrown() => return Err(Failure::Final(too_large)),
        };
        if finished.status.success() {
            Ok(())
        } else {
            Err(self.understand(&finished))
        }
    }

    /// Ends when the repository is larger than allowed. The kernel's limit is for one file; a server of plain files sends many.
    async fn outgrown(&self) -> SourceError {
        let mut pause = LOOK_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let before = Instant::now();
            let directory = self.directory.clone();
            let size = tokio::task::spawn_blocking(move || size_of(&directory))
                .await
                .unwrap_or(0);
            // Fetched objects are compressed, but come with indexes and the parents' history.
            if size > self.visit.limits.bytes.saturating_mul(2) {
                return tree::too_many_bytes(self.visit.limits, "the repository");
            }
            pause = LOOK_EVERY.max(before.elapsed() * 10);
        }
    }

    /// Who made a commit, and its name.
    pub(super) async fn facts(&self, revision: &Revision) -> Result<CommitFacts, SourceError> {
        let commit = format!("{}^{{commit}}", revision.0);
        let finished = self
            .program(&[
                "log",
                "-1",
                "--no-color",
                "--encoding=UTF-8",
                "--format=%H%x00%an%x00%B",
                &commit,
                "--",
            ])
            .run(ignore)
            .await
            .map_err(|error| self.failed(error))?;
        let text = String::from_utf8_lossy(&finished.stdout);
        let mut parts = text.splitn(3, '\0');
        let (hash, author, message) = (parts.next(), parts.next(), parts.next());
        let commit = hash.and_then(|hash| Commit::parse(hash.trim()).ok());
        let (true, Some(commit), Some(author), Some(message)) = (finished.status.success(), commit, author, message)
        else {
            return Err(SourceError::NoSuchRevision(format!("commit `{}`", revision.0)));
        };
        Ok(CommitFacts {
            commit,
            message: first_line(message),
            author: first_line(author),
        })
    }

    /// Goes through a commit's tree, within `limits`. Trees can repeat themselves without end: it is stopped early.
    pub(super) async fn list(&self, revision: &Revision, limits: SourceLimits) -> Result<Listing, SourceError> {
        let tree = format!("{}^{{tree}}", revision.0);
        let mut listing = Listing::default();
        let ended = self
            .program(&["ls-tree", "-r", "-t", "-z", "-l", "--full-tree", &tree])
            .separator(0)
            .limits(ProgramLimits {
                output_bytes: limits.files.saturating_mul(8 * 1024).max(1 << 20),
                kept_bytes: 64 * 1024,
                memory_bytes: Some(MEMORY_BYTES),
                file_bytes: None,
            })
            .run(|stream, line| {
                if stream == Stream::Stdout {
                    listing.add(line);
                }
                if listing.bytes > limits.bytes || listing.entries > limits.files {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .await;
        within(listing.bytes, listing.entries, limits, "the source")?;
        match ended {
            Ok(finished) if finished.status.success() => Ok(listing),
            Ok(finished) => Err(match self.understand(&finished) {
                Failure::Final(error @ SourceError::TooLarge(_)) => error,
                _ => SourceError::NoSuchRevision(format!("commit `{}`", revision.0)),
            }),
            Err(ProgramError::TooMuchOutput { .. }) => Err(SourceError::TooLarge(
                "the names of the source's files are too long".to_owned(),
            )),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Writes a commit's files into `directory`.
    pub(super) async fn check_out(&self, commit: &Commit, directory: &Path) -> Result<(), SourceError> {
        let mut fold = Fold::default();
        let finished = self
            .program(&[
                "checkout",
                "--progress",
                "--force",
                "--detach",
                "--no-recurse-submodules",
                commit.as_str(),
                "--",
            ])
            .env("GIT_WORK_TREE", directory)
            .run(|_, line| {
                if let Some(line) = fold.line(line) {
                    self.visit.observer.line(&line);
                }
                ControlFlow::Continue(())
            })
            .await
            .map_err(|error| self.failed(error))?;
        if finished.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&finished.stderr);
        let said = words::words(&text, self.visit.scratch);
        let text = text.to_lowercase();
        Err(
            if text.contains("no space left") || text.contains("read-only file system") {
                local(said)
            } else {
                match self.understand(&finished) {
                    Failure::Final(error @ SourceError::TooLarge(_)) => error,
                    // A path that Git does not write: `.git`, `..`, an empty name.
                    _ => SourceError::Refused(format!("Git did not write the files: {said}")),
                }
            },
        )
    }

    /// The settings of a configuration file of a stranger, which cannot include others.
    pub(super) async fn settings(&self, file: &Path) -> Result<Vec<(String, String)>, SourceError> {
        let file = file.to_string_lossy().into_owned();
        let mut settings = Vec::new();
        let finished = self
            .program(&["config", "--no-includes", "-z", "--list", "--file", &file])
            .separator(0)
            .run(|stream, line| {
                if let (Stream::Stdout, Some((key, value))) = (stream, line.split_once('\n')) {
                    settings.push((key.to_owned(), value.to_owned()));
                }
                ControlFlow::Continue(())
            })
            .await
            .map_err(|error| self.failed(error))?;
        if finished.status.success() {
            Ok(settings)
        } else {
            Err(SourceError::Refused("the file `.gitmodules` cannot be read".to_owned()))
        }
    }
}

impl Listing {
    /// Adds a line `mode type object size<tab>path`.
    fn add(&mut self, line: &str) {
        let Some((facts, path)) = line.split_once('\t') else {
            return;
        };
        let mut facts = facts.split_ascii_whitespace();
        let (mode, _kind, object, size) = (facts.next(), facts.next(), facts.next(), facts.next());
        self.entries += 1;
        self.bytes = self
            .bytes
            .saturating_add(size.and_then(|size| size.parse().ok()).unwrap_or(0));
        if let (Some("160000"), Some(object)) = (mode, object)
            && self.submodules.len() < LINKS_KEPT
        {
            self.submodules.push((path.to_owned(), object.to_owned()));
        }
    }
}

fn first_line(text: &str) -> String {
    let line = clean_line(text.lines().next().unwrap_or_default());
    line.trim().chars().take(MESSAGE_CHARACTERS).collect()
}

fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
