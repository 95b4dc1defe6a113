//! What must never happen, whatever goes wrong, and what must have happened once nothing goes wrong any more.

use std::collections::BTreeMap;

use muster::core::model::Action;
use muster::core::model::ActiveState;
use muster::core::model::DesiredState;
use muster::core::model::EventKind;
use muster::core::model::Health;
use muster::core::model::Unit;
use muster::core::model::Write;
use muster::core::simulated_host::SimulatedUnit;
use muster::core::unit::UnitName;

use super::controller::DOWN_AFTER;
use super::controller::failover_policy;
use super::coverage::Reached;
use super::host::Host;
use super::liveness::Liveness;
use super::network::Delivery;
use super::network::view;
use super::systemd::millis;
use super::world::World;

/// Within this time a leader knows of what a machine that is well is doing, in milliseconds.
const KNOWN_WITHIN: u64 = 25_000;

/// Within this time a leader has heard of a peer that reaches a host, and has not heard anything else since: it must
/// know of the peer first, and then ask.
const SEEN_WITHIN: u64 = KNOWN_WITHIN + 5_000;

/// A host's sshd may be greeted so often within this time by the peers that one controller asks.
const GREETED_WITHIN: u64 = 5_000;
const GREETED_AT_MOST: usize = 4;

/// Steps may begin so long after they were decided: what they may be on their way, in whole seconds of the host's.
const BEGIN_WITHIN: u64 = 11_200;

/// Within this time a unit that runs twice, both times on machines that are well, is stopped on one: the stop may take
/// 30 s, and the leader may have to be told a few times.
const OVERLAP_WITHIN: u64 = 90_000;

/// A controller may not be woken more often than this without anything happening.
const WAKES: u32 = 50;

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) wrong: Option<String>,
    counter: u64,
    /// Since when the controller could reach the host, and the host could do its work.
    well_since: Vec<Vec<Option<u64>>>,
    /// Since when each host could see each other one's sshd.
    seen_since: Vec<Vec<Option<u64>>>,
    /// When each host's sshd was probed by a peer.
    greeted: Vec<Vec<u64>>,
    /// How many visits with steps went through a peer.
    pub(super) round: u64,
    /// How many units were moved.
    pub(super) moved: u64,
    /// Since when a unit has been running twice with nothing in the way of ending it.
    twice_since: BTreeMap<UnitName, u64>,
    longest_twice: u64,
    wakes: Vec<(u64, u32)>,
    /// The longest renewal of each host, in milliseconds, that a leader has heard of before it wrote to the store while
    /// the store had a record of the host's lease.
    pub(super) shown: Vec<u64>,
    pub(super) liveness: Liveness,
    pub(super) reached: Reached,
    /// Set when nothing more may happen.
    pub(super) quiet: bool,
}

impl Watch {
    pub(super) fn new(hosts: usize, controllers: usize) -> Self {
        Self {
            wrong: None,
            counter: 0,
            well_since: vec![vec![Some(0); hosts]; controllers],
            seen_since: vec![vec![Some(0); hosts]; hosts],
            greeted: vec![Vec::new(); hosts],
            round: 0,
            moved: 0,
            twice_since: BTreeMap::new(),
            longest_twice: 0,
            wakes: vec![(0, 0); controllers],
            shown: vec![0; hosts],
            liveness: Liveness::default(),
            reached: Reached::new(),
            quiet: false,
        }
    }

    /// Returns a number that was not returned before.
    pub(super) const fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn accuse(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// Notes that a reconciler wants to be woken now or later: at one moment it may not ask for that again and again.
    pub(super) fn wakes(&mut self, controller: usize, now: u64, at: u64) {
        let (last, times) = &mut self.wakes[controller];
        *times = if at == now && *last == now { *times + 1 } else { 0 };
        *last = now;
        if *times > WAKES {
            self.accuse(format!("c{controller} wants to be woken again and again and does nothing"));
        }
    }
}

impl World {
    /// Looks at the whole world, after every event.
    pub(super) fn look_around(&mut self) {
        let now = self.now;
        for (index, controller) in self.watch.well_since.iter_mut().enumerate() {
            for (number, since) in controller.iter_mut().enumerate() {
                let host = &self.hosts[number];
                let well = host.is_well() && !self.network.is_cut(index, number);
                *since = if well { since.or(Some(now)) } else { None };
            }
        }
        let well = Host::is_well;
        for (one, row) in self.watch.seen_since.iter_mut().enumerate() {
            for (other, since) in row.iter_mut().enumerate() {
                let sees = well(&self.hosts[one]) && well(&self.hosts[other]) && self.network.joins(one, other);
                *since = if sees { since.or(Some(now)) } else { None };
            }
        }
        self.look_for_twins();
        self.look_for_strict_twins();
        self.watch_liveness();
    }

    /// A host's systemd ends the lease. No leader can count with a slowness that no renewal has shown in time: until such
    /// a host has stopped what depended on the lease, it does not count.
    pub(super) fn check_slowness(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let slowness = host.stops_with.max(millis(host.model.renewal));
        let is_shown = slowness <= self.watch.shown[index];
        host.overdue |= !is_shown;
        if slowness > 0 {
            self.reach(if is_shown { "lease: a slow end" } else { "lease: a slow end that was not shown" });
        }
    }

    /// A leader has written to the store after it had heard of these renewals: the next leader must know of them as long as
    /// the record of the lease is there.
    pub(super) fn note_shown(&mut self, renewals: &[u64]) {
        for (number, host) in self.hosts.iter().enumerate() {
            let is_leased = self.store.snapshot.leases.contains_key(&host.machine);
            let shown = &mut self.watch.shown[number];
            *shown = if is_leased { renewals.get(number).map_or(*shown, |renewal| (*renewal).max(*shown)) } else { 0 };
        }
    }

    /// A strict unit never runs twice, whatever happens. A host that stood still beyond the end of its lease is not
    /// promised for, nor is one that [`World::check_slowness`] excuses: until it has stopped what depended on the lease, it
    /// does not count.
    fn look_for_strict_twins(&mut self) {
        let files = &self.files[1];
        let is_strict = |copy: &SimulatedUnit| files.iter().any(|file| file.hash() == copy.state.hash);
        for host in self.hosts.iter_mut().filter(|host| host.overdue || host.stops_with > 0) {
            let mut copies = host.model.units.values();
            host.overdue &= copies.any(|copy| copy.is_there() && !copy.foreign && is_strict(copy));
            let stops = |copy: &SimulatedUnit| copy.strict && copy.state.active == ActiveState::Deactivating;
            if !host.model.units.values().any(stops) {
                host.stops_with = 0;
            }
        }
        let counts = |host: &&Host| host.up && !host.frozen && !host.overdue;
        let twice = self.units.iter().find(|unit| {
            let copies = self.hosts.iter().filter(counts).filter_map(|host| host.model.units.get(*unit));
            let running: Vec<&SimulatedUnit> = copies.filter(|copy| copy.is_there() && !copy.foreign).collect();
            // A copy of a file before it counts, whatever that said.
            running.len() > 1 && running.iter().any(|copy| self.is_strict(copy.state.hash))
        });
        if let Some(unit) = twice.cloned() {
            self.watch.accuse(format!("{unit} is strict and runs twice"));
        }
    }

    /// A peer is about to look at a host: sshd may never see so many at once that it counts them.
    pub(super) fn check_question(&mut self, controller: usize, host: usize, peer: usize) {
        if host == peer {
            return self.watch.accuse(format!("c{controller} asks h{host} about itself"));
        }
        if self.watch.quiet {
            return self.watch.accuse(format!("c{controller} asks about h{host} although all is as it should be"));
        }
        let since = self.now.saturating_sub(GREETED_WITHIN);
        let greeted = &mut self.watch.greeted[host];
        greeted.retain(|at| *at > since);
        greeted.push(self.now);
        if greeted.len() > GREETED_AT_MOST * self.controllers.len() {
            self.watch.accuse(format!("h{host} is looked at too often"));
        }
    }

    /// Says whether a controller could have heard from a peer since then that it reaches a host.
    fn is_seen(&self, controller: usize, host: usize, since: u64) -> bool {
        (0..self.hosts.len()).filter(|other| *other != host).any(|other| {
            let sees = self.watch.seen_since[other][host].is_some_and(|seen| seen <= since);
            sees && self.could_reach(controller, other, since)
        })
    }

    /// Says whether a controller has been awake and able to reach a host since then.
    fn could_reach(&self, controller: usize, host: usize, since: u64) -> bool {
        let well = self.watch.well_since[controller][host].is_some_and(|well| well <= since);
        let is_awake = !self.controllers[controller].stopped && self.controllers[controller].awake_since <= since;
        well && is_awake && self.controllers[controller].began <= since
    }

    fn look_for_twins(&mut self) {
        for unit in self.units.clone() {
            let there = |copy: &SimulatedUnit| copy.is_there() && !copy.foreign;
            let there = |host: &Host| host.up && host.model.units.get(&unit).is_some_and(there);
            let hosts: Vec<usize> = (0..self.hosts.len()).filter(|index| there(&self.hosts[*index])).collect();
            let leader = self.store.leader.filter(|leader| self.now < leader.until && !self.store.away);
            let free = leader.is_some_and(|leader| {
                self.controllers[leader.controller].is_daemon
                    && self.controllers[leader.controller].reconciler.is_some()
                    && hosts.iter().all(|host| self.could_reach(leader.controller, *host, self.now))
            });
            if hosts.len() < 2 || !free {
                self.watch.twice_since.remove(&unit);
                continue;
            }
            let since = *self.watch.twice_since.entry(unit.clone()).or_insert(self.now);
            self.watch.longest_twice = self.watch.longest_twice.max(self.now - since);
            if self.now - since > OVERLAP_WITHIN {
                self.watch.accuse(format!("{unit} has been running twice since {since}, within reach"));
            }
        }
    }

    /// A visit is sent.
    pub(super) fn check_departure(&mut self, delivery: &Delivery) {
        let controller = &self.controllers[delivery.controller];
        let way = &controller.ways[delivery.host];
        let (c, h) = (delivery.controller, delivery.host);
        self.watch.round += u64::from(delivery.through.is_some() && !delivery.visit.steps.is_empty());
        if way.delivery.is_some() {
            return self.watch.accuse(format!("c{c} makes two visits to h{h} at once"));
        }
        if delivery.visit.steps.is_empty() {
            return;
        }
        if !way.good.contains(&delivery.through) {
            return self.watch.accuse(format!("c{c} sends h{h} steps without having looked"));
        }
        if self.watch.quiet {
            return self.watch.accuse(format!("c{c} sends h{h} steps although all is as it should be"));
        }
        if self.store.leads(delivery.life, self.now).is_none() {
            return;
        }
        for step in delivery
            .visit
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Load { .. }) || step.action.starts())
        {
            let placed = self.store.snapshot.placements.get(&step.unit).map(|placement| placement.machine);
            if placed != delivery.visit.machine {
                return self
                    .watch
                    .accuse(format!("c{c} starts {} on h{h}, where the store has not placed it", step.unit));
            }
        }
    }

    /// A leader's write is taken.
    pub(super) fn check_write(&mut self, controller: usize, life: u64, write: &Write) {
        let c = controller;
        if self.store.leads(life, self.now).is_none() {
            return self.watch.accuse(format!("c{c} writes although it does not lead"));
        }
        // The times of the observations are published whatever happens, and that a unit runs again is said a while later.
        let is_recovery = matches!(write, Write::Log(event) if event.kind == EventKind::UnitRecovered);
        if self.watch.quiet && !is_recovery && !matches!(write, Write::Observed(_)) {
            return self.watch.accuse(format!("c{c} writes although all is as it should be: {write:?}"));
        }
        let Write::Place(unit, to) = write else { return };
        let health = self.store.snapshot.health.get(&to.machine).filter(|health| health.since <= to.since);
        if health.and_then(|health| failover_policy().hold_down(health, to.since)).is_some() {
            return self.watch.accuse(format!("c{c} puts {unit} on {}, which goes and comes", to.machine.short()));
        }
        let Some(from) = self.store.snapshot.placements.get(unit).filter(|from| from.machine != to.machine) else {
            return;
        };
        let host = self.hosts.iter().position(|host| host.machine == from.machine).unwrap();
        let decided = self.controllers[c].clock.at(to.since);
        // Less what the clock may be fast, and what is lost when its time is turned into ours.
        let heard = |at: u64| at + 2 <= decided && decided + 200 < at + DOWN_AFTER;
        let answered = self.controllers[c].ways[host].answered.is_some_and(heard);
        let in_reach = self.could_reach(c, host, decided.saturating_sub(KNOWN_WITHIN));
        let drained = self.store.was_drained(from.machine, decided.saturating_sub(KNOWN_WITHIN));
        let order = self.store.snapshot.failover_overrides.get(&from.machine);
        let forced = order.is_some_and(|order| to.since < order.until);
        let is_taken = self.hosts[host].model.units.get(unit).is_some_and(|copy| copy.foreign);
        if drained || forced || is_taken || !self.controllers[c].is_daemon {
            return;
        }
        self.watch.moved += 1;
        if answered || in_reach {
            self.watch.accuse(format!("c{c} moves {unit} away from h{host}, which is well"));
        }
        // Peers are asked about a machine that has been given up once a minute.
        let known = self.store.snapshot.health.get(&from.machine).map(|health| health.health);
        let asked = if known == Some(Health::Down) { 60_000 } else { 0 };
        if self.is_seen(c, host, decided.saturating_sub(SEEN_WITHIN + asked)) {
            self.watch.accuse(format!("c{c} moves {unit} away from h{host}, which its peers reach"));
        }
    }

    /// A host begins a visit's steps.
    pub(super) fn check_begin(&mut self, delivery: &Delivery) {
        let late = self.now - delivery.decided;
        if late > BEGIN_WITHIN {
            self.watch.accuse(format!("h{} obeys c{} {late} ms after it decided", delivery.host, delivery.controller));
        }
        for step in &delivery.visit.steps {
            if let Action::Load { hash, .. } = step.action
                && !delivery.visit.files.contains_key(&hash)
            {
                self.watch.accuse(format!("h{} is to load {}, whose file did not come", delivery.host, step.unit));
            }
        }
    }

    /// A host stops or restarts a unit for a visit.
    pub(super) fn check_stop(&mut self, delivery: &Delivery, unit: &UnitName, action: Action) {
        let host = &self.hosts[delivery.host];
        let Some(copy) = host.model.units.get(unit).filter(|copy| copy.is_up()) else {
            return;
        };
        if copy.foreign && !self.units.contains(unit) {
            let (h, c) = (delivery.host, delivery.controller);
            return self.watch.accuse(format!("h{h} is told by c{c} to stop {unit}, which is not muster's"));
        }
        let now = view(&self.store.snapshot, unit);
        let (Some(wanted), Some(machine)) = now else { return };
        let well = wanted.desired == DesiredState::Launched
            && machine == host.machine
            && copy.state.hash == wanted.hash
            && (!copy.state.launched || copy.state.restarts >= wanted.restarts);
        if !well {
            return self.check_handover(delivery, unit);
        }
        let was_right = delivery.view.get(unit) != Some(&now);
        let overtaken = host.obeyed > delivery.visit.epoch;
        if !was_right || overtaken {
            let what = format!(
                "h{} obeys c{}'s {action} of {unit}, which is as it should be",
                delivery.host, delivery.controller
            );
            self.watch.accuse(what);
        }
    }

    /// A host stops a unit that runs, for it belongs elsewhere: if the machine is being drained it must have started there,
    /// unless it is strict.
    fn check_handover(&mut self, delivery: &Delivery, unit: &UnitName) {
        let host = &self.hosts[delivery.host];
        let record = &self.store.snapshot.machines[&host.machine];
        let right = delivery.view.get(unit).is_some_and(|seen| *seen == view(&self.store.snapshot, unit));
        // A decision knows nothing of an order that came after it.
        let drained = self.store.is_drained_since(host.machine, delivery.decided);
        let Some((Some(wanted), Some(to))) = delivery.view.get(unit).filter(|_| right && drained) else {
            return;
        };
        // The deadline is a time of day, and the controller goes by its own clock.
        let clock = self.controllers[delivery.controller].clock;
        let over = record.drain_by.is_some_and(|by| by <= clock.read(delivery.decided));
        let to = self.hosts.iter().find(|host| host.machine == *to).unwrap();
        let never =
            to.up && to.booted_at < delivery.decided.saturating_sub(KNOWN_WITHIN) && !to.model.units.contains_key(unit);
        let strict = self.is_strict(wanted.hash);
        if wanted.desired == DesiredState::Launched && to.machine != host.machine && !over && never && !strict {
            let what = format!("h{} stops {unit}, which has not started elsewhere", delivery.host);
            self.watch.accuse(what);
        }
    }

    /// A host starts a unit for a visit.
    pub(super) fn check_start(&mut self, delivery: &Delivery, unit: &UnitName) {
        if self.store.leads(delivery.life, self.now).is_none() {
            return;
        }
        let Some(known) = delivery.decided.checked_sub(KNOWN_WITHIN) else { return };
        for (number, host) in self.hosts.iter().enumerate().filter(|(number, _)| *number != delivery.host) {
            let is_foreign = host.model.units.get(unit).is_some_and(|copy| copy.foreign);
            let twin = !is_foreign && host.since(unit).is_some_and(|since| since < known);
            // What leaves a drained machine starts elsewhere first.
            let handed_over = self.store.was_drained(host.machine, known);
            if twin
                && !handed_over
                && self.could_reach(delivery.controller, number, known)
                && self.controllers[delivery.controller].is_daemon
            {
                let what = format!("{unit} is started on h{} while it runs on h{number}, within reach", delivery.host);
                return self.watch.accuse(what);
            }
        }
    }

    /// Says what is not yet as it should be.
    pub(super) fn unfinished(&self) -> Option<String> {
        let snapshot = &self.store.snapshot;
        let Some(leader) = self.store.leader else { return Some("no controller leads".to_owned()) };
        let Some(reconciler) = &self.controllers[leader.controller].reconciler else {
            return Some("the leader is gone".to_owned());
        };
        if self.controllers.iter().any(|controller| controller.stopped) {
            return Some("a controller is stopped".to_owned());
        }
        let controller = &self.controllers[leader.controller];
        if controller.committing && !controller.publishing
            || !reconciler.is_settled() && reconciler.views().any(|(_, s)| s.health.is_none())
        {
            return Some("the leader is not done".to_owned());
        }
        let steps = |host: &Host| {
            let in_flight = reconciler
                .view(host.machine)
                .is_none_or(|view| view.in_flight.as_ref().is_some_and(|f| !f.steps.is_empty()));
            in_flight || host.job.is_some() || !host.up || reconciler.backoffs().next().is_some()
        };
        if self.hosts.iter().any(steps) {
            return Some("steps are under way".to_owned());
        }
        let leased = |machine| {
            snapshot.placements.iter().any(|(unit, placement)| {
                let launched = |unit: &&Unit| unit.desired == DesiredState::Launched && self.is_strict(unit.hash);
                placement.machine == machine && snapshot.units.get(unit).is_some_and(|unit| launched(&unit))
            })
        };
        if snapshot.leases.keys().any(|machine| !leased(*machine)) {
            return Some("a lease is not let go".to_owned());
        }
        if reconciler.views().any(|(_, view)| view.fencing.runs) {
            return Some("a fence command runs".to_owned());
        }
        for unit in &self.units {
            let wanted = snapshot.units.get(unit).map_or(DesiredState::Inactive, |unit| unit.desired);
            let placed = snapshot.placements.get(unit).map(|placement| placement.machine);
            for host in &self.hosts {
                let copy = host.model.units.get(unit);
                let fine = match copy {
                    None => placed != Some(host.machine),
                    Some(copy) => {
                        let record = snapshot.units.get(unit);
                        placed == Some(host.machine)
                            && record.is_some_and(|record| record.hash == copy.state.hash)
                            && (copy.state.launched == (wanted == DesiredState::Launched))
                            && (!copy.state.launched
                                || record.is_some_and(|record| copy.state.restarts >= record.restarts))
                            && !copy.state.is_changing()
                            && (wanted != DesiredState::Launched
                                || copy.is_there()
                                || copy.state.active == ActiveState::Failed)
                    }
                };
                if !fine {
                    return Some(format!(
                        "{unit} is wanted {wanted} on {placed:?}, and on {} it is {copy:?}",
                        host.machine.short()
                    ));
                }
                let known = snapshot.states.get(unit).and_then(|states| states.get(&host.machine));
                if known != copy.map(|copy| &copy.state) {
                    return Some(format!("the store does not know how {unit} is"));
                }
            }
            if wanted != DesiredState::Inactive && placed.is_none() {
                return Some(format!("{unit} is nowhere"));
            }
        }
        let has_foreign = |host: &Host| host.model.units.values().any(|copy| copy.foreign);
        let noted = |host: &Host| snapshot.foreign.get(&host.machine).is_some_and(|units| units.count > 0);
        if self.hosts.iter().any(|host| has_foreign(host) != noted(host)) {
            return Some("the store does not know which files are not muster's".to_owned());
        }
        let mut there = self.hosts.iter().flat_map(|host| &host.model.units);
        let strangers = there.any(|(unit, copy)| !copy.foreign && !snapshot.units.contains_key(unit));
        let doubted =
            |host: &Host| snapshot.health.get(&host.machine).is_none_or(|health| health.health != Health::Alive);
        if strangers || self.hosts.iter().any(doubted) {
            return Some("a stranger is left, or a machine is not alive for the leader".to_owned());
        }
        None
    }

    /// Tells what happened: events, units that were moved, visits with steps that went through a peer, and for how
    /// long a unit ran twice within reach.
    pub(super) const fn tally(&self) -> [u64; 4] {
        [self.trace.digest.0, self.watch.moved, self.watch.round, self.watch.longest_twice]
    }
}
