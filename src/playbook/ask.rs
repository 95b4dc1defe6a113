//! Asking the cluster for what a task wants on all its hosts, at once. What several hosts ask for alike is asked once.

use std::collections::BTreeMap;

use super::action::Action;
use super::cluster::Cluster;
use super::cluster::Fulfilled;
use super::cluster::JoinOrder;
use super::cluster::Unfulfilled;
use super::cluster::UnitOrder;
use super::outcome::Outcome;
use super::outcome::Status;
use super::turn::Turn;
use crate::core::unit::UnitName;
use crate::inventory::Host;
use crate::inventory::Vars;

type Answer = Result<Fulfilled, Unfulfilled>;

/// What a task has asked for so far, batch after batch, and the first host that did.
pub(super) type Asked = BTreeMap<UnitName, (UnitOrder, String)>;

/// Asks for units, and says what came of each. A unit is one thing in the cluster: what is wanted of it in two ways, in
/// this batch or between this and an earlier one, is not asked for, or each would undo the other every time.
pub(super) async fn units<'h>(
    cluster: &dyn Cluster,
    turns: impl Iterator<Item = (&'h Host, &Turn)>,
    asked: &mut Asked,
    check: bool,
) -> BTreeMap<UnitName, Answer> {
    let mut orders: Vec<UnitOrder> = Vec::new();
    let mut answers = BTreeMap::new();
    for (host, turn) in turns {
        let Ok(Action::Unit(order)) = &turn.state else { continue };
        let (first, by) = asked.entry(order.name.clone()).or_insert_with(|| (order.clone(), host.name.clone()));
        if first != order {
            let why = || Err(Unfulfilled::Failed(contradiction(first, by, order, &host.name)));
            answers.entry(order.name.clone()).or_insert_with(why);
        } else if !orders.contains(order) {
            orders.push(order.clone());
        }
    }
    orders.retain(|order| !answers.contains_key(&order.name));
    if !orders.is_empty() {
        let made = cluster.units(&orders, check).await;
        answers.extend(orders.into_iter().map(|order| order.name).zip(made));
    }
    answers
}

fn contradiction(first: &UnitOrder, by: &str, other: &UnitOrder, host: &str) -> String {
    let what = if first.file == other.file { "is wanted in two states" } else { "has two different texts" };
    let whose = if by == host { format!("both on {host}") } else { format!("one for {by} and another for {host}") };
    format!(
        "unit {} {what}, {whose}, and a cluster has one unit of a name: make it one for each host, such as \
         `name@{{{{ inventory_hostname }}}}.service`, or the same for all",
        first.name
    )
}

/// Asks the cluster to take hosts in, and says by their names what came of it.
pub(super) async fn join(cluster: &dyn Cluster, orders: Vec<JoinOrder>, check: bool) -> BTreeMap<String, Answer> {
    if orders.is_empty() {
        return BTreeMap::new();
    }
    let joined = cluster.join(&orders, check).await;
    orders.into_iter().map(|order| order.target.name).zip(joined).collect()
}

/// Returns what an answer of the cluster is for a task.
pub(super) fn outcome_of(answer: Option<&Answer>) -> Outcome {
    match answer {
        Some(Ok(Fulfilled { changed, what })) => {
            Outcome::done(*changed, Vars::from_iter([("msg".to_owned(), what.clone().into())]))
        }
        Some(Err(Unfulfilled::Failed(why))) => Outcome::failed(why.clone()),
        Some(Err(Unfulfilled::Unreachable(why))) => {
            Outcome { status: Status::Unreachable, ..Outcome::failed(why.clone()) }
        }
        None => Outcome::failed("the cluster did not answer"),
    }
}
