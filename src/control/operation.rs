//! An operation: a command that wants units somewhere, as the leader or by following a controller.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::copies::Copies;
use super::follow::follow;
use super::goal::Goal;
use super::goal::Records;
use super::goal::is_on;
use super::goal::recorded_health;
use super::leadership::controller_due;
use super::leadership::yield_to_controller;
use super::problems::Problem;
use super::problems::problems;
use super::progress::OnProgress;
use super::progress::OperationError;
use super::progress::Progress;
use super::progress::Timeouts;
use super::progress::report_reached;
use super::pulls::Pulls;
use super::timing::timing;
use crate::core::explain;
use crate::core::explain::TroubleKind;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::model::Event;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::ClusterContext;
use crate::runner::RunContext;
use crate::runner::RunOutcome;
use crate::runner::StopCondition;
use crate::store::layout;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;
use crate::store::leader_election::LeaderRecord;
use crate::store::leader_election::Leadership;

/// How long a command waits for units that take long to start or to stop: the default limit of systemd for either.
const WAIT: Duration = Duration::from_secs(90);

/// How long a drain without a deadline waits for the units to start elsewhere.
const HANDOVER: Duration = Duration::from_mins(1);

/// How long a drain waits after its deadline for the units that it stops.
const AFTER_DEADLINE: Duration = Duration::from_secs(15);

/// A goal for some units.
#[derive(Debug, Clone, Copy)]
pub struct UnitOperation<'a> {
    /// The handles of the cluster.
    pub context: &'a ClusterContext,
    /// Where the units should be.
    pub goal: Goal,
    /// The units.
    pub units: &'a BTreeSet<UnitName>,
    /// The name of the machine that they leave, for the operator who waits.
    pub machine: Option<&'a str>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl UnitOperation<'_> {
    /// Brings the units to the goal, as the leader or by following a controller, and returns the problems that remain.
    pub async fn run(self, on_progress: &mut OnProgress<'_>) -> Result<Vec<Problem>, OperationError> {
        let Self { context, goal, units, timeouts, .. } = self;
        let (mut copies, mut pulls) = (Copies::default(), Pulls::default());
        let on_progress: &mut OnProgress<'_> = &mut |progress| {
            pulls.take(&progress);
            let told = copies.take(&progress).filter(|_| goal.stops());
            on_progress(progress);
            if let Some(text) = told {
                on_progress(Progress::Warning(&text));
            }
        };
        let deadline = Instant::now() + timeouts.lock_wait;
        let usual = u64::try_from(timeouts.settle.as_millis()).unwrap_or(u64::MAX);
        let _wait = tracing::info_span!("wait", what = goal.wait(units, self.machine), usual);
        let mut leadership_wait = None;
        let mut yielded = false;
        loop {
            let done = match candidacy(context).await? {
                Candidacy::Leads(leadership) => self.lead(leadership, &mut yielded, on_progress).await?,
                Candidacy::Vacant if Instant::now() >= deadline => return Err(OperationError::NoController),
                Candidacy::Other(holder) if holder.kind == LeaderKind::Controller => {
                    follow(context, goal, units, timeouts, on_progress).await?
                }
                Candidacy::Other(holder) if Instant::now() >= deadline => return Err(OperationError::Busy(holder)),
                _ if context.stop.is_cancelled() => return Err(OperationError::Stopped),
                other => {
                    let wait = || tracing::info_span!("wait", what = other.what_is_awaited());
                    leadership_wait.get_or_insert_with(wait);
                    tokio::time::sleep(leader_election::RETRY_INTERVAL).await;
                    None
                }
            };
            // Without a result, the leader has changed.
            if let Some(problems) = done {
                return Ok(problems);
            }
        }
    }

    /// Acts as the leader, or yields to a controller once if leases are kept. Returns the problems; `None` if this process
    /// does not lead any more.
    async fn lead(
        self,
        leadership: Leadership,
        yielded: &mut bool,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Option<Vec<Problem>>, OperationError> {
        let context = self.context;
        let snapshot = layout::read(&*context.store, &context.keys).await?;
        if let Some(limit) = controller_due(&snapshot, context.clock.now())
            && !std::mem::replace(yielded, true)
        {
            yield_to_controller(context, leadership, limit).await?;
            return Ok(None);
        }
        let deadline = self.timeouts.wait.map(|limit| Instant::now() + limit);
        let run_context = RunContext { deadline, ..RunContext::new(context, leadership) };
        let done = self.reconcile(&run_context, snapshot, on_progress).await;
        run_context.leadership.resign().await;
        done
    }

    /// Runs a reconciler over the units. Returns the problems; `None` if leadership was lost meanwhile.
    async fn reconcile(
        self,
        run_context: &RunContext,
        snapshot: Snapshot,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Option<Vec<Problem>>, OperationError> {
        let scope = Scope::Units(self.units.clone());
        // A command does not wait for machines that do not answer at once: the sweep or the controller handles them.
        let timing = timing(DetectionConfig { down_after: Duration::ZERO, brake: BRAKE });
        let mut reconciler = Reconciler::new(run_context.leadership.epoch(), scope.clone(), timing, snapshot);
        let mut on_event = |snapshot: &Snapshot, event: &Event| on_progress(Progress::Event(snapshot, event));
        let stop_when = self.stop_when(reconciler.snapshot());
        let ended = Box::pin(runner::run(&mut reconciler, run_context, None, stop_when, &mut on_event)).await?;
        let health = health_for(&reconciler);
        let records = Records::new(reconciler.snapshot(), reconciler.requirements(), &health);
        let left = report_reached(self.goal, &records, self.units, on_progress);
        match ended {
            RunOutcome::Finished | RunOutcome::TimedOut => {
                let is_over = ended == RunOutcome::TimedOut;
                let found = problems(&reconciler, &scope).into_iter();
                let (mut found, others): (Vec<_>, Vec<_>) =
                    found.partition(|problem| self.goal.is_concerned(&records, self.units, problem));
                for problem in others {
                    on_progress(Progress::Warning(&problem.to_string()));
                }
                let is_pending = |kind| matches!(kind, TroubleKind::NotOnMachine | TroubleKind::Pulling);
                found.retain(|problem| !is_over || !is_pending(problem.kind));
                found.extend(self.stragglers(&reconciler, &left, &found, is_over));
                Ok(Some(found))
            }
            RunOutcome::Stopped => Err(OperationError::Stopped),
            RunOutcome::Deposed => Ok(None),
        }
    }

    /// Returns when a run of this operation ends.
    fn stop_when(self, snapshot: &Snapshot) -> StopCondition {
        let (limit, watch) = (self.timeouts.wait.unwrap_or(WAIT), self.timeouts.settle);
        let pulls = !self.goal.stops();
        let Goal::AwayFrom(machine) = self.goal else { return StopCondition::Settled { limit, watch, pulls } };
        // Units that move may take their time to start: until then they run on the machine that is drained.
        match snapshot.machines.get(&machine).and_then(|machine| machine.drain_by) {
            Some(by) => {
                let limit = by.since(self.context.clock.now()) + AFTER_DEADLINE;
                StopCondition::Emptied { machine, limit, watch }
            }
            None => StopCondition::Settled { limit: HANDOVER, watch, pulls },
        }
    }

    /// Returns a problem for each unit that has not reached the goal and has no other problem. `is_over` says that the time
    /// of the command is over.
    fn stragglers(
        self,
        reconciler: &Reconciler,
        left: &BTreeSet<UnitName>,
        found: &[Problem],
        is_over: bool,
    ) -> Vec<Problem> {
        let snapshot = reconciler.snapshot();
        let health = health_for(reconciler);
        let has_problem = |unit: &UnitName| found.iter().any(|problem| problem.unit.as_ref() == Some(unit));
        let (limit, now) = (self.timeouts.wait.unwrap_or(WAIT), self.context.clock.now());
        let pulling = |unit: &UnitName| explain::pulling(snapshot, unit, now).map(|pull| pull.to_string());
        let work = |unit: &UnitName| pulling(unit).or_else(|| work(reconciler, unit));
        let timed_out = |unit: &UnitName| is_over.then(|| self.goal.timed_out(snapshot, unit, work(unit)));
        let problem = |unit: &UnitName| match self.goal {
            Goal::AwayFrom(machine) => Some(straggler(reconciler, unit, machine)),
            Goal::Verb(_) => {
                let known = self.goal.obstacle(snapshot, &health, unit, now);
                let known = known.or_else(|| unfinished(snapshot, unit, limit)).or_else(|| timed_out(unit));
                known.or_else(|| self.goal.unanswered(snapshot, &health, unit))
            }
        };
        left.iter().filter(|unit| !has_problem(unit)).filter_map(problem).collect()
    }
}

/// The outcome of an attempt to lead.
enum Candidacy {
    /// This process leads.
    Leads(Leadership),
    /// Another process leads.
    Other(LeaderRecord),
    /// No process leads, and this one may not.
    Vacant,
}

impl Candidacy {
    fn what_is_awaited(&self) -> String {
        match self {
            Self::Other(holder) => format!("the end of {} on {}", holder.kind, holder.host),
            Self::Leads(_) | Self::Vacant => "a controller that leads".to_owned(),
        }
    }
}

/// Tries once to lead, if this process may.
async fn candidacy(context: &ClusterContext) -> Result<Candidacy, OperationError> {
    let (store, keys) = (&context.store, &context.keys);
    if !store.can_lead() {
        let leader = leader_election::current_leader(store, keys).await?;
        return Ok(leader.map_or(Candidacy::Vacant, Candidacy::Other));
    }
    Ok(match leader_election::try_campaign(store, keys, LeaderKind::Command).await? {
        Ok(leadership) => Candidacy::Leads(leadership),
        Err(holder) => Candidacy::Other(holder),
    })
}

/// Returns the health of machines as this command has assessed them, or else as it is recorded.
fn health_for(reconciler: &Reconciler) -> impl Fn(MachineId) -> Option<Health> {
    let recorded = recorded_health(reconciler.snapshot());
    move |machine| reconciler.view(machine).and_then(|view| view.health).or_else(|| recorded(machine))
}

/// Says which machine has received a step of a unit and has not answered, or which machine of the unit has not answered at
/// all.
fn work(reconciler: &Reconciler, unit: &UnitName) -> Option<String> {
    let snapshot = reconciler.snapshot();
    let visits = || reconciler.views().filter_map(|(machine, view)| Some((machine, view, view.in_flight.as_ref()?)));
    let steps = visits().flat_map(|(machine, _, visit)| visit.steps.iter().map(move |step| (machine, step)));
    if let Some((machine, step)) = steps.into_iter().find(|(_, step)| step.unit == *unit) {
        return Some(format!("{} goes on with the {}", snapshot.full_name_of(machine), step.action));
    }
    let (machine, ..) = visits().find(|(machine, view, _)| !view.answers() && is_on(snapshot, unit, *machine))?;
    Some(format!("{} has not answered yet", snapshot.full_name_of(machine)))
}

/// Returns the problem of a unit that systemd is still starting or stopping.
fn unfinished(snapshot: &Snapshot, unit: &UnitName, limit: Duration) -> Option<Problem> {
    let (machine, state) = snapshot.states.get(unit)?.iter().find(|(_, state)| state.is_changing())?;
    let name = snapshot.full_name_of(*machine);
    let what = format!("still {state} on {name} after {}s: systemd goes on with it", limit.as_secs());
    Some(Problem::of_unit(TroubleKind::StillChanging, unit, Some(*machine), what))
}

/// Returns the problem of a unit that is still on a machine that it should leave.
fn straggler(reconciler: &Reconciler, unit: &UnitName, machine: MachineId) -> Problem {
    let snapshot = reconciler.snapshot();
    if let Some(health) = reconciler.view(machine).filter(|view| !view.answers()).and_then(|view| view.health) {
        return Problem::of_copy(snapshot, unit, machine, &format!("is {health}"));
    }
    let target = snapshot.placements.get(unit).map(|placement| placement.machine).filter(|target| *target != machine);
    let until = target.map(|target| format!(" until it runs on {}", snapshot.full_name_of(target)));
    let is_global = reconciler.requirements().is_global(unit);
    let until = until.or_else(|| is_global.then(|| ": a global unit leaves a machine after all others".to_owned()));
    let what = format!("still on {}{}", snapshot.full_name_of(machine), until.unwrap_or_default());
    Problem::of_unit(TroubleKind::StillElsewhere, unit, Some(machine), what)
}
