//! The index of all units' requirements, parsed once per file and name.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::model::DesiredState;
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
    /// The requirements of units that share a machine with the other units of their application.
    grouped: BTreeMap<UnitName, Requirements>,
    /// These units, by application.
    applications: BTreeMap<String, Vec<UnitName>>,
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
        self.group(snapshot);
    }

    /// Finds the units of each application that belong on one machine. Each requires the metadata and the version of Podman
    /// that any of them requires.
    fn group(&mut self, snapshot: &Snapshot) {
        let mut applications = BTreeMap::<&str, Vec<(&UnitName, &Requirements)>>::new();
        let is_wanted = |name| snapshot.units.get(name).is_some_and(|unit| unit.desired != DesiredState::Inactive);
        for (name, (_, read)) in &self.units {
            let Ok(needs) = read else { continue };
            if let Some(application) = needs.application.as_deref().filter(|_| is_wanted(name)) {
                applications.entry(application).or_default().push((name, needs));
            }
        }
        let grouped = applications.values().flat_map(|members| together(members)).collect();
        let names = |members: Vec<(&UnitName, _)>| members.into_iter().map(|(name, _)| name.clone()).collect();
        let applications = applications.into_iter().map(|(name, members)| (name.to_owned(), names(members))).collect();
        (self.grouped, self.applications) = (grouped, applications);
    }

    /// Returns the other units that belong on the machine of a unit because they are of its application.
    pub fn companions<'s>(&'s self, unit: &'s UnitName) -> impl Iterator<Item = &'s UnitName> {
        let application = self.grouped.get(unit).and_then(|needs| needs.application.as_deref());
        let members = application.and_then(|application| self.applications.get(application));
        members.into_iter().flatten().filter(move |other| *other != unit)
    }

    /// Returns the requirements of a unit, if its file is there and valid.
    pub fn get(&self, unit: &UnitName) -> Option<&Requirements> {
        self.grouped_or(unit, || self.read(unit)?.as_ref().ok())
    }

    /// Returns the requirements of a unit with those of its application; its own ones if it belongs to none.
    fn grouped_or<'s>(
        &'s self,
        unit: &UnitName,
        own: impl FnOnce() -> Option<&'s Requirements>,
    ) -> Option<&'s Requirements> {
        let grouped = if self.grouped.is_empty() { None } else { self.grouped.get(unit) };
        grouped.or_else(own)
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
        self.units.iter().filter_map(|(unit, (_, read))| Some((unit, self.grouped_or(unit, || read.as_ref().ok())?)))
    }

    fn read(&self, unit: &UnitName) -> Option<&Result<Requirements, BadRequirements>> {
        self.units.get(unit).map(|(_, read)| read)
    }
}

/// Returns the requirements of units that belong on one machine.
fn together(members: &[(&UnitName, &Requirements)]) -> Vec<(UnitName, Requirements)> {
    let mut metadata = BTreeMap::<String, BTreeSet<String>>::new();
    for (key, values) in members.iter().flat_map(|(_, needs)| &needs.metadata) {
        let common = metadata.get(key).map_or_else(|| values.clone(), |known| known & values);
        metadata.insert(key.clone(), common);
    }
    let pin = members.iter().find_map(|(_, needs)| needs.machine_id);
    let podman = members.iter().filter_map(|(_, needs)| needs.podman.clone()).max();
    let grouped = members.iter().map(|(name, needs)| {
        let machine_id = needs.machine_id.or(pin);
        let (metadata, podman) = (metadata.clone(), podman.clone());
        ((*name).clone(), Requirements { machine_id, metadata, podman, ..(*needs).clone() })
    });
    grouped.collect()
}
