//! Leases: which machines may run strict units, and when a strict unit has certainly stopped on a machine that does not
//! answer. [`crate::core::lease`] computes the bounds.
//!
//! A machine holds a lease while strict units belong or run there, and visits renew it. The store has the record of a
//! lease before the lease is sent. The record stays until the lease has certainly ended: the host reported its release,
//! or enough time has passed for systemd to stop all strict units. While a machine has a record and does not answer,
//! the strict units of the record start on no other machine.

use std::collections::BTreeSet;
use std::time::Duration;

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
use crate::core::model::UnitState;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::unit::UnitName;

/// Why a strict unit is not started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// This reconciler maintains no leases.
    NoController,
    /// The records of leases cannot be read.
    Unreadable,
    /// Machines that may run it have not been visited yet.
    FirstVisits,
    /// The machine has no lease yet.
    NoLease(Option<LeaseRefusal>),
    /// It may still run on this machine until this time, if the time is known.
    MayRun(MachineId, Option<Timestamp>),
    /// It is being stopped on this machine.
    Leaving(MachineId),
}

impl Reconciler {
    /// Reports whether a unit is strict: it runs only while its machine holds a lease.
    pub(super) fn is_strict(&self, unit: &UnitName) -> bool {
        self.requirements.is_strict(unit)
    }

    /// Returns why a unit must not start on a machine now because it is strict, or because a copy may run elsewhere that
    /// was strict when it started; `None` if it may start.
    pub fn strict_hold(&self, unit: &UnitName, machine: MachineId) -> Option<Wait> {
        if !self.is_strict(unit) {
            return self.may_run_elsewhere(unit, machine);
        }
        if self.timing.lease.is_none() {
            return Some(Wait::NoController);
        }
        if self.snapshot.unreadable.values().any(|record| record.about == About::Leases) {
            return Some(Wait::Unreadable);
        }
        if self.first_visits_until.is_some() {
            return Some(Wait::FirstVisits);
        }
        if let Some(wait) = self.may_run_elsewhere(unit, machine) {
            return Some(wait);
        }
        let ready = self.is_lease_ready(machine);
        (!ready).then(|| Wait::NoLease(self.views.get(&machine).and_then(|view| view.lease.refused)))
    }

    /// Returns why a strict copy of a unit may run on another machine than this one; `None` if none can.
    fn may_run_elsewhere(&self, unit: &UnitName, machine: MachineId) -> Option<Wait> {
        let strict = self.is_strict(unit);
        // If the machine itself does not answer, the unit may already run there.
        let doubtful = |other: MachineId| other != machine || !self.answers(machine);
        for (other, grant) in self.snapshot.leases.iter().filter(|(other, _)| doubtful(**other)) {
            let view = self.views.get(other).filter(|view| view.answers());
            if strict && view.and_then(|view| view.units.as_ref()).is_some_and(|units| units.contains_key(unit)) {
                return Some(Wait::Leaving(*other));
            }
            if grant.may_run(unit, strict) && !view.is_some_and(MachineView::is_certain) {
                return Some(Wait::MayRun(*other, self.gone_at(*other, grant)));
            }
        }
        None
    }

    /// Computes for which strict units a machine needs a lease: those that belong there and those that run there.
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
            need.slack = view.lease.slack;
            view.lease.need = Some(need).filter(|need| !need.units.is_empty());
        }
    }

    /// Returns the strict units for which a machine needs a lease; `None` if no strict unit belongs there or runs
    /// there.
    fn lease_need(&self, machine: MachineId) -> Option<&Need> {
        self.views.get(&machine)?.lease.need.as_ref()
    }

    /// Reports whether this leader may send a lease: the store has a record that covers the need, and no leader waits
    /// for the end of the lease.
    ///
    /// While the store is away, the record of an earlier leader suffices if it allows at least the length that this
    /// leader grants: the next leader then waits long enough.
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

    /// Reports whether strict units belong or run on a machine with a lease that cannot be renewed yet.
    pub(super) fn must_lease_first(&self, machine: MachineId) -> bool {
        let leased = self.timing.lease.is_some() && self.snapshot.leases.contains_key(&machine);
        leased && self.lease_need(machine).is_some() && !self.is_lease_ready(machine)
    }

    pub(super) fn is_lease_pending(&self, machine: MachineId) -> bool {
        self.outbox.holds(|write| matches!(write, Write::Lease(id, _) | Write::NoLease(id) if *id == machine))
    }

    /// Returns when a machine's strict units have certainly stopped if its lease is not renewed; `None` if another
    /// leader may still renew the lease.
    fn gone_at(&self, machine: MachineId, grant: &Grant) -> Option<Timestamp> {
        let sent = self.lease_ends.get(&machine).copied();
        let slack = self.slack_of(machine, grant);
        if grant.epoch == self.epoch {
            return Some(sent.map_or(Timestamp::ZERO, |end| lease::gone_after(grant, slack, end)));
        }
        let bound = lease::end_under(grant, self.quorum_seen_at)
            .map(|end| lease::gone_after(grant, slack, end.max(sent.unwrap_or(Timestamp::ZERO))));
        // A leader that stored this time has granted nothing since. Only sweeps rely on the time, because no sweep
        // lasts that long. Sweeps need synchronised clocks in any case.
        let stored = grant.stopped_for_sure_at.filter(|_| self.is_sweep()).map(|gone| gone + lease::MAX_CLOCK_SKEW);
        bound.into_iter().chain(stored).min()
    }

    /// Reports whether the last lease of a machine has ended. An earlier leader has recorded that, or it has not renewed the
    /// lease since it last published its observations.
    pub(super) fn has_lease_ended(&self, machine: MachineId, now: Timestamp) -> bool {
        let inherited = || {
            let grant = self.snapshot.leases.get(&machine)?;
            let renewed = self.snapshot.observed_at(machine)? + lease::MARGIN;
            Some(grant.until.unwrap_or(renewed + grant.length))
        };
        self.lease_ends.get(&machine).copied().or_else(inherited).is_some_and(|end| end <= now)
    }

    /// Returns how much longer the machine's systemd may take. This leader may know more than the record if the machine
    /// stopped answering before the store could have it.
    fn slack_of(&self, machine: MachineId, grant: &Grant) -> Duration {
        self.views.get(&machine).map_or(grant.slack, |view| view.lease.slack.max(grant.slack))
    }

    /// Reports whether this reconciler is one of a series of sweeps that renew leases.
    fn is_sweep(&self) -> bool {
        self.timing.lease.is_some_and(|policy| !policy.is_controllers())
    }

    /// Returns when strict units have certainly stopped on machines that do not answer.
    pub(super) fn lease_wakes(&self) -> impl Iterator<Item = Timestamp> {
        self.snapshot.leases.keys().filter_map(|machine| self.lease_wake(*machine))
    }

    /// Returns when strict units have certainly stopped on a machine that does not answer. Only a reconciler with all
    /// machines in scope maintains leases.
    pub(super) fn lease_wake(&self, machine: MachineId) -> Option<Timestamp> {
        let grant = self.snapshot.leases.get(&machine).filter(|_| self.scope == Scope::All)?;
        let waits = self.is_bound(machine) && !self.is_lease_pending(machine);
        self.gone_at(machine, grant).filter(|_| waits)
    }

    /// Returns when strict units have certainly stopped on machines that have left the cluster.
    pub(super) fn departed_lease_wakes(&self) -> impl Iterator<Item = Timestamp> {
        self.departed_leases.iter().filter_map(|machine| self.lease_wake(*machine))
    }

    /// Reports whether the lease of a machine that does not answer has yet to end.
    pub fn awaits_leases(&self) -> bool {
        self.lease_wakes().next().is_some()
    }

    /// Reports whether a machine that does not answer can be relied on to stop its strict units when its lease ends.
    ///
    /// A machine whose sshd works but whose visits fail may have a systemd that hangs, which could stop nothing. A
    /// machine that is not assessed yet may turn out to be such a machine, so it is not relied on either.
    fn is_bound(&self, machine: MachineId) -> bool {
        let left = !self.snapshot.machines.contains_key(&machine);
        // An order of the operator does not make a systemd that hangs stop units.
        let forced = self.views.get(&machine).is_some_and(|view| view.forced_down);
        let judged = !forced && !matches!(self.health(machine), None | Some(Health::Suspect | Health::Sick));
        !self.answers(machine) && (left || judged)
    }

    fn answers(&self, machine: MachineId) -> bool {
        self.views.get(&machine).is_some_and(MachineView::answers)
    }

    /// Brings the records of leases up to date. A reconciler that is limited to some units does not maintain leases.
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
            let needed = |view: &MachineView| view.lease.need.is_some();
            let used = !self.snapshot.leases.is_empty() || self.views.values().any(needed);
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
        let (leases, keeps) = (&self.snapshot.leases, self.timing.lease.is_some());
        if all {
            let strict = self.views.iter().filter(|(_, view)| keeps && view.lease.need.is_some());
            return leases.keys().copied().chain(strict.map(|(machine, _)| *machine)).collect();
        }
        let concerned =
            |machine: &MachineId| leases.contains_key(machine) || keeps && self.lease_need(*machine).is_some();
        let machines = self.views.dirty_or_not_alive().chain(self.departed_leases.iter().copied());
        machines.filter(concerned).collect()
    }

    fn keep_lease(&mut self, machine: MachineId, now: Timestamp) {
        let record = self.snapshot.leases.get(&machine).cloned();
        if !self.answers(machine) {
            if let Some(grant) = record.filter(|_| self.is_bound(machine)) {
                self.await_end(machine, grant, now);
            }
            return;
        }
        let Some(policy) = self.timing.lease else {
            if record.is_some_and(|grant| self.is_unused(machine, &grant)) {
                self.outbox.push(Write::NoLease(machine));
            }
            return;
        };
        let Some(need) = self.lease_need(machine) else { return };
        if record.as_ref().is_none_or(|grant| !self.is_current(machine, grant, (policy, need), now)) {
            let need = need.clone();
            self.grant(machine, record, (policy, need), now);
        }
    }

    /// Reports whether a lease protects no unit: none of its units is submitted, and none is on the machine. A leader that
    /// renews leases releases such a lease on the host first.
    fn is_unused(&self, machine: MachineId, grant: &Grant) -> bool {
        let Some(view) = self.views.get(&machine).filter(|view| view.is_certain()) else { return false };
        let there = |unit: &UnitName| view.units.as_ref().is_some_and(|units| units.contains_key(unit));
        // What the backup lacked is known now that the machine answers.
        !grant.units.iter().any(|unit| self.snapshot.units.contains_key(unit) || there(unit))
    }

    /// Reports whether a machine has certainly no other unit, and no other file of a unit, than the store has.
    fn knows_all_units(&self, machine: MachineId) -> bool {
        let view = self.views.get(&machine).filter(|view| view.is_certain());
        let is_known = |(unit, state): (&UnitName, &UnitState)| {
            self.snapshot.units.get(unit).is_some_and(|known| known.hash == state.hash)
        };
        view.and_then(|view| view.units.as_ref()).is_some_and(|units| units.iter().all(is_known))
    }

    /// Reports whether a machine has certainly no lease that lasts longer than one that is sent now.
    fn has_no_longer_lease(&self, machine: MachineId, policy: LeasePolicy, now: Timestamp) -> bool {
        self.lease_ends.get(&machine).is_some_and(|end| *end <= now + policy.length())
    }

    /// Reports whether a machine's record is the one that this leader would write.
    fn is_current(
        &self,
        machine: MachineId,
        grant: &Grant,
        (policy, need): (LeasePolicy, &Need),
        now: Timestamp,
    ) -> bool {
        let lasts = match grant.until {
            Some(until) => !policy.is_controllers() && until > now + policy.length() / 2,
            None => policy.is_controllers(),
        };
        let is_short = grant.length > policy.length() && self.has_no_longer_lease(machine, policy, now);
        let is_assumed = grant.unknown && self.knows_all_units(machine);
        let ours = grant.epoch == self.epoch && grant.length >= policy.length() && !is_short && !is_assumed;
        ours && grant.covers(need) && grant.stopped_for_sure_at.is_none() && lasts
    }

    /// Records that a machine may hold a lease. An earlier lease counts until it has ended.
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
                // The machine has answered this leader, so the earlier leader has not renewed the lease since.
                let end = before.until.map_or(now + before.length, |until| until + lease::MAX_CLOCK_SKEW);
                self.lease_end(machine, end);
            }
            if !(before.unknown && self.knows_all_units(machine)) {
                need.stop = need.stop.max(before.stop);
            }
            need.slack = need.slack.max(before.slack);
            // The units of the earlier record may still run there, unless the observed units are certain.
            if !self.views.get(&machine).is_some_and(MachineView::is_certain) {
                need.join(&before);
            }
            if before.epoch != self.epoch || !self.has_no_longer_lease(machine, policy, now) {
                length = length.max(before.length);
            }
        }
        self.outbox.push(Write::Lease(machine, Grant { length, ..policy.grant(self.epoch, need, now) }));
    }

    /// Waits for the lease of a machine that does not answer to end: records when its strict units have certainly
    /// stopped, and removes the record then.
    fn await_end(&mut self, machine: MachineId, grant: Grant, now: Timestamp) {
        let Some(gone) = self.gone_at(machine, &grant) else { return };
        let told = grant.stopped_for_sure_at == Some(gone) || (self.is_sweep() && grant.stopped_for_sure_at.is_some());
        if gone <= now {
            self.log(now, Some(machine), None, EventKind::LeaseEnded);
            self.write_off(machine);
        } else if !told {
            let slack = self.slack_of(machine, &grant);
            self.outbox.push(Write::Lease(machine, Grant { slack, stopped_for_sure_at: Some(gone), ..grant }));
        }
    }

    /// Removes the record of a lease that has certainly ended, and the states of its units on the machine.
    pub(super) fn write_off(&mut self, machine: MachineId) {
        let grant = self.snapshot.leases.get(&machine);
        let ended = |unit: &&UnitName| grant.is_some_and(|grant| grant.may_run(unit, self.is_strict(unit)));
        let gone = self.noted.get(&machine).into_iter().flatten().filter(ended).cloned();
        for unit in gone.collect::<Vec<_>>() {
            self.note(Write::NoState(unit, machine));
        }
        self.outbox.push(Write::NoLease(machine));
    }

    /// Records the machines of which a later leader must have reached enough before it may rely on the end of these
    /// leases.
    fn keep_voters(&mut self, policy: LeasePolicy, used: bool) {
        let pending = self.outbox.holds(|write| matches!(write, Write::Voters(_)));
        let same = self.snapshot.voters.iter().eq(self.snapshot.machines.keys());
        if used && policy.is_controllers() && self.quorum_seen_at.is_some() && !pending && !same {
            self.outbox.push(Write::Voters(self.snapshot.machines.keys().copied().collect()));
        }
    }

    /// Records the time at which enough machines have answered that no earlier leader can be answered by most of them.
    pub(super) fn witness(&mut self, now: Timestamp) {
        let voters = &self.snapshot.voters;
        // This bound costs no walk over all voters with every visit.
        if self.quorum_seen_at.is_some() || !lease::is_blocking(self.views.seen_at_most(), voters.len()) {
            return;
        }
        let told = |machine: &&MachineId| self.views.get(machine).is_some_and(|view| view.evidence.answered.is_some());
        if lease::is_blocking(voters.iter().filter(told).count(), voters.len()) {
            self.quorum_seen_at = Some(now);
            self.stale.leases = true;
            self.views.touch_all().for_each(drop);
        }
    }

    /// Reports whether there are leases to renew while the store is away.
    pub fn holds_leases(&self) -> bool {
        self.timing.lease.is_some() && self.snapshot.leases.values().any(Grant::is_open)
    }

    /// Stops everything except the renewal of leases, and abandons visits in flight. The store may or may not have
    /// accepted the commit in flight: leases whose end it recorded are not renewed either.
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

    /// Reports whether most machines have answered recently, so that no other leader can have taken over.
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

    /// Records that the store has accepted the record of a machine's lease.
    pub(super) fn lease_written(&mut self, machine: MachineId) {
        if let Some(view) = self.views.touch(machine) {
            view.unplanned = true;
            view.next_visit = Timestamp::ZERO;
        }
    }

    /// Records that a machine's lease has ended: steps and placements that waited for it are computed again.
    pub(super) fn lease_ended(&mut self, machine: MachineId) {
        self.stale.placements = true;
        self.stale.leases = true;
        self.views.touch(machine);
        self.views.replan_waiting();
    }

    /// Returns what a visit to a machine does about its lease.
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
        let until = uptime.saturating_add(self.lease_lasts(machine, now)?.since(heard));
        Some(LeaseAction::Hold { until, length: policy.length() })
    }

    /// Returns when a lease ends that is sent now; `None` if this reconciler grants no leases.
    pub(super) fn lease_lasts(&self, machine: MachineId, now: Timestamp) -> Option<Timestamp> {
        let policy = self.timing.lease?;
        let until = self.snapshot.leases.get(&machine).and_then(|grant| grant.until);
        Some(until.unwrap_or(now + policy.length()))
    }

    /// Records that a lease was sent.
    pub(super) fn lease_sent(&mut self, machine: MachineId, end: Timestamp) {
        if let Some(view) = self.views.touch(machine) {
            view.fencing.void = true;
        }
        self.lease_end(machine, end);
    }

    /// Records how long a host's systemd took to renew the lease. The bound of a slow systemd is longer, and this leader does
    /// not shorten it again.
    pub(super) fn renewal_seen(&mut self, machine: MachineId, renewal: Duration) {
        let slack = lease::slack_of(renewal);
        let Some(view) = self.views.touch(machine).filter(|view| slack > view.lease.slack) else { return };
        view.lease.slack = slack;
        self.renew_need(machine);
    }

    /// Records the status of a lease that a host reported. The host holds exactly the lease that was sent: earlier ones,
    /// which may have been longer, count no more.
    pub(super) fn lease_seen(
        &mut self,
        machine: MachineId,
        seen: LeaseStatus,
        sent: Option<Timestamp>,
        now: Timestamp,
    ) {
        if let (Some(end), LeaseStatus::Held | LeaseStatus::Granted) = (sent, seen) {
            self.lease_ends.insert(machine, end);
        }
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
    /// Returns the reason as text, with the names of machines. A unit that is not strict waits for a strict copy of it.
    pub fn tell(self, is_strict: bool, name: impl Fn(MachineId) -> String) -> String {
        let why = match self {
            Self::NoController => "strict units need a running controller, or sweeps with --sweep-every".to_owned(),
            Self::Unreadable => "the records of leases cannot be read".to_owned(),
            Self::FirstVisits => "machines that may run it have not been visited yet".to_owned(),
            Self::NoLease(None) => "its machine has no lease yet".to_owned(),
            Self::NoLease(Some(why)) => format!("its machine would not hold a lease: {why}"),
            Self::MayRun(machine, _) => format!("may still run on {}", name(machine)),
            Self::Leaving(machine) => format!("is being stopped on {}", name(machine)),
        };
        if is_strict { format!("it is strict, and {why}") } else { format!("a strict copy of it {why}") }
    }
}
