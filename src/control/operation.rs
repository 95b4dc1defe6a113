//! An operation: units that are to get somewhere, by a reconciler of our own or by following whoever leads.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::ClusterContext;
use super::keeps_leases;
use super::problems::Problem;
use super::problems::name;
use super::problems::problems;
use super::verb::OnProgress;
use super::verb::Progress;
use super::verb::Timeouts;
use super::verb::VerbError;
use super::yield_to_controller;
use crate::core::command::Verb;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::model::DesiredState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::RunContext;
use crate::runner::RunOutcome;
use crate::runner::StopCondition;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::leader_election;
use crate::store::leader_election::Kind;

/// How long a drain without a deadline timeouts for systemd to start elsewhere what runs here.
const HANDOVER: Duration = Duration::from_mins(1);

/// How often somebody who follows a controller looks whether it still leads.
const LOOK: Duration = Duration::from_secs(5);

/// How long a drain timeouts after its deadline for what it stops.
const AFTER_DEADLINE: Duration = Duration::from_secs(15);

/// Where units are to get to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Where a verb wants them.
    Verb(Verb),
    /// Away from a machine.
    AwayFrom(MachineId),
}

/// What is to be made so.
#[derive(Debug, Clone, Copy)]
pub struct UnitOperation<'a> {
    /// What to work with.
    pub context: &'a ClusterContext,
    /// Where the units are to get to.
    pub goal: Goal,
    /// Which units.
    pub units: &'a BTreeSet<UnitName>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl UnitOperation<'_> {
    /// Makes it so, by a reconciler of our own or by following whoever leads, and returns what is wrong afterwards.
    pub async fn run(self, on_progress: &mut OnProgress<'_>) -> Result<Vec<Problem>, VerbError> {
        let context = self.context;
        let deadline = Instant::now() + self.timeouts.lock;
        let mut waited = false;
        loop {
            match leader_election::take(&context.store, &context.keys, Kind::Verb).await? {
                Ok(lead) => {
                    let snapshot = layout::read(&*context.store, &context.keys).await?;
                    if keeps_leases(&snapshot) && !std::mem::replace(&mut waited, true) {
                        on_progress(Progress::Warning(
                            "strict units run here: waiting for a controller, which renews their leases",
                        ));
                        yield_to_controller(context, lead).await?;
                        continue;
                    }
                    let run_context = RunContext::new(context, lead);
                    let done = self.act(&run_context, snapshot, on_progress).await;
                    run_context.lead.release().await;
                    match done? {
                        Some(found) => return Ok(found),
                        // Somebody else took over: see who.
                        None => continue,
                    }
                }
                Err(holder) if holder.kind == Kind::Controller => match self.follow(on_progress).await? {
                    Some(found) => return Ok(found),
                    None => continue,
                },
                Err(holder) if Instant::now() >= deadline => return Err(VerbError::Busy(holder)),
                Err(_) => tokio::time::sleep(leader_election::LOOK).await,
            }
            if context.stop.is_cancelled() {
                return Err(VerbError::Stopped);
            }
        }
    }

    /// Runs a reconciler over the units; `None` if the lead was lost on the way.
    async fn act(
        self,
        run_context: &RunContext,
        snapshot: Snapshot,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Option<Vec<Problem>>, VerbError> {
        let scope = Scope::Units(self.units.clone());
        // A verb does not wait for machines: who does not answer at once is left to the sweep or the controller.
        let timing = super::timing(DetectionConfig { down_after: Duration::ZERO, brake: BRAKE });
        let mut reconciler = Reconciler::new(run_context.lead.epoch(), scope.clone(), timing, snapshot);
        let mut tell = |snapshot: &Snapshot, event: &Event| on_progress(Progress::Event(snapshot, event));
        let stop_when = self.stop_when(reconciler.snapshot());
        let ended = runner::run(&mut reconciler, run_context, None, stop_when, &mut tell).await?;
        let left = self.tell_reached(reconciler.snapshot(), reconciler.requirements(), self.units, on_progress);
        match ended {
            RunOutcome::Finished => {
                let mut found = problems(&reconciler, &scope);
                found.extend(self.stragglers(reconciler.snapshot(), &left, &found));
                Ok(Some(found))
            }
            RunOutcome::Stopped => Err(VerbError::Stopped),
            RunOutcome::Deposed => Ok(None),
        }
    }

    /// Says when a reconciler of our own has done enough.
    fn stop_when(self, snapshot: &Snapshot) -> StopCondition {
        let Goal::AwayFrom(machine) = self.goal else { return StopCondition::Settled(self.timeouts.settle) };
        // What moves may take its time to start: it goes on here meanwhile.
        match snapshot.machines.get(&machine).and_then(|machine| machine.drain_by) {
            Some(by) => StopCondition::Emptied(machine, by.since(self.context.clock.now()) + AFTER_DEADLINE),
            None => StopCondition::Settled(self.timeouts.settle.max(HANDOVER)),
        }
    }

    /// Returns the units that are still where they should not be and of which nothing else was found.
    fn stragglers(self, snapshot: &Snapshot, left: &BTreeSet<UnitName>, found: &[Problem]) -> Vec<Problem> {
        let Goal::AwayFrom(machine) = self.goal else { return Vec::new() };
        let told = |unit: &UnitName| found.iter().any(|finding| finding.unit.as_ref() == Some(unit));
        let straggler = |unit: &UnitName| {
            let to = snapshot.placements.get(unit).map(|at| at.machine).filter(|to| *to != machine);
            let why = to.map(|to| format!(" until it runs on {}", name(snapshot, to))).unwrap_or_default();
            let what = format!("still on {}{why}", name(snapshot, machine));
            Problem { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: false }
        };
        left.iter().filter(|unit| !told(unit)).map(straggler).collect()
    }

    /// Follows the controller that leads until all units are where they are wanted, or trouble is told of them; `None` if
    /// none leads any more.
    async fn follow(self, on_progress: &mut OnProgress<'_>) -> Result<Option<Vec<Problem>>, VerbError> {
        let keys = &self.context.keys;
        let mut prefixes = keys.prefixes();
        prefixes.push(keys.events());
        let mut follower = Follower::new(self.context.store.clone(), prefixes);
        let (mut snapshot, mut requirements) = (Snapshot::default(), RequirementsIndex::default());
        let mut left = self.units.clone();
        let mut found = Vec::new();
        let deadline = self.timeouts.follow.map(|wait| Instant::now() + wait);
        let mut look = tokio::time::interval(LOOK);
        while self.is_open(&left, &found, &requirements) {
            let update = tokio::select! {
                update = follower.next() => update,
                () = self.context.stop.cancelled() => return Err(VerbError::Stopped),
                () = runner::sleep_until(deadline) => {
                    found.extend(left.iter().map(|unit| self.overdue(unit)));
                    return Ok(Some(found));
                }
                _ = look.tick() => {
                    let holder = leader_election::holder(&self.context.store, keys).await?;
                    if holder.is_none_or(|holder| holder.kind != Kind::Controller) {
                        return Ok(None);
                    }
                    continue;
                }
            };
            match update {
                Update::Reset(listing) => snapshot = layout::snapshot(keys, &listing),
                Update::Changes(changes) => {
                    layout::apply(&mut snapshot, keys, &changes);
                    for event in changes.iter().filter_map(|changed| layout::event(keys, changed)) {
                        let Some(unit) = event.subject.unit.clone().filter(|unit| left.contains(unit)) else {
                            continue;
                        };
                        on_progress(Progress::Event(&snapshot, &event));
                        let what = match &event.kind {
                            EventKind::StepEnded(step) if event.kind.is_trouble() => step.to_string(),
                            EventKind::UnitUnschedulable(error) => error.tell(),
                            _ => continue,
                        };
                        left.remove(&unit);
                        let machine = event.subject.machine;
                        found.push(Problem { machine, unit: Some(unit), what, unreachable: false });
                    }
                }
                Update::Away(error) => return Err(error.into()),
            }
            requirements.renew(&snapshot);
            left = self.tell_reached(&snapshot, &requirements, &left, on_progress);
        }
        Ok(Some(found))
    }

    /// Says whether something may still come of following: what is everywhere leaves a machine last, and not at all if
    /// others stay.
    fn is_open(self, left: &BTreeSet<UnitName>, found: &[Problem], requirements: &RequirementsIndex) -> bool {
        let last = matches!(self.goal, Goal::AwayFrom(_)) && left.iter().all(|unit| requirements.is_global(unit));
        !left.is_empty() && (!last || found.is_empty())
    }

    /// Tells which units have reached what was wanted, and returns the others.
    fn tell_reached(
        self,
        snapshot: &Snapshot,
        requirements: &RequirementsIndex,
        units: &BTreeSet<UnitName>,
        on_progress: &mut OnProgress<'_>,
    ) -> BTreeSet<UnitName> {
        let (reached, left): (Vec<_>, Vec<_>) =
            units.iter().partition(|unit| is_reached(snapshot, requirements, unit, self.goal));
        for unit in reached {
            if requirements.is_global(unit) {
                // It never reaches one state; and away from one machine it is where it was.
                if let Goal::Verb(verb) = self.goal {
                    on_progress(Progress::Triggered(unit, verb, true));
                }
                continue;
            }
            let machine = snapshot.placements.get(unit).and_then(|at| snapshot.machines.get(&at.machine));
            let wanted = snapshot.units.get(unit).map(|unit| unit.desired);
            let goal = if let Goal::Verb(verb) = self.goal { verb.goal() } else { wanted };
            match goal {
                Some(state) => on_progress(Progress::Reached(unit, state, machine)),
                None => on_progress(Progress::Destroyed(unit)),
            }
        }
        left.into_iter().cloned().collect()
    }

    fn overdue(self, unit: &UnitName) -> Problem {
        let state = match self.goal {
            Goal::Verb(verb) => verb.goal().map_or_else(|| "destroyed".to_owned(), |state| state.to_string()),
            Goal::AwayFrom(machine) => format!("away from {}...", machine.short()),
        };
        let what = format!("timed out waiting for unit {unit} to report state {state}");
        Problem { machine: None, unit: Some(unit.clone()), what, unreachable: false }
    }
}

/// Says whether a unit is where it is wanted.
pub(super) fn is_reached(snapshot: &Snapshot, requirements: &RequirementsIndex, name: &UnitName, goal: Goal) -> bool {
    let unit = snapshot.units.get(name);
    let nowhere = !snapshot.placements.contains_key(name) && !snapshot.states.contains_key(name);
    let goal = match goal {
        Goal::Verb(verb) => verb.goal(),
        Goal::AwayFrom(machine) => {
            let placed = snapshot.placements.get(name).is_some_and(|at| at.machine == machine);
            if placed || snapshot.states.get(name).is_some_and(|states| states.contains_key(&machine)) {
                return false;
            }
            unit.map(|unit| unit.desired)
        }
    };
    let Some(goal) = goal else { return unit.is_none() && nowhere };
    let Some(unit) = unit else { return false };
    if goal == DesiredState::Inactive {
        return nowhere;
    }
    if requirements.is_global(name) {
        return unit.desired == goal;
    }
    let here = snapshot.placements.get(name).and_then(|at| snapshot.states.get(name)?.get(&at.machine));
    here.is_some_and(|state| {
        let same = state.hash == unit.hash && state.reached() == goal;
        same && if goal == DesiredState::Loaded { !state.runs() } else { state.restarts >= unit.restarts }
    })
}
