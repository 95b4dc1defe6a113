//! The variables of all hosts, as `hostvars` in templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::playbook::magic_variables;
use crate::playbook::outcome::SetVars;
use crate::playbook::template::Hosts;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;

/// The hosts of a run. The variables of plays and tasks are not theirs, as with Ansible.
pub(super) struct RunHosts {
    pub(super) inventory: Arc<Inventory>,
    pub(super) all: Arc<Vars>,
    pub(super) set: BTreeMap<String, SetVars>,
    pub(super) extra: Arc<Vars>,
}

impl Hosts for RunHosts {
    fn names(&self) -> Vec<String> {
        self.inventory.hosts.keys().cloned().collect()
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        let hosts = self.inventory.select_known(pattern).map(|(hosts, _)| hosts).unwrap_or_default();
        hosts.into_iter().map(|host| host.name.clone()).collect()
    }

    fn scope(&self, host: &str) -> Option<Scope> {
        let host = self.inventory.hosts.get(host)?;
        let [facts, files, own] = self.set.get(&host.name).cloned().unwrap_or_default().layers();
        let scope = Scope::new(vec![
            Layer::data(Arc::clone(&self.all)),
            Layer::written(Arc::clone(&host.vars)),
            facts,
            files,
            own,
            Layer::written(Arc::clone(&self.extra)),
            Layer::data(Arc::new(magic_variables::of_host(host))),
        ]);
        Some(scope.with_vault(&self.inventory.vault))
    }
}
