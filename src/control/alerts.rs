//! Alerts: tells the receivers of this process about the problems of the cluster, beside the leader and never in its way.
//!
//! Each receiver has its own task, so that one that hangs delays no other. [`crate::core::alert`] decides what is due. A message is
//! stored before it is sent, and again after it was sent.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use super::problems::Problem;
use super::read_model::ReadModel;
use super::read_model::View;
use super::sweep;
use crate::core::alert;
use crate::core::alert::Ledger;
use crate::core::alert::Pace;
use crate::core::alert::Trouble;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::notify::Receiver;
use crate::notify::Receivers;
use crate::runner::Clock;
use crate::runner::ClusterContext;
use crate::runner::Pulse;
use crate::runner::Supervision;
use crate::store::Revision;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Keyspace;
use crate::store::layout::StoredLedger;

/// How often a leader looks at the problems.
const LOOK: Duration = Duration::from_secs(2);

/// How many messages a sweep sends to one receiver: one of each status.
const MESSAGES_OF_A_SWEEP: usize = 3;

/// The problems at one look.
type Troubles = Arc<Vec<Trouble>>;

/// The alerts that run beside a leader. They end when this is dropped, after the messages on their way.
#[derive(Debug)]
pub(super) struct Running {
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Running {
    /// Starts the alerts of a leader.
    pub(super) fn begin(context: &ClusterContext, supervision: &Supervision) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(context.clone(), supervision.clone(), stop.clone()));
        Self { task, stop: stop.drop_guard() }
    }

    /// Ends the alerts, and waits for the messages on their way no longer than a limit.
    pub(super) async fn end(self, limit: Duration) {
        drop(self.stop);
        // Another process sends a message again that was not sent.
        let _ = tokio::time::timeout(limit, self.task).await;
    }
}

/// Tells the receivers of the settings about problems until it is stopped.
async fn serve(context: ClusterContext, supervision: Supervision, stop: CancellationToken) {
    let Supervision { mut settings, pulse } = supervision;
    while !stop.is_cancelled() {
        let receivers = settings.borrow_and_update().receivers.clone();
        let changes = async {
            if settings.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let ends = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = changes => {}
            }
        };
        if receivers.is_empty() {
            ends.await;
        } else {
            tell(&context, &receivers, &pulse, ends).await;
        }
    }
}

/// Tells these receivers about problems until `ends`, and then waits for the messages on their way.
async fn tell(context: &ClusterContext, receivers: &Receivers, pulse: &Arc<Pulse>, ends: impl Future<Output = ()>) {
    let (publisher, troubles) = watch::channel(Troubles::default());
    let (model, view) = ReadModel::new(&context.store, &context.keys, context.clock);
    let couriers = receivers.iter().map(|(name, receiver)| {
        let courier = Courier::new(context, name, receiver, Pace::CONTROLLER);
        tokio::spawn(courier.follow(troubles.clone(), Arc::clone(pulse)))
    });
    let couriers: Vec<JoinHandle<()>> = couriers.collect();
    tokio::select! {
        () = model.run() => {}
        () = look(view, context.clock, publisher) => {}
        () = ends => {}
    }
    // The publisher is gone, so each courier ends after its message.
    join_all(couriers).await;
}

/// Publishes the problems that the records of the leader show, every few seconds.
async fn look(view: View, clock: Clock, publisher: watch::Sender<Troubles>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let published = view.now();
        // Records that may be out of date say nothing about now.
        if !published.is_read || published.stale.is_some() {
            continue;
        }
        let find = move || {
            let (snapshot, now) = (published.snapshot(), clock.now());
            let events: Vec<Event> = published.events.events().cloned().collect();
            troubles(&snapshot, &sweep::recorded_problems(&snapshot, &events, None, now))
        };
        // It takes long for a large cluster, and other tasks need the thread.
        if let Ok(found) = tokio::task::spawn_blocking(find).await {
            publisher.send_replace(Arc::new(found));
        }
    }
}

/// Returns problems as alerts see them.
fn troubles(snapshot: &Snapshot, problems: &[Problem]) -> Vec<Trouble> {
    let trouble = |problem: &Problem| {
        let text = problem.to_string();
        Some(Trouble {
            kind: alert::kind_of(problem.kind, problem.health, problem.unit.is_some())?,
            machine: problem.machine.map(|machine| snapshot.name_of(machine)),
            unit: problem.unit.clone(),
            text: text.lines().next().unwrap_or_default().to_owned(),
            shared: problem.trouble.clone().filter(|_| problem.unit.is_none()).map(|(_, trouble)| trouble),
            unreachable: problem.unreachable,
        })
    };
    problems.iter().filter_map(trouble).collect()
}

/// Tells the receivers about the problems that a sweep leaves, and about the end of others. It takes no leadership: a message is
/// stored before it is sent, so no other process sends it too.
pub async fn after_sweep(context: &ClusterContext, receivers: &Receivers, snapshot: &Snapshot, problems: &[Problem]) {
    let troubles = troubles(snapshot, problems);
    let pulse = Pulse::default();
    let couriers = receivers.iter().map(async |(name, receiver)| {
        let mut courier = Courier::new(context, name, receiver, Pace::SWEEP);
        for _ in 0..MESSAGES_OF_A_SWEEP {
            match courier.attend(&troubles, &pulse).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return tracing::warn!("no alerts to {name}: {error}"),
            }
        }
    });
    join_all(couriers).await;
}

/// The task of one receiver.
struct Courier {
    store: SharedStore,
    keys: Keyspace,
    clock: Clock,
    name: String,
    receiver: Arc<Receiver>,
    pace: Pace,
    ledger: Ledger,
    /// The ledger as the store has it, with its revision; `None` before it was read.
    stored: Option<(Vec<u8>, Option<Revision>)>,
}

impl Courier {
    fn new(context: &ClusterContext, name: &str, receiver: &Arc<Receiver>, pace: Pace) -> Self {
        Self {
            store: context.store.clone(),
            keys: context.keys.clone(),
            clock: context.clock,
            name: name.to_owned(),
            receiver: Arc::clone(receiver),
            pace,
            ledger: Ledger::default(),
            stored: None,
        }
    }

    /// Attends to the problems at each look, until there are no more looks.
    async fn follow(mut self, mut troubles: watch::Receiver<Troubles>, pulse: Arc<Pulse>) {
        while troubles.changed().await.is_ok() {
            let found = Arc::clone(&troubles.borrow_and_update());
            // The store is asked again at the next look.
            if let Err(error) = self.attend(&found, &pulse).await {
                tracing::debug!("alerts to {} wait: {error}", self.name);
            }
        }
    }

    /// Compares the problems with what the receiver knows, and sends the message that is due. Reports whether one was sent.
    async fn attend(&mut self, troubles: &[Trouble], pulse: &Pulse) -> Result<bool, StoreError> {
        if self.stored.is_none() {
            self.read().await?;
        }
        let rules = &self.receiver.rules;
        self.ledger.look(troubles, rules, self.pace, self.clock.now());
        let Some(message) = self.ledger.next(rules, self.pace, self.keys.token(), self.clock.now()) else {
            self.keep().await?;
            return Ok(false);
        };
        if !self.keep().await? {
            return Ok(false);
        }
        let failed_before = self.ledger.failures();
        let answer = self.receiver.deliver(&message).await;
        pulse.instruments().alerted(&self.name, answer.is_ok());
        match &answer {
            Ok(_) => {
                self.ledger.sent(self.clock.now());
                if failed_before > 0 {
                    tracing::warn!("alerts to {} are delivered again", self.name);
                }
            }
            Err(why) => {
                self.ledger.failed(self.clock.now());
                // A receiver that is away for a day is not reported each time.
                if (failed_before + 1).is_power_of_two() {
                    tracing::warn!("an alert to {} was not delivered, and is sent again: {why}", self.name);
                }
            }
        }
        self.keep().await?;
        Ok(answer.is_ok())
    }

    /// Reads the ledger from the store.
    async fn read(&mut self) -> Result<(), StoreError> {
        let StoredLedger { ledger, revision, unreadable } =
            layout::read_ledger(&*self.store, &self.keys, &self.name).await?;
        if let Some(why) = unreadable {
            tracing::warn!("the record of the alerts to {} is lost, so some may be repeated: {why}", self.name);
        }
        self.stored = Some((layout::encode(&ledger), revision));
        self.ledger = std::mem::take(&mut self.ledger).refreshed(ledger);
        Ok(())
    }

    /// Stores the ledger if it has changed. Returns false if another process has changed it; its ledger is taken then.
    async fn keep(&mut self) -> Result<bool, StoreError> {
        let ledger = self.ledger.stored(&self.receiver.rules, self.pace);
        let (encoded, stored) = (layout::encode(&ledger), self.stored.take().unwrap_or_default());
        if stored.0 == encoded || (ledger.is_empty() && stored.1.is_none()) {
            self.stored = Some(stored);
            return Ok(true);
        }
        let kept = layout::put_ledger(&*self.store, &self.keys, &self.name, &ledger, stored.1).await;
        match kept {
            Ok(Some(revision)) => {
                self.stored = Some((encoded, Some(revision)));
                Ok(true)
            }
            Ok(None) => {
                self.read().await?;
                Ok(false)
            }
            Err(error) => {
                self.stored = Some(stored);
                Err(error)
            }
        }
    }
}
