//! What a host's variables come to: `all` < parent < child < host, files beside the inventory over the inventory itself.
//!
//! From the weakest: the inventory's `all`, `group_vars/all`, the inventory's other groups, their `group_vars`, the
//! inventory's hosts, their `host_vars`. Beside a playbook wins over beside the inventory.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::Group;
use super::Host;
use super::Inventory;
use super::Vars;
use super::draft::ALL;
use super::draft::Draft;

/// What the `group_vars` and `host_vars` of one folder say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct VarFiles {
    /// Variables by group.
    pub(super) groups: BTreeMap<String, Vars>,
    /// Variables by host.
    pub(super) hosts: BTreeMap<String, Vars>,
}

/// Makes the inventory of a draft and the variable files that go with it, the weakest first.
pub(super) fn settle(mut draft: Draft, files: &[VarFiles]) -> Inventory {
    draft.reconcile();
    let depths = depths(&draft);
    let members = memberships(&draft);
    let hosts = draft.hosts.iter().map(|(name, own)| {
        let mut groups: Vec<&str> = members.get(name.as_str()).cloned().unwrap_or_default();
        groups.sort_by_key(|name| {
            let priority = draft.groups.get(*name).map_or(1, |group| group.priority);
            (depths.get(name).copied().unwrap_or(0), priority, *name)
        });
        let mut vars = Vars::new();
        for everyone in [true, false] {
            let layer = || groups.iter().filter(move |name| (**name == ALL) == everyone);
            for group in layer().filter_map(|name| draft.groups.get(*name)) {
                vars.extend(group.vars.clone());
            }
            for file in files {
                layer().filter_map(|name| file.groups.get(*name)).for_each(|more| vars.extend(more.clone()));
            }
        }
        vars.extend(own.clone());
        files.iter().filter_map(|file| file.hosts.get(name)).for_each(|more| vars.extend(more.clone()));
        groups.retain(|name| *name != ALL);
        groups.sort_unstable();
        let groups = groups.into_iter().map(str::to_owned).collect();
        (name.clone(), Host { name: name.clone(), groups, vars })
    });
    let hosts: IndexMap<String, Host> = hosts.collect();
    let groups = draft.groups.iter().map(|(name, group)| {
        let below = draft.below(name);
        let inner = below.iter().filter_map(|name| draft.groups.get(name));
        let all_hosts = inner.flat_map(|group| group.hosts.iter().cloned()).collect();
        let direct = group.hosts.iter().cloned().collect();
        let children = group.children.iter().cloned().collect();
        (name.clone(), Group { direct, children, hosts: all_hosts })
    });
    Inventory { groups: groups.collect(), hosts }
}

/// Returns how far below `all` each group is, by the longest way.
fn depths(draft: &Draft) -> BTreeMap<&str, usize> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    // Groups contain no circles, so this many rounds settle the longest chain; it stops when a round changes nothing.
    for _ in 0..draft.groups.len() {
        let mut changed = false;
        for (name, group) in &draft.groups {
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

/// Returns every group that each host is in, directly or not.
fn memberships(draft: &Draft) -> BTreeMap<&str, Vec<&str>> {
    let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in draft.groups.keys() {
        let below = draft.below(name);
        let hosts = below.iter().filter_map(|inner| draft.groups.get(inner)).flat_map(|group| &group.hosts);
        for host in hosts {
            let groups = members.entry(host).or_default();
            if groups.last() != Some(&name.as_str()) {
                groups.push(name);
            }
        }
    }
    members
}
