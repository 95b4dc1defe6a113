//! Hosts over SSH: one kept connection per destination, a resident shell on it, and commands beside the shell.
//!
//! Each step that can wait has a deadline, and its failure names the phase. Calls for the shell of one host queue;
//! calls for other hosts are not delayed. This module does not know what a script means.

mod agent_forwarding;
mod auth;
mod command;
mod connection;
mod destination;
mod dial;
mod failure;
mod handshake;
mod host_key;
mod local;
mod options;
mod probe;
mod proxy;
mod reload;
mod shell;
mod started;
mod stream;
mod tail;
mod terminal;
mod user_shell;
mod user_shells;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use connection::Connection;
use connection::Handshake;
use connection::Session;
use connection::SpareSessions as _;
use connection::TunnelError;
use destination::Destination;
use destination::Via;
use failure::ErrorContext;
use failure::hint;
use host_key::KeyCheck;
pub use options::Deadlines;
pub use options::Environment;
pub use options::Options;
pub use options::Overrides;
use shell::ScriptRun;
use shell::Shell;
use stream::ByteStream;
use user_shell::Ran;
use user_shell::UserShell;
use user_shells::UserShells;

use super::Command;
use super::Connection as Carrier;
use super::Exit;
use super::Facts;
use super::OUR_FAULT;
use super::Progress;
use super::Remote;
use super::ScriptRunner;
use super::Sink;
use super::Target;
use super::facts;
use super::guarded;
use super::known_hosts::KnownHostsCache;
use super::progress::Listeners;
use super::ssh_config::Config;
use super::ssh_config::ConfigError;
use super::ssh_config::HostConfig;
use super::visit::VisitScript;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Visit;

/// How many handshakes run at once through one jump host: sshd(8) there drops more than ten (`MaxStartups`).
const MAX_HANDSHAKES_PER_JUMP: usize = 8;

/// How long a host that reached no sshd in a peer probe has to show that it is well itself. Together with the limit of
/// the probe it is less than the core waits.
const SIGN_OF_LIFE: Duration = Duration::from_millis(750);

/// A destination and its kept connection and shell.
struct Host {
    destination: Destination,
    jump: Option<Arc<Host>>,
    /// Held while connecting, so all calls that wait get the same connection.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    /// Held while a script runs.
    shell: tokio::sync::Mutex<Option<Shell>>,
    /// The shells that wait for commands of users.
    user_shells: Arc<UserShells>,
    /// Permits for handshakes through this host.
    jump_permits: Semaphore,
    /// The visits that are under way to this host.
    listeners: Arc<Listeners>,
}

/// Hosts by target and by destination.
#[derive(Default)]
struct Hosts {
    targets: HashMap<Target, Arc<Host>>,
    destinations: HashMap<Destination, Arc<Host>>,
}

/// The connections to hosts over SSH.
pub struct Ssh {
    options: Mutex<Arc<Options>>,
    /// The configurations, by the file that was named for a target, if one was.
    configs: Mutex<HashMap<Option<PathBuf>, Arc<Config>>>,
    hosts: Mutex<Hosts>,
    known_hosts: Arc<KnownHostsCache>,
    /// Permits for handshakes.
    handshake_permits: Semaphore,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh").field("options", &self.options()).finish_non_exhaustive()
    }
}

impl Ssh {
    /// Makes an instance without connections.
    pub fn new(options: Options) -> Self {
        raise_file_limit();
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            options: Mutex::new(Arc::new(options)),
            configs: Mutex::default(),
            hosts: Mutex::default(),
            known_hosts: Arc::default(),
            handshake_permits: Semaphore::new(cores * 2),
        }
    }

    fn options(&self) -> Arc<Options> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads ssh_config(5) once. A caller that calls this first sees a fault in the file before it becomes the
    /// failure of a host.
    pub fn read_config(&self) -> Result<Arc<Config>, ConfigError> {
        self.config_of(None)
    }

    /// Reads ssh_config(5) once, or the file that is named in its place.
    fn config_of(&self, file: Option<&Path>) -> Result<Arc<Config>, ConfigError> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&file.map(Path::to_owned)) {
            return Ok(config.clone());
        }
        let config = Arc::new(load_config(file, &self.options())?);
        configs.insert(file.map(Path::to_owned), config.clone());
        Ok(config)
    }

    /// Finds or makes the host of a target.
    fn host(&self, target: &Target) -> Result<Arc<Host>, Failure> {
        let known = |hosts: &Hosts| hosts.targets.get(target).cloned();
        if let Some(host) = known(&self.hosts.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(host);
        }
        let destination = self.destination(target)?;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.at(&destination);
        hosts.targets.insert(target.clone(), host.clone());
        Ok(host)
    }

    fn destination(&self, target: &Target) -> Result<Destination, Failure> {
        let at = ErrorContext { host: &target.name, phase: Phase::Configure };
        let config = self.config_of(target.config_file.as_deref()).map_err(|error| at.local(error))?;
        Destination::resolve(target, &config, &self.options())
    }

    /// Returns the connection to a host, and connects if there is no usable one.
    fn connection<'a>(&'a self, host: &'a Host, name: &'a str) -> BoxFuture<'a, Result<Arc<Connection>, Failure>> {
        Box::pin(async move {
            let mut slot = host.connection.lock().await;
            if let Some(connection) = slot.as_ref().filter(|connection| connection.is_usable()) {
                return Ok(connection.clone());
            }
            *slot = None;
            let connection = Arc::new(self.connect(host, name).await?);
            *slot = Some(connection.clone());
            Ok(connection)
        })
    }

    async fn connect(&self, host: &Host, name: &str) -> Result<Connection, Failure> {
        let _wait = tracing::info_span!("wait", what = format!("the SSH connection to {name}"));
        let check = self.key_check(&host.destination, name).await?;
        let (stream, carried_by) = self.dial(host, name).await?;
        let permits = host.jump.as_ref().map_or(&self.handshake_permits, |jump| &jump.jump_permits);
        let destination = &host.destination;
        let (options, listeners) = (&*self.options(), &host.listeners);
        let spare = Arc::downgrade(&host.user_shells);
        let handshake = Handshake { host: name, destination, options, check, permits, carried_by, listeners, spare };
        Connection::open(stream, handshake).await
    }

    async fn dial(&self, host: &Host, name: &str) -> Result<(Box<dyn ByteStream>, Option<Arc<Connection>>), Failure> {
        let config = &host.destination.config;
        let deadlines = self.options().deadlines;
        let limit = config.connect_timeout.map_or(deadlines.connect, |asked| asked.min(deadlines.each));
        match (&host.destination.via, &host.jump) {
            (Via::Jump(jump), Some(jump_host)) => {
                let at = ErrorContext { host: name, phase: Phase::Connect };
                let place = jump.place();
                let connection = self.connection(jump_host, &place).await.map_err(|failure| {
                    let detail = format!("jump host {place}: {}: {}", failure.phase, failure.detail);
                    Failure { hint: failure.hint, ..at.failure(behind(failure.kind), detail) }
                })?;
                let open = async { tunnel(&connection, &config.hostname, config.port, &place, at).await };
                Ok((at.within(limit, open).await?, Some(connection)))
            }
            (Via::Command(line), _) => Ok((Box::new(proxy::start(name, line)?), None)),
            _ => {
                let addresses = dial::resolve(name, &config.hostname, config.port, deadlines.resolve).await?;
                Ok((dial::connect(name, &addresses, limit).await?, None))
            }
        }
    }

    /// Returns the rules by which the key of a host is checked.
    async fn key_check(&self, destination: &Destination, name: &str) -> Result<KeyCheck, Failure> {
        let at = ErrorContext { host: name, phase: Phase::Configure };
        let files: Vec<PathBuf> =
            destination.user_known_hosts.iter().chain(&destination.global_known_hosts).cloned().collect();
        let (cache, revoked) = (self.known_hosts.clone(), destination.revoked_host_keys.clone());
        // The files may be large, or on a slow file system.
        let read = tokio::task::spawn_blocking(move || cache.read(files, revoked)).await;
        let known = read.map_err(|_| at.local(OUR_FAULT))?.map_err(|error| at.local(error))?;
        Ok(KeyCheck {
            known,
            host: destination.known_as(),
            strict: destination.config.strict,
            record_in: destination.user_known_hosts.first().cloned(),
            hashed: destination.config.hash_known_hosts,
        })
    }

    /// Opens a channel for a command.
    async fn session(&self, target: &Target, phase: Phase) -> Result<Session, Failure> {
        let host = self.host(target)?;
        let connection = self.connection(&host, &target.name).await?;
        connection.session(ErrorContext { host: &target.name, phase }, self.options().deadlines.shell).await
    }

    /// Returns the socket of the agent that a host may use.
    fn agent(&self, target: &Target) -> Result<PathBuf, Failure> {
        let at = ErrorContext { host: &target.name, phase: Phase::Configure };
        let none = || at.failure(FailureKind::Local, "there is no SSH agent to forward: SSH_AUTH_SOCK is not set");
        let agent = self.host(target)?.destination.agent.clone();
        agent.ok_or_else(|| hint(none(), "Start `ssh-agent`, and add a key with `ssh-add`."))
    }

    /// Runs a command in the user shell, if it may run there and the host can keep such a shell.
    async fn exec_in_user_shell(
        &self,
        target: &Target,
        command: &Command,
        sink: &mut dyn Sink,
    ) -> Result<Option<Exit>, Failure> {
        if command.runner == ScriptRunner::OwnChannel || !command.stdin.is_empty() {
            return Ok(None);
        }
        let (host, start) = (self.host(target)?, self.options().deadlines.shell);
        if host.user_shells.is_impossible() {
            return Ok(None);
        }
        let (run_as, name) = (command.run_as.as_ref(), target.name.as_str());
        let mut waiting = host.user_shells.take(run_as);
        loop {
            let mut shell = match waiting.take() {
                Some(shell) => shell,
                None => UserShell::open(&self.connection(&host, name).await?, run_as, name, start).await?,
            };
            match shell.run(command, sink, name, start).await? {
                Ran::ShellWaits(exit) => {
                    host.user_shells.put(command.run_as.clone(), shell);
                    return Ok(Some(exit));
                }
                Ran::ShellEnded(exit) => return Ok(Some(exit)),
                // Only a shell that has waited can be too late.
                Ran::TooLate => {}
                Ran::Impossible => {
                    host.user_shells.set_impossible();
                    return Ok(None);
                }
            }
        }
    }

    /// Runs a script in the resident root shell of a host, connecting first if need be, and returns its stdout. The
    /// script is one compound command that prints the line `end` last. The call returns when that line has arrived.
    pub async fn script(&self, target: &Target, script: &str, end: &str, limit: Duration) -> Result<Vec<u8>, Failure> {
        let host = self.host(target)?;
        let script = self.script_on(&host, (script, end, limit), false);
        self.run_script(&host, &target.name, &script).await
    }

    /// Runs the script of a visit in the same way. `is_told` says that the operator is told what the visit waits for.
    async fn visit_script(
        &self,
        target: &Target,
        script: &VisitScript,
        progress: &Progress,
        is_told: bool,
    ) -> Result<Vec<u8>, Failure> {
        let host = self.host(target)?;
        let _listening = host.listeners.add(progress);
        let script = self.script_on(&host, (script.text(), script.end(), script.limit()), is_told);
        self.run_script(&host, &target.name, &script).await
    }

    fn script_on<'a>(
        &self,
        host: &'a Host,
        (text, end, limit): (&'a str, &'a str, Duration),
        is_told: bool,
    ) -> ScriptRun<'a> {
        ScriptRun { text, end, limit, room: self.options().output_limit, listeners: &host.listeners, is_told }
    }

    async fn run_script(&self, host: &Host, name: &str, script: &ScriptRun<'_>) -> Result<Vec<u8>, Failure> {
        let mut slot = host.shell.lock().await;
        // The shell is taken out while the script runs, so a call that is cancelled leaves no half-used shell behind.
        let kept = slot.take().filter(|shell| shell.connection().is_usable());
        let idle = kept.and_then(|mut shell| shell.is_idle().then_some(shell));
        let shell = if let Some(shell) = idle {
            shell
        } else {
            let connection = self.connection(host, name).await?;
            let began = Instant::now();
            let started = Shell::start(&connection, name, self.options().deadlines.shell).await;
            // The host may be mended meanwhile, and sshd keeps the settings that it had at the login.
            let shell = started.inspect_err(|_| connection.retire())?;
            tracing::debug!(host = name, elapsed = ?began.elapsed(), "shell started");
            // The host has just sent something. Over a kept shell it has not.
            host.listeners.report(Phase::Run);
            shell
        };
        let _wait = (!script.is_told).then(|| tracing::info_span!("wait", what = format!("an answer of {name}")));
        let mut running = Running(Some(shell));
        let printed = match running.0.as_mut() {
            Some(shell) => shell.run(script, ErrorContext { host: name, phase: Phase::Run }).await?,
            None => Vec::new(),
        };
        *slot = running.0.take();
        Ok(printed)
    }
}

/// A shell that runs a script. If it is dropped before the script has ended, the connection is given up too, because
/// the state of the host is not known.
struct Running(Option<Shell>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shell) = &self.0 {
            shell.connection().retire();
        }
    }
}

impl Hosts {
    /// Finds or makes the host at a destination, and its jump hosts.
    fn at(&mut self, destination: &Destination) -> Arc<Host> {
        if let Some(host) = self.destinations.get(destination) {
            return host.clone();
        }
        let jump = match &destination.via {
            Via::Jump(jump) => Some(self.at(jump)),
            _ => None,
        };
        let host = Arc::new(Host {
            destination: destination.clone(),
            jump,
            connection: tokio::sync::Mutex::default(),
            shell: tokio::sync::Mutex::default(),
            user_shells: Arc::default(),
            jump_permits: Semaphore::new(MAX_HANDSHAKES_PER_JUMP),
            listeners: Arc::default(),
        });
        self.destinations.insert(destination.clone(), host.clone());
        host
    }
}

/// Reads ssh_config(5), or the file that is named in its place.
fn load_config(file: Option<&Path>, options: &Options) -> Result<Config, ConfigError> {
    let home = options.home.as_deref();
    match file.or(options.ssh_config.as_deref()) {
        Some(path) => Config::load_only(path, home),
        None => Config::load(home),
    }
}

/// Opens a stream through a jump host.
async fn tunnel(
    connection: &Connection,
    host: &str,
    port: u16,
    jump: &str,
    at: ErrorContext<'_>,
) -> Result<Box<dyn ByteStream>, Failure> {
    connection.tunnel(host, port).await.map_err(|error| match error {
        TunnelError::ConnectFailed => {
            at.failure(FailureKind::NoRoute, format!("jump host {jump} cannot connect to {host}:{port}"))
        }
        TunnelError::Forbidden => hint(
            at.failure(FailureKind::Local, format!("jump host {jump} does not forward connections")),
            format!("Set `AllowTcpForwarding yes` in the sshd_config of {jump}."),
        ),
        TunnelError::Lost => at.failure(FailureKind::Path, format!("the connection to jump host {jump} was lost")),
    })
}

/// Returns the kind of failure for a host behind a jump host that failed in this way. Faults of the network are a path
/// that failed; faults of the configuration say nothing about the host.
const fn behind(jump: FailureKind) -> FailureKind {
    use FailureKind as Kind;
    match jump {
        Kind::Silent | Kind::Refused | Kind::NoRoute | Kind::Reset | Kind::Throttled | Kind::Path => Kind::Path,
        Kind::HostKey | Kind::Denied | Kind::Sick | Kind::WrongMachine | Kind::Local => Kind::Local,
    }
}

/// Raises the limit of open files: each connection needs one, and the usual limit is 1,024.
fn raise_file_limit() {
    use rustix::process::Resource;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

#[async_trait::async_trait]
impl Remote for Ssh {
    async fn visit(&self, target: &Target, visit: &Visit, quick: bool, progress: &Progress) -> Result<Report, Failure> {
        let exchange = async {
            let script = VisitScript::to_host(&target.name, visit, quick)?;
            let is_told = visit.stops().next().is_some();
            let printed = self.visit_script(target, &script, progress, is_told).await?;
            script.report(&target.name, printed).await
        };
        let report = guarded(&target.name, exchange).await;
        if let Err(failure) = &report {
            tracing::debug!("visit failed: {failure}");
        }
        report
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        let exchange = async {
            let printed = self.script(target, facts::SCRIPT, facts::END, facts::LIMIT).await?;
            facts::facts(&target.name, &printed)
        };
        guarded(&target.name, exchange).await
    }

    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure> {
        let call = async {
            if target.connection == Carrier::Local {
                return local::run(command, sink, &target.name).await;
            }
            if let Some(exit) = self.exec_in_user_shell(target, command, sink).await? {
                return Ok(exit);
            }
            let mut session = self.session(target, Phase::Run).await?;
            command::run(&mut session, command, sink, &target.name, self.options().deadlines.shell).await
        };
        guarded(&target.name, call).await
    }

    async fn interact(&self, target: &Target, command: Option<&str>) -> Result<Exit, Failure> {
        let agent = target.forwards_agent.then(|| self.agent(target)).transpose()?;
        let mut session = self.session(target, Phase::Shell).await?;
        let options = self.options();
        if let Some(agent) = agent {
            let at = ErrorContext { host: &target.name, phase: Phase::Shell };
            at.within(options.deadlines.shell, terminal::forward_agent(&mut session, agent, at)).await?;
        }
        let kind = options.environment.get("TERM").unwrap_or("xterm");
        terminal::interact(&mut session, command, kind, &target.name, options.deadlines.shell).await
    }

    async fn probe(&self, via: &Target, target: &Target, limit: Duration) -> Result<bool, Failure> {
        let HostConfig { hostname: host, port, .. } = self.host(target)?.destination.config.clone();
        let via_host = self.host(via)?;
        let at = ErrorContext { host: &via.name, phase: Phase::Run };
        let answer = async {
            let connection = self.connection(&via_host, &via.name).await?;
            let greeting = async {
                match connection.tunnel(&host, port).await {
                    Ok(mut stream) => Ok(greets(&mut stream).await),
                    Err(TunnelError::ConnectFailed) => Ok(false),
                    Err(TunnelError::Forbidden) => probe::from_shell(&connection, &host, port, limit, &via.name).await,
                    Err(TunnelError::Lost) => Err(connection.lost(at, "the connection was closed")),
                }
            };
            match tokio::time::timeout(limit, greeting).await {
                Ok(answer) => answer,
                // Silence of the target within the limit is an answer if the host that probes is well.
                Err(_) => connection.answers(at).await.map(|()| false),
            }
        };
        at.within(limit + SIGN_OF_LIFE, Box::pin(answer)).await
    }

    async fn forget(&self, target: &Target) {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(host) = hosts.targets.remove(target) else { return };
            hosts.targets.retain(|_, other| !Arc::ptr_eq(other, &host));
            hosts.destinations.remove(&host.destination);
            host
        };
        disconnect(&host, self.options().deadlines.of(Phase::Close)).await;
    }

    async fn close(&self, limit: Duration) {
        let hosts = std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        let each = self.options().deadlines.of(Phase::Close).min(limit);
        // Hosts behind a jump host first, because their connections need the jump host's.
        let (far, near): (Vec<_>, Vec<_>) = hosts.destinations.values().partition(|host| host.jump.is_some());
        let all = async {
            join_all(far.into_iter().map(|host| disconnect(host, each))).await;
            join_all(near.into_iter().map(|host| disconnect(host, each))).await;
        };
        let _ = tokio::time::timeout(limit, all).await;
    }
}

/// Closes the connection to a host, unless a call is connecting to it now.
async fn disconnect(host: &Host, limit: Duration) {
    host.user_shells.close();
    let Ok(mut slot) = host.connection.try_lock() else { return };
    if let Some(connection) = slot.take() {
        let _ = tokio::time::timeout(limit, connection.disconnect()).await;
    }
}

/// Reports whether an sshd greets on a stream.
async fn greets(stream: &mut Box<dyn ByteStream>) -> bool {
    let mut start = [0; 4];
    stream.read_exact(&mut start).await.is_ok() && start == *b"SSH-"
}
