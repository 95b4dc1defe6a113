//! A muster process that runs beside a test, and the cluster as muster's commands show it.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use muster::lab::Host;
use muster::lab::Lab;

use super::bare;
use super::fleetctl;
use super::muster;
use super::ssh_as;
use super::until;

/// A muster process. It is killed when this is dropped.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- what {} said:\n{}---", self.log.display(), self.said());
        }
        let _ = fs::remove_file(&self.log);
    }
}

impl Daemon {
    /// Starts muster against a lab's hosts and store. Its stdout and stderr go to one log.
    pub(super) fn start(lab: &Lab, args: &[&str]) -> Self {
        let number = super::COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("muster-test-daemon-{}-{number}.log", std::process::id()));
        let file = fs::File::create(&log).unwrap();
        let mut command = bare();
        command.env("MUSTER_CONFIG", lab.config()).args(args).stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log }
    }

    /// Starts a controller and waits until it leads.
    pub(super) fn controller(lab: &Lab, down_after: u32) -> Self {
        let daemon = Self::start(lab, &["controller", "--down-after", &down_after.to_string()]);
        daemon.says("leads (epoch ");
        daemon
    }

    /// Returns the output so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the output contains a text.
    #[track_caller]
    pub(super) fn says(&self, text: &str) {
        until(&format!("it says {text:?}"), Duration::from_secs(30), || self.said(), |said| said.contains(text));
    }

    /// Sends a signal (kill(1)).
    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Kills the process.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(super) fn ended(&mut self, limit: Duration) -> ExitStatus {
        let child = std::cell::RefCell::new(&mut self.child);
        let seen = until("it ends", limit, || child.borrow_mut().try_wait().unwrap(), Option::is_some);
        seen.unwrap()
    }
}

/// Formats cells as fleet's tabwriter does: tab stops of eight, at least one space wide.
pub(super) fn laid_out(rows: &[&[&str]]) -> String {
    let column = |at: usize| rows.iter().map(|row| row[at].len() / 8 + 1).max().unwrap();
    let line = |row: &&[&str]| {
        let fill = |at: usize, text: &str| if at + 1 == row.len() { 0 } else { column(at) - text.len() / 8 };
        let cell = |(at, text): (usize, &&str)| format!("{text}{}", "\t".repeat(fill(at, text)));
        row.iter().enumerate().map(cell).collect::<String>() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Returns the cells of a table's rows, without the header.
pub(super) fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.split('\t').filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    table.lines().skip(1).map(cells).collect()
}

/// Returns a host as fleet shows it: the beginning of its machine-id, and its address.
pub(super) fn legend(host: &Host) -> String {
    format!("{}.../{}", &host.machine.to_string()[..8], host.address)
}

/// Returns the host and `ACTIVE/SUB` of each line of a unit in `list-units`.
pub(super) fn seen(lab: &Lab, unit: &str) -> Vec<(String, String)> {
    let name = |shown: &str| match lab.hosts().iter().find(|host| legend(host) == shown) {
        Some(host) => host.name.clone(),
        None => shown.to_owned(),
    };
    let units = rows(&fleetctl(lab, &["list-units"]).ok());
    let ours = units.into_iter().filter(|row| row[0] == unit);
    ours.map(|row| (name(&row[1]), format!("{}/{}", row[2], row[3]))).collect()
}

/// Waits until a unit runs on one host, which is not this one, and returns that host.
#[track_caller]
pub(super) fn runs_away_from(lab: &Lab, unit: &str, host: &str, limit: Duration) -> String {
    let so = |seen: &Vec<(String, String)>| matches!(&seen[..], [(at, how)] if at != host && how == "active/running");
    until(&format!("{unit} runs away from {host}"), limit, || seen(lab, unit), so).remove(0).0
}

/// Asks systemd for a unit's main process: `0` if it does not run.
pub(super) fn main_pid(lab: &Lab, host: &str, unit: &str) -> String {
    super::ssh(lab, host, &format!("systemctl show --value --property MainPID {unit}"))
}

/// Returns the hosts whose systemd reports a unit as active. Hosts that cannot be reached are left out.
pub(super) fn really_on(lab: &Lab, unit: &str, hosts: &[&str]) -> Vec<String> {
    let active = |host: &&&str| ssh_as(lab, "root", host, &format!("systemctl is-active {unit}")).out == "active\n";
    hosts.iter().filter(active).map(|host| (*host).to_owned()).collect()
}

/// Writes a unit file into the lab's directory and returns its path.
pub(super) fn unit_file(lab: &Lab, name: &str, text: &str) -> String {
    let folder = lab.dir().join("units");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Joins all hosts of a lab to the cluster.
pub(super) fn join(lab: &Lab) {
    muster(lab, &["join"]).ok();
}
