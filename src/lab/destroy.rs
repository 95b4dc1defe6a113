//! Removes a lab: all that it created, found by its name. It must not remove the files of another program.

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

/// What [`super::Lab::destroy`] found and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// A lab.
    Lab,
    /// The parts of a lab outside of its directory. The files in the directory stay, because no record says that they are
    /// the lab's.
    Remains,
    /// Nothing of a lab.
    Nothing,
}

/// Removes all that a lab in this directory created: everything with its name, and the files if the record, or the remains
/// of the record, says that they are the lab's. It tries all parts even if one cannot be removed.
pub(super) fn remove(dir: &Path, lock: &Lock) -> Result<Destroyed, LabError> {
    let id = record::id(dir);
    let network = Network::of_lab(&id);
    let cgroup = Cgroup::of_lab(&id);
    let remains = cgroup.as_ref().is_ok_and(Cgroup::exists)
        || network.exists().unwrap_or(false)
        || disk::is_mounted(dir).unwrap_or(false);
    // An unreadable record counts only if it has the lab's name in it or parts of the lab exist.
    let is_lab = match Record::read(dir) {
        Ok(record) => record.is_some(),
        Err(_) => remains || record::mentions(dir, &id),
    };
    let outside = [
        ("its control groups", cgroup.and_then(|cgroup| error::first([cgroup.kill(), cgroup.remove()]))),
        ("its network", network.remove()),
        ("its disks", disk::unmount(dir)),
    ];
    let files: Vec<&str> = if is_lab { access::FILES.into_iter().chain([disk::DISKS]).collect() } else { Vec::new() };
    let files = record::remove_files(dir, &files);
    LabError::left(outside.into_iter().chain([("its files", files)]))?;
    if is_lab {
        record::remove(dir)?;
    } else {
        lock.discard();
    }
    record::remove_empty(dir)?;
    Ok(match (is_lab, remains) {
        (true, _) => Destroyed::Lab,
        (false, true) => Destroyed::Remains,
        (false, false) => Destroyed::Nothing,
    })
}
