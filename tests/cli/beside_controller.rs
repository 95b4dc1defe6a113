//! What commands say beside a controller, and after one. The test holds the controller's leadership and writes its records.

use std::time::Duration;

use muster::core::model::FailedAttempt;
use muster::core::model::Health;
use muster::core::model::HealthEvidence;
use muster::core::model::HealthReason;
use muster::core::model::HealthRecord;
use muster::core::model::HoldDown;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::ObservationTimes;
use muster::core::model::PeerReports;
use muster::core::model::Phase;
use muster::core::model::Timestamp;
use muster::runner::Clock;
use muster::store::layout::Key;
use muster::store::leader_election;
use muster::store::leader_election::LeaderKind;

use super::Desk;
use super::unit;

/// Makes a cluster with a machine that this process cannot reach and that a controller observed `age` ago.
async fn cluster(age: Duration, behind: bool) -> Desk {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("a.service", unit("a"))]).ok();
    let (store, keys) = desk.store().await;
    let id = MachineId::from_bits(1);
    let address = "ssh://root@127.0.0.1:1".parse().unwrap();
    let machine = Machine { id, name: "core-01".to_owned(), address, systemd: 252, ..Machine::default() };
    let (health, since, reason) = (Health::Alive, Timestamp::ZERO, HealthEvidence::Answers.into());
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    let now = Clock::start().now();
    let at = Timestamp::from_millis(now.as_millis() - u64::try_from(age.as_millis()).unwrap());
    let seen = Timestamp::from_millis(now.as_millis() - 8000);
    let behind = behind.then_some((id, Some(seen))).into_iter().collect();
    let times = ObservationTimes { at, behind, continuous: true };
    let records = vec![
        keys.put(&Key::Machine(id), &machine),
        keys.put(&Key::Health(id), &record),
        keys.put(&Key::Observed, &times),
    ];
    store.commit(vec![], records).await.unwrap();
    desk
}

#[tokio::test]
async fn a_plan_beside_a_controller_relies_on_the_observations_of_the_controller() {
    let desk = cluster(Duration::ZERO, false).await;
    desk.muster(&["start", "--no-block", "a"]).ok();
    let (store, keys) = desk.store().await;
    let leadership = leader_election::try_campaign(&store, &keys, LeaderKind::Controller).await.unwrap().unwrap();
    let plan = desk.muster(&["plan"]).ok();
    assert!(plan.contains("core-01") && plan.contains("start") && !plan.contains("unreachable"), "{plan}");
    leadership.resign().await;
    let plan = desk.muster(&["plan"]).ok();
    assert!(plan.contains("connection refused"), "without a controller the machines are visited: {plan}");
}

#[tokio::test]
async fn a_list_names_a_machine_that_the_controller_waits_for() {
    let desk = cluster(Duration::ZERO, true).await;
    let (store, keys) = desk.store().await;
    let leadership = leader_election::try_campaign(&store, &keys, LeaderKind::Controller).await.unwrap().unwrap();
    let said = desk.muster(&["list-machines"]);
    let warning = "Warning: core-01: not observed now (no answer yet): shown as of ";
    assert!(said.code == Some(0) && said.err.starts_with(warning), "{said:#?}");
    leadership.resign().await;
}

#[tokio::test]
async fn a_list_warns_only_of_machines_that_it_shows_and_counts_the_others() {
    let desk = cluster(Duration::ZERO, false).await;
    let (store, keys) = desk.store().await;
    let (health, since, reason) = (Health::Down, Timestamp::ZERO, HealthEvidence::Answers.into());
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    store.commit(vec![], vec![keys.put(&Key::Health(MachineId::from_bits(1)), &record)]).await.unwrap();
    let said = desk.muster(&["list-machines", "--no-legend"]);
    let note = "Note: 1 machine is down or unreachable: `muster list-machines --all` lists it too\n";
    assert!(said.out.is_empty() && said.err.contains(note) && !said.err.contains("not observed now"), "{said:#?}");
    let said = desk.muster(&["list-machines", "--all"]);
    assert!(said.err.contains("Warning: core-01: not observed now") && !said.err.contains("Note: 1"), "{said:#?}");
}

#[tokio::test]
async fn a_warning_names_the_cause_that_the_controller_has_recorded_before_its_hint() {
    let desk = cluster(Duration::ZERO, true).await;
    let (store, keys) = desk.store().await;
    let (detail, hint) = ("there is no key".to_owned(), Some("Name a key.".to_owned()));
    let attempt = FailedAttempt { phase: Phase::Authenticate, detail, hint };
    let reason = HealthEvidence::NoAnswer { seconds: 8, attempt, peers: PeerReports::default(), asked: false }.into();
    let (health, since) = (Health::Sick, Timestamp::ZERO);
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    store.commit(vec![], vec![keys.put(&Key::Health(MachineId::from_bits(1)), &record)]).await.unwrap();
    let leadership = leader_election::try_campaign(&store, &keys, LeaderKind::Controller).await.unwrap().unwrap();
    for command in [&["list-machines"][..], &["list-units"], &["machine", "show", "core-01"], &["why", "a"]] {
        let said = desk.muster(command);
        let (warning, rest) = said.err.split_once(": shown as of ").unwrap_or_default();
        assert_eq!(warning, "Warning: core-01: not observed now (authenticate: there is no key)", "{said:#?}");
        assert!(rest.ends_with(" s ago\nHint: Name a key.\n"), "{said:#?}");
    }
    leadership.resign().await;
}

#[tokio::test]
async fn a_list_says_that_the_controller_is_gone() {
    let desk = cluster(Duration::from_mins(5), false).await;
    let note = "Note: no process leads: the controller that led until 5 min ago does not run any more\n";
    for list in ["list-machines", "list-units", "list-unit-files"] {
        let said = desk.muster(&[list]);
        assert!(said.code == Some(0) && said.err.contains(note), "{list}: {said:#?}");
    }
    let (store, keys) = desk.store().await;
    let leadership = leader_election::try_campaign(&store, &keys, LeaderKind::Sweep).await.unwrap().unwrap();
    assert!(!desk.muster(&["list-machines"]).err.contains("Note:"));
    leadership.resign().await;
}

#[tokio::test]
async fn an_uncordoned_machine_that_is_held_down_says_that_it_takes_no_units_yet() {
    let desk = cluster(Duration::ZERO, false).await;
    assert_eq!(desk.muster(&["cordon", "core-01"]).err, "");
    assert_eq!(desk.muster(&["uncordon", "core-01"]).err, "");
    let (store, keys) = desk.store().await;
    let hold_down = Some(HoldDown { outages: 2, seconds: 600 });
    let reason = HealthReason { hold_down, ..HealthEvidence::Answers.into() };
    let (health, since) = (Health::Alive, Clock::start().now());
    let record = HealthRecord { health, since, last_seen: None, reason, outages: Vec::new() };
    store.commit(vec![], vec![keys.put(&Key::Health(MachineId::from_bits(1)), &record)]).await.unwrap();
    let said = desk.muster(&["uncordon", "core-01"]);
    assert_eq!(said.out, "core-01 uncordoned\n");
    assert!(said.err.starts_with("Note: core-01 takes no new units until "), "{said:#?}");
    assert!(said.err.ends_with(": held down: it went down 2 times within an hour\n"), "{said:#?}");
}
