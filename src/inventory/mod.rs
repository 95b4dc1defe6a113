//! The inventory: files that name hosts, groups and variables, as Ansible reads them.
//!
//! Pure over the contents of files; [`load`] is the one part that reads files and runs scripts. It knows nothing of the
//! cluster: what a host is called here is only a name until it has joined.

pub mod document;
mod draft;
pub mod fault;
mod host;
mod ini;
pub mod limit;
mod literal;
pub mod load;
mod pattern;
mod range;
mod script;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use indexmap::IndexMap;
use indexmap::IndexSet;
use serde_json::Value;
use serde_json::json;

use fault::Fault;
pub use host::Host;

/// Variables by name, in the order in which they were first set.
pub type Vars = serde_json::Map<String, Value>;

/// Hosts and groups, with everything that was said of each host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// The groups by name; `all` and `ungrouped` are always there after a load.
    pub groups: IndexMap<String, Group>,
    /// The hosts by name, in the order of the sources.
    pub hosts: IndexMap<String, Host>,
}

/// Some hosts under one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// The hosts that were put into it directly.
    pub direct: Vec<String>,
    /// The groups that were put into it directly.
    pub children: Vec<String>,
    /// Every host in it or in a group in it.
    pub hosts: IndexSet<String>,
}

/// The inventory cannot be used as it stands. Nothing was done to any host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// A file does not say what an inventory can say.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A source cannot be read.
    #[error("cannot read the inventory {}: {detail}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// A script that is an inventory failed.
    #[error("the inventory script {} failed: {detail}", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What it said.
        detail: String,
    },
    /// A variable that muster reads has a value that cannot be.
    #[error("host {host}: variable `{name}`: {detail}")]
    Variable {
        /// Whose variable.
        host: String,
        /// Which variable.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A word of a pattern is no host and no group.
    #[error("no host or group matches `{term}`{}", if term == pattern { String::new() } else { format!(" in `{pattern}`") })]
    NoMatch {
        /// The word.
        term: String,
        /// The whole pattern.
        pattern: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// A pattern is not one.
    #[error("`{pattern}` is not a pattern: {detail}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl InventoryError {
    /// Returns what to do about it, if there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fault(fault) => fault.hint.clone(),
            Self::NoMatch { near, .. } if !near.is_empty() => {
                let names: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("Did you mean {}?", names.join(" or ")))
            }
            Self::NoMatch { .. } => Some("`muster inventory list --graph` shows what there is.".to_owned()),
            Self::Unreadable { .. } => Some("Name the inventory with `-i PATH`, or in muster.toml.".to_owned()),
            Self::Script { .. } | Self::Variable { .. } | Self::Pattern { .. } => None,
        }
    }
}

impl Inventory {
    /// Forgets every host but these; groups stay, perhaps empty.
    pub fn keep(&mut self, names: &[String]) {
        let kept: IndexSet<&String> = names.iter().collect();
        self.hosts.retain(|name, _| kept.contains(name));
        for group in self.groups.values_mut() {
            group.direct.retain(|name| kept.contains(name));
            group.hosts.retain(|name| kept.contains(name));
        }
    }

    /// Returns the inventory as `ansible-inventory --list` prints it.
    pub fn to_json(&self) -> Value {
        let hostvars: Vars = self.hosts.values().map(|host| (host.name.clone(), host.vars.clone().into())).collect();
        let mut listing = Vars::new();
        listing.insert("_meta".to_owned(), json!({ "hostvars": hostvars }));
        for (name, group) in &self.groups {
            let mut parts = Vars::new();
            if !group.children.is_empty() {
                parts.insert("children".to_owned(), group.children.clone().into());
            }
            // What is in `all` alone is in `ungrouped`, and shown there.
            if !group.direct.is_empty() && name != draft::ALL {
                parts.insert("hosts".to_owned(), group.direct.clone().into());
            }
            if !parts.is_empty() {
                listing.insert(name.clone(), parts.into());
            }
        }
        listing.into()
    }

    /// Returns groups and hosts as a tree, in the form of `ansible-inventory --graph`.
    pub fn to_graph(&self) -> String {
        let mut text = String::new();
        self.draw(draft::ALL, 0, &mut text);
        text
    }

    fn draw(&self, name: &str, depth: usize, text: &mut String) {
        let branch =
            |depth: usize| if depth == 0 { String::new() } else { format!("{}|--", "  |".repeat(depth - 1) + "  ") };
        text.push_str(&format!("{}@{name}:\n", branch(depth)));
        let Some(group) = self.groups.get(name) else { return };
        for child in &group.children {
            self.draw(child, depth + 1, text);
        }
        for host in group.direct.iter().filter(|_| name != draft::ALL) {
            text.push_str(&format!("{}{host}\n", branch(depth + 1)));
        }
    }
}
