//! The settings of a task: what it inherits from its blocks, its role and its play, or has itself. They may be templates,
//! which are filled in for each host and each item.

use std::sync::Arc;

use serde_json::Value;

use super::template;
use super::template::Scope;
use crate::inventory::Vars;

/// The settings of a task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The variables of the task and of the blocks around it.
    pub vars: Arc<Vars>,
    /// The variables that the tasks give which include the task. They override almost all others.
    pub include_vars: Arc<Vars>,
    /// The task runs only where all of these conditions hold.
    pub when: Vec<String>,
    /// Its tags, and those of the blocks and the play around it.
    pub tags: Vec<String>,
    /// As which user it runs.
    pub r#become: Become,
    /// Whether it only predicts its changes (`check_mode`). The default is the run's.
    pub check: Option<Flag>,
    /// Whether it shows what it changes (`diff`). The default is the run's.
    pub diff: Option<Flag>,
    /// Whether a host goes on although the task failed there.
    pub ignore_errors: Flag,
    /// Whether a host goes on although the task could not reach it.
    pub ignore_unreachable: Flag,
    /// Whether a failure on one host ends the play on all hosts of the batch.
    pub any_errors_fatal: Flag,
    /// Whether it runs on the first host only. Its result counts for all.
    pub run_once: Flag,
    /// Whether its results are not printed.
    pub no_log: Flag,
    /// The variables of the environment, as maps or templates of maps. Later ones win.
    pub environment: Vec<Value>,
    /// The host on which it runs instead, a template.
    pub delegate_to: Option<String>,
    /// Whether facts are those of the host on which it runs.
    pub delegate_facts: Flag,
    /// What carries commands to the host (`connection`).
    pub connection: Option<String>,
    /// The user that logs in (`remote_user`).
    pub remote_user: Option<String>,
    /// How many seconds it may take.
    pub timeout: Option<Value>,
    /// On how many hosts it runs at once.
    pub throttle: Option<Value>,
    /// The handlers that a change notifies.
    pub notify: Vec<String>,
    /// The arguments that modules have unless the task gives others, by the names of the modules.
    pub module_defaults: Vars,
}

/// As which user a task runs (`become`, `become_user`, `become_method`). The variables `ansible_become…` win.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Become {
    /// Whether it becomes another user.
    pub on: Flag,
    /// The user, a template. The default is root.
    pub user: Option<String>,
    /// How it becomes the user, a template. The default is sudo.
    pub method: Option<String>,
}

/// Something that is so or not, or a template of that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Flag {
    /// It is not so.
    #[default]
    Off,
    /// It is so.
    On,
    /// A template says whether it is so.
    Template(String),
}

impl From<bool> for Flag {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl Flag {
    /// Reports whether it is so.
    pub fn holds(&self, scope: &Scope) -> Result<bool, String> {
        match self {
            Self::Off => Ok(false),
            Self::On => Ok(true),
            Self::Template(template) => {
                let value = scope.fill(&template.as_str().into())?;
                if value == template::omit() {
                    return Ok(false);
                }
                let text = template::text_of(&value);
                template::parse_bool(&text).ok_or_else(|| format!("`{template}` is {text}, and not true or false"))
            }
        }
    }

    /// Reports whether it is so. A template that cannot be filled in counts as so.
    pub fn may_hold(&self, scope: &Scope) -> bool {
        self.holds(scope).unwrap_or(true)
    }
}
