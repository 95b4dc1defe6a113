//! The API of a controller, as a program of the same host uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;
use std::process::Command;
use std::time::Duration;

use super::Desk;
use super::metrics::promtool;
use super::run;
use crate::hosts::until;

const LIMIT: Duration = Duration::from_secs(20);

/// A controller that serves the API.
struct Serving<'a> {
    desk: &'a Desk,
    child: Child,
    log: String,
}

impl<'a> Serving<'a> {
    fn start(desk: &'a Desk, log: &str) -> Self {
        Self::with(desk, log, &[])
    }

    /// Starts one with more arguments.
    fn with(desk: &'a Desk, log: &str, args: &[&str]) -> Self {
        let socket = format!("unix:{}", desk.path("run/api.sock").display());
        let stderr = fs::File::create(desk.path(log)).unwrap();
        let child = desk.command(&["controller", "--listen", &socket]).args(args).stderr(stderr).spawn().unwrap();
        Self { desk, child, log: log.to_owned() }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.desk.path(&self.log)).unwrap()
    }

    fn says(&self, text: &str) {
        until(text, LIMIT, || self.said(), |said| said.contains(text));
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the API with curl, and returns the body.
fn curl(desk: &Desk, args: &[&str], path: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", "--unix-socket"]).arg(desk.path("run/api.sock")).args(args);
    run(curl.arg(format!("http://muster{path}"))).ok()
}

#[test]
fn controllers_of_one_host_serve_the_api_one_after_the_other() {
    let desk = Desk::new();
    desk.write("web.service", "[Service]\nExecStart=/bin/true\n");
    desk.muster(&["submit", "web.service"]).ok();
    let mut first = Serving::start(&desk, "first");
    first.says("serves the API on unix:");
    first.says("leads (epoch ");
    let mode = fs::metadata(desk.path("run/api.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let second = Serving::start(&desk, "second");
    second.says("another process has unix:");
    second.says("stands by: ");
    let started = curl(&desk, &["-X", "POST"], "/api/v1/units/web.service/start");
    assert_eq!(started, "{\"unit\":\"web.service\",\"verb\":\"start\"}");
    let listed: serde_json::Value =
        serde_json::from_str(&desk.muster(&["list-unit-files", "-o", "json"]).ok()).unwrap();
    let served: serde_json::Value = serde_json::from_str(&curl(&desk, &[], "/api/v1/unit-files")).unwrap();
    assert_eq!((&listed[0]["dstate"], &served), (&"launched".into(), &listed));
    desk.write("metrics", curl(&desk, &[], "/metrics"));
    assert_eq!(promtool(&["check", "metrics"], desk.path("metrics").to_str().unwrap()), "");
    let asked = desk.muster(&["audit", "--since", "1h"]).ok();
    let asked: Vec<&str> =
        asked.lines().filter_map(|line| line.split_once("web.service: ")).map(|(_, it)| it).collect();
    assert!(asked[0].starts_with("submit asked for by ") && !asked[0].ends_with("(API)"), "{asked:?}");
    assert!(asked[1].starts_with("start asked for by ") && asked[1].ends_with(" (API)"), "{asked:?}");
    assert_eq!((asked.len(), desk.muster(&["audit", "--by", "mallory"]).ok().as_str()), (2, ""));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    second.says("serves the API on unix:");
    let why: serde_json::Value = serde_json::from_str(&curl(&desk, &[], "/api/v1/units/web.service/why")).unwrap();
    assert_eq!(why["unit"], "web.service");
}

#[test]
fn a_socket_that_cannot_be_made_is_refused() {
    let desk = Desk::new();
    desk.write("file", "mine");
    desk.write("web.service", "[Service]\nExecStart=/bin/true\n");
    desk.muster(&["submit", "web.service"]).ok();
    let taken = format!("unix:{}", desk.path("file").display());
    desk.fails(&["controller", "--listen", &taken], 2, &["--listen: cannot serve ", "file"]);
    desk.fails(&["controller", "--listen", "127.0.0.1:80"], 2, &["expected unix:/PATH, tls:ADDRESS:PORT, or none"]);
    assert_eq!(fs::read_to_string(desk.path("file")).unwrap(), "mine");
}

#[test]
fn the_command_line_says_the_same_through_the_api_as_at_the_store() {
    let desk = Desk::new();
    let controller = Serving::start(&desk, "controller");
    controller.says("leads (epoch ");
    let socket = format!("unix:{}", desk.path("run/api.sock").display());
    let through = |args: &[&str]| desk.muster(&[&["--api", &socket], args].concat());
    desk.write("web.service", "[Service]\nExecStart=/bin/true\n");
    // Without a machine, the unit fits nowhere: the command ends as it does at the store.
    let started = through(&["start", "web.service"]);
    assert_eq!((started.code, started.err.contains("web.service")), (Some(1), true), "{started:?}");
    for args in [
        &["list-unit-files", "-o", "json"][..],
        &["list-units"],
        &["list-machines", "--all"],
        &["list-applications"],
        &["cat", "web.service"],
        &["why", "web.service"],
        &["history", "web.service"],
        &["events"],
        &["plan"],
        &["sweep"],
    ] {
        let (here, there) = (desk.muster(args), through(args));
        assert_eq!((here.code, &here.out), (there.code, &there.out), "{args:?}: {} {}", here.err, there.err);
    }
    assert!(desk.muster(&["audit"]).ok().contains("start asked for by root@"), "the name that the API knows");
    through(&["destroy", "web.service"]).ok();
    assert_eq!(desk.muster(&["list-unit-files"]).ok().lines().count(), 1, "only the head is left");
    drop(controller);
    desk.fails(&["--api", &socket, "list-units"], 3, &[&socket]);
}

#[test]
fn another_host_uses_the_api_with_tls_and_the_role_of_its_token() {
    let desk = Desk::new();
    let authority = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    desk.write("server.pem", authority.cert.pem());
    desk.write("server.key", authority.signing_key.serialize_pem());
    let tls = ["--listen", "tls:127.0.0.1:0", "--tls-cert-file", "server.pem", "--tls-key-file", "server.key"];
    desk.fails(&[&["controller"], &tls[..]].concat(), 2, &["no client is in the access list", "muster access new"]);

    let token = |name: &str, role: &str| -> serde_json::Value {
        serde_json::from_str(&desk.muster(&["access", "new", name, "--role", role, "-o", "json"]).ok()).unwrap()
    };
    let (reader, operator) = (token("ci", "read"), token("alice", "operate"));
    let table = |it: &serde_json::Value| {
        let (name, role, sha) = (it["name"].as_str(), it["role"].as_str(), it["token_sha256"].as_str());
        format!(
            "[[access]]\nname = {:?}\nrole = {:?}\ntoken-sha256 = {:?}\n",
            name.unwrap(),
            role.unwrap(),
            sha.unwrap()
        )
    };
    desk.write("muster.toml", [&reader, &operator].map(table).concat());
    for (file, it) in [("reader", &reader), ("operator", &operator)] {
        desk.write(file, format!("{}\n", it["token"].as_str().unwrap()));
    }
    let controller = Serving::with(&desk, "controller", &tls);
    controller.says("serves the API on tls:127.0.0.1:");
    controller.says("leads (epoch ");
    let said = controller.said();
    let port = said.split_once("tls:127.0.0.1:").unwrap().1.lines().next().unwrap().to_owned();
    let url = format!("https://localhost:{port}");
    let with = |file: &str, args: &[&str]| {
        let common = ["--api", &url, "--api-ca-file", "server.pem", "--api-token-file", file];
        desk.muster(&[&common[..], args].concat())
    };
    desk.write("web.service", "[Service]\nExecStart=/bin/true\n");
    let refused = with("reader", &["submit", "web.service"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("this needs the role operate"), "{refused:?}");
    with("operator", &["submit", "web.service"]).ok();
    assert!(with("reader", &["list-unit-files"]).ok().contains("web.service"));
    assert!(with("reader", &["audit"]).ok().contains("submit asked for by alice@127.0.0.1 (API)"));
    // A token that is taken away is worth nothing after a reload.
    desk.write("muster.toml", table(&operator));
    run(Command::new("kill").args(["-HUP", &controller.child.id().to_string()])).ok();
    controller.says("are read again");
    let refused = with("reader", &["list-unit-files"]);
    assert!(refused.code == Some(2) && refused.err.contains("not in the access list"), "{refused:?}");
    let secrets = [&reader, &operator].map(|it| it["token"].as_str().unwrap().to_owned());
    let said = controller.said();
    assert!(!secrets.iter().any(|secret| said.contains(secret)), "{said}");
}
