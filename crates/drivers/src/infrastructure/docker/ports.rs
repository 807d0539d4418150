//! What processes inside a container listen on, read from the kernel's tables of the container's network.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use domain::ports::infrastructure::ListeningPorts;

/// The state of a socket that listens, in the kernel's numbers.
const LISTEN: &str = "0A";

/// Where the engine's own name server listens inside every container.
const ENGINE_NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// Reads the tables of a process that is known to be the container's; nothing when the process is not on this machine.
pub(super) async fn of_process(pid: i64, container_id: &str) -> ListeningPorts {
    let process = PathBuf::from("/proc").join(pid.to_string());
    // The engine may be elsewhere, and the number someone else's: the process's control group names its container.
    let groups = tokio::fs::read_to_string(process.join("cgroup"))
        .await
        .unwrap_or_default();
    if !groups.contains(container_id) {
        return ListeningPorts::default();
    }
    let mut found = BTreeSet::new();
    for table in ["net/tcp", "net/tcp6"] {
        let text = tokio::fs::read_to_string(process.join(table)).await.unwrap_or_default();
        found.extend(text.lines().filter_map(listener));
    }
    sort(found)
}

fn sort(found: BTreeSet<(IpAddr, u16)>) -> ListeningPorts {
    let mut open = BTreeSet::new();
    let mut loopback = BTreeSet::new();
    for (address, port) in found {
        if address == ENGINE_NAME_SERVER {
            continue;
        }
        if address.to_canonical().is_loopback() {
            loopback.insert(port);
        } else {
            open.insert(port);
        }
    }
    ListeningPorts {
        loopback: loopback.difference(&open).copied().collect(),
        open: open.into_iter().collect(),
    }
}

fn listener(line: &str) -> Option<(IpAddr, u16)> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (address, port) = columns.next()?.split_once(':')?;
    if columns.nth(1)? != LISTEN {
        return None;
    }
    Some((parse_address(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// An address as the kernel writes it: 32-bit words in the machine's own order of bytes.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0B00007F:A2B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 0200C90A:0BB8 0100C90A:C001 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
   4: 00000000000000000000000001000000:1388 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5
   5: 0000000000000000FFFF00000100007F:1389 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5
   6: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 6
   7: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 6
   nonsense
";

    #[test]
    fn listeners_are_told_apart_by_who_can_reach_them() {
        let ports = sort(TABLE.lines().filter_map(listener).collect());
        assert_eq!(ports.open, [80, 3000]);
        assert_eq!(ports.loopback, [5000, 5001, 8080]);
    }
}
