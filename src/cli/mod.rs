//! What a person types: one file per command, and nothing here that another way of running muster would need too.

pub mod context;
mod control;
mod discovery;
pub mod error;
mod events;
mod exec;
mod failover;
pub mod inventory;
mod join;
mod lab;
mod list;
mod lock;
mod plan;
mod play;
mod prudence;
mod reach;
pub mod settings;
mod verb;
mod why;

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::Parser as _;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

use context::Context;
use error::CommandError;
use error::CommandResult;
use error::ExitStatus;
use settings::Flags;

use crate::core::command::Verb;
use crate::ui;

/// Keeps systemd services running across a set of Linux hosts, over SSH, with nothing installed on them.
#[derive(Debug, clap::Parser)]
#[command(name = "muster", version, infer_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make units known to the cluster
    Submit(verb::CreateArgs),
    /// Put units on machines, making them known first if need be
    Load(verb::CreateArgs),
    /// Start units, putting them on machines first if need be
    Start(verb::CreateArgs),
    /// Stop units and leave them where they are
    Stop(verb::Args),
    /// Take units off their machines, stopping them first
    Unload(verb::Args),
    /// Forget units, stopping them first
    Destroy(verb::Args),
    /// Stop and start units where they are
    Restart(verb::Args),
    /// Show what systemd says of units, from where they are
    Status(reach::StatusArgs),
    /// Show a unit's journal, from where it is
    Journal(reach::JournalArgs),
    /// Log in to a machine, or to the machine of a unit
    Ssh(reach::SshArgs),
    /// List the machines that are there
    ListMachines(list::MachinesArgs),
    /// List the units that were submitted, with what is wanted of each and where it is
    ListUnitFiles(list::ListArgs),
    /// List the units that are on machines, with what systemd says of each
    ListUnits(list::ListArgs),
    /// Print a unit's file as it was submitted
    Cat(list::CatArgs),
    /// Make machines of the inventory's hosts
    Join(join::JoinArgs),
    /// Take a machine out of the cluster
    Leave(join::LeaveArgs),
    /// Place nothing new on a machine
    Cordon(join::MachineArgs),
    /// Let a machine take units again
    Uncordon(join::MachineArgs),
    /// Place nothing new on a machine and move what is there elsewhere
    Drain(join::DrainArgs),
    /// Say why a unit is where it is, and why it does not run if it does not
    Why(why::WhyArgs),
    /// Show a machine
    #[command(subcommand)]
    Machine(why::MachineCommand),
    /// Move the units of machines that are down although too many others are
    Failover(failover::FailoverArgs),
    /// Show what was done, and why
    Events(events::EventsArgs),
    /// Look at every machine and say what would be done, and why; nothing is changed
    ///
    /// Ends with 0 when it could look, whatever there is to do; with `--detailed-exitcode` with 2 when there is something.
    Plan(plan::PlanArgs),
    /// Say what would move where, and what would have no place, if machines went down; no host is reached
    Simulate(plan::SimulateArgs),
    /// Show who may change hosts at the moment, or take that away
    #[command(subcommand)]
    Lock(lock::LockCommand),
    /// Look at every machine once, put right what can be and say what cannot
    ///
    /// Ends with 0 when every machine is alive and every launched unit runs, with 1 when something is still wrong, and
    /// with 3 when it could not look. Where no machine has joined it ends with 2. Made for cron: it is silent when there was nothing to do and all is well. Beside a
    /// controller it does nothing itself, and says what is wrong by what the controller has found.
    Sweep(control::SweepArgs),
    /// Keep every unit running until stopped
    Controller(control::ControllerArgs),
    Discovery(discovery::Args),
    Inventory(inventory::InventoryCommand),
    Exec(exec::Exec),
    Play(play::Play),
    Lab(lab::Args),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write a man page for every command into a folder
    #[command(hide = true)]
    Man {
        /// Which folder; it must be there
        folder: std::path::PathBuf,
    },
}

impl Command {
    /// Says whether it changes hosts, and so must come to its end whoever reads what it prints.
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
                | Self::Join(_)
                | Self::Leave(_)
                | Self::Drain(_)
                | Self::Sweep(_)
                | Self::Controller(_)
                | Self::Play(_)
                | Self::Lab(_)
        )
    }
}

/// Runs the command that was typed and returns the process's exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = ui::warnings::listen(&settings::log()) {
        return ui::report(&[CommandError::usage("invalid MUSTER_LOG").caused_by(error)]).into();
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

/// Ends what is under way in good order at the first signal, and at once at the second.
async fn watch_signals(stop: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.is_cancelled() {
            ui::quit(ExitStatus::Interrupted);
        }
        stop.cancel();
    }
}

async fn run(cli: Cli) -> CommandResult {
    let stop = CancellationToken::new();
    tokio::spawn(watch_signals(stop.clone()));
    let context = Context::new(cli.flags.resolve()?, stop);
    match cli.command {
        Command::Submit(args) => verb::create(&context, Verb::Submit, &args).await,
        Command::Load(args) => verb::create(&context, Verb::Load, &args).await,
        Command::Start(args) => verb::create(&context, Verb::Start, &args).await,
        Command::Stop(args) => verb::change(&context, Verb::Stop, &args).await,
        Command::Unload(args) => verb::change(&context, Verb::Unload, &args).await,
        Command::Destroy(args) => verb::change(&context, Verb::Destroy, &args).await,
        Command::Restart(args) => verb::change(&context, Verb::Restart, &args).await,
        Command::Status(args) => reach::status(&context, &args).await,
        Command::Journal(args) => reach::journal(&context, &args).await,
        Command::Ssh(args) => reach::ssh(&context, &args).await,
        Command::ListMachines(args) => list::machines(&context, &args).await,
        Command::ListUnitFiles(args) => list::unit_files(&context, &args).await,
        Command::ListUnits(args) => list::units(&context, &args).await,
        Command::Cat(args) => list::cat(&context, &args).await,
        Command::Join(args) => join::join(&context, &args).await,
        Command::Leave(args) => join::leave(&context, &args).await,
        Command::Cordon(args) => join::cordon(&context, &args, true).await,
        Command::Uncordon(args) => join::cordon(&context, &args, false).await,
        Command::Drain(args) => join::drain(&context, &args).await,
        Command::Why(args) => why::why(&context, &args).await,
        Command::Machine(command) => why::machine(&context, &command).await,
        Command::Failover(args) => failover::failover(&context, &args).await,
        Command::Events(args) => events::events(&context, &args).await,
        Command::Plan(args) => plan::plan(&context, &args).await,
        Command::Simulate(args) => plan::simulate(&context, &args).await,
        Command::Lock(command) => lock::run(&context, command).await,
        Command::Sweep(args) => control::sweep(&context, &args).await,
        Command::Controller(args) => control::controller(&context, &args).await,
        Command::Discovery(args) => discovery::run(&context, args).await,
        Command::Lab(args) => lab::run(args).await,
        Command::Inventory(command) => inventory::run(&context, &command),
        Command::Exec(command) => exec::run(&context, command).await,
        Command::Play(command) => play::run(&context, command).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut script);
            ui::result(&String::from_utf8_lossy(&script));
            Ok(ExitStatus::Done)
        }
        Command::Man { folder } => {
            let cannot = |error| CommandError::usage(format!("cannot write to {}", folder.display())).caused_by(error);
            clap_mangen::generate_to(Cli::command(), &folder).map_err(cannot)?;
            Ok(ExitStatus::Done)
        }
    }
}
