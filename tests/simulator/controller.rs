//! Controllers: the shell around the core's reconciler, made of values. They take and lose leadership, stop at
//! any step and go on later.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use muster::core::health::BRAKE;
use muster::core::health::DetectionConfig;
use muster::core::health::failover::FailoverPolicy;
use muster::core::lease::LeasePolicy;
use muster::core::model::Action;
use muster::core::model::Failure;
use muster::core::model::Health;
use muster::core::model::MachineId;
use muster::core::model::Observation;
use muster::core::model::Report;
use muster::core::model::Step;
use muster::core::model::Timestamp;
use muster::core::model::Visit;
use muster::core::model::Write;
use muster::core::reconcile::Input;
use muster::core::reconcile::Output;
use muster::core::reconcile::Reconciler;
use muster::core::reconcile::Timing;
use muster::core::reconcile::assignments::Scope;
use muster::core::unit::UnitName;

use super::attempt::Attempt;
use super::dice::Dice;
use super::host::Host;
use super::network::Delivery;
use super::network::View;
use super::network::view;
use super::store::TTL;
use super::systemd::millis;
use super::world::Event;
use super::world::Mutant;
use super::world::News;
use super::world::World;

/// How long a machine must have been silent before its units are moved, in milliseconds.
pub(super) const DOWN_AFTER: u64 = 15_000;

/// After how many milliseconds a mutant takes a visit for a stall.
const OVERDUE: u64 = 12_000;

/// Steps that are sent so long after they were decided are nearly always in time, in milliseconds.
const LATEST_START: u64 = 9_500;

/// How often a runner looks at the clock at least, in milliseconds: how late it does says for how long it stood still.
const TICK: u64 = 1_000;

/// The failover policy: a machine that is held down takes units again before the test is over.
pub(super) fn failover_policy() -> FailoverPolicy {
    FailoverPolicy { hold_down: Duration::from_secs(10), ..FailoverPolicy::default() }
}

const fn is_restart(step: &Step) -> bool {
    matches!(step.action, Action::Restart { .. })
}

/// What a controller knows of its way to one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    /// The delivery under way.
    pub(super) delivery: Option<Delivery>,
    /// How far it has come, unless its script runs.
    pub(super) attempt: Option<Attempt>,
    /// When the host's own sshd last sent this reconciler something.
    pub(super) proof: Option<u64>,
    /// Set once a visit to it has ended.
    pub(super) tried: bool,
    /// The host's health as this reconciler assessed it last.
    pub(super) health: Option<Health>,
    /// The shell on each way there: the direct one, or one through another host.
    shells: BTreeMap<Option<usize>, u64>,
    /// The boot that the open connection on each of them belongs to.
    pub(super) boots: BTreeMap<Option<usize>, u64>,
    /// The ways on which it answered the last time.
    pub(super) good: BTreeSet<Option<usize>>,
    /// When the host last answered this reconciler, and what it said of itself.
    pub(super) answered: Option<u64>,
    seen: Option<Observation>,
    /// The longest renewal of a lease that it has told this reconciler of, in milliseconds.
    renewal: u64,
}

impl Way {
    /// Returns the boot that the open connection belongs to, if there is one.
    fn boot(&self, through: Option<usize>) -> Option<u64> {
        self.boots.get(&through).copied().filter(|_| self.good.contains(&through))
    }
}

/// A clock that is wrong and runs at a speed of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    ahead: u64,
    drift: u64,
}

impl Clock {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self { ahead: dice.between(0, 120_000), drift: dice.drift() }
    }

    pub(super) fn read(self, now: u64) -> Timestamp {
        Timestamp::from_millis(now * self.drift / 1_000_000 + self.ahead)
    }

    /// Returns when the clock will read this.
    pub(super) fn at(self, time: Timestamp) -> u64 {
        (time.as_millis().saturating_sub(self.ahead) * 1_000_000).div_ceil(self.drift)
    }
}

#[derive(Debug)]
pub(super) struct Controller {
    pub(super) clock: Clock,
    /// Set when it no longer leads and only renews leases.
    pub(super) kept: bool,
    pub(super) is_daemon: bool,
    pub(super) life: u64,
    pub(super) reconciler: Option<Reconciler>,
    /// When it was started, and when its leadership has run out by its own clock.
    pub(super) began: u64,
    valid_until: u64,
    verb_ends: u64,
    pub(super) ways: Vec<Way>,
    pub(super) stopped: bool,
    /// Since when it has been awake.
    pub(super) awake_since: u64,
    /// When it was stopped, and how late its timers fired since its reconciler last heard of that.
    stopped_at: u64,
    stall: u64,
    inbox: Vec<News>,
    /// What it was about to do when it was stopped, and when it decided that.
    held: Vec<Output>,
    held_at: u64,
    wake: Option<u64>,
    pub(super) committing: bool,
    /// The commit in flight has nothing but the times of observations, which are published whatever happens.
    pub(super) publishing: bool,
}

impl Controller {
    pub(super) fn new(is_daemon: bool, hosts: usize, clock: Clock) -> Self {
        Self {
            clock,
            kept: false,
            is_daemon,
            life: 0,
            reconciler: None,
            began: 0,
            valid_until: 0,
            verb_ends: 0,
            ways: vec![Way::default(); hosts],
            stopped: false,
            awake_since: 0,
            stopped_at: 0,
            stall: 0,
            inbox: Vec::new(),
            held: Vec::new(),
            held_at: 0,
            wake: None,
            committing: false,
            publishing: false,
        }
    }

    /// Says whether a mutant takes a visit under way for a stall.
    fn is_overdue(&self, mutant: Mutant, now: u64) -> bool {
        let overdue = |way: &Way| way.delivery.as_ref().is_some_and(|delivery| now > delivery.decided + OVERDUE);
        mutant == Mutant::OverdueIsStall && self.ways.iter().any(overdue)
    }
}

impl World {
    /// Returns the brake: less than usual by the share of machines that a mutant counts as silent.
    fn brake(&self) -> u8 {
        let sick =
            |host: &&Host| host.lets_in() && (host.throttles || host.denies || host.unfit) || host.up && !host.sshd;
        if self.mutant != Mutant::SickAreSilent {
            return BRAKE;
        }
        let share = self.hosts.iter().filter(sick).count() * 100 / self.hosts.len();
        BRAKE.saturating_sub(u8::try_from(share).unwrap())
    }

    /// Notes how long a host took to renew its lease, or drops that: the mutant.
    fn hear_renewal(&mut self, index: usize, host: usize, result: &mut Result<Report, Failure>) {
        let Some(seen) = result.as_mut().ok().and_then(|report| report.observation.as_mut()) else { return };
        let heard = &mut self.controllers[index].ways[host].renewal;
        *heard = seen.renewal.map_or(*heard, |renewal| millis(renewal).max(*heard));
        if self.mutant == Mutant::SlownessIsIgnored {
            seen.renewal = None;
        }
    }

    fn timing(&self, is_daemon: bool) -> Timing {
        let down_after = if self.mutant == Mutant::NoPatience { 0 } else { DOWN_AFTER };
        let timing = Timing {
            poll_interval: Duration::from_secs(3),
            full_poll_interval: Duration::from_secs(15),
            retry_interval: Duration::from_secs(1),
            start_deadline: Duration::from_secs(10),
            detection: DetectionConfig { down_after: Duration::from_millis(down_after), brake: self.brake() },
            lease: None,
        };
        let terms =
            LeasePolicy::of_controller(Duration::from_secs(16), timing.poll_interval, timing.retry_interval).unwrap();
        Timing { lease: is_daemon.then_some(terms), ..timing }
    }

    /// Takes the claims of a host for the truth: the mutant.
    fn believe(&mut self, index: usize, host: usize, result: &Result<Report, Failure>) {
        let Some(reconciler) = &mut self.controllers[index].reconciler else { return };
        let units = result.as_ref().ok().and_then(|report| report.observation.as_ref()?.units.as_ref());
        if self.mutant != Mutant::ClaimsAreBelieved || !self.hosts[host].lies {
            return;
        }
        let machine = self.hosts[host].machine;
        let claims: Vec<_> = units.into_iter().flatten().filter(|(unit, _)| self.units.contains(unit)).collect();
        reconciler.learn(|snapshot| {
            for (unit, state) in claims {
                snapshot.states.entry(unit.clone()).or_default().insert(machine, state.clone());
            }
        });
    }

    /// Begins a reconciler if no process leads.
    pub(super) fn lead(&mut self, index: usize, scope: Scope) -> bool {
        let life = self.watch.count();
        let Some(leader) = self.store.take_lead(index, life, self.now) else { return false };
        self.note(format_args!("c{index} leads, epoch {}, {scope:?}", leader.epoch));
        self.reach("leadership: taken");
        let timing = self.timing(self.controllers[index].is_daemon);
        let mut snapshot = self.store.snapshot.clone();
        if self.mutant == Mutant::GrantsAreForgotten {
            snapshot.leases.clear();
        }
        // Every third host has something that can switch it off.
        let fenced = self.hosts.iter().enumerate().filter(|(host, _)| host.is_multiple_of(3));
        let fenced = fenced.map(|(host, _)| format!("h{host}")).collect();
        let publishes = scope == Scope::All;
        let reconciler = Reconciler::new(leader.epoch, scope, timing, snapshot).with_failover_policy(failover_policy());
        let reconciler = reconciler.with_fence_commands(fenced);
        self.controllers[index].reconciler = Some(if publishes { reconciler.with_publication() } else { reconciler });
        let controller = &mut self.controllers[index];
        controller.kept = false;
        controller.life = life;
        controller.began = self.now;
        controller.valid_until = self.now + TTL * 2 / 3;
        controller.verb_ends = self.now + 40_000;
        controller.committing = false;
        controller.wake = None;
        for way in &mut controller.ways {
            *way = Way::default();
        }
        self.feed(index, Input::Tick);
        true
    }

    /// Gives the reconciler up, and leadership if the controller holds it.
    pub(super) fn give_up(&mut self, index: usize, why: &str) {
        self.note(format_args!("c{index} gives up: {why}"));
        self.reach("leadership: lost");
        let controller = &mut self.controllers[index];
        let keeps = controller.is_daemon && !controller.kept;
        controller.reconciler.take_if(|reconciler| !keeps || !reconciler.holds_leases());
        controller.kept = controller.reconciler.is_some();
        controller.committing = false;
        controller.held.clear();
        let life = controller.life;
        self.store.release_lead(life);
        for way in &mut self.controllers[index].ways {
            way.attempt = None;
            if let Some(cut_off) = way.delivery.take() {
                way.shells.remove(&cut_off.through);
                way.good.remove(&cut_off.through);
            }
        }
        if let Some(reconciler) = &mut self.controllers[index].reconciler {
            reconciler.enter_lease_only();
            self.reach("leadership: leases only");
            self.feed(index, Input::Tick);
        }
    }

    /// Tells a controller something, at once or when it is awake again.
    pub(super) fn tell(&mut self, index: usize, news: News) {
        if self.controllers[index].stopped {
            return self.controllers[index].inbox.push(news);
        }
        self.hear(index, news);
    }

    /// A controller that was stopped goes on where it was.
    pub(super) fn awake(&mut self, index: usize) {
        self.note(format_args!("c{index} goes on"));
        let controller = &mut self.controllers[index];
        controller.stopped = false;
        controller.awake_since = self.now;
        // The runner has a timer for when the reconciler wants to be woken, and ticks at least this often.
        let due = controller.wake.unwrap_or(u64::MAX).clamp(controller.stopped_at, controller.stopped_at + TICK);
        controller.stall += self.now - due.min(self.now);
        let (held, decided) = (std::mem::take(&mut controller.held), controller.held_at);
        let mut inbox = std::mem::take(&mut controller.inbox);
        self.act(index, held, decided);
        if !self.controllers[index].stopped {
            self.feed(index, Input::Tick);
        }
        while !inbox.is_empty() {
            let news = inbox.swap_remove(self.dice.index(inbox.len()));
            self.tell(index, news);
        }
    }

    pub(super) fn hear(&mut self, index: usize, news: News) {
        let life = self.controllers[index].life;
        match news {
            News::Campaign => self.campaign(index),
            News::Reply { delivery, host, mut result } => {
                let way = &mut self.controllers[index].ways[host];
                if way.delivery.as_ref().is_some_and(|under_way| under_way.id == delivery) {
                    way.tried = true;
                }
                if self.mutant == Mutant::SuspectBlocksPlacing && result.is_err() && way.health.is_none() {
                    let judged = self.controllers[index].began + DOWN_AFTER;
                    if self.now < judged {
                        let again = News::Reply { delivery, host, result };
                        return self.after(judged - self.now, Event::Tell(index, again));
                    }
                }
                let way = &mut self.controllers[index].ways[host];
                let Some(delivery) = way.delivery.take_if(|under_way| under_way.id == delivery) else { return };
                way.attempt = None;
                if result.is_ok() {
                    way.proof = Some(self.now);
                }
                match &*result {
                    Ok(report) if report.refused.is_none() => {
                        way.answered = Some(self.now);
                        way.seen.clone_from(&report.observation);
                        way.good.insert(delivery.through);
                    }
                    _ => {
                        way.good.remove(&delivery.through);
                        way.shells.remove(&delivery.through);
                    }
                }
                self.reach_report(&delivery, &result);
                self.hear_renewal(index, host, &mut result);
                self.believe(index, host, &result);
                let way = &self.controllers[index].ways[host];
                let result = match (*result, way.seen.clone()) {
                    (Err(_), Some(seen)) if self.mutant == Mutant::StepsWithoutLook => {
                        Ok(Report { outcomes: Vec::new(), refused: None, observation: Some(seen) })
                    }
                    (result, _) => result,
                };
                let machine = self.hosts[host].machine;
                self.feed(index, Input::Visited(machine, Box::new(result)));
            }
            News::Stored { life: of, .. }
            | News::Probed { life: of, .. }
            | News::Wake { life: of, .. }
            | News::Changed { life: of }
                if of != life => {}
            News::Probed { host, peer, reached, .. } => {
                let [machine, peer] = [host, peer].map(|index| self.hosts[index].machine);
                self.feed(index, Input::Probed { machine, peer, reached });
            }
            News::Passed { delivery, host, part } => self.passed(index, host, delivery, part),
            News::Pulse { delivery, host, ends, missed } => self.pulse(index, host, delivery, (ends, missed)),
            News::Fenced { life: of, .. } if of != life => {}
            News::Fenced { host, ended, .. } => {
                let machine = self.hosts[host].machine;
                let view = self.controllers[index].reconciler.as_ref().and_then(|it| it.view(machine));
                let void = view.is_some_and(|view| view.fencing.void || view.answers());
                match &ended {
                    Err(_) => self.reach("fence: failed"),
                    Ok(()) if void => self.reach("fence: void"),
                    Ok(()) => {}
                }
                self.feed(index, Input::Fenced(machine, ended));
            }
            News::Stored { taken: None, .. } => self.give_up(index, "the store is away"),
            News::Stored { taken: Some(taken), .. } => {
                let controller = &mut self.controllers[index];
                controller.committing = false;
                self.feed(index, Input::Committed(taken));
            }
            News::Wake { at, .. } => {
                self.controllers[index].wake.take_if(|wake| *wake == at);
                self.feed(index, Input::Tick);
            }
            News::Changed { .. } => {
                let known = self.store.snapshot.clone();
                let controller = &mut self.controllers[index];
                if let Some(reconciler) = &mut controller.reconciler {
                    reconciler.learn(|snapshot| snapshot.renew(known));
                    self.feed(index, Input::Tick);
                }
            }
        }
    }

    /// Takes leadership if no process holds it, and extends it if this controller does.
    fn campaign(&mut self, index: usize) {
        let controller = &self.controllers[index];
        let (life, is_daemon) = (controller.life, controller.is_daemon);
        if controller.reconciler.is_some() && !controller.kept {
            let kept = self.store.keep_lead(life, self.now);
            let controller = &mut self.controllers[index];
            if kept {
                controller.valid_until = self.now + TTL * 2 / 3;
            } else if self.now >= controller.valid_until {
                self.give_up(index, "its leadership has run out");
            }
            return self.after(TTL / 3, Event::Tell(index, News::Campaign));
        }
        if is_daemon {
            if !self.lead(index, Scope::All) && self.store.is_led(self.now) && !self.store.away {
                let controller = &mut self.controllers[index];
                controller.reconciler = None;
                controller.kept = false;
            }
            self.after(1_000, Event::Tell(index, News::Campaign));
        }
    }

    /// Lets a command reconcile if no controller leads.
    pub(super) fn run_verb(&mut self, units: BTreeSet<UnitName>) {
        let index = self.controllers.len() - 1;
        let controller = &self.controllers[index];
        if controller.reconciler.is_none() && !controller.stopped && self.lead(index, Scope::Units(units)) {
            self.after(TTL / 3, Event::Tell(index, News::Campaign));
        }
    }

    pub(super) fn feed(&mut self, index: usize, input: Input) {
        let controller = &mut self.controllers[index];
        let now = controller.clock.read(self.now);
        let stall = std::mem::take(&mut controller.stall);
        let stall = if controller.is_overdue(self.mutant, self.now) { self.now } else { stall };
        let stalled = (stall > 0).then(|| Input::Stalled(now.since(controller.clock.read(self.now - stall))));
        let Some(reconciler) = &mut controller.reconciler else { return };
        let outputs = reconciler.handle_all(stalled.into_iter().chain([input]), now);
        let decided = self.now;
        if stall > 0 {
            self.reach("stall: reported");
        }
        self.check_assessed(index);
        self.reach_assessments(index);
        self.act(index, outputs, decided);
        self.plan_wake(index);
        let controller = &self.controllers[index];
        let idle = controller.ways.iter().all(|way| way.delivery.is_none()) && !controller.committing;
        if let Some(reconciler) = &controller.reconciler
            && !controller.is_daemon
            && !controller.stopped
            && (idle && reconciler.is_settled() && !reconciler.is_changing() || self.now > controller.verb_ends)
        {
            self.give_up(index, "its verb is done");
        }
    }

    fn plan_wake(&mut self, index: usize) {
        let controller = &mut self.controllers[index];
        let Some(at) = controller.reconciler.as_ref().and_then(Reconciler::wake_at) else { return };
        let at = controller.clock.at(at).max(self.now);
        if controller.wake.is_none_or(|wake| at < wake) {
            controller.wake = Some(at);
            let life = controller.life;
            self.watch.wakes(index, self.now, at);
            self.after(at - self.now, Event::Tell(index, News::Wake { life, at }));
        }
    }

    /// Carries out what the reconciler decided, unless the controller is stopped half-way.
    fn act(&mut self, index: usize, outputs: Vec<Output>, decided: u64) {
        let mut outputs = outputs.into_iter();
        while let Some(output) = outputs.next() {
            let acts = matches!(&output, Output::Visit { visit, .. } if !visit.steps.is_empty());
            let restarts = matches!(&output, Output::Visit { visit, .. } if visit.steps.iter().any(is_restart));
            // A restart is the step that the next leader repeats.
            let per_mille = if restarts {
                200
            } else if acts {
                30
            } else {
                5
            };
            if !self.controllers[index].stopped && self.stormy && !self.steady && self.dice.chance(per_mille) {
                if acts {
                    self.pause_past_leadership(index);
                } else {
                    self.stop_controller(index);
                }
            }
            if self.controllers[index].stopped {
                let controller = &mut self.controllers[index];
                controller.held = std::iter::once(output).chain(outputs).collect();
                controller.held_at = decided;
                return;
            }
            self.reach_output(&output);
            match output {
                Output::Deposed => return self.give_up(index, "deposed"),
                Output::Commit(writes) => self.commit(index, writes),
                Output::Probe { machine, peer } => {
                    let [host, peer] = [machine, peer].map(|machine| self.at(machine));
                    self.ask(index, host, peer);
                }
                Output::Fence(_) if self.now >= self.controllers[index].valid_until => {
                    return self.give_up(index, "its leadership has run out");
                }
                Output::Fence(machine) => {
                    let (host, life) = (self.at(machine), self.controllers[index].life);
                    let takes = self.delay((500, 8_000), (8_000, 29_000), 100);
                    self.after(takes, Event::Fence { controller: index, life, host });
                }
                Output::Leave(machine) => {
                    let host = self.at(machine);
                    let way = &mut self.controllers[index].ways[host];
                    way.shells.retain(|through, _| through.is_none());
                    way.good.retain(Option::is_none);
                }
                Output::Visit { machine, visit, quick, through } => {
                    let (host, through) = (self.at(machine), through.map(|peer| self.at(peer)));
                    let (life, fresh) = (self.controllers[index].life, self.watch.count());
                    let shell = *self.controllers[index].ways[host].shells.entry(through).or_insert(fresh);
                    let delivery = Delivery {
                        id: self.watch.count(),
                        controller: index,
                        life,
                        host,
                        through,
                        boot: self.controllers[index].ways[host].boot(through).unwrap_or(self.hosts[host].boot),
                        shell,
                        quick,
                        echo: false,
                        decided,
                        view: self.view(index, &visit),
                        visit: *visit,
                    };
                    self.set_out(delivery);
                }
            }
        }
    }

    /// Returns the host that is a machine.
    fn at(&self, machine: MachineId) -> usize {
        self.hosts.iter().position(|host| host.machine == machine).unwrap()
    }

    /// Stops a controller and returns for how long.
    pub(super) fn stop_controller(&mut self, index: usize) -> u64 {
        let pause = self.delay((500, 8_000), (8_000, 90_000), 300);
        self.pause_controller(index, pause);
        pause
    }

    /// Stops a leader for long enough for another one to begin, if the steps that it is about to send may still be in
    /// time then.
    fn pause_past_leadership(&mut self, index: usize) {
        let left = self.store.leader.map_or(0, |leader| leader.until.saturating_sub(self.now));
        let pause = self.dice.between(left.clamp(5_000, LATEST_START), LATEST_START);
        self.pause_controller(index, pause);
    }

    fn pause_controller(&mut self, index: usize, pause: u64) {
        self.note(format_args!("c{index} stops for {pause} ms"));
        self.controllers[index].stopped = true;
        self.controllers[index].stopped_at = self.now;
        self.after(pause, Event::Awake(index));
    }

    /// Returns what the reconciler believes of the units that a visit is about.
    fn view(&self, index: usize, visit: &Visit) -> BTreeMap<UnitName, View> {
        let Some(reconciler) = &self.controllers[index].reconciler else { return BTreeMap::new() };
        visit.steps.iter().map(|step| (step.unit.clone(), view(reconciler.snapshot(), &step.unit))).collect()
    }

    fn commit(&mut self, index: usize, writes: Vec<Write>) {
        let mut delay = self.delay((1, 30), (500, 4_000), 20);
        let controller = &mut self.controllers[index];
        controller.committing = true;
        controller.publishing = writes.iter().all(|write| matches!(write, Write::Observed(_)));
        let life = controller.life;
        if self.now >= controller.valid_until {
            return self.after(0, Event::Tell(index, News::Stored { life, taken: Some(false) }));
        }
        if self.mutant == Mutant::ActsBeforeCommit {
            self.after(0, Event::Tell(index, News::Stored { life, taken: Some(true) }));
        }
        if self.stormy && !self.steady && self.dice.chance(5) {
            // Stopped between the last look at the clock and the sending.
            delay += self.stop_controller(index);
        }
        let renewals = self.controllers[index].ways.iter().map(|way| way.renewal).collect();
        self.after(delay, Event::Store { controller: index, life, writes, renewals });
    }

    /// A commit has come to the store.
    pub(super) fn store_writes(&mut self, index: usize, life: u64, mut writes: Vec<Write>, renewals: &[u64]) {
        let taken = if self.store.away {
            // Some of it may have been taken just before.
            writes.truncate(self.dice.index(writes.len() + 1));
            if self.dice.chance(700) {
                writes.clear();
            }
            None
        } else {
            Some(self.mutant == Mutant::StoreTrustsAll || self.store.leads(life, self.now).is_some())
        };
        let mut placed = BTreeMap::new();
        if taken != Some(false) && self.store.leads(life, self.now).is_some() || taken == Some(true) {
            for write in writes {
                if let Write::Log(event) = &write {
                    self.note(format_args!(
                        "c{index} logs: {:?} {:?} {:?}",
                        event.subject.machine.map(muster::core::model::MachineId::short),
                        event.subject.unit,
                        event.kind
                    ));
                }
                self.check_write(index, life, &write);
                self.reach_write(index, &write);
                if let Write::Place(unit, _) | Write::Unplace(unit) = &write {
                    self.watch.liveness.touch(unit, self.now);
                }
                if let Write::Place(unit, placement) = &write {
                    placed.insert(unit.clone(), placement.machine);
                }
                self.store.snapshot.apply(write);
            }
        }
        self.note_shown(if taken == Some(true) { renewals } else { &[] });
        for (unit, machine) in placed {
            self.note(format_args!("store: {unit} on {}", machine.short()));
        }
        let delay = if taken.is_none() { 2_000 } else { self.delay((1, 20), (500, 3_000), 10) };
        if self.mutant != Mutant::ActsBeforeCommit || taken != Some(true) {
            self.after(delay, Event::Tell(index, News::Stored { life, taken }));
        }
    }
}
