//! What Git says, understood: progress for people, and errors by what can be done about them.

use std::path::Path;

use domain::{
    logs::clean_line,
    ports::source::{SourceError, SourceLimits},
};

use super::super::tree;

/// How many characters of Git's words an error holds.
const WORDS: usize = 400;

/// Why a fetch failed, as far as another attempt may succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such branch or tag.
    NoReference,
    /// The server does not give out a commit by its name alone.
    Unadvertised,
    /// The server has no such commit.
    NoCommit,
    /// A server of plain files, which knows no shallow fetch.
    PlainFiles,
    /// The repository names its objects by SHA-256.
    Sha256,
    /// The address redirects elsewhere.
    Redirect,
    /// Everything else.
    Final(SourceError),
}

const UNREACHABLE: [&str; 24] = [
    "could not resolve host",
    "name or service not known",
    "temporary failure in name resolution",
    "failed to connect",
    "couldn't connect to server",
    "connection refused",
    "connection timed out",
    "connection reset",
    "connection closed",
    "network is unreachable",
    "no route to host",
    "operation timed out",
    "operation too slow",
    "empty reply from server",
    "early eof",
    "rpc failed",
    "returned error: 5",
    "returned error: 429",
    "kex_exchange_identification",
    "unexpected disconnect",
    "ssl connection",
    "handshake",
    // Without other words: whatever it was happened on the way.
    "could not read from remote repository",
    "hung up",
];

const DENIED: [&str; 14] = [
    "authentication failed",
    "terminal prompts disabled",
    "could not read username",
    "could not read password",
    "repository not found",
    "not found",
    "permission denied",
    "access denied",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
    "returned error: 410",
    "does not appear to be a git repository",
    "no such identity",
];

/// Understands what Git wrote to its standard error when it failed.
pub(super) fn understand(stderr: &[u8], scratch: &Path, limits: SourceLimits) -> Failure {
    let text = String::from_utf8_lossy(stderr);
    let lower = text.to_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("signal 25") || has("file too large") {
        return Failure::Final(tree::too_many_bytes(limits, "the repository"));
    }
    if has("out of memory") || has("cannot allocate memory") {
        return Failure::Final(SourceError::TooLarge("the repository needs too much memory".to_owned()));
    }
    if has("mismatched algorithms") {
        return Failure::Sha256;
    }
    if has("unadvertised object") {
        return Failure::Unadvertised;
    }
    if has("not our ref") {
        return Failure::NoCommit;
    }
    if has("couldn't find remote ref") {
        return Failure::NoReference;
    }
    if has("dumb http transport does not support shallow") {
        return Failure::PlainFiles;
    }
    if ["301", "302", "303", "307", "308"]
        .iter()
        .any(|code| has(&format!("returned error: {code}")))
    {
        return Failure::Redirect;
    }
    let message = words(&text, scratch);
    Failure::Final(
        if has("host key verification failed") || has("remote host identification has changed") {
            SourceError::Refused(format!("the host shows another key than before: {message}"))
        } else if has("certificate") {
            SourceError::Unreachable { message }
        } else if DENIED.iter().any(|part| has(part)) {
            SourceError::Denied {
                message: format!("{message} ({})", advice(&lower)),
            }
        } else if UNREACHABLE.iter().any(|part| has(part)) {
            SourceError::Unreachable { message }
        } else {
            SourceError::Denied { message }
        },
    )
}

fn advice(lower: &str) -> &'static str {
    if lower.contains("publickey") {
        "add the deploy key to the repository"
    } else {
        "check the address; a private repository needs a deploy key and its `ssh` address"
    }
}

/// Git's own words about an error: its last lines, without paths of this machine.
pub(super) fn words(text: &str, scratch: &Path) -> String {
    let scratch = scratch.to_string_lossy();
    let mut kept: Vec<String> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let line = clean_line(line);
        let line = line.trim();
        let said = ["fatal: ", "error: ", "ERROR: ", "remote: "]
            .iter()
            .find_map(|mark| line.strip_prefix(mark));
        let from_ssh = line.starts_with("ssh: ") || line.contains("ermission denied") || line.starts_with("Host key");
        let line = match said {
            Some(said) if !is_progress(line) => said,
            None if from_ssh => line,
            _ => continue,
        };
        let line = line.replace(scratch.as_ref(), "…").trim().to_owned();
        if !line.is_empty() && !kept.contains(&line) {
            kept.push(line);
        }
    }
    if kept.is_empty() {
        return "Git gave no reason".to_owned();
    }
    let from = kept.len().saturating_sub(4);
    kept[from..].join("; ").chars().take(WORDS).collect()
}

fn is_progress(line: &str) -> bool {
    progress(line).is_some() || ["Enumerating objects", "Total "].iter().any(|part| line.contains(part))
}

/// The phase of a progress line and how much of it is done, in percent.
fn progress(line: &str) -> Option<(&str, u8)> {
    let line = line.strip_prefix("remote: ").unwrap_or(line);
    let (phase, rest) = line.split_once(':')?;
    let (percent, _) = rest.split_once('%')?;
    let fits = |c: char| c.is_ascii_alphabetic() || c == ' ';
    let percent = percent.trim().parse().ok()?;
    phase.chars().all(fits).then_some((phase, percent))
}

/// Folds Git's progress: what a terminal would overwrite a hundred times becomes a few lines.
#[derive(Debug, Default)]
pub(super) struct Fold {
    phase: String,
    shown: u8,
}

impl Fold {
    /// The line to show for this one, if any.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        const STEP: u8 = 20;
        let line = clean_line(line);
        let line = line.trim();
        if let Some((phase, percent)) = progress(line) {
            if !matches!(phase, "Receiving objects" | "Resolving deltas" | "Updating files") {
                return None;
            }
            if self.phase != phase {
                self.phase = phase.to_owned();
                self.shown = 0;
            }
            if percent < self.shown.saturating_add(STEP) && !(percent == 100 && self.shown < 100) {
                return None;
            }
            self.shown = percent;
            let rest = line
                .split_once('%')
                .map_or("", |(_, rest)| rest)
                .trim_end_matches(", done.");
            return Some(format!("{phase}: {percent} %{rest}"));
        }
        let said = line
            .strip_prefix("remote: ")
            .or_else(|| line.strip_prefix("warning: "))?
            .trim();
        (!said.is_empty() && !is_progress(line)).then(|| said.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str) -> Failure {
        understand(text.as_bytes(), Path::new("/var/scratch"), SourceLimits::default())
    }

    #[test]
    fn errors_are_told_apart_by_what_can_be_done() {
        for text in [
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            "fatal: unable to access 'https://x/': Failed to connect to x port 443: Connection refused",
            "fatal: unable to access 'https://x/': The requested URL returned error: 503",
            "ssh: connect to host x port 22: Connection timed out\nfatal: Could not read from remote repository.",
            "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none CRLfile: none",
        ] {
            assert!(
                matches!(understood(text), Failure::Final(SourceError::Unreachable { .. })),
                "{text}"
            );
        }
        for text in [
            "remote: Repository not found.\nfatal: repository 'https://x/' not found",
            "fatal: could not read Username for 'https://x': terminal prompts disabled",
            "fatal: Authentication failed for 'https://x/'",
            "git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
        ] {
            assert!(
                matches!(understood(text), Failure::Final(SourceError::Denied { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            understood("fatal: couldn't find remote ref refs/heads/x"),
            Failure::NoReference
        ));
        assert!(matches!(
            understood("fatal: unable to access 'https://x/': The requested URL returned error: 301"),
            Failure::Redirect
        ));
        assert!(matches!(
            understood("error: index-pack died of signal 25"),
            Failure::Final(SourceError::TooLarge(_))
        ));
    }

    #[test]
    fn words_hold_neither_escapes_nor_paths_of_this_machine() {
        let text =
            "Receiving objects: 10% (1/10)\rremote: \u{1b}[31mno\u{1b}[0m\nfatal: /var/scratch/x is bad\nnoise\n";
        assert_eq!(words(text, Path::new("/var/scratch")), "no; …/x is bad");
        assert_eq!(words("", Path::new("/x")), "Git gave no reason");
    }

    #[test]
    fn progress_is_folded() {
        let mut fold = Fold::default();
        let mut lines: Vec<String> = (0..=100)
            .map(|percent| format!("Receiving objects: {percent:3}% ({percent}/100), 1.00 MiB | 1.00 MiB/s"))
            .collect();
        lines.extend(
            [
                "Receiving objects: 100% (100/100), done.",
                "remote: Counting objects: 50% (1/2)",
                "remote: Welcome",
                "From https://example.org/x",
            ]
            .map(str::to_owned),
        );
        let shown: Vec<String> = lines.iter().filter_map(|line| fold.line(line)).collect();
        assert_eq!(shown.len(), 6, "{shown:?}");
        assert_eq!(shown[0], "Receiving objects: 20 % (20/100), 1.00 MiB | 1.00 MiB/s");
        assert_eq!(shown[5], "Welcome");
    }
}
