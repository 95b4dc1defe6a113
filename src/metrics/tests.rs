use super::*;
use crate::core::model::ChoiceReason;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::Machine;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::Unit;
use crate::core::unit::Hash;

const SWEEP: Sweep =
    Sweep { at: Timestamp::from_millis(1_700_000_000_500), took: Duration::from_millis(250), exit_code: 1 };

/// Returns the lines with numbers.
fn numbers(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_sweep_that_has_observed_nothing_has_metrics_of_its_own_only() {
    let text = of_sweep(&SWEEP, None);
    let expected = [
        "muster_sweep_timestamp_seconds 1700000000.5",
        "muster_sweep_duration_seconds 0.25",
        "muster_sweep_exit_code 1.0",
    ];
    assert_eq!(numbers(&text), expected);
    assert!(text.contains("# TYPE muster_sweep_exit_code gauge\n"), "{text}");
}

#[test]
fn the_machines_and_units_of_a_cluster_and_their_troubles_are_counted() {
    let machine = |number: u128, cordoned| {
        let id = MachineId::from_bits(number);
        (id, Machine { id, name: format!("m{number}"), cordoned, ..Machine::default() })
    };
    let health = |number: u128, health| {
        let (at, seen) = (Timestamp::from_millis(7000), Timestamp::from_millis(5000));
        let reason = HealthEvidence::Answers.into();
        let record = HealthRecord { health, since: at, last_seen: Some(seen), reason, outages: Vec::new() };
        (MachineId::from_bits(number), record)
    };
    let mut snapshot = Snapshot {
        machines: [machine(1, false), machine(2, true)].into(),
        health: [health(1, Health::Alive), health(2, Health::PathFault)].into(),
        ..Snapshot::default()
    };
    let web: UnitName = "web\\x2d1.service".parse().unwrap();
    snapshot.units.insert(web.clone(), Unit::new(Hash::NONE, DesiredState::Launched));
    let placement = Placement {
        machine: MachineId::from_bits(2),
        epoch: 1,
        reason: PlacementReason { choice: ChoiceReason::RunsThere, moved: None },
        since: Timestamp::ZERO,
        failed_loads: Vec::new(),
        pull: None,
    };
    snapshot.placements.insert(web.clone(), placement);
    let troubles = [
        Trouble { kind: TroubleKind::LoadFailed, machine: Some(MachineId::from_bits(2)), unit: Some(&web) },
        Trouble { kind: TroubleKind::Unsettled, machine: None, unit: None },
    ];
    let text = of_sweep(&SWEEP, Some(State { snapshot: &snapshot, troubles: &troubles }));
    let mut lines = numbers(&text);
    lines.sort_unstable();
    let expected = [
        "muster_leases 0.0",
        "muster_machine_cordoned{machine=\"m1\"} 0.0",
        "muster_machine_cordoned{machine=\"m2\"} 1.0",
        "muster_machine_draining{machine=\"m1\"} 0.0",
        "muster_machine_draining{machine=\"m2\"} 0.0",
        "muster_machine_health_since_timestamp_seconds{machine=\"m1\"} 7.0",
        "muster_machine_health_since_timestamp_seconds{machine=\"m2\"} 7.0",
        "muster_machine_health{machine=\"m1\",health=\"alive\"} 1.0",
        "muster_machine_health{machine=\"m2\",health=\"path-fault\"} 1.0",
        "muster_machine_last_seen_timestamp_seconds{machine=\"m2\"} 5.0",
        "muster_machine_units{machine=\"m1\"} 0.0",
        "muster_machine_units{machine=\"m2\"} 1.0",
        "muster_machines{health=\"alive\"} 1.0",
        "muster_machines{health=\"down\"} 0.0",
        "muster_machines{health=\"path-fault\"} 1.0",
        "muster_machines{health=\"sick\"} 0.0",
        "muster_machines{health=\"sshd-down\"} 0.0",
        "muster_machines{health=\"suspect\"} 0.0",
        "muster_machines{health=\"throttled\"} 0.0",
        "muster_machines{health=\"unreachable\"} 0.0",
        "muster_sweep_duration_seconds 0.25",
        "muster_sweep_exit_code 1.0",
        "muster_sweep_timestamp_seconds 1700000000.5",
        "muster_troubles 2.0",
        "muster_trouble{kind=\"load_failed\",machine=\"m2\",unit=\"web\\\\x2d1.service\"} 1.0",
        "muster_trouble{kind=\"unsettled\"} 1.0",
        "muster_units{desired=\"inactive\"} 0.0",
        "muster_units{desired=\"launched\"} 1.0",
        "muster_units{desired=\"loaded\"} 0.0",
    ];
    assert_eq!(lines, expected);
}
