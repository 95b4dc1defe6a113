//! The pulls of images that an operation waits for: the operator is told of each.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tracing::Span;

use super::progress::Progress;
use crate::core::explain;
use crate::core::explain::NotRunning;
use crate::core::model::Action;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Snapshot;
use crate::core::model::StepEnd;
use crate::core::model::Timestamp;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;

/// The pulls that are under way, each with the wait for it.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// Those that events have told of.
    told: BTreeMap<(UnitName, MachineId), Span>,
    /// Those that the records show.
    recorded: BTreeMap<UnitName, Span>,
}

impl Pulls {
    /// Takes a report of the operation: a load may have begun with a pull, or may have ended.
    pub(super) fn take(&mut self, progress: &Progress<'_>) {
        let Progress::Event(snapshot, event) = progress else { return };
        let EventKind::StepEnded(StepEnd { action: Action::Load { hash, .. }, outcome, .. }) = &event.kind else {
            return;
        };
        let Some((unit, machine)) = event.subject.unit.clone().zip(event.subject.machine) else { return };
        let file = snapshot.files.get(hash).filter(|_| *outcome == Outcome::Begun);
        match file.and_then(|file| ImagePull::of(&unit, file)) {
            Some(pull) => {
                let wait = wait(&snapshot.name_of(machine), &pull.image);
                self.told.entry((unit, machine)).or_insert(wait);
            }
            None => drop(self.told.remove(&(unit, machine))),
        }
    }

    /// Takes the pulls of units that the records show.
    pub(super) fn renew(&mut self, snapshot: &Snapshot, units: &BTreeSet<UnitName>, now: Timestamp) {
        let pulling = units.iter().filter_map(|unit| match explain::pulling(snapshot, unit, now)? {
            NotRunning::Pulling { name, image, .. } => Some((unit.clone(), (name, image))),
            _ => None,
        });
        let mut pulling: BTreeMap<UnitName, (String, String)> = pulling.collect();
        self.recorded.retain(|unit, _| pulling.remove(unit).is_some());
        self.recorded.extend(pulling.into_iter().map(|(unit, (name, image))| (unit, wait(&name, &image))));
    }
}

fn wait(machine: &str, image: &str) -> Span {
    tracing::info_span!("wait", what = format!("{machine} to pull {image}"))
}
