//! The reconciler's judging: health_changes on all machines together, with the brake on.

use std::collections::BTreeMap;

use super::Reconciler;
use crate::core::health::AT_ONCE;
use crate::core::health::Assessment;
use crate::core::health::assess;
use crate::core::health::failover::recent_outages;
use crate::core::health::failover::record_outage;
use crate::core::model::EventKind;
use crate::core::model::FailoverOverride;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;

impl Reconciler {
    /// Judges every machine. Only who looks at all of them for as long as detection requirements may tell the store.
    pub(super) fn assess_all(&mut self, now: Timestamp) {
        let mut changed = Vec::new();
        for (machine, assessment) in self.assessments(now) {
            let Some(view) = self.views.get_mut(&machine) else { continue };
            view.assess_again = assessment.again;
            view.why.clone_from(&assessment.why);
            if view.health == Some(assessment.health) {
                continue;
            }
            view.health = Some(assessment.health);
            // Nobody finds a place because somebody else is suspected.
            self.placements_stale |= assessment.health != Health::Suspect;
            let before = self.snapshot.health.get(&machine);
            let known = before.map(|health| health.health);
            // A leader that has just begun to look knows less of a machine than the one before that had given it up.
            let begins = assessment.health == Health::Suspect && known.is_some_and(|known| known != Health::Alive);
            if self.scope == Scope::All && known != Some(assessment.health) && !begins {
                let last_seen = view.evidence.answered.unwrap_or(view.evidence.watched_since);
                let outages = before.map_or(&[][..], |health| &health.outages);
                let outages =
                    if assessment.health == Health::Down { record_outage(outages, now) } else { outages.to_vec() };
                let mut health =
                    HealthRecord { health: assessment.health, since: now, last_seen, why: assessment.why, outages };
                if let Some(hold) = self.failover_policy.hold_down(&health, now) {
                    let (outages, up) = (hold.outages, hold.until.since(now).as_secs());
                    health.why +=
                        &format!("; takes nothing new for {up} s: it went down {outages} times within an hour");
                }
                changed.push((machine, known, health));
            }
        }
        for (machine, known, health) in changed {
            if known.is_some() || health.health != Health::Alive {
                let (from, to, evidence) = (known, health.health, health.why.clone());
                self.log(now, Some(machine), None, EventKind::HealthChanged { from, to, evidence });
            }
            self.note(Write::Health(machine, health));
        }
        self.release_held(now);
    }

    /// Judges every machine of which something new may be thought.
    fn assessments(&self, now: Timestamp) -> Vec<(MachineId, Assessment)> {
        let mut judged: Vec<(MachineId, Assessment)> = Vec::new();
        let doubted = |view: &MachineView| view.health != Some(Health::Alive) || !view.answers();
        for (machine, view) in self.views.iter().filter(|(_, view)| doubted(view)) {
            judged.extend(assess(&view.evidence, self.timing.detection, now).map(|assessment| (*machine, assessment)));
        }
        if self.scope == Scope::All && judged.iter().any(|(_, assessment)| assessment.health == Health::Down) {
            self.apply_failover_policy(&mut judged, now);
        }
        judged
    }

    /// Thinks better of giving machines up, where there is reason to.
    fn apply_failover_policy(&self, judged: &mut [(MachineId, Assessment)], now: Timestamp) {
        let (silent, recent_outages) = (self.quiet(now), recent_outages(&self.snapshot, now));
        // Those that are given up together count for one another.
        let mut moved = 0;
        for (machine, assessment) in judged.iter_mut().filter(|(_, assessment)| assessment.health == Health::Down) {
            let known = self.snapshot.health.get(machine).map(|health| health.health);
            let others = (&silent, recent_outages.as_slice(), moved);
            let block = self.failover_policy.blocked_by(&self.snapshot, self.timing.detection, *machine, others, now);
            let forced = self.snapshot.failover_overrides.get(machine).filter(|forced| now < forced.until);
            match (block, forced) {
                (None, _) => {}
                (Some(_), Some(FailoverOverride { by, .. })) => {
                    assessment.why += &format!("; given up on the word of {by}");
                }
                (Some(block), None) => {
                    assessment.health = Health::Unreachable;
                    assessment.why = format!("{}; {}", block.why, assessment.why);
                    assessment.again = block.again;
                    continue;
                }
            }
            moved += usize::from(known != Some(Health::Down));
        }
    }

    /// Finds out when the next machine that is held down takes units again.
    fn release_held(&mut self, now: Timestamp) {
        let over = self.released.is_some_and(|at| at <= now);
        if self.placements_stale || over {
            self.placements_stale |= over;
            let holds = self.snapshot.health.values().filter_map(|health| self.failover_policy.hold_down(health, now));
            self.released = holds.map(|hold| hold.until).min();
        }
    }

    /// Returns the machines that do not answer, and since when, but for those that have been down for a while.
    fn quiet(&self, now: Timestamp) -> BTreeMap<MachineId, Timestamp> {
        if self.scope != Scope::All {
            return BTreeMap::new();
        }
        // Whom its neighbours reach is not silent.
        let reached = |view: &MachineView| view.answers() || view.evidence.peers.reached_until(now).is_some();
        let silent = self.views.iter().filter(|(_, view)| !view.evidence.failures.is_empty() && !reached(view));
        let fresh = silent.filter(|(machine, _)| {
            let known = self.snapshot.health.get(machine).filter(|health| health.health == Health::Down);
            known.is_none_or(|health| now.since(health.since) < AT_ONCE)
        });
        fresh.map(|(machine, view)| (*machine, view.evidence.silent_since())).collect()
    }

    /// Returns what is thought of a machine, by this leader or by those before it.
    pub(super) fn health(&self, machine: MachineId) -> Option<Health> {
        let judged = self.views.get(&machine).and_then(|view| view.health);
        match (&self.scope, judged) {
            (Scope::All, judged) | (Scope::Units(_), judged @ Some(Health::Alive)) => judged,
            (Scope::Units(_), _) => self.snapshot.health.get(&machine).map(|health| health.health),
        }
    }
}
