//! Visits, peer probes, fence commands and closing connections that are under way. Nothing is decided here.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clock::Clock;
use super::fence;
use super::fence::FenceCommands;
use super::secret_source::SecretSource;
use crate::core::health::peers::ANSWER_LIMIT;
use crate::core::health::peers::LOOK_LIMIT;
use crate::core::model::Failure;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Snapshot;
use crate::core::model::Visit;
use crate::core::reconcile::Input;
use crate::core::sanitize::truncate;
use crate::core::unit::UnitName;
use crate::metrics::Instruments;
use crate::remote;
use crate::remote::Progress;
use crate::remote::SharedRemote;
use crate::remote::Target;

/// How many characters of a `TimeoutStopSec=` are shown.
const LIMIT_LENGTH: usize = 32;

type Visited = (MachineId, Result<Report, Failure>);
type Probed = (MachineId, MachineId, Option<bool>);
type Fenced = (MachineId, Result<(), String>);

type ProgressSender = mpsc::Sender<(MachineId, Phase)>;

/// How many reports of progress may wait to be taken. More are dropped: the end of each visit says more.
const PROGRESS_LIMIT: usize = 1024;

/// Everything that is under way.
#[derive(Debug)]
pub(super) struct InFlight {
    remote: SharedRemote,
    secrets: SecretSource,
    /// What measures the visits, and the clock of the measurements.
    instruments: Option<(Instruments, Clock)>,
    visits: JoinSet<Visited>,
    probes: JoinSet<Probed>,
    fencings: JoinSet<Fenced>,
    closings: JoinSet<()>,
    sender: ProgressSender,
    progress: mpsc::Receiver<(MachineId, Phase)>,
    /// Progress and ends of visits that have arrived and were not taken yet.
    arrived: VecDeque<Input>,
    /// The relays in use, by the machines behind them.
    relays: BTreeMap<MachineId, Target>,
}

impl InFlight {
    pub(super) fn new(remote: SharedRemote) -> Self {
        let (sender, progress) = mpsc::channel(PROGRESS_LIMIT);
        Self {
            remote,
            secrets: SecretSource::default(),
            instruments: None,
            visits: JoinSet::new(),
            probes: JoinSet::new(),
            fencings: JoinSet::new(),
            closings: JoinSet::new(),
            sender,
            progress,
            arrived: VecDeque::new(),
            relays: BTreeMap::new(),
        }
    }

    /// Sets where the values of secrets come from.
    pub(super) fn with_secrets(self, secrets: SecretSource) -> Self {
        Self { secrets, ..self }
    }

    /// Sets what measures the visits.
    pub(super) fn with_instruments(self, instruments: Instruments, clock: Clock) -> Self {
        Self { instruments: Some((instruments, clock)), ..self }
    }

    /// Reports whether nothing is under way, not even a peer probe.
    pub(super) fn is_idle(&self) -> bool {
        let visits_are_done = self.visits.is_empty() && self.arrived.is_empty();
        visits_are_done && self.fencings.is_empty() && self.probes.is_empty()
    }

    /// Waits for the next input; forever if nothing is under way. The progress of a visit comes before its end.
    pub(super) async fn next(&mut self) -> Input {
        if let Some(input) = self.arrived.pop_front() {
            return input;
        }
        tokio::select! {
            Some((machine, phase)) = self.progress.recv() => Input::Progress(machine, phase),
            Some(Ok((machine, report))) = self.visits.join_next() => {
                self.take_progress();
                self.arrived.push_back(Input::Visited(machine, Box::new(report)));
                self.arrived.pop_front().unwrap_or(Input::Tick)
            }
            Some(Ok((machine, peer, reached))) = self.probes.join_next() => {
                Input::Probed { machine, peer, reached }
            }
            Some(Ok((machine, ended))) = self.fencings.join_next() => Input::Fenced(machine, ended),
        }
    }

    /// Returns what else has arrived by now, without waiting.
    pub(super) fn ready(&mut self) -> Vec<Input> {
        let ended: Vec<Visited> = std::iter::from_fn(|| self.visits.try_join_next()).flatten().collect();
        // A visit that has ended sent its progress before.
        self.take_progress();
        self.arrived.extend(ended.into_iter().map(|(machine, report)| Input::Visited(machine, Box::new(report))));
        self.arrived.drain(..).collect()
    }

    fn take_progress(&mut self) {
        while let Ok((machine, phase)) = self.progress.try_recv() {
            self.arrived.push_back(Input::Progress(machine, phase));
        }
    }

    /// Starts a visit, through a relay if the core chose one.
    pub(super) fn visit(
        &mut self,
        snapshot: &Snapshot,
        machine: MachineId,
        visit: Visit,
        quick: bool,
        through: Option<MachineId>,
    ) {
        let Some(known) = snapshot.machines.get(&machine) else { return };
        let mut target = super::target(known);
        if let Some(relay) = through.and_then(|relay| snapshot.machines.get(&relay)) {
            target = target.through(super::target(relay));
            self.relays.insert(machine, target.clone());
        }
        let remote = self.remote.clone();
        let gate = Gate(Arc::new(Mutex::new(Some(self.sender.clone()))));
        let (stops, secrets) = (stops(snapshot, &target.name, &visit), self.secrets.clone());
        let instruments = self.instruments.clone();
        self.visits.spawn(async move {
            let mut visit = visit;
            secrets.fill(&mut visit).await;
            let _wait = stops.map(|what| tracing::info_span!("wait", what));
            let progress = gate.progress(machine);
            let began = Instant::now();
            let report = remote::guarded(&target.name, remote.visit(&target, &visit, quick, &progress)).await;
            if let Some((instruments, clock)) = instruments {
                instruments.visited(&target.name, began.elapsed(), &report, clock.now());
            }
            gate.close();
            (machine, report)
        });
    }

    /// Asks a peer whether it reaches a machine.
    pub(super) fn probe(&mut self, snapshot: &Snapshot, machine: MachineId, peer: MachineId) {
        let machines =
            snapshot.machines.get(&machine).map(super::target).zip(snapshot.machines.get(&peer).map(super::target));
        let remote = self.remote.clone();
        self.probes.spawn(async move {
            let look = async {
                let (target, via) = machines?;
                remote::guarded(&via.name, remote.probe(&via, &target, LOOK_LIMIT)).await.ok()
            };
            // A peer that takes longer has a fault of its own.
            let look = tokio::time::timeout(ANSWER_LIMIT, look).await;
            (machine, peer, look.ok().flatten())
        });
    }

    /// Fences a machine.
    pub(super) fn fence(&mut self, snapshot: &Snapshot, machine: MachineId, commands: &FenceCommands) {
        let Some(known) = snapshot.machines.get(&machine).cloned() else { return };
        let command = commands.of(&known).cloned();
        self.fencings.spawn(async move {
            let ended = match command {
                Some(command) => fence::fence(&known, &command).await,
                None => Err("the machine has no fence command".to_owned()),
            };
            (machine, ended)
        });
    }

    /// Closes the connection through a relay.
    pub(super) fn leave(&mut self, machine: MachineId) {
        while self.closings.try_join_next().is_some() {}
        if let Some(target) = self.relays.remove(&machine) {
            let remote = self.remote.clone();
            self.closings.spawn(async move { remote.forget(&target).await });
        }
    }
}

/// Returns the text for an operator who waits for a visit that stops units: which unit, and for how long systemd lets it stop.
fn stops(snapshot: &Snapshot, machine: &str, visit: &Visit) -> Option<String> {
    let units: Vec<&UnitName> = visit.stops().collect();
    let (first, more) = units.split_first()?;
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let limit = snapshot.file(first).map(|file| match file.stop_limit() {
        Some(limit) if limit.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!(" (TimeoutStopSec= of {first} is {limit} s)")
        }
        Some(limit) => format!(" (TimeoutStopSec= of {first} is {})", truncate(limit, LIMIT_LENGTH)),
        None => String::new(),
    });
    Some(format!("{machine} to stop {first}{more}{}", limit.unwrap_or_default()))
}

/// Lets the progress of one visit through until the visit ends.
#[derive(Clone)]
struct Gate(Arc<Mutex<Option<ProgressSender>>>);

impl Gate {
    fn progress(&self, machine: MachineId) -> Progress {
        let gate = self.clone();
        Progress::new(move |phase| {
            if let Some(sender) = gate.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                let _ = sender.try_send((machine, phase));
            }
        })
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::model::Action;
    use crate::core::model::DesiredState;
    use crate::core::model::FailureKind;
    use crate::core::model::Machine;
    use crate::core::model::Reason;
    use crate::core::model::Step;
    use crate::core::model::Unit;
    use crate::core::unit::UnitFile;
    use crate::remote::Command;
    use crate::remote::Exit;
    use crate::remote::Facts;
    use crate::remote::Remote;
    use crate::remote::Sink;

    /// A way to hosts on which those called `bad` cause a panic. The others report progress, keep the callback, and are
    /// sick.
    #[derive(Debug, Default)]
    struct Treacherous(Mutex<Vec<Progress>>);

    #[async_trait::async_trait]
    impl Remote for Treacherous {
        async fn visit(&self, target: &Target, _: &Visit, _: bool, progress: &Progress) -> Result<Report, Failure> {
            progress.report(Phase::KeyExchange);
            tokio::task::yield_now().await;
            assert_ne!(target.name, "bad");
            progress.report(Phase::Run);
            self.0.lock().unwrap().push(progress.clone());
            let (host, detail) = (target.name.clone(), "nonsense".to_owned());
            Err(Failure { host, phase: Phase::Run, kind: FailureKind::Sick, detail, hint: None })
        }

        async fn facts(&self, _: &Target) -> Result<Facts, Failure> {
            unreachable!()
        }

        async fn exec(&self, _: &Target, _: &Command, _: &mut dyn Sink) -> Result<Exit, Failure> {
            unreachable!()
        }

        async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
            unreachable!()
        }

        async fn probe(&self, via: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
            assert_ne!(via.name, "bad");
            Ok(true)
        }

        async fn forget(&self, _: &Target) {}

        async fn close(&self, _: Duration) {}
    }

    fn snapshot_of(machines: &[(MachineId, &str)]) -> Snapshot {
        let machine =
            |&(id, name): &(MachineId, &str)| (id, Machine { id, name: name.to_owned(), ..Machine::default() });
        Snapshot { machines: machines.iter().map(machine).collect(), ..Snapshot::default() }
    }

    #[test]
    fn a_wait_for_a_visit_that_stops_units_says_so_and_for_how_long_it_may_last() {
        let unit: UnitName = "slow.service".parse().unwrap();
        let step =
            |unit: &str| Step { unit: unit.parse().unwrap(), action: Action::Stop, reason: Reason::WantedLoaded };
        let visit = |units: &[&str]| Visit { steps: units.iter().map(|unit| step(unit)).collect(), ..Visit::default() };
        let file = |text: &str| {
            let file = UnitFile::parse(text).unwrap();
            let record = Unit::new(file.hash(), DesiredState::Loaded);
            let (units, files) = ([(unit.clone(), record)].into(), [(file.hash(), Arc::new(file))].into());
            Snapshot { files, units, ..Snapshot::default() }
        };
        let plain = Snapshot::default();
        assert_eq!(stops(&plain, "core-01", &Visit::default()), None);
        assert_eq!(stops(&plain, "core-01", &visit(&["a.service"])).unwrap(), "core-01 to stop a.service");
        let two = visit(&["slow.service", "web.service"]);
        let limited = file("[Service]\nTimeoutSec=5\nTimeoutStopSec=15\n");
        let expected = "core-01 to stop slow.service and 1 more (TimeoutStopSec= of slow.service is 15 s)";
        assert_eq!(stops(&limited, "core-01", &two).unwrap(), expected);
        let long = file("[Service]\nTimeoutStopSec=5min\n");
        let expected = "core-01 to stop slow.service (TimeoutStopSec= of slow.service is 5min)";
        assert_eq!(stops(&long, "core-01", &visit(&["slow.service"])).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_panic_on_the_way_to_a_host_is_a_failure_of_that_host_and_the_others_go_on() {
        let (bad, good) = (MachineId::from_bits(1), MachineId::from_bits(2));
        let snapshot = snapshot_of(&[(bad, "bad"), (good, "good")]);
        let mut in_flight = InFlight::new(Arc::new(Treacherous::default()));
        for machine in [bad, good] {
            in_flight.visit(&snapshot, machine, Visit::default(), false, None);
        }
        let mut failed = BTreeMap::new();
        while !in_flight.is_idle() {
            if let Input::Visited(machine, result) = in_flight.next().await {
                failed.insert(machine, result.unwrap_err());
            }
        }
        assert_eq!(failed[&good].kind, FailureKind::Sick);
        assert_eq!(failed[&bad].kind, FailureKind::Local);
        assert_eq!(failed[&bad].to_string(), "bad: run: muster itself failed on the way: this is a bug");

        // The answer of a peer about which muster fails is no answer.
        for (peer, expected) in [(bad, None), (good, Some(true))] {
            in_flight.probe(&snapshot, good, peer);
            let Input::Probed { reached, .. } = in_flight.next().await else { panic!("no answer came back") };
            assert_eq!(reached, expected);
        }
    }

    #[tokio::test]
    async fn the_progress_of_a_visit_comes_before_its_end_and_never_after() {
        let good = MachineId::from_bits(2);
        let snapshot = snapshot_of(&[(good, "good")]);
        let remote = Arc::new(Treacherous::default());
        let mut in_flight = InFlight::new(remote.clone());
        let shown = |input: &Input| match input {
            Input::Progress(machine, phase) if *machine == good => phase.to_string(),
            Input::Visited(machine, _) if *machine == good => "end".to_owned(),
            other => panic!("{other:?}"),
        };
        in_flight.visit(&snapshot, good, Visit::default(), false, None);
        let mut inputs = Vec::new();
        while !in_flight.is_idle() {
            inputs.push(shown(&in_flight.next().await));
        }
        assert_eq!(inputs, ["key exchange", "run", "end"]);

        // The same without waiting, and what the first visit still reports is not delivered.
        in_flight.visit(&snapshot, good, Visit::default(), false, None);
        remote.0.lock().unwrap()[0].report(Phase::Authenticate);
        let mut inputs = vec![shown(&in_flight.next().await)];
        while !in_flight.is_idle() {
            tokio::task::yield_now().await;
            inputs.extend(in_flight.ready().iter().map(shown));
        }
        assert_eq!(inputs, ["key exchange", "run", "end"]);
    }
}
