//! Merges the variables of each host: `all` < parent < child < host. Variable files override the inventory beside them.
//!
//! From the weakest, as in Ansible: the inventory's `all`, the inventory's other groups, `group_vars/all`, the other
//! `group_vars`, the inventory's hosts, their `host_vars`. Files beside a playbook override those beside the inventory.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::Group;
use super::Host;
use super::Inventory;
use super::Vars;
use super::builder::ALL;
use super::builder::InventoryBuilder;

/// The variables in `group_vars` and `host_vars` of one folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct VarFiles {
    /// Variables by group.
    pub(super) groups: BTreeMap<String, Vars>,
    /// Variables by host.
    pub(super) hosts: BTreeMap<String, Vars>,
}

/// Builds the inventory. The later variable files override the earlier ones.
pub(super) fn build(mut builder: InventoryBuilder, files: &[VarFiles]) -> Inventory {
    builder.complete();
    let depths = depths(&builder);
    let members = memberships(&builder);
    let hosts = builder.hosts.iter().map(|(name, own)| {
        let mut groups: Vec<&str> = members.get(name.as_str()).cloned().unwrap_or_default();
        groups.sort_by_key(|name| {
            let priority = builder.groups.get(*name).map_or(1, |group| group.priority);
            (depths.get(name).copied().unwrap_or(0), priority, *name)
        });
        let mut vars = Vars::new();
        for group in groups.iter().filter_map(|name| builder.groups.get(*name)) {
            vars.extend(group.vars.clone());
        }
        for is_all in [true, false] {
            for file in files {
                let layer = groups.iter().filter(|name| (**name == ALL) == is_all);
                layer.filter_map(|name| file.groups.get(*name)).for_each(|more| vars.extend(more.clone()));
            }
        }
        vars.extend(own.clone());
        files.iter().filter_map(|file| file.hosts.get(name)).for_each(|more| vars.extend(more.clone()));
        groups.retain(|name| *name != ALL);
        groups.sort_unstable();
        let groups = groups.into_iter().map(str::to_owned).collect();
        (name.clone(), Host { groups, vars: Arc::new(vars), ..Host::named(name) })
    });
    let hosts: IndexMap<String, Host> = hosts.collect();
    let groups = builder.groups.iter().map(|(name, group)| {
        let below = builder.descendants(name);
        let inner = below.iter().filter_map(|name| builder.groups.get(name));
        let all_hosts = inner.flat_map(|group| group.hosts.iter().cloned()).collect();
        let direct = group.hosts.iter().cloned().collect();
        let children = group.children.iter().cloned().collect();
        (name.clone(), Group { direct, children, hosts: all_hosts })
    });
    let mut group_vars: BTreeMap<String, Vars> =
        builder.groups.iter().map(|(name, group)| (name.clone(), group.vars.clone())).collect();
    for (name, vars) in files.iter().flat_map(|file| &file.groups) {
        group_vars.entry(name.clone()).or_default().extend(vars.clone());
    }
    Inventory { groups: groups.collect(), hosts, group_vars, ..Inventory::default() }
}

/// Returns the depth of each group below `all`, by the longest path.
fn depths(builder: &InventoryBuilder) -> BTreeMap<&str, usize> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    // Groups have no circles, so the longest chain needs at most this many rounds. The loop ends when a round changes nothing.
    for _ in 0..builder.groups.len() {
        let mut changed = false;
        for (name, group) in &builder.groups {
            let depth = depths.get(name.as_str()).copied().unwrap_or(0);
            for child in &group.children {
                let known = depths.entry(child).or_default();
                changed |= *known < depth + 1;
                *known = (*known).max(depth + 1);
            }
        }
        if !changed {
            break;
        }
    }
    depths
}

/// Returns all groups of each host, direct or not.
fn memberships(builder: &InventoryBuilder) -> BTreeMap<&str, Vec<&str>> {
    let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in builder.groups.keys() {
        let below = builder.descendants(name);
        let hosts = below.iter().filter_map(|inner| builder.groups.get(inner)).flat_map(|group| &group.hosts);
        for host in hosts {
            let groups = members.entry(host).or_default();
            if groups.last() != Some(&name.as_str()) {
                groups.push(name);
            }
        }
    }
    members
}
