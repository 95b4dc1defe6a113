//! `hostvars`: the variables of other hosts, which are evaluated when a template reads them.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Enumerator;
use minijinja::value::Object;

use super::Scope;

/// The variables of all hosts.
pub trait Hosts: Send + Sync {
    /// Returns the names of the hosts, in the order of the inventory.
    fn names(&self) -> Vec<String>;

    /// Returns the names of the hosts of a pattern; none if the pattern is invalid.
    fn matching(&self, pattern: &str) -> Vec<String>;

    /// Returns the variables of a host, if there is such a host.
    fn scope(&self, host: &str) -> Option<Scope>;
}

/// The variable `hostvars` of a scope.
pub(super) struct HostVars {
    pub(super) hosts: Arc<dyn Hosts>,
    /// The scope that reads the variables. Its limits apply to them.
    pub(super) reader: Scope,
}

impl fmt::Debug for HostVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables may hold secrets.
        f.debug_struct("HostVars").finish_non_exhaustive()
    }
}

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let scope = self.hosts.scope(key.as_str()?)?;
        Some(Value::from_object(scope.read_by(&self.reader)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.hosts.names().into_iter().map(Value::from).collect())
    }
}
