//! Which problems a receiver is told about.

use std::collections::BTreeSet;

use crate::core::unit::Glob;
use crate::core::unit::UnitName;

/// A problem, as alerts see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind, one of [`super::KINDS`].
    pub kind: &'static str,
    /// The name of the machine that has the problem, or that the unit is on.
    pub machine: Option<String>,
    /// The unit that has the problem.
    pub unit: Option<UnitName>,
    /// The problem and its cause.
    pub text: String,
    /// The trouble of a machine without its name and address: machines with the same one share a line.
    pub shared: Option<String>,
    /// Set if the cause is a host that could not be reached.
    pub unreachable: bool,
}

impl Trouble {
    /// Returns the subject of the problem: a unit, else a machine, else the kind. The problems of one subject are one incident.
    pub(super) fn subject(&self) -> String {
        match (&self.unit, &self.machine) {
            (Some(unit), _) => format!("unit {unit}"),
            (None, Some(machine)) => format!("machine {machine}"),
            (None, None) => format!("cluster {}", self.kind),
        }
    }
}

/// The problems that a receiver is told about. A list that is empty selects all. Of several lists, each must select a
/// problem.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Patterns over the kinds.
    pub kinds: Vec<Glob>,
    /// Patterns over the names of machines.
    pub machines: Vec<Glob>,
    /// Patterns over the names of units. The problem of a machine is the problem of no unit.
    pub units: Vec<Glob>,
    /// The machines of the groups of the inventory; `None` if no group is named.
    pub group_machines: Option<BTreeSet<String>>,
}

impl Selector {
    /// Reports whether a receiver is told about a problem.
    pub fn selects(&self, trouble: &Trouble) -> bool {
        let unit = trouble.unit.as_ref().map(UnitName::as_str);
        let in_groups = |machines: &BTreeSet<String>| trouble.machine.as_ref().is_some_and(|it| machines.contains(it));
        matches(&self.kinds, Some(trouble.kind))
            && matches(&self.machines, trouble.machine.as_deref())
            && matches(&self.units, unit)
            && self.group_machines.as_ref().is_none_or(in_groups)
    }
}

/// Reports whether one of the patterns matches a name, or there is no pattern.
fn matches(patterns: &[Glob], name: Option<&str>) -> bool {
    patterns.is_empty() || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
}
