//! A simulated host: what a visit does to a host, as a value. The simulation, the tests and the benchmarks use it.
//!
//! The host does what `remote/visit/visit.sh` does. Its systemd works in two steps: a unit begins to start or to stop,
//! and [`SimulatedHost::settle`] ends that. The caller passes the host's uptime as an argument. This module must not
//! know which visits follow, and must not read a clock.

mod systemd;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::Cluster;
use crate::core::model::Expiry;
use crate::core::model::LeaseAction;
use crate::core::model::LeaseStatus;
use crate::core::model::LoadState;
use crate::core::model::MachineId;
use crate::core::model::Observation;
use crate::core::model::Outcome;
use crate::core::model::Refused;
use crate::core::model::Report;
use crate::core::model::Step;
use crate::core::model::UnitState;
use crate::core::model::Visit;
use crate::core::model::replaced_units;
use crate::core::unit::Hash;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;

pub use systemd::SimulatedUnit;

/// A host in one boot. A host that boots again is a new one.
#[derive(Debug, Clone)]
pub struct SimulatedHost {
    /// Its /etc/machine-id.
    pub machine: MachineId,
    /// Its boot: /proc/sys/kernel/random/boot_id.
    pub boot: String,
    /// The cluster that it belongs to, as in /run/muster/cluster.
    pub cluster: Option<Arc<Cluster>>,
    /// The highest epoch that has claimed the host, as in /run/muster/epoch.
    pub epoch: u64,
    /// The highest serial that it has seen.
    pub serial: u64,
    /// The number of the last visit of that leader that was counted.
    pub number: u64,
    /// The uptime at which its lease ends; `None` if it holds none.
    pub lease: Option<Duration>,
    /// The unit files under /run/fleet/units, and what systemd makes of them.
    pub units: BTreeMap<UnitName, SimulatedUnit>,
    /// The state that a unit is in when it has started: `Active`, unless it fails or takes its time.
    pub started: ActiveState,
    /// The unit that systemd refuses to start.
    pub refuses: Option<UnitName>,
    /// The files that systemd refuses.
    pub refuses_files: BTreeSet<Hash>,
    /// How long Podman takes to pull an image that the host does not have; `None` if the host has all images.
    pub pull_time: Option<Duration>,
    /// What Podman says at the end of a pull that fails.
    pub pull_error: Option<String>,
    /// The images that the host has pulled or pulls, with the uptime at which the pull ends.
    pub images: BTreeMap<String, Duration>,
    /// How long systemd takes to renew a lease.
    pub renewal: Duration,
    /// Set when systemd does not start the units that hold the lease.
    pub refuses_lease: bool,
    /// Set while a visit with steps holds the host's lock.
    is_locked: bool,
    /// How many changes systemd has made.
    changes: u64,
    /// What each shell saw at its last look: the unit files and their processes.
    seen: BTreeMap<u64, Vec<(UnitName, u64)>>,
}

/// A visit that the host has admitted and that has not ended.
#[derive(Debug, Clone)]
pub struct Underway {
    uptime: Duration,
    epoch: u64,
    serial: u64,
    lease: Option<LeaseStatus>,
    complaints: BTreeMap<UnitName, String>,
    /// The units that go on with an earlier file, because the new one is refused.
    kept: BTreeSet<UnitName>,
    /// The units whose images are being pulled.
    pulling: BTreeSet<UnitName>,
}

/// What systemd says of a file that it refuses.
const REFUSED: &str = "systemd refuses its file";

impl Underway {
    /// Returns the status of the lease, if the visit is about the lease.
    pub const fn lease(&self) -> Option<LeaseStatus> {
        self.lease
    }

    /// Reports whether systemd refused a step on this unit.
    pub fn is_refused(&self, unit: &UnitName) -> bool {
        self.complaints.contains_key(unit)
    }
}

impl SimulatedHost {
    /// Makes a host that has just booted.
    pub const fn new(machine: MachineId, boot: String) -> Self {
        Self {
            machine,
            boot,
            cluster: None,
            epoch: 0,
            serial: 0,
            number: 0,
            lease: None,
            units: BTreeMap::new(),
            started: ActiveState::Active,
            refuses: None,
            refuses_files: BTreeSet::new(),
            pull_time: None,
            pull_error: None,
            images: BTreeMap::new(),
            renewal: Duration::ZERO,
            refuses_lease: false,
            is_locked: false,
            changes: 0,
            seen: BTreeMap::new(),
        }
    }

    /// Carries out a visit at once: every unit that starts or stops has done so before the report. `shell` is the shell
    /// that the visit uses, which remembers what it saw.
    pub fn visit(&mut self, visit: &Visit, quick: bool, shell: u64, uptime: Duration) -> Report {
        if self.is_lease_over(uptime) {
            self.end_lease();
        }
        self.settle_all(uptime);
        let mut underway = match self.admit(visit, uptime) {
            Ok(underway) => underway,
            Err(refused) => return self.refusal(refused, uptime),
        };
        self.begin(visit, &mut underway);
        self.settle_all(uptime);
        self.proceed(visit, &mut underway, uptime);
        self.settle_all(uptime);
        self.report(visit, &underway, quick, shell)
    }

    /// Checks whether the host takes a visit, and claims it for the leader if the visit may change something.
    pub fn admit(&mut self, visit: &Visit, uptime: Duration) -> Result<Underway, Refused> {
        if visit.machine.is_some_and(|machine| machine != self.machine) {
            return Err(Refused::OtherMachine(self.machine.to_string()));
        }
        let visitor = visit.cluster.as_ref().map(|cluster| cluster.id);
        if let Some(owner) = self.cluster.as_ref().filter(|owner| visitor != Some(owner.id)) {
            return Err(Refused::OtherCluster(format!("{} ({})", owner.name, owner.id)));
        }
        let late = |at: &Expiry| uptime.as_secs() >= at.uptime.as_secs().max(1) || at.boot != self.boot;
        if visit.expires.as_ref().is_some_and(late) {
            return Err(Refused::TooLate);
        }
        if !visit.read_only && self.epoch > visit.epoch {
            return Err(Refused::LaterLeader(self.epoch));
        }
        let (epoch, serial, lease) = (self.epoch, self.serial, None);
        let (complaints, kept, pulling) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let underway = Underway { uptime, epoch, serial, lease, complaints, kept, pulling };
        let acts = !visit.steps.is_empty() || visit.barrier || visit.lease.is_some();
        if !visit.read_only && (acts || self.epoch != visit.epoch || self.serial < visit.serial) {
            self.claim(visit)?;
            self.serial = self.serial.max(visit.serial);
        }
        Ok(underway)
    }

    /// Records the leader and how far its visits have come.
    fn claim(&mut self, visit: &Visit) -> Result<(), Refused> {
        if self.is_locked {
            return Err(Refused::Busy);
        }
        self.cluster = self.cluster.take().or_else(|| visit.cluster.clone());
        let known = self.epoch == visit.epoch;
        if known && visit.number > 0 && self.number >= visit.number {
            return Err(Refused::TooLate);
        }
        if !known || visit.number > 0 {
            (self.epoch, self.number) = (visit.epoch, visit.number);
        }
        self.is_locked = !visit.steps.is_empty();
        Ok(())
    }

    /// Does the first part of a visit: the lease, and the units that are to stop begin to.
    pub fn begin(&mut self, visit: &Visit, underway: &mut Underway) {
        underway.lease = visit.lease.as_ref().map(|lease| self.obey_lease(lease, underway.uptime));
        underway.kept = self.kept(visit);
        self.pull(visit, underway);
        for step in visit.steps.iter().filter(|step| !underway.kept.contains(&step.unit)) {
            if matches!(step.action, Action::Unload | Action::Stop) && self.is_marked(&step.unit) {
                self.stop(&step.unit);
                self.unmark(&step.unit);
            }
        }
    }

    /// Does the rest of a visit: files are removed and written, and units begin to start.
    pub fn proceed(&mut self, visit: &Visit, underway: &mut Underway, uptime: Duration) {
        let steps = || visit.steps.iter().filter(|step| !underway.kept.contains(&step.unit));
        for step in steps().filter(|step| step.action == Action::Unload) {
            if self.units.get(&step.unit).is_some_and(|unit| !unit.is_there() && !unit.foreign) {
                self.units.remove(&step.unit);
            }
        }
        let mut complaints = BTreeMap::new();
        for step in steps() {
            if let Action::Adopt { hash, strict } = step.action
                && let Some(unit) = self.units.get_mut(&step.unit).filter(|unit| unit.state.hash == hash)
            {
                (unit.foreign, unit.strict) = (false, unit.strict || strict);
            }
            if let Action::Load { hash, strict, .. } = step.action {
                if self.units.get(&step.unit).is_some_and(|unit| unit.foreign) {
                    let complaint = "the host has a unit of this name, which is not muster's".to_owned();
                    complaints.insert(step.unit.clone(), complaint);
                    continue;
                }
                let unit = self.units.entry(step.unit.clone()).or_insert_with(|| SimulatedUnit::new(hash));
                unit.load(hash, strict, visit.files.get(&hash).is_some_and(|file| file.is_oneshot()));
                if self.refuses_files.contains(&hash) {
                    unit.state.load = LoadState::BadSetting;
                    complaints.insert(step.unit.clone(), REFUSED.to_owned());
                }
            }
        }
        for step in steps() {
            if self.units.get(&step.unit).is_some_and(|unit| unit.foreign || unit.state.load != LoadState::Loaded) {
                continue;
            }
            if let Err(complaint) = self.launch(&step.unit, step.action, uptime) {
                complaints.insert(step.unit.clone(), complaint);
            }
        }
        underway.complaints.append(&mut complaints);
    }

    /// Pulls the images of the units that a visit loads. A unit whose image is not there goes on as it is.
    fn pull(&mut self, visit: &Visit, underway: &mut Underway) {
        let Some(time) = self.pull_time else { return };
        for step in &visit.steps {
            let Action::Load { hash, .. } = step.action else { continue };
            let file = visit.files.get(&hash);
            let Some(pull) = file.and_then(|file| ImagePull::of(&step.unit, file)) else { continue };
            let end = *self.images.entry(pull.image.clone()).or_insert_with(|| underway.uptime.saturating_add(time));
            if underway.uptime < end {
                underway.pulling.insert(step.unit.clone());
            } else if let Some(said) = &self.pull_error {
                self.images.remove(&pull.image);
                underway.complaints.insert(step.unit.clone(), said.clone());
            } else {
                continue;
            }
            underway.kept.insert(step.unit.clone());
        }
    }

    /// Returns the units of which a visit would replace the file by one that systemd refuses.
    fn kept(&self, visit: &Visit) -> BTreeSet<UnitName> {
        let replaced = replaced_units(&visit.steps);
        let is_replaced = |unit: &UnitName| replaced.contains(unit) && self.is_marked(unit);
        let refused = visit
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Load { hash, .. } if self.refuses_files.contains(&hash)));
        refused.map(|step| step.unit.clone()).filter(|unit| is_replaced(unit)).collect()
    }

    /// Ends a visit with its report. A quick look on which the shell sees nothing new says only that.
    pub fn report(&mut self, visit: &Visit, underway: &Underway, quick: bool, shell: u64) -> Report {
        let outcomes = visit.steps.iter().map(|step| self.outcome(step, visit, underway)).collect();
        let Underway { uptime, epoch, serial, lease, .. } = *underway;
        let quick = quick && visit.steps.is_empty() && lease != Some(LeaseStatus::Granted);
        let same = self.look(shell) && quick;
        let (foreign, units) = if same { Default::default() } else { self.units_by_owner() };
        let units = (!same).then_some(units);
        if !visit.steps.is_empty() {
            self.is_locked = false;
        }
        let holds = matches!(visit.lease, Some(LeaseAction::Hold { .. }));
        let renewal = holds.then_some(self.renewal);
        let host = Observation::new(self.machine, self.boot.clone(), uptime, epoch, serial);
        let has_room = visit.asks_for_room;
        let observation = Observation { lease, renewal, has_room, units, foreign, ..host };
        Report { outcomes, refused: None, observation: Some(observation) }
    }

    /// Returns the units whose files muster did not write, and those whose files it wrote.
    fn units_by_owner(&self) -> (BTreeMap<UnitName, UnitState>, BTreeMap<UnitName, UnitState>) {
        let states = |foreign| {
            let units = self.units.iter().filter(move |(_, unit)| unit.foreign == foreign);
            units.map(|(name, unit)| (name.clone(), unit.state.clone())).collect()
        };
        (states(true), states(false))
    }

    /// Reports whether the host has a file of a unit that muster wrote.
    fn is_marked(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|unit| !unit.foreign)
    }

    /// Returns the report of a visit that the host refused.
    pub fn refusal(&self, refused: Refused, uptime: Duration) -> Report {
        let observation = Observation::new(self.machine, self.boot.clone(), uptime, self.epoch, self.serial);
        Report { outcomes: Vec::new(), refused: Some(refused), observation: Some(observation) }
    }

    /// Lets a shell look at the unit files and their processes. Reports whether it sees what it saw before.
    fn look(&mut self, shell: u64) -> bool {
        let sight = self.units.iter().map(|(name, unit)| (name, if unit.is_there() { unit.process } else { 0 }));
        let seen = self.seen.get(&shell);
        if seen.is_some_and(|seen| seen.iter().map(|(name, process)| (name, *process)).eq(sight.clone())) {
            return true;
        }
        let sight = sight.map(|(name, process)| (name.clone(), process)).collect();
        self.seen.insert(shell, sight);
        false
    }

    /// Returns how a step ended, as the reader of a report finds it out.
    fn outcome(&self, step: &Step, visit: &Visit, underway: &Underway) -> Outcome {
        if underway.pulling.contains(&step.unit) {
            return Outcome::Begun;
        }
        if underway.kept.contains(&step.unit) {
            let said = underway.complaints.get(&step.unit).map_or(REFUSED, String::as_str);
            return Outcome::Failed(said.to_owned());
        }
        let there = self.units.get(&step.unit).filter(|unit| !unit.foreign).map(|unit| &unit.state);
        let complaint = underway.complaints.get(&step.unit).filter(|_| step.action.starts());
        let loads = |other: &Step| other.unit == step.unit && matches!(other.action, Action::Load { .. });
        let replaced = step.action == Action::Unload && visit.steps.iter().any(loads);
        let goes_on = step.action.goes_on(there);
        if (replaced || step.action.is_done(there)) && complaint.is_none() {
            return if goes_on && step.action.starts() { Outcome::Begun } else { Outcome::Done };
        }
        if goes_on && !step.action.starts() {
            return Outcome::Begun;
        }
        let complaint = underway.complaints.get(&step.unit);
        Outcome::Failed(complaint.cloned().unwrap_or_else(|| "its state says otherwise".to_owned()))
    }
}
