//! An address with the length of its prefix, as the filters for networks read and write it.
//!
//! The address may have bits behind the prefix: `192.168.1.5/24` is a host in its network.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::IpNet;

/// The networks that cannot be reached from everywhere, and those in them that can, as IANA registered them.
const NOT_GLOBAL: [&str; 23] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
];
const GLOBAL: [&str; 8] = [
    "192.0.0.9/32",
    "192.0.0.10/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
];

/// An address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network(IpNet);

impl From<IpNet> for Network {
    fn from(net: IpNet) -> Self {
        Self(net)
    }
}

impl Network {
    /// Reads an address, with or without a prefix or a mask: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `fe80::1/64`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let Some(prefix) = prefix else { return Some(Self(address.into())) };
        match prefix.trim().parse::<u8>() {
            Ok(prefix) => Self::new(address, prefix),
            Err(_) => Self::with_mask(address, prefix.parse().ok()?),
        }
    }

    /// Returns the network that an address has with a mask for networks or for hosts.
    fn with_mask(address: IpAddr, mask: IpAddr) -> Option<Self> {
        let mask = match (address, mask) {
            (IpAddr::V4(_), IpAddr::V4(mask)) if is_host_mask(mask.to_bits().into()) && mask.to_bits() != 0 => {
                Ipv4Addr::from_bits(!mask.to_bits()).into()
            }
            (IpAddr::V6(_), IpAddr::V6(mask)) if is_host_mask(mask.to_bits()) && mask.to_bits() != 0 => {
                Ipv6Addr::from_bits(!mask.to_bits()).into()
            }
            _ => mask,
        };
        IpNet::with_netmask(address, mask).ok().map(Self)
    }

    fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        IpNet::new(address, prefix).ok().map(Self)
    }

    /// Makes a network of numbers.
    pub(super) fn of_number(is_v6: bool, number: u128, prefix: u8) -> Option<Self> {
        Self::new(numbered(is_v6, number)?, prefix)
    }

    pub(super) fn net(self) -> IpNet {
        self.0
    }

    pub(super) fn address(self) -> IpAddr {
        self.0.addr()
    }

    pub(super) fn prefix(self) -> u8 {
        self.0.prefix_len()
    }

    pub(super) fn is_v6(self) -> bool {
        self.address().is_ipv6()
    }

    /// Returns the number of bits of an address.
    pub(super) fn width(self) -> u8 {
        self.0.max_prefix_len()
    }

    pub(super) fn number(self) -> u128 {
        number(self.address())
    }

    pub(super) fn first(self) -> u128 {
        number(self.0.network())
    }

    pub(super) fn last(self) -> u128 {
        number(self.0.broadcast())
    }

    /// Returns how many addresses follow the first one.
    pub(super) fn span(self) -> u128 {
        self.last() - self.first()
    }

    /// Returns the number of addresses, if it has a type.
    pub(super) fn size(self) -> Option<u128> {
        self.span().checked_add(1)
    }

    /// Returns the first and the last address that a host may have, if there are several addresses.
    pub(super) fn usable(self) -> Option<(u128, u128)> {
        match self.span() {
            0 => None,
            1 => Some((self.first(), self.last())),
            _ => Some((self.first() + 1, self.last() - 1)),
        }
    }

    /// Reports whether the address is that of the network.
    pub(super) fn is_network(self) -> bool {
        self.number() == self.first()
    }

    /// Reports whether there is an address for all hosts of the network.
    pub(super) fn has_broadcast(self) -> bool {
        self.span() > 1
    }

    /// Returns the network of the address.
    pub(super) fn subnet(self) -> Self {
        Self(self.0.trunc())
    }

    /// Reports whether another network is within this one.
    pub(super) fn contains(self, other: Self) -> bool {
        self.is_v6() == other.is_v6() && self.first() <= other.first() && other.last() <= self.last()
    }

    /// Reports whether the network is within one of these, which are written as text.
    fn is_within(self, networks: &[&str]) -> bool {
        networks.iter().filter_map(|text| Self::parse(text)).any(|network| network.contains(self))
    }

    /// Returns the address alone, as a network.
    pub(super) fn host(self) -> Self {
        Self(self.address().into())
    }

    pub(super) fn is_multicast(self) -> bool {
        self.is_within(&["224.0.0.0/4", "ff00::/8"])
    }

    pub(super) fn is_loopback(self) -> bool {
        self.host().is_within(&["127.0.0.0/8", "::1"])
    }

    pub(super) fn is_link_local(self) -> bool {
        self.host().is_within(&["169.254.0.0/16", "fe80::/10"])
    }

    /// Reports whether the address can be reached from everywhere.
    pub(super) fn is_global(self) -> bool {
        let host = self.host();
        host.is_within(&GLOBAL) || !host.is_within(&NOT_GLOBAL)
    }

    /// Reports whether the address is one of a host that can be reached from everywhere.
    pub(super) fn is_public(self) -> bool {
        let ones = if self.is_v6() { u128::MAX } else { u32::MAX.into() };
        let is_mask = is_host_mask(self.number()) || is_host_mask(self.number() ^ ones);
        self.is_global() && !self.host().is_multicast() && !self.is_loopback() && !is_mask
    }

    /// Returns the address with this index in the network. A negative one counts from the end.
    pub(super) fn item(self, index: i128) -> Option<IpAddr> {
        let offset = index.unsigned_abs();
        let at = if index < 0 { self.last().checked_sub(offset - 1)? } else { self.first().checked_add(offset)? };
        (self.first()..=self.last()).contains(&at).then(|| numbered(self.is_v6(), at))?
    }

    /// Returns the address as one of the other version with its prefix, if there is one.
    pub(super) fn to_v4(self) -> Option<Self> {
        let number = self.number();
        let mapped = 0xffff << 32;
        let number = if number >= mapped { number - mapped } else { number };
        Self::of_number(false, number, self.prefix().checked_sub(96)?)
    }

    pub(super) fn to_v6(self) -> Option<Self> {
        Self::of_number(true, (0xffff << 32) + self.number(), self.prefix() + 96)
    }

    /// Returns the name of the address in the reverse zones of DNS.
    pub(super) fn reverse_name(self) -> String {
        match self.address() {
            IpAddr::V4(address) => {
                let parts = address.octets().iter().rev().map(|octet| format!("{octet}.")).collect::<String>();
                format!("{parts}in-addr.arpa.")
            }
            IpAddr::V6(address) => {
                let digits = format!("{:032x}", address.to_bits());
                format!("{}ip6.arpa.", digits.chars().rev().map(|digit| format!("{digit}.")).collect::<String>())
            }
        }
    }

    /// Returns the text of the address with its prefix.
    pub(super) fn text(self) -> String {
        format!("{}/{}", text(self.address()), self.prefix())
    }
}

/// Reports whether a number has ones only at its end.
fn is_host_mask(number: u128) -> bool {
    number.wrapping_add(1) & number == 0
}

/// Returns the number of an address.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Returns the address with a number.
pub(super) fn numbered(is_v6: bool, number: u128) -> Option<IpAddr> {
    if is_v6 {
        return Some(Ipv6Addr::from_bits(number).into());
    }
    u32::try_from(number).ok().map(|number| Ipv4Addr::from_bits(number).into())
}

/// Returns the address with a number, of the first version in which there is one.
pub(super) fn of_any_version(number: u128) -> IpAddr {
    numbered(false, number).unwrap_or_else(|| Ipv6Addr::from_bits(number).into())
}

/// Returns an address as the C library writes it.
pub(super) fn text(address: IpAddr) -> String {
    match address {
        // An address that only has bits of version 4 is written so.
        IpAddr::V6(address) if (1 << 16..1 << 32).contains(&address.to_bits()) => {
            let low = u32::try_from(address.to_bits()).unwrap_or_default();
            format!("::{}", Ipv4Addr::from_bits(low))
        }
        address => address.to_string(),
    }
}
