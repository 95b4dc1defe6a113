//! The pass's judging: verdicts on all machines together, with the brake on.

use std::collections::BTreeMap;

use super::Pass;
use crate::core::health::AT_ONCE;
use crate::core::health::Judgement;
use crate::core::health::failover::fallen;
use crate::core::health::failover::remember;
use crate::core::health::judge;
use crate::core::model::Forced;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::Verdict;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Seat;

impl Pass {
    /// Judges every machine. Only who looks at all of them for as long as patience asks may tell the store.
    pub(super) fn judge_all(&mut self, now: Timestamp) {
        let mut changed = Vec::new();
        for (machine, judgement) in self.judgements(now) {
            let Some(seat) = self.seats.get_mut(&machine) else { continue };
            seat.judge_again = judgement.again;
            seat.why.clone_from(&judgement.why);
            if seat.verdict == Some(judgement.verdict) {
                continue;
            }
            seat.verdict = Some(judgement.verdict);
            // Nobody finds a place because somebody else is suspected.
            self.stale |= judgement.verdict != Verdict::Suspect;
            let before = self.snapshot.health.get(&machine);
            let known = before.map(|health| health.verdict);
            // A leader that has just begun to look knows less of a machine than the one before that had given it up.
            let begins = judgement.verdict == Verdict::Suspect && known.is_some_and(|known| known != Verdict::Alive);
            if self.scope == Scope::All && known != Some(judgement.verdict) && !begins {
                let last_seen = seat.evidence.answered.unwrap_or(seat.evidence.watched_since);
                let falls = before.map_or(&[][..], |health| &health.falls);
                let falls = if judgement.verdict == Verdict::Down { remember(falls, now) } else { falls.to_vec() };
                let mut health =
                    Health { verdict: judgement.verdict, since: now, last_seen, why: judgement.why, falls };
                if let Some(hold) = self.caution.hold(&health, now) {
                    let (falls, up) = (hold.falls, hold.until.since(now).as_secs());
                    health.why += &format!("; takes nothing new for {up} s: it went down {falls} times within an hour");
                }
                changed.push((machine, known, health));
            }
        }
        for (machine, known, health) in changed {
            if known.is_some() || health.verdict != Verdict::Alive {
                self.log(now, Some(machine), None, format!("{}: {}", health.verdict, health.why));
            }
            self.note(Write::Health(machine, health));
        }
        self.release_held(now);
    }

    /// Judges every machine of which something new may be thought.
    fn judgements(&self, now: Timestamp) -> Vec<(MachineId, Judgement)> {
        let mut judged: Vec<(MachineId, Judgement)> = Vec::new();
        let doubted = |seat: &Seat| seat.verdict != Some(Verdict::Alive) || !seat.answers();
        for (machine, seat) in self.seats.iter().filter(|(_, seat)| doubted(seat)) {
            judged.extend(judge(&seat.evidence, self.tempo.patience, now).map(|judgement| (*machine, judgement)));
        }
        if self.scope == Scope::All && judged.iter().any(|(_, judgement)| judgement.verdict == Verdict::Down) {
            self.hold_back(&mut judged, now);
        }
        judged
    }

    /// Thinks better of giving machines up, where there is reason to.
    fn hold_back(&self, judged: &mut [(MachineId, Judgement)], now: Timestamp) {
        let (silent, fallen) = (self.quiet(now), fallen(&self.snapshot, now));
        // Those that are given up together count for one another.
        let mut moved = 0;
        for (machine, judgement) in judged.iter_mut().filter(|(_, judgement)| judgement.verdict == Verdict::Down) {
            let known = self.snapshot.health.get(machine).map(|health| health.verdict);
            let others = (&silent, fallen.as_slice(), moved);
            let restraint = self.caution.restrain(&self.snapshot, self.tempo.patience, *machine, others, now);
            let forced = self.snapshot.forced.get(machine).filter(|forced| now < forced.until);
            match (restraint, forced) {
                (None, _) => {}
                (Some(_), Some(Forced { by, .. })) => judgement.why += &format!("; given up on the word of {by}"),
                (Some(restraint), None) => {
                    judgement.verdict = Verdict::Unreachable;
                    judgement.why = format!("{}; {}", restraint.why, judgement.why);
                    judgement.again = restraint.again;
                    continue;
                }
            }
            moved += usize::from(known != Some(Verdict::Down));
        }
    }

    /// Finds out when the next machine that is held down takes units again.
    fn release_held(&mut self, now: Timestamp) {
        let over = self.released.is_some_and(|at| at <= now);
        if self.stale || over {
            self.stale |= over;
            let holds = self.snapshot.health.values().filter_map(|health| self.caution.hold(health, now));
            self.released = holds.map(|hold| hold.until).min();
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
