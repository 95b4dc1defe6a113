//! The files that point ssh and muster at the lab.

use std::fs;
use std::path::Path;

use super::error::LabError;
use super::etcd;
use super::record::Host;
use super::record::Record;

/// The private key that all users of all hosts accept. The public key is beside it.
pub(super) const KEY: &str = "key";
/// The ssh_config(5) for the hosts.
pub(super) const SSH_CONFIG: &str = "ssh_config";
/// The inventory of the hosts.
pub(super) const INVENTORY: &str = "inventory.yaml";
/// The settings for muster: store, token, inventory and ssh_config.
pub(super) const CONFIG: &str = "muster.toml";
const KNOWN_HOSTS: &str = "known_hosts";

/// All files in a lab's directory besides its record.
pub(super) const FILES: [&str; 9] =
    [KEY, "key.pub", SSH_CONFIG, KNOWN_HOSTS, INVENTORY, CONFIG, "muster.db", "muster.db-wal", "muster.db-shm"];

/// Writes the files. `host_keys` are the hosts' public keys, in the order of the hosts.
pub(super) fn write(dir: &Path, record: &Record, host_keys: &[String]) -> Result<(), LabError> {
    put(dir, KNOWN_HOSTS, &known_hosts(record, host_keys))?;
    put(dir, SSH_CONFIG, &ssh_config(dir, record))?;
    put(dir, INVENTORY, &inventory(record))?;
    put(dir, CONFIG, &config(dir, record))
}

fn put(dir: &Path, name: &str, text: &str) -> Result<(), LabError> {
    let path = dir.join(name);
    fs::write(&path, text).map_err(LabError::file(&path))
}

fn known_hosts(record: &Record, host_keys: &[String]) -> String {
    let lines = record.hosts.iter().zip(host_keys);
    lines.map(|(host, key)| format!("{},{} {}\n", host.name, host.address, key.trim())).collect()
}

fn ssh_config(dir: &Path, record: &Record) -> String {
    let names: String = record.hosts.iter().map(|host| format!(" {} {}", host.name, host.address)).collect();
    let hosts = record.hosts.iter().map(|host| format!("\nHost {}\n    HostName {}\n", host.name, host.address));
    let dir = dir.display();
    format!(
        "Host{names}\n    User root\n    IdentityFile {dir}/{KEY}\n    IdentitiesOnly yes\n    \
         UserKnownHostsFile {dir}/{KNOWN_HOSTS}\n    GlobalKnownHostsFile /dev/null\n    \
         StrictHostKeyChecking yes\n{}",
        hosts.collect::<String>()
    )
}

fn inventory(record: &Record) -> String {
    let lines = |host: &Host| {
        format!("    {}:\n      ansible_host: {}\n      lab_release: {}\n", host.name, host.address, host.release)
    };
    let hosts: String = record.hosts.iter().map(lines).collect();
    format!("core:\n  hosts:\n{hosts}  vars:\n    ansible_user: root\n")
}

fn config(dir: &Path, record: &Record) -> String {
    let token = record.etcd.as_ref().map(|token| format!("token = \"{token}\"\n")).unwrap_or_default();
    let store = store(dir, record);
    format!("store = \"{store}\"\n{token}inventory = [\"{INVENTORY}\"]\nssh-config = \"{SSH_CONFIG}\"\n")
}

/// Returns the location of the store of the lab's cluster.
pub(super) fn store(dir: &Path, record: &Record) -> String {
    if record.etcd.is_none() {
        return format!("sqlite:{}/muster.db", dir.display());
    }
    let members = record.hosts.iter().filter(|host| host.etcd);
    let members: Vec<String> = members.map(|host| format!("{}:{}", host.address, etcd::CLIENT_PORT)).collect();
    format!("etcd://{}", members.join(","))
}
