//! Versions of units: a command keeps the file that it replaces, and `muster revert` goes back to it. The image of a container
//! goes back too, by the digest with which the container ran.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::stream;

use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::model::Snapshot;
use crate::core::model::Unit;
use crate::core::model::UnitVersion;
use crate::core::unit::UnitName;
use crate::core::unit::image_of;
use crate::core::unit::pinned;
use crate::runner::ClusterContext;
use crate::store::COMMIT_LIMIT;
use crate::store::Listing;
use crate::store::StoreError;
use crate::store::layout;

/// Of how many units the versions are read at once.
const AT_ONCE: usize = 16;

/// Why a unit cannot go back. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVersion {
    /// No file of the unit was replaced.
    #[error("Unit {0}: no earlier file is known")]
    None(UnitName),
    /// No earlier file has a hash that begins like this.
    #[error("Unit {unit}: no earlier file has a hash that begins with {hash:?}")]
    Unknown {
        /// The unit.
        unit: UnitName,
        /// The beginning of a hash.
        hash: String,
    },
    /// Several earlier files have a hash that begins like this.
    #[error("Unit {unit}: several earlier files have a hash that begins with {hash:?}: write more of it")]
    Ambiguous {
        /// The unit.
        unit: UnitName,
        /// The beginning of a hash.
        hash: String,
    },
}

/// Keeps the files of units that a command is about to replace.
pub(super) async fn keep(
    context: &ClusterContext,
    snapshot: &Snapshot,
    replaced: impl Iterator<Item = &UnitName>,
) -> Result<(), StoreError> {
    let kept = stream::iter(replaced.cloned().collect::<Vec<_>>()).map(|unit| keep_one(context, snapshot, unit));
    kept.buffer_unordered(AT_ONCE).try_collect().await
}

async fn keep_one(context: &ClusterContext, snapshot: &Snapshot, unit: UnitName) -> Result<(), StoreError> {
    let Some(file) = snapshot.file(&unit) else { return Ok(()) };
    let content = |hash| Some((hash, Arc::clone(snapshot.contents.get(&hash)?)));
    let version = UnitVersion {
        file: Arc::clone(file),
        contents: file.companions().filter_map(|companion| content(companion.hash)).collect(),
        replaced_at: context.clock.now(),
        replaced_by: context.operator.clone(),
        image: None,
    };
    let Some(put) = layout::put_version(&context.keys, &unit, &version) else { return Ok(()) };
    let listing = context.store.list(&context.keys.versions(&unit)).await?;
    let surplus = layout::surplus_versions(&context.keys, &listing, Some(file.hash()));
    let changes = std::iter::once(put).chain(surplus.into_iter().take(COMMIT_LIMIT - 1));
    context.store.commit(Vec::new(), changes.collect()).await.map(|_| ())
}

/// Forgets the versions of units that were destroyed.
pub(super) async fn forget(context: &ClusterContext, units: impl Iterator<Item = &UnitName>) -> Result<(), StoreError> {
    let prefixes: Vec<String> = units.map(|unit| context.keys.versions(unit)).collect();
    let listings = stream::iter(prefixes).map(|prefix| list(context, prefix)).buffer_unordered(AT_ONCE);
    let listings: Vec<Listing> = listings.try_collect().await?;
    let all = listings.iter().flat_map(|listing| layout::surplus_versions(&context.keys, listing, None));
    for portion in all.collect::<Vec<_>>().chunks(COMMIT_LIMIT) {
        context.store.commit(Vec::new(), portion.to_vec()).await?;
    }
    Ok(())
}

async fn list(context: &ClusterContext, prefix: String) -> Result<Listing, StoreError> {
    context.store.list(&prefix).await
}

/// Returns the earlier files of a unit, the one that was replaced last first.
pub async fn read(
    context: &ClusterContext,
    snapshot: &Snapshot,
    unit: &UnitName,
) -> Result<Vec<UnitVersion>, StoreError> {
    let mut versions = layout::read_versions(&*context.store, &context.keys, unit).await?;
    let present = snapshot.units.get(unit).map(|unit| unit.hash);
    versions.retain(|version| Some(version.file.hash()) != present);
    Ok(versions)
}

/// Returns the earlier file with a hash that begins like this, or the one that was replaced last.
pub fn find<'v>(
    unit: &UnitName,
    versions: &'v [UnitVersion],
    hash: Option<&str>,
) -> Result<&'v UnitVersion, NoVersion> {
    let Some(hash) = hash else { return versions.first().ok_or_else(|| NoVersion::None(unit.clone())) };
    let begins = |version: &&UnitVersion| version.file.hash().to_string().starts_with(hash);
    let mut found = versions.iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(version), None) => Ok(version),
        (None, _) => Err(NoVersion::Unknown { unit: unit.clone(), hash: hash.to_owned() }),
        (Some(_), Some(_)) => Err(NoVersion::Ambiguous { unit: unit.clone(), hash: hash.to_owned() }),
    }
}

/// Returns the command that gives a unit an earlier file. A container gets the image with which it ran, by its digest.
pub fn revert(unit: &UnitName, known: Unit, version: &UnitVersion) -> UnitCommand {
    let image = version.image.as_ref().and_then(|digest| pinned(unit, &version.file, digest));
    let file = LocalFile {
        file: image.map_or_else(|| Arc::clone(&version.file), Arc::new),
        path: format!("with the hash {}", version.file.hash()),
        template: false,
        contents: version.contents.clone(),
    };
    UnitCommand::replacing(unit.clone(), known, file)
}

/// Returns the image of an earlier file of a container if it is not known which image its tag named then.
pub fn doubtful_image<'v>(unit: &UnitName, version: &'v UnitVersion) -> Option<&'v str> {
    image_of(unit, &version.file).filter(|image| version.image.is_none() && !image.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::DesiredState;
    use crate::core::model::Timestamp;
    use crate::core::model::Verb;
    use crate::core::unit::Contents;
    use crate::core::unit::ImageDigest;
    use crate::core::unit::UnitFile;

    fn version(text: &str, image: Option<ImageDigest>) -> UnitVersion {
        let file = Arc::new(UnitFile::parse(text).unwrap());
        let replaced_by = String::new();
        UnitVersion { file, contents: Contents::new(), replaced_at: Timestamp::from_millis(1), replaced_by, image }
    }

    fn text_of(command: UnitCommand) -> String {
        command.file.unwrap().file.text().to_owned()
    }

    #[test]
    fn a_container_goes_back_to_the_image_with_which_it_ran() {
        let web: UnitName = "web.container".parse().unwrap();
        let digest: ImageDigest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        let text = "[Container]\nImage=localhost/box:1\n";
        let known = version(text, Some(digest.clone()));
        for (desired, verb) in [
            (DesiredState::Launched, Verb::Start),
            (DesiredState::Loaded, Verb::Load),
            (DesiredState::Inactive, Verb::Submit),
        ] {
            let command = revert(&web, Unit::new(known.file.hash(), desired), &known);
            assert_eq!((command.verb, command.replace), (verb, true));
            assert_eq!(text_of(command), format!("[Container]\nImage=localhost/box@{digest}\n"));
        }
        assert_eq!(doubtful_image(&web, &known), None);
        let unknown = version(text, None);
        let present = Unit::new(unknown.file.hash(), DesiredState::Launched);
        assert_eq!(text_of(revert(&web, present, &unknown)), text);
        assert_eq!(doubtful_image(&web, &unknown), Some("localhost/box:1"));
        assert_eq!(doubtful_image(&"web.service".parse().unwrap(), &unknown), None);
    }

    #[test]
    fn a_version_is_found_by_the_beginning_of_its_hash() {
        let web: UnitName = "web.service".parse().unwrap();
        let versions: Vec<UnitVersion> =
            (0..40).map(|number| version(&format!("[Service]\nA={number}\n"), None)).collect();
        let hash = versions[7].file.hash().to_string();
        assert_eq!(find(&web, &versions, None), Ok(&versions[0]));
        assert_eq!(find(&web, &versions, Some(&hash)), Ok(&versions[7]));
        let error = |hash: &str| find(&web, &versions, Some(hash)).unwrap_err().to_string();
        assert_eq!(error("zz"), "Unit web.service: no earlier file has a hash that begins with \"zz\"");
        assert!(error("").starts_with("Unit web.service: several earlier files"));
        assert_eq!(find(&web, &[], None).unwrap_err().to_string(), "Unit web.service: no earlier file is known");
    }
}
