//! Clients for registries. A host that a user names must not lead us to this machine or into the operator's networks,
//! neither by its name, nor by what the name resolves to, nor by a redirect.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use domain::ports::image::ImageError;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS: usize = 5;

/// For the operator's own registry.
pub(super) fn unguarded_client() -> Result<reqwest::Client, ImageError> {
    finish(builder().redirect(redirect::Policy::limited(REDIRECTS)))
}

/// For everybody else's.
pub(super) fn guarded_client() -> Result<reqwest::Client, ImageError> {
    let policy = redirect::Policy::custom(|attempt| {
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if is_allowed(attempt.url()) {
            attempt.follow()
        } else {
            attempt.error("a redirect to an address that is not public")
        }
    });
    finish(
        builder()
            .https_only(true)
            .redirect(policy)
            .dns_resolver(Arc::new(PublicAddresses)),
    )
}

fn builder() -> reqwest::ClientBuilder {
    // One provider for the whole process; whoever comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("click-deploy/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(WHOLE_TIMEOUT)
        .pool_max_idle_per_host(2)
        .no_proxy()
}

fn finish(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ImageError> {
    builder
        .build()
        .map_err(|error| ImageError::Other(format!("no client for registries can be made: {error}")))
}

/// Whether a registry's host is this machine itself, as far as its name tells.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses a host that is an address, and not a public one; names are looked at when they are resolved.
pub(super) fn check_host(host: &str) -> Result<(), ImageError> {
    check_url(&format!("https://{host}/"))
}

/// Refuses an address that leads elsewhere than to HTTPS at a public host.
pub(super) fn check_url(url: &str) -> Result<(), ImageError> {
    let parsed = Url::parse(url).ok().filter(is_allowed);
    parsed
        .map(|_| ())
        .ok_or_else(|| ImageError::Other("images come from public registries, or from the configured one".to_owned()))
}

fn is_allowed(url: &Url) -> bool {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    url.scheme() == "https"
        && !host.is_empty()
        && host != "localhost"
        && !host.ends_with(".localhost")
        && host.parse::<IpAddr>().map_or(true, is_public)
}

/// Whether an address is one of the public Internet.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
        || (first == 192 && second == 0 && third == 0)
        || (first == 198 && (second == 18 || second == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global = (0x2000..0x4000).contains(&first);
    // Ranges that carry an IPv4 address in them, and documentation.
    is_global && first != 0x2002 && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

/// Resolves names to public addresses alone.
struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name leads to no public address".into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_not_reached_from_outside() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "localhost",
            "localhost:5000",
            "10.0.0.1:5000",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
            "[2002:7f00:1::]",
            "255.255.255.255",
        ] {
            assert!(check_host(host).is_err(), "{host}");
        }
        for host in ["ghcr.io", "registry-1.docker.io", "8.8.8.8:443", "[2606:4700::1]"] {
            assert!(check_host(host).is_ok(), "{host}");
        }
        assert!(check_url("http://ghcr.io/token").is_err());
        assert!(check_url("file:///etc/passwd").is_err());
    }

    #[test]
    fn this_machine_is_known_by_its_name() {
        for host in ["127.0.0.1:5500", "localhost:5000", "localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        assert!(!is_loopback("registry.example.org:5000"));
    }
}
