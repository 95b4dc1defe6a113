//! Measurements of `top`: the first picture of 50 hosts with 20 units each, and the processor time of an open one. It needs the
//! records of the hosts only.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::ActiveState;
use muster::core::model::ChoiceReason;
use muster::core::model::DesiredState;
use muster::core::model::Health;
use muster::core::model::HealthEvidence;
use muster::core::model::HealthRecord;
use muster::core::model::LoadState;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::ObservationTimes;
use muster::core::model::Placement;
use muster::core::model::PlacementReason;
use muster::core::model::SubState;
use muster::core::model::Unit;
use muster::core::model::UnitState;
use muster::core::model::Write;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;
use muster::runner::Clock;
use muster::store;
use muster::store::Credentials;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::layout::Key;
use muster::store::layout::Keyspace;

use crate::Selection;
use crate::pty::Pty;
use crate::table::Table;

const HOSTS: u128 = 50;
const UNITS_PER_HOST: u128 = 20;

/// For how long the processor time of an open `top` is counted.
const WATCHED: Duration = Duration::from_secs(20);

/// How often a controller publishes its observations.
const PUBLISHED: Duration = Duration::from_secs(1);

pub(crate) fn measure(selection: &Selection, table: &mut Table) {
    let folder = tempfile::tempdir().expect("a folder");
    let location = format!("sqlite:{}", folder.path().join("m.db").display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let keys = Keyspace::new("default").unwrap();
    let store = runtime.block_on(async {
        let store = store::open(&location, &Credentials::default()).await.expect("a store");
        fill(&store, &keys).await;
        store
    });
    let open = |size| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_muster"));
        command.env("PATH", "/usr/bin:/bin").env("HOME", folder.path()).current_dir(folder.path());
        Pty::run(command.args(["--store", &location, "top"]), size)
    };
    let first = || {
        let began = Instant::now();
        let mut pty = open((150, 50));
        pty.shows("host-000");
        let time = began.elapsed();
        pty.keys("q");
        pty.end();
        time
    };
    let firsts: Vec<Duration> = (0..selection.runs).map(|_| first()).collect();
    let note = "from the start of the process to its machines on a terminal of 150×50";
    table.times(&format!("`top`, first picture, {HOSTS} hosts × {UNITS_PER_HOST} units"), &firsts, note);

    let mut pty = open((150, 50));
    pty.keys("2");
    pty.shows("unit-0000.service");
    let idle = share_of_a_core(&pty);
    table.numbers("`top`, open, nothing changes", &[idle], "% of a core", "");
    let publishing = runtime.spawn(async move {
        loop {
            publish(&store, &keys).await;
            tokio::time::sleep(PUBLISHED).await;
        }
    });
    let busy = share_of_a_core(&pty);
    let note = "observations are published every second, as by a controller; the units are shown";
    table.numbers("`top`, open beside a controller", &[busy], "% of a core", note);
    publishing.abort();
    pty.keys("q");
    pty.end();
}

fn share_of_a_core(pty: &Pty) -> f64 {
    let (before, began) = (cpu(pty), Instant::now());
    std::thread::sleep(WATCHED);
    (cpu(pty) - before) / began.elapsed().as_secs_f64() * 100.0
}

/// Returns the processor time of a program, in seconds.
fn cpu(pty: &Pty) -> f64 {
    // The first field of schedstat is the time on a processor, in nanoseconds, of one thread each.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pty.child.id())).expect("it runs");
    let time = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|time| time.parse::<f64>().ok()).unwrap_or_default()
    };
    tasks.flatten().map(time).sum::<f64>() / 1e9
}

async fn publish(store: &SharedStore, keys: &Keyspace) {
    let times = ObservationTimes { at: Clock::start().now(), behind: [].into(), continuous: true };
    store.commit(vec![], vec![keys.put(&Key::Observed, &times)]).await.expect("the store");
}

/// Makes the records of hosts on which all units run.
async fn fill(store: &SharedStore, keys: &Keyspace) {
    let file = UnitFile::parse("[Service]\nExecStart=/bin/sleep infinity\n").unwrap();
    let (hash, file) = (file.hash(), Arc::new(file));
    let now = Clock::start().now();
    for number in 0..HOSTS {
        let id = MachineId::from_bits(number + 1);
        let (name, address) = (format!("host-{number:03}"), format!("ssh://root@10.0.0.{number}").parse().unwrap());
        let (since, reason) = (now, HealthEvidence::Answers.into());
        let machine = Machine { id, name, address, ip: format!("10.0.0.{number}"), systemd: 252, ..Machine::default() };
        let health = HealthRecord { health: Health::Alive, since, last_seen: None, reason, outages: Vec::new() };
        let mut changes = vec![keys.put(&Key::Machine(id), &machine), keys.put(&Key::Health(id), &health)];
        for unit in 0..UNITS_PER_HOST {
            let unit: UnitName = format!("unit-{:04}.service", number * UNITS_PER_HOST + unit).parse().unwrap();
            let reason = PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None };
            let placement = Placement { machine: id, epoch: 1, reason, since, failed_loads: Vec::new(), pull: None };
            let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
            let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
            if number == 0 && changes.len() == 2 {
                changes.extend(layout::submit(keys, &unit, &Unit::new(hash, DesiredState::Launched), &file));
            }
            changes.push(keys.put(&Key::Unit(unit.clone()), &Unit::new(hash, DesiredState::Launched)));
            changes.extend(keys.ops(&[Write::Place(unit.clone(), placement), Write::State(unit, id, state)]));
        }
        for part in changes.chunks(50) {
            store.commit(vec![], part.to_vec()).await.expect("the store");
        }
    }
    publish(store, keys).await;
}
