//! Quadlet files that name others. Podman's service of such a file needs the services of the others, so its steps wait until
//! the machine has loaded those. Nothing else waits here: other units start in the order that systemd gives them.

use std::collections::BTreeSet;

use super::Reconciler;
use crate::core::model::Action;
use crate::core::model::MachineId;
use crate::core::model::Reason;
use crate::core::model::Step;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;
use crate::core::unit::needed_quadlets;

impl Reconciler {
    /// Drops the steps of each unit that needs another one of its machine, unless that one is loaded there or is loaded in this
    /// visit for certain. A pull of an image may delay a load.
    pub(super) fn keep_complete(&self, machine: MachineId, steps: &mut Vec<Step>) {
        loop {
            let waiting: BTreeSet<UnitName> = steps
                .iter()
                .filter(|step| is_kept_back(step) && self.lacks_needed(machine, &step.unit, steps))
                .map(|step| step.unit.clone())
                .collect();
            if waiting.is_empty() {
                return;
            }
            steps.retain(|step| !is_kept_back(step) || !waiting.contains(&step.unit));
        }
    }

    fn lacks_needed(&self, machine: MachineId, unit: &UnitName, steps: &[Step]) -> bool {
        let needed = self.snapshot.file(unit).map(|file| needed_quadlets(file)).unwrap_or_default();
        let here = self.views.get(&machine).and_then(|view| view.units.as_ref());
        let is_loaded = |other: &UnitName| {
            let hash = self.snapshot.units.get(other).map(|unit| unit.hash);
            let state = here.and_then(|units| units.get(other));
            hash.zip(state).is_some_and(|(hash, state)| state.has_loaded(hash))
        };
        let is_loaded_now = |other: &UnitName| {
            let pulls = self.snapshot.file(other).is_some_and(|file| ImagePull::of(other, file).is_some());
            let load = |step: &Step| step.unit == *other && matches!(step.action, Action::Load { .. });
            !pulls && steps.iter().any(load)
        };
        let belongs_here = |other: &UnitName| self.assignments.of(machine, other).is_some();
        needed.iter().any(|other| belongs_here(other) && !is_loaded(other) && !is_loaded_now(other))
    }
}

/// Reports whether a step waits for what the unit needs. A unit is stopped or taken away at any time, but not replaced.
fn is_kept_back(step: &Step) -> bool {
    let may_wait = match step.action {
        Action::Unload => step.reason == Reason::HashDiffers,
        Action::Stop => false,
        _ => true,
    };
    may_wait && step.unit.is_quadlet()
}
