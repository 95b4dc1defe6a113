//! `muster submit`, `load`, `start`, `stop`, `unload`, `destroy`, `restart`: what is wanted of units.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::settings::LockArgs;
use crate::control::problems::Problem;
use crate::control::verb;
use crate::control::verb::Progress;
use crate::control::verb::Timeouts;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::command::Verb;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::ui;

/// How long one of fleet's block attempts lasts.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How many seconds a command timeouts for the lead unless somebody says otherwise.
pub(super) const LOCK_WAIT: u64 = 30;

/// The longest unit file that is read, in bytes: systemd's own limit for a line.
const LONGEST: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Units: names, or paths of unit files; `.service` may be left out
    #[arg(required = true, value_name = "UNIT")]
    units: Vec<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Put the file in the place of one that differs
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    args: Args,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct WaitArgs {
    /// Write down what is wanted and do not wait for it
    #[arg(long)]
    no_block: bool,
    /// How many times two seconds to wait for a controller to do it, 0 for as long as it takes
    #[arg(long, value_name = "N", default_value_t = 0)]
    block_attempts: u32,
    #[command(flatten)]
    lock: LockArgs,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

impl WaitArgs {
    /// Returns how long to wait for what.
    pub(super) fn timeouts(&self, context: &Context) -> Timeouts {
        let attempts = self.block_attempts;
        Timeouts {
            lock: self.lock.wait(&context.settings, LOCK_WAIT),
            follow: (attempts > 0).then(|| ATTEMPT.saturating_mul(attempts)),
            settle: ATTEMPT,
            block: !self.no_block,
        }
    }

    pub(super) const fn json(&self) -> bool {
        self.output.is_some()
    }
}

/// Runs a verb that may make units known.
pub(super) async fn create(context: &Context, verb: Verb, create: &CreateArgs) -> CommandResult {
    let orders = create.args.units.iter().map(|text| {
        let unit = parse(text)?;
        let file = read_local(text, &unit)?;
        Ok(UnitCommand { verb, unit, file, replace: create.replace })
    });
    let orders = orders.collect::<Result<Vec<_>, CommandError>>()?;
    run(context, verb, orders, &create.args.wait).await
}

/// Runs a verb for units that are known.
pub(super) async fn change(context: &Context, verb: Verb, args: &Args) -> CommandResult {
    let units = args.units.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let orders = units.into_iter().map(|unit| UnitCommand { verb, unit, file: None, replace: false }).collect();
    run(context, verb, orders, &args.wait).await
}

/// Reads a unit's name as fleet did: the last part of a path, `.service` if it has no type.
pub(super) fn parse(text: &str) -> Result<UnitName, CommandError> {
    UnitName::from_argument(text).map_err(|error| CommandError::usage(format!("{text}: {error}")))
}

async fn run(context: &Context, verb: Verb, mut orders: Vec<UnitCommand>, wait: &WaitArgs) -> CommandResult {
    orders.sort_by(|a, b| a.unit.cmp(&b.unit));
    orders.dedup_by(|a, b| a.unit == b.unit);
    let cluster = context.cluster().await?;
    let mut told = Told::new(wait.json());
    let result =
        verb::execute(&cluster, verb, &orders, wait.timeouts(context), &mut |notice| told.notice(&notice)).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    told.finish();
    Ok(ui::report(&errors(&result?)))
}

/// What was told of units, for printing at once or as JSON in the end.
pub(super) struct Told {
    json: Option<Vec<serde_json::Value>>,
    progress: ui::Progress,
}

impl Told {
    pub(super) fn new(json: bool) -> Self {
        Self { json: json.then(Vec::new), progress: ui::Progress::start() }
    }

    pub(super) fn notice(&mut self, notice: &Progress<'_>) {
        let (unit, state, machine) = match notice {
            Progress::Warning(text) => return ui::remark(text),
            Progress::Event(snapshot, event) => return self.progress.tell(&ui::line(snapshot, event)),
            Progress::Triggered(unit, verb, global) => {
                if let Some(list) = &mut self.json {
                    list.push(serde_json::json!({ "unit": unit, "triggered": verb.to_string(), "global": global }));
                    return;
                }
                let kind = if *global { "global unit" } else { "unit" };
                return ui::result(&format!("Triggered {kind} {unit} {verb}\n"));
            }
            Progress::Reached(unit, state, machine) => (unit, Some(*state), *machine),
            Progress::Destroyed(unit) => (unit, None, None),
        };
        if let Some(list) = &mut self.json {
            let machine = machine.map(|machine| machine.id);
            list.push(serde_json::json!({ "unit": unit, "state": state, "machine": machine }));
            return;
        }
        let at = machine.map(|machine| format!(" on {}", machine.legend(false))).unwrap_or_default();
        ui::result(&match state {
            Some(state) => format!("Unit {unit} {state}{at}\n"),
            None => format!("Destroyed {unit}\n"),
        });
    }

    pub(super) fn finish(self) {
        if let Some(list) = self.json {
            ui::json(&list);
        }
    }
}

/// Returns the errors that problems are, the last with advice.
pub(super) fn errors(problems: &[Problem]) -> Vec<CommandError> {
    let mut errors: Vec<CommandError> = problems.iter().map(CommandError::from).collect();
    let unit = problems.iter().find(|problem| !problem.unreachable).and_then(|problem| problem.unit.as_ref());
    let hint = if problems.iter().all(|problem| problem.unreachable) {
        Some("The desired state is stored. `muster sweep` or a controller applies it once the host answers.".to_owned())
    } else {
        unit.map(|unit| format!("`muster status {unit}` and `muster journal {unit}` show more."))
    };
    if let Some(last) = errors.pop() {
        errors.push(last.maybe_hint(hint));
    }
    errors
}

/// Reads the unit file that an argument names, or its template's, if there is one.
fn read_local(text: &str, unit: &UnitName) -> Result<Option<LocalFile>, CommandError> {
    let folder = Path::new(text).parent().unwrap_or_else(|| Path::new(""));
    let own = read(&folder.join(unit.as_str()), false)?;
    let template = unit.template().map(|template| folder.join(template.as_str()));
    match (own, template) {
        (None, Some(template)) => read(&template, true),
        (own, _) => Ok(own),
    }
}

fn read(path: &PathBuf, template: bool) -> Result<Option<LocalFile>, CommandError> {
    let unreadable = |error: io::Error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error);
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(data) if data.is_file() && data.len() > LONGEST => {
            return Err(CommandError::usage(format!("{}: longer than {LONGEST} bytes", path.display())));
        }
        Ok(data) if !data.is_file() => {
            return Err(CommandError::usage(format!("{}: not a file", path.display())));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let file =
        UnitFile::from_bytes(&bytes).map_err(|error| CommandError::usage(format!("{}:{error}", path.display())))?;
    Ok(Some(LocalFile { file: Arc::new(file), path: path.display().to_string(), template }))
}
