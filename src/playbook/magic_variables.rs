//! Magic variables, which Ansible always defines: those of the whole inventory and those of one host.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::play::Play;
use super::play::Role;
use super::template;
use crate::inventory::Group;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;

/// The version of ansible-core whose rules hold.
const ANSIBLE: [u64; 3] = [2, 19, 0];

/// Returns the variables that are the same for every host.
pub fn of_all(inventory: &Inventory) -> Vars {
    let [major, minor, revision] = ANSIBLE;
    let version = format!("{major}.{minor}.{revision}");
    let mut vars = Vars::from_iter([(
        "ansible_version".to_owned(),
        json!({"full": version, "major": major, "minor": minor, "revision": revision, "string": version}),
    )]);
    let text = |path: &Path| Value::from(path.display().to_string());
    vars.insert("ansible_inventory_sources".to_owned(), inventory.sources.iter().map(|path| text(path)).collect());
    if let Some(source) = inventory.sources.first() {
        let is_folder = source.is_dir();
        let folder = source.parent().filter(|_| !is_folder).unwrap_or(source);
        vars.insert("inventory_dir".to_owned(), text(folder));
        if !is_folder {
            vars.insert("inventory_file".to_owned(), text(source));
        }
    }
    vars.extend(names(inventory));
    vars
}

/// Returns the groups of all hosts, and the variables that have one value.
fn names(inventory: &Inventory) -> Vars {
    let hosts = |group: &Group| group.hosts.iter().cloned().collect::<Value>();
    let groups: Vars = inventory.groups.iter().map(|(name, group)| (name.clone(), hosts(group))).collect();
    Vars::from_iter([
        ("groups".to_owned(), groups.into()),
        ("omit".to_owned(), template::omit()),
        ("ansible_managed".to_owned(), "Managed by muster".into()),
    ])
}

/// Returns the variables of a play: its name, and the roles that it names.
pub fn of_play(play: &Play, name: &str) -> Vars {
    let names = |roles: &[String]| roles.iter().cloned().collect::<Value>();
    let mut all = play.roles.dependencies.clone();
    all.extend(play.roles.listed.iter().filter(|name| !play.roles.dependencies.contains(name)).cloned());
    let vars = [
        ("ansible_play_name", name.into()),
        ("playbook_dir", play.folder().display().to_string().into()),
        ("ansible_role_names", names(&all)),
        ("ansible_play_role_names", names(&play.roles.listed)),
        ("role_names", names(&play.roles.listed)),
        ("ansible_dependent_role_names", names(&play.roles.dependencies)),
    ];
    vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the variables that say which hosts take part in a play: `all` of them, those of the batch, and those that
/// still do.
pub fn of_hosts(all: &[String], batch: &[String], is_out: impl Fn(&str) -> bool) -> Vars {
    let remaining = |hosts: &[String]| hosts.iter().filter(|host| !is_out(host)).cloned().collect::<Value>();
    let vars = [
        ("ansible_play_hosts_all", all.iter().cloned().collect()),
        ("ansible_play_hosts", remaining(all)),
        ("ansible_play_batch", remaining(batch)),
        ("play_hosts", remaining(batch)),
    ];
    vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the variables about the machine on which muster runs: the file of Ansible's configuration, and the Python that
/// plays give to modules of this machine. muster itself needs no Python.
pub fn of_controller(config_file: Option<&Path>, environment: &BTreeMap<String, String>) -> Vars {
    let folders = environment.get("PATH").map(String::as_str).unwrap_or_default().split(':').map(Path::new);
    let python = folders.map(|folder| folder.join("python3")).find(|path| path.is_absolute() && path.is_file());
    let python = python.unwrap_or_else(|| PathBuf::from("/usr/bin/python3"));
    let config_file = config_file.map_or(Value::Null, |path| path.display().to_string().into());
    Vars::from_iter([
        ("ansible_config_file".to_owned(), config_file),
        ("ansible_playbook_python".to_owned(), python.display().to_string().into()),
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
    let mut vars: Vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    if !role.parents.is_empty() {
        vars.insert("ansible_parent_role_names".to_owned(), role.parents.iter().cloned().collect());
    }
    vars
}
