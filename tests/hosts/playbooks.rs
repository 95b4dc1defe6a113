//! The playbooks of the repository, and `exec`, on real hosts.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use super::Said;
use super::lab;
use super::muster;
use super::ssh;

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// Returns the recap of each host.
fn recap(said: &Said, expected: &str, hosts: &[&str]) {
    for host in hosts {
        assert!(said.out.contains(&format!("{host:<26} : {expected}")), "{host}: {expected}: {said:#?}");
    }
}

#[test]
fn the_playbooks_bootstrap_a_cluster_and_roll_out_a_version() {
    let Some(lab) = lab(3) else { return };
    let all = ["core-01", "core-02", "core-03"];
    let (bootstrap, rolling) = (repository("playbooks/bootstrap.yaml"), repository("playbooks/rolling.yaml"));

    let said = muster(&lab, &["play", &bootstrap]);
    recap(&said, "ok=4    changed=3    unreachable=0    failed=0 ", &all);
    assert_eq!(said.code, Some(0), "{said:#?}");
    recap(&muster(&lab, &["play", &bootstrap]), "ok=4    changed=0    unreachable=0    failed=0 ", &all);

    for version in ["1", "2"] {
        let said = muster(&lab, &["play", &rolling, "-e", &format!("version={version}")]);
        recap(&said, "ok=4    changed=2    unreachable=0    failed=0 ", &all);
        assert_eq!((said.out.matches("\nPLAY [").count(), said.code), (2, Some(0)), "{said:#?}");
        for host in all {
            let page = ssh(&lab, host, "bash -c 'cat < /dev/tcp/127.0.0.1/8080'");
            assert_eq!(page, format!("version {version} on {host}"));
            let unit = format!("systemctl show -P Environment web@{host}.service");
            assert_eq!(ssh(&lab, host, &unit), format!("VERSION={version}"));
        }
    }
    let said = muster(&lab, &["play", &rolling, "-e", "version=2"]);
    recap(&said, "ok=4    changed=0    unreachable=0    failed=0 ", &all);
    let said = muster(&lab, &["play", &rolling, "-e", "version=3", "--check"]);
    recap(&said, "ok=3    changed=2    unreachable=0    failed=0    skipped=1 ", &all);
    assert_eq!(ssh(&lab, "core-01", "cat /var/lib/web-index.html"), "version 2 on core-01");
}

#[test]
fn a_rolling_reboot_drains_each_machine_first_and_no_unit_stops() {
    let Some(lab) = lab(3) else { return };
    let all = ["core-01", "core-02", "core-03"];
    let (bootstrap, reboot) = (repository("playbooks/bootstrap.yaml"), repository("playbooks/reboot.yaml"));
    assert_eq!(muster(&lab, &["play", &bootstrap]).code, Some(0));
    let before = all.map(|host| ssh(&lab, host, "systemctl show -P UserspaceTimestampMonotonic"));

    let said = muster(&lab, &["play", &reboot, "--check"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let said = muster(&lab, &["play", &reboot]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let after = all.map(|host| ssh(&lab, host, "systemctl show -P UserspaceTimestampMonotonic"));
    for (host, (before, after)) in all.iter().zip(before.iter().zip(&after)) {
        assert_ne!(before, after, "{host} has booted again");
    }
    let listed = muster(&lab, &["list-units", "-o", "json"]);
    assert!(listed.out.contains("running"), "{listed:#?}");
    let machines = muster(&lab, &["list-machines"]);
    assert!(!machines.out.contains("cordoned"), "{machines:#?}");
}

#[test]
fn a_canary_that_is_not_well_gets_its_old_version_back_and_the_others_keep_theirs() {
    let Some(lab) = lab(3) else { return };
    let all = ["core-01", "core-02", "core-03"];
    let (bootstrap, canary) = (repository("playbooks/bootstrap.yaml"), repository("playbooks/canary.yaml"));
    assert_eq!(muster(&lab, &["play", &bootstrap]).code, Some(0));
    let versions = || all.map(|host| ssh(&lab, host, &format!("systemctl show -P Environment canary@{host}")));
    let play = |version: &str, more: &[&str]| {
        muster(&lab, &[&["play", &canary, "-e", version, "-e", "watch=2"], more].concat())
    };
    let said = play("version=1", &[]);
    assert_eq!((said.code, versions()), (Some(0), all.map(|_| "VERSION=1".to_owned())), "{said:#?}");

    let fails = "program='/bin/sh -c \"test ${VERSION} != 2 && exec sleep infinity\"'";
    let said = play("version=2", &["-e", fails]);
    assert_eq!((said.code, versions()), (Some(2), all.map(|_| "VERSION=1".to_owned())), "{said:#?}");
    assert!(said.out.contains("version 2 is not well on core-01: "), "{said:#?}");
    assert_eq!(ssh(&lab, "core-01", "systemctl is-active canary@core-01"), "active");

    // The file of the version before comes back, not the new one with the old number.
    let said = play("version=2", &["-e", "program=/bin/false"]);
    assert_eq!((said.code, versions()), (Some(2), all.map(|_| "VERSION=1".to_owned())), "{said:#?}");
    let program =
        ssh(&lab, "core-01", "systemctl show -P ExecStart canary@core-01; systemctl is-active canary@core-01");
    assert!(program.contains("/usr/bin/sleep infinity") && program.ends_with("active"), "{program}");

    let said = play("version=3", &["-e", fails]);
    assert_eq!((said.code, versions()), (Some(0), all.map(|_| "VERSION=3".to_owned())), "{said:#?}");
}

#[test]
fn the_base_role_hardens_hosts_and_a_second_run_changes_nothing() {
    let Some(lab) = lab(2) else { return };
    let key = std::fs::read_to_string(lab.dir().join("key.pub")).unwrap();
    let admins = serde_json::json!({"base_admins": [{"name": "ada", "key": key.trim()}]}).to_string();
    let base = repository("playbooks/base.yaml");
    let play = || muster(&lab, &["play", &base, "-l", "core-01,core-02", "-e", &admins]);
    let said = play();
    assert_eq!(said.code, Some(0), "{said:#?}");
    for host in ["core-01", "core-02"] {
        let sshd = ssh(&lab, host, "sshd -T | grep -E '^(passwordauthentication|permitrootlogin|maxauthtries) '");
        assert_eq!(sshd, "maxauthtries 4\npermitrootlogin without-password\npasswordauthentication no");
        assert_eq!(ssh(&lab, host, "systemctl is-enabled debug-shell.service; stat -c %a /root"), "masked\n700");
        assert_eq!(ssh(&lab, host, "id -un ada; wc -l < /home/ada/.ssh/authorized_keys"), "ada\n1");
    }
    let said = play();
    assert_eq!((said.code, said.out.matches("changed=0 ").count()), (Some(0), 2), "{said:#?}");
}

#[test]
fn a_sweep_sends_one_message_while_a_problem_lasts() {
    let Some(lab) = lab(3) else { return };
    assert_eq!(muster(&lab, &["play", &repository("playbooks/bootstrap.yaml")]).code, Some(0));
    let hook = Hook::start();
    let (sweep, url) = (repository("playbooks/sweep.yaml"), format!("hook={}", hook.url));
    let told = lab.dir().join("told.txt");
    let told = format!("told={}", told.display());
    let play = || muster(&lab, &["play", &sweep, "-e", &url, "-e", &told]);
    let said = play();
    assert_eq!((said.code, hook.bodies().len()), (Some(0), 0), "{said:#?}");
    lab.kill("core-03").unwrap();
    let said = play();
    assert_eq!((said.code, hook.bodies().len()), (Some(2), 1), "{said:#?}");
    assert!(hook.bodies()[0].contains("core-03"), "{:?}", hook.bodies());
    let said = play();
    assert_eq!((said.code, hook.bodies().len()), (Some(2), 1), "{said:#?}");
    lab.boot("core-03").unwrap();
    let said = play();
    assert_eq!((said.code, hook.bodies().len()), (Some(0), 1), "{said:#?}");
}

/// A web hook on this machine: it takes requests and keeps their bodies.
struct Hook {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks/1", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                kept.lock().unwrap().push(body(&mut stream));
                stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        Self { url, bodies }
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}

/// Reads a request and returns its body.
fn body(stream: &mut BufReader<TcpStream>) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn a_command_runs_on_every_host_and_its_arguments_are_not_expanded() {
    let Some(lab) = lab(3) else { return };
    let said = muster(&lab, &["exec", "core:!core-02", "--", "echo", "a  b", "$HOME", "; reboot"]);
    let mut lines: Vec<&str> = said.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["core-01: a  b $HOME ; reboot", "core-03: a  b $HOME ; reboot"]);
    assert_eq!((said.err.trim(), said.code), ("2 hosts: 2 ok, 0 failed, 0 unreachable", Some(0)));

    let said =
        muster(&lab, &["exec", "all", "--shell", "--fold", "--", "echo $((1 + 1)); test $(hostname) != core-02"]);
    assert_eq!(said.out, "----------------\ncore-01,core-02,core-03 (3)\n----------------\n2\n");
    assert_eq!((said.err.trim(), said.code), ("core-02: exit code 1\n3 hosts: 2 ok, 1 failed, 0 unreachable", Some(2)));

    let json = ["exec", "all", "--shell", "-o", "json", "--", "echo out; echo err >&2; test $(hostname) != core-02"];
    let said = muster(&lab, &json);
    assert_eq!((said.err.as_str(), said.code), ("", Some(2)));
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    for (host, rc) in [("core-01", 0), ("core-02", 1), ("core-03", 0)] {
        let result = &document["hosts"][host];
        assert_eq!((&result["rc"], &result["stdout"], &result["stderr"]), (&rc.into(), &"out".into(), &"err".into()));
    }

    let said = muster(&lab, &["exec", "core-01", "--timeout", "1s", "--", "sleep", "60"]);
    assert_eq!((said.err.lines().next(), said.code), (Some("core-01: did not end in 1 s"), Some(2)));

    let said = muster(&lab, &["exec", "core-1", "--", "true"]);
    assert_eq!((said.out.as_str(), said.code), ("", Some(2)));
    assert!(said.err.contains("no host or group matches `core-1`") && said.err.contains("`core-01`"), "{}", said.err);
}

#[test]
fn start_files_and_links_of_users_do_not_disturb_a_playbook() {
    let Some(lab) = lab(1) else { return };
    let address = lab.hosts()[0].address;
    let path = lab.dir().join("users-inventory");
    let text =
        format!("core-01 ansible_host={address} ansible_user=admin\nguest ansible_host={address} ansible_user=guest\n");
    std::fs::write(&path, text).unwrap();
    let prepare = "echo secret > /root/victim; chmod 600 /root/victim; ln -s /root/victim /home/guest/conf; \
         chown -h guest /home/guest/conf; \
         for home in /root /home/admin /home/guest; do echo 'echo Welcome; echo noise >&2' > $home/.bashrc; done";
    ssh(&lab, "core-01", prepare);
    let book = lab.dir().join("users.yaml");
    let tasks = "- hosts: core-01
  tasks:
    - command: id -un
      register: r
    - copy: {content: \"x={{ r.stdout }}{{ r.stderr }}\\n\", dest: /home/guest/conf, owner: guest, mode: '0644'}
      become: true
- hosts: guest
  tasks:
    - command: 'true'
      become: true
      ignore_errors: true
    - command: id -un
      register: r
      failed_when: r.stdout != 'guest'
";
    std::fs::write(&book, tasks).unwrap();
    for copied in ["changed: [core-01]", "ok: [core-01]"] {
        let said = muster(&lab, &["-i", path.to_str().unwrap(), "play", book.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{said:#?}");
        let refused = "the host does not allow root: sudo: a password is required";
        assert!(
            said.out.contains(copied) && said.out.contains(refused) && said.out.contains("...ignoring"),
            "{said:#?}"
        );
    }
    let found = ssh(
        &lab,
        "core-01",
        "stat -c '%F %U %a' /home/guest/conf; cat /home/guest/conf /root/victim; stat -c '%U %a' /root/victim",
    );
    assert_eq!(found, "Welcome\nregular file guest 644\nx=admin\nsecret\nroot 600");
}
