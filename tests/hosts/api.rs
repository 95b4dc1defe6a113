//! The API of a controller with real hosts: a program without SSH keys starts a unit and sees it move.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use super::bare;
use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::really_on;
use super::daemon::unit_file;
use super::lab_with_etcd;
use super::muster;
use super::run;
use super::until;

const LIMIT: Duration = Duration::from_mins(1);

const ALL: [&str; 3] = ["core-01", "core-02", "core-03"];

fn curl(lab: &Lab) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--no-buffer", "--unix-socket"]).arg(lab.dir().join("api.sock"));
    curl
}

fn get(lab: &Lab, path: &str) -> serde_json::Value {
    let said = run(curl(lab).args(["--max-time", "20"]).arg(format!("http://muster{path}"))).ok();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A client that follows the events.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_program_without_keys_starts_a_unit_and_sees_it_move() {
    let Some(lab) = lab_with_etcd(3) else { return };
    join(&lab);
    let listen = format!("unix:{}", lab.dir().join("api.sock").display());
    let controller = Daemon::start(&lab, &["controller", "--down-after", "4", "--listen", &listen]);
    controller.says("serves the API on unix:");
    controller.says("leads (epoch ");
    // The controller serves the API before it has read the store.
    let reads = || run(curl(&lab).args(["--fail", "--max-time", "20", "http://muster/fleet/v1/state"])).code;
    until("the controller has read the store", LIMIT, reads, |code| *code == Some(0));
    let heard = lab.dir().join("heard");
    let events = curl(&lab)
        .args(["--header", "Accept: text/event-stream", "http://muster/api/v1/events"])
        .stdout(fs::File::create(&heard).unwrap())
        .stderr(Stdio::null())
        .spawn();
    let _following = Following(events.unwrap());
    let hears = |text: &str| until(text, LIMIT, || fs::read_to_string(&heard).unwrap(), |said| said.contains(text));

    let wish = r#"{"desiredState": "launched", "options": [
        {"section": "Service", "name": "ExecStart", "value": "/bin/sleep infinity"}]}"#;
    let put = ["--request", "PUT", "--header", "Content-Type: application/json", "--data", wish];
    run(curl(&lab).args(put).args(["--fail", "http://muster/fleet/v1/units/web.service"])).ok();
    let state = || get(&lab, "/fleet/v1/state?unitName=web.service")["states"][0].clone();
    let first = until("web.service runs", LIMIT, state, |state| state["systemdActiveState"] == "active");
    let host = |state: &serde_json::Value| {
        let id = state["machineID"].as_str().unwrap().to_owned();
        lab.hosts().iter().find(|host| host.machine.to_string() == id).unwrap().name.clone()
    };
    let at = host(&first);
    assert_eq!(really_on(&lab, "web.service", &ALL), [at.as_str()]);
    hears("web.service");

    lab.kill(&at).unwrap();
    let moved = until("web.service runs elsewhere", LIMIT, state, |state| {
        state["systemdActiveState"] == "active" && state["machineID"] != first["machineID"]
    });
    let others: Vec<&str> = ALL.into_iter().filter(|host| *host != at).collect();
    assert_eq!(really_on(&lab, "web.service", &others), [host(&moved).as_str()]);
    hears("\"to\":\"down\"");
    let problems = get(&lab, "/api/v1/problems");
    assert!(
        problems.as_array().unwrap().iter().any(|problem| problem["what"].as_str().unwrap().contains(&at)),
        "{problems}"
    );
    let machines = get(&lab, "/fleet/v1/machines");
    assert_eq!(
        machines["machines"].as_array().unwrap().len(),
        2,
        "fleet lists the machines that are there: {machines}"
    );
    let why = get(&lab, "/api/v1/units/web.service/why");
    assert_eq!(why["desired"], "launched", "{why}");
    let metrics = run(curl(&lab).arg("http://muster/metrics")).ok();
    for line in [
        "muster_machines{health=\"down\"} 1.0",
        "muster_has_leader 1.0",
        "muster_visit_duration_seconds_count{end=\"answered\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn the_command_line_needs_no_keys_beside_the_api() {
    let Some(lab) = lab_with_etcd(1) else { return };
    join(&lab);
    let listen = format!("unix:{}", lab.dir().join("api.sock").display());
    let controller = Daemon::start(&lab, &["controller", "--listen", &listen]);
    controller.says("serves the API on unix:");
    controller.says("leads (epoch ");
    // It has no key that a host accepts.
    let home = lab.dir().join("keyless");
    fs::create_dir_all(&home).unwrap();
    let through = |args: &[&str]| {
        let mut command = bare();
        run(command.env("HOME", &home).args(["--api", &listen, "--ssh-config", "none"]).args(args))
    };
    let says =
        unit_file(&lab, "says.service", "[Service]\nExecStart=/bin/sh -c 'echo hello from it; exec sleep infinity'\n");
    let started = through(&["start", &says]).ok();
    assert!(started.contains("says.service launched on "), "{started}");
    let dies = unit_file(&lab, "dies.service", "[Service]\nExecStart=/bin/sh -c 'echo no luck; exit 3'\n");
    let died = through(&["start", &dies]);
    assert!(died.code == Some(1) && died.err.contains("dies.service"), "{died:?}");
    let journal = through(&["journal", "says.service", "-n", "5", "--output", "cat"]).ok();
    assert!(journal.contains("hello from it"), "{journal}");
    let status = through(&["status", "says.service"]).ok();
    assert!(status.contains("Active: active (running)"), "{status}");
    assert_eq!(through(&["status", "dies.service"]).code, Some(3), "the exit code of systemctl");
    assert_eq!(through(&["list-units"]).ok(), muster(&lab, &["list-units"]).ok());

    // An operation says how it ended, as the command does.
    let wish = r#"{"verb": "restart", "units": ["dies.service", "says.service"], "settle": 0}"#;
    let post = ["--header", "Content-Type: application/json", "--data", wish, "http://muster/api/v1/operations"];
    let begun: serde_json::Value = serde_json::from_str(&run(curl(&lab).args(post)).ok()).unwrap();
    let path = format!("/api/v1/operations/{}", begun["id"].as_str().unwrap());
    let ended = until("the operation has ended", LIMIT, || get(&lab, &path), |it| it["ended_at"].is_number());
    let problems = ended["problems"].as_array().unwrap();
    assert!(problems.len() == 1 && problems[0]["unit"] == "dies.service", "{ended}");
    let reached = ended["progress"].as_array().unwrap().iter().any(|it| it["unit"] == "says.service");
    assert!(reached, "{ended}");

    through(&["destroy", "says.service", "dies.service"]).ok();
    assert_eq!(really_on(&lab, "says.service", &["core-01"]), [""; 0]);
}

/// Answers that take the controller some work.
const PATHS: [&str; 4] = ["/api/v1/unit-files", "/api/v1/plan", "/fleet/v1/units", "/api/v1/simulate?down=core-01"];

/// Asks again and again, over one connection after the other, until it is told to stop. Returns the number of answers.
fn ask_until(socket: &Path, paths: &[&str], stop: &AtomicBool) -> u64 {
    let mut answers = 0;
    for path in paths.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Ok(mut stream) = UnixStream::connect(socket) else { continue };
        let request = format!("GET {path} HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answers += u64::from(answer.starts_with(b"HTTP/1.1 200"));
    }
    answers
}

#[test]
#[ignore = "it takes a minute in which both processors are busy: scripts/night api"]
fn no_lease_is_renewed_late_however_much_clients_ask() {
    let Some(lab) = lab_with_etcd(3) else { return };
    join(&lab);
    let socket = lab.dir().join("api.sock");
    let listen = format!("unix:{}", socket.display());
    let controller = Daemon::start(&lab, &["controller", "--listen", &listen]);
    controller.says("serves the API on unix:");
    controller.says("leads (epoch ");
    let strict = "[Service]\nExecStart=/bin/sleep infinity\n[X-Muster]\nClass=strict\n";
    muster(&lab, &["start", &unit_file(&lab, "one.service", strict)]).ok();
    let submit: Vec<String> =
        (0..500).map(|n| unit_file(&lab, &format!("u{n}.service"), "[Service]\nExecStart=/bin/true\n")).collect();
    muster(&lab, &[&["submit"], &submit.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat()).ok();
    let renewed = || {
        let text = run(curl(&lab).args(["--max-time", "60", "http://muster/metrics"])).ok();
        let line = text.lines().find_map(|line| line.strip_prefix("muster_lease_renewed_timestamp_seconds{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap()
    };
    let (stop, mut renewals, began) = (AtomicBool::new(false), Vec::new(), Instant::now());
    let answers = thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(|| ask_until(&socket, &PATHS, &stop))).collect();
        while began.elapsed() < Duration::from_secs(40) {
            renewals.push(renewed());
        }
        stop.store(true, Ordering::Relaxed);
        asking.into_iter().map(|asking| asking.join().unwrap()).sum::<u64>()
    });
    renewals.dedup();
    let longest = renewals.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    eprintln!(
        "api: {answers} answers in {:.0} s; the lease was renewed after {longest:.1} s at most",
        began.elapsed().as_secs_f64()
    );
    // A lease of 20 s is renewed after a quarter of it, and is in danger after three.
    assert!(renewals.len() > 3 && longest < 10.0, "{renewals:?}");
    assert!(!muster(&lab, &["events", "-n", "1000"]).ok().contains("its lease had ended"), "{}", controller.said());
}
