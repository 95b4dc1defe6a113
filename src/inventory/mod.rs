//! The inventory: hosts, groups and variables from files, as Ansible reads them.
//!
//! Only [`load`] reads files and runs scripts. The rest is pure over their contents. The inventory knows nothing of the
//! cluster: its hosts are machines only after they have joined.

mod builder;
pub mod diagnostic;
pub mod document;
mod dynamic;
mod host;
mod ini;
pub mod limit;
mod literal;
pub mod load;
mod pattern;
mod range;
mod run_script;
mod script;
mod ssh_arguments;
mod toml;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::IndexSet;
use serde_json::Value;
use serde_json::json;

use crate::vault;
use crate::vault::Keyring;
use diagnostic::Diagnostic;
pub use host::Host;
pub use pattern::ShellPattern;

/// How many bytes of a graph are drawn, and at most one more line. Diamonds of groups have a path for each way through them.
const LONGEST_GRAPH: usize = 16 << 20;

/// Variables by name, in the order in which they were first set.
pub type Vars = serde_json::Map<String, Value>;

/// Hosts and groups, with the variables of each host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// The groups by name. A loaded inventory always has `all` and `ungrouped`.
    pub groups: IndexMap<String, Group>,
    /// The hosts by name, in the order of the sources.
    pub hosts: IndexMap<String, Host>,
    /// The variables of each group, also of groups that have no host yet.
    pub group_vars: BTreeMap<String, Vars>,
    /// The files and folders that were read, in their order.
    pub sources: Vec<PathBuf>,
    /// The faults in the sources that were passed over, each a sentence without a full stop.
    pub warnings: Vec<String>,
    /// The passwords of the closed values in the variables.
    pub vault: Arc<Keyring>,
    /// The connection variables of hosts that have none.
    connection_defaults: Arc<Vars>,
}

impl Inventory {
    /// Gives all hosts these connection variables where they have none. No template sees them.
    pub fn set_connection_defaults(&mut self, vars: Vars) {
        self.connection_defaults = Arc::new(vars);
        for host in self.hosts.values_mut() {
            host.defaults = Arc::clone(&self.connection_defaults);
        }
    }

    /// Returns a host. One that is not in the inventory is this machine, or its name is an address.
    pub fn host(&self, name: &str) -> Host {
        let implicit = || Host { defaults: Arc::clone(&self.connection_defaults), ..Host::implicit(name) };
        self.hosts.get(name).cloned().unwrap_or_else(implicit)
    }
}

/// A named set of hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// The hosts that are direct members.
    pub direct: Vec<String>,
    /// The groups that are direct members.
    pub children: Vec<String>,
    /// All hosts, including those of the groups in it.
    pub hosts: IndexSet<String>,
}

/// The inventory, or a pattern over it, is invalid. No host was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// A file is not a valid inventory.
    #[error(transparent)]
    File(#[from] Diagnostic),
    /// A source cannot be read.
    #[error("cannot read the inventory {}: {detail}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// An inventory script failed.
    #[error("the inventory script {} failed: {detail}", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// The script's error.
        detail: String,
    },
    /// A variable that muster reads has an invalid value.
    #[error("host {host}: variable `{name}`: {detail}")]
    Variable {
        /// The host.
        host: String,
        /// The variable.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A term of a pattern matches no host and no group.
    #[error("no host or group matches `{term}`{}", if term == pattern { String::new() } else { format!(" in `{pattern}`") })]
    NoMatch {
        /// The term.
        term: String,
        /// The whole pattern.
        pattern: String,
        /// Similar names.
        near: Vec<String>,
    },
    /// A pattern is invalid.
    #[error("invalid pattern `{pattern}`: {detail}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl InventoryError {
    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), detail: error.to_string() }
    }
}

impl InventoryError {
    /// Returns a hint that says what to do, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(diagnostic) => diagnostic.hint.clone(),
            Self::NoMatch { near, .. } if !near.is_empty() => {
                let names: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("Did you mean {}?", names.join(" or ")))
            }
            Self::NoMatch { .. } => Some("`muster inventory graph` shows all hosts and groups.".to_owned()),
            Self::Unreadable { .. } => Some("Name the inventory with `-i PATH`, or in muster.toml.".to_owned()),
            Self::Script { .. } | Self::Variable { .. } | Self::Pattern { .. } => None,
        }
    }
}

impl Inventory {
    /// Removes all other hosts. Groups stay, even if they are empty.
    pub fn retain_hosts(&mut self, names: &[String]) {
        let kept: IndexSet<&String> = names.iter().collect();
        self.hosts.retain(|name, _| kept.contains(name));
        for group in self.groups.values_mut() {
            group.direct.retain(|name| kept.contains(name));
            group.hosts.retain(|name| kept.contains(name));
        }
    }

    /// Adds the machine on which muster runs if a pattern names it and the inventory has it not. As with Ansible it is in no
    /// group.
    pub fn add_local(&mut self, pattern: &str) {
        for name in pattern.split([',', ':']).map(str::trim).filter(|name| Host::is_local(name)) {
            let host = self.host(name);
            self.hosts.insert(name.to_owned(), host);
        }
    }

    /// Returns the inventory as `ansible-inventory --list` prints it. Closed values stay closed.
    pub fn to_json(&self) -> Value {
        let vars = |host: &Host| host.vars.iter().map(|(name, value)| (name.clone(), vault::listed(value))).collect();
        let hostvars: Vars = self.hosts.values().map(|host| (host.name.clone(), Value::Object(vars(host)))).collect();
        let mut listing = Vars::new();
        listing.insert("_meta".to_owned(), json!({ "hostvars": hostvars }));
        for (name, group) in &self.groups {
            let mut parts = Vars::new();
            if !group.children.is_empty() {
                parts.insert("children".to_owned(), group.children.clone().into());
            }
            // A host that is only in `all` is listed in `ungrouped`.
            if !group.direct.is_empty() && name != builder::ALL {
                parts.insert("hosts".to_owned(), group.direct.clone().into());
            }
            if !parts.is_empty() {
                listing.insert(name.clone(), parts.into());
            }
        }
        listing.into()
    }

    /// Returns a group with its groups and hosts as a tree, in the form of `ansible-inventory --graph`. With `show`, which
    /// writes a value, the tree has the variables too.
    pub fn to_graph(&self, root: &str, show: Option<&dyn Fn(&Value) -> String>) -> String {
        let mut text = String::new();
        self.draw(root, 0, show, &mut text);
        if text.len() > LONGEST_GRAPH {
            text.push_str("The rest is left out: a group with several parents is drawn once for each path to it.\n");
        }
        text
    }

    fn draw(&self, name: &str, depth: usize, show: Option<&dyn Fn(&Value) -> String>, text: &mut String) {
        if text.len() > LONGEST_GRAPH {
            return;
        }
        text.push_str(&format!("{}@{name}:\n", branch(depth)));
        let Some(group) = self.groups.get(name) else { return };
        for child in &group.children {
            self.draw(child, depth + 1, show, text);
        }
        for host in group.direct.iter().filter(|_| name != builder::ALL) {
            text.push_str(&format!("{}{host}\n", branch(depth + 1)));
            draw_vars(self.hosts.get(host).map(|host| &*host.vars), depth + 2, show, text);
        }
        draw_vars(self.group_vars.get(name), depth + 1, show, text);
    }
}

/// Returns the lines that lead to an entry of the tree.
fn branch(depth: usize) -> String {
    if depth == 0 { String::new() } else { format!("{}|--", "  |".repeat(depth - 1) + "  ") }
}

fn draw_vars(vars: Option<&Vars>, depth: usize, show: Option<&dyn Fn(&Value) -> String>, text: &mut String) {
    let Some((vars, show)) = vars.zip(show) else { return };
    let sorted: BTreeMap<&String, &Value> = vars.iter().collect();
    for (name, value) in sorted {
        text.push_str(&format!("{}{{{name} = {}}}\n", branch(depth), show(value)));
    }
}
