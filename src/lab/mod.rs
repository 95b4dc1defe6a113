//! Real systemd hosts on this machine, for trials and tests of muster.
//!
//! A lab has a directory. All that it creates elsewhere (namespaces, links, control groups) has a name derived from that
//! directory. So several labs can run at once, and everything can be found and removed, even after a crash. A lab has hosts
//! and an etcd, and can stop, cut off and freeze hosts. It must not know units.

mod access;
mod cgroup;
mod container;
mod destroy;
mod disk;
mod error;
mod etcd;
mod image;
mod local_command;
mod network;
mod record;
mod release;
mod subnet;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

use serde::Serialize;

use cgroup::Cgroup;
use container::Container;
use destroy::remove;
use disk::Disk;
use etcd::Discovery;
use image::Recipe;
use network::Network;
use record::Lock;
use record::Record;

pub use destroy::Destroyed;
pub use error::LabError;
pub use image::PackageName;
pub use local_command::check_prerequisites;
pub use record::Host;
pub use release::Release;
pub use subnet::Subnet;

/// The default directory of the lab.
pub const DEFAULT_DIR: &str = "/var/lib/muster/lab";

/// The directory of the images. It can be removed while no lab is up.
pub const CACHE: &str = "/var/cache/muster/lab";

/// The default number of hosts.
const DEFAULT_HOSTS: usize = 3;

/// The number of inotify instances that this machine must allow. The kernel's default is 128, and a host takes about five.
const INOTIFY_INSTANCES: u32 = 8192;

/// The options of a lab.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory: absent, empty, or that of a lab.
    pub dir: PathBuf,
    /// The number of hosts: 1 to 900, 3 by default.
    pub hosts: Option<usize>,
    /// Whether the first three hosts (or the first, if there are fewer) run etcd. They do by default.
    pub etcd: Option<bool>,
    /// The addresses: by default 172.17.8.0/24, or the next subnet that is free.
    pub subnet: Option<Subnet>,
    /// The releases that the hosts run, in turn. This machine's own by default.
    pub releases: Vec<Release>,
    /// The packages that every host has besides a small Debian, systemd, sshd and etcd.
    pub packages: BTreeSet<PackageName>,
    /// Gets a message before a long step, and about a setting that stays changed.
    pub notify: fn(&str),
    /// Asked repeatedly whether to stop.
    pub stop: fn() -> bool,
}

impl Options {
    /// Returns the default options for a lab in this directory, without messages.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            hosts: None,
            etcd: None,
            subnet: None,
            releases: Vec::new(),
            packages: BTreeSet::new(),
            notify: |_| (),
            stop: || false,
        }
    }
}

/// The state of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It runs and its cable is plugged in.
    Running,
    /// It is off.
    Halted,
    /// It runs and its cable is unplugged.
    Cut,
    /// Its cable is plugged in and its processes are stopped.
    Frozen,
}

impl HostState {
    /// Returns the state as text.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted => "halted",
            Self::Cut => "cut",
            Self::Frozen => "frozen",
        }
    }
}

/// A lab. It stays when this is dropped, unlike a [`TemporaryLab`].
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    record: Record,
    network: Network,
    cgroup: Cgroup,
}

impl Lab {
    /// Creates a lab, or starts the halted hosts of the existing one. After an error, nothing of a new lab is left.
    pub fn up(options: &Options) -> Result<Self, LabError> {
        local_command::check_prerequisites()?;
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
                (options.notify)("The hosts of this lab ended when this machine was last started: creating it again.");
                remove(&dir, &lock)?;
                drop(lock);
                return Self::up(options);
            }
            None => check_empty(&dir).inspect_err(|_| lock.discard())?,
        }
        Self::make(&dir, options).inspect_err(|_| {
            // The first error is the one to report. `destroy` tries again.
            let _ = remove(&dir, &lock);
        })
    }

    /// Creates a lab that is destroyed when it is dropped.
    pub fn temporary(options: &Options) -> Result<TemporaryLab, LabError> {
        Ok(TemporaryLab { lab: Self::up(options)? })
    }

    /// Opens the lab in this directory.
    pub fn open(dir: &Path) -> Result<Self, LabError> {
        local_command::check_prerequisites()?;
        let dir = fs::canonicalize(dir).map_err(|_| LabError::NoLab(dir.to_owned()))?;
        let record = Record::read(&dir)?.ok_or_else(|| LabError::NoLab(dir.clone()))?;
        if record.boot != record::boot()? {
            return Err(LabError::Gone(dir));
        }
        Self::from(dir, record)
    }

    /// Removes everything that a lab in this directory created, even if it is incomplete, and returns what there was.
    pub fn destroy(dir: &Path) -> Result<Destroyed, LabError> {
        local_command::check_prerequisites()?;
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
        let own = if options.releases.is_empty() { vec![Release::own()?] } else { Vec::new() };
        let releases = release::in_turn(if own.is_empty() { &options.releases } else { &own }, count);
        let images = ensure_images(&releases, options)?;
        raise_inotify(options.notify)?;
        let lab = Self::claim(dir, options, &releases, images)?;
        disk::mount(dir)?;
        let login_key = disk::make_key(&dir.join(access::KEY), "muster lab")?;
        let hosts = &lab.record.hosts;
        let members: Vec<&Host> = hosts.iter().filter(|host| host.etcd).collect();
        let gateway = lab.record.subnet.gateway();
        let token = lab.record.etcd.as_deref();
        let discovery = token.map(|token| Discovery::start(gateway, token, members.len())).transpose()?;
        let host_keys = each(hosts, |host| {
            let disk = lab.container(host).disk;
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

    /// Chooses the addresses, writes the record and creates the network. Labs take turns, so no two choose the same subnet.
    fn claim(
        dir: &Path,
        options: &Options,
        releases: &[Release],
        images: BTreeMap<Release, PathBuf>,
    ) -> Result<Self, LabError> {
        let count = releases.len();
        let path = Path::new(CACHE).join("subnets.lock");
        let lock = record::lock_file(&path, false).map_err(LabError::file(&path))?;
        lock.lock().map_err(LabError::file(&path))?;
        let subnet = match options.subnet {
            Some(subnet) => subnet.check_free().map(|()| subnet)?,
            None => Subnet::choose(count)?,
        };
        let members = if options.etcd.unwrap_or(true) { etcd::members(count) } else { 0 };
        let mut hosts = Vec::with_capacity(count);
        for (index, (address, release)) in subnet.hosts(count)?.into_iter().zip(releases).enumerate() {
            let machine = record::random()?.parse().map_err(|_| LabError::NoSubnet)?;
            let (name, release) = (format!("core-{:02}", index + 1), release.clone());
            hosts.push(Host { name, address, machine, release, etcd: index < members });
        }
        let etcd = if members > 0 { Some(record::random()?) } else { None };
        let packages = options.packages.clone();
        let record = Record { id: record::id(dir), boot: record::boot()?, subnet, images, packages, etcd, hosts };
        record.write(dir)?;
        let lab = Self::from(dir.to_owned(), record)?;
        lab.network.create(subnet)?;
        Ok(lab)
    }

    /// Returns the hosts, in order.
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

    /// Returns the hosts with their states.
    pub fn status(&self) -> Result<Vec<(&Host, HostState)>, LabError> {
        let cables = self.network.cables()?;
        let state = |host: &Host| {
            let cgroup = self.cgroup.child(&host.name);
            if !cgroup.is_populated() {
                HostState::Halted
            } else if cables.get(&host.name) != Some(&true) {
                HostState::Cut
            } else if cgroup.is_frozen() {
                HostState::Frozen
            } else {
                HostState::Running
            }
        };
        Ok(self.record.hosts.iter().map(|host| (host, state(host))).collect())
    }

    /// Returns the state of one host.
    pub fn state(&self, name: &str) -> Result<HostState, LabError> {
        let host = self.host(name)?;
        let states = self.status()?;
        Ok(states.into_iter().find(|(other, _)| other.name == host.name).map_or(HostState::Halted, |(_, state)| state))
    }

    /// Starts a halted host with the disk it had, and waits until its sshd answers.
    pub fn boot(&self, name: &str) -> Result<(), LabError> {
        self.boot_unless(name, || false)
    }

    /// Starts a halted host, and stops waiting for it when `stop` returns true.
    pub fn boot_unless(&self, name: &str, stop: fn() -> bool) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        match self.state(name)? {
            HostState::Halted => self.start(&[name.to_owned()], stop),
            other => Err(LabError::WrongState { host: name.to_owned(), state: other.word() }),
        }
    }

    /// Shuts a host down. Cuts its power if that takes longer than 10 s, and at once if the host is frozen.
    pub fn halt(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        let container = self.container(self.host(name)?);
        if self.running(name)? == HostState::Frozen {
            container.stop()?;
        } else {
            container.halt()?;
        }
        self.network.detach(name)
    }

    /// Cuts a host's power: it sends nothing more, not even to close its connections.
    pub fn kill(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        // The kernel closes the connections of a process that it ends. After a power cut nothing is sent.
        self.network.plug(name, false)?;
        self.container(self.host(name)?).stop()?;
        self.network.detach(name)
    }

    /// Unplugs a host's network cable.
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

    /// Stops every process of a host. The kernel still accepts connections, but no process answers on them.
    pub fn freeze(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        self.cgroup.child(name).freeze(true)
    }

    /// Continues the processes of a frozen host.
    pub fn thaw(&self, name: &str) -> Result<(), LabError> {
        let _lock = Lock::take(&self.dir)?;
        self.running(name)?;
        self.cgroup.child(name).freeze(false)
    }

    /// Returns the path of the settings that point muster at this lab.
    pub fn config(&self) -> PathBuf {
        self.dir.join(access::CONFIG)
    }

    /// Returns the path of the ssh_config(5) for its hosts.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join(access::SSH_CONFIG)
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the subnet.
    pub const fn subnet(&self) -> Subnet {
        self.record.subnet
    }

    fn running(&self, name: &str) -> Result<HostState, LabError> {
        match self.state(name)? {
            HostState::Halted => Err(LabError::WrongState { host: name.to_owned(), state: HostState::Halted.word() }),
            other => Ok(other),
        }
    }

    fn halted(&self) -> Result<Vec<String>, LabError> {
        let states = self.status()?.into_iter();
        Ok(states.filter(|(_, state)| *state == HostState::Halted).map(|(host, _)| host.name.clone()).collect())
    }

    fn container<'a>(&self, host: &'a Host) -> Container<'a> {
        let runs_containers = image::runs_containers(&self.record.packages);
        Container {
            name: &host.name,
            address: host.address,
            disk: Disk::of(&self.dir, &host.name),
            cgroup: self.cgroup.child(&host.name),
            namespace: self.network.namespace(&host.name),
            has_unified_cgroups: host.release.needs_unified_cgroups() || runs_containers,
            runs_containers,
        }
    }

    /// Starts halted hosts in parallel, and waits until the sshd of each answers.
    fn start(&self, names: &[String], stop: fn() -> bool) -> Result<(), LabError> {
        each(names, |name| {
            let host = self.host(name)?;
            let container = self.container(host);
            // A host that powered itself off leaves its cable and its control groups behind.
            self.network.detach(name)?;
            container.cgroup.remove()?;
            self.network.attach(name, host.address, self.record.subnet.prefix())?;
            let image = self.record.image_of(host)?;
            let started = container.start(image).and_then(|()| container.wait_ready(&stop));
            started.inspect_err(|_| {
                // The first error is the one to report.
                let _ = container.stop();
                let _ = self.network.detach(name);
            })
        })
        .map(drop)
    }

    fn check_same(&self, options: &Options) -> Result<(), LabError> {
        let differs =
            |actual: String, requested: String| LabError::Differs { dir: self.dir.clone(), actual, requested };
        let count = self.record.hosts.len();
        if let Some(requested) = options.hosts.filter(|requested| *requested != count) {
            return Err(differs(format!("{count} hosts"), requested.to_string()));
        }
        if let Some(requested) = options.subnet.filter(|requested| *requested != self.record.subnet) {
            return Err(differs(format!("the subnet {}", self.record.subnet), requested.to_string()));
        }
        self.check_releases(&options.releases).map_err(|(actual, requested)| differs(actual, requested))?;
        if !options.packages.is_empty() && options.packages != self.record.packages {
            let requested: Vec<String> = options.packages.iter().map(ToString::to_string).collect();
            return Err(differs("other packages".to_owned(), requested.join(",")));
        }
        let word = |etcd| if etcd { "etcd on its hosts" } else { "no etcd" }.to_owned();
        let actual = self.record.etcd.is_some();
        match options.etcd.filter(|requested| *requested != actual) {
            Some(requested) => Err(differs(word(actual), word(requested))),
            None => Ok(()),
        }
    }

    /// Compares the releases of the hosts with the requested ones. The error has both as text.
    fn check_releases(&self, requested: &[Release]) -> Result<(), (String, String)> {
        let actual: Vec<&Release> = self.record.hosts.iter().map(|host| &host.release).collect();
        let expected = release::in_turn(requested, actual.len());
        if requested.is_empty() || actual.iter().copied().eq(&expected) {
            return Ok(());
        }
        let text = |releases: &[&Release]| format!("the releases {}", release::shortest_list(releases));
        Err((text(&actual), release::shortest_list(&expected.iter().collect::<Vec<_>>())))
    }
}

/// A lab that is destroyed when it is dropped.
#[derive(Debug)]
pub struct TemporaryLab {
    lab: Lab,
}

impl std::ops::Deref for TemporaryLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for TemporaryLab {
    fn drop(&mut self) {
        if let Err(error) = Lab::destroy(&self.lab.dir) {
            tracing::warn!("the lab in {} is not completely removed: {error}", self.lab.dir.display());
        }
    }
}

/// Returns the image of each release. Builds those that are missing.
fn ensure_images(releases: &[Release], options: &Options) -> Result<BTreeMap<Release, PathBuf>, LabError> {
    let distinct: BTreeSet<&Release> = releases.iter().collect();
    let image = |release: &Release| {
        let recipe = Recipe::new(release, &options.packages);
        Ok((release.clone(), image::ensure(Path::new(CACHE), &recipe, options.notify)?))
    };
    distinct.into_iter().map(image).collect()
}

/// Calls `work` for each item in a thread of its own, and returns the results in order, or the first error.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> Result<R, LabError> + Sync) -> Result<Vec<R>, LabError> {
    thread::scope(|scope| {
        let threads: Vec<_> = all.iter().map(|one| scope.spawn(|| work(one))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
    })
}

/// Creates the directory if it does not exist, and returns its canonical path.
fn make_directory(dir: &Path) -> Result<PathBuf, LabError> {
    let absolute = std::path::absolute(dir).map_err(LabError::file(dir))?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(byte);
    if !absolute.as_os_str().as_encoded_bytes().iter().all(is_plain) {
        // The path is written into ssh_config(5), mount options and scripts.
        let reason = "invalid directory for a lab: expected letters, digits and /._+- only";
        return Err(LabError::BadDirectory { dir: absolute, reason });
    }
    fs::create_dir_all(&absolute).map_err(LabError::file(&absolute))?;
    fs::canonicalize(&absolute).map_err(LabError::file(&absolute))
}

/// Rejects a directory with other files.
fn check_empty(dir: &Path) -> Result<(), LabError> {
    let entries = fs::read_dir(dir).map_err(LabError::file(dir))?;
    let foreign = entries.flatten().any(|entry| entry.file_name() != "lock");
    if foreign {
        return Err(LabError::BadDirectory {
            dir: dir.to_owned(),
            reason: "the directory has files that are not of a lab",
        });
    }
    Ok(())
}

fn raise_inotify(notify: fn(&str)) -> Result<(), LabError> {
    let path = Path::new("/proc/sys/fs/inotify/max_user_instances");
    let text = fs::read_to_string(path).map_err(LabError::file(path))?;
    let now: u32 = text.trim().parse().unwrap_or(0);
    if now >= INOTIFY_INSTANCES {
        return Ok(());
    }
    fs::write(path, INOTIFY_INSTANCES.to_string()).map_err(LabError::file(path))?;
    notify(&format!(
        "Raised fs.inotify.max_user_instances from {now} to {INOTIFY_INSTANCES} until this machine is started again."
    ));
    Ok(())
}
