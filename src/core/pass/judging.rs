//! The pass's judging: verdicts on all machines together, with the brake on.

use std::collections::BTreeMap;

use super::Pass;
use crate::core::cluster::MachineId;
use crate::core::cluster::Write;
use crate::core::judge::AT_ONCE;
use crate::core::judge::Health;
use crate::core::judge::Verdict;
use crate::core::judge::judge;
use crate::core::roster::Scope;
use crate::core::seat::Seat;
use crate::core::time::Timestamp;

impl Pass {
    /// Judges every machine. Only who looks at all of them for as long as patience asks may tell the store.
    pub(super) fn judge_all(&mut self, now: Timestamp) {
        let mut changed = Vec::new();
        let quiet = self.quiet(now);
        for (machine, seat) in &mut self.seats {
            if seat.verdict == Some(Verdict::Alive) && seat.answers() {
                continue;
            }
            let Some(mut judgement) = judge(&seat.evidence, self.tempo.patience, now) else { continue };
            if judgement.verdict == Verdict::Down && quiet.contains_key(machine) {
                let since = seat.evidence.silent_since();
                let at_once = |other: &&Timestamp| other.since(since).max(since.since(**other)) < AT_ONCE;
                let (silent, all) = (quiet.values().filter(at_once).count(), self.snapshot.machines.len());
                if self.tempo.patience.is_brake_on(silent, all) {
                    judgement.verdict = Verdict::Unreachable;
                    let us = "it is more likely us than them, and nothing is moved";
                    judgement.why = format!("{silent} of {all} machines went silent at once: {us}; {}", judgement.why);
                }
            }
            seat.judge_again = judgement.again;
            seat.why.clone_from(&judgement.why);
            if seat.verdict == Some(judgement.verdict) {
                continue;
            }
            seat.verdict = Some(judgement.verdict);
            let known = self.snapshot.health.get(machine).map(|health| health.verdict);
            self.stale = true;
            // A leader that has just begun to look knows less of a machine than the one before that had given it up.
            let begins = judgement.verdict == Verdict::Suspect && known.is_some_and(|known| known != Verdict::Alive);
            if self.scope == Scope::All && known != Some(judgement.verdict) && !begins {
                let last_seen = seat.evidence.answered.unwrap_or(seat.evidence.watched_since);
                let health = Health { verdict: judgement.verdict, since: now, last_seen, why: judgement.why };
                changed.push((*machine, known, health));
            }
        }
        for (machine, known, health) in changed {
            if known.is_some() || health.verdict != Verdict::Alive {
                self.log(now, Some(machine), None, format!("{}: {}", health.verdict, health.why));
            }
            self.note(Write::Health(machine, health));
        }
    }

    /// Returns the machines that do not answer, and since when, but for those that have been down for a while.
    fn quiet(&self, now: Timestamp) -> BTreeMap<MachineId, Timestamp> {
        if self.scope != Scope::All {
            return BTreeMap::new();
        }
        // Whom its neighbours reach is not silent.
        let reached = |seat: &Seat| seat.answers() || seat.evidence.counsel.reached_until(now).is_some();
        let silent = self.seats.iter().filter(|(_, seat)| !seat.evidence.failures.is_empty() && !reached(seat));
        let fresh = silent.filter(|(machine, _)| {
            let known = self.snapshot.health.get(machine).filter(|health| health.verdict == Verdict::Down);
            known.is_none_or(|health| now.since(health.since) < AT_ONCE)
        });
        fresh.map(|(machine, seat)| (*machine, seat.evidence.silent_since())).collect()
    }

    /// Returns what is thought of a machine, by this leader or by those before it.
    pub(super) fn verdict(&self, machine: MachineId) -> Option<Verdict> {
        let judged = self.seats.get(&machine).and_then(|seat| seat.verdict);
        match (&self.scope, judged) {
            (Scope::All, judged) | (Scope::Units(_), judged @ Some(Verdict::Alive)) => judged,
            (Scope::Units(_), _) => self.snapshot.health.get(&machine).map(|health| health.verdict),
        }
    }
}
