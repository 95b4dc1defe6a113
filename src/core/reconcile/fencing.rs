//! Fencing: runs the fence command of a machine that is down and may still run strict units.
//!
//! Success proves that nothing runs on the machine, so strict units need not wait for its lease to end. A fence command
//! cannot be undone, so it runs only after the store has accepted the event that announces it: a process that no longer
//! leads fences nothing.

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
    /// Begins to fence machines that are down and may still run strict units, and runs the commands that were
    /// announced.
    pub(super) fn fence(&mut self, doubted: &[MachineId], now: Timestamp, outputs: &mut Vec<Output>) {
        for &machine in doubted {
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

    /// Returns when the fence command of a machine may run; `None` if the machine must not be fenced.
    pub(super) fn next_fencing(&self, machine: MachineId) -> Option<Timestamp> {
        self.timing.lease?;
        let view = self.views.get(&machine).filter(|view| view.health == Some(Health::Down))?;
        let leased = self.snapshot.leases.contains_key(&machine) && !self.is_lease_pending(machine);
        let has_command = self.fence_commands.contains(&self.snapshot.machines.get(&machine)?.name);
        (leased && has_command && !view.fencing.runs && !view.answers()).then_some(view.fencing.again)
    }

    /// Handles the end of a fence command. If the machine has answered since the command began, its success may refer
    /// to the previous boot of the machine.
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
