//! The difference between an application in its folder and in the cluster, as unified diffs of unit files and of the files
//! that go with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Application;
use super::UnitChange;
use crate::core::model::Snapshot;
use crate::core::sanitize;
use crate::core::unit::Contents;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::difference::unified;

/// The name of a side that has no file.
const NONE: &str = "/dev/null";

/// Returns the difference of an application, empty if there is none.
pub fn differences(snapshot: &Snapshot, application: &Application, changes: &BTreeMap<UnitName, UnitChange>) -> String {
    let is_different = |(_, change): &(&UnitName, &UnitChange)| **change != UnitChange::Same;
    changes.iter().filter(is_different).map(|(unit, _)| of_unit(snapshot, application, unit)).collect()
}

fn of_unit(snapshot: &Snapshot, application: &Application, unit: &UnitName) -> String {
    let there = snapshot.file(unit).map(Arc::as_ref);
    let here = application.units.get(unit);
    let own = here.map(|unit| unit.file.as_ref());
    let none = Contents::new();
    let contents = here.map_or(&none, |unit| &unit.contents);
    let (old, new) = (there.map(UnitFile::text), own.map(UnitFile::text));
    let mut text = difference(unit.as_str(), old, new);
    let (before, after) = (companions(there, &snapshot.contents), companions(own, contents));
    let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    for path in paths {
        let (old, new) = (before.get(path).copied(), after.get(path).copied());
        let name = format!("{unit}: {path}");
        match (readable(old), readable(new)) {
            _ if old == new => {}
            (Ok(old), Ok(new)) => text.push_str(&difference(&name, old, new)),
            _ => text.push_str(&format!("Binary files {name} differ\n")),
        }
    }
    sanitize::text(&text)
}

/// Returns the contents of the files that go with a unit, by their paths.
fn companions<'a>(file: Option<&UnitFile>, contents: &'a Contents) -> BTreeMap<String, &'a [u8]> {
    let named = file.into_iter().flat_map(UnitFile::companions);
    named.filter_map(|it| Some((it.path, &**contents.get(&it.hash)?))).collect()
}

fn readable(content: Option<&[u8]>) -> Result<Option<&str>, std::str::Utf8Error> {
    content.map(std::str::from_utf8).transpose()
}

fn difference(name: &str, old: Option<&str>, new: Option<&str>) -> String {
    let side = |text: Option<&str>, place: &str| text.map_or_else(|| NONE.to_owned(), |_| format!("{name} ({place})"));
    let headings = (side(old, "cluster"), side(new, "folder"));
    unified(old.unwrap_or_default(), new.unwrap_or_default(), (&headings.0, &headings.1)).unwrap_or_default()
}
