//! The list of the files that a unit has and had.

use std::time::Duration;

use serde::Serialize;

use super::Column;
use super::Row;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::UnitVersion;
use crate::core::unit::Hash;
use crate::core::unit::ImageDigest;
use crate::core::unit::UnitName;
use crate::core::unit::image_of;

/// A file of a unit in `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionRow {
    unit: UnitName,
    hash: Hash,
    /// When it was replaced; none for the present file.
    replaced_at: Option<Timestamp>,
    /// How long ago that was, in seconds.
    age: Option<u64>,
    replaced_by: Option<String>,
    /// The image that the file names, if it is that of a container.
    image: Option<String>,
    /// The digest of the image with which it ran last, if a host has said so.
    digest: Option<ImageDigest>,
}

impl Row for VersionRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "unit", cell: |row, _| Some(row.unit.to_string()) },
        Column { name: "hash", cell: |row, full| Some(if full { row.hash.to_string() } else { row.hash.short() }) },
        Column {
            name: "replaced",
            cell: |row, _| Some(row.age.map_or("present".to_owned(), |age| crate::ui::ago(Duration::from_secs(age)))),
        },
        Column { name: "by", cell: |row, _| row.replaced_by.clone() },
        Column { name: "image", cell: |row, _| row.image.clone() },
        Column {
            name: "digest",
            cell: |row, full| {
                let digest = row.digest.as_ref()?;
                Some(if full { digest.to_string() } else { digest.short().to_owned() })
            },
        },
    ];
    const USUAL: &'static str = "hash,replaced,by,image,digest";
    const FLEET: &'static str = Self::USUAL;
}

/// Returns the present file of a unit and those before it, the newest first.
pub fn versions(snapshot: &Snapshot, unit: &UnitName, versions: &[UnitVersion], now: Timestamp) -> Vec<VersionRow> {
    let present = snapshot.file(unit).map(|file| VersionRow {
        unit: unit.clone(),
        hash: file.hash(),
        replaced_at: None,
        age: None,
        replaced_by: None,
        image: image_of(unit, file).map(str::to_owned),
        digest: None,
    });
    let earlier = versions.iter().map(|version| VersionRow {
        unit: unit.clone(),
        hash: version.file.hash(),
        replaced_at: Some(version.replaced_at),
        age: Some(now.since(version.replaced_at).as_secs()),
        replaced_by: Some(version.replaced_by.clone()),
        image: image_of(unit, &version.file).map(str::to_owned),
        digest: version.image.clone(),
    });
    present.into_iter().chain(earlier).collect()
}
