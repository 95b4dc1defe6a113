//! Inventories, and patterns over them.

use std::collections::BTreeSet;

use muster::inventory::Host;
use muster::inventory::Inventory;
use muster::inventory::InventoryError;

use super::assert_within;
use super::in_file;

/// The inventory of the patterns.
const HOSTS: &[u8] = b"lb\n[web]\nweb[1:5].example.com\n[db]\ndb-a\ndb-b\n10.0.0.1\n[prod:children]\nweb\ndb\n";

/// Reads an inventory in INI.
pub fn ini(data: &[u8]) {
    inventory("hosts", data);
}

/// Reads an inventory in YAML.
pub fn yaml(data: &[u8]) {
    inventory("hosts.yml", data);
}

/// Reads an inventory in TOML.
pub fn toml(data: &[u8]) {
    inventory("hosts.toml", data);
}

/// Reads an inventory, and what `inventory list` prints of it, which must have the same hosts in the same groups.
fn inventory(name: &str, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if names_many_hosts(&text) {
        return;
    }
    let inventory = match in_file(name, data, |file| Inventory::load(&[file.to_owned()])) {
        Ok(inventory) => inventory,
        Err(InventoryError::File(diagnostic)) => return assert_within(diagnostic.at, &text),
        Err(_) => return,
    };
    assert_consistent(&inventory);
    for host in inventory.hosts.values() {
        let _ = (host.metadata(), host.fence_command(), host.notes(), host.machine_notes(), host.machine_target());
        if let Ok(target) = host.target() {
            assert_eq!(target.address.to_string().parse().as_ref(), Ok(&target.address));
        }
    }
    // The listing keeps the variables of hosts in the place of this group.
    if inventory.groups.contains_key("_meta") {
        return;
    }
    let listing = inventory.to_json().to_string();
    let again = in_file("listing", listing.as_bytes(), |file| Inventory::load(&[file.to_owned()]));
    let again = again.unwrap_or_else(|error| panic!("{error}: {listing}"));
    assert_eq!(
        again.hosts.values().map(outline).collect::<BTreeSet<_>>(),
        inventory.hosts.values().map(outline).collect()
    );
}

/// Reports whether ranges in a text may stand for so many hosts that reading them takes seconds.
fn names_many_hosts(text: &str) -> bool {
    let is_long = |range: &str| range.bytes().rev().take_while(u8::is_ascii_digit).count() > 2;
    text.split(']').any(is_long) || text.matches('[').count() > 50 || text.matches("][").count() > 1
}

/// Returns the name of a host, its groups and its variables without their values. JSON may round numbers.
fn outline(host: &Host) -> (&str, &[String], BTreeSet<&str>) {
    (&host.name, &host.groups, host.vars.keys().map(String::as_str).collect())
}

/// Checks that hosts and groups name each other.
fn assert_consistent(inventory: &Inventory) {
    for (name, group) in &inventory.groups {
        assert!(group.direct.iter().all(|host| group.hosts.contains(host)), "{name}");
        for child in &group.children {
            assert!(inventory.groups[child].hosts.is_subset(&group.hosts), "{child} is in {name}");
        }
        for host in &group.hosts {
            assert!(name == "all" || inventory.hosts[host].groups.contains(name), "{host} is in {name}");
        }
    }
    let all = &inventory.groups["all"].hosts;
    assert!(inventory.hosts.iter().all(|(name, host)| *name == host.name && all.contains(name)));
}

/// Selects hosts with a pattern. Each is selected once; the hosts that a term selects and those that it excludes are all.
pub fn pattern(data: &[u8]) {
    let Ok(pattern) = std::str::from_utf8(data) else { return };
    let inventory = in_file("patterns", HOSTS, |file| Inventory::load(&[file.to_owned()])).expect("an inventory");
    let Ok((hosts, unmatched)) = inventory.select_known(pattern) else { return };
    let names: BTreeSet<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names.len(), hosts.len(), "{pattern} selects a host twice");
    assert_eq!(inventory.select(pattern).is_ok(), unmatched.is_empty());
    if pattern.trim().is_empty() || pattern.contains([',', ':', '&', '!']) {
        return;
    }
    let excluding = format!("all,!{pattern}");
    let (others, _) = inventory.select_known(&excluding).expect("a valid pattern");
    let others: BTreeSet<&str> = others.iter().map(|host| host.name.as_str()).collect();
    assert!(names.is_disjoint(&others), "{excluding}");
    assert_eq!(names.len() + others.len(), inventory.hosts.len(), "{excluding}");
}
