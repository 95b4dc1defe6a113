//! The output of a playbook's run, as Ansible's stdout callbacks: [`default`] as lines, [`json`] as one document,
//! [`adhoc`] as the lines of a single task, [`report`] as a mail, [`host_log`] as one log for each host.
//!
//! A callback turns events into text or values. Printing is left to `ui`.

pub mod adhoc;
pub mod default;
pub mod host_log;
pub mod json;
pub mod report;

use indexmap::IndexMap;

use super::outcome::Outcome;
use super::play_iterator::HostStats;

/// An event of a run, to be shown or recorded.
#[derive(Debug)]
pub enum Event<'a> {
    /// A play begins.
    Play(&'a str),
    /// The play's pattern matches no host.
    NoHosts,
    /// So many hosts have failed that the play ends.
    NoHostsLeft,
    /// A task begins.
    Task(&'a str),
    /// A handler begins.
    Handler(&'a str),
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
    /// Returns the heading of the task that begins, if one does.
    pub fn heading(&self) -> Option<String> {
        match self {
            Self::Task(name) => Some(format!("TASK [{name}]")),
            Self::Handler(name) => Some(format!("HANDLER [{name}]")),
            _ => None,
        }
    }
}
