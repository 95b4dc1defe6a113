use std::sync::Arc;

use super::*;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::Grant;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::HoldDown;
use crate::core::model::LoadState;
use crate::core::model::ObservationTimes;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

fn id(digits: &str) -> MachineId {
    format!("{digits}{}", "0".repeat(24)).parse().unwrap()
}

fn add_machine(snapshot: &mut Snapshot, digits: &str, ip: &str, metadata: &[(&str, &str)], health: Option<Health>) {
    let machine = Machine {
        id: id(digits),
        name: format!("core-{}", &digits[..2]),
        address: "ssh://core".parse().unwrap(),
        ip: ip.to_owned(),
        metadata: metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        cordoned: false,
        os: "Debian".to_owned(),
        systemd: 252,
        ..Machine::default()
    };
    snapshot.machines.insert(machine.id, machine);
    if let Some(health) = health {
        let health = HealthRecord {
            health,
            since: Timestamp::ZERO,
            last_seen: None,
            reason: HealthEvidence::Answers.into(),
            outages: Vec::new(),
        };
        snapshot.health.insert(id(digits), health);
    }
}

fn add_unit(
    snapshot: &mut Snapshot,
    name: &str,
    text: &str,
    desired: DesiredState,
    on: Option<&str>,
    launched: Option<bool>,
) {
    let (name, file): (UnitName, _) = (name.parse().unwrap(), Arc::new(UnitFile::parse(text).unwrap()));
    let hash = file.hash();
    snapshot.files.insert(hash, file);
    snapshot.units.insert(name.clone(), Unit::new(hash, desired));
    let Some(machine) = on.map(id) else { return };
    let placement =
        Placement { machine, epoch: 1, reason: chosen(), since: Timestamp::ZERO, failed_loads: Vec::new(), pull: None };
    snapshot.placements.insert(name.clone(), placement);
    if let Some(launched) = launched {
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
        let state = UnitState { load, active, sub, job: None, hash, launched, restarts: 0, restarted: false };
        snapshot.states.entry(name).or_default().insert(machine, state);
    }
}

const HELLO: &str = "[Unit]\nDescription=Hello World\n\n[Service]\nExecStart=/bin/bash -c \"while true; do echo \\\"Hello, world\\\"; sleep 1; done\"\n";

fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::default();
    add_machine(&mut snapshot, "85c0c595", "172.17.8.102", &[], Some(Health::Suspect));
    add_machine(&mut snapshot, "113f16a7", "172.17.8.103", &[("z", "1"), ("az", "us")], Some(Health::Alive));
    add_machine(&mut snapshot, "00000001", "172.17.8.101", &[], Some(Health::Down));
    let launched = DesiredState::Launched;
    add_unit(&mut snapshot, "hello.service", HELLO, launched, Some("113f16a7"), Some(true));
    add_unit(
        &mut snapshot,
        "bye.service",
        "[Service]\nExecStart=/bin/true\n",
        DesiredState::Loaded,
        Some("85c0c595"),
        Some(false),
    );
    add_unit(&mut snapshot, "dead.service", "[Service]\nExecStart=/bin/true\n", launched, Some("00000001"), Some(true));
    add_unit(&mut snapshot, "gone.service", "[Service]\nExecStart=/bin/true\n", launched, Some("22222222"), None);
    add_unit(&mut snapshot, "all.service", "[X-Fleet]\nGlobal=true\n", launched, None, None);
    add_unit(&mut snapshot, "idle.service", "[Service]\nExecStart=/bin/true\n", DesiredState::Inactive, None, None);
    let behind = [(id("00000001"), Some(at(820)))].into();
    snapshot.observed = Some(ObservationTimes { at: at(1000), behind, continuous: false });
    snapshot
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// The present time, a second after the machines that answer were observed.
fn now() -> Timestamp {
    at(1001)
}

fn shown<R: Row>(rows: &[R], fields: &str, full: bool, no_legend: bool) -> String {
    let view = View { fields: fields.to_owned(), full, no_legend, has_color: false };
    table(rows, &view).unwrap().replace('\t', "→")
}

/// Returns the rows that fleet would have listed.
fn fleets(mut rows: Vec<UnitRow>) -> Vec<UnitRow> {
    rows.retain(Row::is_in_fleet);
    rows
}

#[test]
fn list_machines_says_why_a_machine_takes_no_new_units_and_until_when() {
    let mut snapshot = cluster();
    let column = |snapshot: &Snapshot| {
        let rows = machines(snapshot, true, now());
        shown(&rows, "name,health,scheduling", false, true).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(column(&snapshot), ["core-00→down→-", "core-11→alive→-", "core-85→suspect→-"]);
    snapshot.machines.get_mut(&id("85c0c595")).unwrap().cordoned = true;
    let record = snapshot.health.get_mut(&id("113f16a7")).unwrap();
    (record.since, record.reason.hold_down) = (at(990), Some(HoldDown { outages: 2, seconds: 60 }));
    let until = crate::ui::clock(at(1050), now());
    let held = format!("core-11→alive→held down until {until}");
    assert_eq!(column(&snapshot)[1..], [held, "core-85→suspect→cordoned".to_owned()]);
    let machine = snapshot.machines.get_mut(&id("113f16a7")).unwrap();
    (machine.cordoned, machine.draining) = (true, true);
    assert_eq!(column(&snapshot)[1], format!("core-11→alive→drained, held down until {until}"));
    let json = json(&machines(&snapshot, true, now()));
    assert!(json.contains("\"draining\": true,\n    \"no_units_until\": 1050000"), "{json}");
}

#[test]
fn list_machines_shows_present_machines_by_machine_id() {
    assert_eq!(
        shown(&machines(&cluster(), false, now()), MachineRow::FLEET, false, false),
        "MACHINE→→IP→→METADATA\n113f16a7...→172.17.8.103→az=us,z=1\n85c0c595...→172.17.8.102→-\n"
    );
    assert_eq!(
        shown(&machines(&cluster(), true, now()), "machine,health,name", true, true),
        "00000001000000000000000000000000→down→core-00\n\
         113f16a7000000000000000000000000→alive→core-11\n\
         85c0c595000000000000000000000000→suspect→core-85\n"
    );
}

#[test]
fn list_unit_files_shows_what_is_wanted_and_how_far_it_has_come() {
    assert_eq!(
        shown(&unit_files(&cluster(), now()), "unit,dstate,state,target", false, true),
        "all.service→launched→-→→global\n\
         bye.service→loaded→→loaded→→85c0c595.../172.17.8.102\n\
         dead.service→launched→inactive→00000001.../172.17.8.101\n\
         gone.service→launched→inactive→22222222...\n\
         hello.service→launched→launched→113f16a7.../172.17.8.103\n\
         idle.service→inactive→inactive→-\n"
    );
    let rows = unit_files(&cluster(), now());
    let hello: Vec<UnitFileRow> = rows.into_iter().filter(|row| row.unit.as_str() == "hello.service").collect();
    assert_eq!(
        shown(&hello, UnitFileRow::FLEET, false, false),
        "UNIT→→HASH→DSTATE→→STATE→→TARGET\nhello.service→e55c0ae→launched→launched→113f16a7.../172.17.8.103\n"
    );
    assert_eq!(
        shown(&hello, "hash,global,desc,tmachine", true, true),
        "e55c0aeb44ba0b68004ceb8a200e685194448b45→false→Hello World→113f16a7000000000000000000000000/172.17.8.103\n"
    );
}

#[test]
fn list_units_shows_what_present_machines_reported() {
    assert_eq!(
        shown(&fleets(units(&cluster(), now())), UnitRow::FLEET, false, false),
        "UNIT→→MACHINE→→→→ACTIVE→SUB\n\
         bye.service→85c0c595.../172.17.8.102→-→-\n\
         hello.service→113f16a7.../172.17.8.103→active→running\n"
    );
    let hello = &units(&cluster(), now())[2..];
    assert_eq!(shown(hello, "hash,load", false, true), "e55c0ae→loaded\n");
    assert_eq!(shown(hello, "hash", true, true), "e55c0aeb44ba0b68004ceb8a200e685194448b45\n");
}

#[test]
fn list_units_leaves_out_what_a_machine_reported_before_it_fell_silent_and_its_unit_went_elsewhere() {
    let hello = |health, machine| {
        let mut snapshot = cluster();
        let health = HealthRecord {
            health,
            since: Timestamp::ZERO,
            last_seen: None,
            reason: HealthEvidence::Answers.into(),
            outages: Vec::new(),
        };
        snapshot.health.insert(id("113f16a7"), health);
        let placement = snapshot.placements.get_mut("hello.service").unwrap();
        placement.machine = id(machine);
        units(&snapshot, now()).iter().any(|row| row.unit.as_str() == "hello.service")
    };
    assert!(hello(Health::SshdDown, "113f16a7"), "it may well run there");
    assert!(!hello(Health::SshdDown, "85c0c595"), "it was placed elsewhere");
    assert!(hello(Health::Alive, "85c0c595"), "it runs twice, and that is to be seen");
}

#[test]
fn fields_that_are_not_there_are_refused_in_fleets_words() {
    let refusal = |fields: &str| {
        let view = View { fields: fields.to_owned(), full: false, no_legend: false, has_color: false };
        table(&units(&cluster(), now()), &view).unwrap_err().to_string()
    };
    assert_eq!(refusal(""), "Must define output format");
    assert_eq!(refusal("unit,foo"), "Invalid key in output format: \"foo\"");
    assert_eq!(refusal("unit,,sub"), "Invalid key in output format: \"\"");
}

#[test]
fn json_has_whole_values_and_null_for_nothing() {
    let rows: serde_json::Value = serde_json::from_str(&json(&unit_files(&cluster(), now()))).unwrap();
    assert_eq!(rows[0]["unit"], "all.service");
    assert_eq!(
        (&rows[0]["global"], &rows[0]["state"], &rows[0]["target"]),
        (&true.into(), &serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(rows[4]["target"]["machine"], "113f16a7000000000000000000000000");
    assert_eq!(rows[4]["target"]["ip"], "172.17.8.103");
    assert_eq!(rows[3]["target"]["ip"], serde_json::Value::Null);
    let rows: serde_json::Value = serde_json::from_str(&json(&machines(&cluster(), true, now()))).unwrap();
    assert_eq!((&rows[0]["health"], &rows[1]["metadata"]["az"]), (&"down".into(), &"us".into()));
}

#[test]
fn json_says_of_a_strict_unit_until_when_it_may_run_where_nobody_looks() {
    let mut snapshot = cluster();
    let (launched, text) = (DesiredState::Launched, "[Service]\nExecStart=/bin/true\n\n[X-Muster]\nClass=strict\n");
    add_unit(&mut snapshot, "once.service", text, launched, Some("00000001"), Some(true));
    let length = std::time::Duration::from_secs(12);
    let units_there = ["once.service".parse().unwrap()].into();
    let until = Some(at(1060));
    let grant = Grant {
        epoch: 1,
        length,
        stop: length,
        slack: std::time::Duration::ZERO,
        units: units_there,
        unknown: false,
        until: None,
        stopped_for_sure_at: until,
    };
    snapshot.leases.insert(id("00000001"), grant);
    let table = shown(&fleets(units(&snapshot, now())), "unit", false, true);
    assert_eq!(table, "bye.service\nhello.service\n", "fleet's list shows nothing of a machine that is down");
    let row = |now| {
        let rows = units(&snapshot, now);
        let row = rows.iter().find(|row| row.unit.as_str() == "once.service").unwrap();
        serde_json::to_value(row).unwrap()
    };
    let shown = row(at(1059));
    assert_eq!((&shown["may_run_until"], &shown["active"]), (&1_060_000.into(), &serde_json::Value::Null));
    assert_eq!(row(at(1060)).get("may_run_until"), None, "it is gone");
}

#[test]
fn the_state_of_a_unit_on_a_machine_that_was_not_observed_is_unknown_and_has_its_age() {
    assert_eq!(
        shown(&units(&cluster(), now()), UnitRow::USUAL, false, false),
        "UNIT→→NAME→MACHINE→→→→HEALTH→ACTIVE→SUB→OBSERVED\n\
         bye.service→core-85→85c0c595.../172.17.8.102→suspect→-→-→active (running) 1 s ago\n\
         dead.service→core-00→00000001.../172.17.8.101→down→-→-→active (running) 3 min ago\n\
         hello.service→core-11→113f16a7.../172.17.8.103→alive→active→running→now\n"
    );
    let machines = machines(&cluster(), true, now());
    assert_eq!(
        shown(&machines, "name,health,observed", false, true),
        "core-00→down→3 min ago\ncore-11→alive→now\ncore-85→suspect→1 s ago\n"
    );
    // Nothing is known of the present when the records are old.
    let old = shown(&units(&cluster(), at(1600)), "unit,active,observed", false, true);
    assert!(old.contains("hello.service→-→active (running) 10 min ago\n"), "{old}");
    let files = shown(&unit_files(&cluster(), now()), "unit,name,observed", false, true);
    assert!(files.contains("dead.service→core-00→3 min ago\n") && files.contains("idle.service→-→-\n"), "{files}");
    let row = serde_json::to_value(&units(&cluster(), now())[1]).unwrap();
    assert_eq!(row["last"], serde_json::json!({"active": "active", "sub": "running"}));
    assert_eq!((&row["age"], &row["name"], &row["health"]), (&181.into(), &"core-00".into(), &"down".into()));
}

#[test]
fn a_unit_that_waits_in_systemds_queue_is_not_shown_as_dead() {
    let mut snapshot = cluster();
    let states = snapshot.states.get_mut("hello.service").unwrap();
    let state = states.values_mut().next().unwrap();
    (state.active, state.sub, state.job) = (ActiveState::Inactive, SubState::DEAD, Some(JobType::Start));
    assert_eq!(state_cells(state), ["inactive", "start-queued"]);
    let rows = units(&snapshot, now());
    let row = rows.iter().find(|row| row.unit.as_str() == "hello.service").unwrap();
    let shown = serde_json::to_value(row).unwrap();
    assert_eq!((&shown["active"], &shown["sub"], &shown["job"]), (&"inactive".into(), &"dead".into(), &"start".into()));
}

#[test]
fn a_machine_that_has_left_has_no_rows_in_list_units() {
    let mut snapshot = cluster();
    let before = units(&snapshot, now()).len();
    let there = snapshot.states.values().filter(|states| states.contains_key(&id("113f16a7"))).count();
    assert!(there > 0);
    snapshot.machines.remove(&id("113f16a7"));
    snapshot.health.remove(&id("113f16a7"));
    assert_eq!(units(&snapshot, now()).len(), before - there);
}

#[test]
fn a_service_that_is_still_starting_does_not_run_yet_and_a_oneshot_runs() {
    let mut snapshot = Snapshot::default();
    add_machine(&mut snapshot, "113f16a7", "172.17.8.103", &[], Some(Health::Alive));
    snapshot.observed = Some(ObservationTimes { at: at(1000), behind: BTreeMap::new(), continuous: false });
    for (name, kind) in [("job.service", "oneshot"), ("slow.service", "notify")] {
        let text = format!("[Service]\nType={kind}\nExecStart=/bin/true\n[X-Muster]\nApplication=shop\n");
        add_unit(&mut snapshot, name, &text, DesiredState::Launched, Some("113f16a7"), Some(true));
        let unit: UnitName = name.parse().unwrap();
        let state = snapshot.states.get_mut(&unit).unwrap().get_mut(&id("113f16a7")).unwrap();
        (state.active, state.sub) = (ActiveState::Activating, "start".parse().unwrap());
    }
    let rows = applications::applications(&snapshot, at(1000));
    let view = View { fields: "running,missing".to_owned(), full: false, no_legend: true, has_color: false };
    assert_eq!(table(&rows, &view).unwrap().trim(), "1/2\tslow.service");
}
