//! The builder of an inventory: collects groups, hosts and variables from the sources.
//!
//! Later sources override earlier ones. `vars.rs` merges the variables of each host.

use std::collections::HashSet;

use indexmap::IndexMap;
use indexmap::IndexSet;
use serde_json::Value;

use super::Vars;
use super::range;

/// The group of all hosts.
pub(super) const ALL: &str = "all";
/// The group of the hosts that are in no other group.
pub(super) const UNGROUPED: &str = "ungrouped";

/// A group while the sources are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct GroupBuilder {
    /// The hosts that are direct members, in order.
    pub(super) hosts: IndexSet<String>,
    /// The groups that are direct members, in order.
    pub(super) children: IndexSet<String>,
    /// Its variables.
    pub(super) vars: Vars,
    /// The priority among groups of one depth (`ansible_group_priority`). The higher one overrides.
    pub(super) priority: i64,
}

/// The hosts and groups of the sources so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InventoryBuilder {
    /// The groups, in the order in which they were first named.
    pub(super) groups: IndexMap<String, GroupBuilder>,
    /// The hosts with their own variables, in the order in which they were first named.
    pub(super) hosts: IndexMap<String, Vars>,
}

impl Default for InventoryBuilder {
    fn default() -> Self {
        let mut builder = Self { groups: IndexMap::new(), hosts: IndexMap::new() };
        builder.add_group(UNGROUPED);
        builder.add_group(ALL).children.insert(UNGROUPED.to_owned());
        builder
    }
}

impl InventoryBuilder {
    /// Returns a group, which is added if it is new.
    pub(super) fn add_group(&mut self, name: &str) -> &mut GroupBuilder {
        self.groups.entry(name.to_owned()).or_insert_with(|| GroupBuilder { priority: 1, ..GroupBuilder::default() })
    }

    /// Adds a host to a group, and returns its variables.
    pub(super) fn add_host(&mut self, group: &str, name: &str) -> &mut Vars {
        self.add_group(group).hosts.insert(name.to_owned());
        self.hosts.entry(name.to_owned()).or_default()
    }

    /// Sets a variable of a group.
    pub(super) fn set_variable(&mut self, group: &str, name: &str, value: Value) -> Result<(), String> {
        let group = self.add_group(group);
        if name == "ansible_group_priority" {
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            group.priority =
                number.ok_or_else(|| format!("`ansible_group_priority` must be a whole number, not {value}"))?;
        } else {
            group.vars.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Adds a group to another one.
    pub(super) fn add_child(&mut self, parent: &str, child: &str) -> Result<(), String> {
        if parent == child || self.descendants(child).contains(parent) {
            return Err(format!("group `{child}` cannot be in group `{parent}`, which is in `{child}` itself"));
        }
        self.add_group(child);
        self.add_group(parent).children.insert(child.to_owned());
        Ok(())
    }

    /// Returns a group and all groups in it, nearest first.
    pub(super) fn descendants(&self, group: &str) -> IndexSet<String> {
        let mut found = IndexSet::from([group.to_owned()]);
        let mut next = 0;
        while let Some(name) = found.get_index(next).cloned() {
            if let Some(group) = self.groups.get(&name) {
                found.extend(group.children.iter().cloned());
            }
            next += 1;
        }
        found
    }

    /// Adds the memberships that are implied: every group is in `all`, and a host without a group is in `ungrouped`.
    pub(super) fn complete(&mut self) {
        let inner: HashSet<&String> = self.groups.values().flat_map(|group| &group.children).collect();
        let top: Vec<String> =
            self.groups.keys().filter(|name| *name != ALL && !inner.contains(*name)).cloned().collect();
        let real = self.groups.iter().filter(|(name, _)| *name != ALL && *name != UNGROUPED);
        let grouped: HashSet<&String> = real.flat_map(|(_, group)| &group.hosts).collect();
        let ungrouped = self.groups.get(UNGROUPED).into_iter().flat_map(|group| &group.hosts);
        let loose = ungrouped.chain(self.hosts.keys()).filter(|host| !grouped.contains(*host)).cloned().collect();
        self.add_group(ALL).children.extend(top);
        self.add_group(UNGROUPED).hosts = loose;
    }
}

/// Returns the host names and the port of a host line: `web[1:3]:2222`.
pub(super) fn host_names(pattern: &str) -> Result<(Vec<String>, Option<u16>), String> {
    if pattern == "---" {
        return Err("`---` begins a YAML file, and this one is read as INI".to_owned());
    }
    if pattern.ends_with(':') {
        return Err(format!("`{pattern}` ends in a `:` without a port"));
    }
    let (name, port) = split_port(pattern)?;
    if is_ipv6(name) {
        return Ok((vec![name.to_owned()], port));
    }
    let names = range::expand(name)?;
    let is_mark = |c: char| matches!(c, ',' | '/' | '\'' | '"' | '[' | ']');
    let bad = |c: char| !c.is_ascii_alphanumeric() && (is_mark(c) || c.is_whitespace() || c.is_control());
    if let Some(name) = names.iter().find(|name| name.is_empty() || name.starts_with('-') || name.contains(bad)) {
        return Err(format!("invalid host name `{name}`"));
    }
    Ok((names, port))
}

/// Reports whether a name is an IPv6 address, with a zone or without one: `fe80::1%eth0` (RFC 4007, section 11).
fn is_ipv6(name: &str) -> bool {
    let (address, zone) = name.split_once('%').unwrap_or((name, "-"));
    let is_clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    address.contains(':')
        && !zone.is_empty()
        && zone.chars().all(is_clean)
        && address.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Splits off `:port`, outside brackets and not inside a bare IPv6 address.
fn split_port(pattern: &str) -> Result<(&str, Option<u16>), String> {
    if is_ipv6(pattern) {
        return Ok((pattern, None));
    }
    let (name, digits) = match pattern.rsplit_once(':') {
        Some((name, digits)) if !digits.contains(']') => (name, Some(digits)),
        _ => (pattern, None),
    };
    let port = match digits.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(format!("`{pattern}` has no port from 1 to 65535 after its `:`")),
    };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.filter(|inner| is_ipv6(inner));
    Ok((address.unwrap_or(name), port))
}

#[cfg(test)]
mod tests {
    use super::InventoryBuilder;
    use super::host_names;

    #[test]
    fn a_host_line_has_names_and_optionally_a_port() {
        for (pattern, names, port) in [
            ("web1", "web1", None),
            ("web1:2222", "web1", Some(2222)),
            ("10.0.0.1:22", "10.0.0.1", Some(22)),
            ("[2001:db8::1]:2200", "2001:db8::1", Some(2200)),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("2001:db8::1", "2001:db8::1", None),
            ("web[1:2]:2222", "web1 web2", Some(2222)),
            ("web[1:2]", "web1 web2", None),
        ] {
            let (found, found_port) = host_names(pattern).unwrap();
            assert_eq!((found.join(" ").as_str(), found_port), (names, port), "{pattern}");
        }
        for pattern in ["---", "web1:", "web1:0", "web1:70000", "web1:x", "a,b", "-oProxyCommand=x", "a/b", "web[1"] {
            assert!(host_names(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_group_cannot_contain_itself() {
        let mut builder = InventoryBuilder::default();
        builder.add_child("a", "b").unwrap();
        builder.add_child("b", "c").unwrap();
        assert!(builder.add_child("c", "a").unwrap_err().contains("cannot be in"));
        assert!(builder.add_child("c", "c").is_err());
    }
}
