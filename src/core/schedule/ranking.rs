//! The order in which units are scheduled.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::RequirementsIndex;
use crate::core::unit::UnitName;

/// Sorts units by name, but the peers of a unit (`MachineOf=`) before it, so that one round places both. Units that
/// depend on each other in a circle come last.
pub fn dependencies_first<'u>(
    units: impl IntoIterator<Item = &'u UnitName>,
    requirements: &RequirementsIndex,
) -> Vec<&'u UnitName> {
    let mut units: Vec<&UnitName> = units.into_iter().collect();
    units.sort_unstable();
    units.dedup();
    let mut dependents = BTreeMap::<&UnitName, Vec<&UnitName>>::new();
    let mut pending = BTreeMap::<&UnitName, usize>::new();
    for unit in &units {
        let peers = requirements.get(unit).into_iter().flat_map(|requirements| &requirements.machine_of);
        for peer in peers.filter(|peer| units.binary_search(peer).is_ok()) {
            dependents.entry(peer).or_default().push(unit);
            *pending.entry(unit).or_default() += 1;
        }
    }
    if pending.is_empty() {
        return units;
    }
    let mut ready: BTreeSet<&UnitName> = units.iter().copied().filter(|unit| !pending.contains_key(unit)).collect();
    let mut ordered = Vec::with_capacity(units.len());
    while let Some(unit) = ready.pop_first() {
        ordered.push(unit);
        for dependent in dependents.get(unit).into_iter().flatten() {
            if let Some(count) = pending.get_mut(dependent) {
                *count -= 1;
                if *count == 0 {
                    pending.remove(dependent);
                    ready.insert(dependent);
                }
            }
        }
    }
    ordered.extend(pending.into_keys());
    ordered
}
