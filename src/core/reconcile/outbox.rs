//! The writes that wait for the store, and the one commit in flight. The outbox does not decide what is written.

use std::collections::BTreeSet;

use crate::core::model::MachineId;
use crate::core::model::Write;
use crate::core::unit::UnitName;

/// The writes that wait for the next commit, and the consequences of the commit in flight.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The writes that wait, in their order.
    queued: Vec<Write>,
    /// How many of them are observations.
    observations: usize,
    /// How many observations were left when superseded ones were dropped the last time.
    left: usize,
    /// Machines to fence after the store has accepted the next commit.
    fence: Vec<MachineId>,
    pending: Option<PendingCommit>,
}

/// How many observations wait before superseded ones are dropped.
const MANY: usize = 4096;

/// The subject of an observation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Observed<'w> {
    Health(MachineId),
    Times,
    State(&'w UnitName, MachineId),
    Foreign(MachineId),
}

impl<'w> Observed<'w> {
    const fn of(write: &'w Write) -> Option<Self> {
        match write {
            Write::Health(machine, _) => Some(Self::Health(*machine)),
            Write::Observed(_) => Some(Self::Times),
            Write::State(unit, machine, _) | Write::NoState(unit, machine) => Some(Self::State(unit, *machine)),
            Write::Foreign(machine, _) => Some(Self::Foreign(*machine)),
            _ => None,
        }
    }
}

/// The consequences of a commit that the store accepts.
#[derive(Debug, Default)]
pub(super) struct PendingCommit {
    /// The records that take effect with the commit.
    pub(super) records: Vec<Write>,
    /// Machines to fence after the commit.
    pub(super) fence: Vec<MachineId>,
    /// The units whose placements change. No step is sent for them before the store has answered.
    units: BTreeSet<UnitName>,
}

impl Outbox {
    /// Adds a write.
    pub(super) fn push(&mut self, write: Write) {
        self.observations += usize::from(Observed::of(&write).is_some());
        self.queued.push(write);
        if self.observations > MANY.max(2 * self.left) {
            self.drop_superseded();
        }
    }

    /// Drops each observation that a later one replaces, so that the queue is bounded while the store is slow.
    fn drop_superseded(&mut self) {
        let mut seen = BTreeSet::new();
        let mut is_last = |write| Observed::of(write).is_none_or(|it| seen.insert(it));
        let mut kept: Vec<bool> = self.queued.iter().rev().map(&mut is_last).collect();
        self.left = seen.len();
        self.observations = self.left;
        self.queued.retain(|_| kept.pop().unwrap_or(true));
    }

    /// Fences a machine after the store has accepted the next commit.
    pub(super) fn fence_after_commit(&mut self, machine: MachineId) {
        self.fence.push(machine);
    }

    /// Reports whether no write waits and no commit is in flight.
    pub(super) const fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.pending.is_none()
    }

    /// Reports whether a commit is in flight.
    pub(super) const fn is_committing(&self) -> bool {
        self.pending.is_some()
    }

    /// Reports whether the commit in flight changes the placement of a unit.
    pub(super) fn moves(&self, unit: &UnitName) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.units.contains(unit))
    }

    /// Reports whether such a write waits for the next commit.
    pub(super) fn queues(&self, such: impl FnMut(&Write) -> bool) -> bool {
        self.queued.iter().any(such)
    }

    /// Reports whether such a write waits or is part of the commit in flight.
    pub(super) fn holds(&self, such: impl Fn(&Write) -> bool) -> bool {
        let pending = self.pending.iter().flat_map(|pending| &pending.records);
        self.queued.iter().chain(pending).any(such)
    }

    /// Begins the next commit, unless one is in flight or no write waits.
    pub(super) fn commit(&mut self) -> Option<Vec<Write>> {
        if self.pending.is_some() || self.queued.is_empty() {
            return None;
        }
        (self.observations, self.left) = (0, 0);
        let writes = std::mem::take(&mut self.queued);
        let records: Vec<Write> = writes.iter().filter(|write| is_record(write)).cloned().collect();
        let units = records.iter().filter_map(moved_unit).cloned().collect();
        self.pending = Some(PendingCommit { records, fence: std::mem::take(&mut self.fence), units });
        Some(writes)
    }

    /// Ends the commit in flight and returns its consequences.
    pub(super) fn answered(&mut self) -> PendingCommit {
        self.pending.take().unwrap_or_default()
    }

    /// Drops the writes that wait.
    pub(super) fn clear(&mut self) {
        self.queued.clear();
        (self.observations, self.left) = (0, 0);
        self.fence.clear();
    }
}

/// Reports whether a write takes effect only after the store has accepted it. An observation takes effect at once.
const fn is_record(write: &Write) -> bool {
    let leases = matches!(write, Write::Lease(..) | Write::NoLease(_) | Write::Serial(_) | Write::Voters(_));
    leases || matches!(write, Write::Restored(_)) || matches!(write, Write::Place(..) | Write::Unplace(_))
}

/// Reports whether the serial of the store counts a write: without it, a backup would lack what a host may know.
pub(super) const fn is_counted(write: &Write) -> bool {
    matches!(write, Write::Lease(..)) || moved_unit(write).is_some()
}

/// Returns the unit whose placement a write changes.
pub(super) const fn moved_unit(write: &Write) -> Option<&UnitName> {
    match write {
        Write::Place(unit, _) | Write::Unplace(unit) => Some(unit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::MachineId;

    fn unit() -> UnitName {
        "web.service".parse().unwrap()
    }

    #[test]
    fn one_commit_is_in_flight_at_a_time_and_later_writes_wait_for_the_next() {
        let mut outbox = Outbox::default();
        assert!(outbox.commit().is_none() && outbox.is_idle());
        outbox.push(Write::Unplace(unit()));
        assert_eq!(outbox.commit(), Some(vec![Write::Unplace(unit())]));
        assert!(outbox.moves(&unit()) && outbox.is_committing());
        let lease = Write::NoLease(MachineId::from_bits(1));
        outbox.push(lease.clone());
        assert_eq!(outbox.commit(), None);
        assert!(outbox.holds(|write| *write == lease) && outbox.holds(|write| moved_unit(write).is_some()));
        assert_eq!(outbox.answered().records, [Write::Unplace(unit())]);
        assert!(!outbox.moves(&unit()));
        assert_eq!(outbox.commit(), Some(vec![lease]));
    }

    #[test]
    fn later_observations_replace_earlier_ones_when_many_writes_wait() {
        let (mut outbox, machine) = (Outbox::default(), MachineId::from_bits(1));
        let (gone, placed) = (Write::NoState(unit(), machine), Write::Unplace(unit()));
        outbox.push(gone.clone());
        outbox.push(placed.clone());
        (0..3 * MANY).for_each(|_| outbox.push(gone.clone()));
        outbox.push(placed.clone());
        let writes = outbox.commit().unwrap();
        assert!(writes.len() <= MANY + 2, "{}", writes.len());
        assert_eq!((writes.first(), writes.last()), (Some(&placed), Some(&placed)), "the order is kept");
        assert!(writes.contains(&gone));
    }

    #[test]
    fn a_machine_is_fenced_after_the_commit_that_announces_it() {
        let (mut outbox, machine) = (Outbox::default(), MachineId::from_bits(1));
        outbox.push(Write::Unplace(unit()));
        outbox.commit();
        outbox.push(Write::Unplace(unit()));
        outbox.fence_after_commit(machine);
        assert!(outbox.answered().fence.is_empty());
        outbox.commit();
        assert_eq!(outbox.answered().fence, [machine]);
    }
}
