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
        let socket = format!("unix:{}", desk.path("run/api.sock").display());
        let stderr = fs::File::create(desk.path(log)).unwrap();
        let child = desk.command(&["controller", "--listen", &socket]).stderr(stderr).spawn().unwrap();
        Self { desk, child, log: log.to_owned() }
    }

    fn says(&self, text: &str) {
        let said = || fs::read_to_string(self.desk.path(&self.log)).unwrap();
        until(text, LIMIT, said, |said| said.contains(text));
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
    second.says("another controller has the socket unix:");
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
    desk.fails(&["controller", "--listen", "127.0.0.1:80"], 2, &["expected unix:/PATH, or none"]);
    assert_eq!(fs::read_to_string(desk.path("file")).unwrap(), "mine");
}
