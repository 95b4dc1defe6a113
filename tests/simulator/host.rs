//! A host made of values. It takes a visit as the script that a visit sends does, and has a systemd that takes its time.

use std::collections::BTreeMap;
use std::time::Duration;

use muster::core::model::Action;
use muster::core::model::ActiveState;
use muster::core::model::LeaseStatus;
use muster::core::model::LoadState;
use muster::core::model::MachineId;
use muster::core::model::Observation;
use muster::core::model::Outcome;
use muster::core::model::Refused;
use muster::core::model::Report;
use muster::core::model::UnitState;
use muster::core::model::Visit;
use muster::core::unit::Hash;
use muster::core::unit::UnitName;

use super::attempt::PARTS;
use super::network::Delivery;

/// A unit file under /run/fleet/units and what systemd makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) hash: Hash,
    /// The mark of its start: how many restarts were asked for by then.
    pub(super) mark: Option<u64>,
    pub(super) run: Run,
    /// Which change of state this is.
    pub(super) change: u64,
    /// Since when something of it runs; this also tells one process from another.
    pub(super) since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Dead,
    Failed,
    Starting,
    Running,
    Stopping { then_start: bool },
}

impl Run {
    /// Says whether a process of it may be there.
    pub(super) const fn is_there(self) -> bool {
        !matches!(self, Self::Dead | Self::Failed)
    }

    const fn words(self) -> (ActiveState, &'static str) {
        match self {
            Self::Dead => (ActiveState::Inactive, "dead"),
            Self::Failed => (ActiveState::Failed, "failed"),
            Self::Starting => (ActiveState::Activating, "start"),
            Self::Running => (ActiveState::Active, "running"),
            Self::Stopping { .. } => (ActiveState::Deactivating, "stop-sigterm"),
        }
    }
}

/// Steps under way, which hold the host's lock.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) delivery: Delivery,
    pub(super) began: u64,
    pub(super) lease: Option<LeaseStatus>,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) machine: MachineId,
    pub(super) up: bool,
    pub(super) boot: u64,
    pub(super) booted_at: u64,
    /// What /run/muster/epoch says.
    pub(super) epoch: u64,
    number: u64,
    pub(super) copies: BTreeMap<UnitName, Copy>,
    /// How fast its clock runs, in millionths.
    drift: u64,
    /// The uptime at which its lease ends, in milliseconds.
    pub(super) lease: Option<u64>,
    /// Set when it stood still while its lease ended, or while that stopped what depended on it, until that is gone.
    pub(super) overdue: bool,
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
    /// Units that systemd refuses to start here, and units that fail soon after.
    pub(super) balks: Option<UnitName>,
    pub(super) fails: Option<UnitName>,
    /// What each shell saw when it last looked.
    pub(super) seen: BTreeMap<u64, Vec<(UnitName, u64)>>,
    /// The highest epoch of a leader that was obeyed since the boot, whatever /run says.
    pub(super) obeyed: u64,
}

impl Host {
    pub(super) fn new(index: usize, drift: u64) -> Self {
        Self {
            machine: machine(index),
            up: true,
            boot: 1,
            booted_at: 0,
            epoch: 0,
            number: 0,
            copies: BTreeMap::new(),
            drift,
            lease: None,
            overdue: false,
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
            balks: None,
            fails: None,
            seen: BTreeMap::new(),
            obeyed: 0,
        }
    }

    /// The power goes: what was in /run and in memory is gone.
    pub(super) fn cut_power(&mut self) {
        let (machine, boot, carried) = (self.machine, self.boot + 1, self.carried);
        *self = Self { machine, boot, up: false, carried, ..Self::new(0, self.drift) };
    }

    /// Says whether its sshd accepts logins.
    pub(super) const fn lets_in(&self) -> bool {
        self.up && !self.frozen && self.sshd
    }

    /// Says whether it does its work at its usual speed for every controller that reaches it.
    pub(super) fn is_well(&self) -> bool {
        let slow = self.slow || self.lags.iter().any(|lag| *lag > 0);
        self.lets_in() && !slow && !self.throttles && !self.denies && !self.unfit
    }

    pub(super) fn uptime(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.booted_at) * self.drift / 1_000_000)
    }

    /// Returns when its uptime will be this.
    pub(super) const fn at(&self, uptime: u64) -> u64 {
        self.booted_at + uptime * 1_000_000 / self.drift
    }

    /// Takes note of whose visits it obeys, and how far they have come.
    pub(super) const fn claim(&mut self, visit: &Visit) {
        if self.epoch != visit.epoch || visit.number > 0 {
            (self.epoch, self.number) = (visit.epoch, visit.number);
        }
    }

    /// Says why the host does nothing of a visit, if so: the machine, the uptime, then the epoch and the number.
    pub(super) fn refusal(&self, visit: &Visit, now: u64, trusting: Trust) -> Option<Refused> {
        if visit.machine.is_some_and(|machine| machine != self.machine) {
            return Some(Refused::OtherMachine(self.machine.to_string()));
        }
        let late = visit.expires.as_ref().is_some_and(|at| {
            self.uptime(now).as_secs() >= at.uptime.as_secs().max(1) || at.boot != format!("boot-{}", self.boot)
        });
        if late && !trusting.lateness {
            return Some(Refused::TooLate);
        }
        if self.epoch > visit.epoch && !trusting.epoch {
            return Some(Refused::LaterLeader(self.epoch));
        }
        let overtaken = self.epoch == visit.epoch && visit.number > 0 && self.number >= visit.number;
        (overtaken && !trusting.repeats).then_some(Refused::TooLate)
    }

    /// What the host looks like. A quick that finds nothing new says only that.
    pub(super) fn observe(&mut self, shell: u64, quick: bool, now: u64) -> Observation {
        let there = self.copies.iter();
        let sight: Vec<_> =
            there.map(|(n, copy)| (n.clone(), if copy.run.is_there() { copy.since } else { 0 })).collect();
        let same = quick && self.seen.get(&shell) == Some(&sight);
        let units = (!same).then(|| self.copies.iter().map(|(name, copy)| (name.clone(), state(copy))).collect());
        self.seen.insert(shell, sight);
        Observation {
            machine: self.machine,
            boot: format!("boot-{}", self.boot),
            uptime: self.uptime(now),
            epoch: self.epoch,
            lease: None,
            units,
        }
    }

    pub(super) fn refuse(&mut self, refused: Refused, now: u64) -> Report {
        let observation = Observation {
            machine: self.machine,
            boot: format!("boot-{}", self.boot),
            uptime: self.uptime(now),
            epoch: self.epoch,
            lease: None,
            units: None,
        };
        Report { outcomes: Vec::new(), refused: Some(refused), observation: Some(observation) }
    }

    /// How each step ended, found out as the report's reader does.
    pub(super) fn outcomes(&self, visit: &Visit, complaints: &BTreeMap<UnitName, String>) -> Vec<Outcome> {
        let loads = |unit: &UnitName| {
            visit.steps.iter().any(|step| step.unit == *unit && matches!(step.action, Action::Load { .. }))
        };
        let outcome = |step: &muster::core::model::Step| {
            let there = self.copies.get(&step.unit);
            let good = match step.action {
                Action::Unload => there.is_none() || loads(&step.unit),
                Action::Load { hash, .. } => there.is_some_and(|copy| copy.hash == hash),
                Action::Stop => there.is_none_or(|copy| !copy.run.is_there() && copy.mark.is_none()),
                Action::Start { count } | Action::Restart { count } => {
                    let marked = there.and_then(|copy| copy.mark).is_some_and(|mark| mark >= count);
                    marked && !complaints.contains_key(&step.unit)
                }
            };
            let said = || complaints.get(&step.unit).cloned().unwrap_or_else(|| "it is not so".to_owned());
            let stops = matches!(step.action, Action::Stop | Action::Unload);
            let stopping = there.is_some_and(|copy| matches!(copy.run, Run::Stopping { .. }));
            match good {
                true => Outcome::Done,
                false if stops && stopping && visit.no_wait => Outcome::Begun,
                false => Outcome::Failed(said()),
            }
        };
        visit.steps.iter().map(outcome).collect()
    }
}

/// What a host fails to check: the mutants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trust {
    pub(super) epoch: bool,
    pub(super) lateness: bool,
    pub(super) repeats: bool,
}

/// The identity of the machine at an index; the short form tells it.
pub(super) fn machine(index: usize) -> MachineId {
    MachineId::from_bits((0xa0 + index as u128) << 120 | 1)
}

/// What systemd says of a copy.
pub(super) fn state(copy: &Copy) -> UnitState {
    let (active, sub) = copy.run.words();
    UnitState {
        load: LoadState::Loaded,
        active,
        sub: sub.parse().unwrap(),
        job: None,
        hash: copy.hash,
        launched: copy.mark.is_some(),
        restarts: copy.mark.unwrap_or(0),
    }
}
