//! A reconciler that is only played: the same [`Reconciler`], with hosts that are imagined instead of visited and a store that takes
//! everything and keeps nothing. What comes of it is what would be done.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::LeaseAction;
use crate::core::model::LoadState;
use crate::core::model::MachineId;
use crate::core::model::Observation;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::PlacementReason;
use crate::core::model::RemovalReason;
use crate::core::model::Report;
use crate::core::model::Snapshot;
use crate::core::model::Step;
use crate::core::model::SubState;
use crate::core::model::Subject;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::core::unit::UnitName;

/// How much time a simulation may play, so that a simulation that never settles ends.
const LONGEST: Duration = Duration::from_mins(10);

/// A unit that would change its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The unit.
    pub unit: UnitName,
    /// Where it was.
    pub from: Option<MachineId>,
    /// Where it would go; `None` if it would be taken off its machine.
    pub to: Option<MachineId>,
    /// Why.
    pub reason: MoveReason,
}

/// Why a unit would change its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// It would be placed.
    Placed(PlacementReason),
    /// It would be taken off its machine.
    Removed(RemovalReason),
}

/// What would be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulation {
    /// The health records that would be stored, the last of each machine.
    pub health_changes: BTreeMap<MachineId, HealthRecord>,
    /// Units that would change their places, in the order in which that is decided.
    pub moves: Vec<Move>,
    /// Steps, in the order in which they would be sent.
    pub steps: Vec<(MachineId, Step)>,
}

impl Simulation {
    /// Reports whether nothing would be done to any unit.
    pub const fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.steps.is_empty()
    }

    /// Notes what a reconciler would write, beside what it knew before.
    pub fn note_writes(&mut self, known: &Snapshot, writes: &[Write]) {
        for write in writes {
            let (unit, to, reason) = match write {
                Write::Place(unit, placement) => {
                    (unit, Some(placement.machine), MoveReason::Placed(placement.reason.clone()))
                }
                Write::Log(Event {
                    subject: Subject { unit: Some(unit), .. },
                    kind: EventKind::UnitRemoved(reason),
                    ..
                }) => (unit, None, MoveReason::Removed(reason.clone())),
                Write::Health(machine, health) => {
                    self.health_changes.insert(*machine, health.clone());
                    continue;
                }
                _ => continue,
            };
            let from = known.placements.get(unit).map(|placement| placement.machine);
            self.moves.push(Move { unit: unit.clone(), from, to, reason });
        }
    }

    /// Notes a visit that a reconciler would make.
    pub fn note_visit(&mut self, machine: MachineId, visit: &Visit) {
        self.steps.extend(visit.steps.iter().map(|step| (machine, step.clone())));
    }
}

/// Hosts that do everything they are told, at once, and no harm.
#[derive(Debug, Clone, Default)]
pub struct SimulatedHosts {
    units: BTreeMap<MachineId, BTreeMap<UnitName, UnitState>>,
    fail: BTreeMap<MachineId, FailureKind>,
}

impl SimulatedHosts {
    /// Imagines hosts as the store last heard of them, but for some that go down.
    pub fn of(snapshot: &Snapshot, down: impl IntoIterator<Item = MachineId>) -> Self {
        let ailing = snapshot.health.iter().filter_map(|(id, health)| Some((*id, ailment(health.health)?)));
        let fail = ailing.chain(down.into_iter().map(|id| (id, FailureKind::Silent))).collect();
        let mut units: BTreeMap<_, BTreeMap<_, _>> =
            snapshot.machines.keys().map(|id| (*id, BTreeMap::new())).collect();
        for (unit, states) in &snapshot.states {
            for (machine, state) in states {
                units.entry(*machine).or_default().insert(unit.clone(), state.clone());
            }
        }
        Self { units, fail }
    }

    /// Takes in how a host really is.
    pub fn learn(&mut self, machine: MachineId, units: BTreeMap<UnitName, UnitState>) {
        self.units.insert(machine, units);
    }

    /// Reports whether it is known how a host is.
    pub fn knows(&self, machine: MachineId) -> bool {
        self.units.contains_key(&machine)
    }

    /// Reports whether a host reaches another one, if it can say anything.
    fn reaches(&self, from: MachineId, to: MachineId) -> Option<bool> {
        (!self.fail.contains_key(&from)).then(|| self.fail.get(&to) != Some(&FailureKind::Silent))
    }

    /// Plays a visit.
    pub fn visit(&mut self, machine: MachineId, visit: &Visit, now: Timestamp) -> Result<Report, Failure> {
        if let Some(kind) = self.fail.get(&machine).copied() {
            let (host, detail) = (machine.to_string(), "as imagined".to_owned());
            return Err(Failure { host, phase: Phase::Connect, kind, detail, hint: None });
        }
        let units = self.units.entry(machine).or_default();
        for step in &visit.steps {
            play(units, step);
        }
        let observation = Observation {
            machine,
            boot: "played".to_owned(),
            uptime: now.since(Timestamp::ZERO),
            epoch: visit.epoch,
            lease: visit.lease.as_ref().map(LeaseAction::granted),
            units: Some(units.clone()),
        };
        let outcomes = visit.steps.iter().map(|_| Outcome::Done).collect();
        Ok(Report { outcomes, refused: None, observation: Some(observation) })
    }
}

/// Returns how a machine must fail to be thought of like this.
const fn ailment(health: Health) -> Option<FailureKind> {
    match health {
        Health::Alive | Health::Suspect => None,
        Health::Down => Some(FailureKind::Silent),
        Health::SshdDown => Some(FailureKind::Refused),
        Health::Throttled => Some(FailureKind::Throttled),
        Health::Sick => Some(FailureKind::Sick),
        Health::PathFault | Health::Unreachable => Some(FailureKind::Local),
    }
}

/// Does what a step requirements for.
fn play(units: &mut BTreeMap<UnitName, UnitState>, step: &Step) {
    let state = |hash, running: bool, restarts| UnitState {
        load: LoadState::Loaded,
        active: if running { ActiveState::Active } else { ActiveState::Inactive },
        sub: if running { SubState::RUNNING } else { SubState::DEAD },
        job: None,
        hash,
        launched: running,
        restarts,
    };
    let hash = units.get(&step.unit).map(|state| state.hash);
    match (step.action, hash) {
        (Action::Unload, _) => drop(units.remove(&step.unit)),
        (Action::Load { hash, .. }, _) | (Action::Stop, Some(hash)) => {
            units.insert(step.unit.clone(), state(hash, false, 0));
        }
        (Action::Start { count } | Action::Restart { count }, Some(hash)) => {
            units.insert(step.unit.clone(), state(hash, true, count));
        }
        (Action::Stop | Action::Start { .. } | Action::Restart { .. }, None) => {}
    }
}

/// Plays a reconciler over imagined hosts until it has settled, in a time that is played too.
pub fn simulate(reconciler: &mut Reconciler, hosts: &mut SimulatedHosts, from: Timestamp) -> Simulation {
    let mut script = Simulation::default();
    let mut now = from;
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            for output in reconciler.handle(input, now) {
                match output {
                    Output::Commit(writes) => {
                        script.note_writes(reconciler.snapshot(), &writes);
                        inputs.push_back(Input::Committed(true));
                    }
                    Output::Visit { machine, visit, .. } => {
                        script.note_visit(machine, &visit);
                        inputs.push_back(Input::Visited(machine, hosts.visit(machine, &visit, now)));
                    }
                    Output::Probe { machine, neighbour } => {
                        let reached = hosts.reaches(neighbour, machine);
                        inputs.push_back(Input::Probed { machine, neighbour, reached });
                    }
                    Output::Leave(_) => {}
                    Output::Fence(machine) => inputs.push_back(Input::Fenced(machine, Ok(()))),
                    Output::Deposed => return script,
                }
            }
        }
        let over = reconciler.is_settled() && !reconciler.awaits_leases();
        let Some(next) = reconciler.wake_at().filter(|at| at.since(from) < LONGEST && !over) else {
            return script;
        };
        now = next.max(now);
        inputs.push_back(Input::Tick);
    }
}
