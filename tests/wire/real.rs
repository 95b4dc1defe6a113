//! Against a real sshd.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::core::model::Visit;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Progress;
use muster::remote::Remote as _;
use muster::remote::RunAs;
use muster::remote::Sink;
use muster::remote::Target;
use muster::remote::ssh::Environment;
use muster::remote::ssh::Options;
use muster::remote::ssh::Ssh;
use muster::remote::ssh_config::StrictHostKey;

use super::fake;
use super::sshd::Sshd;
use super::sshd::keygen;
use super::sshd::missing;
use super::sshd::sh;

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A sink that keeps the output of a command.
#[derive(Default)]
struct Kept {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Sink for Kept {
    fn stdout(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
    fn stderr(&mut self, bytes: &[u8]) {
        self.err.extend_from_slice(bytes);
    }
}

#[tokio::test]
async fn a_script_runs_in_one_root_shell_that_stays() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    let first = ssh.script(&target, "{ id -u; echo $$; KEPT=yes; }\necho end", "end", LIMIT).await.unwrap();
    let second = ssh.script(&target, "{ echo \"$KEPT $$\"; }\necho end", "end", LIMIT).await.unwrap();
    let first = String::from_utf8(first).unwrap();
    let pid = first.lines().nth(1).unwrap();
    assert_eq!(first, format!("0\n{pid}\nend\n"));
    assert_eq!(String::from_utf8(second).unwrap(), format!("yes {pid}\nend\n"));
    ssh.close(LIMIT).await;
}

#[tokio::test]
async fn other_options_keep_the_connections_that_they_do_not_concern() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let hosts = |limit: u32| {
        let known = format!("Host *\n HostName 127.0.0.1\n IdentityFile {}\n", sshd.path("id").display());
        sshd.options(&format!("Host b\n ConnectTimeout {limit}\n{known}"))
    };
    let (a, b, ssh) = (sshd.target_at("a"), sshd.target_at("b"), Ssh::new(hosts(5)));
    let shell = async |target: &Target| ssh.script(target, "{ echo $$; }\necho end", "end", LIMIT).await.unwrap();
    let (first, other) = (shell(&a).await, shell(&b).await);
    assert_ne!(first, other);
    ssh.reload(hosts(7)).await.unwrap();
    assert_eq!(shell(&a).await, first, "its connection stays");
    assert_ne!(shell(&b).await, other, "its destination has changed");
    assert!(ssh.reload(Options { ssh_config: Some(sshd.path("absent")), ..Options::default() }).await.is_err());
    assert_eq!(shell(&a).await, first, "a configuration that cannot be read changes nothing");
}

#[tokio::test]
async fn a_command_gets_its_stdin_and_gives_its_output_and_exit_status() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    for root in [false, true] {
        let script = "cat; echo \"it's\" bad >&2; exit 7".to_owned();
        let run_as = root.then(RunAs::root);
        let command =
            Command { script, stdin: b"fed".as_slice().into(), run_as, limit: Some(LIMIT), ..Command::default() };
        let mut kept = Kept::default();
        let exit = ssh.exec(&target, &command, &mut kept).await.unwrap();
        assert_eq!((exit, kept.out, kept.err), (Exit::Code(7), b"fed".to_vec(), b"it's bad\n".to_vec()));
    }
}

#[tokio::test]
async fn the_output_of_start_files_is_not_the_output_of_a_command() {
    if missing() {
        return;
    }
    // The login shell of the user runs this instead of the command that it gets.
    let noisy = "ForceCommand printf '*** Welcome ***' ; echo stty: no tty >&2; exec sh -c \"$SSH_ORIGINAL_COMMAND\"";
    let sshd = Sshd::start_with(|_| noisy.to_owned());
    let (ssh, target) = (sshd.ssh(), sshd.target());
    for root in [false, true] {
        let command = Command {
            script: "cat; echo bad >&2".to_owned(),
            stdin: b"fed".as_slice().into(),
            run_as: root.then(RunAs::root),
            limit: Some(LIMIT),
            ..Command::default()
        };
        let mut kept = Kept::default();
        let exit = ssh.exec(&target, &command, &mut kept).await.unwrap();
        assert_eq!((exit, kept.out, kept.err), (Exit::Code(0), b"fed".to_vec(), b"bad\n".to_vec()));
    }
}

#[tokio::test]
async fn a_refusal_of_sudo_says_what_to_change() {
    if missing() {
        return;
    }
    for (said, hint) in [
        ("sudo: a password is required", "NOPASSWD"),
        ("sudo: sorry, you must have a tty to run sudo", "!requiretty"),
        ("sh: 1: exec: sudo: not found", "NOPASSWD"),
    ] {
        let sshd = Sshd::start_with(|_| format!("ForceCommand echo noise >&2; echo '{said}' >&2; exit 1"));
        let command = Command { run_as: Some(RunAs::root()), limit: Some(LIMIT), ..Command::default() };
        let failure = sshd.ssh().exec(&sshd.target(), &command, &mut Kept::default()).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (Phase::Shell, FailureKind::Denied));
        assert_eq!(failure.detail, format!("the host does not allow root: {said}"));
        assert!(failure.hint.unwrap().contains(hint), "{said}");
    }
}

/// Logs in with these options and checks that the shell is root's.
async fn log_in(options: Options, target: &Target) -> Result<(), Failure> {
    let ssh = Ssh::new(options);
    let printed = ssh.script(target, "id -u\necho end", "end", LIMIT).await?;
    assert_eq!(printed, b"0\nend\n");
    ssh.close(LIMIT).await;
    Ok(())
}

/// An ssh-agent that ends with the test.
struct Agent {
    socket: PathBuf,
    child: std::process::Child,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let child = std::process::Command::new("ssh-agent")
            .args(["-D", "-a", socket.to_str().unwrap()])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { socket, child };
        let end = Instant::now() + LIMIT;
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            assert!(Instant::now() < end, "ssh-agent does not start");
            std::thread::yield_now();
        }
        agent
    }

    fn add(&self, key: &Path) {
        let added = std::process::Command::new("ssh-add")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .stderr(std::process::Stdio::null())
            .status();
        assert!(added.unwrap().success());
    }

    fn environment(&self) -> Environment {
        Environment::from_iter([("SSH_AUTH_SOCK".to_owned(), self.socket.display().to_string())])
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn keys_are_found_in_files_in_the_agent_and_behind_a_passphrase() {
    if missing() {
        return;
    }
    let sshd = Sshd::start_with(|folder| {
        keygen(&folder.join("rsa"), "rsa");
        sh("ssh-keygen", &["-q", "-t", "ed25519", "-N", "secret", "-f", folder.join("locked").to_str().unwrap()]);
        let keys = ["id", "rsa", "locked"].map(|name| fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap());
        fs::write(folder.join("authorized"), keys.concat()).unwrap();
        String::new()
    });
    let target = sshd.target();
    let with = |name: &str| format!("IdentityFile {}", sshd.path(name).display());
    log_in(sshd.options(&with("id")), &target).await.unwrap();
    log_in(sshd.options(&with("rsa")), &target).await.unwrap();

    // The key from the inventory comes first and needs no other file.
    let named = Target { identity_files: vec![sshd.path("rsa")], ..target.clone() };
    log_in(sshd.options("IdentityAgent none"), &named).await.unwrap();

    let failure = log_in(sshd.options(&with("locked")), &target).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Authenticate, FailureKind::Denied));
    let locked = sshd.path("locked").display().to_string();
    assert_eq!(failure.hint, Some(format!("Run `ssh-add {locked}` first: the key has a passphrase.")));

    let agent = Agent::start(sshd.folder.path());
    let held = |more: &str| Options { environment: agent.environment(), ..sshd.options(more) };
    let failure = log_in(held(""), &target).await.unwrap_err();
    assert!(failure.detail.contains("there is no key to log in with"), "{failure}");
    agent.add(&sshd.path("rsa"));
    log_in(held(""), &target).await.unwrap();
    log_in(held("IdentityAgent ${SSH_AUTH_SOCK}"), &target).await.unwrap();
    assert!(log_in(held("IdentityAgent none"), &target).await.is_err());
    let other = sshd.path("host").display().to_string();
    assert!(log_in(held(&format!("IdentitiesOnly yes\nIdentityFile {other}")), &target).await.is_err());
    // Only the public half is on disk; the agent has the rest.
    let public = format!("IdentitiesOnly yes\nIdentityFile {}", sshd.path("rsa.pub").display());
    log_in(held(&public), &target).await.unwrap();
}

#[tokio::test]
async fn no_more_keys_are_offered_than_sshd_accepts() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let agent = Agent::start(sshd.folder.path());
    for number in 0..8 {
        let path = sshd.path(&format!("wrong{number}"));
        keygen(&path, "ed25519");
        agent.add(&path);
    }
    let held = |more: &str| Options { environment: agent.environment(), ..sshd.options(more) };
    let failure = log_in(held(""), &sshd.target()).await.unwrap_err();
    assert!(failure.detail.starts_with("the host refused all 5 keys"), "{failure}");
    assert!(failure.hint.unwrap().ends_with("only the first 5 of 8 keys were offered."));
    log_in(held(&format!("IdentityFile {}", sshd.path("id").display())), &sshd.target()).await.unwrap();
}

#[tokio::test]
async fn user_certificates_are_found_in_files_and_in_the_agent() {
    if missing() {
        return;
    }
    let sshd = Sshd::start_with(|folder| {
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        keygen(&folder.join("ca"), "ed25519");
        for kind in ["ed25519", "rsa"] {
            keygen(&folder.join(kind), kind);
            let public = at(&format!("{kind}.pub"));
            sh("ssh-keygen", &["-q", "-s", &at("ca"), "-I", "test", "-n", "root", "-V", "+1h", &public]);
        }
        fs::write(folder.join("authorized"), "").unwrap();
        format!("TrustedUserCAKeys {}", at("ca.pub"))
    });
    for kind in ["ed25519", "rsa"] {
        let beside = format!("IdentityFile {}", sshd.path(kind).display());
        log_in(sshd.options(&beside), &sshd.target()).await.unwrap();
    }
    let agent = Agent::start(sshd.folder.path());
    agent.add(&sshd.path("rsa"));
    let held = Options { environment: agent.environment(), ..sshd.options("") };
    log_in(held, &sshd.target()).await.unwrap();
    fs::rename(sshd.path("ed25519-cert.pub"), sshd.path("elsewhere")).unwrap();
    let key = format!("IdentityFile {}\n", sshd.path("ed25519").display());
    assert!(log_in(sshd.options(&key), &sshd.target()).await.is_err());
    let named = format!("{key}CertificateFile {}", sshd.path("elsewhere").display());
    log_in(sshd.options(&named), &sshd.target()).await.unwrap();
}

#[tokio::test]
async fn host_certificates_are_accepted_only_if_valid() {
    if missing() {
        return;
    }
    let sign = |folder: &Path, arguments: &[&str]| {
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (ca, public) = (at("ca"), at("host.pub"));
        sh("ssh-keygen", &[&["-q", "-s", &ca, "-I", "test"], arguments, &[&public]].concat());
    };
    let good = ["-h", "-n", "127.0.0.1,core-01", "-V", "-1h:+1h"];
    let wrong: [(&[&str], &str); 4] = [
        (&["-h", "-n", "core-02", "-V", "-1h:+1h"], "its certificate is for other hosts"),
        (&["-h", "-n", "127.0.0.1", "-V", "-2h:-1h"], "its certificate is not valid now"),
        (&["-h", "-V", "-1h:+1h"], "its certificate is for other hosts"),
        (&[], ""),
    ];
    for (arguments, why) in wrong {
        let arguments: &[&str] = if arguments.is_empty() { &good } else { arguments };
        let sshd = Sshd::start_with(|folder| {
            keygen(&folder.join("ca"), "ed25519");
            sign(folder, arguments);
            format!("HostCertificate {}", folder.join("host-cert.pub").display())
        });
        let options = || sshd.options(&format!("IdentityFile {}", sshd.path("id").display()));
        fs::remove_file(sshd.path("known")).unwrap();
        sshd.know("@cert-authority *", "ca.pub");
        if why.is_empty() {
            log_in(options(), &sshd.target()).await.unwrap();
            sshd.know("@revoked *", "ca.pub");
            let failure = log_in(options(), &sshd.target()).await.unwrap_err();
            assert!(failure.detail.contains("was revoked"), "{failure}");
            continue;
        }
        let failure = log_in(options(), &sshd.target()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::HostKey);
        assert!(failure.detail.ends_with(why), "{failure}");
        // The key inside a certificate that is not accepted can still be known.
        sshd.know(&format!("[127.0.0.1]:{}", sshd.port), "host.pub");
        log_in(options(), &sshd.target()).await.unwrap();
    }
}

#[tokio::test]
async fn known_hosts_counts_hashed_and_with_revoked_keys_and_grows_if_allowed() {
    if missing() {
        return;
    }
    let sshd = Sshd::start_with(|folder| {
        keygen(&folder.join("ecdsa"), "ecdsa");
        format!("HostKey {}", folder.join("ecdsa").display())
    });
    let key = format!("IdentityFile {}\n", sshd.path("id").display());
    let known = sshd.path("known");
    sh("ssh-keygen", &["-q", "-H", "-f", known.to_str().unwrap()]);
    log_in(sshd.options(&key), &sshd.target()).await.unwrap();

    // Only the second of the host's two keys is known, and the handshake asks for it.
    fs::write(&known, "").unwrap();
    sshd.know(&format!("[127.0.0.1]:{}", sshd.port), "ecdsa.pub");
    log_in(sshd.options(&key), &sshd.target()).await.unwrap();

    sshd.know("@revoked *", "ecdsa.pub");
    let failure = log_in(sshd.options(&format!("{key}StrictHostKeyChecking no")), &sshd.target()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::HostKey);
    assert!(failure.detail.ends_with(&format!("was revoked: {}:2", known.display())), "{failure}");

    // A file of revoked keys counts too, and without the file no host is accepted.
    let list = format!("{key}RevokedHostKeys {}\n", sshd.path("ecdsa.pub").display());
    fs::write(&known, "").unwrap();
    sshd.know(&format!("[127.0.0.1]:{}", sshd.port), "ecdsa.pub");
    let failure = log_in(sshd.options(&list), &sshd.target()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::HostKey);
    assert!(failure.detail.ends_with(&format!("was revoked: {}:1", sshd.path("ecdsa.pub").display())), "{failure}");
    let list = list.replace("ecdsa.pub", "nowhere");
    let failure = log_in(sshd.options(&list), &sshd.target()).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Configure, FailureKind::Local));
    assert!(failure.detail.contains("nowhere"), "{failure}");

    fs::remove_file(&known).unwrap();
    let strict = |strict| Options { strict: Some(strict), ..sshd.options(&key) };
    assert!(log_in(strict(StrictHostKey::Yes), &sshd.target()).await.is_err());
    assert!(!known.exists());
    log_in(strict(StrictHostKey::AcceptNew), &sshd.target()).await.unwrap();
    let noted = fs::read_to_string(&known).unwrap();
    assert!(noted.starts_with(&format!("[127.0.0.1]:{} ", sshd.port)) && noted.lines().count() == 1, "{noted}");
    log_in(strict(StrictHostKey::Yes), &sshd.target()).await.unwrap();
}

#[tokio::test]
async fn hosts_are_reached_through_a_jump_host_and_a_command() {
    if missing() {
        return;
    }
    let (jump, sshd) = (Sshd::start(), Sshd::start());
    sshd.know(&format!("[127.0.0.1]:{}", jump.port), &jump.path("host.pub").display().to_string());
    let place = format!("root@127.0.0.1:{}", jump.port);
    let config = |way: &str| {
        let (id, other) = (sshd.path("id").display().to_string(), jump.path("id").display().to_string());
        // `Host *` applies to the jump host too, which must not be reached through itself.
        sshd.options(&format!("IdentityFile {id}\nIdentityFile {other}\nHost far\n HostName 127.0.0.1\nHost *\n {way}"))
    };
    let far = sshd.target_at("far");
    log_in(config(&format!("ProxyJump {place}")), &far).await.unwrap();
    let named = Target { jump: Some(place.clone()), ..far.clone() };
    log_in(config("Match originalhost far\n ProxyJump nowhere"), &named).await.unwrap();
    let command = "ProxyCommand bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & exec cat >&3'";
    log_in(config(command), &far).await.unwrap();

    // A jump host that refuses its key is a fault of the configuration; one that is away is a path that failed.
    let known = fs::read_to_string(sshd.path("known")).unwrap();
    fs::write(sshd.path("known"), known.lines().next().unwrap()).unwrap();
    let failure = log_in(config(&format!("ProxyJump {place}")), &far).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Local), "{failure}");
    jump.stop();
    let failure = log_in(config(&format!("ProxyJump {place}")), &far).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Path));
    assert!(
        failure.detail.starts_with("jump host 127.0.0.1:") && failure.detail.ends_with("connection refused"),
        "{failure}"
    );
    // The file is only for this target.
    fs::write(sshd.path("nowhere"), "UserKnownHostsFile none\nProxyCommand ls /no/such\n").unwrap();
    let file = Target { config_file: Some(sshd.path("nowhere")), ..far.clone() };
    let failure = log_in(config(""), &file).await.unwrap_err();
    assert!(failure.detail.starts_with("the proxy command ended with exit status 2: ls: "), "{failure}");
    let circle = Target { jump: Some("a:1,b:2,a:1".to_owned()), ..far };
    let failure = log_in(config(""), &circle).await.unwrap_err();
    assert!(failure.detail.contains("circle"), "{failure}");
}

#[tokio::test]
async fn one_host_reports_whether_another_greets() {
    if missing() {
        return;
    }
    let (via, sshd) = (Sshd::start(), Sshd::start());
    let ssh = via.ssh();
    let target = via.target();
    let reaches = async |port| ssh.probe(&target, &fake::target(port), Duration::from_secs(10)).await;
    assert_eq!(reaches(sshd.port).await, Ok(true));
    // A port that listens without a greeting, and a port without a listener.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    assert_eq!(ssh.probe(&via.target(), &fake::target(port), Duration::from_millis(200)).await, Ok(false));
    drop(mute);
    assert_eq!(reaches(port).await, Ok(false));
}

#[tokio::test]
async fn a_host_that_forwards_nothing_probes_from_its_shell() {
    if missing() {
        return;
    }
    let (via, sshd) = (Sshd::start_with(|_| "AllowTcpForwarding no".to_owned()), Sshd::start());
    let ssh = via.ssh();
    let target = via.target();
    let reaches = async |port| ssh.probe(&target, &fake::target(port), Duration::from_secs(10)).await;
    assert_eq!(reaches(sshd.port).await, Ok(true));
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    assert_eq!(ssh.probe(&target, &fake::target(port), Duration::from_secs(1)).await, Ok(false));
    drop(mute);
    assert_eq!(reaches(port).await, Ok(false));
    // A name that it cannot resolve says nothing about the host.
    let nowhere = Target { address: "ssh://no-such-host.invalid".parse().unwrap(), ..Target::default() };
    let failure = ssh.probe(&target, &nowhere, LIMIT).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
}

#[tokio::test]
async fn a_relay_carries_a_visit_over_its_kept_connection() {
    if missing() {
        return;
    }
    let (relay, sshd) = (Sshd::start(), Sshd::start());
    sshd.know(&format!("[127.0.0.1]:{}", relay.port), &relay.path("host.pub").display().to_string());
    // The relay needs a key of its own, also as a relay.
    let near = Target { identity_files: vec![relay.path("id")], ..relay.target() };
    let far = Target { identity_files: vec![sshd.path("id")], ..sshd.target() };
    let ssh = Ssh::new(sshd.options(""));
    let around = far.through(near.clone());
    let logins = || fs::read_to_string(relay.path("log")).unwrap().matches("Accepted publickey").count();
    let echo = "{ echo \"$SSH_CONNECTION\"; echo end; }\n";
    ssh.script(&near, echo, "end", LIMIT).await.unwrap();
    let before = logins();
    let printed = ssh.script(&around, echo, "end", LIMIT).await.unwrap();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(printed.contains(&format!(" {}", sshd.port)), "{printed}");
    // Progress is about the host itself: the relay is connected already, and what it sends does not count.
    ssh.forget(&around).await;
    let phases = Arc::new(Mutex::new(Vec::new()));
    let reported = phases.clone();
    let progress = Progress::new(move |phase| reported.lock().unwrap().push(phase));
    ssh.visit(&around, &Visit { read_only: true, ..Visit::default() }, false, &progress).await.unwrap();
    assert_eq!(*phases.lock().unwrap(), [Phase::KeyExchange, Phase::Authenticate, Phase::Shell, Phase::Run]);
    ssh.forget(&around).await;
    ssh.script(&near, echo, "end", LIMIT).await.unwrap();
    assert_eq!((before, logins()), (1, 1), "one connection carries all");
    ssh.close(LIMIT).await;
}

#[tokio::test]
async fn the_exit_of_a_command_is_returned_even_if_a_child_goes_on() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    let run = async |line: &str, limit| {
        let command = Command { script: line.to_owned(), limit, ..Command::default() };
        let mut kept = Kept::default();
        let exit = ssh.exec(&target, &command, &mut kept).await;
        (exit, String::from_utf8(kept.out).unwrap())
    };
    let (exit, _) = run("kill -TERM $$", Some(LIMIT)).await;
    assert_eq!(exit, Ok(Exit::Signal("TERM".to_owned())));
    let start = Instant::now();
    let (exit, out) = run("(sleep 60 &); echo done", None).await;
    assert_eq!((exit, out.as_str()), (Ok(Exit::Code(0)), "done\n"));
    assert!(start.elapsed() < Duration::from_secs(30));
    let (exit, out) = run("echo first; sleep 60", Some(Duration::from_secs(2))).await;
    let failure = exit.unwrap_err();
    assert_eq!((failure.phase, failure.kind, out.as_str()), (Phase::Run, FailureKind::Silent, "first\n"));
    // More commands at once than a connection has sessions wait for each other.
    let many = futures_util::future::join_all((0..20).map(|_| run("echo hello", Some(LIMIT)))).await;
    assert!(many.iter().all(|(exit, out)| *exit == Ok(Exit::Code(0)) && out == "hello\n"), "{many:?}");
    let (exit, out) = run("head -c 3000000 /dev/zero | tr '\\0' x", Some(LIMIT)).await;
    assert_eq!((exit, out.len()), (Ok(Exit::Code(0)), 3_000_000));
}

#[tokio::test]
async fn a_shell_that_is_killed_is_lost_and_the_next_call_has_another() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    let failure = ssh.script(&target, "kill -9 $$\necho end", "end", LIMIT).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Run, FailureKind::Reset));
    let failure = ssh.script(&target, "{ (; }\necho end", "end", LIMIT).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Run, FailureKind::Sick));
    assert!(failure.detail.contains("yntax error"), "{failure}");
    // A shell that ended between two calls is replaced.
    let printed = ssh.script(&target, "echo $$\necho end; exit 0", "end", LIMIT).await.unwrap();
    let pid = String::from_utf8(printed).unwrap().lines().next().unwrap().to_owned();
    let gone = Command { script: format!("while kill -0 {pid}; do :; done"), limit: Some(LIMIT), ..Command::default() };
    ssh.exec(&target, &gone, &mut Kept::default()).await.unwrap();
    ssh.script(&target, "echo end", "end", LIMIT).await.unwrap();
}
