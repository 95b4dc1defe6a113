//! Real systemd hosts on this machine, for trying muster out and for its tests.
//!
//! A lab is a directory. What it makes outside of that (namespaces, links, control groups) has a name made from the
//! directory's, so several labs run side by side and everything can be found again and removed, also after a crash.
//! This room knows nothing of units: it gives hosts and an etcd, and takes hosts away in every way there is.

mod access;
mod cgroup;
mod destroy;
mod disk;
mod error;
mod etcd;
mod image;
mod network;
mod power;
mod record;
mod subnet;
mod tool;

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

use serde::Serialize;

use cgroup::Cgroup;
use destroy::remove;
use disk::Disk;
use etcd::Discovery;
use network::Network;
use power::Machine;
use record::Lock;
use record::Record;

pub use destroy::Destroyed;
pub use error::LabError;
pub use record::Host;
pub use subnet::Subnet;
pub use tool::check;

/// Where the lab is unless it is told otherwise.
pub const DEFAULT_DIR: &str = "/var/lib/muster/lab";

/// Where images are kept. Removing it is safe while no lab is up.
pub const CACHE: &str = "/var/cache/muster/lab";

/// How many hosts a lab has unless it is told otherwise.
const DEFAULT_HOSTS: usize = 3;

/// How many inotify instances this machine must allow; a host takes about five of its 128.
const INOTIFY_INSTANCES: u32 = 8192;

/// What kind of lab is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory: absent, empty, or a lab.
    pub dir: PathBuf,
    /// How many hosts: 1 to 900, 3 if not given.
    pub hosts: Option<usize>,
    /// Whether the first three hosts (or the first, if there are fewer) run an etcd; they do if not given.
    pub etcd: Option<bool>,
    /// Its addresses; if not given 172.17.8.0/24 or the next that is free.
    pub subnet: Option<Subnet>,
    /// Takes remarks on what takes long and on what stays changed.
    pub say: fn(&str),
    /// Asked now and then whether to give up.
    pub stop: fn() -> bool,
}

impl Options {
    /// Wants a lab in this directory, silently, with everything as it usually is.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), hosts: None, etcd: None, subnet: None, say: |_| (), stop: || false }
    }
}

/// What a host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs and has its cable.
    Running,
    /// It is off.
    Halted,
    /// It runs, its cable is pulled.
    Cut,
    /// It has its cable, its processes stand still.
    Frozen,
}

impl State {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted => "halted",
            Self::Cut => "cut",
            Self::Frozen => "frozen",
        }
    }
}

/// A lab that is there. It stays when this is dropped; [`Scratch`] does not.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    record: Record,
    network: Network,
    cgroup: Cgroup,
}

impl Lab {
    /// Makes a lab, or starts the halted hosts of the one that is there.
    ///
    /// If it cannot be made whole, nothing of it is left.
    pub fn up(options: &Options) -> Result<Self, LabError> {
        tool::check()?;
        let dir = make_directory(&options.dir)?;
        let lock = Lock::take(&dir)?;
        match Record::read(&dir)? {
            Some(record) if record.boot == record::boot()? => {
                let lab = Self::from(dir, record)?;
                lab.check_same(options)?;
                let names: Vec<String> = lab.halted()?;
                lab.start(&names, options.stop)?;
                return Ok(lab);
            }
            Some(_) => {
                (options.say)("The lab that was here is gone since this machine was last started: making it anew.");
                remove(&dir, &lock)?;
                drop(lock);
                return Self::up(options);
            }
            None => check_empty(&dir).inspect_err(|_| lock.discard())?,
        }
        Self::make(&dir, options).inspect_err(|_| {
            // Nobody wants to hear of this rather than of why there is no lab; `destroy` tries again.
            let _ = remove(&dir, &lock);
        })
    }

    /// Makes a lab that is destroyed when the guard is dropped.
    pub fn scratch(options: &Options) -> Result<Scratch, LabError> {
        Ok(Scratch { lab: Self::up(options)? })
    }

    /// Opens the lab in this directory.
    pub fn open(dir: &Path) -> Result<Self, LabError> {
        tool::check()?;
        let dir = fs::canonicalize(dir).map_err(|_| LabError::NoLab(dir.to_owned()))?;
        let record = Record::read(&dir)?.ok_or_else(|| LabError::NoLab(dir.clone()))?;
        if record.boot != record::boot()? {
            return Err(LabError::Gone(dir));
        }
        Self::from(dir, record)
    }

    /// Removes everything a lab in this directory has made, whole or not, and says what there was.
    pub fn destroy(dir: &Path) -> Result<Destroyed, LabError> {
        tool::check()?;
        let dir = make_directory(dir)?;
        let lock = Lock::take(&dir)?;
        remove(&dir, &lock)
    }

    fn from(dir: PathBuf, record: Record) -> Result<Self, LabError> {
        let network = Network::of_lab(&record.id);
        let cgroup = Cgroup::of_lab(&record.id)?;
        Ok(Self { dir, record, network, cgroup })
    }

    fn make(dir: &Path, options: &Options) -> Result<Self, LabError> {
        let count = options.hosts.unwrap_or(DEFAULT_HOSTS);
        if let Some(subnet) = options.subnet {
            subnet.hosts(count)?;
            subnet.check_free()?;
        }
        let image = image::ensure(Path::new(CACHE), options.say)?;
        raise_inotify(options.say)?;
        let lab = Self::claim(dir, options, count, image)?;
        disk::mount(dir)?;
        let login_key = disk::make_key(&dir.join(access::KEY), "muster lab")?;
        let hosts = &lab.record.hosts;
        let members: Vec<&Host> = hosts.iter().filter(|host| host.etcd).collect();
        let gateway = lab.record.subnet.gateway();
        let token = lab.record.etcd.as_deref();
        let discovery = token.map(|token| Discovery::start(gateway, token, members.len())).transpose()?;
        let host_keys = each(hosts, |host| {
            let disk = lab.machine(host).disk;
            if let Some(discovery) = discovery.as_ref().filter(|_| host.etcd) {
                disk.enable_etcd(&etcd::settings(host, discovery.url()))?;
            }
            disk.create(host, hosts, &login_key)
        })?;
        access::write(dir, &lab.record, &host_keys)?;
        let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
        lab.start(&names, options.stop)?;
        each(&members, |host| etcd::wait_ready(host, &options.stop))?;
        drop(discovery);
        if let Some(token) = token {
            etcd::hand_over(&access::store(dir, &lab.record), token, members.len())?;
        }
        Ok(lab)
    }

    /// Chooses the addresses, writes the record and makes the network; one lab at a time, so that no two choose the same.
    fn claim(dir: &Path, options: &Options, count: usize, image: PathBuf) -> Result<Self, LabError> {
        let path = Path::new(CACHE).join("subnets.lock");
        let lock = File::create(&path).map_err(LabError::file(&path))?;
        lock.lock().map_err(LabError::file(&path))?;
        let subnet = match options.subnet {
            Some(subnet) => subnet.check_free().map(|()| subnet)?,
            None => Subnet::choose(count)?,
        };
        let members = if options.etcd.unwrap_or(true) { etcd::members(count) } else { 0 };
        let mut hosts = Vec::with_capacity(count);
        for (index, address) in subnet.hosts(count)?.into_iter().enumerate() {
            let machine = record::random()?.parse().map_err(|_| LabError::NoSubnet)?;
            hosts.push(Host { name: format!("core-{:02}", index + 1), address, machine, etcd: index < members });
        }
        let etcd = if members > 0 { Some(record::random()?) } else { None };
        let record = Record { id: record::id(dir), boot: record::boot()?, subnet, image, etcd, hosts };
        record.write(dir)?;
        let lab = Self::from(dir.to_owned(), record)?;
        lab.network.create(subnet)?;
        Ok(lab)
    }

    /// Returns its hosts, in order.
    pub fn hosts(&self) -> &[Host] {
        &self.record.hosts
    }

    /// Returns the host of this name.
    pub fn host(&self, name: &str) -> Result<&Host, LabError> {
        let known = || match self.record.hosts.as_slice() {
            [] => "none".to_owned(),
            [only] => only.name.clone(),
            [first, .., last] => format!("{} to {}", first.name, last.name),
        };
        let found = self.record.hosts.iter().find(|host| host.name == name);
        found.ok_or_else(|| LabError::NoHost { name: name.chars().take(64).collect(), known: known() })
    }

    /// Returns its hosts with what each is doing.
    pub fn status(&self) -> Result<Vec<(&Host, State)>, LabError> {
        let cables = self.network.cables()?;
        let state = |host: &Host| {
            let cgroup = self.cgroup.child(&host.name);
            if !cgroup.populated() {
                State::Halted
            } else if cables.get(&host.name) != Some(&true) {
                State::Cut
            } else if cgroup.frozen() {
                State::Frozen
            } else {
                State::Running
            }
        };
        Ok(self.record.hosts.iter().map(|host| (host, state(host))).collect())
    }

    /// Returns what one host is doing.
    pub fn state(&self, name: &str) -> Result<State, LabError> {
        let wanted = self.host(name)?;
        let states = self.status()?;
        Ok(states.into_iter().find(|(host, _)| host.name == wanted.name).map_or(State::Halted, |(_, state)| state))
    }

    /// Starts a halted host with the disk it had, and waits until its sshd answers.
    pub fn boot(&self, name: &str) -> Result<(), LabError> {
        self.boot_unless(name, || false)
    }

    /// Starts a halted host, unless told to give up while it is starting.
    pub fn boot_unless(&self, name: &str, stop: fn() -> bool) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        match self.state(name)? {
            State::Halted => self.start(&[name.to_owned()], stop),
            other => Err(LabError::WrongState { host: name.to_owned(), state: other.word() }),
        }
    }

    /// Shuts a host down; cuts its power if it takes too long, at once if it is frozen.
    pub fn halt(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        let machine = self.machine(self.host(name)?);
        if self.running(name)? == State::Frozen {
            machine.stop()?;
        } else {
            machine.halt()?;
        }
        self.network.detach(name)
    }

    /// Cuts a host's power: nobody hears another word from it.
    pub fn kill(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        // A kernel says goodbye for the processes it ends. A power cut does not.
        self.network.plug(name, false)?;
        self.machine(self.host(name)?).stop()?;
        self.network.detach(name)
    }

    /// Pulls a host's network cable.
    pub fn cut(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        self.network.plug(name, false)
    }

    /// Plugs a host's network cable in again.
    pub fn heal(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        self.network.plug(name, true)
    }

    /// Stops every process of a host where it is. Its kernel goes on answering: connections open, nobody speaks.
    pub fn freeze(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        self.cgroup.child(name).freeze(true)
    }

    /// Lets a frozen host go on.
    pub fn thaw(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        self.cgroup.child(name).freeze(false)
    }

    /// Returns the settings that point muster at this lab.
    pub fn config(&self) -> PathBuf {
        self.dir.join(access::CONFIG)
    }

    /// Returns the ssh_config(5) for its hosts.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join(access::SSH_CONFIG)
    }

    /// Returns its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns its addresses.
    pub const fn subnet(&self) -> Subnet {
        self.record.subnet
    }

    fn running(&self, name: &str) -> Result<State, LabError> {
        match self.state(name)? {
            State::Halted => Err(LabError::WrongState { host: name.to_owned(), state: State::Halted.word() }),
            other => Ok(other),
        }
    }

    fn halted(&self) -> Result<Vec<String>, LabError> {
        let states = self.status()?.into_iter();
        Ok(states.filter(|(_, state)| *state == State::Halted).map(|(host, _)| host.name.clone()).collect())
    }

    fn machine<'a>(&self, host: &'a Host) -> Machine<'a> {
        Machine {
            name: &host.name,
            address: host.address,
            disk: Disk::of(&self.dir, &host.name),
            cgroup: self.cgroup.child(&host.name),
            namespace: self.network.namespace(&host.name),
        }
    }

    /// Starts hosts that are off, all at once, and waits until each answers.
    fn start(&self, names: &[String], stop: fn() -> bool) -> Result<(), LabError> {
        each(names, |name| {
            let host = self.host(name)?;
            let machine = self.machine(host);
            // A host that switched itself off has left these behind.
            self.network.detach(name)?;
            machine.cgroup.remove()?;
            self.network.attach(name, host.address, self.record.subnet.prefix())?;
            let started = machine.start(&self.record.image).and_then(|()| machine.wait_ready(&stop));
            started.inspect_err(|_| {
                // Why it did not start is what there is to say.
                let _ = machine.stop();
                let _ = self.network.detach(name);
            })
        })
        .map(drop)
    }

    fn check_same(&self, options: &Options) -> Result<(), LabError> {
        let differs = |there: String, wanted: String| LabError::Differs { dir: self.dir.clone(), there, wanted };
        let count = self.record.hosts.len();
        if let Some(wanted) = options.hosts.filter(|wanted| *wanted != count) {
            return Err(differs(format!("{count} hosts"), wanted.to_string()));
        }
        if let Some(wanted) = options.subnet.filter(|wanted| *wanted != self.record.subnet) {
            return Err(differs(format!("the subnet {}", self.record.subnet), wanted.to_string()));
        }
        let word = |etcd| if etcd { "an etcd on its hosts" } else { "no etcd" }.to_owned();
        let there = self.record.etcd.is_some();
        match options.etcd.filter(|wanted| *wanted != there) {
            Some(wanted) => Err(differs(word(there), word(wanted))),
            None => Ok(()),
        }
    }
}

/// A lab that is destroyed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    lab: Lab,
}

impl std::ops::Deref for Scratch {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = Lab::destroy(&self.lab.dir) {
            tracing::warn!("the lab in {} is not wholly removed: {error}", self.lab.dir.display());
        }
    }
}

/// Does the same for all, each in a thread of its own; returns the results in order, or the first error.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> Result<R, LabError> + Sync) -> Result<Vec<R>, LabError> {
    thread::scope(|scope| {
        let threads: Vec<_> = all.iter().map(|one| scope.spawn(|| work(one))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
    })
}

/// Makes the directory if need be and returns its one true name.
fn make_directory(dir: &Path) -> Result<PathBuf, LabError> {
    let absolute = std::path::absolute(dir).map_err(LabError::file(dir))?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(byte);
    if !absolute.as_os_str().as_encoded_bytes().iter().all(plain) {
        // It is written into ssh_config(5), mount options and scripts.
        let reason = "a lab's directory may have letters, digits and /._+- in its name";
        return Err(LabError::BadDirectory { dir: absolute, reason });
    }
    fs::create_dir_all(&absolute).map_err(LabError::file(&absolute))?;
    fs::canonicalize(&absolute).map_err(LabError::file(&absolute))
}

/// Refuses a directory in which somebody keeps something else.
fn check_empty(dir: &Path) -> Result<(), LabError> {
    let entries = fs::read_dir(dir).map_err(LabError::file(dir))?;
    let foreign = entries.flatten().any(|entry| entry.file_name() != "lock");
    if foreign {
        return Err(LabError::BadDirectory { dir: dir.to_owned(), reason: "there is something else in it than a lab" });
    }
    Ok(())
}

fn raise_inotify(say: fn(&str)) -> Result<(), LabError> {
    let path = Path::new("/proc/sys/fs/inotify/max_user_instances");
    let text = fs::read_to_string(path).map_err(LabError::file(path))?;
    let now: u32 = text.trim().parse().unwrap_or(0);
    if now >= INOTIFY_INSTANCES {
        return Ok(());
    }
    fs::write(path, INOTIFY_INSTANCES.to_string()).map_err(LabError::file(path))?;
    say(&format!(
        "Raised fs.inotify.max_user_instances from {now} to {INOTIFY_INSTANCES}; it stays so until this machine is started again."
    ));
    Ok(())
}
