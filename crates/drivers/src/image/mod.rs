//! Where images are kept: the engine's own store, or a registry.

mod authorization;
pub mod engine;
mod manifest;
mod outside;
pub mod pushing;
pub(crate) mod reference;
pub mod registry;

/// The one TCP port among `80/tcp`, `53/udp`, …; a port without a protocol is one of TCP.
fn only_tcp_port<'a>(exposed: impl Iterator<Item = &'a str>) -> Option<u16> {
    let mut ports = exposed.filter_map(|port| match port.split_once('/') {
        None => port.parse().ok(),
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
    });
    match (ports.next(), ports.next()) {
        (Some(port), None) if port > 0 => Some(port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::only_tcp_port;

    #[test]
    fn a_port_counts_when_it_is_the_only_one() {
        assert_eq!(only_tcp_port(["80/tcp"].into_iter()), Some(80));
        assert_eq!(only_tcp_port(["53/udp", "8080"].into_iter()), Some(8080));
        assert_eq!(only_tcp_port(["80/tcp", "443/tcp"].into_iter()), None);
        assert_eq!(only_tcp_port(["0/tcp"].into_iter()), None);
        assert_eq!(only_tcp_port([].into_iter()), None);
    }
}
