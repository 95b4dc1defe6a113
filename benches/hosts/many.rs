//! Measurements with many hosts: join, sweep and reconcile with nothing to do, the resources of the controller, and
//! failover.

use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use muster::cli::settings::Flags;
use muster::control;
use muster::core::health::BRAKE;
use muster::core::health::DetectionConfig;
use muster::core::model::Timestamp;
use muster::core::reconcile::Reconciler;
use muster::core::reconcile::assignments::Scope;
use muster::lab::Lab;
use muster::remote::ssh::Ssh;
use muster::runner;
use muster::runner::Clock;
use muster::runner::ClusterContext;
use muster::runner::RunContext;
use muster::runner::RunOutcome;
use muster::runner::SecretSource;
use muster::runner::StopCondition;
use muster::store;
use muster::store::layout;
use muster::store::layout::Keyspace;
use muster::store::leader_election;
use muster::store::leader_election::LeaderKind;

use crate::Selection;
use crate::ground;
use crate::table::Table;

/// The number of units that each host runs.
const PER_HOST: usize = 2;

pub(crate) fn measure(selection: &Selection, table: &mut Table) {
    let lab = ground::lab("many", selection.hosts, false);
    let hosts = selection.hosts;
    let mut joins = Vec::new();
    for _ in 0..selection.runs {
        joins.push(ground::timed(ground::muster(&lab).args(["join", "--take-over"])));
        forget(&lab);
    }
    ground::timed(ground::muster(&lab).args(["join", "--take-over"]));
    table.times(&format!("`join` of {hosts} hosts"), &joins, "store: sqlite");

    let file = lab.dir().with_extension("service");
    let template = file.with_file_name("many@.service");
    std::fs::write(&template, "[Service]\nExecStart=/bin/sleep infinity\n").expect("a unit file");
    let names = (1..=hosts * PER_HOST).map(|number| format!("many@{number}.service"));
    let folder = template.parent().unwrap();
    ground::timed(ground::muster(&lab).current_dir(folder).arg("start").args(names));
    std::fs::remove_file(&template).expect("it is ours");

    let sweeps: Vec<Duration> = (0..selection.runs).map(|_| ground::timed(ground::muster(&lab).arg("sweep"))).collect();
    let note = format!("nothing to do, {PER_HOST} units on each");
    table.times(&format!("`sweep` over {hosts} hosts, cold"), &sweeps, &note);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (firsts, reconciles) = runtime.block_on(warm(&lab, selection.runs));
    let note = "a claim and a whole look at each, over open connections";
    table.times(&format!("a new leader's reconcile over {hosts} hosts, warm"), &firsts, note);
    let note = "by the same leader, over open connections: what a controller does every second";
    table.times(&format!("a reconcile over {hosts} hosts, warm"), &reconciles, note);
    drop(runtime);
    controller(&lab, selection, table);
}

/// Removes the store, so that the hosts can join again.
fn forget(lab: &Lab) {
    for file in ["muster.db", "muster.db-wal", "muster.db-shm"] {
        let _ = std::fs::remove_file(lab.dir().join(file));
    }
}

/// Reconciles with nothing to do in one process: each run first by a new leader and then by the same leader. The first
/// run opens the connections and does not count.
async fn warm(lab: &Lab, runs: usize) -> (Vec<Duration>, Vec<Duration>) {
    let settings = Flags { config: Some(lab.config()), ..Flags::default() }.resolve().expect("the lab's settings");
    let context = ClusterContext {
        name: "default".to_owned(),
        store: store::open(&settings.store, &settings.credentials).await.expect("the store"),
        keys: Keyspace::new(&settings.token).expect("a token"),
        remote: Arc::new(Ssh::new(settings.ssh_options().expect("options"))),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "bench".to_owned(),
        stop: tokio_util::sync::CancellationToken::new(),
    };
    let detection = DetectionConfig { down_after: Duration::from_secs(10), brake: BRAKE };
    let (mut firsts, mut reconciles) = (Vec::new(), Vec::new());
    for _ in 0..=runs {
        let start = Instant::now();
        let taken =
            leader_election::try_campaign(&context.store, &context.keys, LeaderKind::Sweep).await.expect("the store");
        let leadership = taken.expect("no other process leads");
        let snapshot = layout::read(&*context.store, &context.keys).await.expect("the store");
        let machines = snapshot.machines.len();
        let mut reconciler = Reconciler::new(leadership.epoch(), Scope::All, control::timing(detection), snapshot);
        let run_context = RunContext::new(&context, leadership);
        firsts.push(run(&mut reconciler, &run_context, start).await);
        assert_eq!(reconciler.views().filter(|(_, view)| view.answers()).count(), machines);
        tokio::time::sleep(control::timing(detection).poll_interval).await;
        let before = looked(&reconciler);
        reconciles.push(run(&mut reconciler, &run_context, Instant::now()).await);
        assert!(looked(&reconciler) > before, "every machine was due");
        run_context.leadership.resign().await;
    }
    context.remote.close(Duration::from_secs(1)).await;
    firsts.remove(0);
    reconciles.remove(0);
    (firsts, reconciles)
}

/// Runs a reconciler until it has settled, and returns the time since `start`.
async fn run(reconciler: &mut Reconciler, run_context: &RunContext, start: Instant) -> Duration {
    let ending = StopCondition::Settled { limit: Duration::ZERO, watch: Duration::ZERO, pulls: false };
    let ended = runner::run(reconciler, run_context, None, ending, &mut |_, _| {}).await.expect("the store");
    assert_eq!(ended, RunOutcome::Finished);
    start.elapsed()
}

/// Returns the time of the last visit to the machine that was visited longest ago.
fn looked(reconciler: &Reconciler) -> Option<Timestamp> {
    reconciler.views().map(|(_, view)| view.heard).min().flatten()
}

/// Measures the memory and processor time of a controller, then the failover after a power cut of one host.
fn controller(lab: &Lab, selection: &Selection, table: &mut Table) {
    let hosts = selection.hosts;
    let controller = Controller::start(lab);
    // After five seconds, the costs of an observation have settled.
    std::thread::sleep(Duration::from_secs(5));
    let before = controller.cpu();
    let watched = Instant::now();
    std::thread::sleep(Duration::from_secs(10));
    let busy = (controller.cpu() - before) / watched.elapsed().as_secs_f64() * 100.0;
    let note = format!("{:.0} MB + {:.0} KB × {hosts} is the aim", 30, 200);
    table.numbers(&format!("controller's memory with {hosts} hosts"), &[controller.resident()], "MB", &note);
    table.numbers("controller's share of a core, nothing to do", &[busy], "%", "");
    let mut moved = Vec::new();
    for host in lab.hosts().iter().rev().take(selection.runs.min(3)) {
        let units = units_on(lab, &host.address.to_string());
        assert!(!units.is_empty(), "{} runs something", host.name);
        let start = Instant::now();
        lab.kill(&host.name).expect("a power cut");
        moved.push(ground::wait(start, "its units to run elsewhere", || {
            units.iter().all(|unit| controller.heard.lock().unwrap().iter().any(|line| started(line, unit, &host.name)))
        }));
        controller.heard.lock().unwrap().clear();
    }
    table.times("failover after a power cut", &moved, "--down-after 8 (its default)");
    controller.stop();
}

/// Reports whether a line of the controller's log says that a unit was started on another host than `lost`.
fn started(line: &str, unit: &str, lost: &str) -> bool {
    line.contains(unit) && line.trim_end().ends_with(": started") && !line.contains(lost)
}

fn units_on(lab: &Lab, address: &str) -> Vec<String> {
    let output = ground::muster(lab).arg("list-units").output().expect("muster");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let here = text.lines().filter(|line| line.split_whitespace().any(|word| word.ends_with(&format!("/{address}"))));
    here.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// A controller that runs, and its log lines.
struct Controller {
    child: Child,
    heard: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Controller {
    fn start(lab: &Lab) -> Self {
        let mut command = ground::muster(lab);
        let mut child = command.arg("controller").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("muster");
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (log, lines) = (heard.clone(), BufReader::new(child.stderr.take().unwrap()).lines());
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| log.lock().unwrap().push(line)));
        let controller = Self { child, heard };
        ground::wait(Instant::now(), "the controller to lead", || {
            controller.heard.lock().unwrap().iter().any(|line| line.contains("leads"))
        });
        controller
    }

    /// Returns the resident memory of the controller, in MB.
    fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a kernel with VmRSS");
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Returns the processor time of the controller, in seconds.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // The fields utime and stime of proc(5), in ticks of a hundredth of a second.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
        self.child.wait().expect("our child");
    }
}
