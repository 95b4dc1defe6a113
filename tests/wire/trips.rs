//! InFlight to hosts that drop, stall and lie: each ends in time, and says in which phase and what it shows.

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
use muster::remote::Remote as _;
use muster::remote::Sink;
use muster::remote::ssh::Deadlines;
use muster::remote::ssh::Ssh;

use super::fake::FakeHost;
use super::fake::Way;
use super::fake::target;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// Gives one phase little time, and the others as much as a busy machine may need.
fn hurry(phase: Phase) -> Deadlines {
    let limit = |this| if this == phase { SHORT } else { LONG };
    Deadlines {
        resolve: limit(Phase::Resolve),
        connect: limit(Phase::Connect),
        key_exchange: limit(Phase::KeyExchange),
        authenticate: limit(Phase::Authenticate),
        shell: limit(Phase::Shell),
        close: limit(Phase::Close),
    }
}

async fn visit(ssh: &Ssh, host: &FakeHost, limit: Duration) -> Result<Vec<u8>, Failure> {
    ssh.script(&host.target(), "echo hello\necho end", "end", limit).await
}

#[tokio::test]
async fn every_way_to_fail_has_its_phase_and_its_kind() {
    use FailureKind as Kind;
    let table = [
        (Way::HangUp, Phase::KeyExchange, Kind::Throttled, "closed the connection before the key exchange"),
        (Way::Say("Exceeded MaxStartups\r\n"), Phase::KeyExchange, Kind::Throttled, "Exceeded MaxStartups"),
        (Way::Say("SSH-2.0-OpenSSH_9.9\r\n"), Phase::KeyExchange, Kind::Throttled, "before the key exchange"),
        (Way::Say("HTTP/1.1 400 Bad Request\r\n\r\n"), Phase::KeyExchange, Kind::Sick, "HTTP/1.1 400 Bad Request"),
        (Way::Mumble(""), Phase::KeyExchange, Kind::Silent, "within 300 ms"),
        (Way::Mumble("SSH-2.0-OpenSSH_9.9\r\n"), Phase::KeyExchange, Kind::Silent, "within 300 ms"),
        (Way::RefuseKeys, Phase::Authenticate, Kind::Denied, "refused the one key we have for \"root\""),
        (Way::StallAtKeys, Phase::Authenticate, Kind::Silent, "within 300 ms"),
        (Way::RefuseCommands, Phase::Shell, Kind::Sick, "it runs no commands"),
        (Way::StallAtShell, Phase::Shell, Kind::Silent, "within 300 ms"),
        (Way::AskForPassword, Phase::Shell, Kind::Denied, "sudo: a password is required"),
        (Way::Die, Phase::Run, Kind::Reset, "closed"),
        (Way::NeverEnd, Phase::Run, Kind::Silent, "within 300 ms"),
        (Way::CloseChannel, Phase::Run, Kind::Reset, "the shell was killed"),
        (Way::Flood, Phase::Run, Kind::Sick, "more than 1000000 bytes"),
    ];
    let trips = table.map(|(way, phase, kind, words)| async move {
        let host = FakeHost::start(&[way]).await;
        let silent = if kind == Kind::Silent { hurry(phase) } else { hurry(Phase::Close) };
        let options = muster::remote::ssh::Options { output_limit: 1_000_000, ..host.options(silent) };
        let limit = if kind == Kind::Silent && phase == Phase::Run { SHORT } else { LONG };
        let failure = visit(&Ssh::new(options), &host, limit).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (phase, kind), "{way:?}: {failure}");
        assert!(failure.detail.contains(words), "{way:?}: {failure}");
        assert_eq!(failure.host, "core-01");
    });
    futures_util::future::join_all(trips).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let host = FakeHost::start(&[Way::Work]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let failure = ssh.script(&target(free), "echo end", "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Refused));
    assert_eq!(failure.to_string(), format!("core-01: connect: 127.0.0.1:{free}: connection refused"));
}

#[tokio::test]
async fn a_name_that_is_nowhere_tells_nothing_about_the_host() {
    let host = FakeHost::start(&[Way::Work]).await;
    let mut target = host.target();
    target.address.host = "no-such-host.invalid".to_owned();
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let failure = ssh.script(&target, "echo end", "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Resolve, FailureKind::Local), "{failure}");
}

#[tokio::test]
async fn a_host_whose_key_is_unknown_or_has_changed_is_refused_with_what_to_do() {
    let host = FakeHost::start(&[Way::Work]).await;
    let known = fs::read_to_string(host.path("known")).unwrap();
    fs::write(host.path("known"), "").unwrap();
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let failure = visit(&ssh, &host, LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::KeyExchange, FailureKind::HostKey));
    assert!(failure.detail.contains("ssh-ed25519 host key SHA256:") && failure.detail.ends_with("is not known"));

    // The key of another host under this one's name.
    let other = FakeHost::start(&[Way::Work]).await;
    let text = fs::read_to_string(other.path("known")).unwrap();
    let text = text.replace(&other.port.to_string(), &host.port.to_string());
    fs::write(host.path("known"), format!("# by hand\n{text}")).unwrap();
    let failure = visit(&ssh, &host, LONG).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::HostKey);
    let file = host.path("known").display().to_string();
    assert!(failure.detail.ends_with(&format!("is not the one in {file}:2")), "{failure}");
    let advice = failure.hint.unwrap();
    assert!(advice.contains(&format!("ssh-keygen -f {file} -R '[127.0.0.1]:{}'", host.port)), "{advice}");

    // The file is read again once it has changed.
    fs::write(host.path("known"), known).unwrap();
    assert!(visit(&ssh, &host, LONG).await.is_ok());
}

#[tokio::test]
async fn after_a_run_that_failed_the_next_call_starts_afresh() {
    let host = FakeHost::start(&[Way::Die, Way::NeverEnd, Way::Work]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap_err().kind, FailureKind::Reset);
    assert_eq!(visit(&ssh, &host, SHORT).await.unwrap_err().kind, FailureKind::Silent);
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(host.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_script_that_nobody_waits_for_any_more_is_not_mixed_up_with_the_next() {
    let host = FakeHost::start(&[Way::Work]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let target = host.target();
    let slow = ssh.script(&target, "echo early; read never; echo end", "end", LONG);
    assert!(tokio::time::timeout(Duration::from_secs(2), slow).await.is_err());
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"hello\nend\n");
    assert_eq!(host.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn calls_for_one_host_queue_up_on_one_connection() {
    let host = FakeHost::start(&[Way::Work]).await;
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
async fn silent_hosts_do_not_hold_up_the_others() {
    let silent = FakeHost::start(&[Way::Mumble("SSH-2.0-OpenSSH_9.9\r\n")]).await;
    let host = FakeHost::start(&[Way::Work]).await;
    let known = fs::read_to_string(host.path("known")).unwrap();
    let ssh = Arc::new(Ssh::new(host.options(Deadlines::default())));
    assert!(known.contains(&host.port.to_string()));
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let (ssh, mut target) = (ssh.clone(), silent.target());
            // A user each, or they would share one connection.
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
async fn what_a_host_prints_comes_back_byte_for_byte() {
    let host = FakeHost::start(&[Way::Garbage]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    assert_eq!(visit(&ssh, &host, LONG).await.unwrap(), b"\x00\xff\r\n\x1b[2J end\nend \nend\n");
}

#[tokio::test]
async fn hostile_text_in_a_script_arrives_byte_for_byte() {
    let host = FakeHost::start(&[Way::Work]).await;
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
    let host = FakeHost::start(&[Way::Work]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let made = host.path("made");
    // Half of a compound command; the shell is sent no more before the limit.
    let script = format!("{{ : >{}; echo half", made.display());
    assert_eq!(ssh.script(&host.target(), &script, "end", SHORT).await.unwrap_err().kind, FailureKind::Silent);
    ssh.close(LONG).await;
    assert!(!made.exists());
}

#[tokio::test]
async fn taking_leave_ends_the_connection_and_the_next_call_makes_another() {
    let host = FakeHost::start(&[Way::Work]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    visit(&ssh, &host, LONG).await.unwrap();
    ssh.forget(&host.target()).await;
    visit(&ssh, &host, LONG).await.unwrap();
    ssh.close(LONG).await;
    visit(&ssh, &host, LONG).await.unwrap();
    assert_eq!(host.connections.load(Ordering::SeqCst), 3);
}

/// What panics at the first byte of output that it is given.
struct Trap;

impl Sink for Trap {
    fn stdout(&mut self, _: &[u8]) {
        panic!("the trap")
    }

    fn stderr(&mut self, _: &[u8]) {
        panic!("the trap")
    }
}

/// What takes everything.
struct Patient;

impl Sink for Patient {
    fn stdout(&mut self, _: &[u8]) {}

    fn stderr(&mut self, _: &[u8]) {}
}

#[tokio::test]
async fn a_panic_on_the_way_to_a_host_ends_that_trip_alone() {
    let host = FakeHost::start(&[Way::Work]).await;
    let ssh = Ssh::new(host.options(Deadlines::default()));
    let target = host.target();
    let hello = Command { line: "echo hello".to_owned(), limit: Some(LONG), ..Command::default() };
    let failure = ssh.exec(&target, &hello, &mut Trap).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Run, FailureKind::Local), "{failure}");
    assert_eq!(failure.to_string(), "core-01: run: muster itself failed on the way: this is a bug");
    // The host is as good as before, and so is the connection.
    assert_eq!(ssh.exec(&target, &hello, &mut Patient).await.unwrap(), Exit::Code(0));
    assert!(visit(&ssh, &host, LONG).await.is_ok());
    assert_eq!(host.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_neighbour_that_hangs_is_at_fault_itself_and_one_that_answers_has_seen_nobody() {
    for (way, expected) in [(Way::LookInVain, Ok(false)), (Way::HangLooking, Err(FailureKind::Silent))] {
        let neighbour = FakeHost::start(&[way]).await;
        let ssh = Ssh::new(neighbour.options(Deadlines::default()));
        let began = Instant::now();
        let answer = ssh.probe(&neighbour.target(), &target(1), SHORT).await;
        assert_eq!(answer.as_ref().copied().map_err(|failure| failure.kind), expected, "{way:?}: {answer:?}");
        assert!(answer.map_or_else(|failure| failure.host == "core-01", |_| true));
        assert!(began.elapsed() < SHORT + Duration::from_secs(1), "the core timeouts for a second more and no longer");
    }
}
