//! Unit files: shared by hash, and collected when no unit names them.
//!
//! Whoever submits a unit sets its file in the same commit, even if the file is there already. That is what makes
//! collecting safe: a file that was set since it was seen unnamed has another revision, and the collector's check fails.

use std::collections::BTreeSet;

use super::Keys;
use super::Slot;
use super::decode;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::store::Change;
use crate::store::Check;
use crate::store::Listing;

/// Returns the changes that submit a unit: its file and its record. They belong in one commit.
pub fn submit(keys: &Keys, name: &UnitName, unit: &Unit, file: &UnitFile) -> Vec<Change> {
    let text = Change::put(keys.key(&Slot::File(file.hash())), file.text());
    vec![text, keys.put(&Slot::Unit(name.clone()), unit)]
}

/// Returns, for each listed file that no listed unit names, what removes it: a check and a change for one commit.
///
/// If a unit's record cannot be read, nobody knows which file it names, and nothing is returned.
pub fn orphans(keys: &Keys, listing: &Listing) -> Vec<(Check, Change)> {
    let mut named = BTreeSet::new();
    let mut files = Vec::new();
    for entry in &listing.entries {
        match keys.slot(&entry.key) {
            Ok(Some(Slot::Unit(_))) => match decode::<Unit>(&entry.value) {
                Ok(unit) => drop(named.insert(unit.hash)),
                Err(_) => return Vec::new(),
            },
            Ok(Some(Slot::File(hash))) => files.push((hash, entry)),
            Err(_) if entry.key.contains("/units/") => return Vec::new(),
            Ok(_) | Err(_) => {}
        }
    }
    let unnamed = files.into_iter().filter(|(hash, _)| !named.contains(hash));
    unnamed
        .map(|(_, entry)| (Check::Modified(entry.key.clone(), entry.modified), Change::Delete(entry.key.clone())))
        .collect()
}
