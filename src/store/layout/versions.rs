//! Versions: the files that units had before, with the contents of the files that went with them. A command stores the file that
//! it replaces; the leader stores with which image a container ran. Nothing that decides reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;

use super::Key;
use super::Keyspace;
use super::decode;
use super::encode;
use crate::core::model::Timestamp;
use crate::core::model::UnitVersion;
use crate::core::unit::Contents;
use crate::core::unit::Hash;
use crate::core::unit::ImageDigest;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::store::COMMIT_BYTES;
use crate::store::Listing;
use crate::store::Op;
use crate::store::Store;
use crate::store::StoreError;

/// How many versions of a unit are kept.
const KEPT: usize = 5;

/// How many bytes a version takes at most in the store. A longer one is not kept.
const LONGEST: usize = COMMIT_BYTES / 2;

/// A version as the store has it.
#[derive(Debug, Serialize, Deserialize)]
struct VersionRecord {
    replaced_at: Timestamp,
    replaced_by: String,
    text: String,
    /// The contents, in base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contents: Vec<String>,
}

/// Returns the operation that stores a version; `None` if it is too long.
pub fn put_version(keyspace: &Keyspace, name: &UnitName, version: &UnitVersion) -> Option<Op> {
    let record = VersionRecord {
        replaced_at: version.replaced_at,
        replaced_by: version.replaced_by.clone(),
        text: version.file.text().to_owned(),
        contents: version.contents.values().map(|content| BASE64.encode(content)).collect(),
    };
    let op = Op::put(keyspace.key(&Key::Version(name.clone(), version.file.hash())), encode(&record));
    Some(op).filter(|op| op.size() <= LONGEST)
}

/// Returns the versions of a unit, the one that was replaced last first. A record that cannot be read is left out.
pub async fn read_versions(
    store: &dyn Store,
    keyspace: &Keyspace,
    name: &UnitName,
) -> Result<Vec<UnitVersion>, StoreError> {
    Ok(versions(keyspace, &store.list(&keyspace.versions(name)).await?))
}

fn versions(keyspace: &Keyspace, listing: &Listing) -> Vec<UnitVersion> {
    let (mut versions, mut images) = (Vec::new(), BTreeMap::<Hash, ImageDigest>::new());
    for entry in &listing.entries {
        match keyspace.parse(&entry.key) {
            Ok(Some(Key::Version(_, hash))) => versions.extend(version(hash, &entry.value)),
            Ok(Some(Key::Image(_, hash))) => images.extend(decode(&entry.value).ok().map(|digest| (hash, digest))),
            _ => {}
        }
    }
    for version in &mut versions {
        version.image = images.get(&version.file.hash()).cloned();
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version.replaced_at));
    versions
}

fn version(hash: Hash, value: &[u8]) -> Option<UnitVersion> {
    let VersionRecord { replaced_at, replaced_by, text, contents } = decode(value).ok()?;
    let file = UnitFile::parse(&text).ok().filter(|file| file.hash() == hash)?;
    let contents = contents.iter().map(|content| {
        let content = BASE64.decode(content).ok()?;
        Some((Hash::of(&content), Arc::from(content)))
    });
    let contents = contents.collect::<Option<Contents>>()?;
    Some(UnitVersion { file: Arc::new(file), contents, replaced_at, replaced_by, image: None })
}

/// Returns the operations that remove all but the newest versions of a unit from what is listed of them. The file counts as one
/// of them. All are removed if the unit has no file any more.
pub fn surplus_versions(keyspace: &Keyspace, listing: &Listing, file: Option<Hash>) -> Vec<Op> {
    let kept = versions(keyspace, listing).into_iter().map(|version| version.file.hash());
    let kept: Vec<Hash> = file.into_iter().chain(kept.filter(|hash| Some(*hash) != file).take(KEPT - 1)).collect();
    let is_kept = |key: &str| match keyspace.parse(key) {
        Ok(Some(Key::Version(_, hash) | Key::Image(_, hash))) => file.is_some() && kept.contains(&hash),
        _ => false,
    };
    let keys = listing.entries.iter().map(|entry| &entry.key);
    keys.filter(|key| !is_kept(key)).map(|key| Op::Delete(key.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entry;

    fn keyspace() -> Keyspace {
        Keyspace::new("demo").unwrap()
    }

    fn web() -> UnitName {
        "web.container".parse().unwrap()
    }

    fn made(number: u64) -> UnitVersion {
        let content: Arc<[u8]> = Arc::from(number.to_be_bytes().as_slice());
        let hash = Hash::of(&content);
        let file = UnitFile::parse(&format!("[Container]\nImage=a:{number}\n[X-Muster]\nFile=env {hash}\n")).unwrap();
        let replaced_at = Timestamp::from_millis(number);
        let replaced_by = "alice@admin".to_owned();
        UnitVersion { file: Arc::new(file), contents: [(hash, content)].into(), replaced_at, replaced_by, image: None }
    }

    fn listed(ops: Vec<Op>) -> Listing {
        let entry = |op| match op {
            Op::Put { key, value, .. } => Entry { key, value, created: 1, modified: 1 },
            Op::Delete(key) => panic!("{key}"),
        };
        Listing { revision: 1, entries: ops.into_iter().map(entry).collect() }
    }

    #[test]
    fn a_version_is_read_as_it_was_stored_with_the_image_with_which_it_ran() {
        let (keyspace, digest) = (keyspace(), format!("sha256:{}", "1".repeat(64)).parse::<ImageDigest>().unwrap());
        let mut ops: Vec<Op> = (1..4).map(|number| put_version(&keyspace, &web(), &made(number)).unwrap()).collect();
        ops.push(keyspace.put(&Key::Image(web(), made(2).file.hash()), &digest));
        ops.push(Op::put(keyspace.key(&Key::Version(web(), Hash::of(b"other"))), *b"{"));
        let expected = [made(3), UnitVersion { image: Some(digest), ..made(2) }, made(1)];
        assert_eq!(versions(&keyspace, &listed(ops)), expected);
    }

    #[test]
    fn the_newest_versions_are_kept_and_none_of_a_unit_that_was_destroyed() {
        let keyspace = keyspace();
        let ops: Vec<Op> = (0..9).map(|number| put_version(&keyspace, &web(), &made(number)).unwrap()).collect();
        let all: Vec<String> = ops.iter().map(|op| op.key().to_owned()).collect();
        let listing = listed(ops);
        let removed = |file| {
            let ops = surplus_versions(&keyspace, &listing, file);
            ops.iter().map(|op| all.iter().position(|key| key == op.key()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(removed(Some(Hash::of(b"new"))), [0, 1, 2, 3, 4]);
        assert_eq!(removed(Some(made(0).file.hash())), [1, 2, 3, 4]);
        assert_eq!(removed(None), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn a_version_that_is_too_long_is_not_kept() {
        let content: Arc<[u8]> = vec![0; LONGEST].into();
        let version = UnitVersion { contents: [(Hash::of(&content), content)].into(), ..made(1) };
        assert!(put_version(&keyspace(), &web(), &version).is_none());
    }
}
