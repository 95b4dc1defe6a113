//! The copies of units that an operation stops on machines where the units are not placed: a unit that has moved may still run
//! on its former machine.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::progress::Progress;
use crate::core::model::Action;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Snapshot;
use crate::core::model::StepEnd;
use crate::core::unit::UnitName;

/// The machines on which an operation has stopped each unit, with their names.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<UnitName, BTreeMap<MachineId, String>>);

impl Copies {
    /// Takes a report of the operation. Returns what the operator is told after it: where the unit was stopped beside the
    /// machine that the report names.
    pub(super) fn take(&mut self, progress: &Progress<'_>) -> Option<String> {
        match progress {
            Progress::Event(snapshot, event) => {
                self.note(snapshot, event);
                None
            }
            Progress::Reached(unit, _, machine) => self.told(unit, machine.map(|machine| machine.id)),
            Progress::Destroyed(unit) => self.told(unit, None),
            Progress::Warning(_) | Progress::Triggered(..) => None,
        }
    }

    fn note(&mut self, snapshot: &Snapshot, event: &Event) {
        let EventKind::StepEnded(StepEnd { action, outcome, .. }) = &event.kind else { return };
        let is_stop = matches!(action, Action::Stop | Action::Unload);
        let is_done = matches!(outcome, Outcome::Done | Outcome::Begun);
        if let (Some(unit), Some(machine), true) = (&event.subject.unit, event.subject.machine, is_stop && is_done) {
            self.0.entry(unit.clone()).or_default().insert(machine, snapshot.full_name_of(machine));
        }
    }

    /// Names the machines if the operator would not expect them: one of several, or not the one that is named already.
    fn told(&mut self, unit: &UnitName, named: Option<MachineId>) -> Option<String> {
        let machines = self.0.remove(unit)?;
        let others: BTreeSet<&str> =
            machines.iter().filter(|(machine, _)| Some(**machine) != named).map(|(_, name)| name.as_str()).collect();
        let is_expected = if named.is_some() { others.is_empty() } else { others.len() < 2 };
        if is_expected {
            return None;
        }
        let others: Vec<&str> = others.into_iter().collect();
        let also = if named.is_some() { "also " } else { "" };
        Some(format!("Unit {unit} was {also}stopped and removed on {}", others.join(" and ")))
    }
}
