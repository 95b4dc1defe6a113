//! The phases of an attempt to reach a host, with the deadlines of the real transport, and the signs of life that the
//! host's sshd gives meanwhile.

use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::core::reconcile::Input;

use super::network::Delivery;
use super::network::Parcel;
use super::network::failure;
use super::network::limit;
use super::world::Event;
use super::world::Mutant;
use super::world::News;
use super::world::World;

/// A part of an attempt in which a host can be slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Resolve,
    Connect,
    /// The key exchange until sshd has greeted.
    Greeting,
    /// The rest of the key exchange.
    KeyExchange,
    Authenticate,
    Shell,
    Run,
}

pub(super) const PARTS: [Part; 7] =
    [Part::Resolve, Part::Connect, Part::Greeting, Part::KeyExchange, Part::Authenticate, Part::Shell, Part::Run];

/// Between two signs of life that the transport asks for while a script runs, in milliseconds.
const ALIVE_EVERY: u64 = 1_000;

/// How many of them may be missing in a row before the visit is given up.
const ALIVE_MISSES: u32 = 4;

impl Part {
    pub(super) const fn phase(self) -> Phase {
        match self {
            Self::Resolve => Phase::Resolve,
            Self::Connect => Phase::Connect,
            Self::Greeting | Self::KeyExchange => Phase::KeyExchange,
            Self::Authenticate => Phase::Authenticate,
            Self::Shell => Phase::Shell,
            Self::Run => Phase::Run,
        }
    }

    /// How long the phase may take, in milliseconds: the defaults of `remote::ssh::options`. A run has its own limit.
    pub(super) const fn deadline(self) -> u64 {
        match self {
            Self::Resolve => 5_000,
            Self::Connect => 4_000,
            Self::Greeting | Self::KeyExchange => 6_000,
            Self::Authenticate => 20_000,
            Self::Shell => 15_000,
            Self::Run => 50_000,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Resolve => Self::Connect,
            Self::Connect => Self::Greeting,
            Self::Greeting => Self::KeyExchange,
            Self::KeyExchange => Self::Authenticate,
            Self::Authenticate => Self::Shell,
            Self::Shell | Self::Run => Self::Run,
        }
    }
}

/// How far the attempt under way has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) part: Part,
    /// When its phase began.
    began: u64,
}

/// How a part of an attempt ends, and in how many milliseconds.
enum Ending {
    Passes(u64),
    Fails(u64, FailureKind),
}

impl World {
    /// Begins a visit: over the connection that is open, or over a new one, phase by phase.
    pub(super) fn set_out(&mut self, delivery: Delivery) {
        self.check_departure(&delivery);
        let (index, host, id) = (delivery.controller, delivery.host, delivery.id);
        if !delivery.visit.steps.is_empty() {
            let steps = delivery.visit.steps.iter().map(|it| format!(" {} {} ({});", it.action, it.unit, it.reason));
            let steps = steps.collect::<String>();
            self.note(format_args!("c{index} -> h{host} #{id}:{steps}"));
        }
        let way = &mut self.controllers[index].ways[host];
        way.delivery = Some(delivery.clone());
        if way.good.contains(&delivery.through) {
            return self.run(delivery);
        }
        way.attempt = Some(Attempt { part: Part::Resolve, began: self.now });
        self.enter(delivery, Part::Resolve);
    }

    /// Begins a part of an attempt.
    fn enter(&mut self, mut delivery: Delivery, part: Part) {
        let (index, host, id) = (delivery.controller, delivery.host, delivery.id);
        if part == Part::Greeting {
            // Whatever boot the host is in now, the connection is one to that.
            delivery.boot = self.hosts[host].boot;
            self.controllers[index].ways[host].delivery = Some(delivery.clone());
        }
        let now = self.now;
        let Some(attempt) = &mut self.controllers[index].ways[host].attempt else { return };
        if attempt.part.phase() != part.phase() {
            attempt.began = now;
        }
        attempt.part = part;
        let news = match self.ending(&delivery, part) {
            Ending::Passes(takes) => (takes, News::Passed { delivery: id, host, part }),
            Ending::Fails(takes, kind) => {
                (takes, News::Reply { delivery: id, host, result: Box::new(Err(failure(host, part.phase(), kind))) })
            }
        };
        self.after(news.0, Event::Tell(index, news.1));
    }

    /// A part of an attempt has come to its end, unless the host has gone meanwhile.
    pub(super) fn passed(&mut self, index: usize, host: usize, id: u64, part: Part) {
        let Some(delivery) = self.under_way(index, host, id) else { return };
        let lost = part >= Part::Greeting && !self.hears(&delivery);
        if lost && let Ending::Fails(takes, kind) = self.ending(&delivery, part) {
            let result = Box::new(Err(failure(host, part.phase(), kind)));
            return self.after(takes, Event::Tell(index, News::Reply { delivery: id, host, result }));
        }
        if part >= Part::Greeting {
            self.progress(index, host, part.next().phase());
        }
        // The reconciler may have given the visit up, or be stopped.
        let Some(delivery) = self.under_way(index, host, id) else { return };
        if part == Part::Shell {
            let way = &mut self.controllers[index].ways[host];
            way.attempt = None;
            way.boots.insert(delivery.through, delivery.boot);
            return self.run(delivery);
        }
        self.enter(delivery, part.next());
    }

    fn under_way(&self, index: usize, host: usize, id: u64) -> Option<Delivery> {
        self.controllers[index].ways[host].delivery.as_ref().filter(|delivery| delivery.id == id).cloned()
    }

    /// Tells the reconciler that the host's own sshd has sent something.
    fn progress(&mut self, index: usize, host: usize, phase: Phase) {
        let way = &mut self.controllers[index].ways[host];
        let relayed = way.delivery.as_ref().is_some_and(|delivery| delivery.through.is_some());
        if !relayed || phase > Phase::KeyExchange {
            way.proof = Some(self.now);
        }
        self.reach(if phase == Phase::Run { "progress: run" } else { "progress: greeted" });
        let machine = self.hosts[host].machine;
        if self.mutant != Mutant::ProgressIsDropped {
            self.feed(index, Input::Progress(machine, phase));
        }
    }

    /// Says whether packets get from a delivery's controller to its host and back, and the host deals with them.
    pub(super) fn hears(&self, delivery: &Delivery) -> bool {
        self.connects(delivery) && !self.hosts[delivery.host].frozen && self.hosts[delivery.host].boot == delivery.boot
    }

    /// Says whether the host has power and packets get there and back.
    fn connects(&self, delivery: &Delivery) -> bool {
        let first = delivery.through.unwrap_or(delivery.host);
        let carried = delivery.through.is_none_or(|it| self.is_relay(it) && self.network.joins(it, delivery.host));
        carried && self.hosts[delivery.host].up && !self.network.is_cut(delivery.controller, first)
    }

    fn is_relay(&self, host: usize) -> bool {
        self.hosts[host].up && !self.hosts[host].frozen
    }

    /// Says how a part that begins now is going to end.
    fn ending(&mut self, delivery: &Delivery, part: Part) -> Ending {
        let began = self.controllers[delivery.controller].ways[delivery.host].attempt.map_or(self.now, |it| it.began);
        let left = (began + part.deadline()).saturating_sub(self.now).max(1);
        let lag = self.hosts[delivery.host].lags[part as usize];
        let silent = Ending::Fails(left, FailureKind::Silent);
        match part {
            Part::Resolve if lag >= left => return Ending::Fails(left, FailureKind::Local),
            Part::Connect => {
                if let Some(ending) = self.refusal(delivery, left) {
                    return ending;
                }
            }
            Part::Resolve | Part::Run => {}
            _ if self.connects(delivery) && self.hosts[delivery.host].boot != delivery.boot => {
                return Ending::Fails(self.dice.between(1, 20), FailureKind::Reset);
            }
            _ if !self.hears(delivery) => return silent,
            Part::Greeting if self.hosts[delivery.host].throttles => {
                return Ending::Fails(self.dice.between(1, 20), FailureKind::Throttled);
            }
            Part::Authenticate if self.hosts[delivery.host].denies => {
                return Ending::Fails(self.dice.between(1, 2_000), FailureKind::Denied);
            }
            _ => {}
        }
        let takes = if part == Part::Resolve { lag } else { lag + self.dice.between(1, 8) };
        if takes >= left { silent } else { Ending::Passes(takes) }
    }

    /// Says how an attempt to connect fails, if it does.
    fn refusal(&mut self, delivery: &Delivery, left: u64) -> Option<Ending> {
        let host = &self.hosts[delivery.host];
        if let Some(other) = delivery.through
            && (!self.hosts[other].lets_in() || self.network.is_cut(delivery.controller, other))
        {
            let kind = if self.dice.chance(500) { FailureKind::Local } else { FailureKind::Path };
            return Some(Ending::Fails(self.dice.between(1, left), kind));
        }
        if !self.connects(delivery) {
            // A carrier says that it failed; a router may say that there is no way.
            return Some(if delivery.through.is_none() && host.carried {
                let kind =
                    if self.mutant == Mutant::PathIsThrottled { FailureKind::Throttled } else { FailureKind::Path };
                Ending::Fails(self.dice.between(1, 3_000), kind)
            } else if self.dice.chance(100) {
                Ending::Fails(self.dice.between(1, 3_000), FailureKind::NoRoute)
            } else {
                Ending::Fails(left, FailureKind::Silent)
            });
        }
        (!host.sshd && !host.frozen).then(|| Ending::Fails(self.dice.between(1, 8), FailureKind::Refused))
    }

    /// Sends the script over an open connection.
    fn run(&mut self, delivery: Delivery) {
        let (index, host) = (delivery.controller, delivery.host);
        let pulse = News::Pulse { delivery: delivery.id, host, ends: self.now + limit(&delivery.visit), missed: 0 };
        self.after(ALIVE_EVERY, Event::Tell(index, pulse));
        let delay = self.delay((1, 20), (1_000, 6_000), if self.hosts[host].slow { 300 } else { 5 });
        self.send(Parcel::There(delivery), delay);
    }

    /// A script is still running: the transport asks for a sign of life, or gives the visit up.
    pub(super) fn pulse(&mut self, index: usize, host: usize, id: u64, (ends, missed): (u64, u32)) {
        let Some(delivery) = self.under_way(index, host, id) else { return };
        let alive = self.hears(&delivery);
        let missed = if alive { 0 } else { missed + 1 };
        let is_reset = !alive && self.connects(&delivery) && !self.hosts[host].frozen;
        if self.now >= ends || missed >= ALIVE_MISSES || is_reset {
            let kind = if is_reset { FailureKind::Reset } else { FailureKind::Silent };
            let result = Box::new(Err(failure(host, Phase::Run, kind)));
            return self.hear(index, News::Reply { delivery: id, host, result });
        }
        let next = ALIVE_EVERY.min(ends - self.now);
        self.after(next, Event::Tell(index, News::Pulse { delivery: id, host, ends, missed }));
        if alive {
            self.progress(index, host, Phase::Run);
        }
    }
}
