//! Which addresses may be asked when a user names the host: not this machine, not its neighbours, not the cloud's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a host may not be asked, or cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// Its name has no address.
    #[error("the host `{0}` has no address")]
    Unknown(String),
    /// All of its addresses are forbidden.
    #[error("the host `{host}` has {kind} address ({address}), which may not be asked")]
    Forbidden {
        /// The host.
        host: String,
        /// What kind of address it is, with its article.
        kind: &'static str,
        /// The address.
        address: IpAddr,
    },
}

/// The public addresses of a host. Who asks it should use these and not look it up again: the second answer may differ.
///
/// # Errors
/// When it has none.
pub async fn public_addresses(host: &str, port: u16) -> Result<Vec<IpAddr>, AddressError> {
    let unknown = || AddressError::Unknown(host.to_owned());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<IpAddr> = tokio::net::lookup_host((bare, port))
        .await
        .map_err(|_| unknown())?
        .map(|address| address.ip())
        .collect();
    let mut public: Vec<IpAddr> = Vec::new();
    for address in &found {
        if forbidden(*address).is_none() && !public.contains(address) {
            public.push(*address);
        }
    }
    if !public.is_empty() {
        return Ok(public);
    }
    let address = *found.first().ok_or_else(unknown)?;
    Err(AddressError::Forbidden {
        host: host.to_owned(),
        kind: forbidden(address).unwrap_or("no public"),
        address,
    })
}

/// What kind of address this is, with its article, when it is not a public one.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [127, ..] => "a loopback",
        // Where clouds serve instance metadata and credentials.
        [169, 254, ..] => "a link-local",
        [168, 63, 129, 16] => "a metadata",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => "a private",
        [0, ..] => "an unspecified",
        [224..=239, ..] => "a multicast",
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            "a reserved"
        }
        [240..=255, ..] => "a reserved",
        _ => return None,
    })
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(inner) = address.to_ipv4_mapped() {
        return forbidden_v4(inner);
    }
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        forbidden_v4(Ipv4Addr::new(a, b, c, d))
    };
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback",
        // Networks that translate to IPv4: what counts is the address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => return embedded(high, low),
        [0x64, 0xff9b, ..] | [0, 0, 0, 0, 0, 0, ..] => "a reserved",
        [0xfe80..=0xfebf, ..] => "a link-local",
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => "a private",
        [0xff00..=0xffff, ..] => "a multicast",
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x100, 0, 0, 0, ..] | [0x3fff, ..] => "a reserved",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_may_be_asked() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fec0::1",
            "::7f00:1",
        ] {
            let address = text.parse().unwrap();
            assert!(forbidden(address).is_some(), "{text}");
        }
        for text in [
            "1.1.1.1",
            "140.82.121.4",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2002:101:101::",
            "64:ff9b::101:101",
        ] {
            let address = text.parse().unwrap();
            assert_eq!(forbidden(address), None, "{text}");
        }
    }

    #[tokio::test]
    async fn an_address_in_disguise_is_recognised() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "017700000001",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0",
        ] {
            let refused = public_addresses(host, 443).await;
            assert!(refused.is_err(), "{host}: {refused:?}");
        }
    }
}
