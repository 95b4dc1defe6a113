//! Removing a lab: all that it has made, found by its name, and nothing that is somebody else's.

use std::path::Path;

use super::access;
use super::cgroup::Cgroup;
use super::disk;
use super::error;
use super::error::LabError;
use super::network::Network;
use super::record;
use super::record::Lock;
use super::record::Record;

/// What there was to destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// A lab.
    Lab,
    /// What a lab had made outside of its directory. The files there stay: no record says that they are the lab's.
    Remains,
    /// Nothing that is known for a lab's.
    Nothing,
}

/// Removes what a lab in this directory has made: everything that has its name, and the files, if there is a record or
/// what is left of one says that they are its own. One thing that cannot be removed is no reason to leave the others.
pub(super) fn remove(dir: &Path, lock: &Lock) -> Result<Destroyed, LabError> {
    let id = record::id(dir);
    let network = Network::of_lab(&id);
    let cgroup = Cgroup::of_lab(&id);
    let remains = cgroup.as_ref().is_ok_and(Cgroup::exists)
        || network.exists().unwrap_or(false)
        || disk::is_mounted(dir).unwrap_or(false);
    // A record that cannot be read may be anything, unless it has the lab's name or there is a lab to go with it.
    let known = match Record::read(dir) {
        Ok(record) => record.is_some(),
        Err(_) => remains || record::names(dir, &id),
    };
    let outside = [
        ("its control groups", cgroup.and_then(|cgroup| error::first([cgroup.kill(), cgroup.remove()]))),
        ("its network", network.remove()),
        ("its disks", disk::unmount(dir)),
    ];
    let files: Vec<&str> = if known { access::FILES.into_iter().chain([disk::DISKS]).collect() } else { Vec::new() };
    let files = record::remove_files(dir, &files);
    LabError::left(outside.into_iter().chain([("its files", files)]))?;
    if known {
        record::remove(dir)?;
    } else {
        lock.discard();
    }
    record::remove_empty(dir)?;
    Ok(match (known, remains) {
        (true, _) => Destroyed::Lab,
        (false, true) => Destroyed::Remains,
        (false, false) => Destroyed::Nothing,
    })
}
