//! The state of one run of a playbook: how results are reported and recorded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::background::Jobs;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Position;
use crate::playbook::callback::Event;
use crate::playbook::cluster_tasks::Requested;
use crate::playbook::local_files::LocalFiles;
use crate::playbook::loop_item::ItemResult;
use crate::playbook::magic_variables;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Shown;
use crate::playbook::play::Task;
use crate::playbook::play_iterator::PlayIterator;
use crate::playbook::template::Hosts;
use crate::playbook::template::Surroundings;

/// The state of one run of a playbook.
pub(super) struct RunState<'a, 't> {
    pub(super) iterator: PlayIterator<'a>,
    /// The hosts, with those that tasks have added.
    pub(super) inventory: Arc<Inventory>,
    /// The variables that are the same for every host of the batch.
    pub(super) batch_vars: Arc<Vars>,
    /// How many hosts took no part any more when `batch_vars` were made.
    pub(super) losses: Option<usize>,
    /// The variables of all hosts, as they are for the current task.
    pub(super) hosts: Option<Arc<dyn Hosts>>,
    /// What the lookups of the current task read.
    pub(super) surroundings: Arc<Surroundings>,
    /// The files of the playbook that are in use.
    pub(super) local_files: Arc<LocalFiles>,
    /// What each task has requested from the cluster, in all batches so far.
    pub(super) requested: BTreeMap<(Arc<Path>, Position), Requested>,
    /// The result that was recorded last.
    pub(super) last: Option<Outcome>,
    /// The tasks in the background.
    pub(super) jobs: Arc<Jobs<'a>>,
    /// The folder of the play.
    pub(super) folder: &'a Path,
    pub(super) callback: &'t mut (dyn FnMut(&Event<'_>) + Send),
}

/// Stands for an item of a task with `no_log`.
const CENSORED_ITEM: &str = "(censored due to no_log)";

impl RunState<'_, '_> {
    /// Brings the variables up to date that say which hosts take part in the play.
    pub(super) fn update_play_hosts(&mut self) {
        let losses = self.iterator.losses();
        if self.losses == Some(losses) {
            return;
        }
        let (all, batch) = self.iterator.play_hosts();
        let vars = magic_variables::of_hosts(all, batch, |host| self.iterator.is_out(host));
        Arc::make_mut(&mut self.batch_vars).extend(vars);
        self.losses = Some(losses);
    }

    /// Reports how a task ended on a host, and records it.
    pub(super) fn record_result(&mut self, host: &str, task: &Task, results: Vec<ItemResult>) {
        for result in &results {
            self.show_item(host, result);
        }
        self.record_shown_result(host, task, results);
    }

    /// Reports how a task ended on a host whose items were shown before, and records it.
    pub(super) fn record_shown_result(&mut self, host: &str, task: &Task, results: Vec<ItemResult>) {
        let (outcome, notify) = self.report(host, task, results);
        self.iterator.record_result(host, task, &outcome, &notify);
        self.last = Some(outcome);
    }

    /// Reports how a task ended on a host whose items were shown. Returns the outcome and the handlers that it notifies.
    pub(super) fn report(&mut self, host: &str, task: &Task, mut results: Vec<ItemResult>) -> (Outcome, Vec<String>) {
        let notify: Vec<String> = results.iter_mut().flat_map(|result| std::mem::take(&mut result.notify)).collect();
        for result in &mut results {
            if let Some(other) = &result.facts_of {
                self.iterator.set_vars(other, &std::mem::take(&mut result.outcome.set));
            }
        }
        // A loop whose list could not be made has one result, without an item.
        let looped = task.looping.is_some() && results.iter().all(|result| result.item.is_some());
        let outcome = if looped {
            let items = results.into_iter().map(|result| (result.item.unwrap_or_default().0, result.outcome));
            Outcome::of_items(&items.collect::<Vec<_>>())
        } else {
            results.into_iter().next().map_or_else(Outcome::skipped, |result| result.outcome)
        };
        (self.callback)(&Event::Host { host, outcome: &outcome.printed(), looped });
        (outcome, notify)
    }

    /// Reports how an item ended.
    pub(super) fn show_item(&mut self, host: &str, result: &ItemResult) {
        let Some((vars, label)) = &result.item else { return };
        let mut outcome = result.outcome.printed();
        if result.outcome.censored {
            return (self.callback)(&Event::Item { host, item: CENSORED_ITEM, outcome: &outcome });
        }
        if outcome.shown != Shown::Message {
            outcome.detail.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        (self.callback)(&Event::Item { host, item: label, outcome: &outcome });
    }

    /// Records the last result of a task that runs once for the other hosts.
    pub(super) fn share_result(&mut self, task: &Task, others: &[String]) {
        for host in others {
            if let Some(outcome) = &self.last {
                self.iterator.record_shared_result(host, task, outcome);
            }
        }
    }
}
