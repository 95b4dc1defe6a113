//! `muster edit`: changes the submitted file of a unit in the operator's editor.

use std::ffi::OsStr;
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::Context;
use super::editor;
use super::editor::Edited;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::error::no_such_unit;
use super::settings;
use super::unit_commands;
use super::unit_commands::WaitArgs;
use super::unit_commands::parse_unit;
use crate::core::command::LocalFile;
use crate::core::command::UnitCommand;
use crate::core::unit::Contents;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::check_edit;
use crate::ui;
use crate::ui::messages;

#[derive(Debug, clap::Args)]
pub(super) struct EditArgs {
    /// The unit; a name without a type is that of a `.service`
    #[arg(value_name = "UNIT")]
    unit: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Runs `muster edit`.
pub(super) async fn edit(context: &Context, args: &EditArgs) -> CommandResult {
    let name = parse_unit(&args.unit)?;
    let snapshot = context.snapshot().await?;
    let known = snapshot.units.get(&name).zip(snapshot.file(&name));
    let (known, file) = known.ok_or_else(|| no_such_unit(&snapshot, &name))?;
    let program = settings::visual_editor();
    let edited = editor::edit(context, &program, OsStr::new(name.as_str()), file.text().as_bytes())?;
    let new = match read(&name, file, &edited) {
        Ok(Some(new)) => new,
        Ok(None) => {
            ui::status(&format!("Unit {name} is unchanged"));
            return Ok(ExitStatus::Done);
        }
        Err(why) => return Err(kept(CommandError::usage(why), edited)),
    };
    if let Some(application) = new.application() {
        ui::warn(&messages::taken_back(&name, application));
    }
    let (path, contents) = ("that was edited".to_owned(), Contents::new());
    let file = LocalFile { file: Arc::new(new), path, template: false, contents };
    let command = UnitCommand::replacing(name, *known, file);
    match unit_commands::run(context, command.verb, vec![command], &args.wait).await {
        Err(error) => Err(kept(error, edited)),
        ended => ended,
    }
}

/// Reads the text that the operator has left; `None` if it says the same as before, or nothing.
fn read(name: &UnitName, before: &UnitFile, edited: &Edited) -> Result<Option<UnitFile>, String> {
    let text = edited.text.expose_secret();
    let file = UnitFile::from_bytes(text).map_err(|error| format!("{}:{error}", edited.file.display()))?;
    if text.trim_ascii().is_empty() || file == *before {
        return Ok(None);
    }
    check_edit(before, &file).map_err(|error| format!("Unit {name}: {error}"))?;
    Ok(Some(file))
}

/// Returns an error with the place of the text that the operator has typed.
fn kept(error: CommandError, edited: Edited) -> CommandError {
    error.hint(format!("The text that you typed is in {}.", edited.keep().display()))
}
