//! The reconciler's leases: which machines may run strict units, and when it is certain that one no longer does.
//!
//! A machine holds a lease as long as strict units belong there; every look at it that is due renews it. Nothing is sent
//! before the store has the record of it, and the record stays until the lease has surely ended: the host was seen to
//! have let it go, or so much time has passed that systemd there has stopped everything. As long as a machine has a
//! record and does not answer, no strict unit that may be there starts anywhere else.

use std::collections::BTreeSet;

use super::Mode;
use super::Reconciler;
use crate::core::lease;
use crate::core::lease::LeasePolicy;
use crate::core::model::About;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::Grant;
use crate::core::model::Health;
use crate::core::model::LeaseAction;
use crate::core::model::LeaseRefusal;
use crate::core::model::LeaseStatus;
use crate::core::model::MachineId;
use crate::core::model::Need;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::unit::UnitName;

/// Why a strict unit is not started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// This reconciler keeps no leases.
    NoController,
    /// The records of leases cannot be read.
    Unreadable,
    /// The machine has no lease yet.
    NoLease(Option<LeaseRefusal>),
    /// It may still run on this machine, until then if that is known.
    MayRun(MachineId, Option<Timestamp>),
    /// It is being taken away from this machine.
    Leaving(MachineId),
}

impl Reconciler {
    /// Reports whether a unit may only run while its machine holds a lease.
    pub(super) fn is_strict(&self, unit: &UnitName) -> bool {
        self.requirements.is_strict(unit)
    }

    /// Returns why a strict unit that is to run on a machine is not started there now, if so.
    pub fn strict_hold(&self, unit: &UnitName, machine: MachineId) -> Option<Wait> {
        if !self.is_strict(unit) {
            return None;
        }
        if self.timing.lease.is_none() {
            return Some(Wait::NoController);
        }
        if self.snapshot.unreadable.values().any(|record| record.about == About::Leases) {
            return Some(Wait::Unreadable);
        }
        // On a machine that does not answer it may run itself, and it is not known whether it does.
        let doubtful = |other: MachineId| other != machine || !self.answers(machine);
        for (other, grant) in self.snapshot.leases.iter().filter(|(other, _)| doubtful(**other)) {
            let view = self.views.get(other).filter(|view| view.answers());
            if view.and_then(|view| view.units.as_ref()).is_some_and(|units| units.contains_key(unit)) {
                return Some(Wait::Leaving(*other));
            }
            if grant.units.contains(unit) && !view.is_some_and(MachineView::is_certain) {
                return Some(Wait::MayRun(*other, self.gone_at(*other, grant)));
            }
        }
        let ready = self.is_lease_ready(machine);
        (!ready).then(|| Wait::NoLease(self.views.get(&machine).and_then(|view| view.lease.refused)))
    }

    /// Finds out what a machine needs a lease for, where that may have changed.
    pub(super) fn renew_need(&mut self, machine: MachineId) {
        let mut need = Need::default();
        let wanted = self.assignments.wanted(machine).into_iter().flatten();
        for (unit, wanted) in wanted.filter(|(_, wanted)| wanted.unit.desired == DesiredState::Launched) {
            wanted.strict.into_iter().for_each(|stop| need.add(unit.clone(), stop));
        }
        let there = self.views.get(&machine).and_then(|view| view.units.as_ref()).into_iter().flatten();
        for (unit, _) in there.filter(|(unit, state)| state.runs() && self.is_strict(unit)) {
            self.snapshot.file(unit).into_iter().for_each(|file| need.add(unit.clone(), lease::stop_of(file)));
        }
        if let Some(view) = self.views.touch(machine) {
            view.lease.need = Some(need).filter(|need| !need.units.is_empty());
        }
    }

    /// Returns what a machine needs a lease for; `None` if no strict unit belongs there or runs there.
    fn lease_need(&self, machine: MachineId) -> Option<&Need> {
        self.views.get(&machine)?.lease.need.as_ref()
    }

    /// Reports whether the store has the record that this leader may grant the machine a lease, and nobody counts on
    /// its end. While the store is away the record of a leader before us does, if what we grant is no more: whoever
    /// comes after us reads no more into ours.
    fn is_lease_ready(&self, machine: MachineId) -> bool {
        let (Some(grant), Some(need)) = (self.snapshot.leases.get(&machine), self.lease_need(machine)) else {
            return false;
        };
        let inherited = || {
            let enough = self.timing.lease.is_some_and(|policy| grant.length >= policy.length());
            (self.mode == Mode::LeaseOnly) && enough && grant.is_open()
        };
        let known = self.views.get(&machine).is_some_and(|view| view.answers() && view.uptime.is_some());
        let recorded = grant.epoch == self.epoch || inherited();
        let lasts = grant.stopped_for_sure_at.is_none() && grant.covers(need);
        known && recorded && lasts && !self.is_lease_pending(machine)
    }

    /// Reports whether strict units run on a machine whose lease cannot be renewed yet.
    pub(super) fn must_lease_first(&self, machine: MachineId) -> bool {
        let leased = self.timing.lease.is_some() && self.snapshot.leases.contains_key(&machine);
        leased && self.lease_need(machine).is_some() && !self.is_lease_ready(machine)
    }

    pub(super) fn is_lease_pending(&self, machine: MachineId) -> bool {
        self.outbox.holds(|write| matches!(write, Write::Lease(id, _) | Write::NoLease(id) if *id == machine))
    }

    /// Returns when a machine's strict units are gone if its lease is not renewed any more; `None` if another leader
    /// may still renew it.
    fn gone_at(&self, machine: MachineId, grant: &Grant) -> Option<Timestamp> {
        let sent = self.lease_ends.get(&machine).copied();
        if grant.epoch == self.epoch {
            return Some(sent.map_or(Timestamp::ZERO, |end| lease::gone_after(grant, end)));
        }
        let bound = lease::end_under(grant, self.quorum_seen_at)
            .map(|end| lease::gone_after(grant, end.max(sent.unwrap_or(Timestamp::ZERO))));
        // Who has written down when they are gone has granted nothing since. Sweeps go by that, for none of them lasts
        // until then; they need clocks that agree in any case.
        let told = grant.stopped_for_sure_at.filter(|_| self.is_sweep()).map(|gone| gone + lease::MAX_CLOCK_SKEW);
        bound.into_iter().chain(told).min()
    }

    /// Reports whether this reconciler is one of many that keep leases together.
    fn is_sweep(&self) -> bool {
        self.timing.lease.is_some_and(|policy| !policy.is_controllers())
    }

    /// Returns when it becomes certain that strict units are gone from machines that do not answer.
    pub(super) fn lease_wakes(&self) -> impl Iterator<Item = Timestamp> {
        self.snapshot.leases.keys().filter_map(|machine| self.lease_wake(*machine))
    }

    /// Returns when it becomes certain that strict units are gone from a machine that does not answer. Only a reconciler
    /// that looks at all machines keeps their leases.
    pub(super) fn lease_wake(&self, machine: MachineId) -> Option<Timestamp> {
        let grant = self.snapshot.leases.get(&machine).filter(|_| self.scope == Scope::All)?;
        let waits = self.is_bound(machine) && !self.is_lease_pending(machine);
        self.gone_at(machine, grant).filter(|_| waits)
    }

    /// Returns when it becomes certain that strict units are gone from machines that have left.
    pub(super) fn departed_lease_wakes(&self) -> impl Iterator<Item = Timestamp> {
        self.departed_leases.iter().filter_map(|machine| self.lease_wake(*machine))
    }

    /// Reports whether something waits for the lease of a machine to end that does not answer.
    pub fn awaits_leases(&self) -> bool {
        self.lease_wakes().next().is_some()
    }

    /// Reports whether a machine that does not answer may be trusted to let its lease end. One that lets us in and does
    /// not do as it is told may have a systemd that hangs, and that could stop nothing; so one that may yet turn out to
    /// be like that is not trusted before it has been judged.
    fn is_bound(&self, machine: MachineId) -> bool {
        let left = !self.snapshot.machines.contains_key(&machine);
        let judged = !matches!(self.health(machine), None | Some(Health::Suspect | Health::Sick));
        !self.answers(machine) && (left || judged)
    }

    fn answers(&self, machine: MachineId) -> bool {
        self.views.get(&machine).is_some_and(MachineView::answers)
    }

    /// Brings the records of leases up to date. Who looks at a few machines only leaves that to others.
    pub(super) fn keep_leases(&mut self, now: Timestamp) {
        if self.scope != Scope::All {
            return;
        }
        let all = std::mem::take(&mut self.stale.leases);
        if all {
            let leased = self.snapshot.leases.keys().copied();
            self.departed_leases = leased.filter(|id| !self.snapshot.machines.contains_key(id)).collect();
        }
        if let Some(policy) = self.timing.lease.filter(|_| all) {
            let used = !self.snapshot.leases.is_empty() || self.assignments.strict_machines().next().is_some();
            self.keep_voters(policy, used);
        }
        for machine in self.lease_candidates(all) {
            if !self.is_lease_pending(machine) {
                self.keep_lease(machine, now);
            }
        }
    }

    /// Returns the machines whose lease records may have to change.
    fn lease_candidates(&self, all: bool) -> BTreeSet<MachineId> {
        let strict = self.assignments.strict_machines().filter(|_| self.timing.lease.is_some());
        if all {
            return self.snapshot.leases.keys().copied().chain(strict).collect();
        }
        let leased = |machine: &MachineId| self.snapshot.leases.contains_key(machine);
        let keeps = self.timing.lease.is_some();
        let concerned = |machine: &MachineId| leased(machine) || keeps && self.assignments.is_strict(*machine);
        let doubted = self.views.doubted().into_iter().filter(concerned);
        doubted.chain(self.departed_leases.iter().copied().filter(leased)).collect()
    }

    fn keep_lease(&mut self, machine: MachineId, now: Timestamp) {
        let record = self.snapshot.leases.get(&machine).cloned();
        if !self.answers(machine) {
            if let Some(grant) = record.filter(|_| self.is_bound(machine)) {
                self.await_end(machine, grant, now);
            }
            return;
        }
        let (Some(policy), Some(need)) = (self.timing.lease, self.lease_need(machine)) else { return };
        if record.as_ref().is_none_or(|grant| !self.is_current(grant, policy, need, now)) {
            let need = need.clone();
            self.grant(machine, record, (policy, need), now);
        }
    }

    /// Reports whether a record is what this leader would write.
    fn is_current(&self, grant: &Grant, policy: LeasePolicy, need: &Need, now: Timestamp) -> bool {
        let lasts = match grant.until {
            Some(until) => !policy.is_controllers() && until > now + policy.length() / 2,
            None => policy.is_controllers(),
        };
        let ours = grant.epoch == self.epoch && grant.length >= policy.length();
        ours && grant.covers(need) && grant.stopped_for_sure_at.is_none() && lasts
    }

    /// Writes down that a machine may hold a lease. What was granted before goes on counting until it has ended.
    fn grant(
        &mut self,
        machine: MachineId,
        before: Option<Grant>,
        (policy, mut need): (LeasePolicy, Need),
        now: Timestamp,
    ) {
        let mut length = policy.length();
        if let Some(before) = before {
            if before.epoch != self.epoch {
                // The machine has answered us, so nobody else has renewed it since.
                let end = before.until.map_or(now + before.length, |until| until + lease::MAX_CLOCK_SKEW);
                self.lease_end(machine, end);
            }
            need.stop = need.stop.max(before.stop);
            // Only where nothing is under way it is known that nothing else may run there.
            if !self.views.get(&machine).is_some_and(MachineView::is_certain) {
                need.join(&before);
            }
            length = length.max(before.length);
        }
        self.outbox.push(Write::Lease(machine, Grant { length, ..policy.grant(self.epoch, need, now) }));
    }

    /// Waits until the lease of a machine that does not answer has ended.
    fn await_end(&mut self, machine: MachineId, grant: Grant, now: Timestamp) {
        let Some(gone) = self.gone_at(machine, &grant) else { return };
        let told = grant.stopped_for_sure_at == Some(gone) || (self.is_sweep() && grant.stopped_for_sure_at.is_some());
        if gone <= now {
            self.log(now, Some(machine), None, EventKind::LeaseEnded);
            self.write_off(machine);
        } else if !told {
            self.outbox.push(Write::Lease(machine, Grant { stopped_for_sure_at: Some(gone), ..grant }));
        }
    }

    /// Writes down that a machine's lease has ended for sure, and with it what it last said of the units that it was for.
    pub(super) fn write_off(&mut self, machine: MachineId) {
        let units = self.snapshot.leases.get(&machine).map(|grant| grant.units.clone()).unwrap_or_default();
        let known =
            |unit: &UnitName| self.snapshot.states.get(unit).is_some_and(|states| states.contains_key(&machine));
        let gone: Vec<UnitName> = units.into_iter().filter(known).collect();
        for unit in gone {
            self.note(Write::NoState(unit, machine));
        }
        self.outbox.push(Write::NoLease(machine));
    }

    /// Writes down whom a leader that comes after us must have reached before it may be sure of us.
    fn keep_voters(&mut self, policy: LeasePolicy, used: bool) {
        let pending = self.outbox.holds(|write| matches!(write, Write::Voters(_)));
        let same = self.snapshot.voters.iter().eq(self.snapshot.machines.keys());
        if used && policy.is_controllers() && self.quorum_seen_at.is_some() && !pending && !same {
            self.outbox.push(Write::Voters(self.snapshot.machines.keys().copied().collect()));
        }
    }

    /// Notes when so many machines have answered that no leader before us can have most of them.
    pub(super) fn witness(&mut self, now: Timestamp) {
        let voters = &self.snapshot.voters;
        let told = |machine: &&MachineId| self.views.get(machine).is_some_and(|view| view.evidence.answered.is_some());
        if self.quorum_seen_at.is_none() && lease::is_blocking(voters.iter().filter(told).count(), voters.len()) {
            self.quorum_seen_at = Some(now);
            self.stale.leases = true;
            self.views.touch_all().for_each(drop);
        }
    }

    /// Reports whether there are leases to renew although the store is away.
    pub fn holds_leases(&self) -> bool {
        self.timing.lease.is_some() && self.snapshot.leases.values().any(Grant::is_open)
    }

    /// Gives up everything but the renewal of leases, and what is on its way to hosts. What the store was being told of
    /// leases it may or may not have taken: where that was their end, they are given up too.
    pub fn enter_lease_only(&mut self) {
        let start_deadline = self.timing.start_deadline;
        self.views.touch_all().for_each(|(_, view)| drop(view.abandon(start_deadline)));
        let unsure = self.outbox.answered().records;
        for write in &unsure {
            match write {
                Write::Lease(_, grant) if grant.is_open() => {}
                Write::Lease(machine, _) | Write::NoLease(machine) => drop(self.snapshot.leases.remove(machine)),
                Write::Voters(_) => self.snapshot.leases.clear(),
                _ => {}
            }
        }
        self.outbox.clear();
        self.fence_now.clear();
        self.mode = Mode::LeaseOnly;
    }

    /// Reports whether most machines have just answered us: then nobody else has been able to take our place.
    fn is_backed(&self, now: Timestamp) -> bool {
        let voters = &self.snapshot.voters;
        let heard = |machine: &&MachineId| {
            self.views.get(machine).and_then(|view| view.heard).is_some_and(|at| now < at + lease::QUORUM_WINDOW)
        };
        lease::is_most(voters.iter().filter(heard).count(), voters.len())
    }

    fn lease_end(&mut self, machine: MachineId, end: Timestamp) {
        let known = self.lease_ends.entry(machine).or_insert(end);
        *known = end.max(*known);
    }

    /// Records that the store has the record of a machine's lease.
    pub(super) fn lease_written(&mut self, machine: MachineId) {
        if let Some(view) = self.views.touch(machine) {
            view.unplanned = true;
            view.next_look = Timestamp::ZERO;
        }
    }

    /// Records that a machine's lease has ended: what waited for that may go on.
    pub(super) fn lease_ended(&mut self, machine: MachineId) {
        self.stale.placements = true;
        self.stale.leases = true;
        self.views.touch(machine);
        self.views.replan_waiting();
    }

    /// Returns what a visit to a machine is to do about its lease.
    pub(super) fn lease_order(&self, machine: MachineId, acts: bool, now: Timestamp) -> Option<LeaseAction> {
        let policy = self.timing.lease?;
        if (self.mode == Mode::LeaseOnly) && !self.is_backed(now) {
            return None;
        }
        let view = self.views.get(&machine).filter(|view| view.answers())?;
        if self.lease_need(machine).is_none() {
            let held = self.snapshot.leases.contains_key(&machine) && !self.is_lease_pending(machine);
            return (held && view.is_certain() && !(self.mode == Mode::LeaseOnly)).then_some(LeaseAction::Release);
        }
        if !self.is_lease_ready(machine) {
            return None;
        }
        let due = view.lease.renewed.is_none_or(|at| now >= at + policy.renew_every());
        let (heard, uptime) = view.uptime.filter(|_| acts || due)?;
        let until = uptime + self.lease_lasts(machine, policy, now).since(heard);
        Some(LeaseAction::Hold { until, length: policy.length() })
    }

    /// Returns until when a lease lasts that is sent now.
    fn lease_lasts(&self, machine: MachineId, policy: LeasePolicy, now: Timestamp) -> Timestamp {
        let until = self.snapshot.leases.get(&machine).and_then(|grant| grant.until);
        until.unwrap_or(now + policy.length())
    }

    /// Records that a lease is on its way.
    pub(super) fn lease_sent(&mut self, machine: MachineId, now: Timestamp) {
        if let Some(view) = self.views.touch(machine) {
            view.fencing.void = true;
        }
        if let Some(policy) = self.timing.lease {
            self.lease_end(machine, self.lease_lasts(machine, policy, now));
        }
    }

    /// Takes in what came of a lease.
    pub(super) fn lease_seen(&mut self, machine: MachineId, seen: LeaseStatus, now: Timestamp) {
        let Some(view) = self.views.touch(machine) else { return };
        let (renewed, refused) = (view.lease.renewed, view.lease.refused.take());
        match seen {
            LeaseStatus::Held => view.lease.renewed = view.heard,
            LeaseStatus::Granted => {
                view.lease.renewed = view.heard;
                if renewed.is_some() {
                    self.log(now, Some(machine), None, EventKind::LeaseRegained);
                }
            }
            LeaseStatus::Released => {
                view.lease.renewed = None;
                self.outbox.push(Write::NoLease(machine));
            }
            LeaseStatus::Refused(why) => {
                (view.lease.renewed, view.lease.refused) = (None, Some(why));
                if refused != Some(why) {
                    self.log(now, Some(machine), None, EventKind::LeaseRefused(why));
                }
            }
        }
    }
}

impl Wait {
    /// Says it in words, with the names of machines.
    pub fn tell(self, name: impl Fn(MachineId) -> String) -> String {
        let why = match self {
            Self::NoController => "nobody here keeps leases: a controller does".to_owned(),
            Self::Unreadable => "the records of leases cannot be read".to_owned(),
            Self::NoLease(None) => "its machine has no lease yet".to_owned(),
            Self::NoLease(Some(why)) => format!("its machine would not hold a lease: {why}"),
            Self::MayRun(machine, _) => format!("may still run on {}", name(machine)),
            Self::Leaving(machine) => format!("is being stopped on {}", name(machine)),
        };
        format!("it is strict, and {why}")
    }
}
