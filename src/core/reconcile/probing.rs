//! Probing: asks peers whether they reach a silent machine, and chooses relays to machines that only peers reach.
//!
//! A machine that peers reach keeps its units and is managed through a relay while the direct path fails. It takes no
//! new units, because they would depend on two hosts. This module does not assess machines.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Output;
use super::Reconciler;
use crate::core::health::Relay;
use crate::core::model::Health;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::MachineView;

/// How many probes one peer runs at once.
const PROBES_PER_PEER: usize = 4;

/// How often peers are asked about a machine that is suspected, one that they reach and the leader does not, and one
/// that is down, which may be reachable again from peers only.
const ASK_EVERY: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_mins(1)];

/// How long after the first visit through a relay the direct path is tried: what cut off the peers too may have ended, and a
/// machine with a relay takes no units.
const DIRECT_FIRST: Duration = Duration::from_secs(5);

/// How often the direct path is tried while a relay works.
pub(super) const DIRECT_EVERY: Duration = Duration::from_secs(30);

/// How long after a relay has failed the next one is tried.
pub(super) const RELAY_RETRY: Duration = Duration::from_secs(30);

impl Reconciler {
    /// Asks peers about every silent machine whose probes are due.
    pub(super) fn ask_peers(&mut self, doubted: &[MachineId], now: Timestamp, outputs: &mut Vec<Output>) {
        if self.scope != Scope::All {
            return;
        }
        let views = || doubted.iter().filter_map(|machine| Some((*machine, self.views.get(machine)?)));
        let wants = |view: &MachineView| pace(view).filter(|every| view.evidence.peers.wanted(*every, now) > 0);
        let due: Vec<_> = views().filter_map(|(machine, view)| Some((machine, wants(view)?))).collect();
        if due.is_empty() {
            return;
        }
        let mut busy: BTreeMap<MachineId, usize> = BTreeMap::new();
        for peer in views().flat_map(|(_, view)| view.evidence.peers.awaited(now)) {
            *busy.entry(peer).or_default() += 1;
        }
        let answering = self.views.iter().filter(|(_, view)| view.evidence.answers_directly());
        let answering: Vec<MachineId> = answering.map(|(machine, _)| *machine).collect();
        for (machine, every) in due {
            let Some(view) = self.views.touch(machine) else { continue };
            let peers = &mut view.evidence.peers;
            let wanted = peers.begin_round(every, now);
            let yes = peers.reached_by(now);
            let mut open: Vec<MachineId> = answering.iter().copied().filter(|other| *other != machine).collect();
            open.retain(|other| busy.get(other).is_none_or(|count| *count < PROBES_PER_PEER));
            // Peers that could reach the machine come first, so that their reports are confirmed or withdrawn. The
            // others follow in turn.
            open.sort_by_key(|other| (!yes.contains(other), peers.last_asked(*other), machine.mixed_with(*other)));
            let awaited: Vec<MachineId> = peers.awaited(now).collect();
            open.retain(|other| !awaited.contains(other));
            for peer in open.into_iter().take(wanted) {
                peers.ask(peer, now);
                *busy.entry(peer).or_default() += 1;
                outputs.push(Output::Probe { machine, peer });
            }
        }
    }

    /// Records the report of a peer.
    pub(super) fn probed(&mut self, machine: MachineId, peer: MachineId, reached: Option<bool>) {
        let name = self.snapshot.full_name_of(peer);
        if let Some(view) = self.views.touch(machine) {
            view.evidence.peers.record(peer, &name, reached);
        }
    }

    /// Chooses a relay for every machine with a path fault. A machine with a lease gets one as soon as a first peer
    /// reaches it, because the lease must be renewed before the assessment is certain.
    pub(super) fn update_relays(&mut self, doubted: &[MachineId], now: Timestamp) {
        let mut carried: BTreeMap<MachineId, usize> = BTreeMap::new();
        let views = || doubted.iter().filter_map(|machine| Some((machine, self.views.get(machine)?)));
        for relay in views().filter_map(|(_, view)| view.evidence.relay.as_ref()) {
            *carried.entry(relay.through).or_default() += 1;
        }
        let unmanaged = |machine: &MachineId, view: &MachineView| match view.health {
            Some(Health::PathFault) => true,
            Some(Health::Suspect) => view.evidence.needs_peer_probe() && self.snapshot.leases.contains_key(machine),
            _ => false,
        };
        let lost = views().filter(|(machine, view)| {
            let idle = view.in_flight.is_none() && view.evidence.relay.is_none() && now >= view.next_relay_try;
            idle && unmanaged(machine, view)
        });
        let relays: Vec<_> = lost
            .filter_map(|(machine, view)| {
                let mut open = view.evidence.peers.reached_by(now);
                let answers = |id: &MachineId| self.views.get(id).is_some_and(|it| it.evidence.answers_directly());
                open.retain(answers);
                let load = |id: &MachineId| carried.get(id).copied().unwrap_or(0);
                let through = open.into_iter().min_by_key(|id| (load(id), machine.mixed_with(*id)))?;
                *carried.entry(through).or_default() += 1;
                Some((*machine, Relay { through, name: self.snapshot.full_name_of(through), works: false }))
            })
            .collect();
        for (machine, relay) in relays {
            if let Some(view) = self.views.touch(machine) {
                view.use_relay(relay, now, now + DIRECT_FIRST);
            }
        }
    }

    /// Returns the relay of the next visit to a machine; `None` for the direct path. Steps take the path of the last
    /// observation.
    pub(super) fn way_to(view: &MachineView, now: Timestamp, has_steps: bool) -> Option<MachineId> {
        let relay = view.evidence.relay.as_ref()?;
        (has_steps || !relay.works || now < view.next_direct).then_some(relay.through)
    }

    /// Returns when the next round of probes of a silent machine is due.
    pub(super) fn next_question(&self, view: &MachineView) -> Option<Timestamp> {
        let every = pace(view).filter(|_| self.scope == Scope::All)?;
        view.evidence.peers.next_round(every)
    }
}

/// Returns how often peers are asked about a machine; `None` if they are not asked.
fn pace(view: &MachineView) -> Option<Duration> {
    let [suspected, unmanaged, down] = ASK_EVERY;
    if view.evidence.answers() || !view.evidence.needs_peer_probe() {
        return None;
    }
    match view.health {
        Some(Health::Down) => Some(down),
        Some(Health::PathFault) => Some(unmanaged),
        _ => Some(suspected),
    }
}
