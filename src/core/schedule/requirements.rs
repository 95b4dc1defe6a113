//! The index of all units' requirements, parsed once per file and name.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::model::Snapshot;
use crate::core::unit::BadRequirements;
use crate::core::unit::Class;
use crate::core::unit::Hash;
use crate::core::unit::Requirements;
use crate::core::unit::UnitName;

/// The requirements of each unit of a cluster.
#[derive(Debug, Clone, Default)]
pub struct RequirementsIndex {
    units: BTreeMap<UnitName, (Hash, Result<Requirements, BadRequirements>)>,
    strict: BTreeSet<UnitName>,
    staying: BTreeSet<UnitName>,
}

impl RequirementsIndex {
    /// Parses the requirements of every unit of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut requirements = Self::default();
        requirements.renew(snapshot);
        requirements
    }

    /// Parses the units that are new or have another file than before, and removes those that are gone.
    pub fn renew(&mut self, snapshot: &Snapshot) {
        self.units.retain(|unit, _| snapshot.units.contains_key(unit));
        self.strict.retain(|unit| snapshot.units.contains_key(unit));
        self.staying.retain(|unit| snapshot.units.contains_key(unit));
        for (name, unit) in &snapshot.units {
            let known = self.units.get(name).is_some_and(|(hash, _)| *hash == unit.hash);
            if let Some(file) = snapshot.files.get(&unit.hash).filter(|_| !known) {
                let read = Requirements::of(name, file).map(|(requirements, _)| requirements);
                let stays = read.as_ref().is_ok_and(|requirements| requirements.stays);
                self.units.insert(name.clone(), (unit.hash, read));
                let is_strict = Class::binding(file) == Class::Strict;
                for (is_one, set) in [(is_strict, &mut self.strict), (stays, &mut self.staying)] {
                    if is_one {
                        set.insert(name.clone());
                    } else {
                        set.remove(name);
                    }
                }
            }
        }
    }

    /// Returns the requirements of a unit, if its file is there and valid.
    pub fn get(&self, unit: &UnitName) -> Option<&Requirements> {
        self.read(unit)?.as_ref().ok()
    }

    /// Reports whether a unit is global: it runs on every machine that fits and has no placement.
    pub fn is_global(&self, unit: &UnitName) -> bool {
        self.get(unit).is_some_and(|requirements| requirements.global)
    }

    /// Reports whether a unit may run only while its machine holds a lease.
    pub fn is_strict(&self, unit: &UnitName) -> bool {
        self.strict.contains(unit)
    }

    /// Returns the units that stay on their machines because their data are there.
    pub fn staying(&self) -> impl Iterator<Item = &UnitName> {
        self.staying.iter()
    }

    /// Returns the error in a unit's requirements, if its file is invalid.
    pub fn error(&self, unit: &UnitName) -> Option<&BadRequirements> {
        self.read(unit)?.as_ref().err()
    }

    /// Returns every unit with valid requirements, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&UnitName, &Requirements)> {
        self.units.iter().filter_map(|(unit, (_, read))| Some((unit, read.as_ref().ok()?)))
    }

    fn read(&self, unit: &UnitName) -> Option<&Result<Requirements, BadRequirements>> {
        self.units.get(unit).map(|(_, read)| read)
    }
}
