//! One address of an interface, as `ip -o address` prints it.

use std::net::Ipv4Addr;

use super::platform::facts;
use crate::inventory::Vars;

/// An IPv4 address: `inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0`.
pub(super) struct Ipv4<'a> {
    /// The address.
    pub(super) address: &'a str,
    /// The name of the interface, or an alias of it.
    pub(super) label: &'a str,
    broadcast: &'a str,
    prefix: &'a str,
    netmask: Ipv4Addr,
    network: Ipv4Addr,
}

impl<'a> Ipv4<'a> {
    /// Parses the words behind the interface.
    pub(super) fn parse(line: &'a str, device: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (&"inet", &[address, ..]) = words.split_first()? else { return None };
        // The address of a point-to-point interface has no prefix.
        let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
        let parsed: Ipv4Addr = address.parse().ok()?;
        let host_bits = 32_u32.checked_sub(prefix.parse().ok()?)?;
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        let broadcast = match words.as_slice() {
            [_, cidr, "brd", broadcast, ..] if cidr.contains('/') => broadcast,
            _ => "",
        };
        let label = words.last().copied().filter(|label| label.split(':').next() == Some(device));
        Some(Self {
            address,
            // busybox prints no label if a flag follows.
            label: label.unwrap_or(device),
            broadcast,
            prefix,
            netmask: Ipv4Addr::from_bits(mask),
            network: Ipv4Addr::from_bits(parsed.to_bits() & mask),
        })
    }

    /// Returns the address as facts.
    pub(super) fn facts(&self) -> Vars {
        facts([
            ("address", self.address.into()),
            ("broadcast", self.broadcast.into()),
            ("netmask", self.netmask.to_string().into()),
            ("network", self.network.to_string().into()),
            ("prefix", self.prefix.into()),
        ])
    }
}

/// An IPv6 address: `inet6 fd00::2/64 scope global`.
pub(super) struct Ipv6<'a> {
    /// The address.
    pub(super) address: &'a str,
    prefix: &'a str,
    scope: &'a str,
}

impl<'a> Ipv6<'a> {
    /// Parses the words behind the interface.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["inet6", address, "peer", peer, "scope", scope, ..] => {
                Some(Self { address, prefix: peer.split_once('/')?.1, scope })
            }
            ["inet6", cidr, "scope", scope, ..] => {
                let (address, prefix) = cidr.split_once('/')?;
                Some(Self { address, prefix, scope })
            }
            _ => None,
        }
    }

    /// Returns the address as facts.
    pub(super) fn facts(&self) -> Vars {
        facts([("address", self.address.into()), ("prefix", self.prefix.into()), ("scope", self.scope.into())])
    }
}
