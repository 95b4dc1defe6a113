//! The command line: one file for each command. It holds nothing that another way of running muster needs.

mod access;
mod ansible_config;
mod apply;
mod audit;
mod completions;
pub mod context;
mod controller;
mod discovery;
mod doc;
mod duration;
mod edit;
mod editor;
pub mod error;
mod events;
mod exec;
mod explain;
mod extra_vars;
mod failover;
mod failover_args;
mod fleet_arguments;
mod history;
pub mod inventory;
mod lab;
mod list;
mod lock;
mod membership;
mod missed;
mod notify;
mod on_machine;
mod page;
mod plan;
mod play;
mod play_coverage;
mod play_listing;
mod prefetch;
mod progress_printer;
pub mod reference;
mod reminders;
mod secret;
mod setting_origin;
pub mod settings;
mod sweep;
mod task_warnings;
mod top;
mod unit_commands;
mod usage;
mod user_args;
pub mod variables;
mod vault;
mod vault_passwords;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use clap::CommandFactory as _;
use clap::FromArgMatches as _;
use clap::Parser as _;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

use context::Context;
use error::CommandError;
use error::CommandResult;
use error::ExitStatus;
use settings::Flags;
use settings::OutputFlags;

use crate::core::model::Verb;
use crate::ui;

/// Keep systemd units running across Linux hosts, over SSH, with nothing installed on them
///
/// muster places unit files on machines and starts them there. When a machine dies, its units start on another one.
#[derive(Debug, clap::Parser)]
#[command(name = "muster", version, after_long_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    output: OutputFlags,
}

/// What follows the options in `muster --help`.
const AFTER_HELP: &str = "\
Settings:
  An option wins over the variable MUSTER_<OPTION>, and the variable over the
  key of the same name in muster.toml. A duration is written 30s, 5m or 1h30m;
  a plain number is a number of seconds.

Exit codes:
  0    done
  1    a host or a unit failed
  2    wrong usage, configuration or unit file; nothing was done
  3    hosts or the store could not be reached
  4    `plan --detailed-exitcode`: changes are pending
  130  interrupted

  `play` and `exec` use the codes of Ansible: 2 failed, 4 unreachable. `status`,
  `journal` and `ssh` end with the exit code of the remote command.

`muster man FOLDER` writes man pages, `muster completions SHELL` completions.";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Submit unit files to the cluster
    ///
    /// The cluster then knows the units. They are placed on no machine.
    #[command(mut_arg("settle", hidden), mut_arg("application", hidden))]
    Submit(unit_commands::CreateArgs),
    /// Place units on machines without starting them
    ///
    /// A unit that the cluster does not know is submitted first, from a unit file in the working folder or at the named
    /// path.
    #[command(mut_arg("settle", hidden))]
    Load(unit_commands::CreateArgs),
    /// Start units
    ///
    /// A unit that the cluster does not know is submitted first, from a unit file in the working folder or at the named
    /// path. Then each unit is placed on a machine and started there. The command waits until each unit has run for the
    /// time of --settle. A unit that failed, ended or is restarted again and again is an error with exit code 1.
    Start(unit_commands::CreateArgs),
    /// Stop units and leave them on their machines
    #[command(mut_arg("settle", hidden))]
    Stop(unit_commands::Args),
    /// Stop units and remove them from their machines
    ///
    /// The cluster still knows the units afterwards.
    #[command(mut_arg("settle", hidden))]
    Unload(unit_commands::Args),
    /// Stop units and remove them from the cluster
    #[command(mut_arg("settle", hidden))]
    Destroy(unit_commands::Args),
    /// Restart units on their machines
    ///
    /// A unit that is on its machine and was not started is started.
    Restart(unit_commands::Args),
    /// Make applications as their folders are
    ///
    /// An application is a folder with unit files, their drop-ins (`web.service.d/*.conf`) and the files that they name as
    /// `./PATH`. Its units run on one machine, except those with `Placement=spread` in [X-Muster]. New units are started,
    /// units whose files have changed are replaced, and all others go on. Units that a timer, a socket or a path unit of the
    /// folder starts are loaded.
    Apply(apply::ApplyArgs),
    /// Show how applications differ from their folders
    ///
    /// The exit code is 4 if they differ.
    Diff(apply::DiffArgs),
    /// Pull the images of units on machines before the units are started
    ///
    /// The units are containers and images (Quadlet files). The images are pulled where the units are, or on every machine that
    /// fits if a unit is on none. A unit file in the working folder or at the named path counts instead of the submitted one, so
    /// that the image of a replacement can be pulled first. No unit is changed. The exit code is 1 if an image could not be
    /// pulled, and 3 if a machine could not be reached.
    Prefetch(prefetch::PrefetchArgs),
    /// Show the status of units, as systemctl prints it on their machines
    ///
    /// The exit code is that of systemctl. For several units, each is shown, and the exit code is that of the first that is
    /// not active. For a machine that does not answer, the last observed state is printed.
    Status(on_machine::StatusArgs),
    /// Show the journal of a unit, from its machine
    ///
    /// The journal of a global unit is shown from each of its machines. It cannot be followed with -f.
    Journal(on_machine::JournalArgs),
    /// Log in to a machine, or to the machine of a unit
    ///
    /// With a command, run the command there and end with its exit code.
    Ssh(on_machine::SshArgs),
    /// List the machines of the cluster that are reachable
    ///
    /// The machines are observed first, for at most 2.5 s. OBSERVED is `now`, or the age of the last observation.
    ListMachines(list::MachinesArgs),
    /// List the submitted units with their desired state and their machine
    ///
    /// The machines are observed first, for at most 2.5 s. OBSERVED is `now`, or the age of the last observation.
    ListUnitFiles(list::ListArgs),
    /// List the units on machines with their state in systemd
    ///
    /// The machines are observed first, for at most 2.5 s. If a machine was not observed, ACTIVE and SUB of its units
    /// are `-`, and OBSERVED has their last state with its age.
    ListUnits(list::ListArgs),
    /// List the applications, with their units and machines
    ///
    /// The machines are observed first, for at most 2.5 s. RUNNING counts the units that are to run and those that do.
    ListApplications(list::ListArgs),
    /// Print the submitted file of a unit
    Cat(list::CatArgs),
    /// Edit the submitted file of a unit, and replace it
    ///
    /// The editor is that of the variable VISUAL or EDITOR, or vi. A changed text does what `--replace` does: a launched unit is
    /// started with its new file, a loaded one is loaded, and any other one is submitted. If the editor fails or the text says the
    /// same as before, nothing is changed. A text that is refused is kept in a file. Comments are not stored.
    Edit(edit::EditArgs),
    /// List the files that a unit has and had
    ///
    /// The last five files that were replaced are kept, with the files that went with them. For a container, DIGEST is that of
    /// the image with which it ran.
    History(history::HistoryArgs),
    /// Give units the files that they had before
    ///
    /// It is `start --replace` with the earlier file, or `load` or `submit` if the unit is not launched. A container gets the
    /// image with which it ran then, by its digest, although the tag in its file may name another one by now. `revert` again
    /// goes back to the file that was replaced by the first `revert`.
    Revert(history::RevertArgs),
    /// Add hosts of the inventory to the cluster
    ///
    /// Each host becomes a machine. If it has joined before, its name, address, keys, SSH options and metadata are
    /// updated. Unit files in /run/fleet/units that muster did not write are named and left alone, unless --adopt is
    /// given.
    Join(membership::JoinArgs),
    /// Remove a machine from the cluster
    ///
    /// Its units move to other machines first. With --no-block, a machine that has units is drained and stays in the
    /// cluster until the next `leave`. With --force, a machine that cannot be managed is removed at once, and its units
    /// then start elsewhere. The exit code is 1 if a unit stays, or does not run on the machine to which it has moved, and 3
    /// if the machine does not answer.
    Leave(membership::LeaveArgs),
    /// Place no new units on a machine
    Cordon(membership::MachineArgs),
    /// Place units on a cordoned or drained machine again
    Uncordon(membership::MachineArgs),
    /// Move the units of a machine to other machines and place no new ones there
    ///
    /// An available unit starts elsewhere before it stops on this machine. A strict unit stops first. A unit that fits on
    /// no other machine stays while it or another unit of the machine runs, unless there is a deadline. The exit code is
    /// 1 if a unit stays, or does not run on the machine to which it has moved, and 3 if the machine does not answer.
    Drain(membership::DrainArgs),
    /// Show the cluster on the whole terminal, and keep it up to date
    ///
    /// It shows machines, units, applications, events and problems as the lists do, and for each why, file and journal. A key
    /// opens a shell on a machine, starts, stops or restarts a unit, or drains a machine; what would be done is shown first. It
    /// reads the store and needs no controller. `?` shows the keys.
    Top(top::TopArgs),
    /// Explain why a unit is on its machine, or why it does not run
    Why(explain::WhyArgs),
    /// Show a machine
    #[command(subcommand)]
    Machine(explain::MachineCommand),
    /// Move the units of machines although the brake or the failover limit blocks it
    ///
    /// The order is valid for an hour. The controller or the next sweep carries it out for the machines that are not
    /// alive.
    Failover(failover::FailoverArgs),
    /// Show the event log: what was done, and why
    Events(events::EventsArgs),
    /// Show what operators asked for, with the time and the operator
    ///
    /// The event log keeps the latest 2000 events of the cluster.
    Audit(audit::AuditArgs),
    /// Show the cluster in a browser
    ///
    /// The page shows machines, units, applications, problems and events as they change, and starts, stops, restarts and drains
    /// after it has shown the plan. It is served on 127.0.0.1 until the command is interrupted. The address that is printed works
    /// once, so that no other user of this computer can open the page. No controller is needed: without one, the command looks at
    /// the machines itself and carries out what is asked for.
    Ui(page::PageArgs),
    /// Observe every machine and print the steps that would be taken
    ///
    /// While a controller leads, its observations are used and no machine is visited.
    ///
    /// Nothing is changed. Problems of machines and units are printed and do not change the exit code. With
    /// --detailed-exitcode, the exit code is 4 if there are changes to make.
    Plan(plan::PlanArgs),
    /// Print which units would move where if machines went down
    ///
    /// muster contacts no host and changes nothing. It simulates the hosts from the records in the store.
    Simulate(plan::SimulateArgs),
    /// Show which process leads, or end its leadership
    ///
    /// The leader is the one process that may change machines: a command, a sweep or a controller.
    #[command(subcommand)]
    Lock(lock::LockCommand),
    /// Observe every machine once, repair what can be repaired and report the rest
    ///
    /// It is made for cron: it prints nothing if nothing was done and nothing is wrong. Each cause has one line; with
    /// `--remind 1h` a trouble that stands is printed once an hour. If a controller leads, the sweep changes nothing and
    /// reports the problems that the controller has recorded.
    ///
    /// The exit code is 0 if every machine is alive and every launched unit runs, 1 if something is still wrong, 2 if no
    /// machine has joined, and 3 if the cluster could not be observed or another command leads.
    Sweep(sweep::SweepArgs),
    /// Observe and repair the cluster until stopped
    ///
    /// Run it on one machine, or on several with etcd as the store: one controller leads, the others stand by. At SIGHUP
    /// it reads its settings, the inventory, ssh_config(5) and its private keys for secrets again.
    Controller(controller::ControllerArgs),
    /// Make access tokens for the API of a controller
    #[command(subcommand)]
    Access(access::AccessCommand),
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    Discovery(discovery::Args),
    Inventory(inventory::InventoryCommand),
    Exec(exec::Exec),
    Play(play::Play),
    Doc(doc::Doc),
    Secret(secret::SecretCommand),
    Vault(vault::VaultCommand),
    Lab(lab::Args),
    /// Print a completion script for a shell
    ///
    /// In bash, zsh and fish, the names of units and machines are completed too. They come from the store.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the names that may follow these words of a command line
    #[command(hide = true)]
    Names {
        /// The words after `muster`
        #[arg(last = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Write a man page for every command into a folder
    Man {
        /// The folder, which is made if it does not exist
        folder: std::path::PathBuf,
    },
}

/// Hides an option that has no effect on a command, and still accepts it.
fn hidden(option: clap::Arg) -> clap::Arg {
    option.hide(true)
}

impl Command {
    /// Reports whether the command says what it waits for. A daemon waits all the time, and `top` has the whole
    /// screen. cron mails what a sweep prints.
    fn tells_waits(&self) -> bool {
        match self {
            Self::Controller(_) | Self::Discovery(_) | Self::Ui(_) | Self::Top(_) => false,
            Self::Sweep(_) => std::io::stderr().is_terminal(),
            _ => true,
        }
    }

    /// Reports whether the command changes hosts, and so goes on when its reader is gone.
    const fn changes_hosts(&self) -> bool {
        matches!(
            self,
            Self::Submit(_)
                | Self::Load(_)
                | Self::Start(_)
                | Self::Stop(_)
                | Self::Unload(_)
                | Self::Destroy(_)
                | Self::Restart(_)
                | Self::Apply(_)
                | Self::Edit(_)
                | Self::Prefetch(_)
                | Self::Revert(_)
                | Self::Join(_)
                | Self::Leave(_)
                | Self::Drain(_)
                | Self::Sweep(_)
                | Self::Controller(_)
                | Self::Ui(_)
                | Self::Play(_)
                | Self::Lab(_)
        )
    }
}

/// Runs the command line and returns the exit code of the process.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return ui::report(&[error]).into(),
    };
    ui::terminal::set_appearance(cli.output.appearance());
    if let Err(error) =
        ui::log::listen(&cli.output.log_directives(matches!(cli.command, Command::Play(_))), cli.command.tells_waits())
    {
        return ui::report(&[CommandError::usage("invalid MUSTER_LOG").caused_by(error)]).into();
    }
    for warning in variables::warnings() {
        ui::warn(&warning);
    }
    if cli.command.changes_hosts() {
        ui::outlive_reader();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ui::report(&[CommandError::failed("cannot start").caused_by(error)]).into(),
    };
    let status = runtime.block_on(run(cli)).unwrap_or_else(|error| ui::report(&[error]));
    if status == ExitStatus::Done && !ui::is_written() { ExitStatus::Failed } else { status }.into()
}

/// Parses the command line. A command line that clap refuses ends the process.
fn parse() -> Result<Cli, CommandError> {
    if !is_fleetctl() {
        let arguments: Vec<_> = std::env::args_os().collect();
        let explain = |error| usage::explained(error, &arguments).exit();
        return Cli::try_parse_from(&arguments)
            .map_err(|error| setting_origin::of_variable(&error).unwrap_or_else(|| explain(error)));
    }
    let mut command = fleet_arguments::command(Cli::command());
    let (own, has_store) = (variables::of_fleet(), variables::is_set("MUSTER_STORE"));
    let fleet = fleet_arguments::rewrite(command.clone(), std::env::args_os(), own, has_store)?;
    let matches = command.try_get_matches_from_mut(fleet.arguments).unwrap_or_else(|error| error.exit());
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
    cli.flags.connecting = fleet.connecting;
    Ok(cli)
}

/// Stops the command in good order at the first signal, and at once at the second, unless it is unfinished.
async fn watch_signals(stop: CancellationToken, is_unfinished: Arc<AtomicBool>) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.is_cancelled() && !is_unfinished.load(Ordering::Relaxed) {
            ui::quit(ExitStatus::Interrupted);
        }
        stop.cancel();
    }
}

/// Reports whether the binary was called under the name of fleet's client.
fn is_fleetctl() -> bool {
    let name = std::env::args_os().next();
    name.is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == "fleetctl"))
}

async fn run(cli: Cli) -> CommandResult {
    let stop = CancellationToken::new();
    let is_unfinished = Arc::<AtomicBool>::default();
    tokio::spawn(watch_signals(stop.clone(), Arc::clone(&is_unfinished)));
    let mut context = Context::new(cli.flags, is_fleetctl(), stop)?;
    context.is_unfinished = is_unfinished;
    match cli.command {
        Command::Submit(args) => unit_commands::create(&context, Verb::Submit, &args).await,
        Command::Load(args) => unit_commands::create(&context, Verb::Load, &args).await,
        Command::Start(args) => unit_commands::create(&context, Verb::Start, &args).await,
        Command::Stop(args) => unit_commands::change(&context, Verb::Stop, &args).await,
        Command::Unload(args) => unit_commands::change(&context, Verb::Unload, &args).await,
        Command::Destroy(args) => unit_commands::change(&context, Verb::Destroy, &args).await,
        Command::Restart(args) => unit_commands::change(&context, Verb::Restart, &args).await,
        Command::Apply(args) => apply::apply(&context, &args).await,
        Command::Diff(args) => apply::diff(&context, &args).await,
        Command::Prefetch(args) => prefetch::prefetch(&context, &args).await,
        Command::Status(args) => on_machine::status(&context, &args).await,
        Command::Journal(args) => on_machine::journal(&context, &args).await,
        Command::Ssh(args) => on_machine::ssh(&context, &args).await,
        Command::ListMachines(args) => list::machines(&context, &args).await,
        Command::ListUnitFiles(args) => list::unit_files(&context, &args).await,
        Command::ListUnits(args) => list::units(&context, &args).await,
        Command::ListApplications(args) => list::applications(&context, &args).await,
        Command::Cat(args) => list::cat(&context, &args).await,
        Command::Edit(args) => edit::edit(&context, &args).await,
        Command::History(args) => history::history(&context, &args).await,
        Command::Revert(args) => history::revert(&context, &args).await,
        Command::Join(args) => membership::join(&context, &args).await,
        Command::Leave(args) => membership::leave(&context, &args).await,
        Command::Cordon(args) => membership::cordon(&context, &args, true).await,
        Command::Uncordon(args) => membership::cordon(&context, &args, false).await,
        Command::Drain(args) => membership::drain(&context, &args).await,
        Command::Top(args) => Box::pin(top::top(&context, args)).await,
        Command::Why(args) => explain::why(&context, &args).await,
        Command::Machine(command) => explain::machine(&context, &command).await,
        Command::Failover(args) => failover::failover(&context, &args).await,
        Command::Events(args) => events::events(&context, &args).await,
        Command::Audit(args) => audit::audit(&context, &args).await,
        Command::Ui(args) => page::page(&context, &args).await,
        Command::Plan(args) => plan::plan(&context, &args).await,
        Command::Simulate(args) => plan::simulate(&context, &args).await,
        Command::Lock(command) => lock::run(&context, command).await,
        Command::Sweep(args) => sweep::sweep(&context, &args).await,
        Command::Controller(args) => controller::controller(&context, &args).await,
        Command::Notify(command) => notify::run(&context, &command).await,
        Command::Discovery(args) => discovery::run(&context, args).await,
        Command::Access(command) => access::run(command),
        Command::Lab(args) => lab::run(args).await,
        Command::Inventory(command) => inventory::run(&context, &command),
        Command::Exec(command) => Box::pin(exec::run(&context, command)).await,
        Command::Play(command) => Box::pin(play::run(&context, command)).await,
        Command::Doc(args) => doc::run(&args),
        Command::Secret(command) => Box::pin(secret::run(&context, command)).await,
        Command::Vault(command) => vault::run(&context, command),
        Command::Completions { shell } => {
            ui::result(&completions::script(shell));
            Ok(ExitStatus::Done)
        }
        Command::Names { words } => completions::print_names(&words).await,
        Command::Man { folder } => {
            let cannot = |error| CommandError::usage(format!("cannot write to {}", folder.display())).caused_by(error);
            std::fs::create_dir_all(&folder).map_err(cannot)?;
            clap_mangen::generate_to(Cli::command(), &folder).map_err(cannot)?;
            Ok(ExitStatus::Done)
        }
    }
}
