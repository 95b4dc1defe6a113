//! What holds for a playbook that says nothing else: the command line and the configuration decide it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::inventory::Vars;
use crate::playbook::settings::Become;
use crate::playbook::settings::Flag;
use crate::playbook::settings::Settings;
use crate::vault::Keyring;

/// What holds for a playbook that says nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The settings of tasks.
    pub settings: Settings,
    /// Whether a play gathers facts.
    pub gathering: Gathering,
    /// The folders in which roles are looked up after those of the playbook.
    pub role_folders: Vec<PathBuf>,
    /// The file of Ansible's configuration that was read, for templates.
    pub config_file: Option<PathBuf>,
    /// The passwords of files that are encrypted. Without a password, files of variables are left out.
    pub vault: Arc<Keyring>,
}

impl Default for Options {
    fn default() -> Self {
        let role_folders = ["/usr/share/ansible/roles", "/etc/ansible/roles"].map(PathBuf::from).to_vec();
        let (settings, gathering, config_file) = Default::default();
        Self { settings, gathering, role_folders, config_file, vault: Arc::default() }
    }
}

impl Options {
    /// Returns what the lookup `config` finds, by Ansible's names of the settings.
    pub fn configuration(&self, forks: usize) -> Vars {
        let Become { on, user, method } = &self.settings.r#become;
        let text = |path: &PathBuf| path.display().to_string();
        let gathering = if self.gathering == Gathering::Implicit { "implicit" } else { "explicit" };
        let values = json!({
            "CONFIG_FILE": self.config_file.as_ref().map(text),
            "DEFAULT_BECOME": *on == Flag::On,
            "DEFAULT_BECOME_METHOD": method.as_deref().unwrap_or("sudo"),
            "DEFAULT_BECOME_USER": user.as_deref().unwrap_or("root"),
            "DEFAULT_FORKS": forks,
            "DEFAULT_GATHERING": gathering,
            "DEFAULT_REMOTE_USER": self.settings.remote_user,
            "DEFAULT_ROLES_PATH": self.role_folders.iter().map(text).collect::<Vec<_>>(),
        });
        values.as_object().cloned().unwrap_or_default()
    }
}

/// Whether a play without `gather_facts` gathers facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gathering {
    /// It does, as with Ansible.
    #[default]
    Implicit,
    /// It does not.
    Explicit,
}
