//! In which order units are placed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::RequirementsIndex;
use crate::core::unit::UnitName;

/// Sorts units by name, except that those a unit is to be with (`MachineOf=`) come before it, so that one reconciler places
/// both. Units that follow each other in a circle come last: none of them can be first.
pub fn dependencies_first<'u>(
    units: impl IntoIterator<Item = &'u UnitName>,
    requirements: &RequirementsIndex,
) -> Vec<&'u UnitName> {
    let mut units: Vec<&UnitName> = units.into_iter().collect();
    units.sort_unstable();
    units.dedup();
    let mut followers = BTreeMap::<&UnitName, Vec<&UnitName>>::new();
    let mut awaited = BTreeMap::<&UnitName, usize>::new();
    for unit in &units {
        let peers = requirements.get(unit).into_iter().flat_map(|ask| &ask.machine_of);
        for peer in peers.filter(|peer| units.binary_search(peer).is_ok()) {
            followers.entry(peer).or_default().push(unit);
            *awaited.entry(unit).or_default() += 1;
        }
    }
    if awaited.is_empty() {
        return units;
    }
    let mut ready: BTreeSet<&UnitName> = units.iter().copied().filter(|unit| !awaited.contains_key(unit)).collect();
    let mut ordered = Vec::with_capacity(units.len());
    while let Some(unit) = ready.pop_first() {
        ordered.push(unit);
        for follower in followers.get(unit).into_iter().flatten() {
            if let Some(count) = awaited.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    awaited.remove(follower);
                    ready.insert(follower);
                }
            }
        }
    }
    ordered.extend(awaited.into_keys());
    ordered
}
