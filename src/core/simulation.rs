//! The simulation: the real [`Reconciler`] with simulated hosts, a simulated clock and a store that accepts every
//! commit and keeps nothing. It returns the moves and steps that would follow. It must not change a host or the store.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Health;
use crate::core::model::HealthRecord;
use crate::core::model::MachineId;
use crate::core::model::Observation;
use crate::core::model::Phase;
use crate::core::model::PlacementReason;
use crate::core::model::RemovalReason;
use crate::core::model::Report;
use crate::core::model::Snapshot;
use crate::core::model::Step;
use crate::core::model::Subject;
use crate::core::model::Timestamp;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::core::simulated_host::SimulatedHost;
use crate::core::unit::UnitName;

/// The longest simulated time, so that a simulation that never settles ends.
const LONGEST: Duration = Duration::from_mins(10);

/// The longest simulated time while a lease has yet to end. The longest lease is one of 24 hours.
const LONGEST_WITH_LEASES: Duration = Duration::from_hours(25);

/// The end of a lease that a host holds already: it is not known, and a leader that goes on renews the lease.
const UNENDING: Duration = Duration::MAX;

/// The only shell on a simulated host.
const SHELL: u64 = 0;

/// A unit whose placement would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The unit.
    pub unit: UnitName,
    /// The machine that it was on.
    pub from: Option<MachineId>,
    /// The machine that it would move to; `None` if it would be taken off its machine.
    pub to: Option<MachineId>,
    /// Why it would move.
    pub reason: MoveReason,
}

/// Why the placement of a unit would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// It would be placed.
    Placed(PlacementReason),
    /// It would be taken off its machine.
    Removed(RemovalReason),
}

/// The changes that would be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulation {
    /// The health records that would be stored: the last one of each machine.
    pub health_changes: BTreeMap<MachineId, HealthRecord>,
    /// The changes of placements, in the order of the decisions.
    pub moves: Vec<Move>,
    /// The steps, in the order in which they would be sent.
    pub steps: Vec<(MachineId, Step)>,
}

impl Simulation {
    /// Reports whether no unit would be changed.
    pub const fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.steps.is_empty()
    }

    /// Records the writes that a reconciler would commit. `known` has the records before these writes.
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

    /// Records a visit that a reconciler would make.
    pub fn note_visit(&mut self, machine: MachineId, visit: &Visit) {
        self.steps.extend(visit.steps.iter().map(|step| (machine, step.clone())));
    }
}

/// Simulated hosts, which carry out every step at once and without failures.
#[derive(Debug, Clone, Default)]
pub struct SimulatedHosts {
    /// The hosts, each with the time at which it booted.
    hosts: BTreeMap<MachineId, (Timestamp, SimulatedHost)>,
    fail: BTreeMap<MachineId, FailureKind>,
}

impl SimulatedHosts {
    /// Makes hosts in the state that the store last recorded, except for some that are down.
    pub fn of(snapshot: &Snapshot, down: impl IntoIterator<Item = MachineId>) -> Self {
        let failing = snapshot.health.iter().filter_map(|(id, health)| Some((*id, failure_kind(health.health)?)));
        let fail = failing.chain(down.into_iter().map(|id| (id, FailureKind::Silent))).collect();
        let mut hosts = Self { hosts: BTreeMap::new(), fail };
        for (unit, states) in &snapshot.states {
            for (machine, state) in states {
                let file = snapshot.files.get(&state.hash).map(Arc::as_ref);
                hosts.host(*machine).1.put(unit.clone(), state.clone(), file, Duration::ZERO);
            }
        }
        for machine in snapshot.leases.keys() {
            hosts.host(*machine).1.lease = Some(UNENDING);
        }
        hosts
    }

    /// Returns a host and the time at which it booted.
    fn host(&mut self, machine: MachineId) -> &mut (Timestamp, SimulatedHost) {
        let new = || (Timestamp::ZERO, SimulatedHost::new(machine, "simulated".to_owned()));
        self.hosts.entry(machine).or_insert_with(new)
    }

    /// Makes a host that is like the real host in an observation. The leader of a simulation may visit it, whatever
    /// leader has visited the real host.
    pub fn learn(&mut self, snapshot: &Snapshot, seen: &Observation, now: Timestamp) {
        let Some(units) = &seen.units else { return };
        let uptime = u64::try_from(seen.uptime.as_millis()).unwrap_or(u64::MAX);
        let booted = Timestamp::from_millis(now.as_millis().saturating_sub(uptime));
        let mut host = SimulatedHost::new(seen.machine, seen.boot.clone());
        host.lease = snapshot.leases.contains_key(&seen.machine).then_some(UNENDING);
        for (unit, state) in units {
            host.put(unit.clone(), state.clone(), snapshot.files.get(&state.hash).map(Arc::as_ref), Duration::ZERO);
        }
        self.hosts.insert(seen.machine, (booted, host));
    }

    /// Reports whether the units of a host are known.
    pub fn knows(&self, machine: MachineId) -> bool {
        self.hosts.contains_key(&machine)
    }

    /// Reports whether a host reaches another one; `None` if the first host is down itself.
    fn reaches(&self, from: MachineId, to: MachineId) -> Option<bool> {
        (!self.fail.contains_key(&from)).then(|| self.fail.get(&to) != Some(&FailureKind::Silent))
    }

    /// Carries out a visit on a simulated host.
    pub fn visit(&mut self, machine: MachineId, visit: &Visit, quick: bool, now: Timestamp) -> Result<Report, Failure> {
        if let Some(kind) = self.fail.get(&machine).copied() {
            let (host, detail) = (machine.to_string(), format!("{} (simulated)", failure_text(kind)));
            return Err(Failure { host, phase: Phase::Connect, kind, detail, hint: None });
        }
        let (booted, host) = self.host(machine);
        Ok(host.visit(visit, quick, SHELL, now.since(*booted)))
    }
}

/// Returns the failure that leads to this health; `None` for a machine that answers.
const fn failure_kind(health: Health) -> Option<FailureKind> {
    match health {
        Health::Alive | Health::Suspect => None,
        Health::Down => Some(FailureKind::Silent),
        Health::SshdDown => Some(FailureKind::Refused),
        Health::Throttled => Some(FailureKind::Throttled),
        Health::Sick => Some(FailureKind::Sick),
        Health::PathFault | Health::Unreachable => Some(FailureKind::Local),
    }
}

/// Returns what a simulated host that fails in this way does.
const fn failure_text(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refused => "the host refuses the connection",
        FailureKind::Throttled => "sshd closes the connection",
        FailureKind::Sick => "the host cannot be managed",
        FailureKind::Local => "the path to the host is broken",
        _ => "the host does not answer",
    }
}

/// Runs a reconciler over simulated hosts, in simulated time, until it has settled and no unit waits for the end of a lease.
pub fn simulate(reconciler: &mut Reconciler, hosts: &mut SimulatedHosts, from: Timestamp) -> Simulation {
    run(reconciler, hosts, from, true)
}

/// Runs a reconciler over simulated hosts until it has settled: what follows from the state of the hosts now.
pub fn simulate_present(reconciler: &mut Reconciler, hosts: &mut SimulatedHosts, now: Timestamp) -> Simulation {
    run(reconciler, hosts, now, false)
}

fn run(reconciler: &mut Reconciler, hosts: &mut SimulatedHosts, from: Timestamp, awaits_leases: bool) -> Simulation {
    let mut simulation = Simulation::default();
    let mut now = from;
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            for output in reconciler.handle(input, now) {
                match output {
                    Output::Commit(writes) => {
                        simulation.note_writes(reconciler.snapshot(), &writes);
                        inputs.push_back(Input::Committed(true));
                    }
                    Output::Visit { machine, visit, quick, .. } => {
                        simulation.note_visit(machine, &visit);
                        inputs.push_back(Input::Visited(machine, Box::new(hosts.visit(machine, &visit, quick, now))));
                    }
                    Output::Probe { machine, peer } => {
                        let reached = hosts.reaches(peer, machine);
                        inputs.push_back(Input::Probed { machine, peer, reached });
                    }
                    Output::Leave(_) => {}
                    Output::Fence(machine) => inputs.push_back(Input::Fenced(machine, Ok(()))),
                    Output::Deposed => return simulation,
                }
            }
        }
        let awaits_leases = awaits_leases && reconciler.awaits_leases();
        let limit = if awaits_leases { LONGEST_WITH_LEASES } else { LONGEST };
        let over = reconciler.is_settled() && !awaits_leases;
        let Some(next) = reconciler.wake_at().filter(|at| at.since(from) < limit && !over) else {
            return simulation;
        };
        now = next.max(now);
        inputs.push_back(Input::Tick);
    }
}
