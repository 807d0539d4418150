//! Git repositories: fetched with few processes, no deeper than needed, believing nothing that is in them.

mod configuration;
mod remote;
mod repository;
mod submodules;
mod words;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use domain::{
    SecretText,
    names::{Branch, Commit},
    ports::source::{CommitFacts, GitRequest, SourceError, SourceLimits, SourceObserver},
    source::GitUrl,
};
use tokio::sync::OnceCell;

use super::{
    address::{self, AddressError},
    blocking, local,
    program::{Program, ProgramError, ignore},
    scratch::Scratch,
    tree::{self, Survey, within},
};
use remote::Remote;
use repository::{Listing, Repository, Revision, Visit};
use words::Failure;

/// The oldest Git that can be told a host's address (`http.curloptResolve`).
const OLDEST: (u32, u32) = (2, 37);

/// What the operator allows, and where things are.
#[derive(Debug, Clone)]
pub struct GitPolicy {
    /// Whether `file://` may be used: for tests and demonstrations, since it reads what the server can read.
    pub allow_file_urls: bool,
    /// Whether hosts of this machine and of private networks may be asked.
    pub allow_private_addresses: bool,
    /// The program: a path, or `git`.
    pub git: PathBuf,
    /// A directory of ours for temporary repositories and keys; the keys of `ssh` hosts that were seen stay there.
    pub scratch: PathBuf,
}

/// Sources by Git, and by archives, which need no policy.
#[derive(Debug)]
pub struct GitSources {
    policy: GitPolicy,
    recent_enough: OnceCell<()>,
}

/// What is fetched of a repository.
enum Wanted<'a> {
    Default,
    Reference(&'a Branch),
    Commit(&'a Commit, Option<&'a Branch>),
}

/// A repository that is to be fetched, one of several.
struct Stop<'a> {
    number: usize,
    url: GitUrl,
    wanted: Wanted<'a>,
    key: Option<&'a SecretText>,
}

impl GitSources {
    /// Sources under a policy.
    #[must_use]
    pub fn new(policy: GitPolicy) -> Self {
        Self {
            policy,
            recent_enough: OnceCell::new(),
        }
    }

    pub(super) fn scratch_root(&self) -> &Path {
        &self.policy.scratch
    }

    pub(super) async fn fetch_and_check_out(
        &self,
        request: &GitRequest,
        directory: &Path,
        observer: &dyn SourceObserver,
    ) -> Result<CommitFacts, SourceError> {
        let limits = request.limits;
        let deadline = Instant::now() + Duration::from_secs(limits.seconds);
        // Looking a host up has no deadline of its own.
        tokio::time::timeout_at(deadline.into(), self.visit(request, directory, observer, deadline))
            .await
            .unwrap_or(Err(SourceError::TooSlow(limits.seconds)))
    }

    async fn visit(
        &self,
        request: &GitRequest,
        directory: &Path,
        observer: &dyn SourceObserver,
        deadline: Instant,
    ) -> Result<CommitFacts, SourceError> {
        let limits = request.limits;
        self.recent_enough.get_or_try_init(|| self.check_program()).await?;
        let scratch = Scratch::new(&self.policy.scratch).map_err(local)?;
        let directory = tokio::fs::canonicalize(directory).await.map_err(local)?;
        let visit = Visit {
            git: &self.policy.git,
            scratch: scratch.path(),
            known_hosts: &self.policy.scratch.join("known_hosts"),
            observer,
            limits,
            deadline,
        };
        let wanted = match (&request.commit, &request.branch) {
            (Some(commit), branch) => Wanted::Commit(commit, branch.as_ref()),
            (None, Some(branch)) => Wanted::Reference(branch),
            (None, None) => Wanted::Default,
        };
        observer.line(&format!("Fetching {wanted} of {}", request.url));
        let stop = Stop {
            number: 0,
            url: request.url.clone(),
            wanted,
            key: request.deploy_key.as_ref(),
        };
        let (repository, revision, url) = self.fetch(&visit, &stop).await?;
        let (facts, listing) = tokio::try_join!(repository.facts(&revision), repository.list(&revision, limits))?;
        repository.check_out(&facts.commit, &directory).await?;
        let mut left = limits;
        self.fetch_submodules(&visit, request, (repository, listing, url), &directory, &mut left)
            .await?;
        let top = directory.clone();
        let survey = blocking::run(deadline, limits.seconds, move |gate| tree::survey(&top, limits, gate)).await?;
        tell(&survey, &facts, observer);
        Ok(facts)
    }

    /// Fetches the submodules of what is in `directory`, and theirs, as long as there is something `left` to take.
    async fn fetch_submodules<'v>(
        &self,
        visit: &'v Visit<'v>,
        request: &GitRequest,
        (repository, listing, url): (Repository<'v>, Listing, GitUrl),
        directory: &Path,
        left: &mut SourceLimits,
    ) -> Result<(), SourceError> {
        let key_host = Remote::of(&request.url)?.host;
        let mut number = 0;
        let mut ahead = vec![(repository, listing, url, directory.to_owned(), 1)];
        while let Some((repository, listing, parent, directory, level)) = ahead.pop() {
            left.bytes = left.bytes.saturating_sub(listing.bytes);
            left.files = left.files.saturating_sub(listing.entries);
            if listing.submodules.is_empty() {
                continue;
            }
            let (wanted, unsaid) = submodules::wanted(&repository, &listing, &directory, &parent).await?;
            for path in unsaid.iter().take(5) {
                visit.observer.line(&format!(
                    "The submodule `{path}` has no address in `.gitmodules`: its directory stays empty"
                ));
            }
            for submodule in wanted {
                number += 1;
                if level > submodules::LEVELS || number > submodules::NUMBER {
                    return Err(SourceError::Refused(format!(
                        "there are more than {} submodules, or they are nested more than {} levels deep",
                        submodules::NUMBER,
                        submodules::LEVELS
                    )));
                }
                visit.observer.line(&format!(
                    "Fetching the submodule `{}` of {}",
                    submodule.path, submodule.url
                ));
                let place = submodules::place(&directory, &submodule.path)?;
                // A deploy key opens one repository; no other host needs to see it.
                let key = request.deploy_key.as_ref();
                let key = key.filter(|_| Remote::of(&submodule.url).is_ok_and(|remote| remote.host == key_host));
                let stop = Stop {
                    number,
                    url: submodule.url.clone(),
                    wanted: Wanted::Commit(&submodule.commit, None),
                    key,
                };
                let one = async {
                    let (repository, revision, url) = self.fetch(visit, &stop).await?;
                    let limits = *left;
                    let (facts, listing) =
                        tokio::try_join!(repository.facts(&revision), repository.list(&revision, limits))?;
                    within(listing.bytes, listing.entries, limits, "the source with its submodules")?;
                    repository.check_out(&facts.commit, &place).await?;
                    Ok((repository, listing, url))
                };
                let (repository, listing, url) = one.await.map_err(|error| in_submodule(&submodule.path, error))?;
                left.bytes = left.bytes.saturating_sub(listing.bytes);
                left.files = left.files.saturating_sub(listing.entries);
                ahead.push((
                    repository,
                    Listing {
                        bytes: 0,
                        entries: 0,
                        ..listing
                    },
                    url,
                    place,
                    level + 1,
                ));
            }
        }
        Ok(())
    }

    /// Fetches what is wanted, and says by what name it is known then and from which address it came.
    async fn fetch<'v>(
        &self,
        visit: &'v Visit<'v>,
        stop: &Stop<'_>,
    ) -> Result<(Repository<'v>, Revision, GitUrl), SourceError> {
        let remote = Remote::of(&stop.url)?;
        let addresses = self.addresses(&remote).await?;
        let mut url = stop.url.clone();
        let mut sha256 = matches!(stop.wanted, Wanted::Commit(commit, _) if commit.as_str().len() == 64);
        let mut shallow = true;
        // Each round takes away one reason to fail.
        loop {
            let repository = Repository::new(visit, stop.number, sha256, &remote, &addresses, stop.key)?;
            let fetched = fetch_wanted(&repository, &url, &stop.wanted, shallow).await;
            repository.forget_key()?;
            match fetched {
                Ok(revision) => return Ok((repository, revision, url)),
                Err(Failure::Sha256) if !sha256 => sha256 = true,
                Err(Failure::PlainFiles | Failure::Unadvertised) if shallow => shallow = false,
                // GitLab redirects to the address with this ending.
                Err(Failure::Redirect) if !url.as_str().ends_with(".git") => {
                    let longer = format!("{}.git", url.as_str().trim_end_matches('/'));
                    url = GitUrl::parse(&longer).map_err(|rule| SourceError::Refused(rule.to_string()))?;
                }
                Err(failure) => return Err(meaning(failure, &stop.wanted)),
            }
            let stale = visit.scratch.join(format!("repository-{}", stop.number));
            remove(&stale).map_err(local)?;
        }
    }

    /// The addresses that a remote's host is held to; none when the policy does not care.
    async fn addresses(&self, remote: &Remote) -> Result<Vec<IpAddr>, SourceError> {
        if remote.protocol == "file" {
            return if self.policy.allow_file_urls {
                Ok(Vec::new())
            } else {
                Err(SourceError::Refused(
                    "addresses that begin with `file://` are not allowed here".to_owned(),
                ))
            };
        }
        if self.policy.allow_private_addresses {
            return Ok(Vec::new());
        }
        address::public_addresses(&remote.host, remote.port)
            .await
            .map_err(|error| match error {
                AddressError::Unknown(_) => SourceError::Unreachable {
                    message: error.to_string(),
                },
                AddressError::Forbidden { .. } => SourceError::Refused(error.to_string()),
            })
    }

    async fn check_program(&self) -> Result<(), SourceError> {
        let finished = Program::new(&self.policy.git)
            .arg("version")
            .deadline(Duration::from_secs(10))
            .run(ignore)
            .await
            .map_err(|error| match error {
                ProgramError::Missing(_) => local("Git is not installed: it comes with the package `git`"),
                other => local(other),
            })?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let version = text.split_ascii_whitespace().nth(2).unwrap_or_default();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if finished.status.success() && found >= OLDEST {
            return Ok(());
        }
        Err(local(format!(
            "Git {}.{} or newer is needed, and this is {version}",
            OLDEST.0, OLDEST.1
        )))
    }
}

async fn fetch_wanted(
    repository: &Repository<'_>,
    url: &GitUrl,
    wanted: &Wanted<'_>,
    shallow: bool,
) -> Result<Revision, Failure> {
    let newest = || Revision("FETCH_HEAD".to_owned());
    match wanted {
        Wanted::Default => repository.fetch(url, &["HEAD"], shallow).await.map(|()| newest()),
        Wanted::Reference(name) => {
            // Branches come first: nearly all are, and a tag pays for the second question.
            match repository.fetch(url, &[&format!("refs/heads/{name}")], shallow).await {
                Err(Failure::NoReference) => repository.fetch(url, &[&format!("refs/tags/{name}")], shallow).await,
                other => other,
            }
            .map(|()| newest())
        }
        Wanted::Commit(commit, _) if shallow => repository
            .fetch(url, &[commit.as_str()], true)
            .await
            .map(|()| Revision(commit.as_str().to_owned())),
        // The server gives out only what has a name: the commit is somewhere below one.
        Wanted::Commit(commit, branch) => {
            let references = match branch {
                Some(branch) => vec![format!("+refs/heads/{branch}:refs/remotes/all/heads/{branch}")],
                None => vec![
                    "+refs/heads/*:refs/remotes/all/heads/*".to_owned(),
                    "+refs/tags/*:refs/remotes/all/tags/*".to_owned(),
                ],
            };
            let references: Vec<&str> = references.iter().map(String::as_str).collect();
            repository
                .fetch(url, &references, false)
                .await
                .map(|()| Revision(commit.as_str().to_owned()))
        }
    }
}

fn meaning(failure: Failure, wanted: &Wanted<'_>) -> SourceError {
    match failure {
        Failure::Final(error) => error,
        Failure::NoReference if matches!(wanted, Wanted::Default) => {
            SourceError::NoSuchRevision("commit in the repository: it is empty".to_owned())
        }
        Failure::NoReference | Failure::NoCommit | Failure::Unadvertised => SourceError::NoSuchRevision(match wanted {
            Wanted::Default => "default branch".to_owned(),
            Wanted::Reference(name) => format!("branch or tag `{name}`"),
            Wanted::Commit(commit, Some(branch)) => format!("commit `{commit}` (or branch `{branch}`)"),
            Wanted::Commit(commit, None) => format!("commit `{commit}`"),
        }),
        Failure::Redirect => SourceError::Refused(
            "the address redirects to another one: open it in a browser, and use the address shown there".to_owned(),
        ),
        Failure::PlainFiles | Failure::Sha256 => SourceError::Denied {
            message: "the server's repository has a form that Git cannot fetch".to_owned(),
        },
    }
}

fn in_submodule(path: &impl fmt::Display, error: SourceError) -> SourceError {
    let told = |message: String| format!("the submodule `{path}`: {message}");
    match error {
        SourceError::Unreachable { message } => SourceError::Unreachable { message: told(message) },
        SourceError::Denied { message } => SourceError::Denied { message: told(message) },
        SourceError::NoSuchRevision(what) => SourceError::NoSuchRevision(format!("{what} of the submodule `{path}`")),
        SourceError::Refused(message) => SourceError::Refused(told(message)),
        SourceError::TooLarge(message) => SourceError::TooLarge(told(message)),
        other => other,
    }
}

/// Says what became of it.
fn tell(survey: &Survey, facts: &CommitFacts, observer: &dyn SourceObserver) {
    let listed = |(names, number): &(Vec<String>, u64)| {
        let more = if *number > names.len() as u64 { ", …" } else { "" };
        format!("`{}`{more}", names.join("`, `"))
    };
    if survey.links.1 > 0 {
        let links = listed(&survey.links);
        observer.line(&format!(
            "Warning: left out {} links that lead outside of the repository: {links}",
            survey.links.1
        ));
    }
    if survey.pointers.1 > 0 {
        let pointers = listed(&survey.pointers);
        observer.line(&format!(
            "Warning: {} files are in Git LFS, which is not fetched; they hold only pointers: {pointers}",
            survey.pointers.1
        ));
    }
    let short: String = facts.commit.as_str().chars().take(10).collect();
    observer.line(&format!(
        "Checked out {short} ({} entries, {} kB): {}",
        survey.entries,
        survey.bytes.div_ceil(1000),
        facts.message
    ));
}

fn remove(directory: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default branch"),
            Self::Reference(name) => write!(f, "`{name}`"),
            Self::Commit(commit, _) => write!(f, "commit `{commit}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    struct Quiet;

    impl SourceObserver for Quiet {
        fn line(&self, _: &str) {}
    }

    #[tokio::test]
    async fn a_host_is_asked_at_the_address_that_was_checked() {
        let scratch = tempfile::TempDir::new().unwrap();
        for (number, (start, heard)) in [("http", "GET "), ("ssh", "SSH-")].into_iter().enumerate() {
            if start == "ssh" && !Path::new("/usr/bin/ssh").exists() {
                eprintln!("skipped: ssh");
                continue;
            }
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let mut start = [0; 4];
                listener.accept().unwrap().0.read_exact(&mut start).unwrap();
                String::from_utf8_lossy(&start).into_owned()
            });
            let visit = Visit {
                git: Path::new("git"),
                scratch: scratch.path(),
                known_hosts: &scratch.path().join("known_hosts"),
                observer: &Quiet,
                limits: SourceLimits::default(),
                deadline: Instant::now() + Duration::from_secs(20),
            };
            let url = GitUrl::parse(&format!("{start}://pinned.invalid:{port}/app.git")).unwrap();
            let addresses = [IpAddr::from([127, 0, 0, 1])];
            let remote = Remote::of(&url).unwrap();
            let repository = Repository::new(&visit, number, false, &remote, &addresses, None).unwrap();
            assert!(repository.fetch(&url, &["HEAD"], true).await.is_err());
            assert_eq!(server.join().unwrap(), heard);
        }
    }
}
