//! The units that timers, sockets and path units start. muster loads such a unit, and starts it only if the operator names it.

use std::collections::BTreeSet;

use super::UnitCommand;
use crate::core::model::DesiredState;
use crate::core::model::Snapshot;
use crate::core::model::Verb;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::UnitType;

/// Returns the unit that a timer, a socket or a path unit starts. A socket that accepts connections starts instances.
pub fn activated(unit: &UnitName, file: &UnitFile) -> Option<UnitName> {
    let (section, option) = match unit.kind() {
        UnitType::Timer => ("Timer", "Unit"),
        UnitType::Path => ("Path", "Unit"),
        UnitType::Socket => ("Socket", "Service"),
        _ => return None,
    };
    let accepts = file
        .values("Socket", "Accept")
        .next_back()
        .is_some_and(|value| ["1", "yes", "y", "true", "t", "on"].contains(&value.to_ascii_lowercase().as_str()));
    let named = file.values(section, option).next_back().map(str::to_owned);
    named.unwrap_or_else(|| format!("{}.service", unit.stem())).parse().ok().filter(|_| !accepts)
}

/// Units that timers, sockets and path units start, by the names that systemd has for them.
#[derive(Debug)]
pub struct Activated(BTreeSet<UnitName>);

impl Activated {
    /// Finds what these units start.
    pub fn by<'a>(units: impl Iterator<Item = (&'a UnitName, &'a UnitFile)>) -> Self {
        Self(units.filter_map(|(unit, file)| activated(unit, file)).collect())
    }

    /// Reports whether a unit waits until one of the others starts it. A unit that was launched does not.
    pub fn waits(&self, snapshot: &Snapshot, unit: &UnitName) -> bool {
        let is_launched = snapshot.units.get(unit).is_some_and(|unit| unit.desired == DesiredState::Launched);
        !is_launched && unit.of_systemd().parse().is_ok_and(|service: UnitName| self.0.contains(&service))
    }
}

/// Returns the commands that a verb for an application means for its units. A unit that another one of them starts, and that is
/// not launched, waits for it: `start` loads it, and `restart` leaves it alone.
pub fn commands_for_application(snapshot: &Snapshot, verb: Verb, units: &[&UnitName]) -> Vec<UnitCommand> {
    let activated = Activated::by(units.iter().filter_map(|unit| Some((*unit, &**snapshot.file(unit)?))));
    let verb_for = |unit: &UnitName| match verb {
        Verb::Start if activated.waits(snapshot, unit) => Some(Verb::Load),
        Verb::Restart if activated.waits(snapshot, unit) => None,
        verb => Some(verb),
    };
    units.iter().filter_map(|unit| Some(UnitCommand::new(verb_for(unit)?, (*unit).clone()))).collect()
}
