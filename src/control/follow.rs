//! Following a controller: it reaches the goal of an operation, and this process reads the outcome from the store.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::goal::Goal;
use super::goal::MachineProgress;
use super::goal::Records;
use super::goal::UnitProgress;
use super::goal::is_on;
use super::goal::recorded_health;
use super::leadership::controller_leads;
use super::problems::Problem;
use super::progress::OnProgress;
use super::progress::OperationError;
use super::progress::Progress;
use super::progress::Timeouts;
use super::progress::report_reached;
use super::pulls::Pulls;
use crate::core::explain;
use crate::core::explain::TroubleKind;
use crate::core::model::Action;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Outcome;
use crate::core::model::Snapshot;
use crate::core::model::StepEnd;
use crate::core::model::UnitState;
use crate::core::model::Verb;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::Clock;
use crate::runner::ClusterContext;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::Keyspace;

/// How often to check that a controller still leads.
const LEADER_CHECK: Duration = Duration::from_secs(5);

/// How long a unit that could not be loaded on one machine has to be placed on another one.
const ELSEWHERE: Duration = Duration::from_secs(3);

/// Follows the controller that leads until each unit has reached the goal or an event reports trouble with it. Returns the
/// problems; `None` if no controller leads any more.
pub(super) async fn follow(
    context: &ClusterContext,
    goal: Goal,
    units: &BTreeSet<UnitName>,
    timeouts: Timeouts,
    on_progress: &mut OnProgress<'_>,
) -> Result<Option<Vec<Problem>>, OperationError> {
    let mut prefixes = context.keys.prefixes();
    prefixes.push(context.keys.events());
    let mut follower = Follower::new(context.store.clone(), prefixes);
    let mut view = FollowedUnits::new(goal, units, timeouts.settle, context.clock);
    let mut pulls = Pulls::default();
    let began = Instant::now();
    let deadline = timeouts.wait.map(|limit| began + limit);
    let mut check = tokio::time::interval(LEADER_CHECK);
    while view.is_open() {
        tokio::select! {
            update = follower.next() => {
                view.take_in(&context.keys, update, on_progress)?;
                // The controller may have begun them before this command followed it.
                pulls.renew(&view.snapshot, &view.left, context.clock.now());
            }
            () = context.stop.cancelled() => return Err(OperationError::Stopped),
            () = runner::sleep_until(view.settled_at()) => view.end_settled(on_progress),
            () = runner::sleep_until(deadline) => {
                view.time_out();
                break;
            }
            _ = check.tick() => {
                if !controller_leads(context).await? {
                    return Ok(None);
                }
                // By then the controller has placed each unit that fits on another machine.
                if began.elapsed() >= LEADER_CHECK {
                    view.end_stuck();
                }
            },
        }
    }
    Ok(Some(view.problems))
}

/// The units of an operation, as the store shows them.
struct FollowedUnits {
    goal: Goal,
    clock: Clock,
    snapshot: Snapshot,
    requirements: RequirementsIndex,
    /// The units that have not reached the goal for certain and have no problem yet.
    left: BTreeSet<UnitName>,
    /// For how long a unit that was started must run.
    settle: Duration,
    /// The units that were started and run, each with the time until which it must run.
    settling: BTreeMap<UnitName, Instant>,
    /// The units that could not be loaded, each with the problem that it has unless it is placed elsewhere by then.
    unloadable: BTreeMap<UnitName, (Instant, Problem)>,
    /// The machines on which global units will not reach the goal, with the problems.
    unmet: BTreeMap<UnitName, BTreeMap<MachineId, Problem>>,
    problems: Vec<Problem>,
}

impl FollowedUnits {
    fn new(goal: Goal, units: &BTreeSet<UnitName>, settle: Duration, clock: Clock) -> Self {
        let (snapshot, requirements) = (Snapshot::default(), RequirementsIndex::default());
        let (left, settling) = (units.clone(), BTreeMap::new());
        let (unloadable, unmet, problems) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { goal, clock, snapshot, requirements, left, settle, settling, unloadable, unmet, problems }
    }

    /// Reports whether there is a unit to wait for. A global unit leaves a machine after all others, and stays if one of
    /// them stays. Nothing leaves a machine any more whose drain was cancelled.
    fn is_open(&self) -> bool {
        if self.is_cancelled() {
            return false;
        }
        let only_globals =
            matches!(self.goal, Goal::AwayFrom(_)) && self.left.iter().all(|unit| self.requirements.is_global(unit));
        !self.left.is_empty() && (!only_globals || self.problems.is_empty())
    }

    fn take_in(
        &mut self,
        keys: &Keyspace,
        update: Update,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<(), OperationError> {
        match update {
            Update::Reset(listing) => self.snapshot = layout::snapshot(keys, &listing),
            Update::Events(changes) => {
                layout::apply(&mut self.snapshot, keys, &changes);
                for event in changes.iter().filter_map(|changed| layout::logged_event(keys, changed)) {
                    self.note(&event, on_progress);
                }
            }
            Update::Unavailable(error) => return Err(error.into()),
        }
        self.requirements.renew(&self.snapshot);
        self.assess();
        self.end_settled(on_progress);
        self.end_blocked();
        self.end_unplaceable();
        Ok(())
    }

    /// Finds the units that have reached the goal and those that were started and do not run.
    fn assess(&mut self) {
        let Self { goal, snapshot, requirements, left, settle, settling, unloadable, unmet, problems, .. } = self;
        let place = |unit: &UnitName| snapshot.placements.get(unit).map(|placement| placement.machine);
        unloadable.retain(|unit, (_, problem)| place(unit) == problem.machine);
        let health = recorded_health(snapshot);
        let records = Records::new(snapshot, requirements, &health);
        left.retain(|unit| {
            let mut progress = goal.progress_of(&records, unit);
            let everywhere = goal.progress_on_machines(&records, unit);
            if !everywhere.is_empty() {
                let unmet = unmet.entry(unit.clone()).or_default();
                progress = assess_everywhere(snapshot, unit, everywhere, unmet);
            }
            if progress != UnitProgress::Reached {
                settling.remove(unit);
            }
            match progress {
                UnitProgress::Pending => {}
                UnitProgress::Reached => {
                    // A unit that has left a machine was started on another one.
                    let starts = goal.state(snapshot, unit) == Some(DesiredState::Launched);
                    let settle = if starts { *settle } else { Duration::ZERO };
                    settling.entry(unit.clone()).or_insert_with(|| Instant::now() + settle);
                }
                UnitProgress::Failed(machine, state) => {
                    problems.push(not_running(snapshot, unit, machine, &state));
                    return false;
                }
            }
            true
        });
    }

    /// Returns when the next unit has run for long enough.
    fn settled_at(&self) -> Option<Instant> {
        self.settling.values().chain(self.unloadable.values().map(|(at, _)| at)).min().copied()
    }

    /// Reports the units that have run for long enough.
    fn end_settled(&mut self, on_progress: &mut OnProgress<'_>) {
        let now = Instant::now();
        let settled: BTreeSet<UnitName> =
            self.settling.iter().filter(|(_, at)| **at <= now).map(|(unit, _)| unit.clone()).collect();
        self.settling.retain(|unit, _| !settled.contains(unit));
        self.left.retain(|unit| !settled.contains(unit));
        let health = recorded_health(&self.snapshot);
        let records = Records::new(&self.snapshot, &self.requirements, &health);
        let (unmet, met): (BTreeSet<UnitName>, BTreeSet<UnitName>) =
            settled.into_iter().partition(|unit| self.unmet.get(unit).is_some_and(|unmet| !unmet.is_empty()));
        report_reached(self.goal, &records, &met, on_progress);
        for unit in met.iter().chain(&unmet) {
            let there = self.goal.progress_on_machines(&records, unit).into_iter();
            let silent = there.filter_map(|(machine, progress)| match progress {
                MachineProgress::OutOfReach(health) => Some((self.snapshot.machines.get(&machine)?, health)),
                _ => None,
            });
            let silent = silent.map(|(machine, health)| self.goal.out_of_reach(unit, machine, health));
            self.problems.extend(self.unmet.remove(unit).into_iter().flatten().map(|(_, problem)| problem));
            self.problems.extend(silent);
        }
        let over = self.unloadable.extract_if(.., |_, (at, _)| *at <= now);
        for (unit, (_, problem)) in over {
            self.problems.extend(self.left.remove(&unit).then_some(problem));
        }
    }

    /// Ends the wait for units on machines that are out of reach.
    fn end_blocked(&mut self) {
        let Self { goal, clock, snapshot, left, problems, .. } = self;
        let (now, health) = (clock.now(), recorded_health(snapshot));
        left.retain(|unit| {
            let obstacle = goal.obstacle(snapshot, &health, unit, now);
            problems.extend(obstacle.clone());
            obstacle.is_none()
        });
    }

    /// Ends the wait for units that need a machine and fit on none. A unit that is to leave a machine leaves it first.
    fn end_unplaceable(&mut self) {
        let Self { goal, clock, snapshot, requirements, left, problems, .. } = self;
        let needs_machine = |unit: &&UnitName| match goal {
            Goal::Verb(_) => goal.needs_machine(),
            Goal::AwayFrom(machine) => !is_on(snapshot, unit, *machine),
        };
        let units = left.iter().filter(needs_machine);
        for (unit, refusal) in explain::unplaceable(snapshot, requirements, units, clock.now()) {
            left.remove(&unit);
            problems.push(Problem::of_unit(TroubleKind::Unschedulable, &unit, None, refusal.message()));
        }
    }

    /// Ends the wait for units that are to leave a machine and fit on no other. The deadline of a drain stops them.
    fn end_stuck(&mut self) {
        let Goal::AwayFrom(machine) = self.goal else { return };
        if self.has_deadline() {
            return;
        }
        let Self { clock, snapshot, left, problems, .. } = self;
        let placed = |unit: &UnitName| snapshot.placements.get(unit).is_some_and(|at| at.machine == machine);
        left.retain(|unit| {
            let why = if placed(unit) { explain::explain(snapshot, unit, clock.now()) } else { None };
            let why = why.and_then(|why| why.fits_nowhere_else());
            if let Some(why) = &why {
                let what = format!("still on {}: {}", snapshot.full_name_of(machine), why.message());
                problems.push(Problem::of_unit(TroubleKind::Unschedulable, unit, Some(machine), what));
            }
            why.is_none()
        });
    }

    /// Reports an event about one of the units. An event that reports trouble ends the wait for its unit.
    fn note(&mut self, event: &Event, on_progress: &mut OnProgress<'_>) {
        let Some(unit) = event.subject.unit.clone().filter(|unit| self.left.contains(unit)) else { return };
        on_progress(Progress::Event(&self.snapshot, event));
        if matches!(event.kind, EventKind::StepEnded(_)) {
            // The state that is recorded may be the one before this step, as when an earlier order stops the unit.
            self.settling.remove(&unit);
        }
        if self.is_outdated(&unit, &event.kind) {
            return;
        }
        let (kind, what) = match &event.kind {
            EventKind::StepEnded(StepEnd { action, outcome: Outcome::Failed(said), .. }) => {
                let on = event.subject.machine.map(|machine| format!(" on {}", self.snapshot.full_name_of(machine)));
                (TroubleKind::of_step(*action), format!("{action} failed{}: {said}", on.unwrap_or_default()))
            }
            EventKind::UnitUnschedulable(_) if self.goal == Goal::Verb(Verb::Stop) => return,
            EventKind::UnitUnschedulable(error) if !self.has_deadline() && !self.leaves(&unit) => {
                (TroubleKind::Unschedulable, error.message())
            }
            _ => return,
        };
        // The steps after a load that has failed fail too. The load has the cause.
        if kind == TroubleKind::StepFailed && self.unloadable.contains_key(&unit) {
            return;
        }
        let problem = Problem::of_unit(kind, &unit, event.subject.machine, what);
        if self.is_elsewhere(&event.kind, &problem) {
            on_progress(Progress::Warning(&problem.to_string()));
            return;
        }
        if let Some(machine) = problem.machine.filter(|_| self.is_everywhere(&unit)) {
            self.unmet.entry(unit).or_default().entry(machine).or_insert(problem);
            return;
        }
        if matches!(&event.kind, EventKind::StepEnded(StepEnd { action: Action::Load { .. }, .. })) {
            self.unloadable.entry(unit).or_insert((Instant::now() + ELSEWHERE, problem));
            return;
        }
        self.left.remove(&unit);
        self.problems.push(problem);
    }

    /// Reports whether an event is about an earlier file of a unit.
    fn is_outdated(&self, unit: &UnitName, kind: &EventKind) -> bool {
        let EventKind::StepEnded(StepEnd { action: Action::Load { hash, .. }, .. }) = kind else { return false };
        self.snapshot.units.get(unit).is_some_and(|record| record.hash != *hash)
    }

    /// Reports whether a step has failed on a machine that has no part in bringing its unit to the goal.
    fn is_elsewhere(&self, kind: &EventKind, problem: &Problem) -> bool {
        let health = recorded_health(&self.snapshot);
        let records = Records::new(&self.snapshot, &self.requirements, &health);
        let needs = |(unit, machine): (&UnitName, MachineId)| self.goal.needs(&records, unit, machine);
        let is_step = matches!(kind, EventKind::StepEnded(end) if !matches!(end.action, Action::Load { .. }));
        is_step && !problem.unit.as_ref().zip(problem.machine).is_none_or(needs)
    }

    /// Reports whether a unit is to reach the goal on all of its machines.
    fn is_everywhere(&self, unit: &UnitName) -> bool {
        matches!(self.goal, Goal::Verb(verb) if verb.goal() >= Some(DesiredState::Loaded))
            && self.requirements.is_global(unit)
    }

    /// Reports whether the units leave a machine, and those that fit on no other machine stop there at a deadline.
    fn has_deadline(&self) -> bool {
        let Goal::AwayFrom(machine) = self.goal else { return false };
        self.snapshot.machines.get(&machine).is_some_and(|machine| machine.draining && machine.drain_by.is_some())
    }

    /// Reports whether the units were to leave a machine that is not drained any more.
    fn is_cancelled(&self) -> bool {
        let Goal::AwayFrom(machine) = self.goal else { return false };
        self.snapshot.machines.get(&machine).is_some_and(|machine| !machine.draining)
    }

    /// Reports whether a unit is being taken off the machine that it is to leave.
    fn leaves(&self, unit: &UnitName) -> bool {
        let Goal::AwayFrom(machine) = self.goal else { return false };
        let is_placed = self.snapshot.placements.get(unit).is_some_and(|at| at.machine == machine);
        !is_placed && is_on(&self.snapshot, unit, machine)
    }

    fn time_out(&mut self) {
        let now = self.clock.now();
        let timed_out = |unit: &UnitName| {
            let why = explain::explain(&self.snapshot, unit, now).and_then(|why| why.not_running.into_iter().next());
            self.goal.timed_out(&self.snapshot, unit, why.map(|why| why.to_string()))
        };
        self.problems.extend(self.unmet.values().flat_map(BTreeMap::values).cloned());
        self.problems.extend(self.left.iter().map(timed_out));
    }
}

/// Returns how far a global unit is, and adds the problems on machines where it does not run. They last: a unit that fails
/// again and again may seem to start at any moment.
fn assess_everywhere(
    snapshot: &Snapshot,
    unit: &UnitName,
    everywhere: Vec<(MachineId, MachineProgress)>,
    unmet: &mut BTreeMap<MachineId, Problem>,
) -> UnitProgress {
    let mut is_pending = false;
    for (machine, progress) in everywhere {
        match progress {
            MachineProgress::Failed(state) => {
                unmet.entry(machine).or_insert_with(|| not_running(snapshot, unit, machine, &state));
            }
            MachineProgress::Pending => is_pending |= !unmet.contains_key(&machine),
            MachineProgress::Reached | MachineProgress::OutOfReach(_) => {}
        }
    }
    if is_pending { UnitProgress::Pending } else { UnitProgress::Reached }
}

/// Returns the problem of a unit that was started on a machine and does not run there.
fn not_running(snapshot: &Snapshot, unit: &UnitName, machine: MachineId, state: &UnitState) -> Problem {
    let what = format!("{state} on {}", snapshot.full_name_of(machine));
    Problem::of_unit(TroubleKind::of_state(state), unit, Some(machine), what)
}

#[cfg(test)]
mod tests;
