//! The Git remote of a directory, as a source: only what is committed and pushed can be deployed from there.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use domain::{
    names::{Branch, Commit, InsidePath},
    source::GitUrl,
};

use super::error::ClientError;

/// Where a directory's files can be had by Git.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The address of `origin`.
    pub(crate) url: GitUrl,
    /// The branch there.
    pub(crate) branch: Branch,
    /// The commit that is checked out.
    pub(crate) commit: Commit,
    /// The directory within the repository.
    pub(crate) root_directory: InsidePath,
}

/// Looks at a directory's repository.
///
/// # Errors
/// When it has none, has no remote `origin`, or anything is not committed or not pushed.
pub(crate) fn look(directory: &Path) -> Result<Remote, ClientError> {
    let unpushed = |what: &str| {
        ClientError::conflict(
            what,
            "Commit and push it, or leave out --from-remote to upload the directory as it is.",
        )
    };
    let prefix = git(directory, &["rev-parse", "--show-prefix"]).map_err(|why| {
        ClientError::usage(
            format!("{} is in no Git repository: {why}", directory.display()),
            "Leave out --from-remote to upload the directory, or give the address with --git.",
        )
    })?;
    let address = git(directory, &["remote", "get-url", "origin"]).map_err(|_| {
        ClientError::usage(
            "the repository has no remote `origin`",
            "Add one, or give the address with --git.",
        )
    })?;
    let address = if address.starts_with('/') {
        format!("file://{address}")
    } else {
        address
    };
    // The address may hold a password: neither it nor the rule's error repeats it.
    let url = GitUrl::parse(&address)
        .map_err(|bad| ClientError::usage(format!("the address of the remote `origin` cannot be used: {bad}"), ""))?;
    let changes = git(
        directory,
        &["status", "--porcelain", "--untracked-files=normal", "--", "."],
    )
    .map_err(|why| ClientError::failed(format!("git status failed: {why}"), ""))?;
    if let Some(first) = changes.lines().next() {
        let more = changes.lines().count() - 1;
        let others = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        return Err(unpushed(&format!(
            "there are changes that are not committed: {}{others}",
            first.trim()
        )));
    }
    let upstream = git(
        directory,
        &["rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}"],
    )
    .map_err(|_| unpushed("the current branch was never pushed to `origin`"))?;
    let branch = upstream
        .strip_prefix("origin/")
        .and_then(|name| Branch::parse(name).ok())
        .ok_or_else(|| {
            unpushed(&format!(
                "the current branch follows {upstream}, not a branch of `origin`"
            ))
        })?;
    let ahead = git(directory, &["rev-list", "--count", "@{upstream}..HEAD"]).unwrap_or_default();
    if ahead != "0" {
        return Err(unpushed(&format!(
            "{ahead} commits of this branch are not pushed to {upstream}"
        )));
    }
    let commit = git(directory, &["rev-parse", "HEAD"])
        .ok()
        .and_then(|text| Commit::parse(&text).ok())
        .ok_or_else(|| unpushed("there is no commit yet"))?;
    let root_directory = InsidePath::parse(prefix.trim_end_matches('/'))
        .map_err(|bad| ClientError::usage(format!("the directory cannot be a root directory: {bad}"), ""))?;
    Ok(Remote {
        url,
        branch,
        commit,
        root_directory,
    })
}

/// Asks Git something about the user's own repository; the error is the last line that it printed.
fn git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| format!("git cannot be started: {cause}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it failed").to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run(directory: &Path, arguments: &[&str]) {
        let identity = [
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ];
        let all: Vec<&str> = identity.iter().chain(arguments).copied().collect();
        git(directory, &all).unwrap();
    }

    #[test]
    fn only_what_is_committed_and_pushed_is_a_source() {
        let folder = tempfile::tempdir().unwrap();
        let (bare, work) = (folder.path().join("bare.git"), folder.path().join("work"));
        fs::create_dir_all(work.join("apps/web")).unwrap();
        assert_eq!(look(&work).unwrap_err().exit_code(), 2);
        run(folder.path(), &["init", "--quiet", "--bare", "bare.git"]);
        run(&work, &["init", "--quiet"]);
        fs::write(work.join("apps/web/index.html"), "x").unwrap();
        assert!(look(&work).unwrap_err().to_string().contains("origin"));
        run(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
        assert!(look(&work).unwrap_err().to_string().contains("not committed"));
        run(&work, &["add", "."]);
        run(&work, &["commit", "--quiet", "-m", "one"]);
        assert!(look(&work).unwrap_err().to_string().contains("never pushed"));
        run(&work, &["push", "--quiet", "--set-upstream", "origin", "main"]);
        let remote = look(&work.join("apps/web")).unwrap();
        assert_eq!(remote.url.as_str(), format!("file://{}", bare.display()));
        assert_eq!(
            (remote.branch.as_str(), remote.root_directory.as_str()),
            ("main", "apps/web")
        );
        assert_eq!(look(&work).unwrap().root_directory.as_str(), "");
        run(&work, &["commit", "--quiet", "--allow-empty", "-m", "two"]);
        let error = look(&work).unwrap_err();
        assert!(
            error.to_string().contains("1 commits") && error.exit_code() == 5,
            "{error}"
        );
    }

    #[test]
    fn a_password_in_the_remote_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["init", "--quiet"]);
        run(
            folder.path(),
            &["remote", "add", "origin", "https://me:hunter2@example.org/a.git"],
        );
        let error = look(folder.path()).unwrap_err().to_string();
        assert!(error.contains("password") && !error.contains("hunter2"), "{error}");
    }
}
