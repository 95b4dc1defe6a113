//! `muster lab`: real systemd hosts on this machine.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;

use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::variables;
use crate::lab::Destroyed;
use crate::lab::Host;
use crate::lab::HostState;
use crate::lab::Lab;
use crate::lab::LabError;
use crate::lab::Options;
use crate::lab::PackageName;
use crate::lab::Release;
use crate::lab::Subnet;
use crate::ui;

/// Boot real systemd hosts on this machine, to try muster out (needs root)
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Use the lab in this directory; each directory has a lab of its own
    #[arg(long, global = true, env = "MUSTER_LAB", value_name = "DIR", default_value = crate::lab::DEFAULT_DIR)]
    dir: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make the lab, or boot its halted hosts
    Up(Up),
    /// Show the state of the hosts
    Status {
        /// Print in this format
        #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Log in to a host, or run a command there
    Ssh {
        /// The host
        name: String,
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Shut hosts down
    Halt(Names),
    /// Cut the power of hosts
    Kill(Names),
    /// Cut the network of hosts
    Cut(Names),
    /// Restore the network of hosts
    Heal(Names),
    /// Freeze every process of hosts, as if the hosts hung
    Freeze(Names),
    /// Let the processes of frozen hosts run again
    Thaw(Names),
    /// Print the setting that points muster at the lab
    ///
    /// Use it with `eval "$(muster lab env)"`.
    Env,
    /// Remove the lab
    ///
    /// Its hosts, networks and files are removed. The images in /var/cache/muster/lab stay for the next lab, and
    /// fs.inotify.max_user_instances keeps its value until this machine is started again.
    Destroy,
}

#[derive(Debug, clap::Args)]
struct Up {
    /// Boot these halted hosts [default: make the lab, or boot all halted hosts]
    names: Vec<String>,
    /// Make a lab of this many hosts: 1 to 900 [default: 3]
    #[arg(long, value_name = "N", conflicts_with = "names")]
    hosts: Option<usize>,
    /// Run etcd as the store on the first three `hosts`, or use a sqlite file (`none`) [default: hosts]
    #[arg(long, value_enum, value_name = "WHERE", conflicts_with = "names")]
    etcd: Option<Etcd>,
    /// Use addresses of this subnet [default: 172.17.8.0/24, or the next that this machine does not use]
    #[arg(long, value_name = "CIDR", conflicts_with = "names")]
    subnet: Option<String>,
    /// Run these releases of Debian, `bookworm` or `trixie`; a list gives the hosts its releases in turn, and the lab's
    /// inventory has the release of each host as `lab_release` [default: that of this machine]
    #[arg(long = "release", value_name = "RELEASES", value_delimiter = ',', conflicts_with = "names")]
    releases: Vec<Release>,
    /// Install these Debian packages on every host, such as `podman,python3`; each set of packages has an image of its own
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "names")]
    packages: Vec<PackageName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Etcd {
    Hosts,
    None,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

#[derive(Debug, clap::Args)]
struct Names {
    /// The hosts
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs `muster lab`. An interrupt while hosts boot removes what was made.
pub(super) async fn run(args: Args) -> CommandResult {
    let interrupt = tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    });
    let done = tokio::task::spawn_blocking(move || dispatch(args)).await;
    interrupt.abort();
    done.unwrap_or_else(|error| Err(CommandError::failed("the lab stopped half-way").caused_by(error)))
}

/// The variable that names the settings file.
const CONFIG: &str = "MUSTER_CONFIG";

fn dispatch(args: Args) -> CommandResult {
    let dir = args.dir;
    match args.verb {
        Verb::Up(wanted) if wanted.names.is_empty() => make(dir, &wanted),
        Verb::Up(wanted) => {
            let lab = Lab::open(&dir)?;
            each(&lab, &wanted.names, |lab, name| lab.boot_unless(name, interrupted))
        }
        Verb::Status { output } => status(&Lab::open(&dir)?, output),
        Verb::Ssh { name, command } => ssh(&Lab::open(&dir)?, &name, &command),
        Verb::Halt(hosts) => each(&Lab::open(&dir)?, &hosts.names, Lab::halt),
        Verb::Kill(hosts) => each(&Lab::open(&dir)?, &hosts.names, Lab::kill),
        Verb::Cut(hosts) => each(&Lab::open(&dir)?, &hosts.names, Lab::cut),
        Verb::Heal(hosts) => each(&Lab::open(&dir)?, &hosts.names, Lab::heal),
        Verb::Freeze(hosts) => each(&Lab::open(&dir)?, &hosts.names, Lab::freeze),
        Verb::Thaw(hosts) => each(&Lab::open(&dir)?, &hosts.names, Lab::thaw),
        Verb::Env => {
            ui::result(&format!("export {CONFIG}={}\n", Lab::open(&dir)?.config().display()));
            Ok(ExitStatus::Done)
        }
        Verb::Destroy => {
            let place = dir.display();
            let is_named = Lab::open(&dir).is_ok_and(|lab| variables::names(CONFIG, &lab.config()));
            match Lab::destroy(&dir)? {
                Destroyed::Lab if is_named => ui::note(&format!(
                    "{CONFIG} names the settings of this lab: `unset {CONFIG}` lets muster use your own again"
                )),
                Destroyed::Lab => {}
                Destroyed::Remains => ui::status(&format!(
                    "There was no record of a lab in {place}. The namespaces, mounts and control groups of such a lab \
                     were removed; the files in {place} were not."
                )),
                Destroyed::Nothing => ui::status(&format!("There was no lab in {place}.")),
            }
            Ok(ExitStatus::Done)
        }
    }
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn make(dir: PathBuf, wanted: &Up) -> CommandResult {
    let start = Instant::now();
    let mut options = Options::new(dir);
    options.hosts = wanted.hosts;
    options.etcd = wanted.etcd.map(|etcd| etcd == Etcd::Hosts);
    options.subnet = wanted.subnet.as_deref().map(str::parse::<Subnet>).transpose()?;
    options.releases.clone_from(&wanted.releases);
    options.packages = wanted.packages.iter().cloned().collect();
    options.notify = ui::status;
    options.stop = interrupted;
    let lab = Lab::up(&options)?;
    let count = lab.hosts().len();
    let hosts = if count == 1 { "1 host is" } else { &format!("{count} hosts are") };
    ui::status(&format!("{hosts} up on {} after {:.1} s.", lab.subnet(), start.elapsed().as_secs_f64()));
    Ok(ExitStatus::Done)
}

/// Does the same to each named host, after the check that all of them exist.
fn each(lab: &Lab, names: &[String], verb: impl Fn(&Lab, &str) -> Result<(), LabError>) -> CommandResult {
    for name in names {
        lab.host(name)?;
    }
    for name in names {
        verb(lab, name)?;
    }
    Ok(ExitStatus::Done)
}

fn status(lab: &Lab, format: Format) -> CommandResult {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        host: &'a Host,
        state: HostState,
    }
    let hosts = lab.status()?;
    let text = match format {
        Format::Table => {
            let rows = hosts.iter().map(|(host, state)| {
                line([&host.name, state.word(), host.release.as_str(), &host.address.to_string()])
            });
            std::iter::once(line(["NAME", "STATE", "RELEASE", "ADDRESS"])).chain(rows).collect()
        }
        Format::Json => {
            let rows: Vec<Row<'_>> = hosts.into_iter().map(|(host, state)| Row { host, state }).collect();
            let json =
                serde_json::to_string_pretty(&rows).map_err(|error| CommandError::new(ExitStatus::Failed, error))?;
            json + "\n"
        }
    };
    ui::result(&text);
    Ok(ExitStatus::Done)
}

fn line([name, state, release, address]: [&str; 4]) -> String {
    format!("{name:<10}{state:<10}{release:<10}{address}\n")
}

/// Replaces this process by ssh(1), so that the caller gets its terminal, signals and exit code.
fn ssh(lab: &Lab, name: &str, command: &[String]) -> CommandResult {
    lab.host(name)?;
    let mut ssh = std::process::Command::new("ssh");
    ssh.arg("-F").arg(lab.ssh_config()).arg("--").arg(name).args(command);
    Err(CommandError::failed("cannot run ssh").caused_by(ssh.exec()))
}
