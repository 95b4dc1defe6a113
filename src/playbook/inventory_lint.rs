//! What is probably wrong with an inventory: faults that do not keep muster from reading it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::connection_variables;
use super::template;
use crate::inventory::Inventory;
use crate::inventory::InventoryError;
use crate::inventory::Vars;
use crate::vault::Keyring;
use crate::vault::listed;

/// The variables that say where a host is, the weaker one last.
const ADDRESS: [&str; 2] = ["ansible_host", "ansible_ssh_host"];

/// The groups that every inventory has.
const BUILT_IN: [&str; 2] = ["all", "ungrouped"];

/// Returns the faults of an inventory, a sentence for each.
pub fn findings(inventory: &Inventory) -> Vec<String> {
    let mut findings = inventory.warnings.clone();
    let is_empty = |name: &str| inventory.groups.get(name).is_some_and(|group| group.hosts.is_empty());
    let empty = inventory.groups.keys().filter(|name| !BUILT_IN.contains(&name.as_str()) && is_empty(name));
    findings.extend(empty.map(|name| format!("group {name}: it has no host")));
    let lost = inventory.group_vars.keys().filter(|name| !inventory.groups.contains_key(*name));
    findings.extend(lost.map(|name| format!("group {name}: it has variables, and no source has the group")));
    let of_groups: BTreeMap<&str, Vec<String>> =
        inventory.group_vars.iter().map(|(name, vars)| (name.as_str(), templates(vars))).collect();
    for (name, faults) in &of_groups {
        findings.extend(faults.iter().map(|fault| format!("group {name}: {fault}")));
    }
    let mut filled = inventory.clone();
    connection_variables::fill(&mut filled, &Vars::new());
    for (name, host) in &filled.hosts {
        let faults = [host.target().err(), host.metadata().err(), host.fence_command().err()];
        findings.extend(faults.into_iter().flatten().map(|fault| fault.to_string()));
        findings.extend(host.notes().into_iter().map(|note| format!("host {name}: {}", note.trim_end_matches('.'))));
        // What a host has from a group was found there.
        let is_of_group = |fault: &String| of_groups.values().any(|faults| faults.contains(fault));
        let own = templates(&host.vars).into_iter().filter(|fault| !is_of_group(fault));
        findings.extend(own.map(|fault| format!("host {name}: {fault}")));
    }
    findings
}

/// Returns the faults of the templates in variables.
fn templates(vars: &Vars) -> Vec<String> {
    vars.iter().filter_map(|(name, value)| Some(format!("variable `{name}`: {}", fault(value)?))).collect()
}

fn fault(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => template::check_text(text).err(),
        Value::Array(items) => items.iter().find_map(fault),
        Value::Object(entries) => entries.values().find_map(fault),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Returns the hosts to which two sources give different addresses, a sentence for each.
pub fn moved(sources: &[PathBuf], vault: &Arc<Keyring>) -> Result<Vec<String>, InventoryError> {
    let mut known: BTreeMap<String, (Value, &PathBuf)> = BTreeMap::new();
    let mut findings = Vec::new();
    for source in sources {
        for (name, host) in Inventory::load_beside(std::slice::from_ref(source), None, vault)?.hosts {
            let Some(address) = ADDRESS.iter().find_map(|name| host.vars.get(*name)).cloned() else { continue };
            if let Some((before, first)) = known.insert(name.clone(), (address.clone(), source))
                && listed(&before) != listed(&address)
            {
                let [before, address] = [before, address].map(|value| template::text_of(&listed(&value)));
                findings.push(format!(
                    "host {name}: its address is {before} in {} and {address} in {}; the last one counts",
                    first.display(),
                    source.display()
                ));
            }
        }
    }
    Ok(findings)
}
