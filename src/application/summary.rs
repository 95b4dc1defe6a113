//! What `muster apply` does with the units of an application, as text.

use std::collections::BTreeMap;

use super::UnitChange;
use crate::core::unit::UnitName;

impl UnitChange {
    /// Every change.
    pub const ALL: [Self; 5] = [Self::New, Self::Changed, Self::Start, Self::Same, Self::Removed];

    /// Returns the word for the change. Without `prune`, units that a folder no longer has are left alone.
    pub const fn word(self, prune: bool) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Start => "to start",
            Self::Same => "unchanged",
            Self::Removed if prune => "destroyed",
            Self::Removed => "not in the folder",
        }
    }

    /// Reports whether `muster apply` does something about it.
    pub const fn is_pending(self, prune: bool) -> bool {
        match self {
            Self::New | Self::Changed | Self::Start => true,
            Self::Same => false,
            Self::Removed => prune,
        }
    }
}

/// Sums up what was done to an application. `option` is how the operator says that units are to be destroyed.
pub fn summary(name: &str, units: &BTreeMap<UnitName, UnitChange>, is_pruned: bool, option: &str) -> String {
    if units.is_empty() {
        return format!("Application {name}: no units");
    }
    let parts = UnitChange::ALL.into_iter().filter_map(|kind| {
        let count = units.values().filter(|change| **change == kind).count();
        let word = if kind == UnitChange::Start { "started" } else { kind.word(is_pruned) };
        (count > 0).then(|| format!("{count} {word}"))
    });
    let left = units.iter().filter(|(_, change)| **change == UnitChange::Removed && !is_pruned);
    let left: Vec<&str> = left.map(|(unit, _)| unit.as_str()).collect();
    let hint = if left.is_empty() { String::new() } else { format!(" ({option} destroys {})", left.join(", ")) };
    format!("Application {name}: {}{hint}", parts.collect::<Vec<_>>().join(", "))
}
