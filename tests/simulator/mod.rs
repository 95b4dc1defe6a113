//! The simulator: the core's reconciler against hosts, a store and a network made of values, in virtual time, under faults.
//!
//! A run follows from its seed alone. `MUSTER_SEEDS` says how many seeds to run, `MUSTER_SEED` which is the first: a
//! seed that failed is replayed with `MUSTER_SEED=n MUSTER_SEEDS=1`.

mod attempt;
mod controller;
mod coverage;
pub(crate) mod dice;
mod directed;
mod faults;
mod host;
mod invariants;
mod liveness;
mod network;
mod operator;
mod peers;
mod store;
mod systemd;
mod trace;
mod world;

use coverage::Reached;
use world::Mutant;
use world::World;

/// How long faults go on, in milliseconds of virtual time.
const STORM: u64 = 150_000;

/// Within this time after the last fault everything is as it should be.
const CALM_WITHIN: u64 = 240_000;

/// And then nothing more happens for this long.
const QUIET: u64 = 60_000;

/// So many seeds reach every point of the register.
const EVERY_POINT: u64 = 10_000;

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().map_or(or, |text| text.parse().unwrap())
}

fn weather(world: &mut World) -> Result<(), String> {
    let storm = if world.steady { STORM..=3 * STORM } else { STORM / 4..=STORM };
    let storm = world.dice.between(*storm.start(), *storm.end());
    let end = world.now + storm;
    world.run_until(end)?;
    world.calm();
    let deadline = world.now + CALM_WITHIN;
    // What was on its way when the storm ended comes in the first seconds.
    world.run_until(world.now + 15_000)?;
    while let Some(missing) = world.unfinished() {
        if world.now >= deadline {
            return Err(format!("not as it should be {CALM_WITHIN} ms after the last fault: {missing}"));
        }
        world.run_until(world.now + 1_000)?;
    }
    world.note(format_args!("quiet"));
    world.watch.quiet = true;
    world.run_until(world.now + QUIET)?;
    world.unfinished().map_or(Ok(()), |missing| Err(format!("it did not last: {missing}")))
}

/// Names the seed should anything panic in it.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: replay it with MUSTER_SEED={} MUSTER_SEEDS=1", self.0, self.0);
        }
    }
}

/// Runs a seed and returns how it went.
fn run(seed: u64, mutant: Mutant, traced: bool) -> (Result<(), String>, World) {
    let _named = Named(seed);
    let mut world = World::new(seed, mutant, traced);
    let result = weather(&mut world);
    (result, world)
}

/// What several seeds came to.
#[derive(Debug, Default)]
struct Sum {
    events: u64,
    moved: u64,
    relayed: u64,
    longest: u64,
    reached: Reached,
    failed: Vec<(u64, String)>,
}

impl Sum {
    /// Runs a seed and adds what it came to.
    fn run(mut self, seed: u64) -> Self {
        let (result, world) = run(seed, Mutant::None, false);
        let [events, moved, relayed, longest] = world.tally();
        self.failed.extend(result.err().map(|wrong| (seed, wrong)));
        let one = Self { events, moved, relayed, longest, reached: world.watch.reached, failed: Vec::new() };
        self.add(one)
    }

    fn add(mut self, mut other: Self) -> Self {
        self.failed.append(&mut other.failed);
        self.reached.append(&mut other.reached);
        self.events += other.events;
        self.moved += other.moved;
        self.relayed += other.relayed;
        self.longest = self.longest.max(other.longest);
        self
    }
}

#[test]
fn no_storm_breaks_an_invariant_and_every_unit_ends_as_desired() {
    // The build machine compiles everything first and without optimisation, and has its time limit.
    let usual = if std::env::var_os("CI").is_some() { EVERY_POINT / 5 } else { EVERY_POINT };
    let (first, count) = (number("MUSTER_SEED", 1), number("MUSTER_SEEDS", usual));
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let every = |thread: usize| (first..first + count).skip(thread).step_by(threads).fold(Sum::default(), Sum::run);
    let mut sum = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|thread| scope.spawn(move || every(thread))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).fold(Sum::default(), Sum::add)
    });
    let took = began.elapsed();
    let Sum { events, moved, relayed, longest, .. } = sum;
    eprintln!("{count} seeds, {events} events in {took:?}: {moved} units moved, {relayed} visits with steps by relay");
    eprintln!("a unit ran twice within reach for at most {longest} ms");
    sum.failed.sort_unstable();
    for (seed, wrong) in &sum.failed {
        eprintln!("seed {seed}: {wrong}");
    }
    if let Some((seed, wrong)) = sum.failed.first() {
        // Once more, to tell what happened.
        let (_, world) = run(*seed, Mutant::None, true);
        panic!("{}seed {seed}: {wrong}\nreplay it with MUSTER_SEED={seed} MUSTER_SEEDS=1", world.trace.print());
    }
    let missed = coverage::missed(&sum.reached);
    eprintln!("{} points reached, not reached: {missed:?}", sum.reached.len());
    assert!(count < EVERY_POINT || missed.is_empty(), "no seed has reached {missed:?}");
    // A storm in which nothing has to be moved shows nothing.
    assert!(count < 100 || moved > count / 10 && relayed > count / 100, "too little happened");
}

#[test]
fn a_seed_replays_exactly() {
    let digest = |seed| run(seed, Mutant::None, false).1.trace.digest;
    for seed in 1..6 {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
    }
}

/// Finds a seed that shows that a mutant does harm. With `MUSTER_SEED` that seed is replayed, and what happened is printed.
fn catch(mutant: Mutant) {
    if std::env::var_os("MUSTER_SEED").is_some() {
        let seed = number("MUSTER_SEED", 1);
        let (result, world) = run(seed, mutant, true);
        return eprintln!(
            "{}{mutant:?}: seed {seed}: {}",
            world.trace.print(),
            result.expect_err("it does no harm here")
        );
    }
    let caught = (1..4_000).find_map(|seed| run(seed, mutant, false).0.err().map(|wrong| (seed, wrong)));
    let (seed, wrong) = caught.unwrap_or_else(|| panic!("{mutant:?} was not found"));
    eprintln!("{mutant:?}: seed {seed}: {wrong}");
}

#[test]
fn hosts_that_obey_an_old_leader_are_found() {
    catch(Mutant::HostsForgetEpochs);
}

#[test]
fn hosts_that_obey_a_stale_script_are_found() {
    catch(Mutant::HostsObeyLate);
}

#[test]
fn hosts_that_obey_twice_are_found() {
    catch(Mutant::HostsObeyTwice);
}

#[test]
fn steps_without_an_observation_are_found() {
    catch(Mutant::StepsWithoutLook);
}

#[test]
fn a_failover_without_detection_time_is_found() {
    catch(Mutant::NoPatience);
}

#[test]
fn a_store_that_takes_writes_of_any_process_is_found() {
    catch(Mutant::StoreTrustsAll);
}

#[test]
fn a_leader_that_ignores_peer_probes_is_found() {
    catch(Mutant::IgnoresPeers);
}

#[test]
fn acting_before_the_store_has_taken_a_commit_is_found() {
    catch(Mutant::ActsBeforeCommit);
}

#[test]
fn leases_that_count_from_their_arrival_are_found() {
    catch(Mutant::LeasesCountFromArrival);
}

#[test]
fn a_store_that_forgets_granted_leases_is_found() {
    catch(Mutant::GrantsAreForgotten);
}

#[test]
fn hosts_that_go_on_without_a_lease_are_found() {
    catch(Mutant::LeasesBindNobody);
}

#[test]
fn a_leader_that_stops_units_of_other_programs_is_found() {
    catch(Mutant::MarksAreIgnored);
}

#[test]
fn a_proof_of_life_that_is_ignored_while_its_attempt_lasts_is_found() {
    catch(Mutant::ProgressIsDropped);
}

#[test]
fn a_failed_carrier_that_counts_as_a_proof_of_life_is_found() {
    catch(Mutant::PathIsThrottled);
}

#[test]
fn a_brake_that_counts_sick_machines_is_found() {
    catch(Mutant::SickAreSilent);
}

#[test]
fn a_suspect_machine_that_keeps_units_from_other_machines_is_found() {
    catch(Mutant::SuspectBlocksPlacing);
}
