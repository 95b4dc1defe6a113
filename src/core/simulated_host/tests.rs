use std::sync::Arc;

use super::*;
use crate::core::model::ClusterId;
use crate::core::model::Expiry;
use crate::core::model::JobType;
use crate::core::model::LeaseAction;
use crate::core::model::LeaseRefusal;
use crate::core::model::Reason;
use crate::core::unit::UnitFile;

const SECOND: Duration = Duration::from_secs(1);

/// The uptime at the first visit.
const NOW: Duration = Duration::from_secs(100);

fn machine() -> MachineId {
    MachineId::from_bits(1)
}

fn host() -> SimulatedHost {
    SimulatedHost::new(machine(), "boot".to_owned())
}

fn web() -> UnitName {
    "web.service".parse().unwrap()
}

/// Makes a visit of leader 1 with actions on the unit `web`.
fn visit(number: u64, actions: &[Action]) -> Visit {
    let step = |action: &Action| Step { unit: web(), action: *action, reason: Reason::WantedLaunched };
    let file = Arc::new(file());
    let (files, steps) = ([(file.hash(), file)].into(), actions.iter().map(step).collect());
    Visit { machine: Some(machine()), epoch: 1, number, files, steps, ..Visit::default() }
}

fn file() -> UnitFile {
    UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap()
}

fn load(strict: bool) -> Action {
    Action::Load { hash: file().hash(), install: false, strict }
}

const START: Action = Action::Start { count: 0 };

/// Makes a host on which `web` runs since a visit with the number 1.
fn running(strict: bool) -> SimulatedHost {
    let mut host = host();
    host.lease = strict.then_some(NOW + SECOND * 20);
    let report = host.visit(&visit(1, &[load(strict), START]), false, 0, NOW);
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done]);
    host
}

fn state(host: &SimulatedHost) -> (ActiveState, bool, u64) {
    let state = &host.units[&web()].state;
    (state.active, state.launched, state.restarts)
}

#[test]
fn a_visit_that_the_host_must_not_obey_is_refused_and_changes_nothing() {
    let expires = |boot: &str, uptime| Some(Expiry { boot: boot.to_owned(), uptime });
    let stop = || visit(2, &[Action::Stop]);
    let other = MachineId::from_bits(2);
    let cases = [
        (Visit { machine: Some(other), ..stop() }, Some(Refused::OtherMachine(machine().to_string()))),
        (Visit { expires: expires("boot", NOW), ..stop() }, Some(Refused::TooLate)),
        (Visit { expires: expires("another", NOW * 2), ..stop() }, Some(Refused::TooLate)),
        (Visit { epoch: 0, ..stop() }, Some(Refused::LaterLeader(1))),
        (Visit { number: 1, ..stop() }, Some(Refused::TooLate)),
        (Visit { number: 1, epoch: 2, ..stop() }, None),
        (Visit { expires: expires("boot", NOW + SECOND), ..stop() }, None),
    ];
    for (visit, expected) in cases {
        let mut host = running(false);
        let report = host.visit(&visit, false, 0, NOW);
        let units = report.observation.unwrap().units;
        assert_eq!((report.refused.as_ref(), units.is_none()), (expected.as_ref(), expected.is_some()), "{visit:?}");
        assert_eq!(host.units[&web()].is_up(), expected.is_some(), "{visit:?}");
    }
}

#[test]
fn a_visit_claims_the_host_unless_it_is_read_only() {
    let mut host = running(false);
    let look = |epoch, read_only| Visit { epoch, read_only, ..visit(0, &[]) };
    let epochs = |host: &mut SimulatedHost, visit: &Visit| {
        let report = host.visit(visit, false, 0, NOW);
        (report.observation.unwrap().epoch, host.epoch, host.number)
    };
    assert_eq!(epochs(&mut host, &look(0, true)), (1, 1, 1));
    // The host greets before it is claimed.
    assert_eq!(epochs(&mut host, &look(2, false)), (1, 2, 0));
    assert_eq!(epochs(&mut host, &Visit { epoch: 2, barrier: true, ..visit(7, &[]) }), (2, 2, 7));
}

#[test]
fn steps_hold_the_lock_of_the_host_until_they_end() {
    let mut host = running(false);
    let first = visit(2, &[Action::Stop]);
    let mut underway = host.admit(&first, NOW).unwrap();
    host.begin(&first, &mut underway);
    assert_eq!(host.admit(&visit(3, &[START]), NOW).unwrap_err(), Refused::Busy);
    assert!(host.admit(&visit(0, &[]), NOW).is_ok(), "a look needs no lock");
    host.proceed(&first, &mut underway, NOW);
    host.report(&first, &underway, false, 0);
    assert!(host.admit(&visit(4, &[START]), NOW).is_ok());
}

#[test]
fn a_stop_that_takes_longer_than_the_visit_has_begun_and_the_file_stays() {
    let mut host = running(false);
    let unload = visit(2, &[Action::Unload]);
    let mut underway = host.admit(&unload, NOW).unwrap();
    host.begin(&unload, &mut underway);
    host.proceed(&unload, &mut underway, NOW + SECOND);
    let report = host.report(&unload, &underway, false, 0);
    assert_eq!(report.outcomes, [Outcome::Begun]);
    assert_eq!(state(&host), (ActiveState::Deactivating, false, 0));
    let seen = report.observation.unwrap();
    assert_eq!((seen.uptime, seen.units.unwrap().len()), (NOW, 1), "the uptime is that of the greeting");
    assert_eq!(host.visit(&visit(3, &[Action::Unload]), false, 0, NOW + SECOND).outcomes, [Outcome::Done]);
    assert!(host.units.is_empty());
}

#[test]
fn a_restart_stops_the_unit_first_and_starts_it_as_a_new_process() {
    let mut host = running(false);
    let process = host.units[&web()].process;
    let restart = visit(2, &[Action::Restart { count: 3 }]);
    let mut underway = host.admit(&restart, NOW).unwrap();
    host.proceed(&restart, &mut underway, NOW);
    assert_eq!(state(&host), (ActiveState::Deactivating, true, 3));
    assert_eq!(host.units[&web()].state.job, Some(JobType::Restart));
    host.settle(&web(), ActiveState::Active, NOW);
    assert_eq!(state(&host), (ActiveState::Activating, true, 3));
    host.settle(&web(), ActiveState::Active, NOW);
    assert_eq!(state(&host), (ActiveState::Active, true, 3));
    assert_ne!(host.units[&web()].process, process);
}

#[test]
fn a_start_that_systemd_refuses_fails_and_leaves_no_record_of_a_start() {
    let mut host = host();
    host.refuses = Some(web());
    let report = host.visit(&visit(1, &[load(false), START]), false, 0, NOW);
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Failed("Failed to start web.service.".to_owned())]);
    assert_eq!(state(&host), (ActiveState::Inactive, false, 0));
    let report = SimulatedHost::new(machine(), String::new()).visit(&visit(1, &[START]), false, 0, NOW);
    assert_eq!(report.outcomes, [Outcome::Failed("Unit web.service not found.".to_owned())]);
}

#[test]
fn a_restart_that_systemd_refuses_leaves_the_unit_running_and_launched() {
    let mut host = running(false);
    host.refuses = Some(web());
    let report = host.visit(&visit(2, &[Action::Restart { count: 3 }]), false, 0, NOW);
    assert!(matches!(report.outcomes[..], [Outcome::Failed(_)]), "{:?}", report.outcomes);
    assert_eq!(state(&host), (ActiveState::Active, true, 2));
}

#[test]
fn a_quick_look_names_units_only_if_a_file_or_a_process_has_changed() {
    let mut host = running(false);
    let look = visit(0, &[]);
    let sees =
        |host: &mut SimulatedHost, shell| host.visit(&look, true, shell, NOW).observation.unwrap().units.is_some();
    assert!(!sees(&mut host, 0) && sees(&mut host, 1) && !sees(&mut host, 1));
    host.visit(&visit(2, &[Action::Restart { count: 1 }]), false, 0, NOW);
    assert!(!sees(&mut host, 0), "the shell of the restart has looked after it");
    assert!(sees(&mut host, 1));
    let hold = Some(LeaseAction::Hold { until: NOW * 2, length: NOW });
    let granted = host.visit(&Visit { lease: hold, ..visit(3, &[]) }, true, 0, NOW).observation.unwrap();
    assert!(granted.lease == Some(LeaseStatus::Granted) && granted.units.is_some());
}

#[test]
fn a_lease_ends_at_the_uptime_that_was_named_and_strict_units_end_with_it() {
    let mut host = running(true);
    let hold = |number, until| {
        let lease = Some(LeaseAction::Hold { until, length: SECOND * 20 });
        Visit { lease, ..visit(number, &[]) }
    };
    let status = |host: &mut SimulatedHost, visit: &Visit, uptime| {
        host.visit(visit, false, 0, uptime).observation.unwrap().lease.unwrap()
    };
    assert_eq!(status(&mut host, &hold(2, NOW + SECOND * 40), NOW), LeaseStatus::Held);
    assert_eq!(status(&mut host, &hold(3, NOW + SECOND * 30), NOW), LeaseStatus::Held, "the last one counts");
    host.visit(&visit(0, &[]), false, 0, NOW + SECOND * 29);
    assert_eq!(state(&host), (ActiveState::Active, true, 0));
    let late = LeaseStatus::Refused(LeaseRefusal::TooLate);
    assert_eq!(status(&mut host, &hold(4, NOW + SECOND * 30), NOW + SECOND * 30), late);
    assert_eq!(state(&host), (ActiveState::Inactive, true, 0));
    let report = host.visit(&visit(5, &[START]), false, 0, NOW + SECOND * 30);
    assert_eq!(report.outcomes, [Outcome::Done], "systemd refuses the start after the script has queued it");
    assert_eq!(state(&host), (ActiveState::Inactive, true, 0));
    host.refuses_lease = true;
    let refused = LeaseStatus::Refused(LeaseRefusal::NotStarted);
    assert_eq!(status(&mut host, &hold(6, NOW * 2), NOW + SECOND * 30), refused);
}

#[test]
fn a_new_lease_lets_strict_units_that_stopped_count_as_not_started() {
    let mut host = running(true);
    host.end_lease();
    host.settle_all(NOW);
    assert_eq!(state(&host), (ActiveState::Inactive, true, 0));
    let lease = Some(LeaseAction::Hold { until: NOW * 2, length: NOW });
    let report = host.visit(&Visit { lease, ..visit(2, &[]) }, true, 0, NOW);
    assert_eq!(report.observation.unwrap().lease, Some(LeaseStatus::Granted));
    assert_eq!(state(&host), (ActiveState::Inactive, false, 0));
    let report = host.visit(&Visit { lease: Some(LeaseAction::Release), ..visit(3, &[START]) }, true, 0, NOW);
    assert_eq!(report.observation.unwrap().lease, Some(LeaseStatus::Released));
    assert_eq!((report.outcomes.as_slice(), host.units[&web()].is_there()), ([Outcome::Done].as_slice(), false));
}

#[test]
fn a_host_belongs_to_the_cluster_that_claims_it_first_and_refuses_every_other() {
    let of = |number: u128, visit: Visit| {
        let cluster = Cluster { id: ClusterId::from_bits(number), name: format!("cluster {number}") };
        Visit { cluster: Some(Arc::new(cluster)), ..visit }
    };
    let mut host = host();
    let refused = |host: &mut SimulatedHost, visit: Visit| host.visit(&visit, false, 0, NOW).refused;
    assert_eq!(refused(&mut host, of(1, visit(1, &[]))), None);
    let other = Some(Refused::OtherCluster(format!("cluster 1 ({})", ClusterId::from_bits(1))));
    assert_eq!(refused(&mut host, of(2, visit(2, &[load(false)]))), other);
    assert_eq!(refused(&mut host, visit(2, &[load(false)])), other);
    assert_eq!(refused(&mut host, of(1, visit(2, &[load(false)]))), None);
}

#[test]
fn a_soft_reboot_ends_the_units_and_the_lease_and_keeps_what_is_in_run() {
    let mut host = running(true);
    host.pull_time = Some(SECOND);
    host.images = [("done".to_owned(), NOW), ("pulled".to_owned(), NOW + SECOND)].into();
    let before = host.units[&web()].change;
    host.soft_reboot(NOW);
    assert_eq!(state(&host), (ActiveState::Inactive, false, 0));
    assert_eq!((host.lease, host.epoch, host.boot.as_str()), (None, 1, "boot"));
    assert!(host.images.keys().eq(["done"]) && host.units[&web()].change > before);
    // The file is there, and the strict unit waits for another lease.
    host.visit(&visit(2, &[START]), false, 1, NOW + SECOND);
    assert_eq!(state(&host), (ActiveState::Inactive, true, 0));
    let lease = LeaseAction::Hold { until: NOW + SECOND * 20, length: SECOND * 20 };
    let report = host.visit(&Visit { lease: Some(lease), ..visit(3, &[START]) }, false, 1, NOW + SECOND);
    assert_eq!(report.observation.unwrap().lease, Some(LeaseStatus::Granted));
    assert_eq!(state(&host), (ActiveState::Active, true, 0));
}

#[test]
fn a_slice_whose_new_file_is_refused_keeps_the_earlier_one() {
    let mut host = host();
    let step = |action, reason| Step { unit: "shop.slice".parse().unwrap(), action, reason };
    let steps = |hash, reason| {
        let load = Action::Load { hash, install: false, strict: false };
        vec![step(load, reason), step(START, Reason::WantedLaunched)]
    };
    let (before, odd) = (file().hash(), Hash::of(b"odd"));
    host.refuses_files.insert(odd);
    let first = Visit { steps: steps(before, Reason::NotThere), ..visit(1, &[]) };
    assert_eq!(host.visit(&first, false, 0, NOW).outcomes, [Outcome::Done, Outcome::Done]);
    let second = Visit { steps: steps(odd, Reason::HashDiffers), ..visit(2, &[]) };
    assert_eq!(host.visit(&second, false, 0, NOW).outcomes, [(); 2].map(|()| Outcome::Failed(REFUSED.to_owned())));
    assert_eq!(host.units.values().map(|unit| unit.state.hash).collect::<Vec<_>>(), [before]);
}
