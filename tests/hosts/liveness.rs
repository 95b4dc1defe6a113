//! The contract of liveness on real hosts: what an sshd sends is proof of life, and nothing that another host does
//! delays a failover.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::runs_away_from;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;
use super::until;

const LIMIT: Duration = Duration::from_mins(1);

/// `--down-after` of the controllers here, in seconds.
const DOWN_AFTER: u32 = 4;

/// The bound of a failover: silence, one attempt that was under way, and the start elsewhere. It holds whatever other
/// hosts do; the machine that runs the test has two busy cores, so it is generous.
const BOUND: Duration = Duration::from_secs(20);

/// Starts a unit on a host and waits until it runs there.
fn start_on(lab: &Lab, name: &str, host: &str, service: &str) {
    let id = lab.hosts().iter().find(|it| it.name == host).unwrap().machine;
    // The unit may run anywhere but on the hosts that are sick in these tests.
    let file = unit_file(lab, name, &format!("[Service]\n{service}\n[X-Fleet]\nMachineMetadata=serves=yes\n"));
    for other in lab.hosts().iter().filter(|other| other.machine != id) {
        muster(lab, &["cordon", &other.name]).ok();
    }
    muster(lab, &["start", &file]).ok();
    for other in lab.hosts().iter().filter(|other| other.machine != id) {
        muster(lab, &["uncordon", &other.name]).ok();
    }
    assert_eq!(runs_away_from(lab, name, "", LIMIT), host);
}

/// Joins all hosts of a lab. Those named may run the units of these tests.
fn join_serving(lab: &Lab, serving: &[&str]) {
    let hosts = lab.hosts().iter().map(|host| {
        let serves = if serving.contains(&host.name.as_str()) { "yes" } else { "no" };
        format!("    {}: {{ansible_host: {}, muster_metadata: {{serves: '{serves}'}}}}\n", host.name, host.address)
    });
    let path = lab.dir().join("serving.yaml");
    fs::write(&path, format!("all:\n  hosts:\n{}", hosts.collect::<String>())).unwrap();
    muster(lab, &["-i", path.to_str().unwrap(), "join"]).ok();
}

/// Lets every login at a host hang for a minute, and ends the connections that are open.
fn hang_logins(lab: &Lab, host: &str) {
    let settings = "AuthorizedKeysCommand /etc/ssh/slow\\nAuthorizedKeysCommandUser root\\nAuthorizedKeysFile none\\n";
    let script = format!(
        "printf '#!/bin/sh\\nsleep 60\\n' >/etc/ssh/slow && chmod 755 /etc/ssh/slow && \
         printf '{settings}' | cat - /etc/ssh/sshd_config >/run/sshd_config && mv /run/sshd_config /etc/ssh/sshd_config && \
         systemd-run --quiet --no-block sh -c 'pkill -KILL sshd; systemctl restart ssh.service'"
    );
    let _ = super::ssh_as(lab, "root", host, &script);
}

/// Returns a machine's health as `machine show` prints it.
fn health(lab: &Lab, host: &str) -> String {
    let shown = muster(lab, &["machine", "show", host]).ok();
    let row = shown.lines().find_map(|line| line.strip_prefix("Health"));
    row.unwrap_or_default().trim_matches([':', '\t', ' ']).to_owned()
}

#[test]
fn a_host_whose_login_hangs_is_sick_and_delays_no_failover() {
    let Some(lab) = lab(3) else { return };
    join_serving(&lab, &["core-02", "core-03"]);
    start_on(&lab, "web.service", "core-02", "ExecStart=/bin/sleep infinity");
    let controller = Daemon::controller(&lab, DOWN_AFTER);
    hang_logins(&lab, "core-01");
    until("core-01 is sick", LIMIT, || health(&lab, "core-01"), |health| health == "sick");
    // The attempt under way has lasted for longer than the silence of a dead machine may.
    let began = Instant::now();
    lab.kill("core-02").unwrap();
    assert_eq!(runs_away_from(&lab, "web.service", "core-02", LIMIT), "core-03");
    let took = began.elapsed();
    eprintln!("beside a host whose login hangs, a power cut moved its unit after {:.1} s", took.as_secs_f64());
    assert!(took < BOUND, "{took:?}");
    let said = controller.said();
    assert!(!said.contains("core-01: down"), "{said}");
}

#[test]
fn a_host_whose_login_hangs_is_sick_and_never_down_beside_one_other() {
    let Some(lab) = lab(2) else { return };
    join(&lab);
    let controller = Daemon::controller(&lab, DOWN_AFTER);
    hang_logins(&lab, "core-01");
    until("core-01 is sick", LIMIT, || health(&lab, "core-01"), |health| health == "sick");
    // Each attempt fails in the login after 20 s, and none of them makes the host look dead.
    let began = Instant::now();
    until(
        "one more login has failed",
        Duration::from_secs(90),
        || began.elapsed(),
        |elapsed| *elapsed > Duration::from_secs(25),
    );
    assert_eq!(health(&lab, "core-01"), "sick");
    let said = controller.said();
    assert!(said.contains("core-01: sick") && !said.contains("core-01: down"), "{said}");
}

#[test]
fn a_power_cut_during_a_slow_stop_moves_the_other_units_within_the_usual_bound() {
    let Some(lab) = lab(3) else { return };
    join_serving(&lab, &["core-01", "core-02", "core-03"]);
    let slow = "ExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 60\nTimeoutStopSec=90";
    start_on(&lab, "slow.service", "core-01", slow);
    start_on(&lab, "web.service", "core-01", "ExecStart=/bin/sleep infinity");
    let _controller = Daemon::controller(&lab, DOWN_AFTER);
    let _stop = Daemon::start(&lab, &["stop", "slow.service"]);
    let stopping = || ssh(&lab, "core-01", "systemctl show --value --property ActiveState slow.service");
    until("slow.service is being stopped", LIMIT, stopping, |state| state == "deactivating");
    let began = Instant::now();
    lab.kill("core-01").unwrap();
    assert_ne!(runs_away_from(&lab, "web.service", "core-01", LIMIT), "core-01");
    let took = began.elapsed();
    eprintln!("during a slow stop, a power cut moved the other unit after {:.1} s", took.as_secs_f64());
    assert!(took < BOUND, "{took:?}");
}

#[test]
fn a_host_behind_a_proxy_command_fails_over_and_the_message_has_the_commands_last_words() {
    let Some(lab) = lab(3) else { return };
    let host = lab.hosts().iter().find(|it| it.name == "core-01").unwrap();
    let (usual, address) = (lab.ssh_config(), host.address);
    // As a gateway does it: the connection goes through core-03, and a host that is not there is reported at once.
    let gateway = lab.dir().join("gateway.sh");
    let ssh = format!("ssh -F {} -o BatchMode=yes", usual.display());
    let script = format!(
        "{ssh} core-03 \"timeout 1 bash -c '</dev/tcp/{address}/22'\" 2>/dev/null || \
         {{ echo 'connect: No route to host' >&2; exit 255; }}\nexec {ssh} -W {address}:22 core-03\n"
    );
    fs::write(&gateway, script).unwrap();
    let config = lab.dir().join("proxied.conf");
    let text = fs::read_to_string(&usual).unwrap();
    fs::write(&config, format!("Host {address}\n    ProxyCommand sh {}\n{text}", gateway.display())).unwrap();
    let with = ["--ssh-config", config.to_str().unwrap()];
    let proxied = |args: &[&str]| muster(&lab, &[&with[..], args].concat());
    proxied(&["join"]).ok();
    for other in ["core-02", "core-03"] {
        proxied(&["cordon", other]).ok();
    }
    let file = unit_file(&lab, "web.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    proxied(&["start", &file]).ok();
    for other in ["core-02", "core-03"] {
        proxied(&["uncordon", other]).ok();
    }
    let down_after = DOWN_AFTER.to_string();
    let controller = Daemon::start(&lab, &[&with[..], &["controller", "--down-after", &down_after]].concat());
    controller.says("leads (epoch ");
    let began = Instant::now();
    lab.kill("core-01").unwrap();
    assert_ne!(runs_away_from(&lab, "web.service", "core-01", LIMIT), "core-01");
    let took = began.elapsed();
    eprintln!("behind a proxy command, a power cut moved its unit after {:.1} s", took.as_secs_f64());
    assert!(took < BOUND, "{took:?}");
    let said = controller.said();
    assert!(
        said.contains("exit status 255: connect: No route to host")
            && said.contains("core-01: down")
            && !said.contains("throttled"),
        "{said}"
    );
}
