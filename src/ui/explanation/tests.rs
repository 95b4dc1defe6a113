use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::explain;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::FailedAttempt;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthReason;
use crate::core::model::HealthRecord;
use crate::core::model::HoldDown;
use crate::core::model::LoadState;
use crate::core::model::MachineId;
use crate::core::model::ObservationTimes;
use crate::core::model::Phase;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::SubState;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::unit::UnitFile;
use crate::ui::clock;
use crate::ui::may_still_run;

const NOW: u64 = 1_000_000;

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn grant(until: Option<u64>, stopped_for_sure_at: Option<u64>) -> Grant {
    let (length, stop) = (Duration::from_secs(18), Duration::from_secs(10));
    Grant {
        epoch: 7,
        length,
        stop,
        slack: Duration::ZERO,
        units: [web()].into(),
        unknown: false,
        until: until.map(at),
        stopped_for_sure_at: stopped_for_sure_at.map(at),
    }
}

fn core() -> Machine {
    Machine { id: MachineId::from_bits(1 << 96), name: "core-01".to_owned(), ..Machine::default() }
}

/// A machine with a lease, on which a strict unit was placed.
fn strict(lease: Option<Grant>) -> Snapshot {
    let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n\n[X-Muster]\nClass=strict\n").unwrap();
    let mut snapshot = Snapshot::default();
    let placement = Placement {
        machine: core().id,
        epoch: 7,
        reason: chosen(),
        since: Timestamp::ZERO,
        failed_loads: Vec::new(),
        pull: None,
    };
    let unit = Unit::new(file.hash(), DesiredState::Launched);
    snapshot.units.insert(web(), unit);
    snapshot.placements.insert(web(), placement);
    snapshot.files.insert(file.hash(), Arc::new(file));
    snapshot.machines.insert(core().id, core());
    snapshot.leases.extend(lease.map(|grant| (core().id, grant)));
    snapshot
}

fn web() -> UnitName {
    "web.service".parse().unwrap()
}

#[test]
fn a_machine_is_shown_with_the_leader_that_granted_its_lease_and_the_end_of_the_lease() {
    let row = |lease| {
        let shown = machine(&strict(lease), &core(), &[], at(NOW), true, false);
        shown.lines().find_map(|line| line.strip_prefix("Lease:")).map(|row| row.trim().to_owned())
    };
    let says = |end: String| Some(format!("granted by the leader with epoch 7, 18 s long{end}"));
    let time = |seconds| clock(at(seconds), at(NOW));
    assert_eq!(row(None), None);
    assert_eq!(row(Some(grant(None, None))), says(", renewed as long as the machine answers".to_owned()));
    let swept = format!(", until {} unless it is renewed", time(NOW + 180));
    assert_eq!(row(Some(grant(Some(NOW + 180), None))), says(swept));
    let silent = format!("; its strict units may run until {}", time(NOW + 1));
    assert_eq!(row(Some(grant(Some(NOW + 180), Some(NOW + 1)))), says(silent));
    let slow = Grant { slack: Duration::from_secs(7), ..grant(None, None) };
    let shown = |lease| machine(&strict(Some(lease)), &core(), &[], at(NOW), true, false);
    let bound = |lease| shown(lease).lines().find_map(|line| Some(line.strip_prefix("Bound:")?.trim().to_owned()));
    let usual = "18 s of the lease, 10 s to stop the units, 2 s of margin";
    assert_eq!(bound(grant(None, None)), Some(format!("30 s: {usual}")));
    assert_eq!(bound(slow), Some(format!("37 s: {usual}, 7 s because its systemd is slow")));
    let gone = format!("; its strict units had stopped by {}", time(NOW));
    assert_eq!(row(Some(grant(None, Some(NOW)))), says(gone));
}

#[test]
fn a_strict_unit_may_still_run_on_a_silent_machine_until_its_lease_has_ended() {
    let lines = |snapshot: &Snapshot| may_still_run(snapshot, &web(), at(NOW));
    let silent = grant(None, Some(NOW + 1));
    let until = clock(at(NOW + 1), at(NOW));
    let mut snapshot = strict(Some(silent));
    assert_eq!(lines(&snapshot), [format!("Unit web.service may still run on core-01 until {until}")]);
    snapshot.machines.clear();
    assert_eq!(lines(&snapshot), [format!("Unit web.service may still run on 00000001... until {until}")]);
    let nothing: [String; 0] = [];
    assert_eq!(lines(&strict(Some(grant(None, Some(NOW))))), nothing, "it is gone");
    assert_eq!(lines(&strict(Some(grant(None, None)))), nothing, "its machine answers");
}

#[test]
fn the_unit_state_of_a_machine_that_was_not_observed_is_shown_with_its_age() {
    let mut snapshot = strict(None);
    let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
    let state = UnitState {
        load,
        active,
        sub,
        job: None,
        hash: snapshot.units[&web()].hash,
        launched: true,
        restarts: 0,
        restarted: false,
    };
    snapshot.states.insert(web(), [(core().id, state)].into());
    let row = |snapshot: &Snapshot| {
        let why = explain::explain(snapshot, &web(), at(NOW)).unwrap();
        let shown = unit(snapshot, &web(), &why, &[], at(NOW));
        shown.lines().find_map(|line| line.strip_prefix("State:")).map(|row| row.trim().to_owned()).unwrap()
    };
    assert_eq!(row(&snapshot), "active (running) on core-01, not observed since");
    let (since, last_seen, reason) = (at(NOW), None, HealthEvidence::Answers.into());
    let health = HealthRecord { health: Health::Down, since, last_seen, reason, outages: Vec::new() };
    snapshot.health.insert(core().id, health.clone());
    snapshot.observed =
        Some(ObservationTimes { at: at(NOW), behind: [(core().id, Some(at(NOW - 9)))].into(), continuous: false });
    assert_eq!(row(&snapshot), "active (running) on core-01, as of 9 s ago");
    let shown = |snapshot: &Snapshot| {
        let why = explain::explain(snapshot, &web(), at(NOW)).unwrap();
        unit(snapshot, &web(), &why, &[], at(NOW))
    };
    let unknown = "core-01 is down: answers; the present state there is not known\n";
    let text = shown(&snapshot);
    assert!(text.contains("Unknown:") && text.contains(unknown) && !text.contains("Not running"), "{text}");
    snapshot.observed = Some(ObservationTimes { at: at(NOW - 1), behind: BTreeMap::new(), continuous: false });
    assert_eq!(row(&snapshot), "active (running) on core-01, as of 1 s ago", "it does not answer any more");
    snapshot.health.insert(core().id, HealthRecord { health: Health::Alive, ..health });
    assert_eq!(row(&snapshot), "active (running) on core-01");
}

#[test]
fn a_global_unit_on_a_machine_is_called_global() {
    let mut snapshot = strict(None);
    let global = UnitFile::parse("[Service]\nExecStart=/bin/true\n\n[X-Fleet]\nGlobal=true\n").unwrap();
    let (agent, old): (UnitName, UnitName) = ("agent.service".parse().unwrap(), "old.service".parse().unwrap());
    let (load, active, sub, hash) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING, global.hash());
    let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
    snapshot.units.insert(agent.clone(), Unit::new(hash, DesiredState::Launched));
    snapshot.files.insert(hash, Arc::new(global));
    snapshot.states.extend([agent, old].map(|unit| (unit, [(core().id, state.clone())].into())));
    let shown = machine(&snapshot, &core(), &[], at(NOW), true, false);
    let places: Vec<[&str; 2]> = shown.lines().filter(|line| line.contains(".service")).map(ends).collect();
    assert_eq!(places, [["agent.service", "global"], ["web.service", "yes"], ["old.service", "no"]]);
    let units = machine_json(&snapshot, &core(), &[], at(NOW))["units"].clone();
    assert_eq!((&units[0]["global"], &units[1]["global"]), (&true.into(), &false.into()));
}

/// Returns the first and the last word of a line.
fn ends(line: &str) -> [&str; 2] {
    let mut words = line.split_whitespace();
    [words.next(), words.next_back()].map(Option::unwrap_or_default)
}

#[test]
fn a_strict_unit_on_a_host_with_a_slow_systemd_is_shown_with_the_longer_bound_and_what_helps() {
    let shown = |lease| {
        let snapshot = strict(Some(lease));
        let why = explain::explain(&snapshot, &web(), at(NOW)).unwrap();
        let json = unit_json(&snapshot, &web(), &why, &[], at(NOW));
        let text = unit(&snapshot, &web(), &why, &[], at(NOW));
        let row = text.lines().find_map(|line| line.strip_prefix("Slow host:")).map(|row| row.trim().to_owned());
        (row, json["slow_hosts"].clone())
    };
    assert_eq!(shown(grant(None, None)), (None, json!([])));
    let slow = Grant { slack: Duration::from_secs(7), ..grant(None, None) };
    let text = "systemd on core-01 took at least 1.5 s to renew the lease, so 7 s are added to the bound: if core-01 falls \
                silent, this unit starts elsewhere after 37 s; more processor time for core-01 or a fence command helps";
    let json = json!([{"machine": core().id, "name": "core-01", "bound": 37, "added": 7}]);
    assert_eq!(shown(slow), (Some(text.to_owned()), json));
}

#[test]
fn why_calls_machines_by_their_names_and_says_when_a_hold_down_ends() {
    let mut snapshot = strict(None);
    let other = Machine { id: MachineId::from_bits(2 << 96), name: "core-02".to_owned(), ..Machine::default() };
    let pinned = format!("[Service]\nExecStart=/bin/true\n\n[X-Fleet]\nMachineID={}\n", core().id);
    let pinned = UnitFile::parse(&pinned).unwrap();
    snapshot.units.insert(web(), Unit::new(pinned.hash(), DesiredState::Launched));
    snapshot.files.insert(pinned.hash(), Arc::new(pinned));
    let hold_down = Some(HoldDown { outages: 2, seconds: 60 });
    let reason = HealthReason { hold_down, ..HealthEvidence::Answers.into() };
    let (health, since, last_seen) = (Health::Alive, at(NOW), None);
    snapshot.health.insert(other.id, HealthRecord { health, since, last_seen, reason, outages: Vec::new() });
    snapshot.machines.insert(other.id, other);
    let why = explain::explain(&snapshot, &web(), at(NOW)).unwrap();
    let shown = unit(&snapshot, &web(), &why, &[], at(NOW));
    let end = clock(at(NOW + 60), at(NOW));
    let expected = format!(
        "core-02 held down: it went down 2 times within an hour, and takes no unit until {end}; MachineID= names core-01"
    );
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.lines().any(|line| words(line) == expected), "{shown}");
    assert!(shown.lines().any(|line| words(line) == "Place: core-01"), "{shown}");
}

#[test]
fn why_says_what_a_drain_does_to_a_unit() {
    let mut snapshot = strict(None);
    let mut row = |drain_by: Option<Timestamp>| {
        let machine = snapshot.machines.get_mut(&core().id).unwrap();
        (machine.cordoned, machine.draining, machine.drain_by) = (true, true, drain_by);
        let why = explain::explain(&snapshot, &web(), at(NOW)).unwrap();
        let text = unit(&snapshot, &web(), &why, &[], at(NOW));
        text.lines().find_map(|line| line.strip_prefix("Drain:")).map(|row| row.trim().to_owned())
    };
    let end = clock(at(NOW + 8), at(NOW));
    let stops = format!("core-01 is drained: the unit stops there at {end}, even if it fits on no other machine");
    assert_eq!(row(Some(at(NOW + 8))), Some(stops));
    let leaves = "core-01 is drained: the unit leaves as soon as another machine takes it";
    assert_eq!(row(None).as_deref(), Some(leaves));
}

#[test]
fn a_machine_is_shown_with_the_time_of_its_last_answer() {
    let mut snapshot = strict(None);
    let (health, since, reason) = (Health::Down, at(NOW - 20), HealthReason::from(HealthEvidence::Answers));
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    snapshot.health.insert(core().id, record);
    assert_eq!(row(&snapshot, true, "Last seen:"), "never");
    snapshot.health.get_mut(&core().id).unwrap().last_seen = Some(at(NOW - 30));
    assert_eq!(row(&snapshot, true, "Last seen:"), time(at(NOW - 30)));
    snapshot.machines.get_mut(&core().id).unwrap().draining = true;
    let drained = "drained: its units move to other machines; uncordoned, it takes no new units: its health is down";
    assert_eq!(row(&snapshot, true, "Scheduling:"), drained);
    snapshot.health.get_mut(&core().id).unwrap().health = Health::Alive;
    snapshot.observed = Some(ObservationTimes { at: at(NOW), behind: BTreeMap::new(), continuous: true });
    assert_eq!(row(&snapshot, true, "Last seen:"), "now");
    let shown = machine_json(&snapshot, &core(), &[], at(NOW));
    assert_eq!(shown["health"]["last_seen"], shown["observed_at"], "{shown:#}");
}

/// Returns a row of `machine show`.
fn row(snapshot: &Snapshot, has_controller: bool, title: &str) -> String {
    let shown = machine(snapshot, &snapshot.machines[&core().id], &[], at(NOW), has_controller, false);
    shown.lines().find_map(|line| line.strip_prefix(title)).map(|row| row.trim().to_owned()).unwrap()
}

#[test]
fn a_machine_that_takes_no_new_units_is_shown_with_the_reason_and_the_end() {
    let mut snapshot = strict(None);
    assert_eq!(row(&snapshot, true, "Scheduling:"), "takes units");
    let reason =
        HealthReason { hold_down: Some(HoldDown { outages: 3, seconds: 60 }), ..HealthEvidence::Answers.into() };
    let (health, since, last_seen) = (Health::Alive, at(NOW - 20), None);
    let record = HealthRecord { health, since, last_seen, reason, outages: Vec::new() };
    snapshot.health.insert(core().id, record);
    let held = format!(
        "takes no new units until {}: held down: it went down 3 times within an hour",
        clock(at(NOW + 40), at(NOW))
    );
    assert_eq!(row(&snapshot, true, "Scheduling:"), held);
    snapshot.machines.get_mut(&core().id).unwrap().cordoned = true;
    assert_eq!(row(&snapshot, true, "Scheduling:"), format!("cordoned: takes no new units; uncordoned, it {held}"));
    let machine = snapshot.machines.get_mut(&core().id).unwrap();
    (machine.draining, machine.drain_by) = (true, Some(at(NOW + 9)));
    let stops = format!("drained: the remaining units stop at {}; uncordoned, it {held}", time(at(NOW + 9)));
    assert_eq!(row(&snapshot, true, "Scheduling:"), stops);
    let machine = snapshot.machines.get_mut(&core().id).unwrap();
    (machine.draining, machine.drain_by, machine.cordoned) = (false, None, false);
    snapshot.health.get_mut(&core().id).unwrap().health = Health::Down;
    assert_eq!(row(&snapshot, true, "Scheduling:"), "takes no new units: its health is down");
    snapshot.health.clear();
    let (hash, said) = (snapshot.units[&web()].hash, "cannot write to /run/muster: is /run full?".to_owned());
    let load = FailedLoad { machine: core().id, hash, said, at: at(NOW) };
    snapshot.placements.get_mut(&web()).unwrap().failed_loads.push(load);
    let until = clock(at(NOW + 300), at(NOW));
    assert_eq!(row(&snapshot, true, "Scheduling:"), format!("takes no new units until {until}: its /run is full"));
    let full = filter_reason(&snapshot, core().id, &FilterReason::Full, at(NOW));
    assert_eq!(full, format!("its /run is full, and takes no unit until {until}"));
}

#[test]
fn a_load_that_failed_for_one_cause_on_several_machines_is_one_line() {
    let mut snapshot = strict(None);
    let hash = snapshot.units[&web()].hash;
    let load = |machine: MachineId, said: &str, second: u64| FailedLoad {
        machine,
        hash,
        said: said.to_owned(),
        at: at(second),
    };
    let other = MachineId::from_bits(7);
    let loads =
        [load(core().id, "bad file", NOW - 3), load(other, "no bus", NOW - 2), load(other, "bad file", NOW - 1)];
    snapshot.placements.get_mut(&web()).unwrap().failed_loads.extend(loads);
    let why = explain::explain(&snapshot, &web(), at(NOW)).unwrap();
    let texts: Vec<String> = failed_loads(&snapshot, &why, at(NOW)).collect();
    let there = snapshot.full_name_of(other);
    assert_eq!(
        texts,
        [format!("bad file, on core-01, 3 s ago, on {there}, 1 s ago"), format!("no bus, on {there}, 2 s ago")]
    );
}

#[test]
fn what_hosts_said_about_a_file_is_written_once() {
    let mut snapshot = strict(None);
    let (hash, said) = (snapshot.units[&web()].hash, "bad file: no line".to_owned());
    let load = FailedLoad { machine: core().id, hash, said: said.clone(), at: at(NOW - 3) };
    snapshot.placements.get_mut(&web()).unwrap().failed_loads.push(load);
    let mut why = explain::explain(&snapshot, &web(), at(NOW)).unwrap();
    let other = MachineId::from_bits(7);
    why.filter_reasons = [core().id, other].map(|id| (id, vec![FilterReason::LoadFailed(said.clone())])).into();
    why.not_running = vec![NotRunning::LoadFailed { name: "core-01".to_owned(), said, runs_earlier: true }];
    let text = unit(&snapshot, &web(), &why, &[], at(NOW));
    assert_eq!(text.matches("bad file").count(), 1, "{text}");
    assert!(text.contains("because the present one could not be loaded\n"), "{text}");
    assert_eq!(text.matches("the load failed there\n").count(), 2, "{text}");
}

#[test]
fn old_evidence_has_its_age_and_a_lease_that_no_process_renews_says_so() {
    let mut snapshot = strict(Some(grant(None, None)));
    let attempt = FailedAttempt { phase: Phase::Connect, detail: "no answer".to_owned(), hint: None };
    let (health, since, last_seen) = (Health::Down, at(NOW - 300), None);
    let reason: HealthReason = HealthEvidence::VisitFailed(attempt).into();
    let record = HealthRecord { health, since, last_seen, reason, outages: Vec::new() };
    snapshot.health.insert(core().id, record);
    assert_eq!(row(&snapshot, true, "Evidence:"), "connect: no answer, as of 5 min ago");
    snapshot.health.get_mut(&core().id).unwrap().since = at(NOW - 3);
    assert_eq!(row(&snapshot, true, "Evidence:"), "connect: no answer");
    let lease = "granted by the leader with epoch 7, 18 s long";
    assert_eq!(row(&snapshot, true, "Lease:"), format!("{lease}, renewed as long as the machine answers"));
    assert_eq!(row(&snapshot, false, "Lease:"), format!("{lease}; no controller leads, so no process renews it"));
    snapshot.leases.insert(core().id, grant(Some(NOW - 9), None));
    let ended = format!("{lease}; it was not renewed, and ended at {}", clock(at(NOW - 9), at(NOW)));
    assert_eq!(row(&snapshot, false, "Lease:"), ended);
}
