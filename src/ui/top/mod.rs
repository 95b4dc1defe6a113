//! `muster top`: what it shows, and what follows from a key. [`App`] is a value: it takes messages and returns effects, and
//! [`draw`] draws it. Nothing here reads a clock, the store or a host.

mod app;
mod detail;
mod draw;
mod help;
mod list;
mod rows;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use super::keys::Key;
use crate::core::model::Event;
use crate::core::model::MachineId;
use crate::core::model::MachineVerb;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::store::leader_election::LeaderRecord;

pub use app::App;
pub use draw::draw;

/// The cluster as `top` shows it.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// The records.
    pub snapshot: Arc<Snapshot>,
    /// The process that leads, if one does.
    pub leader: Option<LeaderRecord>,
    /// The latest events, oldest first.
    pub events: Arc<[Event]>,
    /// The problems that the records show.
    pub troubles: Vec<Trouble>,
    /// Since when the store does not answer, and why.
    pub stale: Option<(Timestamp, String)>,
}

/// A problem of a machine or a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The machine.
    pub machine: Option<MachineId>,
    /// The unit.
    pub unit: Option<UnitName>,
    /// The problem and its cause.
    pub text: String,
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A verb for a unit.
    Unit(Verb, UnitName),
    /// A verb for a machine.
    Machine(MachineVerb, MachineId),
}

/// What the application learns.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(Key),
    /// The terminal has this many columns and rows.
    Size(u16, u16),
    /// The cluster at this time.
    Cluster(Box<Cluster>, Timestamp),
    /// It is this time now.
    Tick(Timestamp),
    /// One line about work that is under way or has ended.
    Notice(String),
    /// A text that an effect has made, with its title.
    Text(String, String),
    /// What a change would do.
    Plan(Change, String),
    /// More lines of the journal with this number, and how it ended if it did.
    Journal(u64, Vec<String>, Option<String>),
}

/// What is to be done about a message, besides a new picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// End.
    Quit,
    /// Draw everything anew.
    Redraw,
    /// Observe the machines.
    Look,
    /// Find out what a change would do.
    Preview(Change),
    /// Carry a change out.
    CarryOut(Change),
    /// Find out what would follow if a machine died.
    WhatIf(MachineId),
    /// Follow the journal of a unit on a machine under this number.
    Follow(u64, UnitName, MachineId),
    /// Follow no journal any more.
    EndJournal,
    /// Open a shell on a machine.
    Shell(MachineId),
}
