//! Who keeps whom off which machine: `Conflicts=` both ways round, and `Replaces=` against those it replaces.
//!
//! Patterns are few and names are many, so the patterns are indexed by what they begin with, and each knows on which
//! machines it has a match or an owner. A unit that no pattern concerns costs nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::unit::Glob;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

/// Units by the number of the machine that they are on.
pub(super) type ByCandidate = BTreeMap<usize, BTreeSet<UnitName>>;

/// Every pattern with the units that it concerns.
#[derive(Debug)]
pub(super) struct AntiAffinityIndex<'a> {
    patterns: BTreeMap<&'a Glob, Pattern>,
    by_prefix: BTreeMap<String, Vec<&'a Glob>>,
    /// How long the prefixes are.
    lengths: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Pattern {
    /// The units whose names it matches.
    hits: ByCandidate,
    /// The units that have it.
    owners: ByCandidate,
}

/// Units that one other must not be with.
#[derive(Debug)]
pub(super) struct Here<'b>(&'b ByCandidate);

impl Here<'_> {
    /// Returns one that is on a machine and is not the unit itself.
    pub(super) fn on(&self, candidate: usize, unit: &UnitName) -> Option<&UnitName> {
        self.0.get(&candidate)?.iter().find(|other| *other != unit)
    }
}

impl<'a> AntiAffinityIndex<'a> {
    /// Indexes every pattern that is asked for.
    pub(super) fn new(requirements: impl Iterator<Item = &'a Requirements>) -> Self {
        let mut patterns = BTreeMap::new();
        let mut by_prefix = BTreeMap::<String, Vec<&'a Glob>>::new();
        for glob in requirements.flat_map(|ask| ask.conflicts.iter().chain(&ask.replaces)) {
            patterns.entry(glob).or_insert_with(|| {
                by_prefix.entry(glob.prefix()).or_default().push(glob);
                Pattern::default()
            });
        }
        let lengths = by_prefix.keys().map(String::len).collect();
        Self { patterns, by_prefix, lengths }
    }

    /// Notes that a unit is on a machine.
    pub(super) fn add(&mut self, unit: &UnitName, ask: Option<&Requirements>, candidate: usize) {
        for glob in self.matching(unit) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                pattern.hits.entry(candidate).or_default().insert(unit.clone());
            }
        }
        for glob in own(ask) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                pattern.owners.entry(candidate).or_default().insert(unit.clone());
            }
        }
    }

    /// Notes that a unit is no longer on a machine.
    pub(super) fn remove(&mut self, unit: &UnitName, ask: Option<&Requirements>, candidate: usize) {
        for glob in self.matching(unit) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                forget(&mut pattern.hits, candidate, unit);
            }
        }
        for glob in own(ask) {
            if let Some(pattern) = self.patterns.get_mut(glob) {
                forget(&mut pattern.owners, candidate, unit);
            }
        }
    }

    /// Says whether a unit keeps others off or may be kept off by them.
    pub(super) fn concerns(&self, unit: &UnitName, ask: Option<&Requirements>) -> bool {
        own(ask).next().is_some() || !self.matching(unit).is_empty()
    }

    /// Returns everything that a unit must not be with.
    pub(super) fn of(&self, unit: &UnitName, ask: &Requirements) -> Vec<Here<'_>> {
        let against = ask.conflicts.iter().filter_map(|glob| Some(&self.patterns.get(glob)?.hits));
        let from = self.matching(unit).into_iter().filter_map(|glob| Some(&self.patterns.get(glob)?.owners));
        against.chain(from).filter(|units| !units.is_empty()).map(Here).collect()
    }

    /// Returns the units whose names these patterns match, by machine.
    pub(super) fn hit_by(&self, globs: &[Glob]) -> BTreeMap<usize, BTreeSet<&UnitName>> {
        let mut hit = BTreeMap::<usize, BTreeSet<&UnitName>>::new();
        for (candidate, units) in
            globs.iter().filter_map(|glob| self.patterns.get(glob)).flat_map(|pattern| &pattern.hits)
        {
            hit.entry(*candidate).or_default().extend(units);
        }
        hit
    }

    /// Returns the patterns that match a unit's name.
    pub(super) fn matching(&self, unit: &UnitName) -> Vec<&'a Glob> {
        let name = unit.as_str();
        let prefixes = self.lengths.iter().map_while(|length| name.get(..*length));
        let near = prefixes.filter_map(|prefix| self.by_prefix.get(prefix)).flatten();
        near.copied().filter(|glob| glob.matches(name)).collect()
    }
}

/// Returns the patterns that a unit has itself.
fn own(ask: Option<&Requirements>) -> impl Iterator<Item = &Glob> {
    ask.into_iter().flat_map(|ask| ask.conflicts.iter().chain(&ask.replaces))
}

fn forget(units: &mut ByCandidate, candidate: usize, unit: &UnitName) {
    if let Some(here) = units.get_mut(&candidate) {
        here.remove(unit);
        if here.is_empty() {
            units.remove(&candidate);
        }
    }
}
