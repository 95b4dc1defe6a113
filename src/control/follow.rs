//! Following a controller: it reaches the goal of an operation, and this process reads the outcome from the store.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::goal::Goal;
use super::leadership::controller_leads;
use super::problems::Problem;
use super::progress::OnProgress;
use super::progress::OperationError;
use super::progress::Progress;
use super::progress::Timeouts;
use super::progress::report_reached;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Snapshot;
use crate::core::schedule::RequirementsIndex;
use crate::core::unit::UnitName;
use crate::runner;
use crate::runner::ClusterContext;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::Keyspace;

/// How often to check that a controller still leads.
const LEADER_CHECK: Duration = Duration::from_secs(5);

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
    let mut view = FollowedUnits::new(goal, units);
    let deadline = timeouts.follow.map(|limit| Instant::now() + limit);
    let mut check = tokio::time::interval(LEADER_CHECK);
    while view.is_open() {
        tokio::select! {
            update = follower.next() => view.take_in(&context.keys, update, on_progress)?,
            () = context.stop.cancelled() => return Err(OperationError::Stopped),
            () = runner::sleep_until(deadline) => {
                view.time_out();
                break;
            }
            _ = check.tick() => if !controller_leads(context).await? {
                return Ok(None);
            },
        }
    }
    Ok(Some(view.problems))
}

/// The units of an operation, as the store shows them.
struct FollowedUnits {
    goal: Goal,
    snapshot: Snapshot,
    requirements: RequirementsIndex,
    /// The units that have not reached the goal and have no problem yet.
    left: BTreeSet<UnitName>,
    problems: Vec<Problem>,
}

impl FollowedUnits {
    fn new(goal: Goal, units: &BTreeSet<UnitName>) -> Self {
        let (snapshot, requirements) = (Snapshot::default(), RequirementsIndex::default());
        Self { goal, snapshot, requirements, left: units.clone(), problems: Vec::new() }
    }

    /// Reports whether there is a unit to wait for. A global unit leaves a machine after all others, and stays if one of
    /// them stays.
    fn is_open(&self) -> bool {
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
        self.left = report_reached(self.goal, &self.snapshot, &self.requirements, &self.left, on_progress);
        self.end_blocked();
        Ok(())
    }

    /// Ends the wait for units on machines that are out of reach: that may last for good.
    fn end_blocked(&mut self) {
        let Self { goal, snapshot, left, problems, .. } = self;
        left.retain(|unit| {
            let Some((machine, health)) = goal.blocked_on(snapshot, unit) else { return true };
            let what = format!("still on {}, which is {health}", machine.name);
            problems.push(Problem { machine: Some(machine.id), unit: Some(unit.clone()), what, unreachable: true });
            false
        });
    }

    /// Reports an event about one of the units. An event that reports trouble ends the wait for its unit.
    fn note(&mut self, event: &Event, on_progress: &mut OnProgress<'_>) {
        let Some(unit) = event.subject.unit.clone().filter(|unit| self.left.contains(unit)) else { return };
        on_progress(Progress::Event(&self.snapshot, event));
        let what = match &event.kind {
            EventKind::StepEnded(step) if event.kind.is_trouble() => step.to_string(),
            EventKind::UnitUnschedulable(error) => error.message(),
            _ => return,
        };
        self.left.remove(&unit);
        self.problems.push(Problem { machine: event.subject.machine, unit: Some(unit), what, unreachable: false });
    }

    fn time_out(&mut self) {
        let label = self.goal.label();
        self.problems.extend(self.left.iter().map(|unit| Problem {
            machine: None,
            unit: Some(unit.clone()),
            what: format!("timed out waiting for unit {unit} to report state {label}"),
            unreachable: false,
        }));
    }
}

#[cfg(test)]
mod tests;
