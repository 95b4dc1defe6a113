//! Results of visits: records the reports of hosts and the failures of visits. What follows from them is decided later
//! in the turn.

use std::time::Duration;

use super::Reconciler;
use super::probing;
use crate::core::model::Action;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::Refused;
use crate::core::model::Report;
use crate::core::model::Step;
use crate::core::model::Timestamp;
use crate::core::reconcile::machine_view::InFlightVisit;
use crate::core::reconcile::machine_view::MachineView;

/// How long the next visit waits after the host, or the check of its key, ended the login. OpenSSH 9.8 bans an address
/// that has collected more than 15 s of penalties: a failed login adds 5 s, a connection without a login 1 s, and
/// penalties expire with time (`PerSourcePenalties`).
const REJECTED_WAIT: Duration = Duration::from_secs(6);

/// For how long every observation is a full one after a unit was started: longer than a command watches it by default.
const WATCHED: Duration = Duration::from_secs(4);

/// The message about steps that were not taken because of the lock of the host.
const BUSY: &str = "another process holds the host's lock: `fuser -v /run/muster/lock` on the host shows which one";

impl Reconciler {
    /// Records that a machine's own sshd has sent something during the visit in flight.
    pub(super) fn progressed(&mut self, machine: MachineId, phase: Phase, now: Timestamp) {
        let Some(view) = self.views.touch(machine) else { return };
        let Some(in_flight) = &view.in_flight else { return };
        // A relay may connect to its own sshd. The host key is checked before the next phase.
        let unproven = in_flight.through.is_some() && phase <= Phase::KeyExchange;
        if !unproven {
            view.evidence.progress(phase, now);
        }
    }

    /// Records the report of a visit.
    pub(super) fn visit_succeeded(&mut self, machine: MachineId, report: Report, now: Timestamp) {
        if let Some(refused) = report.refused {
            return self.visit_refused(machine, &refused, now);
        }
        if let Some(seen) = &report.observation {
            self.compare_serial(machine, seen.serial, now);
        }
        if let Some(failure) = self.name_unknown(machine, &report, now) {
            return self.visit_failed(machine, &failure, now);
        }
        self.record_images(machine, &report);
        let was_idle = self.has_only_idle_units(machine);
        let Some(view) = self.views.touch(machine) else { return };
        let in_flight = view.complete();
        let (through, lease_end) = (in_flight.through, in_flight.lease);
        let (steps, outcomes) = self.take_pulls(machine, (in_flight.steps, report.outcomes), now);
        let Some(view) = self.views.touch(machine) else { return };
        let needless = view.needless_starts(&steps);
        view.conclude(&steps, &outcomes, now);
        let is_full = report.observation.as_ref().is_some_and(|seen| seen.units.is_some());
        let lease = report.observation.as_ref().and_then(|seen| seen.lease);
        let renewal = report.observation.as_ref().and_then(|seen| seen.renewal);
        let had_relay = view.evidence.relay.is_some();
        let has_room = report.observation.as_ref().is_some_and(|seen| seen.has_room);
        if let Some(seen) = report.observation {
            view.observe(seen, through, now);
        }
        if had_relay && view.evidence.relay.is_none() {
            self.closing_relays.push(machine);
        }
        if is_full {
            // systemd may not have noticed yet that a process which it has just started has ended.
            if steps.iter().any(|step| step.action.starts()) {
                view.watched_until = now + WATCHED;
            }
            let is_watched = now < view.watched_until;
            let next = if is_watched { self.timing.poll_interval } else { self.timing.full_poll_interval };
            view.next_full_observation = now + next;
        }
        let soon = if view.is_changing() { self.timing.retry_interval } else { self.timing.poll_interval };
        view.next_visit = now + soon;
        view.unplanned |= is_full;
        let is_news = |(step, outcome): &(&Step, &Outcome)| {
            let is_needless = matches!(step.action, Action::Start { .. }) && needless.contains(&step.unit);
            !is_needless || **outcome != Outcome::Done
        };
        self.log_outcomes(now, machine, steps.iter().zip(&outcomes).filter(is_news));
        self.log_ended_restarts(machine, now);
        self.record_failed_loads(machine, &steps, &outcomes, now);
        self.record_pulls(machine, &steps, &outcomes, now);
        if has_room {
            self.forget_lack_of_room(machine);
        }
        // Also if the units are the same: which of them are recorded depends on the placements.
        if is_full {
            self.take_adoptable(machine);
            self.note_foreign(machine, now);
            self.note_states(machine, now);
            self.renew_need(machine);
            // Units that run no more may leave a machine that is drained.
            self.stale.placements |= !was_idle && self.has_only_idle_units(machine);
        }
        self.log_recoveries(machine, now);
        if let Some(renewal) = renewal {
            self.renewal_seen(machine, renewal);
        }
        if let Some(lease) = lease {
            self.lease_seen(machine, lease, lease_end, now);
        }
        self.witness(now);
    }

    /// Logs the restarts that systemd has carried out since the visit that ordered them.
    fn log_ended_restarts(&mut self, machine: MachineId, now: Timestamp) {
        let ended = self.views.touch(machine).map(MachineView::take_ended_restarts).unwrap_or_default();
        for step in ended {
            self.log_outcome(now, machine, &step, &Outcome::Done);
        }
    }

    fn visit_refused(&mut self, machine: MachineId, refused: &Refused, now: Timestamp) {
        let is_known = |view: &MachineView| {
            view.heard.is_some() && view.in_flight.as_ref().is_some_and(|visit| visit.lease.is_none())
        };
        if *refused == Refused::Busy && self.views.get(&machine).is_some_and(is_known) {
            return self.visit_was_early(machine, now);
        }
        let host = self.snapshot.machines.get(&machine).map(|machine| machine.name.clone()).unwrap_or_default();
        self.visit_failed(machine, &refused.failure(host), now);
    }

    /// Records that another visit, or a program of the host's root, held the lock. That says nothing against the health of a
    /// machine that this leader has observed before. The steps are sent again after an observation, and count as failed if
    /// the lock is held for long. A lease that is not renewed is another matter.
    fn visit_was_early(&mut self, machine: MachineId, now: Timestamp) {
        let Some(view) = self.views.touch(machine) else { return };
        let Some(InFlightVisit { steps, through, .. }) = view.in_flight.take() else { return };
        match through {
            Some(relay) => view.evidence.answer_through(relay, now),
            None => view.evidence.answer(now),
        }
        view.next_visit = now + self.timing.retry_interval;
        let is_held_for_long = view.come_early(&steps, now);
        if is_held_for_long {
            let failed = Outcome::Failed(BUSY.to_owned());
            let outcomes = vec![failed; steps.len()];
            view.conclude(&steps, &outcomes, now);
            self.log_outcomes(now, machine, steps.iter().zip(&outcomes));
        }
    }

    /// Records that a visit failed.
    pub(super) fn visit_failed(&mut self, machine: MachineId, failure: &Failure, now: Timestamp) {
        let retry = self.retry_after(failure.kind);
        let Some(view) = self.views.touch(machine) else { return };
        let Some(InFlightVisit { steps, through, .. }) = view.abandon(self.timing.start_deadline) else { return };
        view.lose(&steps, now);
        view.next_visit = now + retry;
        view.record_failure(failure.clone(), through, now);
        match through {
            Some(_) => self.closing_relays.push(machine),
            None => view.next_direct = now + probing::DIRECT_EVERY,
        }
        if through.is_some() && !matches!(failure.kind, FailureKind::Local | FailureKind::Path) {
            view.next_relay_try = now + probing::RELAY_RETRY;
        }
        // A candidate that does not answer takes no unit, so another machine has to be found.
        self.stale.placements |= self.probe_candidates.contains(&machine);
        let lost = Outcome::Lost(failure.clone());
        self.log_outcomes(now, machine, steps.iter().map(|step| (step, &lost)));
    }

    /// Returns how long the next visit waits after a failure. sshd bans an address that reconnects too soon after a
    /// failed login.
    fn retry_after(&self, kind: FailureKind) -> Duration {
        if kind.ends_login() || kind == FailureKind::WrongMachine {
            self.timing.retry_interval.max(REJECTED_WAIT)
        } else {
            self.timing.retry_interval
        }
    }
}
