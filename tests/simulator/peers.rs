//! What peers see: the probes that a reconciler asks for, answered as an sshd and the network in between would.

use super::attempt::Part;
use super::world::Event;
use super::world::Mutant;
use super::world::News;
use super::world::World;

/// How long a peer looks, and after how long it is given up, in milliseconds.
const LOOK_LIMIT: u64 = 3_000;
const ANSWER_LIMIT: u64 = 4_000;

impl World {
    /// A reconciler asks a peer about a host.
    pub(super) fn ask(&mut self, controller: usize, host: usize, peer: usize) {
        self.check_question(controller, host, peer);
        let life = self.controllers[controller].life;
        let delay = self.delay((1, 20), (200, 900), 20);
        self.after(delay, Event::Look { controller, life, host, peer });
    }

    /// A peer looks.
    pub(super) fn look(&mut self, controller: usize, life: u64, host: usize, peer: usize) {
        let carries = &self.hosts[peer];
        let open = !self.network.is_cut(controller, peer) && carries.lets_in();
        let open = open && !carries.denies && carries.lags[Part::Run as usize] < ANSWER_LIMIT;
        let there = &self.hosts[host];
        let joined = self.network.joins(peer, host) && there.up;
        let greets = there.lags[Part::Connect as usize] + there.lags[Part::Greeting as usize] < LOOK_LIMIT;
        let (reached, took) = if !open {
            (None, ANSWER_LIMIT)
        } else if joined && there.lets_in() && there.throttles {
            (Some(false), self.dice.between(1, 50))
        } else if joined && !greets {
            (Some(false), LOOK_LIMIT)
        } else if joined && there.lets_in() && !(there.slow && self.dice.chance(300)) {
            (Some(true), self.dice.between(1, 900))
        } else if joined && !there.frozen && !there.sshd {
            (Some(false), self.dice.between(1, 50))
        } else {
            (Some(false), LOOK_LIMIT)
        };
        let reached = reached.filter(|_| self.mutant != Mutant::IgnoresPeers);
        self.after(took, Event::Tell(controller, News::Probed { life, host, peer, reached }));
    }
}
