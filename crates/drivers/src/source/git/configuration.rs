//! What Git and `ssh` read instead of the configuration of this machine and of whoever runs us.

use std::{net::IpAddr, path::Path};

use domain::ports::source::SourceError;

use super::{super::local, remote::Remote};

/// What Git reads instead of the machine's and the user's configuration. Hooks, helpers, file monitors and filters are
/// programs that a configuration can name: there are none. `safe.directory` concerns repositories served by `file`, which
/// only an operator allows; nothing is written durably, so nothing is synchronised.
const GIT: &str = "\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tsymlinks = true
\tautocrlf = false
\tprotectNTFS = true
\tprotectHFS = true
\tfsync = none
[credential]
\thelper =
[advice]
\tdetachedHead = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[fetch]
\tfsckObjects = true
\trecurseSubmodules = false
\twriteCommitGraph = false
[fetch \"fsck\"]
\tzeroPaddedFilemode = ignore
\tmissingSpaceBeforeDate = ignore
\tbadTimezone = ignore
\tmissingEmail = ignore
\tgitmodulesUrl = ignore
\tgitmodulesPath = ignore
\tgitmodulesName = ignore
\tgitmodulesUpdate = ignore
\tgitmodulesParse = ignore
\tgitmodulesSymlink = ignore
[http]
\tfollowRedirects = false
\tlowSpeedLimit = 1000
\tlowSpeedTime = 30
[protocol]
\tversion = 2
\tallow = never
[pack]
\tthreads = 2
[safe]
\tdirectory = *
[submodule]
\trecurse = false
";

/// Git runs this with a shell and gives it the host as arguments, quoted by Git. It is a constant: no text of a user is in
/// it, and the configuration's path comes by the environment.
pub(super) const SSH_COMMAND: &str = "ssh -F \"$SSH_CONFIGURATION\"";

/// Git's configuration for fetching from `remote`, whose host has these addresses only; any when there are none.
pub(super) fn of_git(remote: &Remote, addresses: &[IpAddr]) -> String {
    let mut text = GIT.to_owned();
    let is_literal = remote.bare_host().parse::<IpAddr>().is_ok();
    if remote.protocol.starts_with("http") && !addresses.is_empty() && !is_literal {
        let addresses: Vec<String> = addresses
            .iter()
            .map(|address| match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            })
            .collect();
        // Git does not look the host up again: the second answer could be another.
        let (host, port) = (remote.bare_host(), remote.port);
        text.push_str(&format!(
            "[http]\n\tcurloptResolve = \"{host}:{port}:{}\"\n",
            addresses.join(",")
        ));
    }
    text
}

/// What `ssh` reads instead of the machine's and the user's configuration. A host's key is believed when it is first seen,
/// and must be the same from then on.
pub(super) fn of_ssh(
    remote: &Remote,
    addresses: &[IpAddr],
    key: Option<&Path>,
    known_hosts: &Path,
) -> Result<String, SourceError> {
    let quoted = |path: &Path| match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '\n', '$']) => Ok(format!("\"{}\"", text.replace('%', "%%"))),
        _ => Err(local("the scratch directory has a name that `ssh` cannot read")),
    };
    let host = remote.bare_host();
    let mut text = String::from(
        "Host *\n\
         \tBatchMode yes\n\
         \tIdentitiesOnly yes\n\
         \tIdentityAgent none\n\
         \tPreferredAuthentications publickey\n\
         \tPasswordAuthentication no\n\
         \tStrictHostKeyChecking accept-new\n\
         \tGlobalKnownHostsFile /dev/null\n\
         \tUpdateHostKeys no\n\
         \tHashKnownHosts no\n\
         \tCheckHostIP no\n\
         \tCanonicalizeHostname no\n\
         \tConnectTimeout 15\n\
         \tServerAliveInterval 15\n\
         \tServerAliveCountMax 3\n\
         \tForwardAgent no\n\
         \tForwardX11 no\n\
         \tClearAllForwardings yes\n\
         \tPermitLocalCommand no\n\
         \tProxyCommand none\n\
         \tControlMaster no\n\
         \tControlPath none\n\
         \tRequestTTY no\n\
         \tLogLevel ERROR\n",
    );
    text.push_str(&format!("\tUserKnownHostsFile {}\n", quoted(known_hosts)?));
    text.push_str(&match key {
        Some(key) => format!("\tIdentityFile {}\n", quoted(key)?),
        None => "\tIdentityFile none\n".to_owned(),
    });
    let alias = if remote.port == 22 {
        host.to_owned()
    } else {
        format!("[{host}]:{}", remote.port)
    };
    text.push_str(&format!("\tHostKeyAlias {alias}\n"));
    if let Some(address) = addresses.first() {
        text.push_str(&format!("\tHostName {address}\n"));
    }
    Ok(text)
}
