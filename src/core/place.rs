//! Which machine a unit goes to.

use std::collections::BTreeMap;

use super::cluster::MachineId;
use super::cluster::Snapshot;
use super::unit::UnitName;

/// The machines and what is on each.
#[derive(Debug)]
pub struct Board {
    load: BTreeMap<MachineId, usize>,
    at: BTreeMap<UnitName, MachineId>,
}

/// A machine for a unit, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The machine.
    pub machine: MachineId,
    /// Why.
    pub reason: String,
}

impl Board {
    /// Sets up the machines that may be chosen.
    pub fn new(snapshot: &Snapshot, eligible: impl Fn(MachineId) -> bool) -> Self {
        let mut load: BTreeMap<_, _> =
            snapshot.machines.keys().filter(|id| eligible(**id)).map(|id| (*id, 0)).collect();
        let at: BTreeMap<_, _> =
            snapshot.placements.iter().map(|(unit, placement)| (unit.clone(), placement.machine)).collect();
        for machine in at.values() {
            if let Some(load) = load.get_mut(machine) {
                *load += 1;
            }
        }
        Self { load, at }
    }

    /// Takes a unit off its machine.
    pub fn remove(&mut self, unit: &UnitName) {
        if let Some(load) = self.at.remove(unit).and_then(|machine| self.load.get_mut(&machine)) {
            *load -= 1;
        }
    }

    /// Chooses a machine for each unit.
    pub fn place_all(&mut self, units: &[UnitName]) -> Vec<(UnitName, Result<Choice, String>)> {
        units.iter().map(|unit| (unit.clone(), self.place(unit))).collect()
    }

    fn place(&mut self, unit: &UnitName) -> Result<Choice, String> {
        let (machine, load) =
            self.load.iter_mut().min_by_key(|(id, load)| (**load, **id)).ok_or("no machine is free")?;
        *load += 1;
        self.at.insert(unit.clone(), *machine);
        Ok(Choice { machine: *machine, reason: "least loaded".to_owned() })
    }
}
