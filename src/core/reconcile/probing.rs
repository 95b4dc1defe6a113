//! The pass's asking: neighbours for what they see of a machine that is silent for us, and the way round to it.
//!
//! A machine that its neighbours reach is not moved, and is managed through one of them for as long as the direct way
//! fails. Nothing new is placed there meanwhile: what it has hangs on two hosts instead of one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Output;
use super::Pass;
use crate::core::health::Detour;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;
use crate::core::model::Verdict;
use crate::core::reconcile::assignments::Scope;
use crate::core::reconcile::machine_view::Seat;

/// How many questions one neighbour works on at once.
const PER_NEIGHBOUR: usize = 4;

/// How often neighbours are asked about a machine that is suspected, one that they reach and we cannot manage, and one
/// that has been given up: it may be back for them alone.
const ASK_EVERY: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_mins(1)];

/// How often the direct way is tried while a detour works.
pub(super) const DIRECT_EVERY: Duration = Duration::from_secs(30);

/// How long after a way round has failed the next one is tried.
pub(super) const DETOUR_EVERY: Duration = Duration::from_secs(30);

impl Pass {
    /// Asks neighbours about every machine that is silent, as far as that is due.
    pub(super) fn ask_neighbours(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if self.scope != Scope::All || self.seats.values().all(|seat| pace(seat).is_none()) {
            return;
        }
        let mut busy: BTreeMap<MachineId, usize> = BTreeMap::new();
        for neighbour in self.seats.values().flat_map(|seat| seat.evidence.counsel.awaited(now)) {
            *busy.entry(neighbour).or_default() += 1;
        }
        let neighbours = self.seats.iter().filter(|(_, seat)| seat.evidence.answers_directly());
        let neighbours: Vec<MachineId> = neighbours.map(|(machine, _)| *machine).collect();
        for (machine, seat) in &mut self.seats {
            let Some(every) = pace(seat) else { continue };
            let counsel = &mut seat.evidence.counsel;
            let wanted = counsel.wanted(every, now);
            if wanted == 0 {
                continue;
            }
            let yes = counsel.reached_by(now);
            let mut open: Vec<MachineId> = neighbours.iter().copied().filter(|other| other != machine).collect();
            open.retain(|other| busy.get(other).is_none_or(|count| *count < PER_NEIGHBOUR));
            // Each in its turn, but first those that could reach it, so that their word is kept or taken back.
            open.sort_by_key(|other| (!yes.contains(other), counsel.last_asked(*other), machine.mixed_with(*other)));
            let awaited: Vec<MachineId> = counsel.awaited(now).collect();
            open.retain(|other| !awaited.contains(other));
            for neighbour in open.into_iter().take(wanted) {
                counsel.ask(neighbour, now);
                *busy.entry(neighbour).or_default() += 1;
                outputs.push(Output::Probe { machine: *machine, neighbour });
            }
        }
    }

    /// Takes in what a neighbour said.
    pub(super) fn probed(&mut self, machine: MachineId, neighbour: MachineId, reached: Option<bool>) {
        let name = self.name(neighbour);
        if let Some(seat) = self.seats.get_mut(&machine) {
            seat.evidence.counsel.hear(neighbour, &name, reached);
        }
    }

    /// Sends trips to machines with a path fault through neighbours that reach them. A lease must be renewed before the
    /// judge has made up its mind, so where there is one the first word of a neighbour is enough.
    pub(super) fn take_detours(&mut self, now: Timestamp) {
        let mut carried: BTreeMap<MachineId, usize> = BTreeMap::new();
        for detour in self.seats.values().filter_map(|seat| seat.evidence.detour.as_ref()) {
            *carried.entry(detour.through).or_default() += 1;
        }
        let unmanaged = |machine: &MachineId, seat: &Seat| match seat.verdict {
            Some(Verdict::PathFault) => true,
            Some(Verdict::Suspect) => seat.evidence.is_doubtful() && self.snapshot.leases.contains_key(machine),
            _ => false,
        };
        let lost = self.seats.iter().filter(|(machine, seat)| {
            let idle = seat.flight.is_none() && seat.evidence.detour.is_none() && now >= seat.next_detour;
            idle && unmanaged(machine, seat)
        });
        let ways: Vec<_> = lost
            .filter_map(|(machine, seat)| {
                let mut open = seat.evidence.counsel.reached_by(now);
                let answers = |id: &MachineId| self.seats.get(id).is_some_and(|it| it.evidence.answers_directly());
                open.retain(answers);
                let load = |id: &MachineId| carried.get(id).copied().unwrap_or(0);
                let through = open.into_iter().min_by_key(|id| (load(id), machine.mixed_with(*id)))?;
                *carried.entry(through).or_default() += 1;
                Some((*machine, Detour { through, name: self.name(through), works: false }))
            })
            .collect();
        for (machine, detour) in ways {
            if let Some(seat) = self.seats.get_mut(&machine) {
                seat.take_detour(detour, now, now + DIRECT_EVERY);
            }
        }
    }

    /// Returns the neighbour that the next trip to a machine goes through, if it does not go directly. Steps go where
    /// the last look went.
    pub(super) fn way_to(seat: &Seat, now: Timestamp, has_steps: bool) -> Option<MachineId> {
        let detour = seat.evidence.detour.as_ref()?;
        (has_steps || !detour.works || now < seat.next_direct).then_some(detour.through)
    }

    /// Returns when the next round of questions about each silent machine is due.
    pub(super) fn next_questions(&self) -> impl Iterator<Item = Timestamp> {
        let about = self.seats.values().filter(|_| self.scope == Scope::All);
        about.filter_map(|seat| seat.evidence.counsel.next_round(pace(seat)?))
    }
}

/// Returns how often neighbours are asked about a machine, if they are.
fn pace(seat: &Seat) -> Option<Duration> {
    let [suspected, unmanaged, given_up] = ASK_EVERY;
    if seat.evidence.answers() || !seat.evidence.is_doubtful() {
        return None;
    }
    match seat.verdict {
        Some(Verdict::Down) => Some(given_up),
        Some(Verdict::PathFault) => Some(unmanaged),
        _ => Some(suspected),
    }
}
