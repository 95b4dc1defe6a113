//! What a person types: one file per command, and nothing here that another way of running muster would need too.

pub mod error;
pub mod inventory;
mod lab;
pub mod settings;

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::Parser as _;

use error::CommandError;
use settings::Flags;
use settings::Settings;

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
    Inventory(inventory::InventoryCommand),
    Lab(lab::Args),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// What a command is given: its settings, and from them the store and the way to the hosts when it asks for them.
#[derive(Debug)]
pub struct Context {
    /// The settings.
    pub settings: Settings,
}

/// Runs the command that was typed and returns the process's exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::ui::report(&CommandError::failed(format!("cannot start: {error}")));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::ui::report(&error);
            error.exit_code()
        }
    }
}

async fn run(cli: Cli) -> Result<(), CommandError> {
    let context = Context { settings: cli.flags.resolve()? };
    match cli.command {
        Command::Lab(args) => lab::run(args).await,
        Command::Inventory(command) => inventory::run(&context, &command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut script);
            crate::ui::result(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}
