//! `muster history` and `muster revert`: the files that a unit had before, and the way back to one of them.

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::error::no_such_unit;
use super::list;
use super::list::ListArgs;
use super::unit_commands;
use super::unit_commands::WaitArgs;
use super::unit_commands::parse_unit;
use crate::control::versions;
use crate::control::versions::NoVersion;
use crate::core::model::UnitVersion;
use crate::core::model::Verb;
use crate::runner::Clock;
use crate::ui;
use crate::ui::lists;
use crate::ui::messages;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// A unit
    unit: String,
    /// Print the text of the file whose hash begins like this
    #[arg(long, value_name = "HASH")]
    show: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevertArgs {
    /// Units
    #[arg(required = true, value_name = "UNIT")]
    units: Vec<String>,
    /// Go back to the file whose hash begins like this [default: the one that was replaced last]
    #[arg(long, value_name = "HASH")]
    to: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

impl From<NoVersion> for CommandError {
    fn from(error: NoVersion) -> Self {
        let hint = match &error {
            NoVersion::None(_) => {
                "A file is kept when another one replaces it. The last five of a unit are kept until it is destroyed."
                    .to_owned()
            }
            NoVersion::Unknown { unit, .. } | NoVersion::Ambiguous { unit, .. } => {
                format!("`muster history {unit}` lists them.")
            }
        };
        Self::new(ExitStatus::Failed, error).hint(hint)
    }
}

/// Runs `muster history`.
pub(super) async fn history(context: &Context, args: &HistoryArgs) -> CommandResult {
    let (unit, cluster, snapshot) = (parse_unit(&args.unit)?, context.cluster().await?, context.snapshot().await?);
    snapshot.units.get(&unit).ok_or_else(|| no_such_unit(&snapshot, &unit))?;
    let known = versions::read(&cluster, &snapshot, &unit).await?;
    if let Some(hash) = &args.show {
        ui::result(versions::find(&unit, &known, Some(hash))?.file.text());
        return Ok(ExitStatus::Done);
    }
    list::show(context, lists::versions(&snapshot, &unit, &known, Clock::start().now()), &args.list)
}

/// Runs `muster revert`.
pub(super) async fn revert(context: &Context, args: &RevertArgs) -> CommandResult {
    let (cluster, snapshot) = (context.cluster().await?, context.snapshot().await?);
    let mut commands = Vec::new();
    for text in &args.units {
        let unit = parse_unit(text)?;
        let known = *snapshot.units.get(&unit).ok_or_else(|| no_such_unit(&snapshot, &unit))?;
        let versions = versions::read(&cluster, &snapshot, &unit).await?;
        let version: &UnitVersion = versions::find(&unit, &versions, args.to.as_deref())?;
        if let Some(image) = versions::doubtful_image(&unit, version) {
            ui::warn(&messages::doubtful_image(&unit, image));
        }
        if let Some(application) = version.file.application() {
            ui::warn(&messages::taken_back(&unit, application));
        }
        commands.push(versions::revert(&unit, known, version));
    }
    unit_commands::run(context, Verb::Start, commands, &args.wait).await
}
