//! Small scenarios with exact faults, one for each promise about liveness.

use std::sync::Arc;

use muster::core::command;
use muster::core::command::LocalFile;
use muster::core::command::UnitCommand;
use muster::core::model::ActiveState;
use muster::core::model::Health;
use muster::core::model::Verb;
use muster::core::simulated_host::SimulatedUnit;
use muster::core::unit::Contents;
use muster::core::unit::UnitFile;

use super::attempt::Part;
use super::controller::DOWN_AFTER;
use super::faults::Fault;
use super::host::Job;
use super::liveness::MOVED_WITHIN;
use super::world::Mutant;
use super::world::Shape;
use super::world::World;

/// A machine whose connection was idle when it died is down within this time: silence, answers of peers, and what a
/// visit and a commit take.
const DOWN_WITHIN: u64 = DOWN_AFTER + 4_000 + 2_000;

/// A machine that dies while a script runs there is found silent after four signs of life that did not come.
const DOWN_WITHIN_A_SCRIPT: u64 = DOWN_WITHIN + 4_000;

/// Units on machines that are well, with a controller that leads.
struct Stage(World);

impl Stage {
    fn new(hosts: usize, units: usize) -> Self {
        let mut stage = Self::without_leader(hosts, units);
        stage.0.campaign_soon(0);
        stage.run(20_000);
        stage
    }

    fn without_leader(hosts: usize, units: usize) -> Self {
        let mut stage = Self(World::staged(Shape { hosts, daemons: 1, units }));
        (0..units).for_each(|number| stage.order(number, Verb::Start));
        stage
    }

    fn order(&mut self, number: usize, verb: Verb) {
        self.order_file(number, verb, self.0.files[0][0].clone());
    }

    fn order_file(&mut self, number: usize, verb: Verb, file: Arc<UnitFile>) {
        let unit = self.0.units[number].clone();
        let file = Some(LocalFile { file, path: "a.service".to_owned(), template: false, contents: Contents::new() });
        let order = UnitCommand { verb, unit: unit.clone(), file, replace: false, edits: None };
        let decision = command::decide(&self.0.store.snapshot, &order).unwrap();
        self.0.store.order(&unit, decision.change);
        self.0.spread_word();
    }

    /// Lets time pass. No invariant may break meanwhile.
    fn run(&mut self, span: u64) {
        if let Err(wrong) = self.0.run_until(self.0.now + span) {
            panic!("{}{wrong}", self.0.trace.print());
        }
    }

    /// Closes the connections to a host, and lets the next attempts end like this.
    fn reconnect(&mut self, host: usize, fault: Fault) {
        self.0.inflict(&Fault::Power(host));
        self.0.mend(&Fault::Power(host));
        self.0.inflict(&fault);
    }

    fn health(&self, host: usize) -> Option<Health> {
        self.0.store.snapshot.health.get(&self.0.hosts[host].machine).map(|health| health.health)
    }

    /// Returns the host where a unit is placed and runs.
    fn host_of(&self, number: usize) -> Option<usize> {
        let unit = &self.0.units[number];
        let machine = self.0.store.snapshot.placements.get(unit)?.machine;
        let host = self.0.hosts.iter().position(|host| host.machine == machine)?;
        let runs = self.0.hosts[host].model.units.get(unit).is_some_and(SimulatedUnit::is_there);
        runs.then_some(host)
    }

    /// Lets time pass until something is so, and returns how much that was.
    fn until(&mut self, within: u64, holds: impl Fn(&Self) -> bool) -> u64 {
        let began = self.0.now;
        while !holds(self) {
            let waited = self.0.now - began;
            assert!(waited < within, "{}not within {within} ms", self.0.trace.print());
            self.run(100);
        }
        self.0.now - began
    }

    /// Cuts a machine's power: its units must run elsewhere in time.
    fn dies(&mut self, host: usize, within: u64) {
        let here = |stage: &Self, number: &usize| stage.host_of(*number) == Some(host);
        let units: Vec<usize> = (0..self.0.units.len()).filter(|number| here(self, number)).collect();
        assert!(!units.is_empty(), "nothing runs on h{host}");
        self.0.inflict(&Fault::Power(host));
        self.until(within, |stage| stage.health(host) == Some(Health::Down));
        let runs = |stage: &Self, number: &usize| stage.host_of(*number).is_some_and(|it| it != host);
        self.until(2_000, |stage| units.iter().all(|number| runs(stage, number)));
    }
}

const HUNG_LOGIN: Part = Part::Authenticate;

#[test]
fn a_dead_machine_is_down_in_time_although_the_login_of_another_one_hangs() {
    one_dies_while_the_login_of_another_one_hangs(Mutant::None);
}

#[test]
fn a_slow_visit_that_excuses_the_silence_of_other_machines_is_found() {
    does_harm(|| one_dies_while_the_login_of_another_one_hangs(Mutant::OverdueIsStall));
}

fn one_dies_while_the_login_of_another_one_hangs(mutant: Mutant) {
    let mut stage = Stage::new(4, 4);
    stage.0.mutant = mutant;
    let dead = stage.host_of(0).unwrap();
    let hung = (dead + 1) % 4;
    stage.reconnect(hung, Fault::Hang { host: hung, part: HUNG_LOGIN, lag: 60_000 });
    stage.run(30_000);
    stage.dies(dead, DOWN_WITHIN);
}

#[test]
fn a_dead_machine_fails_over_in_time_although_another_one_claims_to_run_its_units() {
    one_dies_beside_one_that_lies(Mutant::None);
}

#[test]
fn claims_that_are_believed_are_found() {
    does_harm(|| one_dies_beside_one_that_lies(Mutant::ClaimsAreBelieved));
}

fn one_dies_beside_one_that_lies(mutant: Mutant) {
    let mut stage = Stage::new(4, 4);
    stage.0.mutant = mutant;
    let dead = stage.host_of(0).unwrap();
    stage.0.hosts[(dead + 1) % 4].lies = true;
    stage.run(30_000);
    stage.dies(dead, DOWN_WITHIN);
}

#[test]
fn a_machine_that_names_ever_new_units_is_sick() {
    let mut stage = Stage::new(3, 3);
    let liar = stage.host_of(0).unwrap();
    stage.0.hosts[liar].lies = true;
    stage.until(600_000, |stage| stage.health(liar) == Some(Health::Sick));
    let recorded: usize = stage.0.store.snapshot.states.values().map(std::collections::BTreeMap::len).sum();
    assert!(recorded <= 9, "{recorded} states");
}

#[test]
fn a_machine_whose_login_hangs_is_sick_and_never_down_without_a_peer_that_reaches_it() {
    let mut stage = Stage::new(2, 2);
    let hung = stage.host_of(0).unwrap();
    stage.0.network.part(0, 1);
    stage.reconnect(hung, Fault::Hang { host: hung, part: HUNG_LOGIN, lag: 60_000 });
    let mut seen = Vec::new();
    for _ in 0..3_000 {
        stage.run(100);
        seen.extend(stage.health(hung));
        seen.dedup();
    }
    assert_eq!(seen, [Health::Alive, Health::Suspect, Health::Sick]);
    let placed = stage.0.store.snapshot.placements[&stage.0.units[0]].machine;
    assert_eq!(placed, stage.0.hosts[hung].machine);
}

#[test]
fn a_machine_behind_a_proxy_command_fails_over_like_any_other() {
    let mut stage = Stage::new(3, 3);
    let dead = stage.host_of(0).unwrap();
    stage.0.hosts[dead].carried = true;
    stage.dies(dead, DOWN_WITHIN);
}

#[test]
fn a_power_cut_while_steps_are_slow_moves_the_other_units_in_time() {
    for verb in [Verb::Stop, Verb::Restart] {
        let mut stage = Stage::new(3, 6);
        let dead = stage.host_of(0).unwrap();
        let other = (1..6).find(|number| stage.host_of(*number) == Some(dead)).unwrap();
        stage.0.inflict(&Fault::Hang { host: dead, part: Part::Run, lag: 25_000 });
        stage.order(other, verb);
        stage.run(10_000);
        assert!(stage.0.hosts[dead].job.is_some(), "{verb}: the step is under way");
        stage.dies(dead, DOWN_WITHIN_A_SCRIPT);
    }
}

/// Machines that are up and of no use.
fn useless(host: usize) -> [Fault; 5] {
    let hung = Fault::Hang { host, part: HUNG_LOGIN, lag: 60_000 };
    [Fault::Deny(host), Fault::Throttle(host), Fault::Sshd(host), Fault::Unfit(host), hung]
}

#[test]
fn machines_that_have_been_sick_for_long_do_not_hold_up_a_failover_when_a_controller_begins() {
    for number in 0..5 {
        let mut stage = Stage::new(3, 3);
        let dead = stage.host_of(0).unwrap();
        let sick = (dead + 1) % 3;
        stage.reconnect(sick, useless(sick)[number]);
        stage.run(600_000);
        stage.0.restart_leader();
        stage.run(3_000);
        // The first visit to a machine whose login hangs takes 20 s, and the leader waits for it.
        stage.dies(dead, MOVED_WITHIN);
    }
}

#[test]
fn a_machine_that_becomes_sick_does_not_hold_up_the_failover_of_one_that_dies_soon_after() {
    for number in 0..5 {
        let mut stage = Stage::new(3, 3);
        let dead = stage.host_of(0).unwrap();
        let sick = (dead + 1) % 3;
        stage.reconnect(sick, useless(sick)[number]);
        stage.run(10_000);
        stage.dies(dead, DOWN_WITHIN);
    }
}

#[test]
fn a_suspect_machine_does_not_keep_waiting_units_from_the_others_when_a_controller_begins() {
    let mut stage = Stage::without_leader(3, 3);
    stage.0.inflict(&Fault::Power(0));
    stage.0.campaign_soon(0);
    // One attempt to connect, which takes 4 s, a commit, and a start.
    let placed = |stage: &Stage, number| stage.host_of(number).is_some_and(|host| host > 0);
    stage.until(6_000, |stage| (0..3).all(|number| placed(stage, number)));
}

#[test]
fn a_script_that_goes_on_after_the_lease_of_its_host_has_ended_starts_no_strict_unit() {
    let mut stage = Stage(World::staged(Shape { hosts: 3, daemons: 1, units: 1 }));
    stage.0.campaign_soon(0);
    stage.run(20_000);
    (0..3).for_each(|host| stage.0.inflict(&Fault::Hang { host, part: Part::Run, lag: 2_000 }));
    stage.order_file(0, Verb::Start, stage.0.files[1][0].clone());
    let starts = |job: &Job| job.delivery.visit.steps.iter().any(|step| step.action.starts());
    let starting = |stage: &Stage| stage.0.hosts.iter().position(|host| host.job.as_ref().is_some_and(starts));
    stage.until(30_000, |stage| starting(stage).is_some());
    let host = starting(&stage).unwrap();
    assert!(stage.0.hosts[host].model.lease.is_some());
    stage.0.inflict(&Fault::Freeze(host));
    stage.until(90_000, |stage| stage.host_of(0).is_some_and(|other| other != host));
    stage.0.mend(&Fault::Freeze(host));
    assert_eq!(stage.0.hosts[host].model.lease, None, "systemd ends the lease before the script goes on");
    // The script goes on, and no invariant is broken.
    stage.until(1_000, |stage| stage.0.hosts[host].job.is_none());
    assert!(stage.0.hosts[host].model.units[&stage.0.units[0]].state.active == ActiveState::Inactive);
    stage.run(60_000);
}

/// A strict unit moves after a backup of the store, and its machine is cut off when the backup is restored.
fn a_backup_is_restored_after_a_strict_unit_has_moved(mutant: Mutant) {
    let mut stage = Stage(World::staged(Shape { hosts: 3, daemons: 1, units: 1 }));
    stage.0.mutant = mutant;
    stage.0.campaign_soon(0);
    stage.order_file(0, Verb::Start, stage.0.files[1][0].clone());
    stage.until(40_000, |stage| stage.host_of(0).is_some());
    let before = stage.host_of(0).unwrap();
    stage.0.back_up_or_restore();
    stage.0.store.drain(stage.0.hosts[before].machine, None, stage.0.now);
    stage.0.spread_word();
    stage.until(60_000, |stage| stage.host_of(0).is_some_and(|host| host != before));
    let after = stage.host_of(0).unwrap();
    stage.run(2_000);
    stage.0.inflict(&Fault::Island(after));
    stage.0.back_up_or_restore();
    stage.0.campaign_soon(0);
    stage.until(90_000, |stage| stage.host_of(0) == Some(before));
    stage.0.mend(&Fault::Island(after));
    stage.run(60_000);
}

#[test]
fn a_strict_unit_waits_for_a_machine_that_is_cut_off_when_the_store_was_restored() {
    a_backup_is_restored_after_a_strict_unit_has_moved(Mutant::None);
}

#[test]
fn serials_that_are_forgotten_are_found() {
    does_harm(|| a_backup_is_restored_after_a_strict_unit_has_moved(Mutant::SerialsAreForgotten));
}

/// Starts a strict unit on a host without a fence command. Returns the host.
fn a_strict_unit_runs_without_a_fence(mutant: Mutant) -> (Stage, usize) {
    let mut stage = Stage(World::staged(Shape { hosts: 3, daemons: 1, units: 1 }));
    stage.0.mutant = mutant;
    // The first host has a fence command.
    stage.0.store.drain(stage.0.hosts[0].machine, None, stage.0.now);
    stage.0.campaign_soon(0);
    stage.order_file(0, Verb::Start, stage.0.files[1][0].clone());
    stage.until(40_000, |stage| stage.host_of(0).is_some());
    let host = stage.host_of(0).unwrap();
    (stage, host)
}

/// Checks that a mutant breaks an invariant.
fn does_harm(run: impl FnOnce() + std::panic::UnwindSafe) {
    let harm = std::panic::catch_unwind(run);
    assert!(harm.is_err(), "the mutant does no harm");
}

/// A machine whose systemd is slow is cut off while a strict unit runs there.
fn a_slow_host_is_cut_off(mutant: Mutant) {
    let (mut stage, slow) = a_strict_unit_runs_without_a_fence(mutant);
    stage.0.inflict(&Fault::SlowSystemd { host: slow, renewal: 4_500 });
    stage.run(20_000);
    let lease = stage.0.hosts[slow].model.lease;
    stage.until(20_000, |stage| stage.0.hosts[slow].model.lease != lease);
    // The host has this renewal, and the leader hears nothing more: the lease ends as late as the leader counts with.
    stage.0.inflict(&Fault::Island(slow));
    stage.until(90_000, |stage| stage.host_of(0).is_some_and(|host| host != slow));
    stage.0.mend(&Fault::Island(slow));
    stage.run(60_000);
}

#[test]
fn a_strict_unit_waits_for_a_machine_whose_systemd_is_slow() {
    a_slow_host_is_cut_off(Mutant::None);
}

#[test]
fn a_slow_systemd_that_is_ignored_is_found() {
    does_harm(|| a_slow_host_is_cut_off(Mutant::SlownessIsIgnored));
}

#[test]
fn a_unit_that_is_destroyed_and_submitted_as_available_waits_for_its_strict_copy() {
    let mut stage = Stage(World::staged(Shape { hosts: 3, daemons: 1, units: 1 }));
    stage.0.campaign_soon(0);
    stage.order_file(0, Verb::Start, stage.0.files[1][0].clone());
    stage.until(40_000, |stage| stage.host_of(0).is_some());
    let before = stage.host_of(0).unwrap();
    stage.run(5_000);
    stage.0.inflict(&Fault::Island(before));
    stage.until(10_000, |stage| stage.health(before) == Some(Health::Suspect));
    let unit = stage.0.units[0].clone();
    stage.0.store.order(&unit, command::DesiredChange::Delete);
    stage.0.spread_word();
    stage.run(300);
    stage.order(0, Verb::Start);
    stage.until(90_000, |stage| stage.host_of(0).is_some_and(|host| host != before));
    stage.0.mend(&Fault::Island(before));
    stage.run(60_000);
}

/// A machine makes a soft-reboot while a strict unit runs there, and is cut off until the unit runs elsewhere.
fn a_machine_is_cut_off_at_its_soft_reboot(mutant: Mutant) {
    let (mut stage, before) = a_strict_unit_runs_without_a_fence(mutant);
    stage.run(5_000);
    stage.0.inflict(&Fault::SoftReboot(before));
    stage.0.inflict(&Fault::Island(before));
    stage.until(90_000, |stage| stage.host_of(0).is_some_and(|host| host != before));
    stage.0.mend(&Fault::SoftReboot(before));
    stage.0.mend(&Fault::Island(before));
    stage.run(60_000);
}

#[test]
fn a_strict_unit_does_not_outlive_a_soft_reboot() {
    a_machine_is_cut_off_at_its_soft_reboot(Mutant::None);
}

#[test]
fn strict_units_that_outlive_a_soft_reboot_are_found() {
    does_harm(|| a_machine_is_cut_off_at_its_soft_reboot(Mutant::SoftRebootsKeepStrictUnits));
}

#[test]
fn available_and_strict_units_run_again_after_a_soft_reboot() {
    let mut stage = Stage(World::staged(Shape { hosts: 1, daemons: 1, units: 2 }));
    stage.0.campaign_soon(0);
    (0..2).for_each(|number| stage.order_file(number, Verb::Start, stage.0.files[number][0].clone()));
    stage.until(40_000, |stage| (0..2).all(|number| stage.host_of(number).is_some()));
    stage.run(5_000);
    stage.0.inflict(&Fault::SoftReboot(0));
    assert!((0..2).all(|number| stage.host_of(number).is_none()) && stage.0.hosts[0].model.lease.is_none());
    stage.run(5_000);
    stage.0.mend(&Fault::SoftReboot(0));
    stage.until(10_000, |stage| (0..2).all(|number| stage.host_of(number).is_some()));
    assert!(stage.0.hosts[0].model.lease.is_some());
}
