//! The API of a controller with real hosts: a program without SSH keys starts a unit and sees it move.

use std::fs;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use muster::lab::Lab;

use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::really_on;
use super::lab_with_etcd;
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
    for line in ["muster_machines{health=\"down\"} 1.0", "muster_has_leader 1.0"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}
