//! `muster ui`, as a browser of the same host uses it: the address works once, and without its token nothing is told.

use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Desk;
use super::run;
use super::unit;
use crate::hosts::until;

/// `muster ui` while it runs.
struct Page {
    child: Child,
    base: String,
    key: String,
}

impl Page {
    fn open(desk: &Desk) -> Self {
        let mut command = desk.command(&["ui", "--no-open"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let (base, key) = address.trim_end().split_once("/#key=").unwrap_or_else(|| panic!("{address}"));
        assert!(base.starts_with("http://127.0.0.1:"), "{address}");
        Self { child, base: base.to_owned(), key: key.to_owned() }
    }

    /// Asks with curl. Returns the status and the body.
    fn ask(&self, args: &[&str], path: &str) -> (u16, String) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--noproxy", "*", "-w", "\n%{http_code}"]).args(args);
        let said = run(curl.arg(format!("{}{path}", self.base))).ok();
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// Changes a key for the token.
    fn exchange(&self, key: &str) -> (u16, String) {
        let body = json!({"key": key}).to_string();
        self.ask(&["-H", "Content-Type: application/json", "-d", &body], "/api/v1/session")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_address_of_the_page_works_once_and_its_token_is_needed_for_everything_else() {
    let desk = Desk::new();
    desk.write("web.service", unit("web"));
    desk.muster(&["submit", "web.service"]).ok();
    let page = Page::open(&desk);
    let (status, html) = page.ask(&[], "/");
    assert!(status == 200 && html.contains("<title>muster</title>"), "{status} {html}");
    for path in ["/api/v1/cluster", "/api/v1/session", "/metrics", "/fleet/v1/units", "/nothing"] {
        assert_eq!(page.ask(&[], path).0, 401, "{path}");
    }
    assert_eq!(page.ask(&["-H", "Authorization: Bearer "], "/api/v1/cluster").0, 401);
    assert_eq!(page.exchange(&page.key.replace(char::is_alphanumeric, "0")).0, 401);
    // A page that lets its own name point to 127.0.0.1, and the page of another port.
    assert_eq!(page.ask(&["-H", "Host: evil.example"], "/").0, 421);
    let body = json!({"key": page.key}).to_string();
    let foreign = ["-H", "Origin: http://127.0.0.1:1", "-H", "Content-Type: application/json", "-d", &body];
    assert_eq!(page.ask(&foreign, "/api/v1/session").0, 403);
    let (status, answer) = page.exchange(&page.key);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let (status, said) = page.exchange(&page.key);
    assert!(status == 401 && said.contains("this address was used already"), "{status} {said}");
    let token = format!("Authorization: Bearer {}", answer["token"].as_str().unwrap());
    let get = |path: &str| serde_json::from_str::<Value>(&page.ask(&["-H", &token], path).1).unwrap();
    until(
        "the store was read",
        Duration::from_secs(20),
        || page.ask(&["-H", &token], "/api/v1/overview").0,
        |it| *it == 200,
    );
    assert_eq!(get("/api/v1/overview")["units"][0]["unit"], "web.service");
    let session = get("/api/v1/session");
    assert_eq!((&session["role"], &session["carries_out"]), (&json!("operate"), &json!(true)));
    let own = format!("Origin: {}", page.base);
    let (status, _) = page.ask(&["-H", &token, "-H", &own, "-X", "POST"], "/api/v1/units/web.service/load");
    assert_eq!(status, 202);
    let asked = desk.muster(&["audit"]).ok();
    assert!(asked.contains("web.service: load asked for by "), "{asked}");
}

#[test]
fn the_page_ends_with_an_interrupt() {
    let desk = Desk::new();
    let mut page = Page::open(&desk);
    let id = page.child.id().to_string();
    run(Command::new("kill").args(["-INT", &id])).ok();
    assert_eq!(page.child.wait().unwrap().code(), Some(0));
    desk.fails(&["ui", "--no-open", "--store", "sqlite:none.db"], 2, &["none.db does not exist"]);
}
