//! The index of conflicts: `Conflicts=` in both directions, and `Replaces=` against the units that it replaces.
//!
//! Patterns are few and names are many. The patterns are indexed by their literal prefix, and each has the machines with
//! its matches and its owners. A unit without a pattern that matches it costs nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::unit::Glob;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

/// Units by the index of their machine.
pub(super) type ByCandidate = BTreeMap<usize, BTreeSet<UnitName>>;

/// All patterns with their matches and owners.
#[derive(Debug)]
pub(super) struct AntiAffinityIndex<'a> {
    patterns: BTreeMap<&'a Glob, Pattern>,
    by_prefix: BTreeMap<String, Vec<&'a Glob>>,
    /// The lengths of the prefixes.
    lengths: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Pattern {
    /// The units whose names match.
    matches: ByCandidate,
    /// The units that have the pattern.
    owners: ByCandidate,
}

/// Units that conflict with one other unit.
#[derive(Debug)]
pub(super) struct ConflictingUnits<'b>(&'b ByCandidate);

impl ConflictingUnits<'_> {
    /// Returns the units on a machine, without the given unit itself.
    pub(super) fn on<'c>(&'c self, candidate: usize, unit: &'c UnitName) -> impl Iterator<Item = &'c UnitName> {
        self.0.get(&candidate).into_iter().flatten().filter(move |other| *other != unit)
    }
}

impl<'a> AntiAffinityIndex<'a> {
    /// Indexes all patterns of all requirements.
    pub(super) fn new(requirements: impl Iterator<Item = &'a Requirements>) -> Self {
        let mut patterns = BTreeMap::new();
        let mut by_prefix = BTreeMap::<String, Vec<&'a Glob>>::new();
        for glob in requirements.flat_map(|needs| needs.conflicts.iter().chain(&needs.replaces)) {
            patterns.entry(glob).or_insert_with(|| {
                by_prefix.entry(glob.prefix()).or_default().push(glob);
                Pattern::default()
            });
        }
        let lengths = by_prefix.keys().map(String::len).collect();
        Self { patterns, by_prefix, lengths }
    }

    /// Records that a unit is on a machine.
    pub(super) fn add(&mut self, unit: &UnitName, needs: Option<&Requirements>, candidate: usize) {
        for glob in self.matching(unit) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                pattern.matches.entry(candidate).or_default().insert(unit.clone());
            }
        }
        for glob in own(needs) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                pattern.owners.entry(candidate).or_default().insert(unit.clone());
            }
        }
    }

    /// Records that a unit is no longer on a machine.
    pub(super) fn remove(&mut self, unit: &UnitName, needs: Option<&Requirements>, candidate: usize) {
        for glob in self.matching(unit) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                forget(&mut pattern.matches, candidate, unit);
            }
        }
        for glob in own(needs) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                forget(&mut pattern.owners, candidate, unit);
            }
        }
    }

    /// Reports whether a unit may conflict with others.
    pub(super) fn may_conflict(&self, unit: &UnitName, needs: Option<&Requirements>) -> bool {
        own(needs).next().is_some() || !self.matching(unit).is_empty()
    }

    /// Returns the units that conflict with a unit.
    pub(super) fn conflicts_of(&self, unit: &UnitName, needs: &Requirements) -> Vec<ConflictingUnits<'_>> {
        let against = needs.conflicts.iter().filter_map(|glob| Some(&self.patterns.get(glob)?.matches));
        let from = self.matching(unit).into_iter().filter_map(|glob| Some(&self.patterns.get(glob)?.owners));
        against.chain(from).filter(|units| !units.is_empty()).map(ConflictingUnits).collect()
    }

    /// Returns the units whose names these patterns match, by machine.
    pub(super) fn matched_by(&self, globs: &[Glob]) -> BTreeMap<usize, BTreeSet<&UnitName>> {
        let mut matched = BTreeMap::<usize, BTreeSet<&UnitName>>::new();
        for (candidate, units) in
            globs.iter().filter_map(|glob| self.patterns.get(glob)).flat_map(|pattern| &pattern.matches)
        {
            matched.entry(*candidate).or_default().extend(units);
        }
        matched
    }

    /// Returns the patterns that match a unit's name.
    pub(super) fn matching(&self, unit: &UnitName) -> Vec<&'a Glob> {
        let name = unit.as_str();
        let prefixes = self.lengths.iter().map_while(|length| name.get(..*length));
        let near = prefixes.filter_map(|prefix| self.by_prefix.get(prefix)).flatten();
        near.copied().filter(|glob| glob.matches(name)).collect()
    }
}

/// Returns a unit's own patterns.
fn own(needs: Option<&Requirements>) -> impl Iterator<Item = &Glob> {
    needs.into_iter().flat_map(|needs| needs.conflicts.iter().chain(&needs.replaces))
}

fn forget(units: &mut ByCandidate, candidate: usize, unit: &UnitName) {
    if let Some(on_machine) = units.get_mut(&candidate) {
        on_machine.remove(unit);
        if on_machine.is_empty() {
            units.remove(&candidate);
        }
    }
}
