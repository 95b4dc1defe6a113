//! Facts about hosts, as Ansible gathers them: a script prints what the host is in one round trip, and this module makes
//! Ansible's facts of its text. The host needs no Python.
//!
//! Hosts are not trusted: a text is read within limits, and none makes a variable that decides how hosts are reached.

mod address;
mod date_time;
mod distribution;
mod dns;
mod hardware;
mod host_text;
mod local;
mod mounts;
mod network;
mod os_family;
mod os_release;
mod packages;
mod platform;
mod processor;
mod query;
mod services;
mod software;
mod subsets;
#[cfg(test)]
mod tests;
mod virtualization;

use serde_json::Value;

pub use host_text::HostText;
pub use packages::parse_packages;
pub use query::Query;
pub use services::parse_services;
pub use subsets::Subsets;

use crate::inventory::Vars;

/// Returns these subsets of the facts of a host by their names without `ansible_`.
pub fn parse(text: &HostText<'_>, subsets: &Subsets) -> Vars {
    subsets.facts(text)
}

/// Returns the name of the variable of a fact, if the fact may be one. An interface may have the name of a variable that
/// says how a host is reached, or of one that muster itself sets.
pub fn variable(fact: &str) -> Option<String> {
    let reserved = fact.ends_with("_interpreter") || RESERVED.contains(&fact);
    let prefixed =
        RESERVED_PREFIXES.iter().any(|prefix| fact.starts_with(prefix)) && !fact.starts_with("ssh_host_key_");
    (!reserved && !prefixed).then(|| format!("ansible_{fact}"))
}

/// Names of variables after `ansible_` that no fact may have.
const RESERVED: [&str; 28] = [
    "async_dir",
    "check_mode",
    "collection_name",
    "config_file",
    "connection",
    "delegated_vars",
    "diff_mode",
    "executable",
    "facts",
    "failed_result",
    "failed_task",
    "forks",
    "host",
    "index_var",
    "limit",
    "managed",
    "password",
    "pipelining",
    "port",
    "private_key_file",
    "remote_tmp",
    "run_tags",
    "search_path",
    "skip_tags",
    "timeout",
    "user",
    "verbosity",
    "version",
];

/// How the names of variables after `ansible_` begin that no fact may have.
const RESERVED_PREFIXES: [&str; 9] =
    ["become", "dependent_role", "inventory", "loop", "parent_role", "play", "role", "shell_", "ssh_"];

/// Returns the variables of facts: `ansible_facts`, and one for each fact.
pub fn variables(facts: Vars) -> Vars {
    let pairs = facts.iter().filter_map(|(name, value)| Some((variable(name)?, value.clone())));
    let mut all: Vars = pairs.collect();
    // Ansible keeps the name of the variable for this one.
    let name = |name: String| if name == "local" { "ansible_local".to_owned() } else { name };
    let facts: Vars = facts.into_iter().map(|(fact, value)| (name(fact), value)).collect();
    all.insert("ansible_facts".to_owned(), Value::Object(facts));
    all
}
