//! What would follow from a change before it is made: the reconciler runs over simulated hosts, with the records as they are
//! and as they would be. It changes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::membership::SchedulingMode;
use crate::core::command;
use crate::core::command::DesiredChange;
use crate::core::command::InvalidCommand;
use crate::core::command::UnitCommand;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::MachineId;
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
use crate::runner::LeaderSettings;

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
    /// How many steps would be made in any case.
    pub pending: usize,
}

impl From<&LeaderSettings> for Planner {
    fn from(settings: &LeaderSettings) -> Self {
        let LeaderSettings { timing, failover_policy, fence_commands, receivers: _ } = settings;
        Self { timing: *timing, failover_policy: failover_policy.clone(), fence_commands: fence_commands.machines() }
    }
}

impl Planner {
    /// Returns the reconciler of a controller with these settings.
    pub fn reconciler(&self, snapshot: &Snapshot) -> Reconciler {
        Reconciler::new(NO_EPOCH, Scope::All, self.timing, snapshot.clone())
            .with_failover_policy(self.failover_policy.clone())
            .with_fence_commands(self.fence_commands.clone())
    }

    /// Returns what would be done now, and the units that have no machine or stay on one that does not fit.
    pub fn present(&self, snapshot: &Snapshot, now: Timestamp) -> (Simulation, BTreeMap<UnitName, PlacementError>) {
        let (mut reconciler, mut hosts) = (self.reconciler(snapshot), SimulatedHosts::of(snapshot, []));
        let simulation = simulation::simulate_present(&mut reconciler, &mut hosts, now);
        (simulation, reconciler.refused().clone())
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

    /// Returns what would follow if a machine took units, or none, or kept none.
    pub fn machine(&self, snapshot: &Snapshot, mode: SchedulingMode, machine: MachineId, now: Timestamp) -> Preview {
        let mut changed = snapshot.clone();
        if let Some(record) = changed.machines.get_mut(&machine) {
            (record.cordoned, record.draining, record.drain_by) = mode.flags();
        }
        self.difference(snapshot, changed, now)
    }

    /// Returns what would follow from other records, and does not follow from the present ones.
    fn difference(&self, before: &Snapshot, after: Snapshot, now: Timestamp) -> Preview {
        let (present, refused_before) = self.present(before, now);
        let (mut simulation, mut refused) = self.present(&after, now);
        simulation.moves.retain(|it| !present.moves.contains(it));
        simulation.steps.retain(|it| !present.steps.contains(it));
        simulation.health_changes.clear();
        refused.retain(|unit, _| !refused_before.contains_key(unit));
        Preview { snapshot: after, warnings: Vec::new(), simulation, refused, pending: present.steps.len() }
    }
}
