//! The way to the hosts over SSH: one kept connection per destination, the resident shell on it, commands beside it.
//!
//! Everything that can wait has a deadline, and its failure says in which phase it happened. Calls for one host's
//! shell queue up; calls for other hosts do not notice. Nothing here knows what a script means.

mod auth;
mod command;
mod connection;
mod destination;
mod dial;
mod failure;
mod host_key;
mod line;
mod look;
mod options;
mod proxy;
mod shell;
mod tail;
mod terminal;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

use connection::Connection;
use connection::Session;
use connection::Terms;
use connection::Tunnel;
use destination::Destination;
use destination::Via;
use failure::At;
use failure::hint;
use host_key::KeyCheck;
use line::Carrier;
pub use options::Deadlines;
pub use options::Environment;
pub use options::Options;
use shell::Script;
use shell::Shell;

use super::Command;
use super::Exit;
use super::Facts;
use super::Progress;
use super::Remote;
use super::Sink;
use super::Target;
use super::facts;
use super::guarded;
use super::known_hosts::KnownHosts;
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

/// Handshakes at once through one jump host: sshd(8) there drops more than ten newcomers (`MaxStartups`).
const THROUGH_ONE_JUMP: usize = 8;

/// How long a host that looked at another in vain has to show that it is well itself. Together with the time that the core
/// gives it to look it is less than the core waits.
const SIGN_OF_LIFE: Duration = Duration::from_millis(750);

/// A destination and what we have there.
struct Host {
    destination: Destination,
    jump: Option<Arc<Host>>,
    /// Held while connecting, so that everybody who waits gets the same connection.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    /// Held while a script runs.
    shell: tokio::sync::Mutex<Option<Shell>>,
    /// Turns for handshakes through this host.
    through: Semaphore,
    /// The visits that are under way there.
    listeners: Arc<Listeners>,
}

/// Hosts by what they were asked for, and by what that came to.
#[derive(Default)]
struct Hosts {
    targets: HashMap<Target, Arc<Host>>,
    destinations: HashMap<Destination, Arc<Host>>,
}

/// known_hosts files that were read, those of revoked keys, and how all of them looked then: size and time of change.
type Library = HashMap<(Vec<PathBuf>, Vec<PathBuf>), (Vec<Option<(u64, std::time::SystemTime)>>, Arc<KnownHosts>)>;

/// The way to the hosts over SSH.
pub struct Ssh {
    options: Options,
    config: Mutex<Option<Arc<Config>>>,
    hosts: Mutex<Hosts>,
    library: Mutex<Library>,
    /// Turns for handshakes.
    turns: Semaphore,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ssh {
    /// Makes the way to the hosts. No host is touched yet.
    pub fn new(options: Options) -> Self {
        raise_file_limit();
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            options,
            config: Mutex::default(),
            hosts: Mutex::default(),
            library: Mutex::default(),
            turns: Semaphore::new(cores * 2),
        }
    }

    /// Reads ssh_config(5) unless that was done before. Whoever calls this first hears of a fault in it before any host
    /// is blamed for it.
    pub fn read_config(&self) -> Result<Arc<Config>, ConfigError> {
        let mut slot = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = slot.as_ref() {
            return Ok(config.clone());
        }
        let home = self.options.home.as_deref();
        let config = Arc::new(match &self.options.ssh_config {
            Some(path) => Config::only(path, home)?,
            None => Config::usual(home)?,
        });
        *slot = Some(config.clone());
        Ok(config)
    }

    /// Finds what we have for a target.
    fn host(&self, target: &Target) -> Result<Arc<Host>, Failure> {
        let known = |hosts: &Hosts| hosts.targets.get(target).cloned();
        if let Some(host) = known(&self.hosts.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(host);
        }
        let at = At { host: &target.name, phase: Phase::Configure };
        let config = self.read_config().map_err(|error| at.local(error))?;
        let destination = Destination::resolve(target, &config, &self.options)?;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.at(&destination);
        hosts.targets.insert(target.clone(), host.clone());
        Ok(host)
    }

    /// Returns the connection to a host, made anew if there is none that can be used.
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
        let check = self.key_check(&host.destination, name)?;
        let (carrier, carried_by) = self.dial(host, name).await?;
        let turns = host.jump.as_ref().map_or(&self.turns, |jump| &jump.through);
        let destination = &host.destination;
        let (options, listeners) = (&self.options, &host.listeners);
        let terms = Terms { host: name, destination, options, check, turns, carried_by, listeners };
        Connection::open(carrier, terms).await
    }

    async fn dial(&self, host: &Host, name: &str) -> Result<(Box<dyn Carrier>, Option<Arc<Connection>>), Failure> {
        let config = &host.destination.config;
        let limit = config.connect_timeout.unwrap_or(self.options.deadlines.connect);
        match (&host.destination.via, &host.jump) {
            (Via::Jump(jump), Some(way)) => {
                let at = At { host: name, phase: Phase::Connect };
                let place = jump.place();
                let connection = self.connection(way, &place).await.map_err(|failure| {
                    let detail = format!("jump host {place}: {}: {}", failure.phase, failure.detail);
                    Failure { hint: failure.hint, ..at.failure(behind(failure.kind), detail) }
                })?;
                let open = async { tunnel(&connection, &config.hostname, config.port, &place, at).await };
                Ok((at.within(limit, open).await?, Some(connection)))
            }
            (Via::Command(line), _) => Ok((Box::new(proxy::start(name, line)?), None)),
            _ => {
                let resolve = self.options.deadlines.resolve;
                let addresses = dial::resolve(name, &config.hostname, config.port, resolve).await?;
                Ok((dial::connect(name, &addresses, limit).await?, None))
            }
        }
    }

    /// Puts together what a host's key is judged by.
    fn key_check(&self, destination: &Destination, name: &str) -> Result<KeyCheck, Failure> {
        let at = At { host: name, phase: Phase::Configure };
        let files: Vec<PathBuf> =
            destination.user_known_hosts.iter().chain(&destination.global_known_hosts).cloned().collect();
        let revoked = &destination.revoked_host_keys;
        let looks: Vec<_> = files
            .iter()
            .chain(revoked)
            .map(|file| std::fs::metadata(file).ok().and_then(|about| Some((about.len(), about.modified().ok()?))))
            .collect();
        let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        let book = (files, revoked.clone());
        let known = match library.get(&book) {
            Some((then, known)) if *then == looks => known.clone(),
            _ => {
                let known = KnownHosts::read(book.0.iter().map(PathBuf::as_path));
                let known = known.and_then(|known| known.without(book.1.iter().map(PathBuf::as_path)));
                let known = Arc::new(known.map_err(|error| at.local(error))?);
                library.insert(book, (looks, known.clone()));
                known
            }
        };
        Ok(KeyCheck {
            known,
            host: destination.known_as(),
            strict: destination.config.strict,
            note_in: destination.user_known_hosts.first().cloned(),
            hashed: destination.config.hash_known_hosts,
        })
    }

    /// Opens a channel of its own for a command.
    async fn session(&self, target: &Target, phase: Phase) -> Result<Session, Failure> {
        let host = self.host(target)?;
        let connection = self.connection(&host, &target.name).await?;
        connection.session(At { host: &target.name, phase }, self.options.deadlines.shell).await
    }

    /// Feeds a script to a host's resident root shell, connecting first if need be, and returns all that the script
    /// printed on stdout. The script is one compound command that prints the line `end` last; the call returns when that
    /// line has come.
    pub async fn script(&self, target: &Target, script: &str, end: &str, limit: Duration) -> Result<Vec<u8>, Failure> {
        self.script_with_progress(target, script, end, limit, &Progress::default()).await
    }

    async fn script_with_progress(
        &self,
        target: &Target,
        script: &str,
        end: &str,
        limit: Duration,
        progress: &Progress,
    ) -> Result<Vec<u8>, Failure> {
        let host = self.host(target)?;
        let _listening = host.listeners.add(progress);
        let room = self.options.output_limit;
        let script = Script { text: script, end, limit, room, listeners: &host.listeners };
        self.run_script(&host, &target.name, &script).await
    }

    async fn run_script(&self, host: &Host, name: &str, script: &Script<'_>) -> Result<Vec<u8>, Failure> {
        let mut slot = host.shell.lock().await;
        // Taken out for as long as the script runs: whoever stops waiting for it leaves no half-used shell behind.
        let kept = slot.take().filter(|shell| shell.connection().is_usable());
        let idle = kept.and_then(|mut shell| shell.is_idle().then_some(shell));
        let shell = if let Some(shell) = idle {
            shell
        } else {
            let connection = self.connection(host, name).await?;
            let shell = Shell::start(&connection, name, self.options.deadlines.shell).await?;
            // The host has just spoken, which a kept shell has not.
            host.listeners.report(Phase::Run);
            shell
        };
        let mut running = Running(Some(shell));
        let printed = match running.0.as_mut() {
            Some(shell) => shell.run(script, At { host: name, phase: Phase::Run }).await?,
            None => Vec::new(),
        };
        *slot = running.0.take();
        Ok(printed)
    }
}

/// A shell with a script in it. If it is dropped before the script has ended, the connection is given up too: nobody
/// knows what the host is doing.
struct Running(Option<Shell>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shell) = &self.0 {
            shell.connection().give_up();
        }
    }
}

impl Hosts {
    /// Finds or makes the host at a destination, and those on the way to it.
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
            through: Semaphore::new(THROUGH_ONE_JUMP),
            listeners: Arc::default(),
        });
        self.destinations.insert(destination.clone(), host.clone());
        host
    }
}

/// Opens a line through a jump host.
async fn tunnel(
    connection: &Connection,
    host: &str,
    port: u16,
    jump: &str,
    at: At<'_>,
) -> Result<Box<dyn Carrier>, Failure> {
    connection.tunnel(host, port).await.map_err(|why| match why {
        Tunnel::NoWay => at.failure(FailureKind::NoRoute, format!("jump host {jump} cannot connect to {host}:{port}")),
        Tunnel::Forbidden => hint(
            at.failure(FailureKind::Local, format!("jump host {jump} forwards no connections")),
            format!("Set `AllowTcpForwarding yes` in the sshd_config of {jump}."),
        ),
        Tunnel::Lost => at.failure(FailureKind::Path, format!("the connection to jump host {jump} was lost")),
    })
}

/// Returns what a failure to reach a jump host shows about a host behind it: the network failed on the way, or nothing.
const fn behind(jump: FailureKind) -> FailureKind {
    use FailureKind as Kind;
    match jump {
        Kind::Silent | Kind::Refused | Kind::NoRoute | Kind::Reset | Kind::Throttled | Kind::Path => Kind::Path,
        Kind::HostKey | Kind::Denied | Kind::Sick | Kind::WrongMachine | Kind::Local => Kind::Local,
    }
}

/// A connection per host needs a file each, and 1,024 are soon used up.
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
            let printed =
                self.script_with_progress(target, script.text(), script.end(), script.limit(), progress).await?;
            script.report(&target.name, &printed)
        };
        guarded(&target.name, exchange).await
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        let exchange = async {
            let printed = self.script(target, facts::SCRIPT, facts::END, facts::LIMIT).await?;
            facts::facts(&target.name, &printed)
        };
        guarded(&target.name, exchange).await
    }

    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure> {
        let trip = async {
            let mut session = self.session(target, Phase::Run).await?;
            command::run(&mut session, command, sink, &target.name, self.options.deadlines.shell).await
        };
        guarded(&target.name, trip).await
    }

    async fn interact(&self, target: &Target, command: Option<&str>) -> Result<Exit, Failure> {
        let mut session = self.session(target, Phase::Shell).await?;
        let kind = self.options.environment.get("TERM").unwrap_or("xterm");
        terminal::interact(&mut session, command, kind, &target.name, self.options.deadlines.shell).await
    }

    async fn probe(&self, via: &Target, target: &Target, limit: Duration) -> Result<bool, Failure> {
        let HostConfig { hostname: host, port, .. } = self.host(target)?.destination.config.clone();
        let way = self.host(via)?;
        let at = At { host: &via.name, phase: Phase::Run };
        let answer = async {
            let connection = self.connection(&way, &via.name).await?;
            let look = async {
                match connection.tunnel(&host, port).await {
                    Ok(mut line) => Ok(greets(&mut line).await),
                    Err(Tunnel::NoWay) => Ok(false),
                    Err(Tunnel::Forbidden) => look::from_shell(&connection, &host, port, limit, &via.name).await,
                    Err(Tunnel::Lost) => Err(connection.lost(at, "the connection was closed")),
                }
            };
            match tokio::time::timeout(limit, look).await {
                Ok(answer) => answer,
                // That nothing comes from over there within the limit is an answer, if the one who looks is well.
                Err(_) => connection.answers(at).await.map(|()| false),
            }
        };
        at.within(limit + SIGN_OF_LIFE, answer).await
    }

    async fn forget(&self, target: &Target) {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(host) = hosts.targets.remove(target) else { return };
            hosts.targets.retain(|_, other| !Arc::ptr_eq(other, &host));
            hosts.destinations.remove(&host.destination);
            host
        };
        leave(&host, self.options.deadlines.of(Phase::Close)).await;
    }

    async fn close(&self, limit: Duration) {
        let hosts = std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        let each = self.options.deadlines.of(Phase::Close).min(limit);
        // Those behind a jump host first, or they could not say goodbye.
        let (far, near): (Vec<_>, Vec<_>) = hosts.destinations.values().partition(|host| host.jump.is_some());
        let all = async {
            join_all(far.into_iter().map(|host| leave(host, each))).await;
            join_all(near.into_iter().map(|host| leave(host, each))).await;
        };
        let _ = tokio::time::timeout(limit, all).await;
    }
}

/// Takes leave of a host, unless it is being connected to just now.
async fn leave(host: &Host, limit: Duration) {
    let Ok(mut slot) = host.connection.try_lock() else { return };
    if let Some(connection) = slot.take() {
        let _ = tokio::time::timeout(limit, connection.leave()).await;
    }
}

/// Says whether an sshd greets on a line.
async fn greets(line: &mut Box<dyn Carrier>) -> bool {
    let mut start = [0; 4];
    line.read_exact(&mut start).await.is_ok() && start == *b"SSH-"
}
