//! What must happen in time, whatever other machines do: the units of a dead machine run elsewhere, a unit that waits
//! for a place gets one, and a machine that gives proof of life is never down.
//!
//! Each bound counts only time in which nothing excuses the leader. The excuses are counted here from the state of the
//! world, not asked of the leader.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use muster::core::health::BRAKE;
use muster::core::health::failover::LIMIT_WINDOW;
use muster::core::model::ActiveState;
use muster::core::model::DesiredState;
use muster::core::model::Health;
use muster::core::simulated_host::SimulatedUnit;
use muster::core::unit::UnitName;

use super::attempt::Part;
use super::controller::DOWN_AFTER;
use super::controller::failover_policy;
use super::host::Host;
use super::world::World;

/// The longest time for which a machine that has just died is still owed its last proof of life, in milliseconds: an
/// attempt that has come to the login lasts as long as the login may.
const LAST_PROOF: u64 = Part::Authenticate.deadline();

/// The answers of peers that are under way are waited for.
const PEERS: u64 = 4_000;

/// The other machine may have to be visited once more before it counts as alive: a visit that failed, a pause, a visit.
const ANOTHER_VISIT: u64 = 5_000;

/// Clocks differ in speed, and messages take their time.
const SLACK: u64 = 2_000;

/// Within this time a dead machine's units are placed elsewhere; the time that commits take comes on top.
pub(super) const MOVED_WITHIN: u64 = LAST_PROOF + DOWN_AFTER + PEERS + ANOTHER_VISIT + SLACK;

/// A machine that accepts connections and does not greet is given `DOWN_AFTER` once more.
const HUNG_MOVED_WITHIN: u64 = MOVED_WITHIN + DOWN_AFTER;

/// The first visit to every machine ends within this time: all phases, and a look with a lease.
const FIRST_VISITS: u64 = 5_000 + 4_000 + 6_000 + 20_000 + 15_000 + 5_000;

/// A leader knows within this time that a machine is well again: the rest of an attempt, a pause, a visit.
const KNOWN_WITHIN: u64 = LAST_PROOF + 6_000;

/// A leader that reaches a machine through a peer tries the direct path so often, and waits for the attempt.
const DIRECT_WITHIN: u64 = 30_000 + Part::Connect.deadline();

/// After this time a machine that was silent has been visited: the rest of an attempt that is not greeted, a pause, an
/// attempt and a visit.
const HEARD_WITHIN: u64 = 20_000;

/// A unit without a place gets one within this time once every machine has been looked at: the leader hears of a change
/// within 5 s.
const PLACED_WITHIN: u64 = 5_100 + SLACK;

/// A unit that is placed on a machine that is well runs there within this time: another visit there and the unit's own,
/// with a stop that is waited for in each.
const RUNS_WITHIN: u64 = 2 * (10_000 + 3_000 + 4_000) + 2 * ANOTHER_VISIT + SLACK;

/// A step that was refused is tried again within this time.
const BACKOFF: u64 = 62_000;

/// A machine that has been down for so long counts for no brake.
const LONG_DOWN: u64 = 30_000;

/// Within this time a leader knows which files a host has: the time between two full observations, and a visit.
const FULL_LOOK: u64 = 10_000 + ANOTHER_VISIT;

/// How many commits are remembered: more than fit into the longest bound.
const COMMITS: usize = 300;

/// Time since when something holds without interruption.
type Since = Option<u64>;

/// What is so for a leader that nothing disturbs.
#[derive(Debug)]
struct Led {
    life: u64,
    since: u64,
    /// Since when every machine has been visited, with whatever result.
    assessed: Since,
    hosts: Vec<Watched>,
    /// When it waited for the store: the latest times.
    commits: VecDeque<(u64, Since)>,
}

/// What is so for that leader of one host.
#[derive(Debug, Clone, Default)]
struct Watched {
    /// Since when it is dead: without power, frozen, or out of reach of every other machine.
    dead: Since,
    /// When it was last silent, and when it last stood still.
    silent_at: Since,
    frozen_at: Since,
    /// When the leader last had no direct path to it.
    cut_at: Since,
    /// Since when it can take units, and since when the leader knows that.
    fit: Since,
    known: Since,
    /// Since when neither the brake nor the failover limit applies to it.
    free: Since,
    /// When a unit was last made to fail there.
    trouble_at: Since,
}

/// What is remembered of the liveness of machines and units.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    led: Option<Led>,
    /// When a unit's record or place was last changed.
    touched: BTreeMap<UnitName, u64>,
    /// When a host last had a unit of this name that is not muster's, which keeps the unit from that host.
    taken_at: BTreeMap<UnitName, u64>,
    /// When a unit last ran on two machines, or on one where it is not placed.
    astray_at: BTreeMap<UnitName, u64>,
}

fn hold(since: &mut Since, holds: bool, now: u64) {
    *since = if holds { since.or(Some(now)) } else { None };
}

impl Liveness {
    /// Notes that a unit's record or place was changed.
    pub(super) fn touch(&mut self, unit: &UnitName, now: u64) {
        self.touched.insert(unit.clone(), now);
    }
}

impl Led {
    /// Returns for how long since then the leader was not waiting for the store.
    fn free_time(&self, since: u64, now: u64) -> u64 {
        let overlap = |(began, ended): &(u64, Since)| ended.unwrap_or(now).saturating_sub((*began).max(since));
        now.saturating_sub(since + self.commits.iter().map(overlap).sum::<u64>())
    }
}

impl World {
    /// Accuses a leader under which a machine that is dead keeps its units, or a unit waits that could have a place.
    pub(super) fn watch_liveness(&mut self) {
        let Some(leader) = self.undisturbed_leader() else {
            self.watch.liveness.led = None;
            return;
        };
        let (now, life, hosts) = (self.now, self.controllers[leader].life, self.hosts.len());
        let new = || Led {
            life,
            since: now,
            assessed: None,
            hosts: vec![Watched::default(); hosts],
            commits: VecDeque::new(),
        };
        let led = self.watch.liveness.led.take().filter(|led| led.life == life);
        let mut led = led.unwrap_or_else(new);
        self.observe_liveness(leader, &mut led);
        if !self.watch.quiet {
            self.look_for_abandoned(leader, &led);
        }
        self.watch.liveness.led = Some(led);
    }

    /// Returns the controller that leads, unless something disturbs it.
    fn undisturbed_leader(&self) -> Option<usize> {
        let leader = self.store.leader.filter(|leader| self.now < leader.until && !self.store.away)?;
        let controller = &self.controllers[leader.controller];
        let leads = controller.life == leader.life && controller.reconciler.is_some() && !controller.kept;
        (leads && controller.is_daemon && !controller.stopped).then_some(leader.controller)
    }

    fn observe_liveness(&self, leader: usize, led: &mut Led) {
        let now = self.now;
        let controller = &self.controllers[leader];
        let Some(reconciler) = &controller.reconciler else { return };
        match led.commits.back_mut() {
            Some((_, ended @ None)) if !controller.committing => *ended = Some(now),
            Some((_, None)) => {}
            _ if controller.committing => {
                led.commits.push_back((now, None));
                led.commits.drain(..led.commits.len().saturating_sub(COMMITS));
            }
            _ => {}
        }
        hold(&mut led.assessed, controller.ways.iter().all(|way| way.tried), now);
        let clock = controller.clock.read(now);
        for (index, host) in self.hosts.iter().enumerate() {
            let watched = &mut led.hosts[index];
            hold(&mut watched.dead, self.is_dead(leader, index), now);
            if self.is_silent(leader, index) {
                watched.silent_at = Some(now);
            }
            if host.frozen {
                watched.frozen_at = Some(now);
            }
            if self.network.is_cut(leader, index) {
                watched.cut_at = Some(now);
            }
            if host.model.refuses.is_some() || host.fails.is_some() {
                watched.trouble_at = Some(now);
            }
            let record = &self.store.snapshot.machines[&host.machine];
            let health = self.store.snapshot.health.get(&host.machine);
            let held = health.and_then(|health| failover_policy().hold_down(health, clock)).is_some();
            let open = !record.cordoned && !record.draining && !held;
            let fit = open && host.is_well() && !self.network.is_cut(leader, index);
            hold(&mut watched.fit, fit, now);
            let alive = || reconciler.view(host.machine).is_some_and(|view| view.health == Some(Health::Alive));
            let known = fit && controller.ways[index].good.contains(&None) && alive();
            hold(&mut watched.known, known, now);
        }
        for index in 0..self.hosts.len() {
            let free = led.hosts[index].dead.is_some() && !self.is_blocked(leader, index, &led.hosts);
            hold(&mut led.hosts[index].free, free, now);
        }
    }

    fn is_dead(&self, leader: usize, index: usize) -> bool {
        let host = &self.hosts[index];
        let others = || (0..self.hosts.len()).filter(|other| *other != index);
        let island = || self.network.is_cut(leader, index) && others().all(|other| !self.network.joins(index, other));
        let resolves = host.lags[Part::Resolve as usize] < Part::Resolve.deadline();
        resolves && (!host.up || host.frozen || island())
    }

    /// Says whether new attempts to reach a host get no sign of life from its sshd.
    fn is_silent(&self, leader: usize, index: usize) -> bool {
        let host = &self.hosts[index];
        let hangs = |part: Part| host.lags[part as usize] >= part.deadline() - 100;
        let mute = [Part::Resolve, Part::Connect, Part::Greeting].into_iter().any(hangs);
        !host.up || host.frozen || mute || self.network.is_cut(leader, index)
    }

    /// Says whether the brake, the brake of the machine's zone or the failover limit applies to a machine.
    pub(super) fn block_of(&self, leader: usize, index: usize, silent: &[usize]) -> Option<&'static str> {
        let snapshot = &self.store.snapshot;
        let over = |count: usize, all: usize| count * 100 > all * usize::from(BRAKE);
        if over(silent.len(), self.hosts.len()) {
            return Some("brake");
        }
        let zone = |host: usize| snapshot.machines[&self.hosts[host].machine].metadata.get("zone");
        let here = |host: &usize| zone(index).is_some() && zone(*host) == zone(index);
        let all = (0..self.hosts.len()).filter(here).count();
        if all > 1 && over(silent.iter().copied().filter(here).count(), all) {
            return Some("zone");
        }
        let now = self.controllers[leader].clock.read(self.now);
        let fell = |other: usize| {
            let last = snapshot.health.get(&self.hosts[other].machine).and_then(|health| health.outages.last());
            last.is_some_and(|fall| now < *fall + LIMIT_WINDOW)
        };
        let others = (0..self.hosts.len()).filter(|other| *other != index);
        let lately = others.filter(|other| fell(*other) || silent.contains(other)).count();
        let limit = failover_policy().limit.max(self.hosts.len() * usize::from(BRAKE) / 100);
        (lately >= limit).then_some("limit")
    }

    fn is_blocked(&self, leader: usize, index: usize, hosts: &[Watched]) -> bool {
        let now = self.controllers[leader].clock.read(self.now);
        // A machine that is down by an order counts for the brakes as long as the order is in force.
        let ordered = |host: &Host| {
            let order = self.store.snapshot.failover_overrides.get(&host.machine);
            order.is_some_and(|order| now < order.until)
        };
        let long_down = |host: &Host| {
            let record = self.store.snapshot.health.get(&host.machine).filter(|it| it.health == Health::Down);
            record.is_some_and(|record| now.since(record.since).as_millis() > u128::from(LONG_DOWN))
        };
        let silent = (0..self.hosts.len()).filter(|other| {
            let lately = hosts[*other].silent_at.is_some_and(|at| self.now < at + HEARD_WITHIN);
            *other == index || lately && (ordered(&self.hosts[*other]) || !long_down(&self.hosts[*other]))
        });
        self.block_of(leader, index, &silent.collect::<Vec<_>>()).is_some()
    }

    fn look_for_abandoned(&mut self, leader: usize, led: &Led) {
        for unit in self.units.clone() {
            let snapshot = &self.store.snapshot;
            let is_foreign = |host: &Host| host.model.units.get(&unit).is_some_and(|copy| copy.foreign);
            if self.hosts.iter().any(is_foreign) {
                self.watch.liveness.taken_at.insert(unit.clone(), self.now);
            }
            let touched = self.watch.liveness.touched.get(&unit).copied().unwrap_or_default();
            let taken = self.watch.liveness.taken_at.get(&unit).map_or(0, |at| at + FULL_LOOK);
            let touched = touched.max(taken);
            let Some(record) = snapshot.units.get(&unit).filter(|it| it.desired != DesiredState::Inactive) else {
                continue;
            };
            let strict = self.is_strict(record.hash);
            let launched = record.desired == DesiredState::Launched && !strict;
            match snapshot.placements.get(&unit).map(|placement| placement.machine) {
                None => self.check_placed(leader, led, &unit, touched),
                Some(machine) if launched => {
                    let index = self.hosts.iter().position(|host| host.machine == machine).unwrap();
                    if snapshot.machines[&machine].draining {
                        continue;
                    }
                    self.check_moved(leader, led, (&unit, touched), index);
                    self.check_runs(leader, led, (&unit, touched), index);
                }
                Some(_) => {}
            }
        }
    }

    /// The units of a dead machine are placed elsewhere within the bound.
    fn check_moved(&mut self, leader: usize, led: &Led, (unit, touched): (&UnitName, u64), index: usize) {
        let host = &led.hosts[index];
        let (Some(dead), Some(free)) = (host.dead, host.free) else { return };
        let others = led.hosts.iter().enumerate().filter(|(other, _)| *other != index);
        let fit = |host: &Watched| Some(host.fit?.max(host.cut_at.map_or(0, |at| at + DIRECT_WITHIN)));
        let Some(fit) = others.filter_map(|(_, host)| fit(host)).min() else { return };
        let since = dead.max(free).max(touched).max(led.since);
        let froze = host.frozen_at.is_some_and(|at| at >= dead);
        let bound = if froze { HUNG_MOVED_WITHIN } else { MOVED_WITHIN };
        let known = fit + KNOWN_WITHIN + SLACK;
        let in_time = self.now < known || self.now < led.since + FIRST_VISITS + SLACK;
        if !in_time && led.free_time(since, self.now) > bound {
            let span = self.now - dead;
            self.watch.accuse(format!("c{leader} leaves {unit} on h{index}, which has been dead for {span} ms"));
        }
    }

    /// A unit that has no place gets one as soon as every machine has been looked at, whatever some of them turn out to be.
    fn check_placed(&mut self, leader: usize, led: &Led, unit: &UnitName, touched: u64) {
        let Some(assessed) = led.assessed else { return };
        let Some(known) = led.hosts.iter().filter_map(|host| host.known).min() else { return };
        let since = touched.max(assessed).max(known);
        if led.free_time(since, self.now) > PLACED_WITHIN {
            let span = self.now - since;
            self.watch.accuse(format!("c{leader} has let {unit} wait for {span} ms, and other machines are alive"));
        }
    }

    /// A unit that is placed on a machine that is well runs there within the bound.
    fn check_runs(&mut self, leader: usize, led: &Led, (unit, touched): (&UnitName, u64), index: usize) {
        let stray = |(other, host): (usize, &Host)| {
            other != index && host.model.units.get(unit).is_some_and(SimulatedUnit::is_there)
        };
        let now = self.now;
        if self.hosts.iter().enumerate().any(stray) {
            self.watch.liveness.astray_at.insert(unit.clone(), now);
        }
        let host = &led.hosts[index];
        let Some(fit) = host.fit else { return };
        let copy = self.hosts[index].model.units.get(unit);
        if copy.is_some_and(|copy| copy.is_there() || copy.state.active == ActiveState::Failed) {
            return;
        }
        let astray = self.watch.liveness.astray_at.get(unit).copied().unwrap_or_default();
        let trouble = host.trouble_at.map_or(0, |at| at + BACKOFF);
        let since = touched.max(astray).max(trouble).max(fit + FIRST_VISITS).max(led.since + FIRST_VISITS);
        if now > since && led.free_time(since, now) > RUNS_WITHIN {
            let span = now - since;
            self.watch.accuse(format!("c{leader} has not started {unit} on h{index}, which is well, for {span} ms"));
        }
    }

    /// A machine whose sshd has sent this controller something lately, or has been reached by the attempt under way, has
    /// not been assessed as down just now.
    pub(super) fn check_assessed(&mut self, index: usize) {
        for host in 0..self.hosts.len() {
            let controller = &mut self.controllers[index];
            let Some(reconciler) = &controller.reconciler else { return };
            let health = reconciler.view(self.hosts[host].machine).and_then(|view| view.health);
            let clock = controller.clock.read(self.now);
            let order = reconciler.snapshot().failover_overrides.get(&self.hosts[host].machine);
            let forced = order.is_some_and(|order| clock < order.until);
            let way = &mut controller.ways[host];
            let before = std::mem::replace(&mut way.health, health);
            if health != Some(Health::Down) || before == health || forced {
                continue;
            }
            // Any sshd may greet behind a relay, until the host key is checked.
            let relayed = way.delivery.as_ref().is_some_and(|delivery| delivery.through.is_some());
            let part = if relayed { Part::Authenticate } else { Part::KeyExchange };
            let greeted = way.attempt.is_some_and(|attempt| attempt.part >= part);
            let lately = way.proof.is_some_and(|at| self.now + 200 < at + DOWN_AFTER);
            if greeted || lately {
                let proof = way.proof.map(|at| self.now - at);
                let what = format!("c{index} assesses h{host} as down, whose sshd answered it {proof:?} ms ago");
                self.watch.accuse(what);
            }
        }
    }
}
