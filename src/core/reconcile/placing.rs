//! The pass's placing: units off machines where they cannot stay, and onto machines that can take them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Pass;
use super::moved_unit;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Placement;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Verdict;
use crate::core::model::Write;
use crate::core::reconcile::assignments::Globals;
use crate::core::reconcile::assignments::Roster;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Seat;
use crate::core::schedule::Board;
use crate::core::schedule::Choice;
use crate::core::schedule::Refusal;
use crate::core::schedule::Standing;
use crate::core::schedule::leaders_first;
use crate::core::unit::UnitName;

/// Where a unit goes, and who goes elsewhere for it.
type Placed = Result<Vec<Choice>, Refusal>;

impl Pass {
    /// Brings placements and roster up to date, unless the store is still being told of the last change.
    pub(super) fn place(&mut self, now: Timestamp) {
        if !self.stale || self.committing.is_some() {
            return;
        }
        self.stale = false;
        self.place_units(now);
        if std::mem::take(&mut self.redraw) {
            self.draw_roster();
        }
        // What a step waits for on another machine may be over.
        self.seats.values_mut().for_each(|seat| seat.unplanned |= seat.waits);
    }

    /// Draws the roster up anew.
    fn draw_roster(&mut self) {
        let none = Globals::new();
        let roster = Roster::new(&self.snapshot, &self.scope, self.globals.as_ref().unwrap_or(&none));
        for (machine, seat) in &mut self.seats {
            // What was refused of something else than is wanted now need not be waited for.
            let same = |unit: &UnitName| roster.of(*machine, unit) == self.roster.of(*machine, unit);
            seat.setbacks.retain(|unit, _| same(unit));
            seat.unplanned = true;
        }
        self.roster = roster;
        let seated: Vec<MachineId> = self.seats.keys().copied().collect();
        for machine in seated {
            self.renew_need(machine);
        }
        self.unseated |= self.scope != Scope::All;
    }

    /// Takes in a placement that the store has taken.
    pub(super) fn moved(&mut self, write: Write) {
        let Some(unit) = moved_unit(&write).cloned() else { return };
        let place = |snapshot: &Snapshot| snapshot.placements.get(&unit).map(|placement| placement.machine);
        let before = place(&self.snapshot);
        self.snapshot.apply(write);
        if self.asks.is_global(&unit) {
            self.redraw = true;
            self.stale = true;
            return;
        }
        let after = place(&self.snapshot);
        self.roster.shift(&self.snapshot, &self.scope, &unit, before, after);
        for machine in before.into_iter().chain(after) {
            let Some(seat) = self.seats.get_mut(&machine) else { continue };
            if before != after {
                seat.setbacks.remove(&unit);
            }
            seat.unplanned = true;
            self.renew_need(machine);
        }
        for machine in self.snapshot.states.get(&unit).into_iter().flat_map(BTreeMap::keys) {
            self.seats.get_mut(machine).into_iter().for_each(|seat| seat.unplanned = true);
        }
    }

    /// Says whether a unit may be put on a machine.
    fn is_eligible(&self, machine: MachineId) -> bool {
        match self.seats.get(&machine).filter(|seat| !seat.evidence.is_empty()) {
            // What hangs on a neighbour gets nothing new.
            Some(seat) => seat.evidence.answers_directly(),
            None => self.scope != Scope::All && matches!(self.verdict(machine), None | Some(Verdict::Alive)),
        }
    }

    /// Says what a machine is worth to a unit that needs one.
    fn standing(&self, machine: MachineId, now: Timestamp) -> Standing {
        if self.is_eligible(machine) {
            let hold = self.snapshot.health.get(&machine).and_then(|health| self.caution.hold(health, now));
            return hold.map_or(Standing::Judged(Verdict::Alive), |hold| Standing::Flapping(hold.falls));
        }
        self.verdict(machine).filter(|verdict| *verdict != Verdict::Alive).unwrap_or(Verdict::Suspect).into()
    }

    /// Takes units off machines where they cannot or should not stay, and puts those that need one on a machine.
    fn place_units(&mut self, now: Timestamp) {
        // Before every machine has been looked at once it is not known who is free.
        if self.scope == Scope::All && self.seats.values().any(|seat| seat.evidence.is_empty()) {
            return;
        }
        let refused_before = std::mem::take(&mut self.refused);
        let placements = &self.snapshot.placements;
        let moved = placements.iter().filter_map(|(unit, at)| Some((unit.clone(), self.misplaced(unit, at)?)));
        let mut moved: BTreeMap<UnitName, String> = moved.collect();
        let wanting = self.snapshot.units.iter().filter(|(name, unit)| {
            let homeless = moved.contains_key(*name) || !placements.contains_key(*name);
            unit.desired != DesiredState::Inactive
                && homeless
                && self.scope.has(name)
                && self.snapshot.is_readable(name)
                && !self.asks.is_global(name)
        });
        let wanting: Vec<UnitName> = wanting.map(|(name, _)| name.clone()).collect();
        let mut board = Board::new(&self.snapshot, |machine| self.standing(machine, now), &self.asks);
        for unit in moved.keys() {
            board.remove(unit);
        }
        let mut placed = self.rehouse(&mut board, &mut moved);
        placed.extend(board.place_all(&wanting).into_iter().map(|(unit, choices)| (unit.clone(), choices)));
        let on = |machine: &MachineId| board.globals_on(*machine).cloned().collect::<BTreeSet<_>>();
        let globals = self.snapshot.machines.keys().map(|machine| (*machine, on(machine)));
        let globals: Globals = globals.filter(|(_, units)| !units.is_empty()).collect();
        for (unit, choices) in placed {
            match choices {
                Ok(choices) => self.accept(choices, &mut moved, now),
                Err(refusal) => {
                    // The numbers in it change with every machine that comes and goes.
                    let kind = std::mem::discriminant(&refusal);
                    if refused_before.get(&unit).map(std::mem::discriminant) != Some(kind) {
                        self.complain(now, None, Some(&unit), refusal.tell());
                    }
                    self.refused.insert(unit, refusal);
                }
            }
        }
        self.redraw |= self.globals.as_ref() != Some(&globals);
        self.globals = Some(globals);
        // A unit that has nowhere else to go stays where it is: its machine may come back.
        let wanted = |unit: &UnitName| {
            let machine = self.snapshot.placements.get(unit).map(|placement| placement.machine);
            let joined = machine
                .is_some_and(|machine| self.snapshot.machines.contains_key(&machine) && !self.is_overdue(machine, now));
            let global = self.asks.is_global(unit);
            let wanted = self.snapshot.units.get(unit).is_some_and(|unit| unit.desired != DesiredState::Inactive);
            joined && wanted && !global
        };
        moved.retain(|unit, _| !wanted(unit));
        for (unit, why) in moved {
            self.log(now, None, Some(&unit), format!("taken off: {why}"));
            self.outbox.push(Write::Unplace(unit));
        }
    }

    /// Looks for another machine for the units that no longer fit where they are, as fleet did; but what runs is not
    /// stopped for want of a better place. Where a machine does not answer nothing could be stopped, so nobody leaves it.
    fn rehouse(&self, board: &mut Board<'_>, moved: &mut BTreeMap<UnitName, String>) -> Vec<(UnitName, Placed)> {
        let settled = self.snapshot.placements.iter().filter(|(unit, at)| {
            let answers = self.seats.get(&at.machine).is_some_and(Seat::answers);
            let alive = answers && self.verdict(at.machine) == Some(Verdict::Alive);
            alive && !moved.contains_key(*unit) && self.scope.has(unit) && self.snapshot.is_readable(unit)
        });
        let settled: BTreeMap<&UnitName, MachineId> = settled.map(|(unit, at)| (unit, at.machine)).collect();
        let mut placed = Vec::new();
        for unit in leaders_first(settled.keys().copied(), &self.asks) {
            let machine = board.machine_of(unit).filter(|machine| settled.get(unit) == Some(machine));
            let Some(here) = machine.and_then(|machine| self.snapshot.machines.get(&machine)) else { continue };
            let Some(obstacle) = board.obstacle(unit, here.id) else { continue };
            let choices = board.place(unit);
            if choices.is_ok() {
                moved.insert(unit.clone(), format!("{}: {obstacle}", here.name));
            }
            let stays = |why| Refusal::Stays { machine: here.name.clone(), obstacle, why: Box::new(why) };
            placed.push((unit.clone(), choices.map_err(stays)));
        }
        placed
    }

    /// Notes what was chosen, or looks first at the machines that were not looked at yet.
    fn accept(&mut self, choices: Vec<Choice>, moved: &mut BTreeMap<UnitName, String>, now: Timestamp) {
        let answers = |machine: &MachineId| self.seats.get(machine).is_some_and(Seat::answers);
        let unseen: Vec<MachineId> = choices.iter().map(|choice| choice.machine).filter(|id| !answers(id)).collect();
        if !unseen.is_empty() {
            for machine in unseen {
                self.asked.insert(machine);
                self.seats.entry(machine).or_insert_with(|| Seat::new(now));
            }
            return;
        }
        for Choice { unit, machine, why } in choices {
            let reason = match moved.remove(&unit) {
                Some(before) => format!("{before}; {why}"),
                None => why.to_string(),
            };
            self.log(now, Some(machine), Some(&unit), format!("placed: {reason}"));
            // What a verb's unit displaces is the verb's business too.
            if let Scope::Units(units) = &mut self.scope {
                self.unseated |= units.insert(unit.clone());
            }
            let placement = Placement { machine, epoch: self.epoch, reason, since: now };
            self.outbox.push(Write::Place(unit, placement));
        }
    }

    /// Says why a unit cannot stay where it was put, if it cannot.
    fn misplaced(&self, unit: &UnitName, placement: &Placement) -> Option<String> {
        if !self.scope.has(unit) || !self.snapshot.is_readable(unit) {
            return None;
        }
        match self.snapshot.units.get(unit) {
            None => return Some("not submitted".to_owned()),
            Some(unit) if unit.desired == DesiredState::Inactive => return Some("wanted inactive".to_owned()),
            Some(_) if self.asks.is_global(unit) => return Some("global".to_owned()),
            Some(_) => {}
        }
        let Some(machine) = self.snapshot.machines.get(&placement.machine) else {
            return Some(format!("machine {}... left", placement.machine.short()));
        };
        if machine.draining {
            return Some(format!("{} is drained", machine.name));
        }
        // A strict unit is not given up before it is known to be gone.
        let may_run = self.is_strict(unit) && self.snapshot.leases.contains_key(&placement.machine);
        let verdict = self.verdict(placement.machine).filter(|_| !may_run)?;
        // A strict unit has stopped for want of a lease on a machine that is only out of reach.
        let stopped = self.is_strict(unit) && matches!(verdict, Verdict::SshdDown | Verdict::Throttled);
        (verdict == Verdict::Down || stopped).then(|| format!("{} is {verdict}", machine.name))
    }
}
