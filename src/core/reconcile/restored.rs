//! A store that was restored from a backup: it may lack units, placements and leases that hosts have. The store counts the
//! commits that change them, and hosts remember the count, so one host that answers shows it. This module sends nothing.

use std::time::Duration;

use super::Reconciler;
use crate::core::lease;
use crate::core::lease::LeasePolicy;
use crate::core::model::EventKind;
use crate::core::model::Grant;
use crate::core::model::MachineId;
use crate::core::model::Need;
use crate::core::model::RestorationWitness;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::outbox::is_counted;

/// What a machine shows that has seen a later serial than that of the store.
pub const RESTORED: &str = "has seen later records than those in the store: the store was restored from a backup";

impl Reconciler {
    /// Returns the first machine that has shown that the store was restored from a backup.
    pub const fn restoration_witness(&self) -> Option<RestorationWitness> {
        self.restoration_witness
    }

    /// Reports whether this leader leaves units alone that the store does not know: the backup may lack them. A leader that
    /// keeps leases has written an event first, and unloads them.
    pub fn spares_unknown(&self) -> bool {
        self.restoration_witness.is_some() && self.timing.lease.is_none()
    }

    /// Counts the next commit if a host may show later that a backup lacks it.
    ///
    /// A leader that has found a restored store, and that keeps no leases, counts nothing: the serial would catch up with
    /// that of the witness, and the next sweep would unload the units that this one spares.
    pub(super) fn count_commit(&mut self) {
        // While a commit is in flight, thousands of writes may wait.
        if self.outbox.is_committing() || self.spares_unknown() {
            return;
        }
        if self.outbox.queues(|write| self.has_orders || is_counted(write)) {
            self.has_orders = false;
            self.serial = self.serial.saturating_add(1);
            self.outbox.push(Write::Serial(self.serial));
        }
    }

    /// Compares the serial that a host has seen with that of the store.
    pub(super) fn compare_serial(&mut self, machine: MachineId, seen: u64, now: Timestamp) {
        if seen > self.serial {
            self.restoration_found(RestorationWitness { machine, serial: seen }, now);
        }
    }

    /// Takes the sign that an earlier leader has found and could not heed.
    pub(super) fn heed_restoration(&mut self, now: Timestamp) {
        if let Some(witness) = self.snapshot.restored.filter(|_| self.restoration_witness.is_none()) {
            self.restoration_found(witness, now);
        }
    }

    /// Heeds that the store was restored: any machine that has not answered this leader may hold a lease for any strict unit. A
    /// leader that keeps leases records such leases and waits for their end. A host may lie, so this happens once for each
    /// leader. Any other leader records the sign for the leaders after it.
    fn restoration_found(&mut self, witness: RestorationWitness, now: Timestamp) {
        let is_first = self.restoration_witness.is_none();
        self.restoration_witness.get_or_insert(witness);
        let Some(policy) = self.timing.lease.filter(|_| self.scope == Scope::All) else {
            if is_first && self.snapshot.restored.is_none() {
                self.outbox.push(Write::Restored(Some(witness)));
            }
            self.stale.views = true;
            return;
        };
        self.serial = self.serial.max(witness.serial);
        self.outbox.push(Write::Serial(self.serial));
        if !is_first {
            return;
        }
        if self.snapshot.restored.is_some() {
            self.outbox.push(Write::Restored(None));
        }
        self.log(now, Some(witness.machine), None, EventKind::StoreRestored);
        let answered = |id: &MachineId| {
            *id == witness.machine || self.views.get(id).is_some_and(|it| it.evidence.answered.is_some())
        };
        let silent: Vec<MachineId> = self.snapshot.machines.keys().filter(|id| !answered(id)).copied().collect();
        let need = Need { unknown: true, stop: self.longest_stop(), ..Need::default() };
        for machine in silent {
            self.assume_lease(machine, policy, need.clone(), now);
        }
    }

    /// Returns how long any strict unit may take to stop, also one that the backup does not have.
    fn longest_stop(&self) -> Duration {
        let strict = self.snapshot.units.keys().filter(|unit| self.is_strict(unit));
        let stops = strict.filter_map(|unit| self.snapshot.file(unit)).map(|file| lease::stop_of(file));
        stops.max().unwrap_or_default().max(lease::UNKNOWN_STOP)
    }

    /// Records that an earlier leader may have granted a machine a lease for these units.
    fn assume_lease(&mut self, machine: MachineId, policy: LeasePolicy, mut need: Need, now: Timestamp) {
        self.snapshot.leases.get(&machine).into_iter().for_each(|before| need.join(before));
        let longest = self.snapshot.leases.values().map(|grant| grant.length).max().unwrap_or_default();
        let grant = policy.grant(self.epoch.saturating_sub(1), need, now);
        self.outbox.push(Write::Lease(machine, Grant { length: policy.length().max(longest), ..grant }));
    }
}
