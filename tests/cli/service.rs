//! `muster controller` as a service: the messages to the service manager, SIGHUP, and the next start after a kill. And
//! sweeps as a service.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use super::Desk;
use super::machine;
use super::unit;
use crate::hosts::run;
use crate::hosts::until;
use crate::store::server::Server;
use crate::store::server::installed;
use crate::store::skip;

/// How long a message may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A controller and the service manager to which it reports.
struct Service {
    child: Child,
    socket: UnixDatagram,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(desk: &Desk) -> Self {
        let path = desk.home("notify");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut command = desk.command(&["controller"]);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000").stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), socket }
    }

    /// Waits for a message with this text and returns it.
    #[track_caller]
    fn hears(&self, text: &str) -> String {
        let mut heard = Vec::new();
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let mut bytes = [0; 4096];
            let Ok(length) = self.socket.recv(&mut bytes) else { break };
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.contains(text) {
                return message;
            }
            heard.push(message);
        }
        panic!("no {text:?} in {heard:#?}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end and returns what was printed on stderr.
    fn ended(&mut self) -> String {
        let mut printed = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{printed}");
        printed
    }
}

#[test]
fn a_controller_reports_its_state_and_reads_its_settings_again_while_it_leads() {
    let desk = Desk::new();
    let epoch = || {
        let shown = desk.muster(&["lock", "show", "-o", "json"]).ok();
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()["epoch"].clone()
    };
    desk.muster(&["secret", "init", "--name", "alice"]).ok();
    desk.write("value", "hunter2");
    desk.muster(&["secret", "set", "db", "--file", "value"]).ok();
    let mut service = Service::start(&desk);
    service.hears("READY=1");
    let status = service.hears("STATUS=");
    assert!(
        status.starts_with("STATUS=leads (epoch ") && status.contains("); 0 of 0 machines alive, 0 units"),
        "{status}"
    );
    service.hears("WATCHDOG=1");
    let leads = epoch();
    desk.write("muster.toml", "brake = 200\n");
    service.signal(Signal::HUP);
    assert!(service.hears("RELOADING=1").contains("MONOTONIC_USEC="));
    service.hears("READY=1");
    desk.write("muster.toml", "brake = 90\nstore = \"memory:\"\nsecret-identity = \"other\"\n");
    service.signal(Signal::HUP);
    service.hears("RELOADING=1");
    service.hears("READY=1");
    fs::remove_file(desk.path("muster.toml")).unwrap();
    assert_eq!(epoch(), leads, "it has led all the time");
    service.signal(Signal::TERM);
    service.hears("STOPPING=1");
    let printed = service.ended();
    let blind = "this controller loads no unit with a secret, because it cannot read secrets";
    let said: Vec<&str> = printed.lines().skip_while(|line| !line.starts_with("Error")).collect();
    assert_eq!(
        said,
        [
            "Error: muster.toml: invalid `brake`: expected 1 to 100 percent",
            "Warning: nothing is read again: the earlier settings stay in force",
            "Warning: `store` has changed: a restart of the controller puts that into force",
            &format!("Warning: {blind}: other on {} does not exist", muster::store::leader_election::hostname()),
            "settings, inventory, SSH configuration and the identity of secrets are read again",
        ]
    );
}

#[test]
fn a_controller_ends_in_good_order_while_its_store_does_not_answer() {
    if !installed() {
        return skip("etcd is not installed");
    }
    let (desk, mut server) = (Desk::empty(), Server::start(&[]));
    let store = format!("etcd://{}", server.address());
    desk.write("muster.toml", format!("store = \"{store}\"\n"));
    desk.write("made.service", unit("made"));
    until("etcd answers", LIMIT, || desk.muster(&["submit", "made.service"]), |said| said.code == Some(0));
    let mut service = Service::start(&desk);
    service.hears("STATUS=leads (epoch ");
    server.kill();
    service.hears("units are left as they are");
    service.signal(Signal::TERM);
    service.hears("STOPPING=1");
    let printed = service.ended();
    assert!(printed.contains(&store), "{printed}");
}

#[test]
fn a_controller_that_is_started_again_after_a_kill_leads_at_once() {
    let desk = Desk::new();
    let mut first = Service::start(&desk);
    first.hears("STATUS=leads");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let began = Instant::now();
    let second = Service::start(&desk);
    let status = second.hears("STATUS=");
    assert!(status.starts_with("STATUS=leads"), "{status}");
    assert!(began.elapsed() < Duration::from_secs(8), "it has waited for the leadership of the first to expire");
}

#[tokio::test]
async fn a_sweep_in_a_service_remembers_what_it_has_printed_in_its_state_directory() {
    let desk = Desk::new();
    machine(&desk, 1).await;
    let state = desk.path("state");
    let mut directories = state.clone().into_os_string();
    directories.push(":/nonexistent/other");
    let mut sweep = desk.command(&["sweep", "--remind", "1h", "--down-after", "1"]);
    sweep.env("STATE_DIRECTORY", directories);
    let first = run(&mut sweep);
    assert!(first.out.contains("core-01 is sshd down: connect: "), "{first:#?}");
    let again = run(&mut sweep);
    assert!(again.code == first.code && !again.out.contains("is sshd down"), "{again:#?}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
}
