//! Hosts behind a `ProxyCommand`, which is a real `/bin/sh` command, and the ways in which the command ends.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::remote::Remote as _;
use muster::remote::ssh::Deadlines;
use muster::remote::ssh::Options;
use muster::remote::ssh::Ssh;

use super::fake::FakeHost;
use super::fake::Fault;

const LONG: Duration = Duration::from_secs(30);

/// A proxy command in bash that carries a connection to a host on loopback. It writes its process id to the file `pid`.
/// On SIGTERM it complains and exits with 3.
fn tunnel(host: &FakeHost, more: &str) -> String {
    let (pid, port) = (host.path("pid").display().to_string(), host.port);
    format!(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} 4<&0; {more} cat <&3 & in=$!; cat <&4 >&3 & out=$!; \
         end() {{ echo the tunnel broke >&2; kill $in $out; exit 3; }}; trap end TERM; echo $$ >{pid}; wait; wait'"
    )
}

/// Returns connections that go through a proxy command.
fn through(host: &FakeHost, command: &str, deadlines: Deadlines) -> Ssh {
    let options = host.options(deadlines);
    let config = fs::read_to_string(host.path("config")).unwrap();
    fs::write(host.path("config"), format!("ProxyCommand {command}\n{config}")).unwrap();
    Ssh::new(Options { ssh_config: Some(host.path("config")), ..options })
}

/// Visits a host through a proxy command that does not reach it.
async fn failed(command: &str) -> Failure {
    let host = FakeHost::start(&[Fault::None]).await;
    let ssh = through(&host, command, Deadlines { key_exchange: LONG, ..Deadlines::default() });
    ssh.script(&host.target(), "echo end", "end", LONG).await.unwrap_err()
}

#[tokio::test]
async fn a_proxy_command_that_ends_before_the_host_spoke_is_a_path_that_failed() {
    let table = [
        (
            "echo first >&2; echo 'connect: No route to host' >&2; exit 255",
            "the proxy command ended with exit status 255: connect: No route to host",
        ),
        ("exit 0", "the proxy command ended with exit status 0"),
        ("kill -9 $$", "the proxy command was killed by signal 9"),
        (
            r"printf 'stop\033[2J\377\n\n' >&2; exit 1",
            "the proxy command ended with exit status 1: stop\u{fffd}[2J\u{fffd}",
        ),
        (
            "echo HTTP/1.1 502 Bad Gateway; exit 1",
            "the proxy command ended with exit status 1; it printed \"HTTP/1.1 502 Bad Gateway\"",
        ),
        ("exec >&-; exec sleep 300", "the proxy command closed its stdout"),
        // The stderr is bounded, and the command does not block on it.
        (
            "head -c 3000000 /dev/zero >&2; echo >&2; echo at last >&2; exit 9",
            "the proxy command ended with exit status 9: at last",
        ),
    ];
    let visits = table.map(|(command, detail)| async move {
        let failure = failed(&format!("sh -c {}", shlex::try_quote(command).unwrap())).await;
        assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Path), "{command}: {failure}");
        assert_eq!((failure.detail.as_str(), failure.hint), (detail, None), "{command}");
    });
    futures_util::future::join_all(visits).await;
}

#[tokio::test]
async fn a_proxy_command_that_prints_something_other_than_ssh_says_nothing_about_the_host() {
    let failure = failed("sh -c 'yes x | tr -d \"\\n\"'").await;
    assert_eq!((failure.phase, failure.kind), (Phase::Connect, FailureKind::Path), "{failure}");
    assert!(failure.detail.starts_with("the proxy command printed something other than SSH: \"xxx"), "{failure}");
}

#[tokio::test]
async fn a_proxy_command_that_hangs_is_silence() {
    let host = FakeHost::start(&[Fault::None]).await;
    let limit = Duration::from_millis(300);
    let ssh = through(&host, "sleep 300", Deadlines { key_exchange: limit, ..Deadlines::default() });
    let failure = ssh.script(&host.target(), "echo end", "end", LONG).await.unwrap_err();
    assert_eq!(failure.to_string(), "core-01: key exchange: nothing came back within 300 ms");
    assert_eq!(failure.kind, FailureKind::Silent);
}

#[tokio::test]
async fn sshd_that_limits_connections_is_recognised_through_a_proxy_command() {
    let host = FakeHost::start(&[Fault::Say("Exceeded MaxStartups\r\n")]).await;
    let command = format!("bash -c 'exec cat </dev/tcp/127.0.0.1/{}'", host.port);
    let ssh = through(&host, &command, Deadlines::default());
    let failure = ssh.script(&host.target(), "echo end", "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::KeyExchange, FailureKind::Throttled), "{failure}");
}

#[tokio::test]
async fn the_end_of_a_proxy_command_under_a_connection_is_named_and_its_stderr_does_not_block() {
    let host = FakeHost::start(&[Fault::None]).await;
    let command = tunnel(&host, "head -c 3000000 /dev/zero >&2; echo >&2;");
    let ssh = through(&host, &command, Deadlines::default());
    assert_eq!(ssh.script(&host.target(), "echo hello\necho end", "end", LONG).await.unwrap(), b"hello\nend\n");
    // The host's commands run on this machine.
    let script = format!("kill -TERM $(cat {})\nread never", host.path("pid").display());
    let failure = ssh.script(&host.target(), &script, "end", LONG).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Run, FailureKind::Reset), "{failure}");
    assert_eq!(failure.detail, "the proxy command ended with exit status 3: the tunnel broke");
}

#[tokio::test]
async fn a_proxy_command_ends_with_the_connection_and_leaves_no_zombie() {
    let host = FakeHost::start(&[Fault::None]).await;
    let command = tunnel(&host, "");
    let ssh = through(&host, &command, Deadlines::default());
    ssh.script(&host.target(), "echo end", "end", LONG).await.unwrap();
    let pid = fs::read_to_string(host.path("pid")).unwrap();
    let process = format!("/proc/{}", pid.trim());
    assert!(fs::exists(&process).unwrap());
    ssh.forget(&host.target()).await;
    let end = Instant::now() + LONG;
    while fs::exists(&process).unwrap() {
        assert!(Instant::now() < end, "the proxy command goes on");
        tokio::task::yield_now().await;
    }
}
