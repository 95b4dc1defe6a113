//! The addresses of a lab, and whether this machine uses them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::error::LabError;
use super::local_command::LocalCommand;

/// An IPv4 network, such as `172.17.8.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    /// The length of the prefix, 8 to 29.
    prefix: u8,
}

/// The number of the first host, as in `172.17.8.101`, if all hosts fit above it.
const FIRST_HOST: u32 = 101;

/// The most hosts of a lab. A bridge has at most 1023 ports.
const MAX_HOSTS: usize = 900;

impl Subnet {
    /// Returns the address of this machine in the lab.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1)
    }

    /// Returns the length of the prefix, 8 to 29.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the addresses of this many hosts.
    pub fn hosts(self, count: usize) -> Result<Vec<Ipv4Addr>, LabError> {
        check_count(count)?;
        let size = 1_u32 << (32 - u32::from(self.prefix));
        let needed = u32::try_from(count).unwrap_or(u32::MAX);
        let first = if FIRST_HOST + needed < size { FIRST_HOST } else { 2 };
        if first + needed >= size {
            let reason = format!("the subnet {self} has room for {}: set a larger one with --subnet", size - 3);
            return Err(LabError::BadCount { hosts: count, reason });
        }
        Ok((first..first + needed).map(|number| Ipv4Addr::from(self.base + number)).collect())
    }

    fn last(self) -> u32 {
        self.base + ((1_u32 << (32 - u32::from(self.prefix))) - 1)
    }

    fn overlaps(self, other: Range) -> bool {
        self.base <= other.last && other.first <= self.last()
    }

    /// Returns the first subnet for this many hosts that this machine does not use, beginning with 172.17.8.0/24.
    pub(super) fn choose(count: usize) -> Result<Self, LabError> {
        check_count(count)?;
        let used = used()?;
        let prefix = if count + 100 < 255 { 24 } else { 22 };
        let private = (17..32).map(|second| Ipv4Addr::new(172, second, 8, 0));
        let more = (1..255).map(|second| Ipv4Addr::new(10, second, 8, 0));
        let mut all = private.chain(more).map(|base| Self { base: base.into(), prefix });
        all.find(|subnet| !used.iter().any(|(_, range)| subnet.overlaps(*range))).ok_or(LabError::NoSubnet)
    }

    /// Rejects a subnet that this machine uses.
    pub(super) fn check_free(self) -> Result<(), LabError> {
        match used()?.into_iter().find(|(_, range)| self.overlaps(*range)) {
            Some((taken, _)) => Err(LabError::Overlap { subnet: self.to_string(), taken }),
            None => Ok(()),
        }
    }
}

fn check_count(count: usize) -> Result<(), LabError> {
    if (1..=MAX_HOSTS).contains(&count) {
        return Ok(());
    }
    Err(LabError::BadCount { hosts: count, reason: format!("expected 1 to {MAX_HOSTS}") })
}

impl FromStr for Subnet {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let bad = |reason| LabError::BadSubnet { text: text.chars().take(64).collect(), reason };
        let (address, prefix) =
            text.split_once('/').ok_or_else(|| bad("expected an address and a prefix, such as 172.17.8.0/24"))?;
        let base: Ipv4Addr = address.parse().map_err(|_| bad("expected an IPv4 address before the slash"))?;
        let prefix: u8 = prefix.parse().map_err(|_| bad("expected a number after the slash"))?;
        if !(8..=29).contains(&prefix) {
            return Err(bad("expected a prefix of 8 to 29 bits"));
        }
        let subnet = Self { base: base.into(), prefix };
        if subnet.base & (subnet.last() - subnet.base) != 0 || subnet.base.trailing_zeros() < 32 - u32::from(prefix) {
            return Err(bad("expected no bits of the address beyond the prefix"));
        }
        if base.is_loopback() || base.is_multicast() || base.is_unspecified() || base.is_broadcast() {
            return Err(bad("expected addresses that hosts can have"));
        }
        Ok(subnet)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

impl Serialize for Subnet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Addresses from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    last: u32,
}

#[derive(Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    dev: Option<String>,
}

/// Returns the ranges that this machine has routes for, with their text. Its own addresses are routes of the local table.
fn used() -> Result<Vec<(String, Range)>, LabError> {
    let text = LocalCommand::new("ip", ["-4", "-j", "route", "show", "table", "all"]).run()?;
    Ok(read_routes(&text))
}

fn read_routes(json: &str) -> Vec<(String, Range)> {
    let routes: Vec<Route> = serde_json::from_str(json).unwrap_or_default();
    let range = |route: Route| {
        let (address, prefix) = route.dst.split_once('/').unwrap_or((&route.dst, "32"));
        let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let width = 32_u32.checked_sub(prefix.parse().ok()?)?;
        // A default route does not use the addresses.
        let size = 1_u32.checked_shl(width)?;
        let dev = route.dev.map(|dev| format!(" on {dev}")).unwrap_or_default();
        Some((format!("{}{dev}", route.dst), Range { first, last: first.saturating_add(size - 1) }))
    };
    routes.into_iter().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn three_hosts_have_the_addresses_of_the_walk_through() {
        let hosts = subnet("172.17.8.0/24").hosts(3).unwrap();
        assert_eq!(
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["172.17.8.101", "172.17.8.102", "172.17.8.103"]
        );
        assert_eq!(subnet("172.17.8.0/24").gateway(), Ipv4Addr::new(172, 17, 8, 1));
    }

    #[test]
    fn hosts_that_do_not_fit_above_101_start_at_two_and_too_many_are_rejected() {
        assert_eq!(subnet("172.17.8.0/24").hosts(153).unwrap()[152], Ipv4Addr::new(172, 17, 8, 253));
        assert_eq!(subnet("172.17.8.0/24").hosts(200).unwrap()[0], Ipv4Addr::new(172, 17, 8, 2));
        assert_eq!(subnet("10.1.8.0/29").hosts(5).unwrap()[4], Ipv4Addr::new(10, 1, 8, 6));
        assert!(matches!(subnet("10.1.8.0/29").hosts(6), Err(LabError::BadCount { .. })));
        assert!(matches!(subnet("10.1.0.0/16").hosts(0), Err(LabError::BadCount { .. })));
    }

    #[test]
    fn an_invalid_subnet_is_rejected_with_the_reason() {
        for (text, reason) in [
            ("172.17.8.0", "such as"),
            ("core/24", "IPv4 address"),
            ("172.17.8.0/x", "a number after"),
            ("172.17.8.0/30", "8 to 29"),
            ("0.0.0.0/0", "8 to 29"),
            ("172.17.8.1/24", "beyond the prefix"),
            ("127.0.0.0/8", "hosts can have"),
            ("224.0.0.0/8", "hosts can have"),
        ] {
            let error = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_subnet_overlaps_the_routes_of_this_machine_except_the_default_route() {
        let routes = read_routes(
            r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"},{"dst":"172.17.0.0/16","dev":"docker0"},
                {"type":"local","dst":"10.9.8.7","dev":"lo"},{"dst":"0.0.0.0/1","dev":"tun0"}]"#,
        );
        let taken = |text: &str| {
            let found = routes.iter().find(|(_, range)| subnet(text).overlaps(*range));
            found.map(|(text, _)| text.clone())
        };
        assert_eq!(taken("172.17.8.0/24").as_deref(), Some("172.17.0.0/16 on docker0"));
        assert_eq!(taken("10.9.8.0/24").as_deref(), Some("10.9.8.7 on lo"));
        assert_eq!(taken("172.18.8.0/24"), None);
        assert_eq!(taken("100.64.0.0/16").as_deref(), Some("0.0.0.0/1 on tun0"));
    }
}
