//! Two operators at the same time with one store.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use muster::core::model::Address;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::store::layout::Key;

use super::Desk;
use super::unit;
use crate::hosts::until;
use crate::store::server::Server;
use crate::store::server::installed;

#[test]
fn concurrent_submits_all_succeed_and_nothing_is_lost() {
    let desk = Desk::new();
    desk.write("same.service", unit("same"));
    let names: Vec<String> = (0..10).map(|number| format!("own-{number}.service")).collect();
    for name in &names {
        desk.write(name, unit(name));
    }
    // The store does not exist yet either.
    let same = std::iter::repeat_n(vec!["submit", "same.service"], 10);
    let own = names.iter().map(|name| vec!["submit", name.as_str(), "same.service"]);
    let all: Vec<_> = same
        .chain(own)
        .map(|args| desk.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let said: Vec<_> = all.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &said {
        assert!(output.status.success(), "{output:?}");
    }
    let printed: String = said.iter().map(|output| String::from_utf8_lossy(&output.stdout)).collect();
    let mut created: Vec<&str> = printed.lines().collect();
    created.sort_unstable();
    let mut expected: Vec<String> = names.iter().map(|name| format!("Unit {name} inactive")).collect();
    expected.push("Unit same.service inactive".to_owned());
    assert_eq!(created, expected, "each is made once, by one of them");
    let listed = desk.muster(&["list-unit-files", "--no-legend", "--fields=unit"]).ok();
    assert_eq!(listed.lines().count(), 11, "{listed}");
    for name in &names {
        assert_eq!(desk.muster(&["cat", name]).ok(), unit(name));
    }
}

#[test]
fn leadership_is_shown_and_taken_away_with_a_reason() {
    take_leadership(&Desk::new());
}

#[test]
fn leadership_in_etcd_is_taken_away_too() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let desk = Desk::new();
    let settings = format!("store = \"etcd://{}\"\n", server.address());
    desk.write("muster.toml", &settings);
    let shown = || desk.muster(&["lock", "show"]).code;
    until("etcd answers", Duration::from_secs(20), shown, |code| *code == Some(0));
    take_leadership(&desk);
    assert!(server.ctl(&["get", "--prefix", "--keys-only", "/muster/"]).contains("/epoch"), "it was in etcd");
}

/// Runs a controller, shows that it leads, and takes its leadership away.
fn take_leadership(desk: &Desk) {
    assert_eq!(desk.muster(&["lock", "show"]).ok(), "no process leads\n");
    let log = fs::File::create(desk.path("log")).unwrap();
    let mut controller = desk.command(&["controller"]).stderr(log).spawn().unwrap();
    let says = |text: &str| {
        let said = || fs::read_to_string(desk.path("log")).unwrap();
        until(text, Duration::from_secs(20), said, |said| said.contains(text));
    };
    says("leads (epoch ");
    let pid = format!("(process {}, for ", controller.id());
    let shown = desk.muster(&["lock", "show"]).ok();
    assert!(shown.starts_with("a controller on ") && shown.contains(&pid), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&desk.muster(&["lock", "show", "-o", "json"]).ok()).unwrap();
    assert_eq!((&json["kind"], &json["pid"]), (&"controller".into(), &controller.id().into()), "{json}");
    assert!(json["epoch"].as_u64() > Some(0) && json["since"].is_u64() && json["age"].is_u64(), "{json}");
    desk.fails(&["lock", "take"], 2, &["--reason <TEXT>"]);
    let taken = desk.muster(&["lock", "take", "--reason", "it hangs"]).ok();
    assert!(taken.starts_with("taken from a controller on ") && taken.contains(&pid), "{taken}");
    says("no longer leads: its record in the store was removed, or was not renewed in time");
    let events = desk.muster(&["events"]).ok();
    assert!(events.contains("leadership was taken from a controller on ") && events.contains(": it hangs"), "{events}");
    controller.kill().unwrap();
    controller.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_whose_leadership_is_taken_away_reports_it() {
    let desk = Desk::new();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set_nonblocking(true).unwrap();
    let port = Some(host.local_addr().unwrap().port());
    let address = Address { user: Some("root".to_owned()), host: "127.0.0.1".to_owned(), port };
    let id = MachineId::from_bits(1);
    let machine = Machine { id, name: "core-01".to_owned(), address, systemd: 252, ..Machine::default() };
    let (store, keys) = desk.store().await;
    store.commit(Vec::new(), vec![keys.put(&Key::Machine(id), &machine)]).await.unwrap();

    let sweep = desk.command(&["sweep"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The sweep is connected to a host that does not answer.
    let come = || host.accept().map_err(|error| error.kind());
    let held = until("it comes", Duration::from_secs(20), come, Result::is_ok);
    let taken = desk.muster(&["lock", "take", "--reason", "it hangs"]).ok();
    assert!(taken.starts_with("taken from a sweep on "), "{taken}");
    drop((host, held));
    let output = sweep.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Error: another process took leadership\nHint: "), "{said}");
}
