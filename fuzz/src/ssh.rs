//! The files of ssh(1).

use std::path::Path;

use muster::remote::known_hosts::HostName;
use muster::remote::known_hosts::KeyStatus;
use muster::remote::known_hosts::KnownHosts;
use muster::remote::known_hosts::record;
use muster::remote::ssh_config::Config;
use muster::remote::ssh_config::Query;
use russh::keys::PublicKey;

use super::in_file;

/// The key of a host.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOEm7ZWJSsmFwxJz1Gy58ZDlgqnkUVtKVRqKTkbxGoxG";

/// Resolves a configuration for a host. No line of it overrides what the query gives.
pub fn ssh_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    // A path could name any file of this computer.
    if text.contains("include") && text.contains(['/', '~', '$', '\\']) {
        return;
    }
    let config = in_file("config", data, |file| Config::load_only(file, None));
    let Ok(config) = config else { return };
    for host in ["core-01", "web.example.com", "::1"] {
        let query = Query { host, user: None, port: None, local_user: "root", options: &[] };
        if let Ok(config) = config.resolve(&query) {
            assert!(config.port != 0 && config.identity_files.len() <= 100, "{config:?}");
        }
        let options = ["HostName=pinned".to_owned()];
        let query = Query { user: Some("deploy"), port: Some(2222), options: &options, ..query };
        if let Ok(config) = config.resolve(&query) {
            assert_eq!((&*config.hostname, &*config.user, config.port), ("pinned", "deploy", 2222));
        }
    }
}

/// Records a key in a known_hosts file. After that the host's key is trusted, unless a line revokes it.
pub fn known_hosts(data: &[u8]) {
    let key = PublicKey::from_openssh(KEY).expect("a key");
    for (host, hashed) in [(HostName::new("core-01", 22), false), (HostName::new("10.0.0.1", 2222), true)] {
        let (before, after) = in_file("known_hosts", data, |file| {
            let before = read(file);
            record(file, &host, &key, hashed).expect("a record");
            (before, read(file))
        });
        match before.check(&host, &key) {
            KeyStatus::Revoked(place) => assert_eq!(after.check(&host, &key), KeyStatus::Revoked(place)),
            _ => assert!(matches!(after.check(&host, &key), KeyStatus::Trusted(_))),
        }
        assert!(after.algorithms(&host).contains(&key.algorithm()));
        assert_eq!(after.has_authority(&host), before.has_authority(&host));
    }
}

fn read(file: &Path) -> KnownHosts {
    KnownHosts::read([file]).expect("a file that can be read")
}
