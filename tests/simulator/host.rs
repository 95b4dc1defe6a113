//! A host made of values: the core's simulated host, with power, an sshd, a clock of its own and the faults of hosts.

use std::time::Duration;

use muster::core::model::Action;
use muster::core::model::ActiveState;
use muster::core::model::LeaseAction;
use muster::core::model::LoadState;
use muster::core::model::MachineId;
use muster::core::model::Outcome;
use muster::core::model::Report;
use muster::core::model::SubState;
use muster::core::model::UnitState;
use muster::core::model::Visit;
use muster::core::simulated_host::SimulatedHost;
use muster::core::simulated_host::Underway;
use muster::core::unit::Hash;
use muster::core::unit::UnitName;

use super::attempt::PARTS;
use super::network::Delivery;
use super::systemd::millis;
use super::world::Mutant;

/// How many units without a record a host that lies adds to each report.
const NEW_AT_EVERY_LOOK: usize = 200;

/// Steps under way, which hold the host's lock.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) delivery: Delivery,
    pub(super) began: u64,
    pub(super) underway: Underway,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) machine: MachineId,
    pub(super) up: bool,
    pub(super) boot: u64,
    pub(super) booted_at: u64,
    /// What a visit finds in this boot. A soft-reboot is none for the kernel: the model goes on.
    pub(super) model: SimulatedHost,
    /// How fast its clock runs, in millionths.
    drift: u64,
    /// Set when it stood still while its lease ended, or while that stopped what depended on it, or when its systemd is
    /// slower than a renewal has shown, until that is gone.
    pub(super) overdue: bool,
    /// How long a renewal takes, in milliseconds, while systemd stops a strict unit: the longest time.
    pub(super) stops_with: u64,
    pub(super) job: Option<Job>,
    pub(super) frozen: bool,
    pub(super) sshd: bool,
    pub(super) slow: bool,
    /// How much longer than usual each part of an attempt takes, in milliseconds.
    pub(super) lags: [u64; PARTS.len()],
    /// sshd closes new connections before it greets; it refuses every login; the host cannot do what a visit asks for.
    pub(super) throttles: bool,
    pub(super) denies: bool,
    pub(super) unfit: bool,
    /// Set when controllers reach it through a proxy command, which says that it failed.
    pub(super) carried: bool,
    /// Visits that have come and wait for the host to thaw.
    pub(super) buffer: Vec<Delivery>,
    /// Set while it claims to run every unit, and to have new ones at every look.
    pub(super) lies: bool,
    /// How many reports were lies.
    lied: u64,
    /// The unit that fails soon after its start.
    pub(super) fails: Option<UnitName>,
    /// The highest epoch of a leader that was obeyed since the boot, whatever /run says.
    pub(super) obeyed: u64,
}

impl Host {
    pub(super) fn new(index: usize, drift: u64) -> Self {
        Self::booted(machine(index), 1, drift)
    }

    /// Returns a host in a new boot.
    fn booted(machine: MachineId, boot: u64, drift: u64) -> Self {
        Self {
            machine,
            up: true,
            boot,
            booted_at: 0,
            model: SimulatedHost::new(machine, format!("boot-{boot}")),
            drift,
            overdue: false,
            stops_with: 0,
            job: None,
            frozen: false,
            sshd: true,
            slow: false,
            lags: [0; PARTS.len()],
            throttles: false,
            denies: false,
            unfit: false,
            carried: false,
            buffer: Vec::new(),
            lies: false,
            lied: 0,
            fails: None,
            obeyed: 0,
        }
    }

    /// The power goes: what was in /run and in memory is gone.
    pub(super) fn cut_power(&mut self) {
        let carried = self.carried;
        *self = Self { up: false, carried, ..Self::booted(self.machine, self.boot + 1, self.drift) };
    }

    /// Everything in userspace ends, and begins anew once sshd is back. Connections are those of another boot, as after one.
    pub(super) fn soft_reboot(&mut self, now: u64, mutant: Mutant) {
        let (uptime, lease) = (self.uptime(now), self.model.lease);
        let running = self.model.units.clone();
        self.model.soft_reboot(uptime);
        if mutant == Mutant::SoftRebootsKeepStrictUnits {
            self.model.units.extend(running.into_iter().filter(|(_, unit)| unit.strict));
            self.model.lease = lease;
        }
        self.boot += 1;
        (self.sshd, self.job, self.stops_with, self.overdue) = (false, None, 0, false);
        self.buffer.clear();
    }

    /// Says whether its sshd accepts logins.
    pub(super) const fn lets_in(&self) -> bool {
        self.up && !self.frozen && self.sshd
    }

    /// Says whether it does its work at its usual speed for every controller that reaches it.
    pub(super) fn is_well(&self) -> bool {
        let slow = self.slow || !self.model.renewal.is_zero() || self.lags.iter().any(|lag| *lag > 0);
        self.lets_in() && !slow && !self.throttles && !self.denies && !self.unfit
    }

    pub(super) fn uptime(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.booted_at) * self.drift / 1_000_000)
    }

    /// Returns when its uptime will be this.
    pub(super) const fn at(&self, uptime: u64) -> u64 {
        self.booted_at + uptime * 1_000_000 / self.drift
    }

    /// Changes a visit, or what the host remembers, as a host does that fails to check something: the mutants.
    pub(super) fn mutate(&mut self, mutant: Mutant, delivery: &mut Delivery, now: u64) {
        let uptime = self.uptime(now);
        let visit = &mut delivery.visit;
        let model = &mut self.model;
        match mutant {
            Mutant::HostsForgetEpochs if model.epoch > visit.epoch => (model.epoch, model.number) = (0, 0),
            Mutant::HostsObeyTwice if model.epoch == visit.epoch => {
                model.number = model.number.min(visit.number.saturating_sub(1));
            }
            Mutant::HostsObeyLate => visit.expires = None,
            Mutant::LeasesCountFromArrival => {
                visit.expires = None;
                if let Some(LeaseAction::Hold { until, length }) = &mut visit.lease {
                    *until = uptime + *length;
                }
            }
            _ => {}
        }
    }

    /// Adds to a report that the host runs all these units, and some that have no record.
    pub(super) fn lie(&mut self, units: &[UnitName], visit: &Visit, report: &mut Report) {
        let Some(seen) = report.observation.as_mut().and_then(|seen| seen.units.as_mut()) else { return };
        self.lied += 1;
        let lied = self.lied;
        let made_up = (0..NEW_AT_EVERY_LOOK).map(|number| format!("lie-{lied}-{number}.service").parse().unwrap());
        for unit in units.iter().cloned().chain(made_up) {
            seen.entry(unit).or_insert_with(claimed);
        }
        for (step, outcome) in visit.steps.iter().zip(&mut report.outcomes) {
            if step.action == Action::Unload {
                *outcome = Outcome::Failed("it is still active (running)".to_owned());
            }
        }
    }

    /// Returns half of the time that a slow systemd may take longer to end a lease, which is four renewals: it notices the
    /// end in one half, and stops the units in the other one.
    pub(super) fn half_the_slowness(&self) -> u64 {
        millis(self.model.renewal) * 2
    }

    /// Lets systemd begin to stop a unit, and returns how much longer that takes because systemd is slow.
    pub(super) fn stop_slowly(&mut self, strict: bool) -> u64 {
        if strict {
            self.stops_with = self.stops_with.max(millis(self.model.renewal));
        }
        self.half_the_slowness()
    }

    /// The state that a unit reaches that was starting.
    pub(super) fn started(&self, unit: &UnitName) -> ActiveState {
        if self.fails.as_ref() == Some(unit) { ActiveState::Failed } else { ActiveState::Active }
    }

    /// Returns when a unit began to run.
    pub(super) fn since(&self, unit: &UnitName) -> Option<u64> {
        let unit = self.model.units.get(unit).filter(|unit| unit.is_there())?;
        Some(self.at(millis(unit.since)))
    }
}

/// The state of a unit that a host claims to run.
fn claimed() -> UnitState {
    let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
    UnitState { load, active, sub, job: None, hash: Hash::of(b"a lie"), launched: true, restarts: 0, restarted: false }
}

/// The identity of the machine at an index; the short form tells it.
pub(super) fn machine(index: usize) -> MachineId {
    MachineId::from_bits((0xa0 + index as u128) << 120 | 1)
}
