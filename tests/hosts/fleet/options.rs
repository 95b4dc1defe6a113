//! The options of fleet's client about SSH.

use std::fs;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use muster::lab::Lab;

use super::active;
use super::order;
use super::say;
use super::unit;
use crate::hosts::Said;
use crate::hosts::bare;
use crate::hosts::daemon::join;
use crate::hosts::fleetctl;
use crate::hosts::lab;
use crate::hosts::run;
use crate::hosts::ssh;
use crate::hosts::until;

#[test]
fn the_options_of_fleet_about_ssh_do_what_they_say() {
    let Some(lab) = lab(2) else { return };
    join(&lab);
    known_hosts(&lab);
    a_tunnel(&lab);
    user_port_and_timeout(&lab);
    an_agent(&lab);
}

/// 1: TestKnownHostsVerification. muster asks no question: `accept-new` stands for the answer `yes`.
fn known_hosts(lab: &Lab) {
    let file = lab.dir().join("own_known_hosts");
    let option = format!("--known-hosts-file={}", file.display());
    let uptime = |strict: &str| {
        fleetctl(lab, &[&format!("--strict-host-key-checking={strict}"), &option, "ssh", "core-02", "id", "-u"])
    };
    fs::write(&file, "").unwrap();
    let unknown = uptime("true");
    assert!(unknown.code == Some(3) && unknown.err.contains("is not known"), "{unknown:#?}");
    assert_eq!(uptime("accept-new").ok(), "0\n");
    assert_eq!(uptime("true").ok(), "0\n", "the key was recorded");
    // A host that was installed anew has another key.
    let known = fs::read_to_string(&file).unwrap();
    let key = ssh(lab, "core-01", "cat /etc/ssh/ssh_host_ed25519_key.pub");
    let (name, _) = known.split_once(' ').unwrap();
    fs::write(&file, format!("{name} {key}\n")).unwrap();
    for strict in ["true", "accept-new"] {
        let changed = uptime(strict);
        assert!(changed.code == Some(3) && changed.err.contains("is not the one in"), "{changed:#?}");
    }
    fs::write(&file, "").unwrap();
    assert_eq!(uptime("accept-new").ok(), "0\n");
}

/// 31: TestTunnelScheduleBatchUnits.
fn a_tunnel(lab: &Lab) {
    let address = lab.host("core-01").unwrap().address.to_string();
    let tunnel = format!("--tunnel={address}");
    let seen = say(lab, &[&tunnel, "ssh", "core-02", "echo $SSH_CONNECTION"]);
    assert!(seen.starts_with(&format!("{address} ")), "core-02 is reached through core-01: {seen}");
    let hello = fleetctl(lab, &[&tunnel, "start", &unit(lab, "hello.service", "")]);
    assert!(hello.code == Some(0) && !hello.err.contains("Error"), "{hello:#?}");
    unit(lab, "hello@.service", "");
    let folder = lab.dir().join("units");
    let paths: Vec<String> =
        (1..=10).map(|number| folder.join(format!("hello@{number}.service")).to_str().unwrap().to_owned()).collect();
    order(lab, &["--tunnel", &format!("{address}:22"), "start"], &paths);
    let units = active(lab);
    assert_eq!(units.len(), 11, "{units:?}");
    order(lab, &["destroy"], &units.into_keys().collect::<Vec<_>>());

    // Another host means another cluster: nothing is done.
    let other = fleetctl(lab, &["--tunnel=staging", "list-units"]);
    let why = "Error: the tunnel \"staging\" is no machine of the cluster default in sqlite:";
    assert!(other.code == Some(2) && other.err.contains(why), "{other:#?}");
}

fn user_port_and_timeout(lab: &Lab) {
    assert_eq!(say(lab, &["--ssh-username=admin", "ssh", "core-02", "id", "-un"]), "admin\n");
    ssh(lab, "core-02", "/usr/sbin/sshd -p 2222");
    let free = ["--strict-host-key-checking=false", "--ssh-timeout=20.0"];
    let seen = say(lab, &[&free[..], &["ssh", "--ssh-port=2222", "core-02", "echo $SSH_CONNECTION"]].concat());
    assert!(seen.ends_with(" 2222\n"), "{seen}");
    let none = fleetctl(lab, &["ssh", "--ssh-port=2223", "core-02", "true"]);
    assert!(none.code == Some(3) && none.err.contains("refused"), "{none:#?}");
}

/// An SSH agent with the key of the lab. It ends when this is dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn an_agent(lab: &Lab) {
    let socket = lab.dir().join("agent.sock");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
    let _agent = Agent(agent.spawn().unwrap());
    until("the agent listens", Duration::from_secs(10), || socket.exists(), |exists| *exists);
    run(Command::new("ssh-add").env("SSH_AUTH_SOCK", &socket).arg(lab.dir().join("key"))).ok();
    let with_agent = |args: &[&str]| -> Said {
        use std::os::unix::process::CommandExt as _;
        let mut command = bare();
        command.arg0("fleetctl").env("MUSTER_CONFIG", lab.config()).env("SSH_AUTH_SOCK", &socket);
        run(command.args(args))
    };
    let key = run(Command::new("ssh-keygen").arg("-lf").arg(lab.dir().join("key.pub"))).ok();
    let print = key.split_whitespace().nth(1).unwrap();
    let listed = with_agent(&["ssh", "-A", "core-02", "ssh-add -l"]);
    assert!(listed.code == Some(0) && listed.out.contains(print), "{listed:#?}");
    let kept = with_agent(&["ssh", "core-02", "ssh-add -l"]);
    assert!(kept.code == Some(2) && !kept.out.contains(print), "{kept:#?}");
    let none = fleetctl(lab, &["ssh", "-A", "core-02", "true"]);
    assert!(none.code == Some(2) && none.err.contains("there is no SSH agent to forward"), "{none:#?}");
}
