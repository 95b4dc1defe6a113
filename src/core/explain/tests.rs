use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::model::Action;
use crate::core::model::ChoiceReason;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::FailedAttempt;
use crate::core::model::FailedLoad;
use crate::core::model::FailoverBlock;
use crate::core::model::ForeignUnits;
use crate::core::model::Grant;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthReason;
use crate::core::model::HealthRecord;
use crate::core::model::HoldDown;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::PlacementReason;
use crate::core::model::Pull;
use crate::core::model::Reason;
use crate::core::model::StepEnd;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

fn id(number: u32) -> MachineId {
    MachineId::from_bits(u128::from(number) << 96)
}

fn web() -> UnitName {
    "web.service".parse().unwrap()
}

/// Two machines and a unit that is to run.
fn cluster(text: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 1..=2 {
        let machine = Machine { id: id(number), name: format!("m{number}"), ..Machine::default() };
        snapshot.machines.insert(machine.id, machine);
    }
    let file = Arc::new(UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n{text}\n")).unwrap());
    let unit = Unit::new(file.hash(), DesiredState::Launched);
    snapshot.units.insert(web(), unit);
    snapshot.files.insert(file.hash(), file);
    snapshot
}

/// Places the unit on the first machine.
fn place(snapshot: &mut Snapshot) {
    let placement = Placement {
        machine: id(1),
        epoch: 1,
        reason: chosen(),
        since: Timestamp::ZERO,
        failed_loads: Vec::new(),
        pull: None,
    };
    snapshot.placements.insert(web(), placement);
}

fn state(snapshot: &mut Snapshot, active: &str) {
    let hash = snapshot.units[&web()].hash;
    let (load, active, sub) = (LoadState::Loaded, active.parse().unwrap(), SubState::DEAD);
    let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
    snapshot.states.entry(web()).or_default().insert(id(1), state);
}

fn reason(snapshot: &Snapshot) -> Option<String> {
    explain(snapshot, &web(), NOW).unwrap().not_running.first().map(ToString::to_string)
}

#[test]
fn a_running_unit_has_no_reason() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    state(&mut snapshot, "active");
    let explanation = explain(&snapshot, &web(), NOW).unwrap();
    assert_eq!((explanation.not_running, explanation.placement_error), (vec![], None));
    assert_eq!(explanation.filter_reasons, [(id(2), Vec::new())]);
    assert_eq!(explain(&snapshot, &"b.service".parse().unwrap(), NOW), None);
}

#[test]
fn each_reason_has_its_message() {
    let mut snapshot = cluster("");
    assert_eq!(reason(&snapshot).unwrap(), "it has no machine yet: the next reconcile places it");
    place(&mut snapshot);
    assert_eq!(reason(&snapshot).unwrap(), "it is not on m1 yet: the next reconcile loads it there");
    state(&mut snapshot, "active");
    let found = snapshot.states.get_mut(&web()).unwrap().remove(&id(1)).unwrap();
    snapshot.states.get_mut(&web()).unwrap().insert(id(2), found);
    let elsewhere = "it runs on m2, and is placed on m1: the next reconcile moves it to m1";
    assert_eq!(reason(&snapshot).unwrap(), elsewhere);
    snapshot.states.clear();
    state(&mut snapshot, "failed");
    assert_eq!(reason(&snapshot).unwrap(), "it failed on m1");
    let states = snapshot.states.get_mut(&web()).unwrap();
    let elsewhere = UnitState { active: "active".parse().unwrap(), ..states[&id(1)].clone() };
    states.insert(id(2), elsewhere);
    states.get_mut(&id(1)).unwrap().launched = false;
    assert_eq!(reason(&snapshot).unwrap(), "it waits for m2, where it still runs and is being stopped");
    snapshot.states.get_mut(&web()).unwrap().remove(&id(2));
    let attempt = FailedAttempt { phase: Phase::Connect, detail: "silence".to_owned(), hint: None };
    let (since, last_seen) = (Timestamp::ZERO, None);
    snapshot.health.insert(
        id(1),
        HealthRecord {
            health: Health::Unreachable,
            since,
            last_seen,
            reason: HealthEvidence::VisitFailed(attempt).into(),
            outages: Vec::new(),
        },
    );
    assert_eq!(reason(&snapshot).unwrap(), "m1 is unreachable: connect: silence");
    snapshot.machines.remove(&id(1));
    assert_eq!(reason(&snapshot).unwrap(), "its machine 00000001... has left: the next reconcile places it on another");
    snapshot.units.get_mut(&web()).unwrap().desired = DesiredState::Loaded;
    assert_eq!(reason(&snapshot).unwrap(), "its desired state is loaded");
}

#[test]
fn a_unit_that_could_not_be_loaded_on_its_machine_has_the_reason_of_the_host_until_it_is_loaded_there() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    let hash = snapshot.units[&web()].hash;
    let said = "its /run is full".to_owned();
    let load = FailedLoad { machine: id(1), hash, said, at: Timestamp::ZERO };
    let earlier = FailedLoad { machine: id(2), said: "no".to_owned(), ..load.clone() };
    snapshot.placements.get_mut(&web()).unwrap().failed_loads = vec![earlier, load];
    assert_eq!(reason(&snapshot).unwrap(), "it could not be loaded on m1: its /run is full");
    state(&mut snapshot, "inactive");
    snapshot.states.get_mut(&web()).unwrap().get_mut(&id(1)).unwrap().load = LoadState::BadSetting;
    assert_eq!(reason(&snapshot).unwrap(), "it could not be loaded on m1: its /run is full");
    state(&mut snapshot, "active");
    assert_eq!(reason(&snapshot), None);
    snapshot.states.get_mut(&web()).unwrap().get_mut(&id(1)).unwrap().hash = Hash::of(b"an older file");
    let earlier = "it runs on m1 with an earlier file, because the present one could not be loaded: its /run is full";
    assert_eq!(reason(&snapshot).unwrap(), earlier);
}

#[test]
fn an_unschedulable_unit_has_all_filter_reasons_of_every_machine() {
    let mut snapshot =
        cluster("[X-Fleet]\nMachineMetadata=zone=a\nMachineMetadata=disk=ssd\nConflicts=d*\nConflicts=db.*");
    let m2 = snapshot.machines.get_mut(&id(2)).unwrap();
    m2.cordoned = true;
    m2.metadata = [("disk".to_owned(), "ssd".to_owned())].into();
    place(&mut snapshot);
    let (unit, placement) = (snapshot.units[&web()], snapshot.placements.remove(&web()).unwrap());
    let db: UnitName = "db.service".parse().unwrap();
    let file = Arc::new(UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap());
    snapshot.units.insert(db.clone(), Unit { hash: file.hash(), ..unit });
    snapshot.files.insert(file.hash(), file);
    snapshot.placements.insert(db, Placement { machine: id(2), ..placement });
    let explanation = explain(&snapshot, &web(), NOW).unwrap();
    assert_eq!(explanation.not_running, [NotRunning::Unschedulable(explanation.placement_error.clone().unwrap())]);
    let line = |(id, reasons): &(MachineId, Vec<FilterReason>)| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        format!("{} {}", id.short(), reasons.join("; "))
    };
    let lines: Vec<String> = explanation.filter_reasons.iter().map(line).collect();
    let expected = [
        "00000001 no metadata disk=ssd; no metadata zone=a",
        "00000002 cordoned; no metadata zone=a; conflicts with db.service",
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        explanation.placement_error.unwrap().to_string(),
        "cordoned (1 machine); no metadata disk=ssd (1 machine)"
    );
}

/// Grants a machine a lease. If the machine does not answer, its units have stopped for sure at the given second.
fn grant(snapshot: &mut Snapshot, number: u32, stopped_for_sure_at: Option<u64>) {
    let stopped_for_sure_at = stopped_for_sure_at.map(|seconds| Timestamp::from_millis(seconds * 1000));
    let (length, stop) = (Duration::from_secs(12), Duration::from_secs(10));
    snapshot.leases.insert(
        id(number),
        Grant {
            epoch: 1,
            length,
            stop,
            slack: Duration::ZERO,
            units: [web()].into(),
            unknown: false,
            until: None,
            stopped_for_sure_at,
        },
    );
}

#[test]
fn a_strict_unit_names_the_machine_whose_lease_it_waits_for() {
    let mut snapshot = cluster("[X-Muster]\nClass=strict");
    place(&mut snapshot);
    state(&mut snapshot, "inactive");
    snapshot.states.get_mut(&web()).unwrap().get_mut(&id(1)).unwrap().launched = false;
    assert_eq!(
        reason(&snapshot).unwrap(),
        "it is strict, and m1 has no lease: a controller must run, or sweeps with --sweep-every"
    );
    grant(&mut snapshot, 1, None);
    assert!(reason(&snapshot).unwrap().ends_with("was not started yet: the next reconcile starts it"));
    // Any silent machine with a lease for the unit may run it.
    grant(&mut snapshot, 2, Some(60));
    let until = Timestamp::from_millis(60_000);
    let waits_for = |name: &str| vec![NotRunning::MayStillRun { is_strict: true, name: name.to_owned(), until }];
    assert_eq!(explain(&snapshot, &web(), NOW).unwrap().not_running, waits_for("m2"));
    assert!(may_still_run(&snapshot, &web()).is_empty(), "it was never observed there");
    state(&mut snapshot, "active");
    assert_eq!(reason(&snapshot), None, "it runs");
    grant(&mut snapshot, 2, None);
    grant(&mut snapshot, 1, Some(60));
    assert_eq!(explain(&snapshot, &web(), NOW).unwrap().not_running, waits_for("m1"));
    assert_eq!(may_still_run(&snapshot, &web()), [(id(1), until)].into());
    let mut available = cluster("");
    place(&mut available);
    grant(&mut available, 1, Some(60));
    assert!(may_still_run(&available, &web()).is_empty());
    assert_eq!(reason(&available).unwrap(), "it is not on m1 yet: the next reconcile loads it there");
    grant(&mut available, 2, Some(60));
    assert_eq!(reason(&available).unwrap(), "a strict copy of it may still run on m2");
}

#[test]
fn a_global_unit_has_a_reason_for_each_machine_where_it_does_not_run() {
    let there =
        |name: &str| format!("the next reconcile loads it there, unless {name} refuses it, which the events show");
    let mut snapshot = cluster("[X-Fleet]\nGlobal=true");
    assert_eq!(reason(&snapshot).unwrap(), format!("it is not on m1: {}", there("m1")));
    state(&mut snapshot, "active");
    assert_eq!(reason(&snapshot).unwrap(), format!("it is not on m2: {}", there("m2")));
    let failed = UnitState { active: "failed".parse().unwrap(), ..snapshot.states[&web()][&id(1)].clone() };
    snapshot.states.get_mut(&web()).unwrap().insert(id(2), failed);
    assert_eq!(reason(&snapshot).unwrap(), "it failed on m2");
    let web = web();
    let all = units_not_running(&snapshot, NOW);
    assert!(matches!(&all[..], [(name, Some(machine), _)] if **name == web && *machine == id(2)), "{all:?}");
    // The health of a machine that cannot be managed says enough.
    let reason =
        HealthEvidence::VisitFailed(FailedAttempt { phase: Phase::Connect, detail: String::new(), hint: None }).into();
    let (since, outages) = (Timestamp::ZERO, Vec::new());
    let down = HealthRecord { health: Health::Down, since, last_seen: None, reason, outages };
    snapshot.health.insert(id(2), down);
    assert!(units_not_running(&snapshot, NOW).is_empty());
}

#[test]
fn a_unit_of_a_machine_that_is_down_has_the_machine_as_reason_or_that_no_other_takes_the_unit() {
    let down = |block| {
        let attempt = FailedAttempt { phase: Phase::Connect, detail: String::new(), hint: None };
        let reason = HealthReason { block, ..HealthEvidence::VisitFailed(attempt).into() };
        HealthRecord { health: Health::Down, since: Timestamp::ZERO, last_seen: None, reason, outages: Vec::new() }
    };
    let brake = FailoverBlock::Brake { silent: 2, all: 3 };
    let pinned = format!("[X-Fleet]\nMachineID={}", id(1));
    for (text, block, kind) in [
        ("", None, TroubleKind::MachineUnavailable),
        (&pinned, None, TroubleKind::Unschedulable),
        (&pinned, Some(brake), TroubleKind::MachineUnavailable),
    ] {
        let mut snapshot = cluster(text);
        place(&mut snapshot);
        snapshot.health.insert(id(1), down(block));
        let found: Vec<TroubleKind> = units_not_running(&snapshot, NOW).iter().map(|(_, _, why)| why.kind()).collect();
        assert_eq!(found, [kind], "{text}");
    }
}

#[test]
fn a_global_unit_is_not_promised_to_a_machine_that_has_a_file_of_its_name() {
    let mut snapshot = cluster("[X-Fleet]\nGlobal=true");
    state(&mut snapshot, "active");
    let names = [web()];
    snapshot.foreign.insert(id(2), ForeignUnits::new(names.iter()));
    let taken = "it is not on m2: muster did not write the unit file of this name in /run/fleet/units there";
    assert_eq!(reason(&snapshot).unwrap(), taken);
    assert!(!explain(&snapshot, &web(), NOW).unwrap().not_running[0].is_in_progress());
}

#[test]
fn a_refusal_of_a_host_is_known_from_the_events() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    state(&mut snapshot, "inactive");
    snapshot.states.get_mut(&web()).unwrap().get_mut(&id(1)).unwrap().launched = false;
    let step = |action, outcome, machine| {
        let end = StepEnd { action, reason: Reason::WantedLaunched, outcome, overlap: None };
        Event::new(NOW, Some(id(machine)), Some(web()), EventKind::StepEnded(end))
    };
    let (start, failed) = (Action::Start { count: 0 }, Outcome::Failed("no".to_owned()));
    let told = |snapshot: &Snapshot, events: &[Event]| {
        let reason = explain(snapshot, &web(), NOW).unwrap().not_running.remove(0);
        let reason = reason.with_events(snapshot, &web(), events);
        (reason.to_string(), reason.is_in_progress())
    };
    let waits = ("it is inactive (dead) on m1 and was not started yet: the next reconcile starts it".to_owned(), true);
    assert_eq!(told(&snapshot, &[step(start, failed.clone(), 2)]), waits, "another machine");
    let refused = ("it could not be started on m1: no".to_owned(), false);
    let old = step(start, Outcome::Done, 1);
    assert_eq!(told(&snapshot, &[old.clone(), step(start, failed.clone(), 1)]), refused);
    assert_eq!(told(&snapshot, &[step(start, failed.clone(), 1), old]), waits, "a later start was accepted");
    let global = cluster("[X-Fleet]\nGlobal=true");
    let load = |hash| step(Action::Load { hash, install: false, strict: false }, failed.clone(), 1);
    let present = global.units[&web()].hash;
    assert_eq!(told(&global, &[load(present)]).0, "it could not be loaded on m1: no");
    assert!(told(&global, &[load(Hash::of(b"earlier"))]).0.contains("unless m1 refuses it"));
}

#[test]
fn a_service_that_ends_again_and_again_does_not_run() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    state(&mut snapshot, "activating");
    assert_eq!(reason(&snapshot), None);
    snapshot.states.get_mut(&web()).unwrap().get_mut(&id(1)).unwrap().sub = "auto-restart".parse().unwrap();
    assert_eq!(reason(&snapshot).unwrap(), "it was started on m1 and is activating (auto-restart)");
}

#[test]
fn a_service_that_systemd_has_just_restarted_is_trouble_although_it_runs() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    state(&mut snapshot, "active");
    snapshot.states.get_mut(&web()).unwrap().get_mut(&id(1)).unwrap().restarted = true;
    let expected = "it was started on m1 and is active (dead), restarted by systemd a moment ago";
    let kind = explain(&snapshot, &web(), NOW).unwrap().not_running[0].kind();
    assert_eq!(serde_json::to_value(kind).unwrap(), "restarting");
    assert_eq!(reason(&snapshot).unwrap(), expected);
}

#[test]
fn a_timer_whose_service_has_failed_is_trouble() {
    for (file, job) in
        [("[Timer]\nOnCalendar=daily", "backup.service"), ("[Timer]\nUnit=other.service", "other.service")]
    {
        let mut snapshot = cluster("");
        let (timer, job): (UnitName, UnitName) = ("backup.timer".parse().unwrap(), job.parse().unwrap());
        let text = Arc::new(UnitFile::parse(&format!("{file}\n")).unwrap());
        snapshot.files.insert(text.hash(), text.clone());
        snapshot.units.insert(timer.clone(), Unit::new(text.hash(), DesiredState::Launched));
        snapshot.units.insert(job.clone(), Unit::new(snapshot.units[&web()].hash, DesiredState::Loaded));
        place(&mut snapshot);
        snapshot.placements.insert(timer.clone(), snapshot.placements[&web()].clone());
        state(&mut snapshot, "active");
        let well = UnitState { hash: text.hash(), ..snapshot.states[&web()][&id(1)].clone() };
        snapshot.states.insert(timer.clone(), [(id(1), well.clone())].into());
        let reason =
            |snapshot: &Snapshot| explain(snapshot, &timer, NOW).unwrap().not_running.first().map(ToString::to_string);
        let set = |snapshot: &mut Snapshot, active: &str| {
            let state = UnitState { active: active.parse().unwrap(), launched: false, ..well.clone() };
            snapshot.states.insert(job.clone(), [(id(1), state)].into());
        };
        set(&mut snapshot, "inactive");
        assert_eq!(reason(&snapshot), None);
        set(&mut snapshot, "failed");
        assert_eq!(reason(&snapshot).unwrap(), format!("{job}, which it starts, is failed (dead) on m1"));
        snapshot.units.get_mut(&job).unwrap().desired = DesiredState::Launched;
        assert_eq!(reason(&snapshot), None, "it is a unit that is to run by itself");
    }
}

#[test]
fn a_container_that_waits_for_its_image_names_the_image_the_machine_and_the_time() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    let name: UnitName = "web.container".parse().unwrap();
    let file = Arc::new(UnitFile::parse("[Container]\nImage=docker.io/library/nginx:1\n").unwrap());
    snapshot.units.insert(name.clone(), Unit::new(file.hash(), DesiredState::Launched));
    let pull = Some(Pull { hash: file.hash(), since: NOW });
    snapshot.files.insert(file.hash(), file);
    let placement = Placement { pull, ..snapshot.placements.remove(&web()).unwrap() };
    snapshot.placements.insert(name.clone(), placement);
    let text = |snapshot: &Snapshot, seconds| {
        let why = explain(snapshot, &name, NOW + Duration::from_secs(seconds)).unwrap();
        why.not_running.first().map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(text(&snapshot, 12), "m1 has been pulling docker.io/library/nginx:1 for 12 s");
    assert_eq!(text(&snapshot, 600), "m1 has been pulling docker.io/library/nginx:1 for 10 min");
    assert!(!text(&snapshot, 1800).contains("pulling"), "no pull lasts longer");
    let (load, sub) = (LoadState::Loaded, SubState::DEAD);
    let state = UnitState {
        load,
        active: ActiveState::Active,
        sub,
        job: None,
        hash: Hash::NONE,
        launched: true,
        restarts: 0,
        restarted: false,
    };
    let earlier = UnitState { hash: Hash::of(b"earlier"), ..state };
    snapshot.states.insert(name.clone(), [(id(1), earlier.clone())].into());
    assert!(text(&snapshot, 12).ends_with(" for 12 s; its earlier version runs until then"));
    snapshot.states.insert(name.clone(), [(id(2), earlier)].into());
    assert!(text(&snapshot, 12).ends_with(" for 12 s; it runs on m2 until then"));
    let kinds = units_not_running(&snapshot, NOW).into_iter().filter(|(unit, ..)| **unit == name);
    let kinds: Vec<_> = kinds.map(|(.., reason)| (reason.kind(), reason.is_in_progress())).collect();
    assert_eq!(kinds, [(TroubleKind::Pulling, true)]);
}

#[test]
fn a_container_whose_machine_has_yet_to_load_a_file_that_it_names_waits_for_that_file() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    let placement = snapshot.placements.remove(&web()).unwrap();
    for (name, text) in [("web.container", "[Container]\nImage=app.image\n"), ("app.image", "[Image]\nImage=a\n")] {
        let file = Arc::new(UnitFile::parse(text).unwrap());
        let name: UnitName = name.parse().unwrap();
        snapshot.units.insert(name.clone(), Unit::new(file.hash(), DesiredState::Launched));
        snapshot.files.insert(file.hash(), file);
        snapshot.placements.insert(name, placement.clone());
    }
    let name = "web.container".parse().unwrap();
    let why = explain(&snapshot, &name, NOW).unwrap().not_running;
    assert_eq!(why.first().unwrap().to_string(), "it waits for app.image, which m1 has not loaded yet");
    assert!(why.first().unwrap().is_in_progress());
    snapshot.placements.remove(&"app.image".parse::<UnitName>().unwrap());
    assert_ne!(explain(&snapshot, &name, NOW).unwrap().not_running, why, "a file that is elsewhere is another trouble");
}

#[test]
fn the_events_say_that_a_machine_pulls_the_image_of_a_global_container() {
    let mut snapshot = cluster("");
    let name: UnitName = "agent.container".parse().unwrap();
    let text = "[Container]\nImage=docker.io/library/nginx:1\n[X-Fleet]\nGlobal=true\n";
    let file = Arc::new(UnitFile::parse(text).unwrap());
    let hash = file.hash();
    snapshot.units.insert(name.clone(), Unit::new(hash, DesiredState::Launched));
    snapshot.files.insert(hash, file);
    let (action, reason) = (Action::Load { hash, install: false, strict: false }, Reason::NotThere);
    let event = |outcome| {
        let end = EventKind::StepEnded(StepEnd { action, reason, outcome, overlap: None });
        Event::new(NOW, Some(id(1)), Some(name.clone()), end)
    };
    let mut events = vec![event(Outcome::Begun)];
    let text = |events: &[Event]| {
        let reasons = explain(&snapshot, &name, NOW).unwrap().not_running.into_iter();
        reasons.map(|reason| reason.with_events(&snapshot, &name, events).to_string()).next().unwrap()
    };
    assert_eq!(text(&events), "m1 is pulling docker.io/library/nginx:1");
    events.push(event(Outcome::Failed("cannot pull it".to_owned())));
    assert_eq!(text(&events), "it could not be loaded on m1: cannot pull it");
}

#[test]
fn a_machine_that_takes_no_new_units_for_a_time_is_in_the_way_until_then() {
    let mut snapshot = cluster("");
    let filter_reasons = |snapshot: &Snapshot, now| explain(snapshot, &web(), now).unwrap().filter_reasons;
    let reason =
        HealthReason { hold_down: Some(HoldDown { outages: 3, seconds: 60 }), ..HealthEvidence::Answers.into() };
    let (since, last_seen) = (NOW, None);
    let record = HealthRecord { health: Health::Alive, since, last_seen, reason, outages: Vec::new() };
    snapshot.health.insert(id(1), record);
    place(&mut snapshot);
    let load = FailedLoad {
        machine: id(2),
        hash: snapshot.units[&web()].hash,
        said: "cannot write to /run/muster: is /run full?".to_owned(),
        at: NOW,
    };
    let other = Placement { failed_loads: vec![load], ..snapshot.placements.remove(&web()).unwrap() };
    snapshot.placements.insert("other.service".parse().unwrap(), other);
    let both = [(id(1), vec![FilterReason::Flapping(3)]), (id(2), vec![FilterReason::Full])];
    assert_eq!(filter_reasons(&snapshot, NOW), both);
    let not_running = explain(&snapshot, &web(), NOW).unwrap().not_running;
    assert!(matches!(not_running[..], [NotRunning::Unschedulable(_)]), "{not_running:?}");
    let later = NOW + Duration::from_mins(1);
    assert_eq!(filter_reasons(&snapshot, later), [(id(1), Vec::new()), (id(2), vec![FilterReason::Full])]);
    let later = NOW + Duration::from_mins(5);
    assert_eq!(filter_reasons(&snapshot, later), [(id(1), Vec::new()), (id(2), Vec::new())]);
}

#[test]
fn a_load_that_failed_on_a_machine_is_in_the_way_there_and_three_are_in_the_way_everywhere() {
    let mut snapshot = cluster("");
    place(&mut snapshot);
    let hash = snapshot.units[&web()].hash;
    let load = |number| FailedLoad { machine: id(number), hash, said: "refused".to_owned(), at: Timestamp::ZERO };
    snapshot.machines.extend(
        [3, 4].map(|number| (id(number), Machine { id: id(number), name: format!("m{number}"), ..Machine::default() })),
    );
    let ways = |snapshot: &Snapshot| {
        let why = explain(snapshot, &web(), NOW).unwrap();
        assert_eq!(why.fits_nowhere_else(), None, "a drain tries them all");
        let text = |(_, reasons): &(_, Vec<FilterReason>)| {
            reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        why.filter_reasons.iter().map(text).collect::<Vec<_>>()
    };
    let failed = "the load failed there: refused";
    snapshot.placements.get_mut(&web()).unwrap().failed_loads = vec![load(2), load(1)];
    assert_eq!(ways(&snapshot), [failed, "", ""]);
    snapshot.placements.get_mut(&web()).unwrap().failed_loads = vec![load(2), load(3), load(1)];
    let not_tried = "not tried: the load failed on 3 machines, so the file is at fault";
    assert_eq!(ways(&snapshot), [failed, failed, not_tried]);
}

#[test]
fn a_strict_unit_that_stopped_with_its_lease_needs_a_controller() {
    let mut snapshot = cluster("[X-Muster]\nClass=strict");
    place(&mut snapshot);
    state(&mut snapshot, "inactive");
    let none = "it is strict, and m1 has no lease: a controller must run, or sweeps with --sweep-every";
    assert_eq!(reason(&snapshot).unwrap(), none);
    grant(&mut snapshot, 1, None);
    assert_eq!(
        reason(&snapshot).unwrap(),
        "it was started on m1 and is inactive (dead)",
        "its leader renews the lease"
    );
    let ended = "it is strict, and stopped because its lease on m1 has ended: a controller must run, or sweeps with --sweep-every";
    snapshot.leases.get_mut(&id(1)).unwrap().until = Some(NOW + Duration::from_secs(1));
    assert_eq!((reason(&snapshot).as_deref() == Some(ended), ended_lease(&snapshot, &web(), NOW)), (false, None));
    snapshot.leases.get_mut(&id(1)).unwrap().until = Some(NOW);
    assert_eq!(reason(&snapshot).unwrap(), ended);
    assert_eq!(ended_lease(&snapshot, &web(), NOW).unwrap().to_string(), ended);
    state(&mut snapshot, "failed");
    assert_eq!(reason(&snapshot).unwrap(), "it failed on m1");
}
