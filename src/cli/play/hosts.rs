//! The hosts of plays: their patterns, `--limit`, and the machine on which muster runs.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Arc;

use super::shown_beside;
use crate::cli::error::CommandError;
use crate::cli::error::ExitStatus;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::InventoryError;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::limit;
use crate::playbook;
use crate::playbook::play::Playbook;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::ui;

/// Adds the machine on which muster runs if a play names it.
pub(super) fn add_localhost(playbook: &Playbook, inventory: &mut Inventory, extra: &Arc<Vars>) {
    let scope = Scope::new(vec![Layer::written(Arc::clone(extra))]).with_vault(&inventory.vault);
    for play in &playbook.plays {
        let pattern = scope.text(&play.hosts).unwrap_or_default();
        inventory.add_local(&pattern);
    }
}

/// Returns the hosts of each play.
pub(super) fn choose(
    playbook: &Playbook,
    inventory: &Inventory,
    extra: &Arc<Vars>,
    limit: Option<&str>,
) -> Result<Vec<Vec<String>>, CommandError> {
    let allowed = allowed(inventory, limit)?;
    let mut chosen = Vec::new();
    for play in &playbook.plays {
        let (hosts, unmatched) = hosts_of(play, inventory, extra, allowed.as_ref())
            .map_err(|fault| CommandError { status: ExitStatus::Usage, ..fault.into() })?;
        for term in unmatched {
            let what = format!("no host or group matches `{term}`, so it is left out of the play");
            ui::warn(&at_hosts(play, what).to_string());
        }
        chosen.push(hosts);
    }
    Ok(chosen)
}

/// Returns the names of the hosts that `--limit` leaves, if it is given.
pub(super) fn allowed<'i>(
    inventory: &'i Inventory,
    limit: Option<&str>,
) -> Result<Option<BTreeSet<&'i str>>, InventoryError> {
    let hosts = limit.map(|limit| inventory.select(limit)).transpose()?;
    Ok(hosts.map(|hosts| hosts.into_iter().map(|host| host.name.as_str()).collect()))
}

/// Makes a diagnostic of the `hosts` of a play.
fn at_hosts(play: &playbook::play::Play, what: String) -> Diagnostic {
    shown_beside(Diagnostic::new(&play.file, play.hosts_at, what))
}

/// Returns the hosts of a play in its order, and the terms of its pattern that match nothing. The pattern may use variables
/// of `-e`: `hosts: "{{ target }}"`.
pub(super) fn hosts_of(
    play: &playbook::play::Play,
    inventory: &Inventory,
    extra: &Arc<Vars>,
    allowed: Option<&BTreeSet<&str>>,
) -> Result<(Vec<String>, Vec<String>), Diagnostic> {
    let scope = Scope::new(vec![Layer::written(Arc::clone(extra))]).with_vault(&inventory.vault);
    let pattern = scope.text(&play.hosts).map_err(|why| at_hosts(play, format!("`hosts`: {why}")))?;
    let (hosts, unmatched) = inventory
        .select_known(&pattern)
        .map_err(|error| Diagnostic { hint: error.hint(), ..at_hosts(play, error.to_string()) })?;
    let within = |host: &&Host| allowed.is_none_or(|allowed| allowed.contains(host.name.as_str()));
    let mut names: Vec<String> = hosts.into_iter().filter(within).map(|host| host.name.clone()).collect();
    play.order.apply(&mut names, RandomState::new().hash_one(()));
    Ok((names, unmatched.into_iter().map(str::to_owned).collect()))
}

pub(super) fn read_limit(limit: &str) -> Result<String, CommandError> {
    limit::read(limit, |path| std::fs::read_to_string(path))
        .map_err(|error| CommandError::usage(format!("--limit: {error}")))
}
