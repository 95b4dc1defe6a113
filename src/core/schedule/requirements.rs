//! What each unit requirements for, read once per file and name.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::model::Snapshot;
use crate::core::unit::BadRequirements;
use crate::core::unit::Class;
use crate::core::unit::Hash;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

/// What each unit of a cluster requirements for.
#[derive(Debug, Clone, Default)]
pub struct RequirementsIndex {
    units: BTreeMap<UnitName, (Hash, Result<Requirements, BadRequirements>)>,
    strict: BTreeSet<UnitName>,
}

impl RequirementsIndex {
    /// Reads what every unit of a snapshot requirements for.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut requirements = Self::default();
        requirements.renew(snapshot);
        requirements
    }

    /// Reads the units that are new or have another file than before, and forgets those that are gone.
    pub fn renew(&mut self, snapshot: &Snapshot) {
        self.units.retain(|unit, _| snapshot.units.contains_key(unit));
        self.strict.retain(|unit| snapshot.units.contains_key(unit));
        for (name, unit) in &snapshot.units {
            let known = self.units.get(name).is_some_and(|(hash, _)| *hash == unit.hash);
            if let Some(file) = snapshot.files.get(&unit.hash).filter(|_| !known) {
                let read = Requirements::of(name, file).map(|(ask, _)| ask);
                self.units.insert(name.clone(), (unit.hash, read));
                if Class::binding(file) == Class::Strict {
                    self.strict.insert(name.clone());
                } else {
                    self.strict.remove(name);
                }
            }
        }
    }

    /// Returns what a unit requirements for, if its file is there and says something that can be had.
    pub fn get(&self, unit: &UnitName) -> Option<&Requirements> {
        self.read(unit)?.as_ref().ok()
    }

    /// Says whether a unit is everywhere and is not placed.
    pub fn is_global(&self, unit: &UnitName) -> bool {
        self.get(unit).is_some_and(|ask| ask.global)
    }

    /// Says whether a unit may only run while its machine holds a lease.
    pub fn is_strict(&self, unit: &UnitName) -> bool {
        self.strict.contains(unit)
    }

    /// Returns why it is not known what a unit requirements for, if that is its file's fault.
    pub fn fault(&self, unit: &UnitName) -> Option<&BadRequirements> {
        self.read(unit)?.as_ref().err()
    }

    /// Returns every unit that requirements for something that can be had, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&UnitName, &Requirements)> {
        self.units.iter().filter_map(|(unit, (_, read))| Some((unit, read.as_ref().ok()?)))
    }

    fn read(&self, unit: &UnitName) -> Option<&Result<Requirements, BadRequirements>> {
        self.units.get(unit).map(|(_, read)| read)
    }
}
