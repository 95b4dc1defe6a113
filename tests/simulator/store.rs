//! A store made of values: a snapshot, leadership with a lease, outages.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use muster::core::command::DesiredChange;
use muster::core::model::MachineId;
use muster::core::model::Snapshot;
use muster::core::model::Timestamp;
use muster::core::unit::UnitName;

/// How long leadership lasts without renewal, in milliseconds; a leader gives up after two thirds of it.
pub(super) const TTL: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) controller: usize,
    /// Which of the controller's passes it is.
    pub(super) life: u64,
    pub(super) epoch: u64,
    pub(super) until: u64,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) snapshot: Snapshot,
    pub(super) leader: Option<Leader>,
    pub(super) epoch: u64,
    pub(super) away: bool,
    /// A backup of the records.
    backup: Option<Snapshot>,
    /// The latest drain of each machine.
    drains: BTreeMap<MachineId, Drain>,
}

#[derive(Debug)]
struct Drain {
    since: u64,
    /// For ever while it lasts.
    until: u64,
}

impl Store {
    pub(super) fn leads(&self, life: u64, now: u64) -> Option<Leader> {
        self.leader.filter(|leader| leader.life == life && now < leader.until)
    }

    pub(super) fn is_led(&self, now: u64) -> bool {
        self.leader.is_some_and(|leader| now < leader.until)
    }

    /// Takes leadership if no process holds it.
    pub(super) fn take_lead(&mut self, controller: usize, life: u64, now: u64) -> Option<Leader> {
        if self.away || self.is_led(now) {
            return None;
        }
        self.epoch += 1;
        self.leader = Some(Leader { controller, life, epoch: self.epoch, until: now + TTL });
        self.leader
    }

    /// Extends leadership, if it is still held and the store answers.
    pub(super) fn keep_lead(&mut self, life: u64, now: u64) -> bool {
        match &mut self.leader {
            Some(leader) if !self.away && leader.life == life && now < leader.until => {
                leader.until = now + TTL;
                true
            }
            _ => false,
        }
    }

    pub(super) fn release_lead(&mut self, life: u64) {
        if !self.away && self.leader.is_some_and(|leader| leader.life == life) {
            self.leader = None;
        }
    }

    /// Makes a backup of the records.
    pub(super) fn back_up(&mut self) {
        self.backup = Some(self.snapshot.clone());
    }

    /// Puts the records of the backup back, if there is one. The process that led has to begin anew.
    pub(super) fn restore(&mut self, now: u64) -> bool {
        let Some(backup) = self.backup.take() else { return false };
        self.drains.values_mut().for_each(|drain| drain.until = now.min(drain.until));
        // The drains of the backup are in force again.
        let draining = backup.machines.values().filter(|machine| machine.draining);
        self.drains.extend(draining.map(|machine| (machine.id, Drain { since: now, until: u64::MAX })));
        self.snapshot = backup;
        self.leader = None;
        true
    }

    /// Drains a machine; with a time, until then.
    pub(super) fn drain(&mut self, machine: MachineId, by: Option<u64>, now: u64) {
        let record = self.snapshot.machines.get_mut(&machine).unwrap();
        (record.cordoned, record.draining, record.drain_by) = (true, true, by.map(Timestamp::from_millis));
        self.drains.insert(machine, Drain { since: now, until: u64::MAX });
    }

    /// Lets a machine take units again.
    pub(super) fn open(&mut self, machine: MachineId, now: u64) {
        let record = self.snapshot.machines.get_mut(&machine).unwrap();
        (record.cordoned, record.draining, record.drain_by) = (false, false, None);
        self.drains.entry(machine).and_modify(|drain| drain.until = now.min(drain.until));
    }

    /// Says whether a machine was being drained at some time since then.
    pub(super) fn was_drained(&self, machine: MachineId, since: u64) -> bool {
        self.drains.get(&machine).is_some_and(|drain| drain.until >= since)
    }

    /// Says whether a machine is being drained by an order that was already given then.
    pub(super) fn is_drained_since(&self, machine: MachineId, then: u64) -> bool {
        self.drains.get(&machine).is_some_and(|drain| drain.since <= then && drain.until == u64::MAX)
    }

    /// Takes in what an operator changed.
    pub(super) fn order(&mut self, unit: &UnitName, change: DesiredChange) {
        match change {
            DesiredChange::Nothing => return,
            DesiredChange::Put(record, file) => {
                if let Some(file) = file {
                    self.snapshot.files.insert(file.hash(), file);
                }
                self.snapshot.units.insert(unit.clone(), record);
            }
            DesiredChange::Delete => {
                self.snapshot.units.remove(unit);
            }
        }
        let used: BTreeSet<_> = self.snapshot.units.values().map(|unit| unit.hash).collect();
        self.snapshot.files.retain(|hash, _| used.contains(hash));
    }
}
