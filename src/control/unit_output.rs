//! The commands that say on the machine of a unit what only that machine knows: the journal, and the status as text.

use crate::core::unit::UnitName;
use crate::remote::Command;
use crate::remote::RunAs;
use crate::remote::Unquotable;
use crate::remote::quote;

/// Returns the command that prints the latest lines of the journal of a unit, in a format of journalctl(1), and with `follow`
/// goes on with new ones.
pub fn journal(unit: &UnitName, lines: u32, format: &str, follow: bool) -> Result<Command, Unquotable> {
    let systemd_name = unit.of_systemd();
    let (name, format) = (quote(&systemd_name)?, quote(format)?);
    let follow = if follow { " --follow" } else { "" };
    Ok(as_root(format!("journalctl --unit {name} --no-pager --lines {lines} --output {format}{follow}")))
}

/// Returns the command that prints the status of a unit as systemctl(1) does.
pub fn status(unit: &UnitName) -> Result<Command, Unquotable> {
    Ok(as_root(format!("systemctl status --no-pager --full -- {}", quote(&unit.of_systemd())?)))
}

fn as_root(script: String) -> Command {
    Command { script, run_as: Some(RunAs::root()), ..Command::default() }
}
