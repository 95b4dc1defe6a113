//! The systemd of a simulated host: units that start and stop, and the lease that strict units depend on.

use std::time::Duration;

use super::SimulatedHost;
use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::JobType;
use crate::core::model::LeaseAction;
use crate::core::model::LeaseRefusal;
use crate::core::model::LeaseStatus;
use crate::core::model::LoadState;
use crate::core::model::SubState;
use crate::core::model::UnitState;
use crate::core::unit::Class;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;

/// A unit file on a simulated host, and what systemd makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedUnit {
    /// The state that an observation reports.
    pub state: UnitState,
    /// Set while the unit has the drop-in of strict units: it runs only while the host holds a lease.
    pub strict: bool,
    /// Set while another program than muster has written the file.
    pub foreign: bool,
    /// Set if the unit has done its work when it has ended.
    pub oneshot: bool,
    /// The uptime at which it last began to start.
    pub since: Duration,
    /// Its process, a number that no other process of the host has.
    pub process: u64,
    /// The number of the last change that systemd has begun.
    pub change: u64,
}

impl SimulatedUnit {
    /// Makes a unit whose file was just written.
    pub const fn new(hash: Hash) -> Self {
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Inactive, SubState::DEAD);
        let state = UnitState { load, active, sub, job: None, hash, launched: false, restarts: 0, restarted: false };
        Self { state, strict: false, foreign: false, oneshot: false, since: Duration::ZERO, process: 0, change: 0 }
    }

    /// Reports whether processes of the unit may be there.
    pub const fn is_there(&self) -> bool {
        self.state.active.runs()
    }

    /// Reports whether the unit has started or is starting, and is not about to stop.
    pub const fn is_up(&self) -> bool {
        self.is_there() && !matches!(self.state.active, ActiveState::Deactivating)
    }

    /// Replaces the file. The drop-in of strict units stays until the unit is unloaded.
    pub(super) fn load(&mut self, hash: Hash, strict: bool, oneshot: bool) {
        (self.state.load, self.state.hash) = (LoadState::Loaded, hash);
        (self.strict, self.oneshot) = (self.strict || strict, oneshot);
    }

    fn turn(&mut self, active: ActiveState) {
        self.state.sub = match active {
            ActiveState::Inactive | ActiveState::Maintenance => SubState::DEAD,
            ActiveState::Failed => SubState::FAILED,
            ActiveState::Activating => SubState::START,
            ActiveState::Deactivating => SubState::STOP,
            ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing => SubState::RUNNING,
        };
        (self.state.active, self.state.job) = (active, None);
    }
}

impl SimulatedHost {
    /// Puts a unit there in a state that was observed or recorded. `file` is its file, if that is known.
    pub fn put(&mut self, name: UnitName, state: UnitState, file: Option<&UnitFile>, uptime: Duration) {
        self.changes += 1;
        let strict = file.is_some_and(|file| Class::binding(file) == Class::Strict);
        let oneshot = file.is_some_and(UnitFile::is_oneshot);
        let (process, change) = (self.changes, self.changes);
        let unit = SimulatedUnit { state, strict, foreign: false, oneshot, since: uptime, process, change };
        self.units.insert(name, unit);
    }

    /// Returns how many changes systemd has begun.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the units that systemd has begun to change since it had begun so many changes, in that order.
    pub fn changed_since(&self, changes: u64) -> Vec<UnitName> {
        let changed = self.units.iter().filter(|(_, unit)| unit.change > changes);
        let mut changed: Vec<_> = changed.map(|(name, unit)| (unit.change, name.clone())).collect();
        changed.sort_unstable();
        changed.into_iter().map(|(_, name)| name).collect()
    }

    /// Reports whether the lease has ended by this uptime and systemd has not been told: [`SimulatedHost::end_lease`] is
    /// due.
    pub fn is_lease_over(&self, uptime: Duration) -> bool {
        self.lease.is_some_and(|until| until <= uptime)
    }

    /// Ends the lease. The strict units begin to stop.
    pub fn end_lease(&mut self) {
        self.lease = None;
        let strict: Vec<UnitName> =
            self.units.iter().filter(|(_, unit)| unit.strict).map(|(name, _)| name.clone()).collect();
        for name in strict {
            self.stop(&name);
        }
    }

    /// Ends everything in userspace, as `systemctl soft-reboot` does: every unit, the lease, and the visits that are under way.
    /// /run, the boot and the uptime stay. No start before it counts any more.
    pub fn soft_reboot(&mut self, uptime: Duration) {
        self.lease = None;
        self.is_locked = false;
        self.seen.clear();
        self.images.retain(|_, end| *end <= uptime);
        for unit in self.units.values_mut() {
            self.changes += 1;
            unit.change = self.changes;
            unit.turn(ActiveState::Inactive);
            (unit.state.launched, unit.state.restarts) = (false, 0);
        }
    }

    /// Does what a visit says about the lease.
    pub(super) fn obey_lease(&mut self, order: &LeaseAction, uptime: Duration) -> LeaseStatus {
        let LeaseAction::Hold { until, .. } = order else {
            self.end_lease();
            return LeaseStatus::Released;
        };
        let until = Duration::from_secs(until.as_secs());
        if uptime >= until {
            return LeaseStatus::Refused(LeaseRefusal::TooLate);
        }
        if self.refuses_lease {
            return LeaseStatus::Refused(LeaseRefusal::NotStarted);
        }
        if self.lease.replace(until).is_some() {
            return LeaseStatus::Held;
        }
        self.unmark_stopped();
        LeaseStatus::Granted
    }

    /// Lets a strict unit that stopped with the former lease count as not started.
    fn unmark_stopped(&mut self) {
        let stopped = |unit: &&mut SimulatedUnit| unit.strict && !unit.oneshot && !unit.is_up();
        for unit in self.units.values_mut().filter(stopped) {
            (unit.state.launched, unit.state.restarts) = (false, 0);
        }
    }

    /// Lets a unit count as not started.
    pub(super) fn unmark(&mut self, name: &UnitName) {
        if let Some(unit) = self.units.get_mut(name) {
            (unit.state.launched, unit.state.restarts) = (false, 0);
        }
    }

    /// Returns why systemd would not start a unit.
    pub fn start_refusal(&self, name: &UnitName) -> Option<String> {
        if !self.units.contains_key(name) {
            return Some(format!("Unit {name} not found."));
        }
        (self.refuses.as_ref() == Some(name)).then(|| format!("Failed to start {name}."))
    }

    /// Reports whether a unit depends on a lease that the host does not hold. systemd notices that when the start is to
    /// run: a script that only queues the start hears nothing of it.
    fn lacks_lease(&self, name: &UnitName) -> bool {
        self.lease.is_none() && self.units.get(name).is_some_and(|unit| unit.strict)
    }

    /// Starts or restarts a unit and records that, unless systemd refuses.
    pub(super) fn launch(&mut self, name: &UnitName, action: Action, uptime: Duration) -> Result<(), String> {
        let Some(count) = action.count() else { return Ok(()) };
        let runs_on = matches!(action, Action::Restart { .. } | Action::Reload { .. });
        if let Some(complaint) = self.start_refusal(name) {
            // The copy that a restart or a reload left running stays marked as launched.
            match self.units.get_mut(name).filter(|_| runs_on) {
                Some(unit) => unit.state.restarts = count.saturating_sub(1),
                None => self.unmark(name),
            }
            return Err(complaint);
        }
        let Some(unit) = self.units.get_mut(name) else { return Ok(()) };
        (unit.state.launched, unit.state.restarts) = (true, count);
        if matches!(action, Action::Restart { .. }) && unit.is_there() {
            self.stop(name);
            self.queue(name, JobType::Restart);
        } else {
            self.start(name, uptime);
        }
        Ok(())
    }

    fn queue(&mut self, name: &UnitName, job: JobType) {
        if let Some(unit) = self.units.get_mut(name) {
            unit.state.job = Some(job);
        }
    }

    /// Begins to start a unit; a unit that is stopping starts afterwards. A strict unit does not start without a lease.
    fn start(&mut self, name: &UnitName, uptime: Duration) {
        if self.lacks_lease(name) {
            return;
        }
        let Some(unit) = self.units.get_mut(name) else { return };
        if unit.state.active == ActiveState::Deactivating {
            unit.state.job = Some(JobType::Start);
        } else if !unit.is_there() {
            self.changes += 1;
            (unit.since, unit.process, unit.change) = (uptime, self.changes, self.changes);
            unit.turn(ActiveState::Activating);
        }
    }

    /// Begins to stop a unit.
    pub(super) fn stop(&mut self, name: &UnitName) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if unit.is_up() {
            self.changes += 1;
            unit.change = self.changes;
            unit.turn(ActiveState::Deactivating);
        }
        unit.state.job = None;
    }

    /// Ends what systemd does to a unit. A unit that starts is in the state `started` then.
    pub fn settle(&mut self, name: &UnitName, started: ActiveState, uptime: Duration) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let starts = matches!(unit.state.job, Some(JobType::Start | JobType::Restart));
        match unit.state.active {
            ActiveState::Activating => unit.turn(started),
            ActiveState::Reloading | ActiveState::Refreshing => unit.turn(ActiveState::Active),
            ActiveState::Deactivating | ActiveState::Maintenance => unit.turn(ActiveState::Inactive),
            ActiveState::Active | ActiveState::Inactive | ActiveState::Failed => unit.state.job = None,
        }
        if starts && !unit.is_there() {
            self.start(name, uptime);
        }
    }

    /// Ends everything that systemd does.
    pub(super) fn settle_all(&mut self, uptime: Duration) {
        let started = self.started;
        // A restart takes two turns.
        for _ in 0..2 {
            let changing = self.units.iter().filter(|(_, unit)| unit.state.is_changing());
            let changing: Vec<UnitName> = changing.map(|(name, _)| name.clone()).collect();
            for name in changing {
                self.settle(&name, started, uptime);
            }
        }
    }
}
