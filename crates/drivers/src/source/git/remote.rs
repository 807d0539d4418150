//! The parts of a Git address.

use domain::{
    names::BadName,
    ports::source::SourceError,
    source::{GitTransport, GitUrl},
};

/// Where a repository is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// What Git calls the protocol: `https`, `http`, `ssh` or `file`.
    pub(super) protocol: &'static str,
    /// The host; empty for `file`.
    pub(super) host: String,
    /// The port; 0 for `file`.
    pub(super) port: u16,
}

impl Remote {
    /// Reads an address.
    pub(super) fn of(url: &GitUrl) -> Result<Self, SourceError> {
        let text = url.as_str();
        let (protocol, usual, rest) = match (url.transport(), text.split_once("://")) {
            (GitTransport::File, _) => {
                return Ok(Self {
                    protocol: "file",
                    host: String::new(),
                    port: 0,
                });
            }
            (GitTransport::Http, Some(("http", rest))) => ("http", 80, rest),
            (GitTransport::Http, Some((_, rest))) => ("https", 443, rest),
            (GitTransport::Ssh, Some((_, rest))) => ("ssh", 22, rest),
            (_, None) => {
                // user@host:path, where nothing before the first colon can be a port.
                let authority = text.split(':').next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                return Self::new("ssh", host, 22);
            }
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host_and_port = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match host_and_port.rfind(']') {
            Some(end) => match &host_and_port[end + 1..] {
                "" => (host_and_port, None),
                rest => (&host_and_port[..=end], rest.strip_prefix(':').or(Some(rest))),
            },
            None => match host_and_port.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_and_port, None),
            },
        };
        let port = match port {
            None | Some("") => usual,
            Some(digits) => digits
                .parse()
                .map_err(|_| SourceError::Refused(format!("`{digits}` is no port")))?,
        };
        Self::new(protocol, host, port)
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn new(protocol: &'static str, host: &str, port: u16) -> Result<Self, SourceError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // A name with a dot at its end is another name to some readers, and the same to others.
        let is_name = !bare.contains(['[', ']', ':']) && host == bare && !bare.ends_with('.');
        let is_literal = bare.parse::<std::net::Ipv6Addr>().is_ok() && host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || !(is_name || is_literal) {
            return Err(SourceError::Refused(format!("`{host}` is no host")));
        }
        Ok(Self {
            protocol,
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

/// The address that `text` of a `.gitmodules` means in the repository at `parent`: relative ones begin with `./` or `../`.
pub(super) fn resolve(parent: &GitUrl, text: &str) -> Result<GitUrl, BadName> {
    if !text.starts_with("./") && !text.starts_with("../") {
        return GitUrl::parse(text);
    }
    let above = || BadName {
        rule: "a relative address stays on its host".to_owned(),
    };
    let base = parent.as_str().trim_end_matches('/');
    // What cannot be left: `https://host/`, `user@host:`.
    let start = match base.find("://") {
        Some(scheme) => base[scheme + 3..].find('/').map(|slash| scheme + 3 + slash + 1),
        None => base.find(':').map(|colon| colon + 1),
    };
    let (fixed, path) = base.split_at(start.ok_or_else(above)?);
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut rest = text;
    loop {
        if let Some(shorter) = rest.strip_prefix("./") {
            rest = shorter;
        } else if let Some(shorter) = rest.strip_prefix("../") {
            parts.pop().ok_or_else(above)?;
            rest = shorter;
        } else {
            break;
        }
    }
    if rest.split('/').any(|part| part == "..") {
        return Err(above());
    }
    parts.push(rest);
    GitUrl::parse(&format!("{fixed}{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Result<Remote, SourceError> {
        Remote::of(&GitUrl::parse(text).unwrap())
    }

    #[test]
    fn an_address_has_a_protocol_a_host_and_a_port() {
        for (text, protocol, host, port) in [
            ("https://Example.org/a/b", "https", "example.org", 443),
            ("https://example.org:8443/a", "https", "example.org", 8443),
            ("http://example.org/a", "http", "example.org", 80),
            ("http://[::1]:81/a", "http", "[::1]", 81),
            ("ssh://git@example.org:2222/a", "ssh", "example.org", 2222),
            ("ssh://example.org/a", "ssh", "example.org", 22),
            ("git@example.org:a/b", "ssh", "example.org", 22),
            ("https://example.org/a@evil.org:1/b", "https", "example.org", 443),
            ("file:///srv/a", "file", "", 0),
        ] {
            let expected = Remote {
                protocol,
                host: host.to_owned(),
                port,
            };
            assert_eq!(remote(text).unwrap(), expected, "{text}");
        }
        for text in [
            "https://a:b/c",
            "https://a:1:2/c",
            "https://::1/c",
            "https://[::1]x/c",
            "https://a:99999/c",
            "https://[a]/c",
            "https://a./c",
            "git@a.:b",
        ] {
            assert!(matches!(remote(text), Err(SourceError::Refused(_))), "{text}");
        }
    }

    #[test]
    fn a_relative_address_stays_on_its_host() {
        for (parent, text, expected) in [
            ("https://h/team/app.git", "../lib.git", "https://h/team/lib.git"),
            ("https://h/team/app.git/", "../../other/lib", "https://h/other/lib"),
            ("https://h/team/app", "./lib", "https://h/team/app/lib"),
            ("git@h:team/app.git", "../lib.git", "git@h:team/lib.git"),
            ("git@h:app.git", "../lib.git", "git@h:lib.git"),
            ("ssh://git@h:22/team/app", "../lib", "ssh://git@h:22/team/lib"),
            ("file:///srv/app", "../lib", "file:///srv/lib"),
            ("https://h/a", "https://other/b", "https://other/b"),
        ] {
            let parent = GitUrl::parse(parent).unwrap();
            assert_eq!(resolve(&parent, text).unwrap().as_str(), expected);
        }
        for (parent, text) in [
            ("https://h/a", "../../b"),
            ("git@h:a", "../../b"),
            ("https://h/a/b", "../x/../../../c"),
            ("https://h/a", "/etc"),
            ("https://h/a", "ext::sh -c id"),
            ("https://h/a", "-x"),
        ] {
            assert!(
                resolve(&GitUrl::parse(parent).unwrap(), text).is_err(),
                "{parent} {text}"
            );
        }
    }
}
