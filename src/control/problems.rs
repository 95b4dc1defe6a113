//! What is wrong when a reconciler has done what it could, in words.

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

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The machine, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The unit, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// What is wrong and why.
    pub what: String,
    /// Set when it comes of not reaching a host.
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

/// Returns what is wrong with the machines and units that a reconciler was about.
pub fn problems(reconciler: &Reconciler, scope: &Scope) -> Vec<Problem> {
    let mut found: Vec<Problem> =
        reconciler.views().filter_map(|(machine, _)| machine_trouble(reconciler, machine)).collect();
    found.extend(reconciler.refused().iter().map(|(unit, why)| Problem {
        machine: None,
        unit: Some(unit.clone()),
        what: why.tell(),
        unreachable: false,
    }));
    found.extend(reconciler.backoffs().map(|(machine, backoff)| Problem {
        machine: Some(machine),
        unit: Some(backoff.step.unit.clone()),
        what: format!("{} failed on {}: {}", backoff.step.action, name(reconciler.snapshot(), machine), backoff.said),
        unreachable: false,
    }));
    let backoffs: Vec<&UnitName> = reconciler.backoffs().map(|(_, backoff)| &backoff.step.unit).collect();
    let launched = reconciler.snapshot().units.iter().filter(|(unit, record)| {
        record.desired == DesiredState::Launched && scope.has(unit) && !backoffs.contains(unit)
    });
    found.extend(launched.filter_map(|(unit, _)| unit_trouble(reconciler, unit)));
    found
}

/// Returns what is wrong as far as the store knows: as whoever leads has stored_problems it down.
pub fn stored_problems(snapshot: &Snapshot) -> Vec<Problem> {
    let machines = snapshot.machines.iter().filter_map(|(machine, record)| {
        let what = match snapshot.health.get(machine) {
            Some(health) if health.health == Health::Alive => return None,
            Some(health) => format!("{} is {}: {}", record.name, health.health, health.why),
            None => format!("{}: nobody has looked yet", record.name),
        };
        Some(Problem { machine: Some(*machine), unit: None, what, unreachable: true })
    });
    let units = explain::units_not_running(snapshot).into_iter().map(|(unit, idle)| Problem {
        machine: snapshot.placements.get(unit).map(|placement| placement.machine),
        unit: Some(unit.clone()),
        what: if let NotRunning::NoPlace(refusal) = &idle { refusal.tell() } else { idle.to_string() },
        unreachable: matches!(idle, NotRunning::MachineAway { .. }),
    });
    machines.chain(units).collect()
}

/// Returns a machine's name, or its identity if it is none of the cluster's.
pub(super) fn name(snapshot: &Snapshot, machine: MachineId) -> String {
    snapshot.machines.get(&machine).map_or_else(|| machine.to_string(), |machine| machine.name.clone())
}

fn machine_trouble(reconciler: &Reconciler, machine: MachineId) -> Option<Problem> {
    let view = reconciler.view(machine)?;
    let health = view.health.filter(|health| *health != Health::Alive)?;
    let (_, failure) = view.evidence.failures.last()?;
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Some(Problem {
        machine: Some(machine),
        unit: None,
        what: format!(
            "{} is {health}: {}: {}{hint}",
            name(reconciler.snapshot(), machine),
            failure.phase,
            failure.detail
        ),
        unreachable: true,
    })
}

/// Says what is wrong with a launched unit that has a place.
fn unit_trouble(reconciler: &Reconciler, unit: &UnitName) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let machine = snapshot.placements.get(unit)?.machine;
    if let Some(finding) = strict_trouble(reconciler, unit, machine) {
        return Some(finding);
    }
    let reachable = reconciler.view(machine).is_some_and(MachineView::answers);
    let oneshot = snapshot.file(unit).is_some_and(|file| file.is_oneshot());
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let what = match state {
        Some(state) if state.is_well(oneshot) => return None,
        Some(state) => format!("{state} on {}", name(snapshot, machine)),
        None => format!("not there yet on {}", name(snapshot, machine)),
    };
    Some(Problem { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: !reachable })
}

/// Says why a strict unit timeouts that does not run where it should, as far as that is known.
fn strict_trouble(reconciler: &Reconciler, unit: &UnitName, machine: MachineId) -> Option<Problem> {
    let snapshot = reconciler.snapshot();
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let runs = state.is_some_and(UnitState::runs) && reconciler.view(machine).is_some_and(MachineView::answers);
    let hold = reconciler.strict_hold(unit, machine).filter(|_| !runs)?;
    let what = hold.tell(|machine| name(snapshot, machine));
    Some(Problem { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: false })
}
