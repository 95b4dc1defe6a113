//! The output of a playbook's run, as Ansible's stdout callbacks: [`default`] as lines, [`json`] as one document,
//! [`adhoc`] as the lines of a single task, [`report`] as a mail, [`host_log`] as one log for each host, [`failures`] as one
//! line for each task that failed.
//!
//! A callback turns events into text or values. Printing is left to `ui`.

pub mod adhoc;
pub mod default;
pub mod failures;
pub mod host_log;
pub mod json;
pub mod report;

use std::path::Path;

use indexmap::IndexMap;

use super::include::Include;
use super::outcome::Outcome;
use super::play::Play;
use super::play::Task;
use super::play_iterator::HostStats;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Position;

/// A play that begins, or a task.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// What is printed of its name.
    pub title: &'a str,
    /// The module of a task.
    pub action: &'a str,
    /// The file in which it stands.
    pub file: &'a Path,
    /// The place in the file.
    pub at: Position,
}

impl<'a> Begun<'a> {
    /// A play that begins.
    pub fn play(title: &'a str, play: &'a Play) -> Self {
        Self { title, action: "", file: &play.file, at: play.at }
    }

    /// A task that begins.
    pub fn task(title: &'a str, task: &'a Task) -> Self {
        Self { title, action: &task.action, file: &task.file, at: task.at }
    }

    /// Something that stands in no file.
    #[cfg(test)]
    pub fn titled(title: &'a str) -> Self {
        Self { title, action: "", file: Path::new(""), at: Position::default() }
    }
}

/// An event of a run, to be shown or recorded.
#[derive(Debug)]
pub enum Event<'a> {
    /// A play begins.
    Play(Begun<'a>),
    /// The play's pattern matches no host.
    NoHosts,
    /// So many hosts have failed that the play ends.
    NoHostsLeft,
    /// A task begins.
    Task(Begun<'a>),
    /// A handler begins.
    Handler(Begun<'a>),
    /// An item of a loop ended on a host.
    Item {
        /// The host.
        host: &'a str,
        /// The text that stands for the item.
        item: &'a str,
        /// The outcome.
        outcome: &'a Outcome,
    },
    /// A file or role goes on on some hosts.
    Included {
        /// The file or the role.
        title: &'a str,
        /// What the task includes.
        what: &'a Include,
        /// The variables of the item of the task's loop.
        vars: &'a Vars,
        /// The hosts.
        hosts: &'a [&'a str],
        /// The text that stands for the item of the task's loop.
        item: Option<&'a str>,
    },
    /// A task did not succeed on a host and runs there again.
    Retry {
        /// The host.
        host: &'a str,
        /// The other host on which it runs (`delegate_to`).
        delegate: Option<&'a str>,
        /// The task.
        task: &'a str,
        /// How often it may run again.
        left: u64,
    },
    /// A task says what it is about to do.
    Notice(&'a str),
    /// A task ended on a host.
    Host {
        /// The host.
        host: &'a str,
        /// The outcome.
        outcome: &'a Outcome,
        /// Set for a loop, whose items have been reported already.
        looped: bool,
    },
    /// The run has ended.
    Recap(&'a IndexMap<String, HostStats>),
}

impl Event<'_> {
    /// Returns the warnings of a result. Those of a loop came with its items.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let outcome = match self {
            Self::Item { outcome, .. } | Self::Host { outcome, looped: false, .. } => Some(*outcome),
            _ => None,
        };
        outcome.into_iter().flat_map(Outcome::warnings)
    }

    /// Returns the heading of the task that begins, if one does.
    pub fn heading(&self) -> Option<String> {
        match self {
            Self::Task(task) => Some(format!("TASK [{}]", task.title)),
            Self::Handler(task) => Some(format!("HANDLER [{}]", task.title)),
            _ => None,
        }
    }
}
