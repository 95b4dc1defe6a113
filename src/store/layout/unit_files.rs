//! Unit files: stored under their hash, shared by units, and removed when no unit refers to them.
//!
//! A commit that submits a unit always sets the unit's file too, even if the file is in the store. This makes the removal
//! safe: a file that was set since it was listed has a higher revision, and the precondition of its removal fails.

use std::collections::BTreeSet;

use super::Key;
use super::Keyspace;
use super::decode;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::store::Listing;
use crate::store::Op;
use crate::store::Precondition;

/// Returns the operations that submit a unit: its file and its record. They belong in one commit.
pub fn submit(keyspace: &Keyspace, name: &UnitName, unit: &Unit, file: &UnitFile) -> Vec<Op> {
    let text = Op::put(keyspace.key(&Key::File(file.hash())), file.text());
    vec![text, keyspace.put(&Key::Unit(name.clone()), unit)]
}

/// Returns, for each listed file that no listed unit refers to, the precondition and the operation that remove it.
///
/// Returns nothing if the record of a unit cannot be parsed: it may refer to any file.
pub fn orphans(keyspace: &Keyspace, listing: &Listing) -> Vec<(Precondition, Op)> {
    let mut referenced = BTreeSet::new();
    let mut files = Vec::new();
    for entry in &listing.entries {
        match keyspace.parse(&entry.key) {
            Ok(Some(Key::Unit(_))) => match decode::<Unit>(&entry.value) {
                Ok(unit) => drop(referenced.insert(unit.hash)),
                Err(_) => return Vec::new(),
            },
            Ok(Some(Key::File(hash))) => files.push((hash, entry)),
            Err(_) if entry.key.contains("/units/") => return Vec::new(),
            Ok(_) | Err(_) => {}
        }
    }
    let orphaned = files.into_iter().filter(|(hash, _)| !referenced.contains(hash));
    orphaned
        .map(|(_, entry)| (Precondition::Modified(entry.key.clone(), entry.modified), Op::Delete(entry.key.clone())))
        .collect()
}
