//! Carrying out what clients ask for while no controller leads: as the commands do, in the background. The answer to the client says
//! only that the desired state is stored, and the records show the rest.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::control::Goal;
use crate::control::membership;
use crate::control::operation::UnitOperation;
use crate::control::progress::OperationError;
use crate::control::progress::Timeouts;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::runner::ClusterContext;

/// The operations that are under way.
#[derive(Debug, Clone)]
pub struct CarryingOut {
    timeouts: Timeouts,
    running: TaskTracker,
}

impl CarryingOut {
    /// Makes a carrier whose operations wait as long as commands with these settings.
    pub fn new(lock_wait: Duration, settle: Duration) -> Self {
        let timeouts = Timeouts { lock_wait, wait: None, settle, block: true };
        Self { timeouts, running: TaskTracker::new() }
    }

    /// Begins to bring a unit where its desired state says.
    pub(super) fn change(&self, cluster: ClusterContext, verb: Verb, unit: UnitName) {
        if verb != Verb::Submit {
            self.begin(cluster, Goal::Verb(verb), BTreeSet::from([unit]), None);
        }
    }

    /// Begins to move the units off a machine that is draining.
    pub(super) fn empty(&self, cluster: ClusterContext, snapshot: &Snapshot, machine: MachineId) {
        let units = membership::units_on(snapshot, machine);
        if !units.is_empty() {
            self.begin(cluster, Goal::AwayFrom(machine), units, Some(snapshot.full_name_of(machine)));
        }
    }

    fn begin(&self, context: ClusterContext, goal: Goal, units: BTreeSet<UnitName>, machine: Option<String>) {
        let timeouts = self.timeouts;
        self.running.spawn(async move {
            let operation =
                UnitOperation { context: &context, goal, units: &units, machine: machine.as_deref(), timeouts };
            match Box::pin(operation.run(&mut |_| ())).await {
                Ok(problems) => problems.iter().for_each(|problem| tracing::warn!("{problem}")),
                Err(OperationError::Stopped) => {}
                Err(error) => tracing::warn!("{error}"),
            }
        });
    }

    /// Waits until the operations have ended. Those that were told to stop end with their commits and their visits in flight.
    pub async fn end(&self) {
        self.running.close();
        self.running.wait().await;
    }
}
