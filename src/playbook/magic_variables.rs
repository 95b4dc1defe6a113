//! Magic variables, which Ansible always defines: those of the whole inventory and those of one host.

use serde_json::Value;
use serde_json::json;

use super::play::Role;
use super::template;
use crate::inventory::Group;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;

/// Returns the variables that are the same for every host.
pub fn of_all(inventory: &Inventory) -> Vars {
    let hosts = |group: &Group| group.hosts.iter().cloned().collect::<Value>();
    let groups: Vars = inventory.groups.iter().map(|(name, group)| (name.clone(), hosts(group))).collect();
    Vars::from_iter([
        ("groups".to_owned(), groups.into()),
        ("omit".to_owned(), template::omit()),
        ("ansible_managed".to_owned(), "Managed by muster".into()),
    ])
}

/// Returns the variables of one host: its names and its groups.
pub fn of_host(host: &Host) -> Vars {
    let short = host.name.split('.').next().unwrap_or_default();
    let own = json!({
        "inventory_hostname": host.name, "inventory_hostname_short": short, "group_names": host.groups,
    });
    own.as_object().cloned().unwrap_or_default()
}

/// Returns the variables that Ansible sets for the tasks of a role.
pub fn of_role(role: &Role) -> Vars {
    let path = role.path.display().to_string();
    let vars = [("role_path", path), ("role_name", role.name.clone()), ("ansible_role_name", role.name.clone())];
    vars.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
