use std::sync::Arc;

use super::*;
use crate::core::health::DetectionConfig;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::Grant;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::RemovalReason;
use crate::core::model::SubState;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::reconcile::Timing;
use crate::core::reconcile::assignments::Scope;
use crate::core::unit::UnitFile;

const SECOND: Duration = Duration::from_secs(1);

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

fn id(number: u32) -> MachineId {
    MachineId::from_bits(u128::from(number) << 96)
}

/// Makes a cluster in which each unit runs on the machine that it is given with.
fn cluster(machines: u32, units: &[(&str, u32, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 1..=machines {
        let machine = Machine { id: id(number), name: format!("m{number}"), systemd: 252, ..Machine::default() };
        snapshot.machines.insert(machine.id, machine);
    }
    for (name, machine, text) in units {
        let unit: UnitName = format!("{name}.service").parse().unwrap();
        let file = Arc::new(UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n{text}\n")).unwrap());
        let hash = file.hash();
        snapshot.units.insert(unit.clone(), Unit::new(hash, DesiredState::Launched));
        snapshot.files.insert(hash, file);
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
        let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
        snapshot.states.entry(unit.clone()).or_default().insert(id(*machine), state);
        let placement = Placement {
            machine: id(*machine),
            epoch: 1,
            reason: chosen(),
            since: Timestamp::ZERO,
            failed_loads: Vec::new(),
            pull: None,
        };
        snapshot.placements.insert(unit, placement);
    }
    snapshot
}

fn simulated(snapshot: &Snapshot, down: &[u32]) -> (Reconciler, Simulation) {
    let timing = Timing {
        poll_interval: SECOND,
        full_poll_interval: SECOND * 10,
        retry_interval: SECOND / 2,
        start_deadline: SECOND * 10,
        detection: DetectionConfig { down_after: SECOND * 8, brake: 55 },
        lease: None,
    };
    let mut reconciler = Reconciler::new(1, Scope::All, timing, snapshot.clone());
    let mut hosts = SimulatedHosts::of(snapshot, down.iter().map(|number| id(*number)));
    let simulation = simulate(&mut reconciler, &mut hosts, Timestamp::from_millis(1_000_000));
    (reconciler, simulation)
}

fn moves(simulation: &Simulation) -> Vec<String> {
    let name = |id: Option<MachineId>| id.map_or_else(|| "-".to_owned(), MachineId::short);
    simulation.moves.iter().map(|m| format!("{} {} {}", m.unit.stem(), name(m.from), name(m.to))).collect()
}

#[test]
fn a_cluster_in_its_desired_state_needs_no_steps() {
    let (reconciler, simulation) = simulated(&cluster(2, &[("a", 1, ""), ("b", 2, "")]), &[]);
    assert!(simulation.is_empty() && simulation.health_changes.values().all(|health| health.health == Health::Alive));
    assert!(reconciler.refused().is_empty());
}

#[test]
fn the_units_of_a_machine_that_goes_down_move_to_other_machines_that_fit() {
    let snapshot = cluster(3, &[("a", 1, ""), ("b", 1, "[X-Fleet]\nMachineID=00000001"), ("c", 2, "")]);
    let (reconciler, simulation) = simulated(&snapshot, &[1]);
    assert_eq!(moves(&simulation), ["a 00000001 00000003"]);
    let reason = PlacementReason {
        choice: ChoiceReason::LeastLoaded { units: 0, next: Some(1) },
        moved: Some(RemovalReason::Unhealthy { machine: id(1), health: Health::Down, forced_by: None }),
    };
    assert_eq!(simulation.moves[0].reason, MoveReason::Placed(reason));
    let change = &simulation.health_changes[&id(1)];
    assert_eq!(change.health, Health::Down);
    assert!(change.reason.to_string().contains("connect: the host does not answer (simulated)"), "{}", change.reason);
    let actions: Vec<String> = simulation.steps.iter().map(|(_, step)| step.action.to_string()).collect();
    assert_eq!(actions, ["load", "start"]);
    assert_eq!(reconciler.refused().keys().map(UnitName::as_str).collect::<Vec<_>>(), ["b.service"]);
}

#[test]
fn an_inactive_or_destroyed_unit_is_taken_off_its_machine_with_that_reason() {
    let mut snapshot = cluster(2, &[("a", 1, ""), ("b", 1, "")]);
    snapshot.units.get_mut("a.service").unwrap().desired = DesiredState::Inactive;
    snapshot.units.remove("b.service");
    let (_, simulation) = simulated(&snapshot, &[]);
    assert_eq!(moves(&simulation), ["a 00000001 -", "b 00000001 -"]);
    let reasons: Vec<&MoveReason> = simulation.moves.iter().map(|it| &it.reason).collect();
    let expected = [RemovalReason::WantedInactive, RemovalReason::NotSubmitted].map(MoveReason::Removed);
    assert_eq!(reasons, expected.each_ref());
}

#[test]
fn the_brake_works_in_a_simulation_too() {
    let (reconciler, simulation) = simulated(&cluster(3, &[("a", 1, ""), ("b", 2, "")]), &[1, 2]);
    assert!(simulation.is_empty() && reconciler.refused().is_empty());
    let health = &simulation.health_changes[&id(1)];
    assert_eq!(health.health, Health::Unreachable);
    assert!(
        health.reason.to_string().starts_with("2 of 3 machines are silent at the same time: "),
        "{}",
        health.reason
    );
}

#[test]
fn a_simulation_goes_on_until_the_longest_lease_has_ended() {
    let mut snapshot = cluster(3, &[("db", 1, "[X-Muster]\nClass=strict")]);
    for length in [SECOND * 1_200, Duration::from_hours(24)] {
        let (units, stop) = ([UnitName::clone(snapshot.units.keys().next().unwrap())].into(), SECOND * 10);
        let grant = Grant {
            epoch: 1,
            length,
            stop,
            slack: std::time::Duration::ZERO,
            units,
            unknown: false,
            until: None,
            stopped_for_sure_at: None,
        };
        snapshot.leases.insert(id(1), grant);
        assert_eq!(moves(&simulated(&snapshot, &[1]).1), ["db 00000001 00000002"], "{length:?}");
    }
}

#[test]
fn a_second_simulation_after_the_first_needs_no_steps() {
    let mut snapshot = cluster(3, &[("a", 1, ""), ("b", 1, ""), ("c", 2, "")]);
    snapshot.machines.get_mut(&id(1)).unwrap().draining = true;
    snapshot.machines.get_mut(&id(1)).unwrap().cordoned = true;
    let (reconciler, simulation) = simulated(&snapshot, &[]);
    let steps: Vec<String> = simulation
        .steps
        .iter()
        .map(|(at, step)| format!("{} {} {}", step.action, step.unit.stem(), at.short()))
        .collect();
    assert_eq!(steps.len(), 6, "{steps:?}");
    assert!(steps[4..].iter().all(|step| step.starts_with("unload ")), "{steps:?}");
    let again = simulated(reconciler.snapshot(), &[]).1;
    assert!(again.is_empty(), "{again:?}");
}
