//! A play over a thousand hosts that are SSH servers in this process: the memory of muster beside many open connections.
//!
//! The hosts share one file system and two cores, so the time says little.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use russh::Channel;
use russh::ChannelId;
use russh::keys::Algorithm;
use russh::keys::PrivateKey;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::server;
use russh::server::Auth;
use russh::server::ChannelOpenHandle;
use russh::server::Msg;
use russh::server::Session;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::ChildStdin;

use crate::table::Table;

/// The number of hosts.
const HOSTS: u16 = 1000;

/// The port of each host, at an address of its own on loopback.
const PORT: u16 = 22_022;

/// Five tasks: a folder, files and commands, with results that differ by host.
const PLAY: &str = "\
- hosts: all
  gather_facts: false
  tasks:
    - file: {path: '{{ folder }}/{{ inventory_hostname }}', state: directory, mode: '0750'}
    - copy: {content: \"{{ 'a line of a file\\n' * 100 }}\", dest: '{{ folder }}/{{ inventory_hostname }}/app.conf'}
    - command: seq 200
      register: seq
      changed_when: false
    - template: {src: name.j2, dest: '{{ folder }}/{{ inventory_hostname }}/name'}
    - shell: test $(wc -l < {{ folder }}/{{ inventory_hostname }}/app.conf) -eq 100
      changed_when: seq.stdout_lines | length != 200
";

pub(crate) fn measure(table: &mut Table) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _hosts = runtime.block_on(listen(folder.path()));
    fs::write(folder.path().join("site.yml"), PLAY).expect("a file");
    fs::write(folder.path().join("name.j2"), "{{ inventory_hostname }}\n").expect("a file");
    for what in ["all tasks change something", "again, nothing changes"] {
        let (took, peak) = play(folder.path());
        table.times(&format!("a play of five tasks over {HOSTS} hosts made of values"), &[took], what);
        table.numbers("muster's memory meanwhile", &[peak], "MB", "200 MB is the aim");
    }
}

/// Plays and returns how long it took and the peak of muster's memory in MB.
fn play(folder: &Path) -> (Duration, f64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder).env("LC_ALL", "C.UTF-8").current_dir(folder);
    command.args(["play", "-i", "hosts", "--forks", "100", "site.yml", "-e"]);
    command.arg(format!("folder={}", folder.display())).args(["--ssh-config", "ssh_config"]);
    let output = fs::File::create(folder.join("output")).expect("a file");
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::inherit()).spawn().expect("muster");
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(high_water(child.id()).unwrap_or(0.0));
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let took = start.elapsed();
    let said = fs::read_to_string(folder.join("output")).expect("its output");
    assert!(status.success(), "{}", said.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
    assert_eq!(said.lines().filter(|line| line.contains("ok=5 ")).count(), usize::from(HOSTS));
    (took, peak)
}

/// Returns the peak of a process's resident memory, in MB.
fn high_water(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

/// Starts the hosts, and writes the files with which muster reaches them.
async fn listen(folder: &Path) -> tokio::task::JoinSet<()> {
    let host_key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let user_key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let id = folder.join("id");
    fs::write(&id, user_key.to_openssh(LineEnding::LF).unwrap()).unwrap();
    fs::set_permissions(&id, fs::Permissions::from_mode(0o600)).unwrap();
    let public = host_key.public_key().to_openssh().unwrap();
    let config = Arc::new(server::Config { keys: vec![host_key], ..server::Config::default() });
    let (mut hosts, mut known, mut listeners) = (String::new(), String::new(), tokio::task::JoinSet::new());
    for number in 0..HOSTS {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 20, high, low);
        let listener = TcpListener::bind((address, PORT)).await.expect("a free address on loopback");
        let _ = writeln!(hosts, "host{number:04} ansible_host={address} ansible_port={PORT} ansible_user=root");
        let _ = writeln!(known, "[{address}]:{PORT} {public}");
        let config = Arc::clone(&config);
        listeners.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, stream, Client::default()).await {
                        let _ = session.await;
                    }
                });
            }
        });
    }
    fs::write(folder.join("hosts"), hosts).unwrap();
    fs::write(folder.join("known"), known).unwrap();
    let (id, known) = (id.display(), folder.join("known"));
    let text = format!("IdentityFile {id}\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\n", known.display());
    fs::write(folder.join("ssh_config"), text).unwrap();
    listeners
}

/// A connection to a host. Each channel has a shell.
#[derive(Default)]
struct Client {
    shells: HashMap<ChannelId, ChildStdin>,
}

impl server::Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: server::VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &command]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.kill_on_drop(true).spawn()?;
        self.shells.extend(child.stdin.take().map(|stdin| (id, stdin)));
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (handle, errors) = (session.handle(), session.handle());
        tokio::spawn(async move {
            let mut buffer = vec![0; 8192];
            while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
                if errors.extended_data(id, 1, buffer[..count].to_vec()).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut buffer = vec![0; 8192];
            while let Ok(count @ 1..) = stdout.read(&mut buffer).await {
                if handle.data(id, buffer[..count].to_vec()).await.is_err() {
                    return;
                }
            }
            let code = child.wait().await.ok().and_then(|status| status.code()).unwrap_or(255);
            let _ = handle.exit_status_request(id, u32::try_from(code).unwrap_or(255)).await;
            let _ = handle.eof(id).await;
            let _ = handle.close(id).await;
        });
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), russh::Error> {
        if let Some(stdin) = self.shells.get_mut(&id) {
            let _ = stdin.write_all(data).await;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.shells.remove(&id);
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.shells.remove(&id);
        Ok(())
    }
}
