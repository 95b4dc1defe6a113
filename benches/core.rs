//! Measures how long the decisions take, with 10,000 units on 1,000 machines and 50,000 units on 5,000 machines. The
//! hosts and the store are simulated: this benchmark does no I/O.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use criterion::BatchSize;
use criterion::Criterion;
use muster::core::health::BRAKE;
use muster::core::health::DetectionConfig;
use muster::core::model::DesiredState;
use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Health;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::Phase;
use muster::core::model::Report;
use muster::core::model::Snapshot;
use muster::core::model::Timestamp;
use muster::core::model::Unit;
use muster::core::model::Visit;
use muster::core::reconcile::Input;
use muster::core::reconcile::Output;
use muster::core::reconcile::Reconciler;
use muster::core::reconcile::Timing;
use muster::core::reconcile::assignments::Scope;
use muster::core::schedule::RequirementsIndex;
use muster::core::schedule::Scheduler;
use muster::core::simulated_host::SimulatedHost;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;

const MACHINES: u32 = 1_000;
const UNITS: u32 = 10_000;

/// How many results the reconciler gets at once.
const AT_ONCE: usize = 16;

/// Makes a cluster in which every unit is to be launched and none is placed.
fn cluster(name: impl Fn(u32) -> String, options: impl Fn(u32) -> String) -> (Snapshot, RequirementsIndex) {
    sized(MACHINES, UNITS, name, options)
}

fn sized(
    machines: u32,
    units: u32,
    name: impl Fn(u32) -> String,
    options: impl Fn(u32) -> String,
) -> (Snapshot, RequirementsIndex) {
    let mut snapshot = Snapshot::default();
    for number in 0..machines {
        let id = MachineId::from_bits(u128::from(number) << 96);
        let machine = Machine {
            id,
            name: format!("core-{number:04}"),
            address: "ssh://core".parse().unwrap(),
            ip: String::new(),
            metadata: [("zone".to_owned(), (number % 3).to_string()), ("host".to_owned(), number.to_string())].into(),
            cordoned: false,
            os: String::new(),
            systemd: 252,
            ..Machine::default()
        };
        snapshot.machines.insert(id, machine);
    }
    for number in 0..units {
        let unit: UnitName = name(number).parse().unwrap();
        let file = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{}\n", options(number));
        let file = Arc::new(UnitFile::parse(&file).unwrap());
        let wanted = Unit::new(file.hash(), DesiredState::Launched);
        snapshot.units.insert(unit, wanted);
        snapshot.files.insert(file.hash(), file);
    }
    let requirements = RequirementsIndex::of(&snapshot);
    (snapshot, requirements)
}

fn place(c: &mut Criterion) {
    let mut group = c.benchmark_group("place 10,000 units on 1,000 machines");
    group.sample_size(10);
    let web = |number| format!("web-{number}.service");
    let ten = |number| format!("app{}@{}.service", number / 10, number % 10);
    let none = |_| String::new();
    let cases: [(&str, (Snapshot, RequirementsIndex)); 7] = [
        ("that ask for nothing", cluster(web, none)),
        (
            "one in ten in conflict",
            cluster(ten, |n| if n % 100 < 10 { "Conflicts=%p@*.service".into() } else { none(n) }),
        ),
        ("each in conflict with nine", cluster(ten, |_| "Conflicts=%p@*.service".into())),
        ("each in conflict with all", cluster(web, |_| "Conflicts=web-*".into())),
        ("by zone", cluster(web, |n| format!("MachineMetadata=zone={}", n % 2))),
        ("by host", cluster(web, |n| format!("MachineMetadata=host={}", n % MACHINES))),
        (
            "with their leaders",
            cluster(web, |n| if n % 2 == 0 { none(n) } else { format!("MachineOf=web-{}.service", n - 1) }),
        ),
    ];
    for (name, (snapshot, requirements)) in &cases {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let mut board = Scheduler::new(snapshot, |_| Health::Alive, requirements);
                black_box(board.schedule_all(snapshot.units.keys()).len())
            });
        });
    }
    group.finish();
}

/// Returns the timing of a controller.
fn timing() -> Timing {
    let second = Duration::from_secs(1);
    let detection = DetectionConfig { down_after: second * 8, brake: BRAKE };
    let (poll_interval, full_poll_interval, retry_interval) = (second, second * 10, second / 2);
    Timing { poll_interval, full_poll_interval, retry_interval, start_deadline: second * 10, detection, lease: None }
}

/// Simulated hosts, which carry out every step at once.
#[derive(Default)]
struct Hosts {
    by_machine: BTreeMap<MachineId, SimulatedHost>,
    silent: BTreeSet<MachineId>,
    /// How long the reconciler took: the time without the hosts.
    decided: Duration,
}

impl Hosts {
    /// Runs a reconciler until it has no more outputs, and returns the number of steps.
    fn run(&mut self, reconciler: &mut Reconciler, now: Timestamp) -> usize {
        let mut inputs = VecDeque::from([Input::Tick]);
        let mut steps = 0;
        while !inputs.is_empty() {
            let some: Vec<Input> = inputs.drain(..AT_ONCE.min(inputs.len())).collect();
            let begin = Instant::now();
            let outputs = reconciler.handle_all(some, now);
            self.decided += begin.elapsed();
            for output in outputs {
                inputs.push_back(match output {
                    Output::Commit(_) => Input::Committed(true),
                    Output::Visit { machine, .. } if self.silent.contains(&machine) => {
                        Input::Visited(machine, Box::new(Err(silence())))
                    }
                    Output::Visit { machine, visit, quick, .. } => {
                        steps += visit.steps.len();
                        Input::Visited(machine, Box::new(Ok(self.visit(machine, &visit, quick, now))))
                    }
                    Output::Probe { machine, peer } => Input::Probed { machine, peer, reached: Some(false) },
                    Output::Deposed | Output::Leave(_) | Output::Fence(_) => unreachable!(),
                });
            }
        }
        steps
    }

    fn visit(&mut self, machine: MachineId, visit: &Visit, quick: bool, now: Timestamp) -> Report {
        let new = || SimulatedHost::new(machine, "boot".to_owned());
        self.by_machine.entry(machine).or_insert_with(new).visit(visit, quick, 0, now.since(Timestamp::ZERO))
    }
}

fn silence() -> Failure {
    let (host, detail) = (String::new(), "no answer within 4 s".to_owned());
    Failure { host, phase: Phase::Connect, kind: FailureKind::Silent, detail, hint: None }
}

/// Measures the time from the report of the first visit to the last machine until the first steps of all machines are
/// sent: assessment, scheduling and planning.
fn plan(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan 10,000 units on 1,000 machines");
    group.sample_size(10);
    let (snapshot, _) = cluster(|number| format!("web-{number}.service"), |_| String::new());
    let now = Timestamp::from_millis(1_000_000);
    let looked = || {
        let mut reconciler = Reconciler::new(1, Scope::All, timing(), snapshot.clone());
        let mut hosts = Hosts::default();
        let looks = reconciler.handle(Input::Tick, now).into_iter().filter_map(|output| match output {
            Output::Visit { machine, visit, quick, .. } => {
                Some(Input::Visited(machine, Box::new(Ok(hosts.visit(machine, &visit, quick, now)))))
            }
            _ => None,
        });
        let mut looks: Vec<Input> = looks.collect();
        let last = looks.pop().unwrap();
        for look in looks {
            drop(reconciler.handle(look, now));
        }
        (reconciler, last)
    };
    group.bench_function("placements, and then the steps of every machine", |bencher| {
        bencher.iter_batched(
            looked,
            |(mut reconciler, last)| {
                drop(reconciler.handle(last, now));
                // The first answer is about the health records, the second about the placements.
                let outputs = std::iter::repeat_with(|| reconciler.handle(Input::Committed(true), now));
                let steps = outputs.take(3).flatten().filter_map(|output| match output {
                    Output::Visit { visit, .. } => Some(visit.steps.len()),
                    _ => None,
                });
                assert_eq!(steps.sum::<usize>(), 2 * UNITS as usize);
                reconciler
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn reconciler(c: &mut Criterion) {
    let mut group = c.benchmark_group("a reconcile of 10,000 units on 1,000 machines");
    group.sample_size(10);
    let (snapshot, _) = cluster(|number| format!("web-{number}.service"), |_| String::new());
    let begin = Timestamp::from_millis(1_000_000);
    group.bench_function("from nothing until all is started", |bencher| {
        bencher.iter_batched(
            || snapshot.clone(),
            |snapshot| {
                let mut reconciler = Reconciler::new(1, Scope::All, timing(), snapshot);
                let steps = Hosts::default().run(&mut reconciler, begin);
                assert_eq!(steps, 2 * UNITS as usize);
                reconciler
            },
            BatchSize::LargeInput,
        );
    });
    let mut reconciler = Reconciler::new(1, Scope::All, timing(), snapshot);
    let mut hosts = Hosts::default();
    hosts.run(&mut reconciler, begin);
    let mut now = begin;
    group.bench_function("nothing to do: one round of whole looks", |bencher| {
        bencher.iter(|| {
            now = now + Duration::from_secs(11);
            assert_eq!(hosts.run(&mut reconciler, now), 0);
        });
    });
    let known = reconciler.snapshot().clone();
    group.bench_function("nothing to do, for a new leader", |bencher| {
        bencher.iter_batched(
            || known.clone(),
            |known| {
                let mut reconciler = Reconciler::new(2, Scope::All, timing(), known);
                assert_eq!(hosts.run(&mut reconciler, begin), 0);
                reconciler
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Measures the work of a controller of several thousand machines in one second, without that of the hosts.
fn rounds(c: &mut Criterion) {
    let mut group = c.benchmark_group("a round over 50,000 units on 5,000 machines");
    group.sample_size(10);
    let (snapshot, _) = sized(5_000, 50_000, |number| format!("web-{number}.service"), |_| String::new());
    let mut now = Timestamp::from_millis(1_000_000);
    let mut reconciler = Reconciler::new(1, Scope::All, timing(), snapshot);
    let mut hosts = Hosts::default();
    hosts.run(&mut reconciler, now);
    // Ten rounds at a time: each machine is observed fully in one of them.
    let mut rounds = |hosts: &mut Hosts, times: u64| {
        hosts.decided = Duration::ZERO;
        for _ in 0..times * 10 {
            now = now + Duration::from_secs(1);
            hosts.run(&mut reconciler, now);
        }
        hosts.decided / 10
    };
    group.bench_function("all answer", |bencher| bencher.iter_custom(|times| rounds(&mut hosts, times)));
    hosts.silent = hosts.by_machine.keys().step_by(100).copied().collect();
    rounds(&mut hosts, 2);
    group.bench_function("one in a hundred is silent", |bencher| {
        bencher.iter_custom(|times| rounds(&mut hosts, times));
    });
    group.finish();
}

criterion::criterion_group!(benches, place, plan, reconciler, rounds);
criterion::criterion_main!(benches);
