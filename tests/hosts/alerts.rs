//! Alerts about real faults: each has one alert and one all-clear.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;
use serde_json::Value;

use super::daemon::Daemon;
use super::daemon::join;
use super::lab;
use super::muster;
use super::until;

/// How long an alert or an all-clear may take: detection, the time with or without the problem, and a look.
const LIMIT: Duration = Duration::from_secs(100);

/// Adds a command that writes messages into a file to the settings of a lab.
fn add_receiver(lab: &Lab) {
    let text = fs::read_to_string(lab.config()).unwrap();
    let command = format!("cat >> {}", lab.dir().join("alerts.jsonl").display());
    let receiver = format!("\n[[notify]]\nname = \"log\"\ntype = \"command\"\ncommand = \"{command}\"\n");
    fs::write(lab.config(), text + &receiver).unwrap();
}

/// Returns the messages that the command has got.
fn messages(lab: &Lab) -> Vec<Value> {
    let text = fs::read_to_string(lab.dir().join("alerts.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[ignore = "it waits a minute for the all-clear: scripts/night alerts"]
fn a_power_cut_has_one_alert_and_one_all_clear_although_the_controller_is_killed_between_them() {
    let Some(lab) = lab(2) else { return };
    join(&lab);
    add_receiver(&lab);
    let tested = muster(&lab, &["notify", "test"]);
    assert!(tested.code == Some(0) && tested.out.starts_with("log: sent: "), "{tested:#?}");
    let controller = Daemon::controller(&lab, 4);
    let began = Instant::now();
    lab.kill("core-02").unwrap();
    let got = until("there is an alert", LIMIT, || messages(&lab), |got| got.len() == 2);
    eprintln!("power cut: alert after {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(got[0]["status"], "test");
    assert_eq!((&got[1]["status"], &got[1]["incidents"][0]["machine"]), (&"problem".into(), &"core-02".into()));
    assert_eq!(got[1]["incidents"].as_array().unwrap().len(), 1, "{got:#?}");
    // The command of the receiver has written the message before the store knows that it was sent.
    let listed = || muster(&lab, &["notify", "list"]).ok();
    until("the store knows that it was sent", LIMIT, listed, |listed| listed.starts_with("log: since "));

    drop(controller);
    let second = Daemon::controller(&lab, 4);
    lab.boot("core-02").unwrap();
    let began = Instant::now();
    let got = until("there is an all-clear", LIMIT, || messages(&lab), |got| got.len() > 2);
    eprintln!("power cut: all-clear {:.1} s after the boot", began.elapsed().as_secs_f64());
    assert_eq!(got.len(), 3, "{got:#?}");
    assert_eq!(got[2]["status"], "clear");
    assert_eq!(got[2]["incidents"][0]["id"], got[1]["incidents"][0]["id"]);
    until("nothing is open", LIMIT, listed, String::is_empty);
    drop(second);
    assert_eq!(messages(&lab).len(), 3);
}
