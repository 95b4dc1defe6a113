//! Merges the variables of each host: `all` < parent < child < host. Variable files override the inventory beside them.
//!
//! From the weakest, as in Ansible: the inventory's `all`, the inventory's other groups, `group_vars/all`, the other
//! `group_vars`, the inventory's hosts, their `host_vars`. Files beside a playbook override those beside the inventory.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::IndexSet;

use super::Group;
use super::Host;
use super::Inventory;
use super::Vars;
use super::builder::ALL;
use super::builder::GroupBuilder;
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
pub(super) fn build(mut builder: InventoryBuilder, files: &[Arc<VarFiles>]) -> Inventory {
    builder.complete();
    let all_hosts = all_hosts(&builder);
    let members = memberships(&builder, &all_hosts);
    let InventoryBuilder { groups, hosts } = builder;
    // Hosts in the same groups get the same variables of groups.
    let mut shared: HashMap<&[usize], (Vec<String>, Vars)> = HashMap::new();
    let hosts = hosts.into_iter().zip(members.iter().map(Vec::as_slice)).map(|((name, own), members)| {
        let (groups, vars) = shared.entry(members).or_insert_with(|| of_groups(members, &groups, files)).clone();
        let mut vars = vars;
        vars.extend(own);
        files.iter().filter_map(|file| file.hosts.get(&name)).for_each(|more| vars.extend(more.clone()));
        let host = Host { groups, vars: Arc::new(vars), ..Host::named(&name) };
        (name, host)
    });
    let hosts = hosts.collect();
    let mut group_vars = BTreeMap::new();
    let groups = groups.into_iter().zip(all_hosts).map(|((name, group), hosts)| {
        group_vars.insert(name.clone(), group.vars);
        let (direct, children) = (group.hosts.into_iter().collect(), group.children.into_iter().collect());
        (name, Group { direct, children, hosts })
    });
    let groups = groups.collect();
    for (name, vars) in files.iter().flat_map(|file| &file.groups) {
        group_vars.entry(name.clone()).or_default().extend(vars.clone());
    }
    Inventory { groups, hosts, group_vars, ..Inventory::default() }
}

/// Returns the names of these groups except `all`, sorted, and the variables that they give to their hosts. The weakest group
/// is the first.
fn of_groups(
    members: &[usize],
    groups: &IndexMap<String, GroupBuilder>,
    files: &[Arc<VarFiles>],
) -> (Vec<String>, Vars) {
    let members: Vec<_> = members.iter().filter_map(|group| groups.get_index(*group)).collect();
    let mut vars = Vars::new();
    for (_, group) in &members {
        vars.extend(group.vars.clone());
    }
    for is_all in [true, false] {
        for file in files {
            let layer = members.iter().filter(|(name, _)| (*name == ALL) == is_all);
            layer.filter_map(|(name, _)| file.groups.get(*name)).for_each(|more| vars.extend(more.clone()));
        }
    }
    let mut names: Vec<String> = members.into_iter().map(|(name, _)| name.clone()).filter(|name| name != ALL).collect();
    names.sort_unstable();
    (names, vars)
}

/// Returns all hosts of each group, direct members or not.
fn all_hosts(builder: &InventoryBuilder) -> Vec<IndexSet<String>> {
    let hosts = |name: &String| {
        let below = builder.descendants(name);
        let inner = below.iter().filter_map(|name| builder.groups.get(name));
        inner.flat_map(|group| group.hosts.iter().cloned()).collect()
    };
    builder.groups.keys().map(hosts).collect()
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

/// Returns the places of all groups of each host, in the order in which their variables override each other.
fn memberships(builder: &InventoryBuilder, all_hosts: &[IndexSet<String>]) -> Vec<Vec<usize>> {
    let depths = depths(builder);
    let mut groups: Vec<_> = builder.groups.iter().zip(all_hosts).enumerate().collect();
    groups.sort_by_key(|(_, ((name, group), _))| {
        (depths.get(name.as_str()).copied().unwrap_or(0), group.priority, *name)
    });
    let mut members = vec![Vec::new(); builder.hosts.len()];
    for (place, (_, hosts)) in groups {
        for host in hosts.iter().filter_map(|host| builder.hosts.get_index_of(host)) {
            members.get_mut(host).into_iter().for_each(|groups: &mut Vec<usize>| groups.push(place));
        }
    }
    members
}
