//! Measurements of `start` and `destroy` for few and many units on three hosts, beside the floor.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use crate::Selection;
use crate::ground;
use crate::ground::Counter;
use crate::table::Table;
use crate::table::median;

/// The unit file: a process that does nothing.
const UNIT: &str = "[Unit]\nDescription=Unit %i\n\n[Service]\nExecStart=/bin/sleep infinity\n";

pub(crate) fn measure(selection: &Selection, table: &mut Table) {
    let lab = ground::lab("units", 3, selection.etcd);
    ground::timed(ground::muster(&lab).arg("join"));
    let store = if selection.etcd { "etcd on the hosts" } else { "sqlite" };
    let mut counters: Vec<Counter> = lab.hosts().iter().map(|host| Counter::open(&lab, &host.name)).collect();
    let folder = lab.dir().parent().unwrap().join(format!("muster-bench-{}-files", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("bench@.service"), UNIT).expect("a unit file");
    for &count in &selection.units {
        let mut rounds = Rounds::default();
        for _ in 0..selection.runs {
            rounds.add(&lab, &folder, count, &mut counters);
        }
        rounds.tell(count, store, table);
    }
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

/// The durations of the parts of each round.
#[derive(Debug, Default)]
struct Rounds {
    floor: Vec<Duration>,
    returned: Vec<Duration>,
    active: Vec<Duration>,
    destroyed: Vec<Duration>,
}

impl Rounds {
    /// Starts the units by `ssh` and `systemctl` and then by muster, so that both meet the same load.
    fn add(&mut self, lab: &Lab, folder: &Path, count: usize, counters: &mut [Counter]) {
        self.floor.push(floor(lab, count));
        assert_eq!(running(counters), count, "the floor has started them all");
        clear(lab, count);
        ground::wait(Instant::now(), "the floor's units to end", || running(counters) == 0);

        let names: Vec<String> = (1..=count).map(|number| format!("bench@{number}.service")).collect();
        let start = Instant::now();
        let mut command = ground::muster(lab);
        command.current_dir(folder).arg("start").args(&names).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().expect("muster");
        let mut returned = None;
        let active = ground::wait(start, "all units to run", || {
            if let (None, Some(status)) = (returned, child.try_wait().expect("our child")) {
                assert!(status.success(), "start ended with {status}");
                returned = Some(start.elapsed());
            }
            running(counters) == count
        });
        let status = child.wait().expect("our child");
        assert!(status.success(), "start ended with {status}");
        self.returned.push(returned.unwrap_or_else(|| start.elapsed()));
        self.active.push(active);
        check(lab, count);
        self.destroyed.push(ground::timed(ground::muster(lab).arg("destroy").args(&names)));
        assert_eq!(running(counters), 0, "destroy has stopped them all");
    }

    fn tell(&self, count: usize, store: &str, table: &mut Table) {
        let middle = |times: &[Duration]| {
            let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
            seconds.sort_by(f64::total_cmp);
            median(&seconds)
        };
        let ratio = middle(&self.active) / middle(&self.floor);
        let s = if count == 1 { "" } else { "s" };
        table.times(&format!("floor: {count} unit{s} by ssh and systemctl"), &self.floor, "3 hosts");
        let note = format!("3 hosts, store: {store}; {ratio:.2} × the floor");
        table.times(&format!("`start` {count} unit{s}, all active"), &self.active, &note);
        table.times(&format!("`start` {count} unit{s}, the command returns"), &self.returned, "");
        table.times(&format!("`destroy` {count} unit{s}"), &self.destroyed, "");
    }
}

fn running(counters: &mut [Counter]) -> usize {
    counters.iter_mut().map(Counter::count).sum()
}

/// Checks once that systemd itself reports all units as active.
fn check(lab: &Lab, count: usize) {
    let ask = "systemctl list-units --no-legend --plain --state=active 'bench@*' | wc -l";
    let counts = lab.hosts().iter().map(|host| {
        let output = ground::ssh(lab, &host.name, ask).output().expect("ssh");
        String::from_utf8_lossy(&output.stdout).trim().parse::<usize>().expect("a number")
    });
    assert_eq!(counts.sum::<usize>(), count, "all are active");
}

/// Starts the units with one `ssh` per host, on all hosts at once: writes the files, then runs one `systemctl link` and
/// one `systemctl start`.
fn floor(lab: &Lab, count: usize) -> Duration {
    let start = Instant::now();
    let children = share(lab, count).map(|(host, numbers)| {
        let mut script = String::from("mkdir -p /run/floor && cd /run/floor\n");
        for number in &numbers {
            script.push_str(&format!("cat >bench@{number}.service <<'E'\n{UNIT}E\n"));
        }
        let names: String = numbers.iter().map(|number| format!(" bench@{number}.service")).collect();
        let paths: String = numbers.iter().map(|number| format!(" /run/floor/bench@{number}.service")).collect();
        script.push_str(&format!("systemctl link --quiet --runtime{paths}\nsystemctl start{names}\n"));
        let mut child = ground::ssh(lab, host, "sh").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ssh");
        child.stdin.take().unwrap().write_all(script.as_bytes()).expect("the host listens");
        child
    });
    for mut child in children.collect::<Vec<_>>() {
        assert!(child.wait().expect("our child").success(), "the floor works");
    }
    start.elapsed()
}

/// Removes the units and files of the floor.
fn clear(lab: &Lab, count: usize) {
    for (host, numbers) in share(lab, count) {
        let names: String = numbers.iter().map(|number| format!(" bench@{number}.service")).collect();
        let script = format!(
            "systemctl stop{names}; systemctl disable --quiet --runtime{names}; rm -r /run/floor; systemctl daemon-reload"
        );
        ground::timed(&mut ground::ssh(lab, host, &script));
    }
}

/// Returns the numbers of the units of each host.
fn share(lab: &Lab, count: usize) -> impl Iterator<Item = (&str, Vec<usize>)> {
    let hosts = lab.hosts();
    let shares = hosts.iter().enumerate().map(move |(index, host)| {
        let numbers: Vec<usize> = (1..=count).filter(|number| number % hosts.len() == index).collect();
        (host.name.as_str(), numbers)
    });
    shares.filter(|(_, numbers)| !numbers.is_empty())
}
