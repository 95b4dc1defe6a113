//! What is wrong when a pass has done what it could, in words.

use crate::core::explain;
use crate::core::explain::Idle;
use crate::core::model::DesiredState;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::UnitState;
use crate::core::model::Verdict;
use crate::core::reconcile::Pass;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::is_well;
use crate::core::reconcile::machine_view::Seat;
use crate::core::unit::UnitName;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
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

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "Unit {unit}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Returns what is wrong with the machines and units that a pass was about.
pub fn findings(pass: &Pass, scope: &Scope) -> Vec<Finding> {
    let mut found: Vec<Finding> = pass.seats().filter_map(|(machine, _)| machine_trouble(pass, machine)).collect();
    found.extend(pass.refused().iter().map(|(unit, why)| Finding {
        machine: None,
        unit: Some(unit.clone()),
        what: why.tell(),
        unreachable: false,
    }));
    found.extend(pass.setbacks().map(|(machine, setback)| Finding {
        machine: Some(machine),
        unit: Some(setback.step.unit.clone()),
        what: format!("{} failed on {}: {}", setback.step.action, name(pass.snapshot(), machine), setback.said),
        unreachable: false,
    }));
    let setbacks: Vec<&UnitName> = pass.setbacks().map(|(_, setback)| &setback.step.unit).collect();
    let launched = pass.snapshot().units.iter().filter(|(unit, record)| {
        record.desired == DesiredState::Launched && scope.has(unit) && !setbacks.contains(unit)
    });
    found.extend(launched.filter_map(|(unit, _)| unit_trouble(pass, unit)));
    found
}

/// Returns what is wrong as far as the store knows: as whoever leads has written it down.
pub fn written(snapshot: &Snapshot) -> Vec<Finding> {
    let machines = snapshot.machines.iter().filter_map(|(machine, record)| {
        let what = match snapshot.health.get(machine) {
            Some(health) if health.verdict == Verdict::Alive => return None,
            Some(health) => format!("{} is {}: {}", record.name, health.verdict, health.why),
            None => format!("{}: nobody has looked yet", record.name),
        };
        Some(Finding { machine: Some(*machine), unit: None, what, unreachable: true })
    });
    let units = explain::idle_units(snapshot).into_iter().map(|(unit, idle)| Finding {
        machine: snapshot.placements.get(unit).map(|placement| placement.machine),
        unit: Some(unit.clone()),
        what: if let Idle::NoPlace(refusal) = &idle { refusal.tell() } else { idle.to_string() },
        unreachable: matches!(idle, Idle::MachineAway { .. }),
    });
    machines.chain(units).collect()
}

/// Returns a machine's name, or its identity if it is none of the cluster's.
pub(super) fn name(snapshot: &Snapshot, machine: MachineId) -> String {
    snapshot.machines.get(&machine).map_or_else(|| machine.to_string(), |machine| machine.name.clone())
}

fn machine_trouble(pass: &Pass, machine: MachineId) -> Option<Finding> {
    let seat = pass.seat(machine)?;
    let verdict = seat.verdict.filter(|verdict| *verdict != Verdict::Alive)?;
    let (_, failure) = seat.evidence.failures.last()?;
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Some(Finding {
        machine: Some(machine),
        unit: None,
        what: format!("{} is {verdict}: {}: {}{hint}", name(pass.snapshot(), machine), failure.phase, failure.detail),
        unreachable: true,
    })
}

/// Says what is wrong with a launched unit that has a place.
fn unit_trouble(pass: &Pass, unit: &UnitName) -> Option<Finding> {
    let snapshot = pass.snapshot();
    let machine = snapshot.placements.get(unit)?.machine;
    if let Some(finding) = strict_trouble(pass, unit, machine) {
        return Some(finding);
    }
    let reachable = pass.seat(machine).is_some_and(Seat::answers);
    let oneshot = snapshot.file(unit).is_some_and(|file| file.is_oneshot());
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let what = match state {
        Some(state) if is_well(state, oneshot) => return None,
        Some(state) => format!("{} ({}) on {}", state.active, state.sub, name(snapshot, machine)),
        None => format!("not there yet on {}", name(snapshot, machine)),
    };
    Some(Finding { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: !reachable })
}

/// Says why a strict unit waits that does not run where it should, as far as that is known.
fn strict_trouble(pass: &Pass, unit: &UnitName, machine: MachineId) -> Option<Finding> {
    let snapshot = pass.snapshot();
    let state = snapshot.states.get(unit).and_then(|states| states.get(&machine));
    let runs = state.is_some_and(UnitState::runs) && pass.seat(machine).is_some_and(Seat::answers);
    let hold = pass.strict_hold(unit, machine).filter(|_| !runs)?;
    let what = hold.tell(|machine| name(snapshot, machine));
    Some(Finding { machine: Some(machine), unit: Some(unit.clone()), what, unreachable: false })
}
