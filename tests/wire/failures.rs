//! Visits to hosts that drop, stall and lie: each ends in time with its phase and its kind of failure.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Password;
use muster::remote::Remote as _;
use muster::remote::Sink;
use muster::remote::Target;
use muster::remote::ssh::Deadlines;
use muster::remote::ssh::Ssh;

use super::fake::FakeHost;
use super::fake::Fault;
use super::fake::target;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// Gives one phase a short limit and the others a long one.
fn hurry(phase: Phase) -> Deadlines {
    let limit = |this| if this == phase { SHORT } else { LONG };
    Deadlines {
        resolve: limit(Phase::Resolve),
        connect: limit(Phase::Connect),
        key_exchange: limit(Phase::KeyExchange),
        authenticate: limit(Phase::Authenticate),
        shell: limit(Phase::Shell),
        close: limit(Phase::Close),
        each: Duration::MAX,
    }
}

async fn visit(ssh: &Ssh, host: &FakeHost, limit: Duration) -> Result<Vec<u8>, Failure> {
    ssh.script(&host.target(), "echo hello\necho end", "end", limit).await
}

#[tokio::test]
async fn each_fault_of_a_host_has_its_phase_and_its_kind() {
    use FailureKind as Kind;
    let table = [
        (Fault::HangUp, Phase::KeyExchange, Kind::Throttled, "closed the connection before the key exchange"),
        (Fault::Say("Exceeded MaxStartups\r\n"), Phase::KeyExchange, Kind::Throttled, "Exceeded MaxStartups"),
        (Fault::Say("SSH-2.0-OpenSSH_9.9\r\n"), Phase::KeyExchange, Kind::Throttled, "before the key exchange"),
        (Fault::Say("HTTP/1.1 400 Bad Request\r\n\r\n"), Phase::KeyExchange, Kind::Sick, "HTTP/1.1 400 Bad Request"),
        (Fault::SayAndStall(""), Phase::KeyExchange, Kind::Silent, "within 300 ms"),
        (Fault::SayAndStall("SSH-2.0-OpenSSH_9.9\r\n"), Phase::KeyExchange, Kind::Silent, "within 300 ms"),
        (Fault::RefuseKeys, Phase::Authenticate, Kind::Denied, "the host refused the only key for \"root\""),
        (Fault::StallAtKeys, Phase::Authenticate, Kind::Silent, "within 300 ms"),
        (Fault::RefuseCommands, Phase::Shell, Kind::Sick, "the host runs no commands"),
        (Fault::StallAtShell, Phase::Shell, Kind::Silent, "within 300 ms"),
        (Fault::AskForPassword, Phase::Shell, Kind::Denied, "sudo: a password is required"),
        (Fault::Die, Phase::Run, Kind::Reset, "closed"),
        (Fault::NeverEnd, Phase::Run, Kind::Silent, "within 300 ms"),
        (Fault::CloseChannel, Phase::Run, Kind::Reset, "the shell was killed"),
        (Fault::Flood, Phase::Run, Kind::Sick, "more than 1000000 bytes"),
    ];
    let visits = table.map(|(fault, phase, kind, words)| async move {
        let host = FakeHost::start(&[fault]).await;
        let silent = if kind == Kind::Silent { hurry(phase) } else { hurry(Phase::Close) };
        let options = muster::remote::ssh::Options { output_limit: 1_000_000, ..host.options(silent) };
        let limit = if kind == Kind::Silent && phase == Phase::Run { SHORT } else { LONG };
        let failure = visit(&Ssh::new(options), &host, limit).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (phase, kind), "{fault:?}: {failure}");
        assert!(failure.detail.contains(words), "{fault:?}: {failure}");
        assert_eq!(failure.host, "core-01");
    });
    futures_util::future::join_all(visits).await;
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let host = FakeHost::start(&[Fault::None]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let failure = ssh.script(&target(free), "echo end", "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Refused));
    assert_eq!(failure.to_string(), format!("core-01: connect: 127.0.0.1:{free}: connection refused"));
}

#[tokio::test]
async fn a_name_without_an_address_says_nothing_about_the_host() {
    let host = FakeHost::start(&[Fault::None]).await;
    let mut target = host.target();
    target.address.host = "no-such-host.invalid".to_owned();
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let failure = ssh.script(&target, "echo end", "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Resolve, FailureKind::Local), "{failure}");
}

#[tokio::test]
async fn a_password_is_given_to_a_host_that_accepts_no_key() {
    for fault in [Fault::TakePassword, Fault::AskPassword] {
        let host = FakeHost::start(&[fault]).await;
        let ssh = Ssh::new(host.options(Deadlines::default()));
        for (password, expected) in [
            (None, Some("the host refused the only key for \"root\"")),
            (Some("wrong"), Some("the host refused the password of \"root\"")),
            (Some("secret"), None),
        ] {
            let password = password.map(|text| Password::new(text).unwrap());
            let target = Target { password, ..host.target() };
            let done = ssh.script(&target, "echo end", "end", LONG).await;
            let (kind, detail) = done.err().map(|failure| (failure.kind, failure.detail)).unzip();
            assert_eq!((kind, detail.as_deref()), (expected.map(|_| FailureKind::Denied), expected));
        }
    }
}

#[tokio::test]
async fn a_private_key_that_other_users_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = FakeHost::start(&[Fault::None]).await;
    fs::set_permissions(host.path("id"), fs::Permissions::from_mode(0o644)).unwrap();
    let failure = visit(&Ssh::new(host.options(Deadlines::default())), &host, LONG).await.unwrap_err();
    let expected = format!("other users can read {}: run `chmod 600` on it", host.path("id").display());
    assert!(failure.detail.contains(&expected), "{failure}");
}

#[tokio::test]
async fn a_host_whose_key_is_unknown_or_has_changed_is_refused_with_a_hint() {
    let host = FakeHost::start(&[Fault::None]).await;
    let known = fs::read_to_string(host.path("known")).unwrap();
    fs::write(host.path("known"), "").unwrap();
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let failure = visit(&ssh, &host, LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::KeyExchange, FailureKind::HostKey));
    assert!(failure.detail.contains("ssh-ed25519 host key SHA256:") && failure.detail.ends_with("is not known"));

    // The key of another host under this one's name.
    let other = FakeHost::start(&[Fault::None]).await;
    let text = fs::read_to_string(other.path("known")).unwrap();
    let text = text.replace(&other.port.to_string(), &host.port.to_string());
    fs::write(host.path("known"), format!("# by hand\n{text}")).unwrap();
    let failure = visit(&ssh, &host, LONG).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::WrongMachine);
    let file = host.path("known").display().to_string();
    assert!(failure.detail.ends_with(&format!("is not the one in {file}:2")), "{failure}");
    let advice = failure.hint.unwrap();
    assert!(advice.contains(&format!("ssh-keygen -f {file} -R '[127.0.0.1]:{}'", host.port)), "{advice}");

    // A file that has changed is read again.
    fs::write(host.path("known"), known).unwrap();
    assert!(visit(&ssh, &host, LONG).await.is_ok());
}

#[tokio::test]
async fn after_a_run_that_failed_the_next_call_makes_a_new_connection() {
    let host = FakeHost::start(&[Fault::Die, Fault::NeverEnd, Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap_err().kind, FailureKind::Reset);
    assert_eq!(visit(&ssh, &host, SHORT).await.unwrap_err().kind, FailureKind::Silent);
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(host.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn after_a_shell_that_could_not_start_the_next_call_logs_in_anew() {
    let host = FakeHost::start(&[Fault::RefuseCommands, Fault::AskForPassword, Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap_err().kind, FailureKind::Sick);
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap_err().kind, FailureKind::Denied);
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(host.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_script_that_was_cancelled_is_not_mixed_up_with_the_next() {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let target = host.target();
    let slow = ssh.script(&target, "echo early; read never; echo end", "end", LONG);
    assert!(tokio::time::timeout(Duration::from_secs(2), slow).await.is_err());
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(host.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn calls_for_one_host_queue_on_one_connection() {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let target = host.target();
    let calls = (0..20).map(|number| {
        let (ssh, target) = (&ssh, &target);
        async move {
            let printed = ssh.script(target, &format!("echo {number}\necho end"), "end", LONG).await.unwrap();
            assert_eq!(printed, format!("{number}\nend\n").into_bytes());
        }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(host.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_limit_of_every_phase_overrides_longer_ones() {
    let host = FakeHost::start(&[Fault::SayAndStall("SSH-2.0-OpenSSH_9.9\r\n")]).await;
    let ssh = Ssh::new(host.options(Deadlines::default().at_most(SHORT)));
    let failure = visit(&ssh, &host, LONG).await.unwrap_err();
    assert_eq!(failure.to_string(), "core-01: key exchange: nothing came back within 300 ms");
}

#[tokio::test]
async fn silent_hosts_do_not_delay_the_others() {
    let silent = FakeHost::start(&[Fault::SayAndStall("SSH-2.0-OpenSSH_9.9\r\n")]).await;
    let host = FakeHost::start(&[Fault::None]).await;
    let known = fs::read_to_string(host.path("known")).unwrap();
    let ssh = Arc::new(Ssh::new(host.options(Deadlines::default())));
    assert!(known.contains(&host.port.to_string()));
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let (ssh, mut target) = (ssh.clone(), silent.target());
            // Each with a user of its own, or all would share one connection.
            target.address.user = Some(format!("user{number}"));
            tokio::spawn(async move { ssh.script(&target, "echo end", "end", LONG).await })
        })
        .collect();
    let start = Instant::now();
    while silent.connections.load(Ordering::SeqCst) < 20 {
        assert!(start.elapsed() < LONG);
        tokio::task::yield_now().await;
    }
    assert!(visit(&ssh, &host, LONG).await.is_ok());
    assert!(waiting.iter().all(|task| !task.is_finished()), "all of them should still be silent");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_output_of_a_host_is_returned_byte_for_byte() {
    let host = FakeHost::start(&[Fault::Garbage]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"\x00\xff\r\n\x1b[2J end\nend \nend\n");
}

#[tokio::test]
async fn hostile_text_in_a_script_arrives_byte_for_byte() {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let long = "long 'quoted' $text \\ `here` !\n".repeat(20_000);
    for text in
        ["", "'", "$(reboot)", "a\\\nb", "end\nend", "\t\r\n é 💥 \u{7f}\u{1b}[2J", "'\\''\"$'`", "-n -e \\c %s", &long]
    {
        let script = format!("printf '%s' {}\nprintf '\\n%s\\n' finis", shlex::try_quote(text).unwrap());
        let printed = ssh.script(&host.target(), &script, "finis", LONG).await.unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), format!("{text}\nfinis\n"));
    }
    assert_eq!(host.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_script_that_was_cut_off_is_not_run() {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let made = host.path("made");
    // Half of a compound command. The shell receives no more before the limit.
    let script = format!("{{ : >{}; echo half", made.display());
    assert_eq!(ssh.script(&host.target(), &script, "end", SHORT).await.unwrap_err().kind, FailureKind::Silent);
    ssh.close(LONG).await;
    assert!(!made.exists());
}

#[tokio::test]
async fn closing_ends_the_connection_and_the_next_call_makes_another() {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    visit(&ssh, &host, LONG).await.unwrap();
    ssh.forget(&host.target()).await;
    visit(&ssh, &host, LONG).await.unwrap();
    ssh.close(LONG).await;
    visit(&ssh, &host, LONG).await.unwrap();
    assert_eq!(host.connections.load(Ordering::SeqCst), 3);
}

/// A sink that panics at the first byte of output.
struct Trap;

impl Sink for Trap {
    fn stdout(&mut self, _: &[u8]) {
        panic!("the trap")
    }

    fn stderr(&mut self, _: &[u8]) {
        panic!("the trap")
    }
}

/// A sink that drops everything.
struct Discard;

impl Sink for Discard {
    fn stdout(&mut self, _: &[u8]) {}

    fn stderr(&mut self, _: &[u8]) {}
}

#[tokio::test]
async fn a_panic_in_a_call_to_a_host_ends_that_call_only() {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let target = host.target();
    let hello = Command { script: "echo hello".to_owned(), limit: Some(LONG), ..Command::default() };
    let failure = ssh.exec(&target, &hello, &mut Trap).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Run, FailureKind::Local), "{failure}");
    assert_eq!(failure.to_string(), "core-01: run: muster itself failed on the way: this is a bug");
    // The connection can still be used.
    assert_eq!(ssh.exec(&target, &hello, &mut Discard).await.unwrap(), Exit::Code(0));
    assert!(visit(&ssh, &host, LONG).await.is_ok());
    assert_eq!(host.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_peer_that_hangs_is_at_fault_and_one_that_answers_has_reached_no_sshd() {
    for (fault, expected) in [(Fault::IgnoreProbe, Ok(false)), (Fault::HangAtProbe, Err(FailureKind::Silent))] {
        let peer = FakeHost::start(&[fault]).await;
        let ssh = Ssh::new(peer.options(Deadlines::default()));
        let began = Instant::now();
        let answer = ssh.probe(&peer.target(), &target(1), SHORT).await;
        assert_eq!(answer.as_ref().copied().map_err(|failure| failure.kind), expected, "{fault:?}: {answer:?}");
        assert!(answer.map_or_else(|failure| failure.host == "core-01", |_| true));
        assert!(began.elapsed() < SHORT + Duration::from_secs(1), "the core waits for one second more and no longer");
    }
}

#[tokio::test]
async fn a_jump_host_that_is_lost_before_the_host_spoke_is_a_path_that_failed() {
    let jump = FakeHost::start(&[Fault::DropTunnel]).await;
    let ssh = Ssh::new(jump.options(Deadlines::default()));
    let target = Target { jump: Some(format!("root@127.0.0.1:{}", jump.port)), ..target(1) };
    let failure = ssh.script(&target, "echo end", "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Path), "{failure}");
    assert!(failure.detail.contains("jump host") && failure.detail.contains("was lost"), "{failure}");
}
