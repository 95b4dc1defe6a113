//! The reconciler, over hosts that fail and lie.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use muster::core::health::DetectionConfig;
use muster::core::lease::LeasePolicy;
use muster::core::model::ActiveState;
use muster::core::model::DesiredState;
use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::LoadState;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::Outcome;
use muster::core::model::Phase;
use muster::core::model::Report;
use muster::core::model::Snapshot;
use muster::core::model::SubState;
use muster::core::model::Timestamp;
use muster::core::model::Unit;
use muster::core::model::UnitState;
use muster::core::model::Visit;
use muster::core::reconcile::Input;
use muster::core::reconcile::Output;
use muster::core::reconcile::Reconciler;
use muster::core::reconcile::Timing;
use muster::core::reconcile::assignments::Scope;
use muster::core::simulated_host::SimulatedHost;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;

/// How many writes one turn may have. The machines here report at most a few hundred units.
const WRITES: usize = 2000;

/// Runs the reconciler of a controller over three hosts that answer as the data says: truthfully, with lies, or not at
/// all.
pub fn reconcile(data: &[u8]) {
    let mut world = World::new(data);
    let mut inputs = VecDeque::from([Input::Tick]);
    for _ in 0..400 {
        let input = inputs.pop_front().unwrap_or_else(|| world.pass());
        for output in world.reconciler.handle(input, world.now) {
            match world.carry_out(output) {
                Some(input) => inputs.push_back(input),
                None => return,
            }
        }
        if world.data.is_empty() {
            return;
        }
    }
}

/// A cluster whose hosts do what the data says.
struct World<'a> {
    data: &'a [u8],
    now: Timestamp,
    reconciler: Reconciler,
    hosts: BTreeMap<MachineId, SimulatedHost>,
}

impl<'a> World<'a> {
    fn new(data: &'a [u8]) -> Self {
        let (poll_interval, retry_interval) = (Duration::from_secs(1), Duration::from_millis(500));
        let lease = LeasePolicy::of_controller(Duration::from_secs(12), poll_interval, retry_interval);
        let timing = Timing {
            poll_interval,
            full_poll_interval: Duration::from_secs(10),
            retry_interval,
            start_deadline: Duration::from_secs(10),
            lease: Some(lease.expect("a lease")),
            detection: DetectionConfig { down_after: Duration::from_secs(8), brake: 55 },
        };
        let snapshot = cluster();
        let host = |id: &MachineId| (*id, SimulatedHost::new(*id, "boot".to_owned()));
        let hosts = snapshot.machines.keys().map(host).collect();
        let reconciler = Reconciler::new(1, Scope::All, timing, snapshot);
        let reconciler = reconciler.with_fence_commands(["m1".to_owned()].into());
        Self { data, now: Timestamp::from_millis(1_000_000_000_000), reconciler, hosts }
    }

    /// Takes the next byte of the data; 0 when there is none.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.data.split_first() else { return 0 };
        self.data = rest;
        *first
    }

    /// Lets time pass.
    fn pass(&mut self) -> Input {
        let millis = 1 << (self.byte() % 24);
        self.now = self.now + Duration::from_millis(millis);
        if self.byte() == 7 { Input::Stalled(Duration::from_millis(millis)) } else { Input::Tick }
    }

    /// Carries out an output and returns its result; `None` if the reconciler was deposed.
    fn carry_out(&mut self, output: Output) -> Option<Input> {
        Some(match output {
            Output::Commit(writes) => {
                assert!(writes.len() <= WRITES, "{} writes", writes.len());
                Input::Committed(self.byte() != 255)
            }
            Output::Visit { machine, visit, quick, through } => {
                let result = self.visit(machine, &visit, quick, through.is_some());
                Input::Visited(machine, Box::new(result))
            }
            Output::Probe { machine, peer } => {
                let reached = [None, Some(false), Some(true)][usize::from(self.byte() % 3)];
                Input::Probed { machine, peer, reached }
            }
            Output::Leave(_) => Input::Tick,
            Output::Fence(machine) => {
                Input::Fenced(machine, if self.byte().is_multiple_of(2) { Ok(()) } else { Err("no".to_owned()) })
            }
            Output::Deposed => return None,
        })
    }

    fn visit(&mut self, machine: MachineId, visit: &Visit, quick: bool, relayed: bool) -> Result<Report, Failure> {
        let how = self.byte();
        if how >= 192 {
            return Err(self.failure());
        }
        let uptime = self.now.since(Timestamp::ZERO);
        let host = self.hosts.get_mut(&machine).expect("a host of the cluster");
        let mut report = host.visit(visit, quick, u64::from(relayed), uptime);
        if how >= 128 {
            self.lie(&mut report);
        }
        Ok(report)
    }

    fn failure(&mut self) -> Failure {
        let phases =
            [Phase::Resolve, Phase::Connect, Phase::KeyExchange, Phase::Authenticate, Phase::Shell, Phase::Run];
        let kinds = [
            FailureKind::Silent,
            FailureKind::Refused,
            FailureKind::NoRoute,
            FailureKind::Reset,
            FailureKind::Throttled,
            FailureKind::HostKey,
            FailureKind::Denied,
            FailureKind::Sick,
            FailureKind::WrongMachine,
            FailureKind::Path,
            FailureKind::Local,
        ];
        let phase = phases[usize::from(self.byte()) % phases.len()];
        let kind = kinds[usize::from(self.byte()) % kinds.len()];
        Failure { host: "m".to_owned(), phase, kind, detail: "no".to_owned(), hint: None }
    }

    /// Changes what a host reports.
    fn lie(&mut self, report: &mut Report) {
        let Some(seen) = &mut report.observation else { return };
        let what = self.byte();
        if what & 1 != 0 {
            seen.uptime = Duration::from_secs(u64::MAX >> (self.byte() % 64));
        }
        if what & 2 != 0 {
            seen.boot = format!("boot-{}", self.byte());
        }
        if what & 4 != 0 {
            seen.epoch = u64::MAX;
        }
        if what & 8 != 0 {
            let (first, count) = (u32::from(self.byte()), u32::from(self.byte()));
            let units = seen.units.get_or_insert_default();
            units.extend((first..first + count).map(|number| (name(&format!("x{number}")), state(what))));
        }
        if what & 16 != 0 {
            let claimed = ["a", "db", "everywhere"].map(|it| (name(it), state(what)));
            seen.units.get_or_insert_default().extend(claimed);
        }
        if what & 32 != 0 {
            report.outcomes.iter_mut().for_each(|outcome| *outcome = Outcome::Failed("no".to_owned()));
        }
        if what & 64 != 0 {
            report.outcomes.clear();
        }
    }
}

/// Returns a state that a host claims.
fn state(seed: u8) -> UnitState {
    let active = if seed & 128 == 0 { ActiveState::Active } else { ActiveState::Deactivating };
    let hash = UnitFile::parse("[Service]\n").expect("a unit file").hash();
    let (load, sub) = (LoadState::Loaded, SubState::RUNNING);
    UnitState {
        load,
        active,
        sub,
        job: None,
        hash,
        launched: seed & 64 == 0,
        restarts: u64::from(seed),
        restarted: seed & 32 == 0,
    }
}

fn name(stem: &str) -> UnitName {
    format!("{stem}.service").parse().expect("a name")
}

/// Returns three machines, and an available, a strict and a global unit.
fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 1..=3 {
        let id = MachineId::from_bits(number << 96);
        let machine = Machine { id, name: format!("m{number}"), systemd: 252, ..Machine::default() };
        snapshot.machines.insert(id, machine);
    }
    let texts = [("a", ""), ("db", "[X-Muster]\nClass=strict\n"), ("everywhere", "[X-Fleet]\nGlobal=true\n")];
    for (stem, text) in texts {
        let file = Arc::new(UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n{text}")).expect("a unit file"));
        let unit = Unit::new(file.hash(), DesiredState::Launched);
        snapshot.units.insert(name(stem), unit);
        snapshot.files.insert(file.hash(), file);
    }
    snapshot
}
