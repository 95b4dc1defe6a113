//! The problems that remain after a run, as text.

use crate::core::explain;
use crate::core::explain::NotRunning;
use crate::core::model::DesiredState;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::reconcile::Reconciler;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;
use crate::core::unit::UnitName;

/// A machine or a unit that is not as desired.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The machine that has the problem, or that the unit is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The unit that has the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// The problem and its cause.
    pub what: String,
    /// Set if the cause is a host that could not be reached.
    pub unreachable: bool,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "Unit {unit}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Returns the problems of the machines and units that a reconciler was responsible for.
pub fn problems(reconciler: &Reconciler, scope: &Scope) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        reconciler.views().filter_map(|(machine, _)| machine_problem(reconciler, machine)).collect();
    problems.extend(reconciler.refused().iter().map(|(unit, why)| Problem {
        machine: None,
        unit: Some(unit.clone()),
        what: why.message(),
        unreachable: false,
    }));
    problems.extend(reconciler.backoffs().map(|(machine, backoff)| Problem {
        machine: Some(machine),
        unit: Some(backoff.step.unit.clone()),
        what: format!(
            "{} failed on {}: {}",
            backoff.step.action,
            reconciler.snapshot().full_name_of(machine),
            backoff.said
        ),
        unreachable: false,
    }));
    let backoffs: Vec<&UnitName> = reconciler.backoffs().map(|(_, backoff)| &backoff.step.unit).collect();
    let launched = reconciler.snapshot().units.iter().filter(|(unit, record)| {
        record.desired == DesiredState::Launched && scope.has(unit) && !backoffs.contains(unit)
    });
    problems.extend(launched.filter_map(|(unit, _)| unit_problem(reconciler, unit)));
    problems
}

/// Returns the problems that the records of the leader show.
pub fn stored_problems(snapshot: &Snapshot) -> Vec<Problem> {
    let machines = snapshot.machines.iter().filter_map(|(machine, record)| {
        let what = match snapshot.health.get(machine) {
            Some(health) if health.health == Health::Alive => return None,
            Some(health) => format!("{} is {}: {}", record.name, health.health, health.reason),
            None => format!("{}: not observed yet", record.name),
        };
        Some(Problem { machine: Some(*machine), unit: None, what, unreachable: true })
    });
    let units = explain::units_not_running(snapshot).into_iter().map(|(unit, cause)| Problem {
        machine: snapshot.placements.get(unit).map(|placement| placement.machine),
        unit: Some(unit.clone()),
        what: if let NotRunning::Unschedulable(refusal) = &cause { refusal.message() } else { cause.to_string() },
        unreachable: matches!(cause, NotRunning::MachineUnavailable { .. }),
    });
    machines.chain(units).collect()
}

/// Returns the problem of a machine that is not alive.
fn machine_problem(reconciler: &Reconciler, machine: MachineId) -> Option<Problem> {
    let view = reconciler.view(machine)?;
    let health = view.health.filter(|health| *health != Health::Alive)?;
    let failure = view.evidence.latest_failure()?;
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Some(Problem {
        machine: Some(machine),
        unit: None,
        what: format!(
            "{} is {health}: {}: {}{hint}",
            reconciler.snapshot().full_name_of(machine),
            failure.phase,
            failure.detail
        ),
        unreachable: true,
    })
}

/// Returns the problem of a launched unit that is placed.
fn unit_problem(reconciler: &Reconciler, unit: &UnitName) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let machine = snapshot.placements.get(unit)?.machine;
    if let Some(problem) = strict_problem(reconciler, unit, machine) {
        return Some(problem);
    }
    let reachable = reconciler.view(machine).is_some_and(MachineView::answers);
    let oneshot = snapshot.file(unit).is_some_and(|file| file.is_oneshot());
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let what = match state {
        Some(state) if state.is_well(oneshot) => return None,
        Some(state) => format!("{state} on {}", snapshot.full_name_of(machine)),
        None => format!("not there yet on {}", snapshot.full_name_of(machine)),
    };
    Some(Problem { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: !reachable })
}

/// Returns why a strict unit does not start on the machine where it is placed.
fn strict_problem(reconciler: &Reconciler, unit: &UnitName, machine: MachineId) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let runs = state.is_some_and(UnitState::runs) && reconciler.view(machine).is_some_and(MachineView::answers);
    let hold = reconciler.strict_hold(unit, machine).filter(|_| !runs)?;
    let what = hold.tell(|machine| snapshot.full_name_of(machine));
    Some(Problem { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: false })
}
