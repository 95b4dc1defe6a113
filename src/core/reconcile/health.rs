//! Assesses machines, and applies the failover policy to those that are down. The rules themselves are in
//! [`crate::core::health`].

use super::Reconciler;
use crate::core::health::Assessment;
use crate::core::health::assess;
use crate::core::health::failover::FailoverCounts;
use crate::core::health::failover::FailoverRound;
use crate::core::health::failover::record_outage;
use crate::core::model::EventKind;
use crate::core::model::FailoverBlock;
use crate::core::model::FailoverOverride;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Brake;
use crate::core::reconcile::machine_view::MachineView;

impl Reconciler {
    /// Assesses every machine whose health may have changed. Only a reconciler with all machines in scope stores the
    /// result.
    pub(super) fn assess_all(&mut self, now: Timestamp) {
        let mut changed = Vec::new();
        for (machine, assessment) in self.assessments(now) {
            let Some(view) = self.views.touch(machine) else { continue };
            view.assess_again = assessment.again;
            if !matches!(assessment.health, Health::Down | Health::Unreachable) {
                view.brake = None;
            }
            if view.health == Some(assessment.health) {
                continue;
            }
            let first = view.health.replace(assessment.health).is_none();
            // A suspicion opens no machine to units. The first assessment and every other change may.
            self.stale.placements |= first || assessment.health != Health::Suspect;
            self.stale.failover = true;
            if assessment.health == Health::Suspect && !view.may_note_suspicion(now) {
                continue;
            }
            changed.extend(self.health_change(machine, assessment, now));
        }
        for (machine, known, record) in changed {
            if known.is_some() || record.health != Health::Alive {
                let (from, to, reason) = (known, record.health, record.reason.clone());
                self.log(now, Some(machine), None, EventKind::HealthChanged { from, to, reason });
            }
            self.failover_counts = None;
            self.note(Write::Health(machine, record));
        }
        self.watch_exclusions(now);
    }

    /// Returns the health in the store and the record to write, if the store must be updated.
    fn health_change(
        &self,
        machine: MachineId,
        assessment: Assessment,
        now: Timestamp,
    ) -> Option<(MachineId, Option<Health>, HealthRecord)> {
        let Assessment { health, reason, .. } = assessment;
        let before = self.snapshot.health.get(&machine);
        let known = before.map(|record| record.health);
        // A new leader has less evidence than the leader before it, which had concluded more than a suspicion.
        let begins = health == Health::Suspect && known.is_some_and(|known| known != Health::Alive);
        if self.scope != Scope::All || known == Some(health) || begins {
            return None;
        }
        let answered = self.views.get(&machine)?.evidence.answered;
        let last_seen = answered.or_else(|| before.and_then(|record| record.last_seen));
        let outages = before.map_or(&[][..], |record| &record.outages);
        let outages = if health == Health::Down { record_outage(outages, now) } else { outages.to_vec() };
        let mut record = HealthRecord { health, since: now, last_seen, reason, outages };
        record.reason.hold_down = self.failover_policy.hold_down(&record, now);
        Some((machine, known, record))
    }

    /// Assesses the machines whose health may have changed: those with new evidence, those whose time has come, and all
    /// doubted machines if the silent machines or the counts of the failover policy have changed.
    fn assessments(&mut self, now: Timestamp) -> Vec<(MachineId, Assessment)> {
        let mut changed = std::mem::take(&mut self.stale.failover);
        let mut doubted = Vec::new();
        for machine in self.views.dirty() {
            let Some(view) = self.views.touch(machine) else { continue };
            let silent = is_silent(view, now);
            changed |= std::mem::replace(&mut view.silent, silent) != silent;
            doubted.extend(view.is_doubted().then_some(machine));
        }
        let machines = if changed { self.views.doubted() } else { doubted };
        let assess = |machine: MachineId| {
            Some((machine, assess(&self.views.get(&machine)?.evidence, self.timing.detection, now)?))
        };
        let mut assessments: Vec<_> = machines.into_iter().filter_map(assess).collect();
        let down = |(_, assessment): &(MachineId, Assessment)| assessment.health == Health::Down;
        if self.scope == Scope::All && !self.snapshot.failover_overrides.is_empty() {
            self.end_overrides(&assessments);
            self.apply_overrides(&mut assessments, now);
        }
        if self.scope == Scope::All && assessments.iter().any(down) {
            self.apply_failover_policy(&mut assessments, now);
        }
        assessments
    }

    /// Ends the orders for machines that have answered since: the next outage is another matter.
    fn end_overrides(&mut self, assessments: &[(MachineId, Assessment)]) {
        let alive = assessments.iter().filter(|(_, it)| it.health == Health::Alive).map(|(machine, _)| *machine);
        let has_answered = |machine: &MachineId| {
            let order = self.snapshot.failover_overrides.get(machine);
            let answered = self.views.get(machine).and_then(|view| view.evidence.answered);
            order.zip(answered).is_some_and(|(order, answered)| answered > order.given)
        };
        for machine in alive.filter(has_answered).collect::<Vec<_>>() {
            self.note(Write::NoFailoverOverride(machine));
        }
    }

    /// Changes the health of machines that are not alive to `down` where the operator has ordered a failover: the
    /// evidence that the machine is up may come from another machine.
    fn apply_overrides(&mut self, assessments: &mut [(MachineId, Assessment)], now: Timestamp) {
        for (machine, assessment) in assessments {
            let in_force = |it: &&FailoverOverride| now < it.until;
            let order = self.snapshot.failover_overrides.get(machine).filter(in_force);
            let forced = order.filter(|_| !matches!(assessment.health, Health::Alive | Health::Suspect | Health::Down));
            if let Some(view) = self.views.touch(*machine) {
                view.forced_down = forced.is_some();
            }
            if let Some(FailoverOverride { by, until, .. }) = forced {
                assessment.reason.assessed = Some(std::mem::replace(&mut assessment.health, Health::Down));
                assessment.again = assessment.again.into_iter().chain([*until]).min();
                assessment.reason.forced_by = Some(by.clone());
            }
        }
    }

    /// Changes `down` to `unreachable` where the failover policy blocks the failover. When the brake lets go, what was seen
    /// while it held says little about now: each machine gets the time again in which it may answer.
    fn apply_failover_policy(&mut self, assessments: &mut [(MachineId, Assessment)], now: Timestamp) {
        let counts = self.failover_counts.take();
        let counts = counts.unwrap_or_else(|| FailoverCounts::of(&self.failover_policy, &self.snapshot));
        let silent = |machine: &MachineId| self.views.get(machine).is_some_and(|view| view.silent);
        let silent = self.views.doubted().into_iter().filter(silent);
        let (policy, detection) = (&self.failover_policy, self.timing.detection);
        let mut round = FailoverRound::new(policy, &counts, &self.snapshot, detection, silent, now);
        for (machine, assessment) in assessments.iter_mut().filter(|(_, it)| it.health == Health::Down) {
            let in_force = |it: &&FailoverOverride| now < it.until;
            let failover_override = self.snapshot.failover_overrides.get(machine).filter(in_force);
            match (round.blocked_by(*machine), failover_override) {
                (None, _) => {}
                (Some(_), Some(FailoverOverride { by, .. })) => {
                    assessment.reason.forced_by = Some(by.clone());
                }
                (Some(blocked), None) => {
                    let is_brake = matches!(blocked.by, FailoverBlock::Brake { .. } | FailoverBlock::ZoneBrake { .. });
                    if let Some(view) = self.views.touch(*machine) {
                        view.brake = is_brake.then_some(Brake::Holds);
                    }
                    assessment.health = Health::Unreachable;
                    assessment.reason.block = Some(blocked.by);
                    assessment.again = blocked.again;
                    continue;
                }
            }
            let until = self.views.touch(*machine).and_then(|view| view.respite(detection.down_after, now));
            if let Some(until) = until.filter(|_| failover_override.is_none()) {
                assessment.health = Health::Unreachable;
                assessment.reason.block = Some(FailoverBlock::BrakeReleased);
                assessment.again = Some(until);
                continue;
            }
            round.fail_over(*machine);
        }
        self.failover_counts = Some(counts);
    }

    /// Makes the placements stale when the next machine takes units again that took none for a time.
    fn watch_exclusions(&mut self, now: Timestamp) {
        self.stale.placements |= self.exclusion_ends.take_if(|at| *at <= now).is_some();
    }

    /// Returns when the next machine takes units again that had too many outages.
    pub(super) fn next_hold_down_end(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = |it: &HealthRecord| Some(it.since + self.failover_policy.hold_down(it, now)?.length());
        self.snapshot.health.values().filter_map(ends).min()
    }

    /// Returns a machine's health as this leader or an earlier one has assessed it.
    pub(super) fn health(&self, machine: MachineId) -> Option<Health> {
        let assessed = self.views.get(&machine).and_then(|view| view.health);
        match (&self.scope, assessed) {
            (Scope::All, assessed) | (Scope::Units(_), assessed @ Some(Health::Alive)) => assessed,
            (Scope::Units(_), _) => self.snapshot.health.get(&machine).map(|health| health.health),
        }
    }
}

/// Reports whether a machine is silent now: the leader's visits fail and no peer has reported that it reaches the
/// machine.
fn is_silent(view: &MachineView, now: Timestamp) -> bool {
    view.evidence.is_silent() && view.evidence.peers.reached_until(now).is_none()
}
