//! How long the decisions take, at the size muster is made for: 10,000 units on 1,000 machines.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use muster::core::cluster::DesiredState;
use muster::core::cluster::Machine;
use muster::core::cluster::MachineId;
use muster::core::cluster::Snapshot;
use muster::core::cluster::Unit;
use muster::core::judge::Verdict;
use muster::core::place::Asks;
use muster::core::place::Board;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;

const MACHINES: u32 = 1_000;
const UNITS: u32 = 10_000;

/// A cluster with every unit wanted and none placed.
fn cluster(name: impl Fn(u32) -> String, options: impl Fn(u32) -> String) -> (Snapshot, Asks) {
    let mut snapshot = Snapshot::default();
    for number in 0..MACHINES {
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
    for number in 0..UNITS {
        let unit: UnitName = name(number).parse().unwrap();
        let file = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{}\n", options(number));
        let file = Arc::new(UnitFile::parse(&file).unwrap());
        let wanted = Unit { hash: file.hash(), desired: DesiredState::Launched, restarts: 0 };
        snapshot.units.insert(unit, wanted);
        snapshot.files.insert(file.hash(), file);
    }
    let asks = Asks::of(&snapshot);
    (snapshot, asks)
}

fn place(c: &mut Criterion) {
    let mut group = c.benchmark_group("place 10,000 units on 1,000 machines");
    group.sample_size(10);
    let web = |number| format!("web-{number}.service");
    let ten = |number| format!("app{}@{}.service", number / 10, number % 10);
    let none = |_| String::new();
    let cases: [(&str, (Snapshot, Asks)); 7] = [
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
    for (name, (snapshot, asks)) in &cases {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let mut board = Board::new(snapshot, |_| Verdict::Alive, asks);
                black_box(board.place_all(snapshot.units.keys()).len())
            });
        });
    }
    group.finish();
}

criterion::criterion_group!(benches, place);
criterion::criterion_main!(benches);
