//! Foreign units: unit files in /run/fleet/units of a machine that muster did not write there. muster leaves them alone.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::Machine;
use crate::core::unit::UnitName;

/// How many names a record keeps. A host may have any number of files.
const NAMES: usize = 256;

/// How many names a message has.
const NAMED: usize = 3;

/// The foreign units of one machine. The store keeps them under `foreign/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ForeignUnits {
    /// How many there are.
    pub count: usize,
    /// The first of them, by name.
    pub names: BTreeSet<UnitName>,
}

impl ForeignUnits {
    /// Makes the record of units in the order of their names.
    pub fn new<'a>(names: impl ExactSizeIterator<Item = &'a UnitName>) -> Self {
        Self { count: names.len(), names: names.take(NAMES).cloned().collect() }
    }

    /// Returns those that a machine which has them does not adopt: no unit of the cluster takes their names there.
    pub fn left_alone_by<'a>(&'a self, machine: &'a Machine) -> impl Iterator<Item = &'a UnitName> {
        self.names.difference(&machine.adopts)
    }

    /// Returns a sentence about them.
    pub fn notice(&self) -> String {
        let them = if self.count == 1 { "it" } else { "them" };
        format!("/run/fleet/units has {self}; muster leaves {them} alone")
    }
}

impl fmt::Display for ForeignUnits {
    /// Writes `5 unit files that muster did not write: a.service, b.service, c.service, …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.count == 1 { "file" } else { "files" };
        let names: Vec<&str> = self.names.iter().take(NAMED).map(UnitName::as_str).collect();
        let more = if self.count > names.len() { ", …" } else { "" };
        write!(f, "{} unit {files} that muster did not write: {}{more}", self.count, names.join(", "))
    }
}
