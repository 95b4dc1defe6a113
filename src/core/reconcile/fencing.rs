//! The reconciler's fencing: a machine that is down and may still run strict units is switched off where somebody knows how.
//!
//! The success of a machine's fence command is proof that nothing runs there, so nobody has to wait for its lease to end.
//! It cannot be taken back, so it is run only once the store has been told: who no longer leads switches nobody off.

use std::time::Duration;

use super::Output;
use super::Reconciler;
use crate::core::model::EventKind;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;

/// How long to wait before a fence command that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

impl Reconciler {
    /// Switches machines off that are down and may still run strict units.
    pub(super) fn fence(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let due: Vec<MachineId> = self.fenceable().filter(|(_, again)| *again <= now).map(|(id, _)| id).collect();
        for machine in due {
            let Some(view) = self.views.get_mut(&machine) else { continue };
            (view.fencing.runs, view.fencing.void) = (true, false);
            self.log(now, Some(machine), None, EventKind::FenceBegun);
            self.fence_after_commit.push(machine);
        }
        for machine in std::mem::take(&mut self.fence_now) {
            let Some(view) = self.views.get_mut(&machine) else { continue };
            if !view.answers() {
                outputs.push(Output::Fence(machine));
                continue;
            }
            view.fencing.runs = false;
            self.log(now, Some(machine), None, EventKind::FenceCancelled);
        }
    }

    /// Returns when to try a fence command again.
    pub(super) fn next_fencing(&self) -> Option<Timestamp> {
        self.fenceable().map(|(_, again)| again).min()
    }

    /// Returns the machines that should be switched off, and when to try.
    fn fenceable(&self) -> impl Iterator<Item = (MachineId, Timestamp)> {
        let keeps = self.timing.lease.is_some();
        let leased = self.snapshot.leases.keys().filter(move |_| keeps);
        leased.filter(|machine| !self.is_lease_pending(**machine)).filter_map(|machine| {
            self.snapshot.machines.get(machine)?.fence_command.as_ref()?;
            let view = self.views.get(machine).filter(|view| !view.fencing.runs && !view.answers())?;
            (view.health == Some(Health::Down)).then_some((*machine, view.fencing.again))
        })
    }

    /// Takes in how a fence command ended. If the machine has answered since, its success may be that of another life.
    pub(super) fn fenced(&mut self, machine: MachineId, ended: Result<(), String>, now: Timestamp) {
        let Some(view) = self.views.get_mut(&machine) else { return };
        let void = view.fencing.void || view.answers();
        (view.fencing.runs, view.fencing.again) = (false, now + RETRY);
        if let Err(why) = ended {
            return self.log(now, Some(machine), None, EventKind::FenceFailed { why });
        }
        let kind = if void { EventKind::FenceVoid } else { EventKind::FenceSucceeded };
        self.log(now, Some(machine), None, kind);
        if !void && self.snapshot.leases.contains_key(&machine) && !self.is_lease_pending(machine) {
            self.write_off(machine);
        }
    }
}
