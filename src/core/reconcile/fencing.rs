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
        for machine in self.views.doubted() {
            if self.next_fencing(machine).is_none_or(|again| now < again) {
                continue;
            }
            let Some(view) = self.views.touch(machine) else { continue };
            (view.fencing.runs, view.fencing.void) = (true, false);
            self.log(now, Some(machine), None, EventKind::FenceBegun);
            self.outbox.fence_after_commit(machine);
        }
        for machine in std::mem::take(&mut self.fence_now) {
            let Some(view) = self.views.touch(machine) else { continue };
            if !view.answers() {
                outputs.push(Output::Fence(machine));
                continue;
            }
            view.fencing.runs = false;
            self.log(now, Some(machine), None, EventKind::FenceCancelled);
        }
    }

    /// Returns from when on the fence command of a machine may run, if the machine should be switched off.
    pub(super) fn next_fencing(&self, machine: MachineId) -> Option<Timestamp> {
        self.timing.lease?;
        let view = self.views.get(&machine).filter(|view| view.health == Some(Health::Down))?;
        let leased = self.snapshot.leases.contains_key(&machine) && !self.is_lease_pending(machine);
        self.snapshot.machines.get(&machine)?.fence_command.as_ref().filter(|_| leased)?;
        (!view.fencing.runs && !view.answers()).then_some(view.fencing.again)
    }

    /// Takes in how a fence command ended. If the machine has answered since, its success may be that of another life.
    pub(super) fn fenced(&mut self, machine: MachineId, ended: Result<(), String>, now: Timestamp) {
        let Some(view) = self.views.touch(machine) else { return };
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
