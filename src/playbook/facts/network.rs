//! The interfaces and the addresses of a host.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::json;

use super::address::Ipv4;
use super::address::Ipv6;
use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// The addresses whose routes tell which interface leads to the outside. No packet is sent.
const OUTSIDE: [&str; 2] = ["8.8.8.8", "2404:6800:400a:800::1012"];

/// The interfaces and addresses that were found.
struct Network {
    interfaces: IndexMap<String, Vars>,
    default: [Vars; 2],
    all: [Vec<String>; 2],
}

/// Returns the facts about the network. Each interface is a fact of its name.
pub(super) fn network(text: &HostText<'_>) -> Vars {
    let mut network = Network {
        interfaces: interfaces(text),
        default: [route(text, "route4", OUTSIDE[0]), route(text, "route6", OUTSIDE[1])],
        all: Default::default(),
    };
    let mut lines: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (device, rest) in text.lines("address").filter_map(device_of) {
        lines.entry(device).or_default().push(rest);
    }
    for (device, lines) in lines {
        network.add(device, &lines);
    }
    let names: Vec<String> = network.interfaces.keys().map(|name| name.replace(':', "_")).collect();
    let mut all: Vars =
        network.interfaces.into_iter().filter_map(|(name, it)| Some((fact_name(&name)?, it.into()))).collect();
    let [default4, default6] = network.default;
    let [all4, all6] = network.all;
    // No name of an interface may replace one of these.
    all.extend(facts([
        ("interfaces", names.into()),
        ("default_ipv4", default4.into()),
        ("default_ipv6", default6.into()),
        ("all_ipv4_addresses", all4.into()),
        ("all_ipv6_addresses", all6.into()),
        ("locally_reachable_ips", local_routes(text)),
    ]));
    all
}

/// Returns the name of the fact about an interface. A name that Linux does not allow is no fact.
fn fact_name(interface: &str) -> Option<String> {
    // The kernel's limit is 15 bytes; an alias has more.
    (interface.len() <= 32).then(|| interface.replace([':', '-'], "_"))
}

/// Splits `2: eth0    inet …` into the interface and the words about the address.
fn device_of(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(": ")?;
    let (device, rest) = rest.split_once(char::is_whitespace)?;
    Some((device.split('@').next().unwrap_or(device), rest.split('\\').next().unwrap_or(rest).trim()))
}

impl Network {
    /// Adds the addresses of an interface: the primary ones, then the others.
    fn add(&mut self, device: &str, lines: &[&str]) {
        let is_secondary = |line: &&&str| line.split(' ').any(|word| matches!(word, "secondary" | "temporary"));
        let primary = lines.iter().filter(|line| !is_secondary(line)).map(|line| (line, false));
        let secondary = lines.iter().filter(is_secondary).map(|line| (line, true));
        for (line, secondary) in primary.chain(secondary) {
            if let Some(address) = Ipv4::parse(line, device) {
                self.add4(device, &address, secondary);
            } else if let Some(address) = Ipv6::parse(line) {
                self.add6(device, &address);
            }
        }
    }

    fn add4(&mut self, device: &str, address: &Ipv4<'_>, secondary: bool) {
        let value = Value::Object(address.facts());
        let labelled = self.interfaces.entry(address.label.to_owned()).or_default();
        if secondary || labelled.contains_key("ipv4") {
            push(labelled, "ipv4_secondaries", value.clone());
            if secondary && address.label != device {
                push(self.interfaces.entry(device.to_owned()).or_default(), "ipv4_secondaries", value);
            }
        } else {
            labelled.insert("ipv4".to_owned(), value);
        }
        let link = self.link(device);
        let [default, _] = &mut self.default;
        if default.get("address").is_some_and(|it| it == address.address) {
            default.extend(address.facts());
            default.extend(link);
            default.insert("alias".to_owned(), address.label.into());
        }
        if !address.address.starts_with("127.") {
            let [all, _] = &mut self.all;
            all.push(address.address.to_owned());
        }
    }

    fn add6(&mut self, device: &str, address: &Ipv6<'_>) {
        let interface = self.interfaces.entry(device.to_owned()).or_default();
        push(interface, "ipv6", Value::Object(address.facts()));
        let link = self.link(device);
        let [_, default] = &mut self.default;
        if default.get("address").is_some_and(|it| it == address.address) {
            default.extend(address.facts());
            default.extend(link);
        }
        if address.address != "::1" {
            let [_, all] = &mut self.all;
            all.push(address.address.to_owned());
        }
    }

    /// Returns what a default address says about its interface.
    fn link(&self, device: &str) -> Vars {
        let of = |name: &str| self.interfaces.get(device).and_then(|it| it.get(name)).cloned().unwrap_or_default();
        let hardware = Some(of("macaddress")).filter(|it| !it.is_null()).unwrap_or_else(|| "00:00:00:00:00:00".into());
        facts([("macaddress", hardware), ("mtu", of("mtu")), ("type", of("type"))])
    }
}

/// Adds an item to a list in a map.
fn push(map: &mut Vars, name: &str, item: Value) {
    if let Value::Array(items) = map.entry(name).or_insert_with(|| json!([])) {
        items.push(item);
    }
}

/// Returns the interface, the address and the gateway of a route.
fn route(text: &HostText<'_>, section: &str, outside: &str) -> Vars {
    let parts: Vec<&str> = text.line(section).unwrap_or_default().split_whitespace().collect();
    if parts.first() != Some(&outside) {
        return Vars::new();
    }
    let mut found = Vars::new();
    for pair in parts.windows(2) {
        match pair {
            ["dev", it] => found.insert("interface".to_owned(), (*it).into()),
            ["src", it] => found.insert("address".to_owned(), (*it).into()),
            ["via", it] if *it != outside => found.insert("gateway".to_owned(), (*it).into()),
            _ => None,
        };
    }
    found
}

/// Returns the addresses that the host itself answers.
fn local_routes(text: &HostText<'_>) -> Value {
    let (mut v4, mut v6) = (IndexMap::new(), IndexMap::new());
    for address in text.lines("local_routes").filter_map(|line| line.strip_prefix("local ")?.split(' ').next()) {
        let list = if address.contains(':') { &mut v6 } else { &mut v4 };
        list.insert(address, ());
    }
    json!({"ipv4": v4.keys().collect::<Vec<_>>(), "ipv6": v6.keys().collect::<Vec<_>>()})
}

/// Returns the interfaces with what the kernel says about each, without addresses.
fn interfaces(text: &HostText<'_>) -> IndexMap<String, Vars> {
    let mut found: IndexMap<&str, Vec<(&str, &str)>> = IndexMap::new();
    for line in text.lines("net") {
        let mut words = line.splitn(3, ' ');
        if let (Some(name), Some(key)) = (words.next(), words.next()) {
            found.entry(name).or_default().push((key, words.next().unwrap_or_default().trim()));
        }
    }
    found.into_iter().map(|(name, pairs)| (name.to_owned(), interface(name, &pairs))).collect()
}

fn interface(name: &str, pairs: &[(&str, &str)]) -> Vars {
    let mut found = facts([("device", name.into())]);
    for &(key, value) in pairs {
        match key {
            "brif" => push(&mut found, "interfaces", value.into()),
            "bridge" => {
                found.entry("interfaces").or_insert_with(|| json!([]));
                found.insert("type".to_owned(), "bridge".into());
            }
            "bonding/all_slaves_active" if !found.contains_key("primary") => {}
            _ => found.extend(attribute(key, value).map(|(name, value)| (name.to_owned(), value))),
        }
        if key == "bonding/mode" {
            found.insert("type".to_owned(), "bonding".into());
        }
    }
    found.retain(|_, value| !value.is_null());
    found
}

/// Returns the name and the value that Ansible has for an attribute.
fn attribute(key: &str, value: &str) -> Option<(&'static str, Value)> {
    let first = || value.split_whitespace().next().unwrap_or_default().into();
    let last = || value.rsplit('/').next().into();
    Some(match key {
        "address" if value != "00:00:00:00:00:00" => ("macaddress", value.into()),
        "mtu" => ("mtu", value.parse::<u32>().ok().into()),
        "speed" => ("speed", value.parse::<i32>().ok().into()),
        "operstate" => ("active", (value != "down").into()),
        "type" => ("type", kind(value).into()),
        "flags" => {
            let flags = u32::from_str_radix(value.trim_start_matches("0x"), 16).unwrap_or(0);
            ("promisc", (flags & 0x100 != 0).into())
        }
        "device" => ("pciid", last()),
        "module" => ("module", last()),
        "bridge/bridge_id" => ("id", value.into()),
        "bridge/stp_state" => ("stp", (value == "1").into()),
        "bonding/slaves" => ("slaves", value.split_whitespace().collect::<Vec<_>>().into()),
        "bonding/mode" => ("mode", first()),
        "bonding/miimon" => ("miimon", first()),
        "bonding/lacp_rate" => ("lacp_rate", first()),
        "bonding/primary" if !value.is_empty() => ("primary", value.into()),
        "bonding/all_slaves_active" => ("all_slaves_active", (value == "1").into()),
        "bonding_slave/perm_hwaddr" => ("perm_macaddress", value.into()),
        _ => return None,
    })
}

/// Returns Ansible's name for the kernel's number of a type of interface.
fn kind(number: &str) -> &'static str {
    match number {
        "1" => "ether",
        "32" => "infiniband",
        "512" => "ppp",
        "772" => "loopback",
        "65534" => "tunnel",
        _ => "unknown",
    }
}
