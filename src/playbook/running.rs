//! The tasks that are under way, so that an interrupted run can name them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use indexmap::IndexMap;

/// The tasks that are under way, by host.
#[derive(Debug, Default)]
pub struct Running(Mutex<BTreeMap<String, String>>);

impl Running {
    /// Runs a task on a host. If the run is dropped meanwhile, the task stays listed.
    pub async fn during<T>(&self, host: &str, task: &str, run: impl Future<Output = T>) -> T {
        let tasks = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks().insert(host.to_owned(), task.to_owned());
        let result = run.await;
        tasks().remove(host);
        result
    }

    /// Returns the hosts on which each task is under way.
    pub fn tasks(&self) -> IndexMap<String, Vec<String>> {
        let mut hosts_of: IndexMap<String, Vec<String>> = IndexMap::new();
        for (host, task) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            hosts_of.entry(task.clone()).or_default().push(host.clone());
        }
        hosts_of
    }
}
