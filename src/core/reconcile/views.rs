//! The views of all machines, with an index of the few that need attention now.
//!
//! A turn of the reconciler costs as much as its *dirty* machines, not as all machines. A view is changed only through
//! [`Views::touch`], which marks its machine as dirty. A queue holds the time at which each machine needs attention
//! again. This module makes no decisions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::machine_view::MachineView;
use crate::core::model::MachineId;
use crate::core::model::Timestamp;

/// The views of all machines in scope.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// The boxes keep the tree small, so that a search in it stays in the processor's cache.
    all: BTreeMap<MachineId, Box<MachineView>>,
    /// The machines whose views may have changed since they were indexed, or whose time has come: those with
    /// [`MachineView::dirty`], in any order.
    dirty: Vec<MachineId>,
    /// When each machine that is not dirty needs attention again.
    due: BTreeSet<(Timestamp, MachineId)>,
    /// The indexed machines of which a visit has ended and that are not alive or do not answer.
    doubted: BTreeSet<MachineId>,
    /// The indexed machines of which no visit has ended yet.
    unseen: BTreeSet<MachineId>,
    /// The machines with a step that waits for another machine.
    waiting: BTreeSet<MachineId>,
}

impl Views {
    /// Returns the view of a machine.
    pub(super) fn get(&self, machine: &MachineId) -> Option<&MachineView> {
        self.all.get(machine).map(Box::as_ref)
    }

    /// Returns all views, by machine.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&MachineId, &MachineView)> {
        self.all.iter().map(|(machine, view)| (machine, view.as_ref()))
    }

    /// Returns all views.
    pub(super) fn values(&self) -> impl Iterator<Item = &MachineView> {
        self.all.values().map(Box::as_ref)
    }

    /// Returns all machines.
    pub(super) fn machines(&self) -> Vec<MachineId> {
        self.all.keys().copied().collect()
    }

    /// Returns the view of a machine to change it, and marks the machine as dirty.
    pub(super) fn touch(&mut self, machine: MachineId) -> Option<&mut MachineView> {
        let view = self.all.get_mut(&machine)?;
        if !std::mem::replace(&mut view.dirty, true) {
            self.dirty.push(machine);
        }
        Some(view)
    }

    /// Returns all views to change them, and marks all machines as dirty.
    pub(super) fn touch_all(&mut self) -> impl Iterator<Item = (&MachineId, &mut MachineView)> {
        for (machine, view) in &mut self.all {
            if !std::mem::replace(&mut view.dirty, true) {
                self.dirty.push(*machine);
            }
        }
        self.all.iter_mut().map(|(machine, view)| (machine, view.as_mut()))
    }

    /// Records whether a machine has a step that waits for another machine.
    pub(super) fn set_waits(&mut self, machine: MachineId, waits: bool) {
        if waits {
            self.waiting.insert(machine);
        } else {
            self.waiting.remove(&machine);
        }
    }

    /// Reports whether a machine has a step that waits for another machine.
    pub(super) fn any_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Lets the steps of a machine be computed again if one of them waits for another machine.
    pub(super) fn replan_if_waiting(&mut self, machine: MachineId) {
        if self.waiting.contains(&machine) {
            self.touch(machine).into_iter().for_each(|view| view.unplanned = true);
        }
    }

    /// Lets the steps of every machine that waits for another machine be computed again.
    pub(super) fn replan_waiting(&mut self) {
        for machine in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.replan_if_waiting(machine);
        }
    }

    /// Adds a view unless the machine has one, and reports whether it was added.
    pub(super) fn add(&mut self, machine: MachineId, now: Timestamp) -> bool {
        let new = !self.all.contains_key(&machine);
        if new {
            self.all.insert(machine, Box::new(MachineView::new(now)));
            self.touch(machine);
        }
        new
    }

    /// Drops the views of machines for which `keep` returns false.
    pub(super) fn retain(&mut self, keep: impl Fn(&MachineId) -> bool) {
        let gone: Vec<MachineId> = self.all.keys().filter(|machine| !keep(machine)).copied().collect();
        for machine in gone {
            self.unindex(machine);
            self.all.remove(&machine);
        }
        self.dirty.retain(|machine| self.all.contains_key(machine));
    }

    /// Marks the machines whose time has come as dirty.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((_, machine)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            self.touch(machine).into_iter().for_each(|view| view.due = None);
        }
    }

    /// Returns the dirty machines.
    pub(super) fn dirty(&self) -> Vec<MachineId> {
        let mut dirty = self.dirty.clone();
        dirty.sort_unstable();
        dirty
    }

    /// Returns every machine of which a visit has ended and that is not known to be alive.
    pub(super) fn doubted(&self) -> Vec<MachineId> {
        let is_doubted = |machine: &MachineId| self.all.get(machine).is_some_and(|view| view.is_doubted());
        let dirty = self.dirty.iter().copied().filter(is_doubted);
        let mut doubted: Vec<MachineId> = dirty.chain(self.clean(&self.doubted)).collect();
        doubted.sort_unstable();
        doubted
    }

    /// Returns the dirty machines, and every machine that is not known to be alive, in any order.
    pub(super) fn dirty_or_not_alive(&self) -> impl Iterator<Item = MachineId> {
        self.dirty_or(&self.doubted).chain(self.clean(&self.unseen))
    }

    /// Returns the dirty machines, and the clean machines of a set, in any order.
    fn dirty_or<'a>(&'a self, set: &'a BTreeSet<MachineId>) -> impl Iterator<Item = MachineId> + 'a {
        self.dirty.iter().copied().chain(self.clean(set))
    }

    /// Returns the machines of a set that are not dirty.
    fn clean<'a>(&self, set: &'a BTreeSet<MachineId>) -> impl Iterator<Item = MachineId> + use<'a> {
        let dirty = if set.is_empty() { Vec::new() } else { self.dirty() };
        set.iter().copied().filter(move |machine| dirty.binary_search(machine).is_err())
    }

    /// Returns a number that is at least the number of machines of which a visit has ended.
    pub(super) fn seen_at_most(&self) -> usize {
        (self.all.len() + self.dirty.len()).saturating_sub(self.unseen.len())
    }

    /// Returns the views of which no visit has ended yet.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &MachineView> {
        let views = self.dirty_or(&self.unseen).filter_map(|machine| self.get(&machine));
        views.filter(|view| view.evidence.is_empty())
    }

    /// Marks all machines as clean, and returns those that were dirty. Each of them has to be indexed again.
    pub(super) fn take_dirty(&mut self) -> Vec<MachineId> {
        std::mem::take(&mut self.dirty)
    }

    /// Indexes a machine again with the time at which it needs attention although nothing happens.
    pub(super) fn index(&mut self, machine: MachineId, due: Option<Timestamp>) {
        let Some(view) = self.all.get_mut(&machine) else { return };
        view.dirty = false;
        let before = std::mem::replace(&mut view.due, due);
        if before != due {
            if let Some(at) = before {
                self.due.remove(&(at, machine));
            }
            self.due.extend(due.map(|at| (at, machine)));
        }
        for (holds, set) in [(view.is_doubted(), &mut self.doubted), (view.evidence.is_empty(), &mut self.unseen)] {
            if holds {
                set.insert(machine);
            } else {
                set.remove(&machine);
            }
        }
    }

    fn unindex(&mut self, machine: MachineId) {
        let due = self.all.get_mut(&machine).and_then(|view| view.due.take());
        if let Some(at) = due {
            self.due.remove(&(at, machine));
        }
        for set in [&mut self.doubted, &mut self.unseen, &mut self.waiting] {
            set.remove(&machine);
        }
    }

    /// Returns when the next machine needs attention.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}
