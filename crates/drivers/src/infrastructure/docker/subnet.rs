//! Addresses for networks, for when the engine has none left of its own, and the size of packets.

use std::net::Ipv4Addr;

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: u32,
    bits: u8,
}

/// How many bits name the network in what we choose: room for 250 instances in one project.
const NETWORK_BITS: u8 = 24;

impl Range {
    /// Reads `10.1.0.0/16`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.trim().split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        Some(Self::new(u32::from(address), bits))
    }

    fn new(address: u32, bits: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        Self {
            first: address & mask,
            bits,
        }
    }

    fn last(self) -> u32 {
        self.first | u32::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0)
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    /// The networks of this range that touch none of those that are taken, in order.
    pub(super) fn free_networks(self, taken: &[Self]) -> impl Iterator<Item = Self> {
        let step = 1_u64 << (32 - NETWORK_BITS);
        let firsts = (u64::from(self.first)..=u64::from(self.last())).step_by(usize::try_from(step).unwrap_or(256));
        firsts
            .filter_map(|first| u32::try_from(first).ok())
            .map(|first| Self::new(first, NETWORK_BITS))
            .filter(|network| !taken.iter().any(|range| range.overlaps(*network)))
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

/// The lines of `/proc/net/route`: interface, destination and mask.
fn routes(table: &str) -> impl Iterator<Item = (&str, Range)> {
    table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |text: &str| {
            u32::from_str_radix(text, 16)
                .ok()
                .map(|word| u32::from_be_bytes(word.to_ne_bytes()))
        };
        let mask = number(columns.get(7)?)?;
        let bits = u8::try_from(mask.leading_ones()).ok()?;
        Some((*columns.first()?, Range::new(number(columns.get(1)?)?, bits)))
    })
}

/// Where this machine already has routes to; the default route is none of them.
pub(super) fn routed(table: &str) -> Vec<Range> {
    routes(table)
        .map(|(_, range)| range)
        .filter(|range| range.bits > 0)
        .collect()
}

/// The interface of the default route.
pub(super) fn default_interface(table: &str) -> Option<&str> {
    routes(table)
        .find(|(_, range)| range.bits == 0)
        .map(|(interface, _)| interface)
}

/// The table of this machine's routes; empty when it cannot be read.
pub(super) async fn route_table() -> String {
    tokio::fs::read_to_string("/proc/net/route").await.unwrap_or_default()
}

/// The size of the packets that this machine's way out carries. A network of containers with larger ones loses them in
/// a tunnel without a word.
pub(super) async fn way_out_mtu() -> Option<u32> {
    let table = route_table().await;
    let interface = default_interface(&table).filter(|name| !name.contains('/') && *name != "..")?;
    let path = format!("/sys/class/net/{interface}/mtu");
    let text = tokio::fs::read_to_string(path).await.ok()?;
    text.trim().parse().ok().filter(|mtu| (576..=65_535).contains(mtu))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100C80A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000C80A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
docker0\t0002C90A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn the_machines_routes_are_read() {
        assert_eq!(default_interface(TABLE), Some("eth0"));
        let routed: Vec<String> = routed(TABLE).iter().map(ToString::to_string).collect();
        assert_eq!(routed, ["10.200.0.0/16", "10.201.2.0/24"]);
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn a_free_network_touches_nothing_that_is_there() {
        let range = Range::parse("10.201.0.0/21").unwrap();
        let taken = [
            Range::parse("10.201.0.0/23").unwrap(),
            Range::parse("10.201.3.128/25").unwrap(),
            Range::parse("10.201.5.7/32").unwrap(),
        ];
        let free: Vec<String> = range.free_networks(&taken).map(|network| network.to_string()).collect();
        assert_eq!(
            free,
            ["10.201.2.0/24", "10.201.4.0/24", "10.201.6.0/24", "10.201.7.0/24"]
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "::/0"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
        assert_eq!(Range::parse("0.0.0.0/0").map(Range::last), Some(u32::MAX));
    }
}
