//! What the store is to be told, and what it is being told: one commit at a time.

use std::collections::BTreeSet;

use crate::core::model::MachineId;
use crate::core::model::Write;
use crate::core::unit::UnitName;

/// The writes that wait for the next commit, and what the commit under way means.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queued: Vec<Write>,
    /// Machines that are fenced once the next commit has been taken.
    fence: Vec<MachineId>,
    pending: Option<PendingCommit>,
}

/// What the commit under way means once the store has taken it.
#[derive(Debug, Default)]
pub(super) struct PendingCommit {
    /// The records that count from then on.
    pub(super) records: Vec<Write>,
    /// Machines that are fenced then.
    pub(super) fence: Vec<MachineId>,
    /// The units whose placements change: nothing is done to them before the answer.
    units: BTreeSet<UnitName>,
}

impl Outbox {
    /// Adds a write.
    pub(super) fn push(&mut self, write: Write) {
        self.queued.push(write);
    }

    /// Fences a machine once the next commit has been taken.
    pub(super) fn fence_after_commit(&mut self, machine: MachineId) {
        self.fence.push(machine);
    }

    /// Says whether nothing waits and no commit is under way.
    pub(super) const fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.pending.is_none()
    }

    /// Says whether a commit is under way.
    pub(super) const fn is_committing(&self) -> bool {
        self.pending.is_some()
    }

    /// Says whether the placement of a unit is part of the commit under way.
    pub(super) fn moves(&self, unit: &UnitName) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.units.contains(unit))
    }

    /// Says whether the store is being told, or is about to be told, of such a write.
    pub(super) fn holds(&self, such: impl Fn(&Write) -> bool) -> bool {
        let pending = self.pending.iter().flat_map(|pending| &pending.records);
        self.queued.iter().chain(pending).any(such)
    }

    /// Begins the next commit, unless one is under way or there is nothing to write.
    pub(super) fn commit(&mut self) -> Option<Vec<Write>> {
        if self.pending.is_some() || self.queued.is_empty() {
            return None;
        }
        let writes = std::mem::take(&mut self.queued);
        let records: Vec<Write> = writes.iter().filter(|write| is_record(write)).cloned().collect();
        let units = records.iter().filter_map(moved_unit).cloned().collect();
        self.pending = Some(PendingCommit { records, fence: std::mem::take(&mut self.fence), units });
        Some(writes)
    }

    /// Ends the commit under way and returns what it meant.
    pub(super) fn answered(&mut self) -> PendingCommit {
        self.pending.take().unwrap_or_default()
    }

    /// Drops what waits: nothing more is written.
    pub(super) fn clear(&mut self) {
        self.queued.clear();
        self.fence.clear();
    }
}

/// Says whether a write counts only once the store has taken it. An observation counts from the moment it was made.
const fn is_record(write: &Write) -> bool {
    matches!(write, Write::Place(..) | Write::Unplace(_) | Write::Lease(..) | Write::NoLease(_) | Write::Voters(_))
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
    fn one_commit_is_under_way_at_a_time_and_later_writes_wait_for_the_next() {
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
    fn a_machine_is_fenced_with_the_commit_that_says_so() {
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
