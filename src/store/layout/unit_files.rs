//! Unit files: stored under their hash, shared by units, and removed when no unit refers to them.
//!
//! A commit that submits a unit always sets the unit's file too, even if the file is in the store. This makes the removal
//! safe: a file that was set since it was listed has a higher revision, and the precondition of its removal fails.

use std::collections::BTreeSet;

use super::Key;
use super::Keyspace;
use super::decode;
use crate::core::model::Unit;
use crate::core::unit::Contents;
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

/// Returns the operations that store the contents of the files that go with a unit. They belong in the commit that submits it.
pub fn put_contents<'a>(
    keyspace: &'a Keyspace,
    file: &'a UnitFile,
    contents: &'a Contents,
) -> impl Iterator<Item = Op> + 'a {
    let named = file.companions().filter_map(|companion| Some((companion.hash, contents.get(&companion.hash)?)));
    named.map(|(hash, content)| Op::put(keyspace.key(&Key::Content(hash)), content.to_vec()))
}

/// Returns, for each listed file and content that no listed unit refers to, the precondition and the operation that remove
/// it.
///
/// Returns nothing if the record of a unit or a file of one cannot be parsed: it may refer to any.
pub fn orphans(keyspace: &Keyspace, listing: &Listing) -> Vec<(Precondition, Op)> {
    let (mut referenced, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let (mut files, mut contents) = (Vec::new(), Vec::new());
    for entry in &listing.entries {
        match keyspace.parse(&entry.key) {
            Ok(Some(Key::Unit(_))) => match decode::<Unit>(&entry.value) {
                Ok(unit) => drop(referenced.insert(unit.hash)),
                Err(_) => return Vec::new(),
            },
            Ok(Some(Key::File(hash))) => files.push((hash, entry)),
            Ok(Some(Key::Content(hash))) => contents.push((hash, entry)),
            Err(_) if entry.key.contains("/units/") => return Vec::new(),
            Ok(_) | Err(_) => {}
        }
    }
    for (_, entry) in files.iter().filter(|(hash, _)| referenced.contains(hash) && !contents.is_empty()) {
        let file = std::str::from_utf8(&entry.value).ok().and_then(|text| UnitFile::parse(text).ok());
        let Some(file) = file else { return Vec::new() };
        needed.extend(file.companions().map(|companion| companion.hash));
    }
    let files = files.into_iter().filter(|(hash, _)| !referenced.contains(hash));
    let contents = contents.into_iter().filter(|(hash, _)| !needed.contains(hash));
    let orphaned = files.chain(contents);
    orphaned
        .map(|(_, entry)| (Precondition::Modified(entry.key.clone(), entry.modified), Op::Delete(entry.key.clone())))
        .collect()
}
