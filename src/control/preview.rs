//! What would follow from a change before it is made: the reconciler runs over simulated hosts, with the records as they are
//! and as they would be. It changes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::command;
use crate::core::command::DesiredChange;
use crate::core::command::InvalidCommand;
use crate::core::command::UnitCommand;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::MachineId;
use crate::core::model::MachineVerb;
use crate::core::model::PlacementError;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Verb;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::Timing;
use crate::core::reconcile::assignments::Scope;
use crate::core::simulation;
use crate::core::simulation::SimulatedHosts;
use crate::core::simulation::Simulation;
use crate::core::unit::UnitName;

/// An epoch that no leader has. No host obeys a simulation.
const NO_EPOCH: u64 = 0;

/// The settings of the controller that would carry a change out.
#[derive(Debug, Clone)]
pub struct Planner {
    /// The timing of the controller.
    pub timing: Timing,
    /// Its failover policy.
    pub failover_policy: FailoverPolicy,
    /// The names of the machines for which it has a fence command.
    pub fence_commands: BTreeSet<String>,
}

/// What would follow from a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The records after the change.
    pub snapshot: Snapshot,
    /// The warnings of the command.
    pub warnings: Vec<String>,
    /// The moves and steps that would be made because of the change.
    pub simulation: Simulation,
    /// The units that would have no machine because of the change, or would stay on one that does not fit.
    pub refused: BTreeMap<UnitName, PlacementError>,
}

impl Planner {
    /// Returns the reconciler of a controller with these settings.
    pub fn reconciler(&self, snapshot: &Snapshot) -> Reconciler {
        Reconciler::new(NO_EPOCH, Scope::All, self.timing, snapshot.clone())
            .with_failover_policy(self.failover_policy.clone())
            .with_fence_commands(self.fence_commands.clone())
    }

    /// Returns what would follow from a verb for a unit.
    pub fn unit(
        &self,
        snapshot: &Snapshot,
        verb: Verb,
        unit: &UnitName,
        now: Timestamp,
    ) -> Result<Preview, InvalidCommand> {
        let decision = command::decide(snapshot, &UnitCommand::new(verb, unit.clone()))?;
        let mut changed = snapshot.clone();
        match decision.change {
            DesiredChange::Nothing => {}
            DesiredChange::Delete => drop(changed.units.remove(unit)),
            DesiredChange::Put(record, file) => {
                changed.files.extend(file.map(|file| (file.hash(), file)));
                changed.units.insert(unit.clone(), record);
            }
        }
        Ok(Preview { warnings: decision.warnings, ..self.difference(snapshot, changed, now) })
    }

    /// Returns what would follow from a verb for a machine: whether it takes units, and keeps those that it has.
    pub fn machine(&self, snapshot: &Snapshot, verb: MachineVerb, machine: MachineId, now: Timestamp) -> Preview {
        let mut changed = snapshot.clone();
        if let Some(record) = changed.machines.get_mut(&machine) {
            let is_drained = matches!(verb, MachineVerb::Drain | MachineVerb::Leave);
            (record.cordoned, record.draining) = (verb != MachineVerb::Uncordon, is_drained);
            record.drain_by = None;
        }
        self.difference(snapshot, changed, now)
    }

    /// Returns what would follow from other records, and does not follow from the present ones.
    fn difference(&self, before: &Snapshot, after: Snapshot, now: Timestamp) -> Preview {
        let follows = |snapshot: &Snapshot| {
            let (mut reconciler, mut hosts) = (self.reconciler(snapshot), SimulatedHosts::of(snapshot, []));
            let simulation = simulation::simulate_present(&mut reconciler, &mut hosts, now);
            (simulation, reconciler.refused().clone())
        };
        let ((pending, refused_before), (mut simulation, mut refused)) = (follows(before), follows(&after));
        simulation.moves.retain(|it| !pending.moves.contains(it));
        simulation.steps.retain(|it| !pending.steps.contains(it));
        refused.retain(|unit, why| refused_before.get(unit) != Some(why));
        Preview { snapshot: after, warnings: Vec::new(), simulation, refused }
    }
}
