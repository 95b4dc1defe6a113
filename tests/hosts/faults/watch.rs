//! The processes of all units, seen from outside of the hosts: their control groups, read every 50 ms on this machine.
//!
//! Nothing here asks muster, SSH or a host's systemd. A second copy of a strict unit that is shorter than that is noticed
//! by the copies themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use super::super::lab::id;

/// The interval between samples.
const INTERVAL: Duration = Duration::from_millis(50);

/// The copies of one unit that have a process that is not frozen: the first process, by host.
pub(super) type Copies = BTreeMap<String, u32>;

/// The running copies at one moment, by unit.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) units: BTreeMap<String, Copies>,
}

/// A thread that takes samples, and the samples.
pub(super) struct Watch {
    record: Arc<Mutex<Vec<Sample>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Watch {
    /// Begins to watch these units.
    pub(super) fn begin(lab: &Lab, units: &[&str]) -> Self {
        let hosts: Vec<(String, PathBuf)> =
            lab.hosts().iter().map(|host| (host.name.clone(), group(lab, &host.name))).collect();
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        let (record, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (record.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let sample = Sample { at: Instant::now(), units: look(&hosts, &units) };
                seen.lock().unwrap().push(sample);
                std::thread::sleep(INTERVAL);
            }
        });
        let watch = Self { record, over, thread: Some(thread) };
        super::super::until(
            "there is a sample",
            INTERVAL * 100,
            || watch.record.lock().unwrap().len(),
            |count| *count > 0,
        );
        watch
    }

    /// Returns the last sample.
    pub(super) fn now(&self) -> Sample {
        self.record.lock().unwrap().last().unwrap().clone()
    }

    /// Returns the samples since `start`, after the last one before it.
    pub(super) fn since(&self, start: Instant) -> Vec<Sample> {
        let record = self.record.lock().unwrap();
        let first = record.partition_point(|sample| sample.at < start).saturating_sub(1);
        record[first..].to_vec()
    }
}

/// Returns a host's control group. On a hybrid machine it is in the unified hierarchy, which freezes, and has all units too.
pub(super) fn group(lab: &Lab, host: &str) -> PathBuf {
    let groups = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let groups = groups.map(|hierarchy| hierarchy.join(format!("muster-{}", id(lab))).join(host));
    groups.into_iter().find(|group| group.join("cgroup.procs").exists()).expect("a running host has a group")
}

/// Returns the processes of a host's unit, by their ids on this machine.
pub(super) fn processes(group: &Path, unit: &str) -> Vec<u32> {
    let file = group.join("payload").join(unit).join("cgroup.procs");
    fs::read_to_string(file).unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
}

/// Returns the processes in the container of a host's unit. Podman puts them into a group of their own.
fn contained(group: &Path, unit: &str) -> Vec<u32> {
    let folders = fs::read_dir(group.join("payload").join(unit)).into_iter().flatten().flatten();
    let names = folders.filter_map(|folder| folder.file_name().into_string().ok());
    let payloads = names.filter(|name| name.starts_with("libpod-payload"));
    payloads.flat_map(|name| processes(group, &format!("{unit}/{name}"))).collect()
}

fn look(hosts: &[(String, PathBuf)], units: &[String]) -> BTreeMap<String, Copies> {
    let mut seen: BTreeMap<String, Copies> = units.iter().map(|unit| (unit.clone(), Copies::new())).collect();
    for (host, group) in hosts {
        let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
        if events.contains("frozen 1") {
            continue;
        }
        for (unit, copies) in &mut seen {
            let slice = format!("system.slice/{unit}");
            let processes = [processes(group, &slice), contained(group, &slice)].concat();
            if let Some(first) = processes.first() {
                copies.insert(host.clone(), *first);
            }
        }
    }
    seen
}
